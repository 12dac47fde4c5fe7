package pacs_test

import (
	"bytes"
	"context"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/pacs"
)

// risBench is the imaging verbs over a RIS with the demo's reports.
type risBench struct {
	t      *testing.T
	hosp   *fakes.Hospital
	client *hospital.Client
	*pacs.Client
	patient, other campus.PatientID // both of hankou; their reports are IMG1, IMG5 and IMG4
}

func inRIS(t *testing.T, test func(t *testing.T, b *risBench), opts ...fakes.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newRIS(t, fakes.NewHospital(t, opts...))) })
}

func newRIS(t *testing.T, hosp *fakes.Hospital, opts ...pacs.Option) *risBench {
	t.Helper()
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	opts = append(opts, pacs.WithSystems(pacs.Systems{Accession: fakes.IssuerHankou + ".ris"}))
	patients := hosp.Demo().Patients
	return &risBench{t: t, hosp: hosp, client: client, Client: pacs.New(client, opts...), patient: patients[0], other: patients[3]}
}

// risPut changes a resource as the department's own program does.
func risPut[T r4.Resource](b *risBench, id string, change func(T)) {
	b.t.Helper()
	f := b.client.FHIR(campus.RIS)
	res, _, err := fhir.Read[T](b.t.Context(), f, id)
	require.NoError(b.t, err)
	change(res)
	_, _, err = fhir.Update(b.t.Context(), f, res)
	require.NoError(b.t, err)
}

// risPatient is the patient in the RIS's store.
func (b *risBench) risPatient(id campus.PatientID) *r4.Reference {
	b.t.Helper()
	q := fhir.For(fhir.Identifier[*r4.Patient](id.Issuer, id.Value))
	for page, err := range fhir.Search(b.t.Context(), b.client.FHIR(campus.RIS), q) {
		require.NoError(b.t, err)
		return r4.RefTo("Patient", page.Matches[0].ResourceID())
	}
	return nil
}

// risUntil is what came, and the error that ended it.
func risUntil[T any](seq iter.Seq2[T, error]) (out []T, err error) {
	for item, err := range seq {
		if err != nil {
			return out, err
		}
		out = append(out, item)
	}
	return out, nil
}

func (b *risBench) listed(opts ...hospital.ReadOption) ([]hospital.Found[*pacs.Report], error) {
	return risUntil(b.Reports(b.t.Context(), pacs.ReportQuery{Patient: b.patient}, opts...))
}

func TestImagingReportsComeWhole(t *testing.T) {
	t.Parallel()
	inRIS(t, func(t *testing.T, b *risBench) {
		result, _, err := fhir.Create(t.Context(), b.client.FHIR(campus.RIS), &r4.Observation{
			Status: "final", Code: r4.Text("结节长径"), Subject: b.risPatient(b.patient), ValueQuantity: r4.UCUMQuantity("8.0", "mm"),
		})
		require.NoError(t, err)
		risPut(b, "report-exam1", func(r *r4.DiagnosticReport) {
			r.PresentedForm = []r4.Attachment{{ContentType: "application/pdf", Data: "JVBERi0="}}
			r.Result = []r4.Reference{*r4.RefTo("Observation", result.ID)}
		})
		list, err := b.listed()
		require.NoError(t, err)
		require.Len(t, list, 2)
		first, studies := list[0].Resource, b.hosp.Demo().Studies
		assert.True(t, first.Final())
		assert.Equal(t, "左侧气胸，肺压缩约60%", first.Report.Conclusion)
		assert.Equal(t, "JVBERi0=", first.Report.PresentedForm[0].Data)
		assert.Equal(t, "8.0 mm", first.Results[0].Value().Text)
		assert.Equal(t, []string{studies[0].UID}, first.Studies)
		assert.Equal(t, []string{studies[4].UID}, list[1].Resource.Studies)
		n := 0
		for _, err := range b.Instances(t.Context(), first.Studies[0], "") {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 6, n, "the archive knows the study")

		one, err := b.Report(t.Context(), "IMG1", b.patient)
		require.NoError(t, err)
		assert.Equal(t, first.Studies, one.Resource.Studies)
		_, err = b.Report(t.Context(), "IMG1", b.other)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		_, err = b.Report(t.Context(), "IMG0", b.patient)
		require.ErrorIs(t, err, hospital.ErrNotFound)
	})
}

func TestImagingReportsByTimeOrderAndSection(t *testing.T) {
	t.Parallel()
	inRIS(t, func(t *testing.T, b *risBench) {
		day := b.hosp.Demo().Start
		for name, c := range map[string]struct {
			q    pacs.ReportQuery
			want int
			err  error
		}{
			"this month":            {pacs.ReportQuery{From: day.AddDate(0, 0, -30)}, 1, nil},
			"before":                {pacs.ReportQuery{To: day.AddDate(0, 0, -30)}, 1, nil},
			"order":                 {pacs.ReportQuery{Accession: "RIS0003"}, 1, nil},
			"order, another time":   {pacs.ReportQuery{Accession: "RIS0003", From: day.AddDate(0, 0, -30)}, 0, nil},
			"no such order":         {pacs.ReportQuery{Accession: "RIS0009"}, 0, hospital.ErrNotFound},
			"somebody else's order": {pacs.ReportQuery{Accession: "RIS0002"}, 0, hospital.ErrWrongPatient},
			"no accession number":   {pacs.ReportQuery{Accession: "RIS|1"}, 0, hospital.ErrInvalidArgument},
			"another section":       {pacs.ReportQuery{Section: r4.Coding{System: pacs.SectionSystem, Code: "NMR"}}, 0, nil},
			"another code":          {pacs.ReportQuery{Codes: []r4.Coding{{System: "urn:c", Code: "1"}}}, 0, nil},
			"no time":               {pacs.ReportQuery{From: day, To: day}, 0, hospital.ErrInvalidArgument},
			"no time, of an order":  {pacs.ReportQuery{From: day, To: day, Accession: "RIS0003"}, 0, hospital.ErrInvalidArgument},
		} {
			c.q.Patient = b.patient
			list, err := risUntil(b.Reports(t.Context(), c.q))
			require.ErrorIs(t, err, c.err, name)
			assert.Len(t, list, c.want, name)
		}
		_, err := risUntil(b.Reports(t.Context(), pacs.ReportQuery{Patient: b.patient, Accession: "RIS0003"}, hospital.AcrossCampuses()))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}

// A server that ignores which order was asked for is found out.
func TestReportsOnAnotherOrder(t *testing.T) {
	t.Parallel()
	inRIS(t, func(t *testing.T, b *risBench) {
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.RIS, Type: "DiagnosticReport"}, Do: fakes.Action{Rewrite: func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte("ServiceRequest/exam5"), []byte("ServiceRequest/exam1"))
		}}})
		_, err := risUntil(b.Reports(t.Context(), pacs.ReportQuery{Patient: b.patient, Accession: "RIS0003"}))
		require.ErrorIs(t, err, hospital.ErrFilterIgnored)
	})
}

func TestAnImagingReportIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	study := func(change func(b *risBench, s *r4.ImagingStudy)) func(b *risBench) {
		return func(b *risBench) { risPut(b, "study-exam1", func(s *r4.ImagingStudy) { change(b, s) }) }
	}
	report := func(change func(b *risBench, r *r4.DiagnosticReport)) func(b *risBench) {
		return func(b *risBench) {
			risPut(b, "report-exam1", func(r *r4.DiagnosticReport) { change(b, r) })
		}
	}
	uid := func(values ...string) func(b *risBench) {
		return study(func(_ *risBench, s *r4.ImagingStudy) {
			s.Identifier = nil
			for _, v := range values {
				s.Identifier = append(s.Identifier, r4.Identifier{System: "urn:dicom:uid", Value: v})
			}
		})
	}
	for name, c := range map[string]struct {
		spoil func(b *risBench)
		want  hospital.Code
	}{
		"study of another":     {study(func(b *risBench, s *r4.ImagingStudy) { s.Subject = b.risPatient(b.other) }), hospital.ErrWrongPatient},
		"study of nobody":      {study(func(_ *risBench, s *r4.ImagingStudy) { s.Subject = nil }), hospital.ErrWrongPatient},
		"study without UID":    {uid(), hospital.ErrUnexpectedAnswer},
		"study of two UIDs":    {uid("urn:oid:1.2.3", "urn:oid:1.2.4"), hospital.ErrUnexpectedAnswer},
		"UID that is none":     {uid("urn:oid:1.2/../3"), hospital.ErrUnexpectedAnswer},
		"UID without urn:oid:": {uid("1.2.3"), hospital.ErrUnexpectedAnswer},
		"study missing": {report(func(_ *risBench, r *r4.DiagnosticReport) {
			r.ImagingStudy = append(r.ImagingStudy, *r4.RefTo("ImagingStudy", "none"))
		}), hospital.ErrUnexpectedAnswer},
		"study elsewhere": {report(func(_ *risBench, r *r4.DiagnosticReport) {
			r.ImagingStudy[0].Reference = "https://elsewhere.test/fhir/ImagingStudy/study-exam1"
		}), hospital.ErrUnexpectedAnswer},
		"study by number only": {report(func(_ *risBench, r *r4.DiagnosticReport) {
			r.ImagingStudy[0] = r4.Reference{Identifier: &r4.Identifier{System: "urn:dicom:uid", Value: "urn:oid:1.2.3"}}
		}), hospital.ErrUnexpectedAnswer},
		"study that is none": {report(func(_ *risBench, r *r4.DiagnosticReport) {
			r.ImagingStudy[0] = *r4.RefTo("ServiceRequest", "exam1")
		}), hospital.ErrUnexpectedAnswer},
		"contained study missing": {report(func(_ *risBench, r *r4.DiagnosticReport) {
			r.ImagingStudy[0].Reference = "#s"
		}), hospital.ErrUnexpectedAnswer},
		"contained study of another": {report(func(b *risBench, r *r4.DiagnosticReport) {
			r.Contained = []r4.Resource{&r4.ImagingStudy{ID: "s", Status: "available", Subject: b.risPatient(b.other)}}
			r.ImagingStudy[0].Reference = "#s"
		}), hospital.ErrWrongPatient},
		"result missing": {report(func(_ *risBench, r *r4.DiagnosticReport) {
			r.Result = []r4.Reference{*r4.RefTo("Observation", "none")}
		}), hospital.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inRIS(t, func(t *testing.T, b *risBench) {
				c.spoil(b)
				_, err := b.listed()
				require.ErrorIs(t, err, c.want)
				_, err = b.Report(t.Context(), "IMG1", b.patient)
				require.ErrorIs(t, err, c.want)
			})
		})
	}
}

func TestStudiesThatAreContainedOrInError(t *testing.T) {
	t.Parallel()
	inRIS(t, func(t *testing.T, b *risBench) {
		risPut(b, "report-exam1", func(r *r4.DiagnosticReport) {
			r.Contained = []r4.Resource{&r4.ImagingStudy{ID: "s", Status: "available", Identifier: []r4.Identifier{{System: "urn:dicom:uid", Value: "urn:oid:2.25.7"}}}}
			r.ImagingStudy = append(r.ImagingStudy, r4.Reference{Reference: "#s"})
		})
		list, err := b.listed()
		require.NoError(t, err)
		assert.Equal(t, []string{b.hosp.Demo().Studies[0].UID, "2.25.7"}, list[0].Resource.Studies)
		risPut(b, "study-exam1", func(s *r4.ImagingStudy) { s.Status = r4.ImagingStudyStatusEnteredInError })
		list, err = b.listed()
		require.NoError(t, err)
		assert.Equal(t, []string{"2.25.7"}, list[0].Resource.Studies)

		// A copy that lags does not bring them back.
		older := func(body []byte) []byte {
			body = bytes.ReplaceAll(body, []byte(`"versionId":"2"`), []byte(`"versionId":"1"`))
			return bytes.ReplaceAll(body, []byte("entered-in-error"), []byte("available"))
		}
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.RIS, Interaction: "search-type", Type: "ImagingStudy"}, Do: fakes.Action{Rewrite: older}})
		list, err = b.listed()
		require.NoError(t, err)
		assert.Equal(t, []string{"2.25.7"}, list[0].Resource.Studies)
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.RIS, Interaction: "read", Type: "ImagingStudy"}, Do: fakes.Action{Rewrite: older}})
		_, err = b.listed()
		require.ErrorIs(t, err, hospital.ErrStale)
	})
}

func TestImagingReportsThatWereWithdrawn(t *testing.T) {
	t.Parallel()
	inRIS(t, func(t *testing.T, b *risBench) {
		found, err := b.Report(t.Context(), "IMG1", b.patient)
		require.NoError(t, err)
		risPut(b, "report-exam1", func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
		list, err := b.listed()
		require.NoError(t, err)
		require.Len(t, list, 2)
		gone := list[0].Resource
		assert.True(t, gone.Withdrawn)
		assert.Empty(t, gone.Studies)
		assert.Empty(t, gone.Report.Conclusion)
		list, err = newRIS(t, b.hosp).listed()
		require.NoError(t, err)
		assert.Len(t, list, 1, "who has never shown it does not now")

		versions, err := risUntil(b.ReportVersions(t.Context(), found, pacs.OldestFirst))
		require.NoError(t, err)
		require.Len(t, versions, 2)
		assert.Equal(t, "左侧气胸，肺压缩约60%", versions[0].Resource.Conclusion)
		assert.True(t, versions[1].Withdrawn && versions[1].Current)
		assert.Empty(t, versions[1].Resource.Conclusion)
	})
}

func TestImagingReportsAcrossCampuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithOwnStores(campus.RIS))
		people := hosp.Demo().Patients
		images := newRIS(t, hosp)
		list, err := images.listed(hospital.AcrossCampuses())
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial)
		assert.Equal(t, []campus.ID{"guanggu"}, partial.NotAsked)
		assert.Len(t, list, 2)

		cfg := hosp.Config()
		cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) { return people[:2], nil }
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		all, err := risUntil(pacs.New(client).Reports(t.Context(), pacs.ReportQuery{Patient: people[0]}, hospital.AcrossCampuses()))
		require.NoError(t, err)
		from := map[campus.ID]int{}
		for _, r := range all {
			from[r.Origin.Campus]++
			assert.Len(t, r.Resource.Studies, 1)
		}
		assert.Equal(t, map[campus.ID]int{"hankou": 2, "guanggu": 1}, from)
	})
}

func TestMarkedImagingReport(t *testing.T) {
	t.Parallel()
	inRIS(t, func(t *testing.T, b *risBench) {
		b = newRIS(t, b.hosp, pacs.WithMarks(pacs.Marks{Extension: "urn:hr"}))
		risPut(b, "report-exam1", func(r *r4.DiagnosticReport) { r.Extension = []r4.Extension{{URL: "urn:hr"}} })
		list, err := b.listed()
		require.NoError(t, err)
		assert.True(t, list[0].Resource.Recognised)
		assert.False(t, list[1].Resource.Recognised)
	})
}
