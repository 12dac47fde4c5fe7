package critical_test

import (
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
	"github.com/hospital-go/hospital/internal/critical"
)

// A radiologist's report is critical, in another system than the laboratory's. All else
// is tested with package lis.
func TestReportOfAnotherSystem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, err := hospital.New(fakes.NewHospital(t).Config())
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		b := critical.New(client, critical.Config{System: campus.RIS, Prefix: "pacs", Number: "urn:numbers"})
		ctx, f := t.Context(), client.FHIR(campus.RIS)
		patient := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
		ward := r4.Identifier{System: "urn:wards", Value: "W7"}
		_, _, err = fhir.Create(ctx, f, &r4.Organization{Identifier: []r4.Identifier{ward}})
		require.NoError(t, err)
		report := &r4.DiagnosticReport{Status: "final", Code: r4.Text("头颅 CT")}
		for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.Patient](patient.Issuer, patient.Value))) {
			require.NoError(t, err)
			report.Subject = r4.RefTo("Patient", page.Matches[0].ResourceID())
		}
		report, resp, err := fhir.Create(ctx, f, report)
		require.NoError(t, err)
		found, err := b.Notify(ctx, critical.Request{
			Number: "C1", Patient: patient, Finding: hospital.Found[r4.Resource]{Resource: report, Origin: hospital.OriginOf(resp)},
			Value: "颅内出血", Ward: ward, Deadline: time.Now().Add(time.Minute), By: "R1",
		})
		require.NoError(t, err)
		assert.Equal(t, campus.RIS, found.Origin.System)
		open, err := b.Open(ctx, ward)
		require.NoError(t, err)
		require.Len(t, open, 1)
		assert.Equal(t, "颅内出血", open[0].Resource.Value)
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		var kinds []critical.ChangeKind
		for c, err := range b.Sweep(limited, ward, 10*time.Second) {
			require.NoError(t, err)
			kinds = append(kinds, c.Kind)
		}
		assert.Equal(t, []critical.ChangeKind{critical.IsNew, critical.IsOverdue}, kinds)
	})
}
