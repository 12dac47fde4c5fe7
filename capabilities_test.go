package hospital_test

import (
	"context"
	"strconv"
	"sync"
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

// The statement is read once per Store, however many ask, and a caller who gives
// up takes nobody's answer away.
func TestDeclaredIsReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "capabilities"}, Do: fakes.Action{Delay: time.Second}})
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				ctx := t.Context()
				if i == 0 {
					ctx = hasty
				}
				declared, err := client.Declared(ctx, campus.HIS, hospital.AtCampus("hankou"))
				if i == 0 {
					assert.ErrorIs(t, err, hospital.ErrDeadline)
					return
				}
				assert.NoError(t, err) //nolint:testifylint // not the test's goroutine
				assert.True(t, declared.Patch("Slot") && declared.Interaction("Slot", "vread") && declared.SearchParam("Slot", "status"))
				assert.False(t, declared.Patch("Nothing") || declared.Operation("Patient", "match"))
			})
		}
		all.Wait()
		_, err := client.Declared(t.Context(), campus.HIS, hospital.AtCampus("zhongfa"))
		require.NoError(t, err)
		read := 0
		for _, e := range hosp.Ledger().Entries() {
			if e.Interaction == "capabilities" {
				read++
			}
		}
		assert.Equal(t, 1, read, "both campuses use one Store")
	})
}

func TestDeclaredForgetsFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		hosp.StoreDown("his", true)
		_, err := client.Declared(t.Context(), campus.HIS)
		require.ErrorIs(t, err, hospital.ErrUnavailable)
		hosp.StoreDown("his", false)
		_, err = client.Declared(t.Context(), campus.HIS)
		require.NoError(t, err)
		_, err = client.Declared(t.Context(), "moon")
		require.ErrorIs(t, err, hospital.ErrNoEndpoint)
	})
}

// A topology that promises more than the server says of itself raises a doubt.
func TestDoubts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := open(t, nil, fakes.WithPersonality(fakes.Personality{IgnoreIfMatch: true}),
			fakes.WithContract(campus.Contract{Versioning: true, UpdateCreate: true}))
		doubts, err := client.Doubts(t.Context(), campus.HIS, []string{"Slot", "Appointment"})
		require.NoError(t, err)
		assert.Equal(t, []hospital.Doubt{
			{Endpoint: "his/dc-a", Promise: "versioning", Type: "Slot"}, {Endpoint: "his/dc-b", Promise: "versioning", Type: "Slot"},
		}, doubts)
	})
}

// The answer to a deletion is lost; the other site says that it is gone: that is
// what was wanted. A batch of reads goes elsewhere like a read, one that writes is
// never sent twice.
func TestChangesFailOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		f := client.FHIR(campus.HIS)
		made, _, err := fhir.Create(t.Context(), f, &r4.Patient{})
		require.NoError(t, err)
		for _, interaction := range []string{"batch", "delete"} {
			hosp.Break(fakes.Rule{When: fakes.When{Interaction: interaction}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		}
		results, _, err := fhir.Batch(t.Context(), f, &r4.Bundle{Type: r4.BundleTypeBatch, Entry: []r4.BundleEntry{fhir.Get("Patient/" + made.ID)}})
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
		_, err = fhir.Delete(t.Context(), f, made)
		require.NoError(t, err)
		assert.Equal(t, 1, executed(hosp, "delete"))

		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "batch"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		id := r4.Identifier{System: "s", Value: hospital.NewNumber()}
		_, _, err = fhir.Batch(t.Context(), f, &r4.Bundle{Type: r4.BundleTypeBatch, Entry: []r4.BundleEntry{
			fhir.Post(&r4.Patient{Identifier: []r4.Identifier{id}}, "", id),
		}})
		require.Equal(t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))
		assert.Equal(t, 1, hosp.Ledger().Executions(id.Value))

		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "update"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		_, _, err = fhir.UpdateIf(t.Context(), f, &r4.Organization{Identifier: []r4.Identifier{id}}, id)
		require.Equal(t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err), "it overwrites whatever is there, so once only")
	})
}

// The pages of a history belong to the server that began it.
func TestHistoryIsPinned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil, fakes.WithPersonality(fakes.Personality{PageSize: 2}))
		f := client.FHIR(campus.HIS)
		made, _, err := fhir.Create(t.Context(), f, &r4.Patient{})
		require.NoError(t, err)
		for range 4 {
			made, _, err = fhir.Update(t.Context(), f, made)
			require.NoError(t, err)
		}
		whole := 0
		for v, err := range fhir.History[*r4.Patient](t.Context(), f, made.ID) {
			require.NoError(t, err)
			assert.Equal(t, strconv.Itoa(5-whole), v.Resource.Meta.VersionId)
			whole++
		}
		require.Equal(t, 5, whole, "its links, under the servers' shared name, lead back to who sent them")
		n := 0
		for _, err = range fhir.History[*r4.Patient](t.Context(), f, made.ID) {
			if err != nil {
				break
			}
			if n++; n == 2 {
				hosp.Stop("dc-a")
			}
		}
		require.ErrorIs(t, err, fhir.ErrPageLost)
		assert.Equal(t, 2, n)
	})
}

// A gateway's 401 without WWW-Authenticate says nothing of what became of a write.
func TestForeignRefusalOfAWriteIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "create"}, Do: fakes.Action{Status: 401, Body: "<html>login</html>", Execute: true}})
		_, _, err := fhir.Create(t.Context(), client.FHIR(campus.HIS), &r4.Patient{})
		assert.Equal(t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))
		assert.Equal(t, 1, executed(hosp, "create"))
	})
}

func executed(hosp *fakes.Hospital, interaction string) int {
	n := 0
	for _, e := range hosp.Ledger().Entries() {
		if e.Interaction == interaction && e.Executed {
			n++
		}
	}
	return n
}
