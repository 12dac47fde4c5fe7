package lis

import (
	"context"
	"iter"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/report"
)

// Result (检验结果) is one Observation as the laboratory wrote it: the Observation; its
// Members (hasMember), of a panel its tests, of a culture the organisms; Withdrawn, when
// it was entered in error and its value is not shown; Recognised, when it carries the
// mark of mutual recognition (see [Marks]). Its methods are Value, Components and Ranges.
type Result = report.Result

// Value is a result, a component's or a bound of a reference range, exactly as it was
// written: Text for people, Number with the digits it came with, Comparator, Unit, its
// code UCUM, Codes of a coded value, and why there is none (Absent). Nothing is rounded
// or converted: its method In says whether it is in a unit, and is [ErrUnit] otherwise.
type Value = report.Value

// ErrUnit refuses a value in another unit than it has.
var ErrUnit = report.ErrUnit

// Component is a part of a result that has no meaning alone, with its Value.
type Component = report.Component

// Range is a reference range (参考范围): Low and High, Text where the laboratory gave it in
// words, and Whole, which says whom it applies to.
type Range = report.Range

// ResultVersions (结果修改记录) yields the versions of a single result, as
// [Client.ReportVersions] those of a report.
func (c *Client) ResultVersions(ctx context.Context, result hospital.Found[Result], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.Observation], error] {
	return c.reports.ResultVersions(ctx, result, d, opts...)
}
