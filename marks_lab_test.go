package hospital_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
	"github.com/hospital-go/hospital/pacs"
)

// The laboratory's verbs of the mark test, and the imaging department's reports and
// critical values: numbers, barcodes, texts and values are marks.

const (
	markOrder     = "MARKORDER"
	markCollected = "MARKCOLLECTED" // an order, whose tube is markTube
	markTube      = "MARKTUBE"
	markReport    = "MARKREPORT"
	markCritical  = "MARKCRIT"
	markValue     = "87316.4290"
)

var (
	markCode = r4.Coding{System: "http://loinc.org", Code: "2823-3"}
	markWard = r4.Identifier{System: "urn:mark:ward", Value: "W1"}
	markHome = campus.PatientID{Issuer: fakes.IssuerHankou, Value: markNumber} // his number at one campus
)

func init() { //nolint:gochecknoinits // a test's
	marks = append(marks, markOrder, markCollected, markTube, markReport, markCritical, markValue)
	for _, verbs := range []map[string]func(context.Context, *markedDesk) error{markedLab, markedImageReports} {
		for name, verb := range verbs {
			markedVerbs[name] = verb
		}
	}
}

// markedResults is what was read of the marked patient before any fault.
type markedResults struct {
	lab    *lis.Client
	report hospital.Found[*lis.Report]
	image  hospital.Found[*pacs.Report]
}

// markedDepartments puts the marked patient's orders, specimens, results, reports and
// critical values into the LIS and the RIS.
func markedDepartments(t *testing.T, d *markedDesk, verb string) {
	t.Helper()
	var err error
	switch {
	case strings.HasPrefix(verb, "lis."):
		d.lab = lis.New(d.client)
		known := *d.patient
		known.Identifier = append(slices.Clone(known.Identifier), r4.Identifier{System: markHome.Issuer, Value: markHome.Value})
		record, _, err := fhir.Create(t.Context(), d.client.FHIR(campus.LIS), &known)
		require.NoError(t, err)
		markedReport(t, d, campus.LIS, record, *r4.Concept(lis.SectionSystem, lis.Laboratory), lis.DefaultReportSystem)
		d.report, err = d.lab.Report(t.Context(), markReport, d.id)
		require.NoError(t, err)
		for _, number := range []string{markOrder, markCollected} {
			_, err = d.lab.Order(t.Context(), markedRequest(d, number))
			require.NoError(t, err)
		}
		_, err = d.lab.Collect(t.Context(), lis.CollectRequest{Barcode: markTube, Order: markCollected, Patient: d.id})
		require.NoError(t, err)
		_, err = d.lab.NotifyCritical(t.Context(), lis.CriticalRequest{
			Number: markCritical, Patient: d.id, Finding: lis.ReportFinding(d.report), Value: markValue, Ward: markWard,
			Deadline: time.Now().Add(time.Minute), By: "L1",
		})
		require.NoError(t, err)
	case markedImageReports[verb] != nil:
		q := fhir.For(fhir.Identifier[*r4.Patient](d.id.Issuer, d.id.Value))
		for page, err := range fhir.Search(t.Context(), d.client.FHIR(campus.RIS), q) {
			require.NoError(t, err)
			record, err := r4.As[*r4.Patient](page.Matches[0])
			require.NoError(t, err)
			record.Identifier = append(record.Identifier, r4.Identifier{System: markHome.Issuer, Value: markHome.Value})
			_, _, err = fhir.Update(t.Context(), d.client.FHIR(campus.RIS), record)
			require.NoError(t, err)
			markedReport(t, d, campus.RIS, record, *r4.Concept(pacs.SectionSystem, pacs.Radiology), pacs.DefaultReportSystem)
		}
		d.image, err = d.images.Report(t.Context(), markReport, d.id)
		require.NoError(t, err)
		_, err = d.images.Order(t.Context(), pacs.OrderRequest{Number: markAccession, Patient: d.id, Items: []pacs.OrderItem{{Code: r4.CodeableConcept{Text: markText}}}})
		require.NoError(t, err)
		_, err = d.images.NotifyCritical(t.Context(), pacs.CriticalRequest{
			Number: markCritical, Patient: d.id, Finding: pacs.ReportFinding(d.image), Value: markText, Ward: markWard,
			Deadline: time.Now().Add(time.Minute), By: "R1",
		})
		require.NoError(t, err)
	}
}

// markedReport makes a report of a result, and of the marked study.
func markedReport(t *testing.T, d *markedDesk, system campus.SystemID, record *r4.Patient, section r4.CodeableConcept, numbers string) {
	t.Helper()
	f, now := d.client.FHIR(system), time.Now().Format(time.RFC3339)
	_, _, err := fhir.Create(t.Context(), f, &r4.Organization{Identifier: []r4.Identifier{markWard}, Name: "ward"})
	require.NoError(t, err)
	subject := r4.RefTo("Patient", record.ID)
	result, _, err := fhir.Create(t.Context(), f, &r4.Observation{
		Status: "final", Subject: subject, Code: r4.Concept(markCode.System, markCode.Code), EffectiveDateTime: now,
		Category:      []r4.CodeableConcept{*r4.Concept(lis.CategorySystem, lis.LaboratoryCategory)},
		ValueQuantity: r4.UCUMQuantity(markValue, "mmol/L"), Note: []r4.Annotation{{Text: markText}},
	})
	require.NoError(t, err)
	study, _, err := fhir.Create(t.Context(), f, &r4.ImagingStudy{
		Status: "available", Subject: subject, Identifier: []r4.Identifier{{System: "urn:dicom:uid", Value: "urn:oid:" + markStudy}},
	})
	require.NoError(t, err)
	_, _, err = fhir.Create(t.Context(), f, &r4.DiagnosticReport{
		Status: "final", Subject: subject, Code: r4.Text(markText), EffectiveDateTime: now, Category: []r4.CodeableConcept{section}, Conclusion: markText,
		Identifier: []r4.Identifier{{System: numbers, Value: markReport}}, Result: []r4.Reference{*r4.RefTo("Observation", result.ID)},
		ImagingStudy: []r4.Reference{*r4.RefTo("ImagingStudy", study.ID)},
	})
	require.NoError(t, err)
}

func markedRequest(d *markedDesk, number string) lis.OrderRequest {
	return lis.OrderRequest{
		Number: number, Patient: d.id, Items: []lis.OrderItem{{Code: r4.CodeableConcept{Text: markText}, Note: markText}},
		Encounter: r4.Identifier{System: markIssuer, Value: markNumber},
	}
}

// failure is the error of what returns something too.
func failure[T any](_ T, err error) error { return err }

// drainAll is drain for what is not Found.
func drainAll[T any](seq func(func(T, error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

var markedLab = map[string]func(ctx context.Context, d *markedDesk) error{
	"lis.Order": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Order(ctx, markedRequest(d, markOrder+"2")))
	},
	"lis.Order, other items": func(ctx context.Context, d *markedDesk) error {
		r := markedRequest(d, markOrder)
		r.Items[0].Code.Text += "二"
		return failure(d.lab.Order(ctx, r))
	},
	"lis.Order, number with a separator": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Order(ctx, markedRequest(d, markOrder+"|")))
	},
	"lis.CancelOrder": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.CancelOrder(ctx, markOrder, d.id))
	},
	"lis.CancelOrder, collected": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.CancelOrder(ctx, markCollected, d.id))
	},
	"lis.OrderOf": func(ctx context.Context, d *markedDesk) error { return failure(d.lab.OrderOf(ctx, markOrder, d.id)) },
	"lis.OrderOf, another patient": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.OrderOf(ctx, markOrder, campus.PatientID{Issuer: markIssuer, Value: markNumber + "9"}))
	},
	"lis.Orders": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Orders(ctx, lis.OrderQuery{Patient: markHome}, hospital.AcrossCampuses()))
	},
	"lis.OrderStatus": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.OrderStatus(ctx, markCollected, d.id))
	},
	"lis.Collect": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Collect(ctx, lis.CollectRequest{Barcode: markTube + "2", Order: markOrder, Patient: d.id}))
	},
	"lis.Collect, of another order": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Collect(ctx, lis.CollectRequest{Barcode: markTube, Order: markOrder, Patient: d.id}))
	},
	"lis.Receive": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Receive(ctx, lis.ReceiveRequest{Barcode: markTube, Accession: markOrder}))
	},
	"lis.Reject": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Reject(ctx, lis.RejectRequest{Barcode: markTube, Reason: *r4.Text(markText)}))
	},
	"lis.Specimen": func(ctx context.Context, d *markedDesk) error { return failure(d.lab.Specimen(ctx, markTube)) },
	"lis.Reports": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Reports(ctx, lis.ReportQuery{Patient: d.id, From: time.Now().Add(-time.Hour)}))
	},
	"lis.Reports, across": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Reports(ctx, lis.ReportQuery{Patient: markHome}, hospital.AcrossOrganizations(hospital.Treatment)))
	},
	"lis.Reports, refused": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Reports(ctx, lis.ReportQuery{Patient: d.id, Codes: []r4.Coding{{Code: markText + ","}}}))
	},
	"lis.Microbiology": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Microbiology(ctx, lis.ReportQuery{Patient: d.id}))
	},
	"lis.Report": func(ctx context.Context, d *markedDesk) error { return failure(d.lab.Report(ctx, markReport, d.id)) },
	"lis.ReportVersions": func(ctx context.Context, d *markedDesk) error {
		return drainAll(d.lab.ReportVersions(ctx, d.report, lis.NewestFirst))
	},
	"lis.Complete": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Complete(ctx, hospital.Found[*r4.DiagnosticReport]{Resource: d.report.Resource.Report, Origin: d.report.Origin}))
	},
	"lis.Results": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Results(ctx, lis.ResultQuery{Patient: d.id, Codes: []r4.Coding{markCode}}))
	},
	"lis.ResultVersions": func(ctx context.Context, d *markedDesk) error {
		return drainAll(d.lab.ResultVersions(ctx, markedResult(d), lis.NewestFirst))
	},
	"lis.Recognised": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Recognised(ctx, lis.ResultQuery{Patient: markHome}, hospital.AcrossCampuses()))
	},
	"lis.Trend": func(ctx context.Context, d *markedDesk) error {
		return drain(d.lab.Trend(ctx, lis.TrendQuery{Patient: d.id, Code: markCode}))
	},
	"lis.Last": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.Last(ctx, d.id, []r4.Coding{markCode}, 3))
	},
	"lis.Value.In": func(_ context.Context, d *markedDesk) error { return markedResult(d).Resource.Value().In(markText) },
	"lis.ReportChanges": func(ctx context.Context, d *markedDesk) error {
		return drainAll(d.lab.ReportChanges(ctx, lis.FeedQuery{Since: time.Now().Add(-time.Hour)}))
	},
	"lis.ResultChanges": func(ctx context.Context, d *markedDesk) error {
		return drainAll(d.lab.ResultChanges(ctx, lis.FeedQuery{Since: time.Now().Add(-time.Hour)}))
	},
	"lis.ResultChanges, no position": func(ctx context.Context, d *markedDesk) error {
		return drainAll(d.lab.ResultChanges(ctx, lis.FeedQuery{From: markNumber, Since: time.Now().Add(-time.Hour)}))
	},
	"lis.NotifyCritical": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.NotifyCritical(ctx, lis.CriticalRequest{
			Number: markCritical + "2", Patient: d.id, Finding: lis.ResultFinding(markedResult(d)), Value: markValue, Ward: markWard,
			Encounter: r4.Identifier{System: markIssuer, Value: markNumber}, Deadline: time.Now().Add(time.Minute), By: "L1",
		}))
	},
	"lis.NotifyCritical, another value": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.NotifyCritical(ctx, lis.CriticalRequest{
			Number: markCritical, Patient: d.id, Finding: lis.ReportFinding(d.report), Value: markText, Ward: markWard,
			Deadline: time.Now().Add(time.Minute), By: "L1",
		}))
	},
	"lis.ReceiveCritical": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: markCritical, By: "N1", Text: markValue}))
	},
	"lis.ReceiveCritical, misread": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: markCritical, By: "N1", Text: markText}))
	},
	"lis.SeeCritical and HandleCritical": func(ctx context.Context, d *markedDesk) error {
		if _, err := d.lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: markCritical, By: "N1", Text: markValue}); err != nil {
			return err
		}
		if _, err := d.lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText}); err != nil {
			return err
		}
		return failure(d.lab.HandleCritical(ctx, lis.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText}))
	},
	"lis.SeeCritical, not its turn": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText}))
	},
	"lis.HandleCritical, not its turn": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.HandleCritical(ctx, lis.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText}))
	},
	"lis.CriticalOf":    func(ctx context.Context, d *markedDesk) error { return failure(d.lab.CriticalOf(ctx, markCritical)) },
	"lis.OpenCriticals": func(ctx context.Context, d *markedDesk) error { return failure(d.lab.OpenCriticals(ctx, markWard)) },
	"lis.OverdueCriticals": func(ctx context.Context, d *markedDesk) error {
		return failure(d.lab.OverdueCriticals(ctx, r4.Identifier{}))
	},
	"lis.SweepCriticals": func(ctx context.Context, d *markedDesk) error {
		for _, err := range d.lab.SweepCriticals(ctx, markWard, 0) {
			return err
		}
		return nil
	},
}

func markedResult(d *markedDesk) hospital.Found[lis.Result] {
	return hospital.Found[lis.Result]{Resource: d.report.Resource.Results[0], Origin: d.report.Origin}
}

var markedImageReports = map[string]func(ctx context.Context, d *markedDesk) error{
	"pacs.Reports": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Reports(ctx, pacs.ReportQuery{Patient: d.id}))
	},
	"pacs.Reports, on an order": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Reports(ctx, pacs.ReportQuery{Patient: d.id, Accession: markAccession}))
	},
	"pacs.Reports, across": func(ctx context.Context, d *markedDesk) error {
		return drain(d.images.Reports(ctx, pacs.ReportQuery{Patient: markHome}, hospital.AcrossOrganizations(hospital.Treatment)))
	},
	"pacs.Report": func(ctx context.Context, d *markedDesk) error { return failure(d.images.Report(ctx, markReport, d.id)) },
	"pacs.Report, number with a separator": func(ctx context.Context, d *markedDesk) error {
		return failure(d.images.Report(ctx, markReport+"|", d.id))
	},
	"pacs.ReportVersions": func(ctx context.Context, d *markedDesk) error {
		return drainAll(d.images.ReportVersions(ctx, d.image, pacs.OldestFirst))
	},
	"pacs.NotifyCritical": func(ctx context.Context, d *markedDesk) error {
		return failure(d.images.NotifyCritical(ctx, pacs.CriticalRequest{
			Number: markCritical + "2", Patient: d.id, Finding: pacs.ReportFinding(d.image), Value: markText, Ward: markWard,
			Deadline: time.Now().Add(time.Minute), By: "R1",
		}))
	},
	"pacs.ReceiveCritical": func(ctx context.Context, d *markedDesk) error {
		return failure(d.images.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: markCritical, By: "N1", Text: markText}))
	},
	"pacs.ReceiveCritical, misread": func(ctx context.Context, d *markedDesk) error {
		return failure(d.images.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: markCritical, By: "N1", Text: markName}))
	},
	"pacs.SeeCritical and HandleCritical": func(ctx context.Context, d *markedDesk) error {
		if _, err := d.images.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: markCritical, By: "N1", Text: markText}); err != nil {
			return err
		}
		if _, err := d.images.SeeCritical(ctx, pacs.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText}); err != nil {
			return err
		}
		return failure(d.images.HandleCritical(ctx, pacs.CriticalAcknowledgement{Number: markCritical, By: "D1", Text: markText}))
	},
	"pacs.CriticalOf":    func(ctx context.Context, d *markedDesk) error { return failure(d.images.CriticalOf(ctx, markCritical)) },
	"pacs.OpenCriticals": func(ctx context.Context, d *markedDesk) error { return failure(d.images.OpenCriticals(ctx, markWard)) },
	"pacs.OverdueCriticals": func(ctx context.Context, d *markedDesk) error {
		return failure(d.images.OverdueCriticals(ctx, markWard))
	},
	"pacs.SweepCriticals": func(ctx context.Context, d *markedDesk) error {
		for _, err := range d.images.SweepCriticals(ctx, markWard, 0) {
			return err
		}
		return nil
	},
}
