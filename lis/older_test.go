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
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// What this client has seen corrected or withdrawn does not come back from a copy that
// lags when the original is lost.
func TestNoOlderVersionFromACopy(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		wait(time.Hour)            // the copy has everything
		lab := newBench(t, b.hosp) // writes nothing itself
		put(b, "rep1-2", func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusCorrected })
		put(b, "rep1-3", func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
		list, err := lab.reports()
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, "corrected", list[0].Resource.Status())
		b.hosp.Stop("dc-a")
		b.hosp.Stop("dc-b")
		_, err = lab.reports()
		require.ErrorIs(t, err, hospital.ErrUnavailable, "the copy may be behind")
		wait(time.Hour)
		list, err = lab.reports()
		require.NoError(t, err, "now it cannot be")
		require.Len(t, list, 2)
		assert.Equal(t, "corrected", list[0].Resource.Status())
	}, fakes.WithReadableStandby())
}

// A server that begins its history with the oldest version does not make that current.
func TestVersionsInTheWrongOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		found, err := b.Report(t.Context(), "Rrep1-3", b.patient)
		require.NoError(t, err)
		put(b, "rep1-3", func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "history-instance"}, Do: fakes.Action{
			Rewrite: edited(func(b *r4.Bundle) { slices.Reverse(b.Entry) }),
		}})
		_, err = until(b.ReportVersions(t.Context(), found, lis.NewestFirst))
		require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
	})
}
