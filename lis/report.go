package lis

import (
	"context"
	"iter"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/report"
)

// Report (检验报告) is a laboratory report with everything it refers to.
//
//   - Report (*r4.DiagnosticReport) is the document, its conclusion and presentedForm (PDF)
//     untouched; when Withdrawn is set, only what names it.
//   - Results ([]Result) with their members, in the report's order.
//   - Specimens ([]*r4.Specimen) in the report's order.
//   - Studies has nothing in it; it is for imaging.
//   - Withdrawn says that it was entered in error: nothing of it is shown, and what was
//     shown of it before must not be used.
//   - Recognised says that it carries the mark of mutual recognition; see [Marks].
//   - Status() is how far it is, in the standard's words: registered, partial, preliminary,
//     final, amended, corrected, appended, cancelled, entered-in-error, unknown.
//   - Final() reports whether the laboratory stands by all of it: final, amended, corrected
//     or appended.
//   - Isolates() are the organisms of a culture's report; see [Isolate].
type Report = report.Report

// ReportQuery chooses reports of a patient.
//
//   - Patient (campus.PatientID). Required.
//   - From and To bound the clinically relevant time, [From, To); a zero time does not.
//   - Section (r4.Coding) of the laboratory; zero is Categories.Section.
//   - Codes ([]r4.Coding) of the report, any of them; none means every one.
type ReportQuery = report.Query

// Reports (检验报告) yields a patient's reports, the latest first, each whole: a report of
// which a member cannot be had, or is another patient's, is an error and never a
// shorter report (hospital.ErrUnexpectedAnswer, hospital.ErrWrongPatient). All statuses
// come and are stated. One that was entered in error is not shown; if this client showed
// it before, it comes as Withdrawn. An older version is never shown after a newer one:
// hospital.ErrStale when no newer can be had. It may be asked across campuses; what two
// have of one number, status, time, conclusion and results comes once, and the latest is
// first of each campus only: sort what comes before the first is taken for the latest.
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
// members must be of the patient the report is of, or it is hospital.ErrWrongPatient. One
// that was deleted meanwhile is hospital.ErrNotFound, one that no feed or verb returned
// hospital.ErrInvalidArgument. One that was entered in error comes as Withdrawn.
func (c *Client) Complete(ctx context.Context, found hospital.Found[*r4.DiagnosticReport], opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return c.reports.Complete(ctx, found, opts...)
}

// Direction is an order in time, a bool; zero is [OldestFirst].
type Direction = report.Direction

// Directions.
const (
	OldestFirst = report.OldestFirst
	NewestFirst = report.NewestFirst
)

// Version is one version of a report or a result.
//
//   - Resource (T) is that version, without members; nil of a deletion and of a version that
//     was another patient's; of one that was entered in error, only what names it.
//   - At is when the server stored it (an instant, as text), "" when it does not say.
//   - Current says that it is the latest; all others were superseded.
//   - Withdrawn says that it was entered in error, or was another patient's.
//   - Deleted says that the resource was deleted then.
type Version[T r4.Resource] = report.Version[T]

// ReportVersions (报告修改记录) yields the versions of a report: preliminary, final, amended,
// corrected, withdrawn. hospital.ErrStale when the server knows only versions older
// than one that was shown, hospital.ErrInvalidArgument for a report that no verb returned,
// hospital.ErrUnexpectedAnswer for more than 1000 versions.
func (c *Client) ReportVersions(ctx context.Context, report hospital.Found[*Report], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.DiagnosticReport], error] {
	return c.reports.Versions(ctx, report, d, opts...)
}

// Microbiology (微生物报告) is [Client.Reports] of Categories.Microbiology, or of the section
// in q, with its errors, such as hospital.ErrStale. Its results are a tree: culture,
// organisms, susceptibilities (药敏); Report.Isolates walks it.
func (c *Client) Microbiology(ctx context.Context, q ReportQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	if q.Section.Code == "" {
		q.Section = c.categories.Microbiology
	}
	return c.reports.List(ctx, "Microbiology", q, opts...)
}

// Isolate (分离菌) is an organism that was found and what it is susceptible to.
//
//   - Organism ([Result]) names it, in Value().Codes.
//   - Susceptibilities ([]Result, 药敏) as the laboratory grouped them: single results, or
//     panels whose Members they are. S, I or R and the MIC stand in each Observation.
type Isolate = report.Isolate

// Marks says how a report or result is marked that other institutions recognise
// (检查检验结果互认标识). Any of what is set counts; the zero Marks marks nothing. The mark
// itself stays where the laboratory put it.
//
//   - Tag (r4.Coding) in meta.tag; zero is none.
//   - Category (r4.Coding) among the codes of category; zero is none.
//   - Extension is the URL of an extension, which marks by its presence unless it says
//     false; "" is none.
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
