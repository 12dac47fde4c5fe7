package lis_test

import (
	"bytes"
	"context"
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

func (b *bench) reports() ([]hospital.Found[*lis.Report], error) {
	return until(b.Reports(b.t.Context(), lis.ReportQuery{Patient: b.patient}))
}

func TestReportsComeWhole(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]fakes.Personality{"one page": {}, "page by page": {PageSize: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				list, err := b.reports()
				require.NoError(t, err)
				require.Len(t, list, 3)
				first := list[0].Resource
				assert.Equal(t, "Rrep1-3", first.Report.Identifier[0].Value, "the latest first")
				assert.True(t, first.Final())
				assert.Equal(t, "final", first.Status())
				require.Len(t, first.Results, 2)
				potassium := first.Results[0]
				assert.Equal(t, lis.Value{Text: "7.10 mmol/L", Number: "7.10", Unit: "mmol/L", UCUM: "mmol/L"}, potassium.Value())
				require.Len(t, potassium.Ranges(), 1)
				assert.Equal(t, "3.5-5.3", potassium.Ranges()[0].Text)
				assert.Equal(t, "3.5 mmol/L", potassium.Ranges()[0].Low.Text)
				assert.Equal(t, "HH", potassium.Observation.Interpretation[0].Coding[0].Code)
				require.Len(t, first.Specimens, 1)
				assert.Equal(t, "DEMO1-3", first.Specimens[0].Identifier[0].Value)

				_, err = b.Report(t.Context(), "Rrep1-3", b.other)
				require.ErrorIs(t, err, hospital.ErrWrongPatient)
				_, err = b.Report(t.Context(), "R0", b.patient)
				require.ErrorIs(t, err, hospital.ErrNotFound)
				one, err := b.Report(t.Context(), "Rrep1-3", b.patient)
				require.NoError(t, err)
				assert.Equal(t, first.Report.ID, one.Resource.Report.ID)
				assert.Len(t, one.Resource.Results, 2)
			}, fakes.WithPersonality(p))
		})
	}
}

func TestReportsByTimeSectionAndCode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		day := b.hosp.Demo().Start
		for name, c := range map[string]struct {
			q    lis.ReportQuery
			want int
		}{
			"all":          {lis.ReportQuery{}, 3},
			"two days":     {lis.ReportQuery{From: day.AddDate(0, 0, -2)}, 2},
			"before":       {lis.ReportQuery{To: day.AddDate(0, 0, -2)}, 1},
			"microbiology": {lis.ReportQuery{Section: r4.Coding{System: lis.SectionSystem, Code: lis.MicrobiologySection}}, 1},
			"code":         {lis.ReportQuery{Codes: []r4.Coding{{System: loinc, Code: "0-0"}, {System: loinc, Code: "24326-1"}}}, 3},
			"other code":   {lis.ReportQuery{Codes: []r4.Coding{{System: loinc, Code: "600-7"}}}, 0},
		} {
			c.q.Patient = b.patient
			assert.Len(t, all(t, b.Reports(t.Context(), c.q)), c.want, name)
		}
		_, err := until(b.Reports(t.Context(), lis.ReportQuery{Patient: b.patient, From: day, To: day}))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		_, err = until(b.Reports(t.Context(), lis.ReportQuery{Patient: b.patient, Codes: []r4.Coding{{Code: "a,b"}}}))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}

// A report whose member is missing, another patient's or no result is an error; so is
// one whose results go in a circle.
func TestAReportIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(b *bench)
		want  hospital.Code
	}{
		"result missing": {func(b *bench) {
			put(b, "rep1-2", func(r *r4.DiagnosticReport) { r.Result = append(r.Result, *r4.RefTo("Observation", "none")) })
		}, hospital.ErrUnexpectedAnswer},
		"specimen missing": {func(b *bench) {
			put(b, "rep1-2", func(r *r4.DiagnosticReport) { r.Specimen = append(r.Specimen, *r4.RefTo("Specimen", "none")) })
		}, hospital.ErrUnexpectedAnswer},
		"result elsewhere": {func(b *bench) {
			put(b, "rep1-2", func(r *r4.DiagnosticReport) {
				r.Result[0] = r4.Reference{Reference: "https://elsewhere.test/fhir/Observation/1"}
			})
		}, hospital.ErrUnexpectedAnswer},
		"result by number only": {func(b *bench) {
			put(b, "rep1-2", func(r *r4.DiagnosticReport) {
				r.Result[0] = r4.Reference{Identifier: &r4.Identifier{System: "urn:x", Value: "1"}}
			})
		}, hospital.ErrUnexpectedAnswer},
		"result that is none": {func(b *bench) {
			put(b, "rep1-2", func(r *r4.DiagnosticReport) { r.Result[0] = *r4.RefTo("Specimen", "tube1-2") })
		}, hospital.ErrUnexpectedAnswer},
		"contained result missing": {func(b *bench) {
			put(b, "rep1-2", func(r *r4.DiagnosticReport) { r.Result[0] = r4.Reference{Reference: "#o1"} })
		}, hospital.ErrUnexpectedAnswer},
		"contained result of another": {func(b *bench) {
			put(b, "rep1-2", func(r *r4.DiagnosticReport) {
				r.Contained = []r4.Resource{&r4.Observation{ID: "o1", Status: "final", Subject: b.patientRef(b.other)}}
				r.Result[0] = r4.Reference{Reference: "#o1"}
			})
		}, hospital.ErrWrongPatient},
		"member missing": {func(b *bench) {
			put(b, "lab1-2-1", func(o *r4.Observation) { o.HasMember = []r4.Reference{*r4.RefTo("Observation", "none")} })
		}, hospital.ErrUnexpectedAnswer},
		"member of another": {func(b *bench) {
			put(b, "lab1-2-1", func(o *r4.Observation) { o.HasMember = []r4.Reference{*r4.RefTo("Observation", "lab4-2-1")} })
		}, hospital.ErrWrongPatient},
		"member of its own": {func(b *bench) {
			put(b, "lab1-2-1", func(o *r4.Observation) { o.HasMember = []r4.Reference{*r4.RefTo("Observation", "lab1-2-1")} })
		}, hospital.ErrUnexpectedAnswer},
		"members in a circle": {func(b *bench) {
			put(b, "lab1-2-1", func(o *r4.Observation) { o.HasMember = []r4.Reference{*r4.RefTo("Observation", "lab1-2-2")} })
			put(b, "lab1-2-2", func(o *r4.Observation) { o.HasMember = []r4.Reference{*r4.RefTo("Observation", "lab1-2-1")} })
		}, hospital.ErrUnexpectedAnswer},
		"members too deep": {func(b *bench) { b.chain("lab1-2-1", 9) }, hospital.ErrUnexpectedAnswer},
		"result of another": {func(b *bench) {
			put(b, "lab1-2-1", func(o *r4.Observation) { o.Subject = b.patientRef(b.other) })
		}, hospital.ErrWrongPatient},
		"result of nobody": {func(b *bench) { put(b, "lab1-2-1", func(o *r4.Observation) { o.Subject = nil }) }, hospital.ErrWrongPatient},
		"specimen of another": {func(b *bench) {
			put(b, "tube1-2", func(s *r4.Specimen) { s.Subject = b.patientRef(b.other) })
		}, hospital.ErrWrongPatient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				c.spoil(b)
				_, err := b.reports()
				require.ErrorIs(t, err, c.want)
				_, err = b.Report(t.Context(), "Rrep1-2", b.patient)
				require.ErrorIs(t, err, c.want)
			})
		})
	}
}

// chain hangs n more results below one another.
func (b *bench) chain(id string, n int) {
	b.t.Helper()
	for range n {
		below := create(b, &r4.Observation{Status: "final", Subject: b.patientRef(b.patient), Code: r4.Text("x")})
		put(b, id, func(o *r4.Observation) { o.HasMember = []r4.Reference{*r4.RefTo("Observation", below.ID)} })
		id = below.ID
	}
}

// What did not come along is fetched, however deep; what is contained is found.
func TestMembersOfMembers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.chain("lab1-3-1", 6)
		put(b, "lab1-3-2", func(o *r4.Observation) {
			o.Contained = []r4.Resource{
				&r4.Observation{ID: "a", Status: "final", Code: r4.Text("a"), HasMember: []r4.Reference{{Reference: "#b"}, *r4.RefTo("Observation", "lab1-1-1")}},
				&r4.Observation{ID: "b", Status: "final", Code: r4.Text("b"), ValueString: "阴性"},
			}
			o.HasMember = []r4.Reference{{Reference: "#a"}}
		})
		list, err := b.reports()
		require.NoError(t, err)
		depth := 0
		for at := list[0].Resource.Results[0].Members; len(at) > 0; at = at[0].Members {
			depth++
		}
		assert.Equal(t, 6, depth)
		inner := list[0].Resource.Results[1].Members[0].Members
		require.Len(t, inner, 2)
		assert.Equal(t, "阴性", inner[0].Value().Text)
		assert.Equal(t, "lab1-1-1", inner[1].Observation.ID)
	})
}

// One result in many panels that are in many panels is a small answer and a huge tree.
func TestATreeIsBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		below := "lab1-3-1"
		for range 5 {
			o := &r4.Observation{Status: "final", Subject: b.patientRef(b.patient), Code: r4.Text("x")}
			for range 12 {
				o.HasMember = append(o.HasMember, *r4.RefTo("Observation", below))
			}
			below = create(b, o).ID
		}
		put(b, "rep1-3", func(r *r4.DiagnosticReport) { r.Result[0] = *r4.RefTo("Observation", below) })
		_, err := b.reports()
		require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
	})
}

func TestEnteredInErrorIsNotShown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		put(b, "rep1-1", func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
		list, err := b.reports()
		require.NoError(t, err)
		require.Len(t, list, 2, "it was never shown")
		put(b, "rep1-2", func(r *r4.DiagnosticReport) {
			r.Status, r.Conclusion = r4.DiagnosticReportStatusEnteredInError, "错误"
		})
		put(b, "lab1-3-1", func(o *r4.Observation) { o.Status = r4.ObservationStatusEnteredInError })

		list, err = b.reports()
		require.NoError(t, err)
		require.Len(t, list, 2)
		gone := list[1].Resource
		assert.True(t, gone.Withdrawn)
		assert.Empty(t, gone.Results)
		assert.Empty(t, gone.Report.Conclusion)
		assert.Equal(t, "Rrep1-2", gone.Report.Identifier[0].Value)
		assert.False(t, gone.Final())
		stays := list[0].Resource
		require.Len(t, stays.Results, 2, "never a shorter report")
		assert.True(t, stays.Results[0].Withdrawn)
		assert.Empty(t, stays.Results[0].Value().Text)

		one, err := newBench(t, b.hosp).Report(t.Context(), "Rrep1-1", b.patient)
		require.NoError(t, err)
		assert.True(t, one.Resource.Withdrawn)
		put(b, "rep1-3", func(r *r4.DiagnosticReport) { r.Identifier[0].Value = "Rrep1-1" }) // issued anew
		one, err = b.Report(t.Context(), "Rrep1-1", b.patient)
		require.NoError(t, err)
		assert.Equal(t, "rep1-3", one.Resource.Report.ID)
		assert.Len(t, all(t, newBench(t, b.hosp).Results(t.Context(), lis.ResultQuery{Patient: b.patient, Codes: []r4.Coding{{System: loinc, Code: "2823-3"}}})), 2)
		shown := all(t, b.Results(t.Context(), lis.ResultQuery{Patient: b.patient, Codes: []r4.Coding{{System: loinc, Code: "2823-3"}}}))
		require.Len(t, shown, 3)
		assert.True(t, shown[0].Resource.Withdrawn)
	})
}

// A copy that lags, or a cache, answers with an older version than was shown: it is
// asked for again where writes go, and never shown.
func TestNeverAnOlderVersion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ id, typ string }{"report": {"rep1-3", "DiagnosticReport"}, "result": {"lab1-3-1", "Observation"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				older := func(body []byte) []byte {
					return bytes.ReplaceAll(body, []byte(`"versionId":"2"`), []byte(`"versionId":"1"`))
				}
				if c.typ == "Observation" {
					put(b, c.id, func(o *r4.Observation) { o.ValueQuantity.Value = "5.1" })
				} else {
					put(b, c.id, func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusCorrected })
				}
				_, err := b.reports()
				require.NoError(t, err)
				b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type"}, Do: fakes.Action{Rewrite: older}})
				list, err := b.reports()
				require.NoError(t, err)
				assert.Equal(t, "2", map[string]*r4.Meta{"Observation": list[0].Resource.Results[0].Observation.Meta, "DiagnosticReport": list[0].Resource.Report.Meta}[c.typ].VersionId)
				b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "read", Type: c.typ}, Do: fakes.Action{Rewrite: older}})
				_, err = b.reports()
				require.ErrorIs(t, err, hospital.ErrStale)
				list, err = newBench(t, b.hosp).reports()
				require.NoError(t, err, "another process has seen nothing")
				assert.Len(t, list, 3)
			})
		})
	}
}

// What is asked for once more is asked by the same person, for the same patient.
func TestAnOlderVersionIsAskedForByTheActor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, plain *bench) {
		var records []hospital.AuditRecord
		cfg := plain.hosp.Config()
		cfg.AuditRequired = []campus.SystemID{campus.LIS}
		cfg.Audit = func(_ context.Context, r hospital.AuditRecord) error {
			records = append(records, r)
			return nil
		}
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		put(plain, "rep1-3", func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusCorrected })
		lab, actor := lis.New(client), hospital.Actor{ID: "D1", Organization: "group", Purpose: hospital.Treatment}
		for range 2 {
			list, err := until(lab.Reports(t.Context(), lis.ReportQuery{Patient: plain.patient}, hospital.As(actor)))
			require.NoError(t, err)
			assert.Equal(t, "corrected", list[0].Resource.Status())
			plain.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type"}, Do: fakes.Action{Rewrite: func(body []byte) []byte {
				return bytes.ReplaceAll(body, []byte(`"versionId":"2"`), []byte(`"versionId":"1"`))
			}}})
		}
		again := 0
		for _, r := range records {
			assert.Equal(t, actor, r.Actor)
			if r.Op == "fhir" {
				again++
				assert.Equal(t, []campus.PatientID{plain.patient}, r.Patients)
			}
		}
		assert.Equal(t, 2, again, "one read, recorded before and after")
	})
}

func TestVersionsOfAReport(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		put(b, "rep1-3", func(r *r4.DiagnosticReport) {
			r.Status, r.Conclusion = r4.DiagnosticReportStatusCorrected, "复查"
		})
		found, err := b.Report(t.Context(), "Rrep1-3", b.patient)
		require.NoError(t, err)
		put(b, "rep1-3", func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
		for direction, want := range map[lis.Direction][]string{
			lis.NewestFirst: {"entered-in-error", "corrected", "final"}, lis.OldestFirst: {"final", "corrected", "entered-in-error"},
		} {
			list, err := until(b.ReportVersions(t.Context(), found, direction))
			require.NoError(t, err)
			var got []string
			for _, v := range list {
				got = append(got, v.Resource.Status)
				assert.Equal(t, v.Resource.Status == "entered-in-error", v.Current)
				assert.Equal(t, v.Current, v.Withdrawn)
				assert.False(t, v.Withdrawn && v.Resource.Conclusion != "")
				assert.NotEmpty(t, v.At)
			}
			assert.Equal(t, want, got)
		}
		results := all(t, b.Results(t.Context(), lis.ResultQuery{Patient: b.patient}))
		put(b, results[0].Resource.Observation.ID, func(o *r4.Observation) { o.Subject = b.patientRef(b.other) })
		list, err := until(b.ResultVersions(t.Context(), results[0], lis.NewestFirst))
		require.NoError(t, err)
		require.Len(t, list, 2)
		assert.Nil(t, list[0].Resource, "it is another patient's now")
		assert.True(t, list[0].Withdrawn)
		_, err = until(b.ReportVersions(t.Context(), hospital.Found[*lis.Report]{}, lis.NewestFirst))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}

func TestTrend(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		code := r4.Coding{System: loinc, Code: "2823-3"}
		create(b, &r4.Observation{
			Status: "final", Code: r4.Concept(loinc, "2823-3"), Subject: b.patientRef(b.patient), ValueQuantity: r4.UCUMQuantity("16.0", "mg/dL"),
			EffectiveDateTime: b.hosp.Demo().Start.AddDate(0, 0, -2).Add(time.Hour).Format(time.RFC3339),
		})
		for direction, want := range map[lis.Direction][]string{
			lis.OldestFirst: {"4.10", "4.3", "16.0", "7.10"}, lis.NewestFirst: {"7.10", "16.0", "4.3", "4.10"},
		} {
			var got []string
			for _, p := range all(t, b.Trend(t.Context(), lis.TrendQuery{Patient: b.patient, Code: code, Direction: direction})) {
				v := p.Resource.Value()
				got = append(got, string(v.Number))
				if v.Number == "16.0" {
					require.ErrorIs(t, v.In("mmol/L"), lis.ErrUnit)
					require.NoError(t, v.In("mg/dL"))
				} else {
					require.NoError(t, v.In("mmol/L"))
				}
			}
			assert.Equal(t, want, got)
		}
		last, err := b.Last(t.Context(), b.patient, []r4.Coding{code, {System: loinc, Code: "2951-2"}}, 2)
		require.NoError(t, err)
		require.Len(t, last, 4)
		assert.Equal(t, "7.10 mmol/L", last[0].Resource.Value().Text)
		assert.Equal(t, "141.0 mmol/L", last[3].Resource.Value().Text)
		_, err = until(b.Trend(t.Context(), lis.TrendQuery{Patient: b.patient}))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		_, err = b.Last(t.Context(), b.patient, nil, 1)
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}

// A laboratory with codes and numbers of its own.
func TestOwnCategoriesAndSystems(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, plain *bench) {
		own := r4.Coding{System: "urn:own", Code: "JY"}
		b := newBench(t, plain.hosp, lis.WithCategories(lis.Categories{Order: own, Section: own, Result: own}), lis.WithSystems(lis.Systems{Report: "urn:own-report"}))
		put(b, "rep1-3", func(r *r4.DiagnosticReport) {
			r.Category = []r4.CodeableConcept{{Coding: []r4.Coding{own}}}
			r.Identifier[0].System = "urn:own-report"
		})
		list, err := b.reports()
		require.NoError(t, err)
		require.Len(t, list, 1)
		_, err = b.Report(t.Context(), "Rrep1-3", b.patient)
		require.NoError(t, err)
		pages, err := until(b.ReportChanges(t.Context(), lis.FeedQuery{Since: time.Now().Add(-time.Hour)}))
		require.NoError(t, err)
		require.Len(t, pages, 1)
		assert.Len(t, pages[0].List, 1)
		placed, err := b.Order(t.Context(), b.request("R1"))
		require.NoError(t, err)
		assert.Equal(t, "JY", placed.Resource.Items[0].Category[0].Coding[0].Code)
		assert.Len(t, all(t, b.Microbiology(t.Context(), lis.ReportQuery{Patient: b.patient})), 1, "has kept its default")
		assert.Empty(t, all(t, b.Results(t.Context(), lis.ResultQuery{Patient: b.patient})))
	})
}

func TestMicrobiology(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		list := all(t, b.Microbiology(t.Context(), lis.ReportQuery{Patient: b.patient}))
		require.Len(t, list, 1)
		isolates := list[0].Resource.Isolates()
		require.Len(t, isolates, 1)
		assert.Equal(t, "大肠埃希菌", isolates[0].Organism.Value().Text)
		assert.Equal(t, "112283007", isolates[0].Organism.Value().Codes[0].Code)
		require.Len(t, isolates[0].Susceptibilities, 2)
		assert.Equal(t, "R", isolates[0].Susceptibilities[0].Value().Codes[0].Code)
	})
}

// people of hankou who are known at guanggu by another number.
func across(t *testing.T, marks lis.Marks, numbers ...campus.PatientID) *bench {
	t.Helper()
	hosp := fakes.NewHospital(t, fakes.WithOwnStores(campus.LIS))
	cfg := hosp.Config()
	cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) { return numbers, nil }
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return &bench{t: t, hosp: hosp, client: client, Client: lis.New(client, lis.WithMarks(marks)), patient: hosp.Demo().Patients[0]}
}

func TestAcrossCampuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		known := campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "ZY010101"}
		b := across(t, lis.DefaultMarks(), known)
		q := lis.ReportQuery{Patient: b.patient}
		list := all(t, b.Reports(t.Context(), q, hospital.AcrossCampuses()))
		from := map[campus.ID]int{}
		for _, r := range list {
			from[r.Origin.Campus]++
			assert.Len(t, r.Resource.Results, 2)
		}
		assert.Equal(t, map[campus.ID]int{"hankou": 3, "guanggu": 3}, from)
		trend := all(t, b.Trend(t.Context(), lis.TrendQuery{Patient: b.patient, Code: r4.Coding{System: loinc, Code: "2823-3"}}, hospital.AcrossCampuses()))
		var got []string
		for _, p := range trend {
			got = append(got, string(p.Resource.Value().Number))
		}
		assert.Equal(t, []string{"4.10", "4.10", "4.3", "4.3", "7.10", "7.10"}, got, "in the order of time, over all campuses")

		b.hosp.StoreDown("lis-guanggu", true)
		list, err := until(b.Reports(t.Context(), q, hospital.AcrossCampuses()))
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial)
		assert.Contains(t, partial.Failed, campus.ID("guanggu"))
		assert.Len(t, list, 3)
		trend, err = until(b.Trend(t.Context(), lis.TrendQuery{Patient: b.patient, Code: r4.Coding{System: loinc, Code: "2823-3"}}, hospital.AcrossCampuses()))
		require.ErrorAs(t, err, &partial)
		assert.Len(t, trend, 3)
	})
}

// A stale answer of another campus is asked for again at that campus.
func TestNeverAnOlderVersionAcrossCampuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := across(t, lis.DefaultMarks(), campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "ZY010101"})
		f := b.client.FHIR(campus.LIS, hospital.AtCampus("guanggu"))
		o, _, err := fhir.Read[*r4.Observation](t.Context(), f, "lab2-3-1")
		require.NoError(t, err)
		_, _, err = fhir.Update(t.Context(), f, o)
		require.NoError(t, err)
		q := lis.ReportQuery{Patient: b.patient}
		all(t, b.Reports(t.Context(), q, hospital.AcrossCampuses()))
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type"}, Do: fakes.Action{Rewrite: func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte(`"versionId":"2"`), []byte(`"versionId":"1"`))
		}}})
		for _, r := range all(t, b.Reports(t.Context(), q, hospital.AcrossCampuses())) {
			if r.Resource.Report.ID == "rep2-3" {
				assert.Equal(t, "2", r.Resource.Results[0].Observation.Meta.VersionId)
			}
		}
	})
}

func TestRecognised(t *testing.T) {
	t.Parallel()
	hr := r4.Coding{System: lis.RecognitionSystem, Code: lis.RecognitionCode}
	category := r4.CodeableConcept{Coding: []r4.Coding{{System: "urn:c", Code: "HR"}}}
	for name, c := range map[string]struct {
		marks lis.Marks
		mark  func(*r4.Observation)
	}{
		"tag":       {lis.DefaultMarks(), func(o *r4.Observation) { o.Meta.Tag = []r4.Coding{hr} }},
		"category":  {lis.Marks{Category: category.Coding[0]}, func(o *r4.Observation) { o.Category = append(o.Category, category) }},
		"extension": {lis.Marks{Extension: "urn:hr"}, func(o *r4.Observation) { o.Extension = []r4.Extension{{URL: "urn:hr", ValueBoolean: r4.Ptr(true)}} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := across(t, c.marks, campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "ZY010101"})
				same := []r4.Identifier{{System: "urn:results", Value: "77"}}
				for at, ids := range map[campus.ID]map[string][]r4.Identifier{
					"hankou": {"lab1-3-1": same, "lab1-3-2": nil}, "guanggu": {"lab2-3-1": same, "lab2-3-2": nil},
				} {
					f := b.client.FHIR(campus.LIS, hospital.AtCampus(at))
					for id, identifier := range ids {
						o, _, err := fhir.Read[*r4.Observation](t.Context(), f, id)
						require.NoError(t, err)
						o.Identifier = identifier
						c.mark(o)
						_, _, err = fhir.Update(t.Context(), f, o)
						require.NoError(t, err)
					}
				}
				list := all(t, b.Recognised(t.Context(), lis.ResultQuery{Patient: b.patient}, hospital.AcrossCampuses()))
				assert.Len(t, list, 3, "one of two campuses by its number, the others by none")
				for _, r := range list {
					assert.True(t, r.Resource.Recognised)
					assert.NotEmpty(t, r.Origin.Campus)
				}
			})
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]r4.Observation{
		"<0.050 ng/mL":  {ValueQuantity: &r4.Quantity{Value: "0.050", Comparator: "<", Unit: "ng/mL", System: r4.UCUM, Code: "ng/mL"}},
		"1.0e-3 U":      {ValueQuantity: &r4.Quantity{Value: "1.0e-3", Code: "U", System: "urn:local"}},
		"阳性":            {ValueCodeableConcept: &r4.CodeableConcept{Coding: []r4.Coding{{Code: "10828004", Display: "阳性"}}}},
		"10828004":      {ValueCodeableConcept: r4.Concept("urn:s", "10828004")},
		"见备注":           {ValueString: "见备注"},
		"true":          {ValueBoolean: r4.Ptr(true)},
		"3":             {ValueInteger: r4.Ptr(3)},
		"1:128":         {ValueRatio: &r4.Ratio{Numerator: &r4.Quantity{Value: "1"}, Denominator: &r4.Quantity{Value: "128"}}},
		"2 /HP - 5 /HP": {ValueRange: &r4.Range{Low: &r4.Quantity{Value: "2", Unit: "/HP"}, High: &r4.Quantity{Value: "5", Unit: "/HP"}}},
		"08:00:00":      {ValueTime: "08:00:00"},
		"":              {DataAbsentReason: r4.Concept("urn:s", "unknown")},
	} {
		v := lis.Result{Observation: &o}.Value()
		assert.Equal(t, want, v.Text)
		assert.Equal(t, o.DataAbsentReason, v.Absent)
		if v.UCUM == "" {
			require.ErrorIs(t, v.In("U"), lis.ErrUnit)
		}
	}
	r := lis.Result{Observation: &r4.Observation{Component: []r4.ObservationComponent{{ValueString: "a"}}}}
	assert.Equal(t, "a", r.Components()[0].Value.Text)
	require.ErrorIs(t, lis.Value{}.In(""), lis.ErrUnit)
}
