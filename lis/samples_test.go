package lis_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// sample is a synthetic person's record, as far as a laboratory has it.
type sample struct {
	patient campus.PatientID
	entries []r4.BundleEntry
	reports map[string]*r4.DiagnosticReport // by when they were issued and what they are
	results map[string]*r4.Observation      // by urn
}

func readSample(t *testing.T, path string) sample {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	bundle, err := r4.Decode[*r4.Bundle](data)
	require.NoError(t, err)
	s := sample{reports: map[string]*r4.DiagnosticReport{}, results: map[string]*r4.Observation{}}
	for _, e := range bundle.Entry {
		switch r := e.Resource.(type) {
		case *r4.Patient:
			s.patient = campus.PatientID{Issuer: r.Identifier[0].System, Value: r.Identifier[0].Value}
		case *r4.Observation:
			s.results[e.FullUrl] = r
		case *r4.DiagnosticReport:
			if r4.HasCode(&r.Category[0], lis.SectionSystem, lis.Laboratory) {
				s.reports[r.Issued+r.Code.Text] = r
			}
		default:
			continue
		}
		s.entries = append(s.entries, e)
	}
	return s
}

// same checks that a result is what was loaded, but for what a server must change.
func same(t *testing.T, want, got *r4.Observation) {
	t.Helper()
	a, b := *want, *got
	a.ID, b.ID, a.Meta, b.Meta, a.Subject, b.Subject = "", "", nil, nil, nil, nil
	left, err := r4.Marshal(&a)
	require.NoError(t, err)
	right, err := r4.Marshal(&b)
	require.NoError(t, err)
	assert.Equal(t, string(left), string(right))
}

// Laboratory reports of synthetic people come back whole, and to the digit.
func TestSampleReports(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("HOSPITAL_SAMPLES")
	if dir == "" {
		t.Skip("skipped: HOSPITAL_SAMPLES names no folder of FHIR samples")
	}
	paths, err := filepath.Glob(filepath.Join(dir, "synthea", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	inBubble(t, func(t *testing.T, b *bench) {
		reports := 0
		for _, path := range paths {
			s := readSample(t, path)
			_, _, err := fhir.Transaction(t.Context(), b.client.FHIR(campus.LIS), &r4.Bundle{Type: r4.BundleTypeTransaction, Entry: s.entries})
			require.NoError(t, err)
			list := all(t, b.Reports(t.Context(), lis.ReportQuery{Patient: s.patient}))
			require.Len(t, list, len(s.reports))
			for _, r := range list {
				want := s.reports[r.Resource.Report.Issued+r.Resource.Report.Code.Text]
				require.NotNil(t, want)
				require.Len(t, r.Resource.Results, len(want.Result))
				for i, result := range r.Resource.Results {
					original := s.results[want.Result[i].Reference]
					same(t, original, result.Observation)
					if q := original.ValueQuantity; q != nil {
						assert.Equal(t, q.Value, result.Value().Number)
						assert.Equal(t, q.Code, result.Value().UCUM)
					}
				}
				reports++
			}
		}
		assert.Greater(t, reports, 20)
		_, err := until(b.Reports(t.Context(), lis.ReportQuery{Patient: b.patient}))
		require.ErrorIs(t, err, hospital.ErrNotFound, "nobody of the demo")
	}, fakes.WithoutDemoData())
}
