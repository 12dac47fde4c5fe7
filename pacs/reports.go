package pacs

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/report"
	"github.com/hospital-go/hospital/internal/verb"
)

// Report (检查报告) is an imaging report with everything it refers to.
//
//   - Report (*r4.DiagnosticReport) is the document, its conclusion and presentedForm (PDF)
//     untouched; when Withdrawn is set, only what names it.
//   - Results (as lis.Result) with their members, and Specimens ([]*r4.Specimen), in the
//     report's order; mostly none.
//   - Studies are the Study Instance UIDs of the images it is about, for [Client.Retrieve],
//     in its order; those that were entered in error are left out.
//   - Withdrawn says that it was entered in error: nothing of it is shown, and what was
//     shown of it before must not be used.
//   - Recognised says that it carries the mark of mutual recognition; see [Marks].
//   - Status() is how far it is, in the standard's words: registered, partial, preliminary,
//     final, amended, corrected, appended, cancelled, entered-in-error, unknown.
//   - Final() reports whether the department stands by all of it: final, amended, corrected
//     or appended.
type Report = report.Report

// Marks says how a report is marked that other institutions recognise
// (检查检验结果互认标识). Any of what is set counts; the zero Marks marks nothing.
//
//   - Tag (r4.Coding) in meta.tag; zero is none.
//   - Category (r4.Coding) among the codes of category; zero is none.
//   - Extension is the URL of an extension, which marks by its presence unless it says
//     false; "" is none.
type Marks = report.Marks

// Imaging reports are known by their section.
const (
	// SectionSystem is the code system of DiagnosticReport.category (HL7 v2 table 0074).
	SectionSystem = report.SectionSystem
	// Radiology is the section of imaging reports.
	Radiology = "RAD"
)

// ReportQuery chooses imaging reports of a patient.
type ReportQuery struct {
	// Patient is required.
	Patient campus.PatientID
	// From and To bound the clinically relevant time, [From, To); a zero time does not.
	From, To time.Time
	// Section of the department; the zero Coding is [Radiology].
	Section r4.Coding
	// Codes of the report, any of them; none means every one.
	Codes []r4.Coding
	// Accession number of the order (Systems.Accession) that the reports are based on; ""
	// is any. An order is one campus's, so that with it campuses cannot be asked at once.
	Accession string
}

// Reports (检查报告) yields a patient's imaging reports, the latest first, each whole: a
// report of which a result, specimen or study cannot be had, or is another patient's, is
// an error and never a shorter report. All statuses come and are stated. One that was
// entered in error is not shown; if this client showed it before, it comes as Withdrawn.
// An older version is never shown after a newer one: hospital.ErrStale when no newer can
// be had. It may be asked across campuses; what two have of one number, status, time,
// conclusion and results comes once, and the latest is first of each campus only: sort what
// comes before the first is taken for the latest. Of an Accession that no order has it is
// hospital.ErrNotFound, of another patient's order hospital.ErrWrongPatient.
func (c *Client) Reports(ctx context.Context, q ReportQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	chosen := report.Query{Patient: q.Patient, From: q.From, To: q.To, Section: q.Section, Codes: q.Codes}
	if q.Accession != "" {
		return c.reportsOn(ctx, q.Accession, chosen, opts)
	}
	return c.reports.List(ctx, "Reports", chosen, opts...)
}

// reportsOn yields the reports on an order.
func (c *Client) reportsOn(ctx context.Context, accession string, q report.Query, opts []hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	op := verb.Ops{System: c.ris, Prefix: "pacs"}.Read("Reports", hospital.Session, hospital.List)
	return hospital.Stream(ctx, c.client, op, func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[*Report], error] {
		if err := q.Check(); err != nil {
			return verb.Fail[*Report](err)
		}
		placed, patient, err := c.orders.Owned(ctx, f, accession, q.Patient)
		if err != nil {
			return verb.Fail[*Report](err)
		}
		var ids []string
		for _, item := range placed.Resource.Items {
			ids = append(ids, item.ID)
		}
		about := c.reports.Of(f, patient, verb.ReadAbout(opts, q.Patient))
		return about.Reports(hospital.SameStore(ctx, placed.Origin), q, ids)
	}, verb.ReadAbout(opts, q.Patient)...)
}

// Report (按报告号查报告) reads the report of this number (Systems.Report), for this patient,
// whole as in [Client.Reports]: hospital.ErrNotFound when there is none,
// hospital.ErrWrongPatient when it is somebody else's. One that was entered in error
// comes as Withdrawn.
func (c *Client) Report(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return c.reports.Find(ctx, number, patient, opts...)
}

// Direction is an order in time, a bool; zero is [OldestFirst].
type Direction = report.Direction

// Directions.
const (
	OldestFirst = report.OldestFirst
	NewestFirst = report.NewestFirst
)

// Version is one version of a report.
//
//   - Resource (*r4.DiagnosticReport) is that version, without members; nil of a deletion and
//     of a version that was another patient's; of one that was entered in error, only what
//     names it.
//   - At is when the server stored it (an instant, as text), "" when it does not say.
//   - Current says that it is the latest; all others were superseded.
//   - Withdrawn says that it was entered in error, or was another patient's.
//   - Deleted says that the resource was deleted then.
type Version = report.Version[*r4.DiagnosticReport]

// ReportVersions (报告修改记录) yields the versions of a report: preliminary, final, amended,
// corrected, withdrawn. hospital.ErrStale when the server knows only versions older
// than one that was shown, hospital.ErrInvalidArgument for a report that no verb returned,
// hospital.ErrUnexpectedAnswer for more than 1000 versions.
func (c *Client) ReportVersions(ctx context.Context, report hospital.Found[*Report], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version, error] {
	return c.reports.Versions(ctx, report, d, opts...)
}

// studyUID is a study's Study Instance UID as FHIR writes one (R4, ImagingStudy.identifier).
func studyUID(s *r4.ImagingStudy) (string, bool) {
	value, _ := r4.IdentifierValue(s.Identifier, "urn:dicom:uid")
	uid, ok := strings.CutPrefix(value, "urn:oid:")
	return uid, ok && dicomweb.ValidUID(uid)
}
