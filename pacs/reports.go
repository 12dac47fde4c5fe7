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

// Report (检查报告) is an imaging report with everything it refers to: the Report itself,
// its conclusion and presentedForm (PDF) untouched; Results with their members (mostly
// none) and Specimens, in the report's order; Studies, the Study Instance UIDs of the
// images it is about, for [Client.Retrieve], but for those entered in error; Withdrawn,
// when the report was entered in error and nothing of it is shown; Recognised, when it
// carries the mark of mutual recognition (see [Marks]). Its methods are Status, in the
// standard's words, and Final, whether the department stands by all of it.
type Report = report.Report

// Marks says how a report is marked that other institutions recognise
// (检查检验结果互认标识): a Tag in meta.tag, a Category among the codes of category, or the URL
// of an Extension, which marks by its presence unless it says false. Any of what is set
// counts.
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
// be had. It may be asked across campuses; what two have of one number, status, time and
// conclusion comes once. Of an Accession that no order has it is hospital.ErrNotFound, of another
// patient's order hospital.ErrWrongPatient.
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

// Direction is an order in time.
type Direction = report.Direction

// Directions.
const (
	OldestFirst = report.OldestFirst
	NewestFirst = report.NewestFirst
)

// Version is one version of a report: the Resource, without members and nil where it
// was deleted or another patient's then; At, when the server stored it; Current, if it
// is the latest; Withdrawn and Deleted.
type Version = report.Version[*r4.DiagnosticReport]

// ReportVersions (报告修改记录) yields the versions of a report: preliminary, final, amended,
// corrected, withdrawn. hospital.ErrStale when the server knows only versions older
// than one that was shown.
func (c *Client) ReportVersions(ctx context.Context, report hospital.Found[*Report], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version, error] {
	return c.reports.Versions(ctx, report, d, opts...)
}

// studyUID is a study's Study Instance UID as FHIR writes one (R4, ImagingStudy.identifier).
func studyUID(s *r4.ImagingStudy) (string, bool) {
	value, _ := r4.IdentifierValue(s.Identifier, "urn:dicom:uid")
	uid, ok := strings.CutPrefix(value, "urn:oid:")
	return uid, ok && dicomweb.ValidUID(uid)
}
