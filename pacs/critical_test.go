package pacs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/pacs"
)

// A critical finding of an image goes its way in the RIS.
func TestCriticalFindingOfAReport(t *testing.T) {
	t.Parallel()
	inRIS(t, func(t *testing.T, b *risBench) {
		ctx, ward := t.Context(), r4.Identifier{System: fakes.WardSystem, Value: "W1"}
		found, err := b.Report(ctx, "IMG1", b.patient)
		require.NoError(t, err)
		r := pacs.CriticalRequest{
			Number: "C1", Patient: b.patient, Finding: pacs.ReportFinding(found), Value: "左侧气胸", Ward: ward,
			Deadline: time.Now().Add(10 * time.Minute), By: "R1",
		}
		for range 2 {
			notified, err := b.NotifyCritical(ctx, r)
			require.NoError(t, err)
			assert.Equal(t, campus.RIS, notified.Origin.System)
			assert.Equal(t, pacs.CriticalNotified, notified.Resource.Stage)
		}
		r.Number, r.Patient = "C2", b.other
		_, err = b.NotifyCritical(ctx, r)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		r.Finding = pacs.ReportFinding(hospital.Found[*pacs.Report]{})
		_, err = b.NotifyCritical(ctx, r)
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)

		time.Sleep(11 * time.Minute) //nolint:forbidigo // synctest bubble
		overdue, err := b.OverdueCriticals(ctx, ward)
		require.NoError(t, err)
		assert.Len(t, overdue, 1)
		for change, err := range b.SweepCriticals(ctx, ward, 0) {
			require.NoError(t, err)
			assert.Equal(t, pacs.CriticalIsNew, change.Kind)
			break
		}
		_, err = b.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: "C1", By: "N1", Text: "右侧气胸"})
		var refused *hospital.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, pacs.RefusedReadBack, refused.Reason)
		for _, step := range []func() (hospital.Found[*pacs.Critical], error){
			func() (hospital.Found[*pacs.Critical], error) {
				return b.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: "C1", By: "N1", Text: "左侧气胸"})
			},
			func() (hospital.Found[*pacs.Critical], error) {
				return b.SeeCritical(ctx, pacs.CriticalAcknowledgement{Number: "C1", By: "D1"})
			},
			func() (hospital.Found[*pacs.Critical], error) {
				return b.HandleCritical(ctx, pacs.CriticalAcknowledgement{Number: "C1", By: "D1", Text: "胸腔闭式引流"})
			},
		} {
			_, err := step()
			require.NoError(t, err)
		}
		handled, err := b.CriticalOf(ctx, "C1")
		require.NoError(t, err)
		assert.Equal(t, pacs.CriticalHandled, handled.Resource.Stage)
		open, err := b.OpenCriticals(ctx, ward)
		require.NoError(t, err)
		assert.Empty(t, open)
		own := newRIS(t, b.hosp, pacs.WithSystems(pacs.Systems{Critical: "urn:own", Report: "urn:own"}))
		_, err = own.CriticalOf(ctx, "C1")
		require.ErrorIs(t, err, hospital.ErrNotFound)
		_, err = own.Report(ctx, "IMG1", b.patient)
		require.ErrorIs(t, err, hospital.ErrNotFound)
	})
}
