package lis_test

import (
	"slices"
	"testing"
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

// The latest result was withdrawn after it was shown: the latest one is the one before.
func TestLastOfAWithdrawnResult(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		codes := []r4.Coding{potassium}
		two, err := b.Last(t.Context(), b.patient, codes, 2)
		require.NoError(t, err)
		require.Len(t, two, 2)
		put(b, two[0].Resource.Observation.ID, func(o *r4.Observation) { o.Status = r4.ObservationStatusEnteredInError })
		other, err := newBench(t, b.hosp).Last(t.Context(), b.patient, codes, 1)
		require.NoError(t, err)
		require.Equal(t, two[1].Resource.Observation.ID, other[0].Resource.Observation.ID, "who has shown nothing")
		last, err := b.Last(t.Context(), b.patient, codes, 1)
		require.NoError(t, err)
		assert.True(t, slices.ContainsFunc(last, func(r hospital.Found[lis.Result]) bool {
			return r.Resource.Observation.ID == two[1].Resource.Observation.ID
		}), "the latest that stands is missing")
	})
}

// A search that is behind has an older version, of this test; the one that stands is
// of another, and is not shown as the last of this.
func TestLastIsOfTheTestThatWasAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		was, _, err := fhir.Read[*r4.Observation](t.Context(), b.client.FHIR(campus.LIS), "lab1-3-1")
		require.NoError(t, err)
		require.True(t, r4.HasCode(was.Code, loinc, "2823-3"))
		put(b, "lab1-3-1", func(o *r4.Observation) { o.Code = r4.Concept(loinc, "2951-2") })
		_, err = until(b.Results(t.Context(), lis.ResultQuery{Patient: b.patient}))
		require.NoError(t, err)
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type", Type: "Observation"}, Do: fakes.Action{
			Rewrite: edited(func(bundle *r4.Bundle) {
				bundle.Entry = append([]r4.BundleEntry{{Resource: was}}, bundle.Entry...)
				bundle.Total, bundle.Link = nil, nil
			}),
		}})
		last, err := b.Last(t.Context(), b.patient, []r4.Coding{potassium}, 1)
		require.NoError(t, err)
		for _, r := range last {
			assert.True(t, r4.HasCode(r.Resource.Observation.Code, loinc, "2823-3"), "sodium as the last potassium")
		}
	})
}

// A report was moved to the patient it is of; a search that is behind shows it on the
// order yet. It is not shown with the order of somebody else.
func TestOrderStatusShowsNobodyElsesReport(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		placed, err := b.Order(t.Context(), b.request("R1"))
		require.NoError(t, err)
		was := b.reported(placed.Resource.Items[0], r4.DiagnosticReportStatusFinal)
		theirs := b.patientRef(b.other)
		put(b, was.ID, func(r *r4.DiagnosticReport) { r.Subject, r.Conclusion = theirs, "another's" })
		_, err = until(b.ReportChanges(t.Context(), lis.FeedQuery{Since: time.Now().Add(-time.Hour)}))
		require.NoError(t, err)
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type", Type: "DiagnosticReport"}, Do: fakes.Action{
			Rewrite: edited(func(bundle *r4.Bundle) {
				bundle.Entry, bundle.Total, bundle.Link = []r4.BundleEntry{{Resource: was}}, nil, nil
			}),
		}})
		status, err := b.OrderStatus(t.Context(), "R1", b.patient)
		if err != nil {
			return
		}
		for _, i := range status.Resource.Items {
			for _, r := range i.Reports {
				assert.NotEqual(t, theirs.Reference, r.Subject.Reference, "another patient's report: %s", r.Conclusion)
			}
		}
	})
}

// The same of a list of reports, by section.
func TestReportsAreOfTheSectionThatWasAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		was, _, err := fhir.Read[*r4.DiagnosticReport](t.Context(), b.client.FHIR(campus.LIS), "rep1-3")
		require.NoError(t, err)
		put(b, "rep1-3", func(r *r4.DiagnosticReport) { r.Code = r4.Concept(loinc, "99999-9") })
		_, err = b.reports()
		require.NoError(t, err)
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type", Type: "DiagnosticReport"}, Do: fakes.Action{
			Rewrite: edited(func(bundle *r4.Bundle) {
				bundle.Entry, bundle.Total, bundle.Link = []r4.BundleEntry{{Resource: was}}, nil, nil
			}),
		}})
		list, err := until(b.Reports(t.Context(), lis.ReportQuery{Patient: b.patient, Codes: was.Code.Coding[:1]}))
		require.NoError(t, err)
		for _, r := range list {
			assert.Equal(t, was.Code.Coding[0].Code, r.Resource.Report.Code.Coding[0].Code, "a report of something else")
		}
	})
}
