package lis

import (
	"context"
	"iter"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/report"
)

// Result (检验结果) is one Observation as the laboratory wrote it.
//
//   - Observation (*r4.Observation) is the whole of it; when Withdrawn is set, only what
//     names it.
//   - Members ([]Result) are those that belong to it (hasMember): of a panel its tests, of a
//     culture the organisms, of an organism its susceptibilities. A list of single results
//     has none.
//   - Withdrawn says that it was entered in error: its value is not shown, and what was
//     shown of it before must not be used.
//   - Recognised says that it carries the mark of mutual recognition; see [Marks].
//   - Value() ([Value]), Components() ([]Component) and Ranges() ([]Range) read it.
type Result = report.Result

// Value is a result, a component's or a bound of a reference range, exactly as it was
// written: nothing is rounded or converted.
//
//   - Text is for people: "7.00 mmol/L", "<0.05 ng/mL", "1:128", "阳性"; "" where there is
//     no value.
//   - Number (r4.Decimal) is a quantity's value as text, with the digits it came with; "" of
//     any other kind.
//   - Comparator is <, <=, > or >= where Number is only a bound, else "".
//   - Unit is the unit as people write it, UCUM its code, "" where it is coded otherwise or
//     not at all.
//   - Codes ([]r4.Coding) of a coded value.
//   - Absent (*r4.CodeableConcept) is why there is no value, nil where nobody says.
//   - In(ucum) is nil when Number is in the unit of this code, else [ErrUnit].
type Value = report.Value

// ErrUnit refuses a value in another unit than it has; it is a hospital.ErrRefused.
var ErrUnit = report.ErrUnit

// Component is a part of a result that has no meaning alone: Component
// (*r4.ObservationComponent) is the whole of it, Value ([Value]) its value.
type Component = report.Component

// Range is a reference range (参考范围).
//
//   - Low and High ([Value]) are the bounds; their Text is "" where there is none.
//   - Text is the range in words, "" where the laboratory gave none.
//   - Whole (*r4.ObservationReferenceRange) is all of it, and says whom it applies to.
type Range = report.Range

// ResultVersions (结果修改记录) yields the versions of a single result, as
// [Client.ReportVersions] those of a report, with its errors, such as hospital.ErrStale.
func (c *Client) ResultVersions(ctx context.Context, result hospital.Found[Result], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.Observation], error] {
	return c.reports.ResultVersions(ctx, result, d, opts...)
}
