package lis

import (
	"context"
	"iter"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/report"
)

// Report (检验报告) is a laboratory report with everything it refers to: the Report itself,
// its presentedForm (PDF) untouched; Results with their members, and Specimens, in the
// report's order; Withdrawn, when it was entered in error and nothing of it is shown;
// Recognised, when it carries the mark of mutual recognition (see [Marks]). Its methods
// are Status, in the standard's words; Final, whether the laboratory stands by all of
// it; and Isolates, for microbiology.
type Report = report.Report

// ReportQuery chooses reports of a Patient: From and To bound the clinically relevant
// time, [From, To), a zero time does not; Section of the laboratory, the zero Coding is
// Categories.Section; Codes of the report, any of them, none means every one.
type ReportQuery = report.Query

// Reports (检验报告) yields a patient's reports, the latest first, each whole: a report of
// which a member cannot be had, or is another patient's, is an error and never a
// shorter report. All statuses come and are stated. One that was entered in error is
// not shown; if this client showed it before, it comes as Withdrawn. An older version
// is never shown after a newer one: hospital.ErrStale when no newer can be had. It may
// be asked across campuses; what two have of one number, status, time and conclusion comes
// once.
func (c *Client) Reports(ctx context.Context, q ReportQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	return c.reports.List(ctx, "Reports", q, opts...)
}

// Report (按报告号查报告) reads the report of this number, for this patient, whole as in
// [Client.Reports]: hospital.ErrNotFound when there is none, hospital.ErrWrongPatient
// when it is somebody else's. One that was entered in error comes as Withdrawn.
func (c *Client) Report(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return c.reports.Find(ctx, number, patient, opts...)
}

// Complete (取报告全文) reads again a report that a feed told of, and all it refers to. Its
// members must be of the patient the report is of.
func (c *Client) Complete(ctx context.Context, found hospital.Found[*r4.DiagnosticReport], opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return c.reports.Complete(ctx, found, opts...)
}

// Direction is an order in time.
type Direction = report.Direction

// Directions.
const (
	OldestFirst = report.OldestFirst
	NewestFirst = report.NewestFirst
)

// Version is one version of a report or a result: the Resource, without members and nil
// where it was deleted or another patient's then; At, when the server stored it;
// Current, if it is the latest; Withdrawn and Deleted.
type Version[T r4.Resource] = report.Version[T]

// ReportVersions (报告修改记录) yields the versions of a report: preliminary, final, amended,
// corrected, withdrawn. hospital.ErrStale when the server knows only versions older
// than one that was shown.
func (c *Client) ReportVersions(ctx context.Context, report hospital.Found[*Report], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.DiagnosticReport], error] {
	return c.reports.Versions(ctx, report, d, opts...)
}

// Microbiology (微生物报告) is [Client.Reports] of Categories.Microbiology, or of the section
// in q. Its results are a tree: culture, organisms, susceptibilities (药敏);
// Report.Isolates walks it.
func (c *Client) Microbiology(ctx context.Context, q ReportQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	if q.Section.Code == "" {
		q.Section = c.categories.Microbiology
	}
	return c.reports.List(ctx, "Microbiology", q, opts...)
}

// Isolate (分离菌) is an organism that was found and what it is susceptible to: the Organism
// is the result that names it, Susceptibilities (药敏) are single results, or panels whose
// Members they are.
type Isolate = report.Isolate

// Marks says how a report or result is marked that other institutions recognise
// (检查检验结果互认标识): a Tag in meta.tag, a Category among the codes of category, or the URL
// of an Extension, which marks by its presence unless it says false. Any of what is set
// counts; the mark itself stays where the laboratory put it.
type Marks = report.Marks

// The default mark of mutual recognition, a tag.
const (
	// RecognitionSystem is the code system of the tag.
	RecognitionSystem = report.RecognitionSystem
	// RecognitionCode is the code in it: HR, as it is printed on reports.
	RecognitionCode = report.RecognitionCode
)

// DefaultMarks is the tag [RecognitionCode] of [RecognitionSystem].
func DefaultMarks() Marks { return report.DefaultMarks() }
