package lis_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// Two laboratories that count alike, and one that corrected what the other only copied:
// a report is left out only where the other campus has the very same.
func TestReportsOfOneNumberAtTwoCampuses(t *testing.T) {
	t.Parallel()
	g := newTwoLabs(t)
	put := func(at campus.ID, number, status, conclusion string) {
		f, subject := g.at(at)
		_, _, err := fhir.Create(t.Context(), f, &r4.DiagnosticReport{
			Identifier: []r4.Identifier{{System: lis.DefaultReportSystem, Value: number}}, Status: status,
			Category: []r4.CodeableConcept{*r4.Concept(lis.SectionSystem, lis.Laboratory)},
			Code:     &r4.CodeableConcept{Text: "two campuses"}, Subject: subject,
			EffectiveDateTime: "2026-03-01T08:00:00+08:00", Issued: "2026-03-01T09:00:00+08:00", Conclusion: conclusion,
		})
		require.NoError(t, err)
	}
	put("hankou", "R1", "final", "a copy")
	put("guanggu", "R1", "final", "a copy")
	put("hankou", "R2", "final", "of one laboratory")
	put("guanggu", "R2", "final", "of another, which counts alike")
	put("hankou", "R3", "final", "as it was")
	put("guanggu", "R3", "corrected", "as it was")

	got := map[string]int{}
	for report, err := range g.Reports(t.Context(), lis.ReportQuery{Patient: g.here}, hospital.AcrossCampuses()) {
		require.NoError(t, err)
		if r := report.Resource.Report; r.Code.Text == "two campuses" {
			got[r.Identifier[0].Value]++
		}
	}
	assert.Equal(t, map[string]int{"R1": 1, "R2": 2, "R3": 2}, got)
}

// twoLabs is a group with a laboratory per campus, both of which know one patient.
type twoLabs struct {
	*lis.Client
	t           *testing.T
	client      *hospital.Client
	here, there campus.PatientID
}

func newTwoLabs(t *testing.T) *twoLabs {
	t.Helper()
	hosp := fakes.NewHospital(t, fakes.WithOwnStores(campus.LIS))
	g := &twoLabs{t: t, here: hosp.Demo().Patients[0], there: hosp.Demo().Patients[1]}
	cfg := hosp.Config()
	cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) {
		return []campus.PatientID{g.there}, nil
	}
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	g.client, g.Client = client, lis.New(client)
	return g
}

// at is a campus's laboratory and the patient's record there.
func (g *twoLabs) at(id campus.ID) (f *fhir.Client, subject *r4.Reference) {
	g.t.Helper()
	f = g.client.FHIR(campus.LIS, hospital.AtCampus(id))
	patient := map[campus.ID]campus.PatientID{"hankou": g.here, "guanggu": g.there}[id]
	for p, err := range fhir.Matches[*r4.Patient](fhir.Search(g.t.Context(), f, fhir.For(fhir.Identifier[*r4.Patient](patient.Issuer, patient.Value)))) {
		require.NoError(g.t, err)
		subject = r4.RefTo("Patient", p.ID)
	}
	return f, subject
}

// Two campuses have one number and time, and another result: both are shown.
func TestOneNumberWithOtherResults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTwoLabs(t)
		write := func(at campus.ID, mic r4.Decimal, flag string) {
			f, subject := g.at(at)
			o, _, err := fhir.Create(t.Context(), f, &r4.Observation{
				Identifier: []r4.Identifier{{System: "urn:group:results", Value: "7"}}, Status: "final", Code: r4.Text("two campuses"), Subject: subject,
				EffectiveDateTime: "2026-03-01", Category: []r4.CodeableConcept{*r4.Concept(lis.CategorySystem, lis.LaboratoryCategory)},
				Component: []r4.ObservationComponent{{Code: r4.Text("MIC"), ValueQuantity: r4.UCUMQuantity(mic, "mg/L"), Interpretation: []r4.CodeableConcept{*r4.Text(flag)}}},
			})
			require.NoError(t, err)
			_, _, err = fhir.Create(t.Context(), f, &r4.DiagnosticReport{
				Identifier: []r4.Identifier{{System: lis.DefaultReportSystem, Value: "7"}}, Status: "final", Code: r4.Text("two campuses"),
				Category: []r4.CodeableConcept{*r4.Concept(lis.SectionSystem, lis.Laboratory)}, Subject: subject,
				EffectiveDateTime: "2026-03-01", Result: []r4.Reference{*r4.RefTo("Observation", o.ID)},
			})
			require.NoError(t, err)
		}
		write("hankou", "0.5", "S")
		write("guanggu", "16", "R")
		lab, results, reports := g.Client, 0, 0
		for r, err := range lab.Results(t.Context(), lis.ResultQuery{Patient: g.here}, hospital.AcrossCampuses()) {
			require.NoError(t, err)
			if r.Resource.Observation.Code.Text == "two campuses" {
				results++
			}
		}
		for r, err := range lab.Reports(t.Context(), lis.ReportQuery{Patient: g.here}, hospital.AcrossCampuses()) {
			require.NoError(t, err)
			if r.Resource.Report.Code.Text == "two campuses" {
				reports++
			}
		}
		assert.Equal(t, 2, results, "susceptible here, resistant there")
		assert.Equal(t, 2, reports)
	})
}

// Two laboratories that count alike and report by PDF.
func TestPDFsOfOneNumberAtTwoCampuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTwoLabs(t)
		write := func(at campus.ID, number string, change func(r *r4.DiagnosticReport)) {
			f, subject := g.at(at)
			r := &r4.DiagnosticReport{
				Identifier: []r4.Identifier{{System: lis.DefaultReportSystem, Value: number}}, Status: "final", Code: r4.Text("two campuses"),
				Category: []r4.CodeableConcept{*r4.Concept(lis.SectionSystem, lis.Laboratory)}, Subject: subject,
				EffectiveDateTime: "2026-03-01",
			}
			change(r)
			_, _, err := fhir.Create(t.Context(), f, r)
			require.NoError(t, err)
		}
		pdf := func(data string) func(r *r4.DiagnosticReport) {
			return func(r *r4.DiagnosticReport) {
				r.PresentedForm = []r4.Attachment{{ContentType: "application/pdf", Data: data}}
			}
		}
		coded := func(code string) func(r *r4.DiagnosticReport) {
			return func(r *r4.DiagnosticReport) {
				r.ConclusionCode = []r4.CodeableConcept{*r4.Concept("http://snomed.info/sct", code)}
			}
		}
		write("hankou", "7", pdf("bmVnYXRpdmU="))
		write("guanggu", "7", pdf("cG9zaXRpdmU="))
		write("hankou", "8", coded("260385009"))
		write("guanggu", "8", coded("10828004"))
		write("hankou", "9", pdf("c2FtZQ=="))
		write("guanggu", "9", pdf("c2FtZQ=="))
		got := map[string]int{}
		for r, err := range g.Client.Reports(t.Context(), lis.ReportQuery{Patient: g.here}, hospital.AcrossCampuses()) {
			require.NoError(t, err)
			if r.Resource.Report.Code.Text == "two campuses" {
				got[r.Resource.Report.Identifier[0].Value]++
			}
		}
		assert.Equal(t, map[string]int{"7": 2, "8": 2, "9": 1}, got, "negative here, positive there")
	})
}

// Two laboratories that count alike, and say of an order only the day.
func TestOrdersOfOneNumberAtTwoCampuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTwoLabs(t)
		write := func(at campus.ID, code string) {
			f, subject := g.at(at)
			_, _, err := fhir.Create(t.Context(), f, &r4.ServiceRequest{
				Requisition: &r4.Identifier{System: lis.DefaultRequisitionSystem, Value: "1001"}, Status: "active", Intent: "order",
				Category: []r4.CodeableConcept{*r4.Concept(lis.OrderCategorySystem, lis.OrderCategory)},
				Code:     r4.Concept(loinc, code), Subject: subject, AuthoredOn: "2026-03-01",
			})
			require.NoError(t, err)
		}
		write("hankou", "2823-3")
		write("guanggu", "2951-2")
		n := 0
		for o, err := range g.Client.Orders(t.Context(), lis.OrderQuery{Patient: g.here}, hospital.AcrossCampuses()) {
			require.NoError(t, err)
			if o.Resource.Number == "1001" {
				n++
			}
		}
		assert.Equal(t, 2, n, "potassium here, sodium there")
	})
}

// One campus's store gets another epoch (a restore, a promotion) between two of its pages:
// that campus is named at the end, and what the others have comes all the same.
func TestAcrossWhileOneCampusHasANewEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithOwnStores(campus.LIS), fakes.WithPersonality(fakes.Personality{PageSize: 2}))
		source, cfg, demo := &restores{}, hosp.Config(), hosp.Demo()
		source.set(cfg.Topology)
		cfg.Source, cfg.SourceEvery, cfg.DisableHedging = source, time.Second, true
		cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) { return demo.Patients[1:2], nil }
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		for dc, delay := range map[campus.DataCenterID]time.Duration{"dc-a": 2 * time.Second, "dc-b": 500 * time.Millisecond} { // hankou's, guanggu's
			hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, DataCenter: dc}, Do: fakes.Action{Delay: delay}})
		}
		time.AfterFunc(750*time.Millisecond, func() {
			d := hosp.Description()
			i := slices.IndexFunc(d.Stores, func(s campus.Store) bool { return s.ID == "lis-guanggu" })
			d.Stores[i].Epoch++
			d.Version++
			source.set(d)
		})
		results, err := until(lis.New(client).Results(t.Context(), lis.ResultQuery{Patient: demo.Patients[0]}, hospital.AcrossCampuses()))
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial)
		assert.Contains(t, partial.Failed, campus.ID("guanggu"))
		assert.True(t, slices.ContainsFunc(results, func(r hospital.Found[lis.Result]) bool { return r.Origin.Campus == "hankou" }))
	})
}

// A result that two campuses have and only one has marked is recognised, whichever
// answers first.
func TestRecognisedAtOneOfTwoCampuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTwoLabs(t)
		write := func(at campus.ID, number string, marked bool) {
			f, subject := g.at(at)
			o := &r4.Observation{
				Identifier: []r4.Identifier{{System: "urn:group:results", Value: number}}, Status: "final", Code: r4.Text("two campuses"), Subject: subject,
				EffectiveDateTime: "2026-03-01", Category: []r4.CodeableConcept{*r4.Concept(lis.CategorySystem, lis.LaboratoryCategory)},
				ValueQuantity: r4.UCUMQuantity("4.0", "mmol/L"),
			}
			if marked {
				o.Meta = &r4.Meta{Tag: []r4.Coding{{System: lis.RecognitionSystem, Code: lis.RecognitionCode}}}
			}
			_, _, err := fhir.Create(t.Context(), f, o)
			require.NoError(t, err)
		}
		write("hankou", "7", true)
		write("guanggu", "7", false)
		write("hankou", "8", false)
		write("guanggu", "8", true)
		got := map[string]int{}
		for r, err := range g.Recognised(t.Context(), lis.ResultQuery{Patient: g.here}, hospital.AcrossCampuses()) {
			require.NoError(t, err)
			if r.Resource.Observation.Code.Text == "two campuses" {
				got[r.Resource.Observation.Identifier[0].Value]++
			}
		}
		assert.Equal(t, map[string]int{"7": 1, "8": 1}, got)
	})
}

// Two bottles of one accession, both with the same growth: two results, also when several
// campuses are asked.
func TestTwoResultsOfOneCampusAreTwo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTwoLabs(t)
		f, subject := g.at("hankou")
		for range 2 {
			tube, _, err := fhir.Create(t.Context(), f, &r4.Specimen{Status: "available", Subject: subject})
			require.NoError(t, err)
			_, _, err = fhir.Create(t.Context(), f, &r4.Observation{
				Identifier: []r4.Identifier{{System: "urn:accession", Value: "A1"}}, Status: "final", Code: r4.Text("blood culture"), Subject: subject,
				EffectiveDateTime: "2026-03-01T08:00:00+08:00", Category: []r4.CodeableConcept{*r4.Concept(lis.CategorySystem, lis.LaboratoryCategory)},
				ValueCodeableConcept: r4.Text("S. epidermidis"), Specimen: r4.RefTo("Specimen", tube.ID),
			})
			require.NoError(t, err)
		}
		for name, opts := range map[string][]hospital.ReadOption{"here": nil, "across": {hospital.AcrossCampuses()}} {
			count := 0
			for r, err := range g.Results(t.Context(), lis.ResultQuery{Patient: g.here}, opts...) {
				require.NoError(t, err)
				if r.Resource.Observation.Code.Text == "blood culture" {
					count++
				}
			}
			assert.Equal(t, 2, count, name)
		}
	})
}
