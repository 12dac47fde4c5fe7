package fakes_test

import (
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
)

// What laboratories' clients ask for: members of members, what changed since, tags.
func TestSearchesOfALaboratory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithPersonality(fakes.Personality{PageSize: 2}))
		client, err := hospital.New(hosp.Config())
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		f := client.FHIR(campus.LIS)
		count := func(filters ...fhir.Filter[*r4.DiagnosticReport]) (matches, included int) {
			for page, err := range fhir.Search(t.Context(), f, fhir.For(filters...)) {
				require.NoError(t, err)
				matches, included = matches+len(page.Matches), included+len(page.Included)
			}
			return matches, included
		}
		id := fhir.Identifier[*r4.DiagnosticReport]("urn:hospital-go:laboratory-report-number", "Rmb1")
		_, one := count(id, fhir.DiagnosticReportResult.Include())
		assert.Equal(t, 1, one, "one level")
		_, whole := count(id, fhir.DiagnosticReportResult.Include(), fhir.Raw[*r4.DiagnosticReport]("_include:iterate", "Observation:has-member", false))
		assert.Equal(t, 4, whole, "culture, organism, two susceptibilities")

		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		since := time.Now()
		r, _, err := fhir.Read[*r4.DiagnosticReport](t.Context(), f, "mb1")
		require.NoError(t, err)
		r.Meta.Tag = []r4.Coding{{System: "urn:tags", Code: "a"}}
		_, _, err = fhir.Update(t.Context(), f, r)
		require.NoError(t, err)
		updated := fhir.LastUpdated[*r4.DiagnosticReport]()
		matches, _ := count(updated.From(since), fhir.Oldest(updated))
		assert.Equal(t, 1, matches)
		matches, _ = count(updated.Before(since))
		assert.Equal(t, 47, matches)
		matches, _ = count(fhir.Raw[*r4.DiagnosticReport]("_tag", "urn:tags|a", false))
		assert.Equal(t, 1, matches)
		var last time.Time
		for page, err := range fhir.Search(t.Context(), f, fhir.For(fhir.Oldest(updated))) {
			require.NoError(t, err)
			for _, m := range page.Matches {
				at, err := time.Parse(time.RFC3339, m.ResourceMeta().LastUpdated)
				require.NoError(t, err)
				assert.False(t, at.Before(last))
				last = at
			}
		}
		assert.Equal(t, since.Unix(), last.Unix())
	})
}
