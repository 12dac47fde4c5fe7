package fakes_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/his"
)

func TestSetWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithRolePath(), fakes.WithBearer("secret"))
		w := dialed(t, hosp)
		bearer := map[string]string{"Authorization": "Bearer secret"}
		for _, s := range hosp.Description().Stores {
			assert.Equal(t, s.ReplicaOf == "", s.RolePath == "/primary", s.ID)
		}
		const dcB = "http://his.dc-b.test/fhir"
		none := func() {}
		for _, c := range []struct {
			name   string
			do     func()
			writes map[string]int
		}{
			{"in the beginning", none, map[string]int{dcA: 201, dcB: 201, dr: 403}},
			{"dc-b", func() { hosp.SetWriter("his", "dc-b") }, map[string]int{dcA: 500, dcB: 201, dr: 403}},
			{"nobody", func() { hosp.SetWriter("his", "") }, map[string]int{dcA: 500, dcB: 500, dr: 403}},
			{"dr, not promoted", func() { hosp.SetWriter("his", "dr") }, map[string]int{dcA: 500, dcB: 500, dr: 403}},
			{"dr", func() { hosp.Promote("his") }, map[string]int{dcA: 500, dcB: 500, dr: 201}},
			{"dc-a", func() { hosp.SetWriter("his", "dc-a") }, map[string]int{dcA: 201, dcB: 500, dr: 500}},
		} {
			c.do()
			for url, want := range c.writes {
				before := len(hosp.Resources("his", "Patient"))
				status, body := w.send(t.Context(), "POST", url+"/Patient", newcomer, bearer)
				assert.Equal(t, want, status, "%s: %s", c.name, url)
				if want != 201 {
					assert.Contains(t, body, "OperationOutcome")
					assert.Len(t, hosp.Resources("his", "Patient"), before, "nothing is executed")
				}
				role := map[bool]int{true: 200, false: 503}[want == 201]
				status, _ = w.send(t.Context(), "GET", url+"/primary", "", nil)
				assert.Equal(t, role, status, "%s: %s", c.name, url)
				status, _ = w.send(t.Context(), "GET", url+"/Patient/1001", "", bearer)
				assert.Equal(t, 200, status, "reads stay")
			}
		}
		status, _ := w.send(t.Context(), "POST", "http://lis.dc-a.test/fhir/Patient", newcomer, bearer)
		assert.Equal(t, 201, status, "other systems stay")
	})
}

func TestSetReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithHealthPath())
		w := dialed(t, hosp)
		assert.Equal(t, "/health/ready", hosp.Description().Endpoints[0].HealthPath)
		health := func(url string) int {
			status, _ := w.send(t.Context(), "GET", url+"/health/ready", "", nil)
			return status
		}
		assert.Equal(t, 200, health(dcA))
		hosp.SetReady(failover.Selector{System: "his", DataCenter: "dc-a"}, false)
		assert.Equal(t, 503, health(dcA))
		assert.Equal(t, 200, health(dr))
		status, _ := w.send(t.Context(), "GET", dcA+"/Patient/1001", "", nil)
		assert.Equal(t, 200, status, "it still serves")
		hosp.SetReady(failover.Selector{}, true)
		assert.Equal(t, 200, health(dcA))
		remove := hosp.Break(fakes.Rule{Do: fakes.Action{Status: 404, Body: "<html>"}})
		assert.Equal(t, 200, health(dcA), "rules leave it alone")
		remove()
		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "health"}, Do: fakes.Action{Status: 404, Body: "<html>"}})
		assert.Equal(t, 404, health(dcA), "unless they name it")
	})
}

// Both environments are doors to the same stores, and each has cursors of its own.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithEnvironments())
		_, err := campus.New(hosp.Description())
		require.NoError(t, err)
		a, b := endpoint(t, hosp, "his/dc-a/A"), endpoint(t, hosp, "his/dc-a/B")
		assert.Equal(t, "http://his.a.dc-a.test/fhir", a.URL)
		assert.Equal(t, "http://his.b.dc-a.test/fhir", b.URL)
		assert.Equal(t, a.Store, b.Store)
		w := dialed(t, hosp)
		hosp.Break(fakes.Rule{When: fakes.When{Environment: "A"}, Do: fakes.Action{Status: 503}, Times: 1})
		for url, want := range map[string]int{b.URL: 200, a.URL: 503} {
			status, _ := w.send(t.Context(), "GET", url+"/Patient/1001", "", nil)
			assert.Equal(t, want, status, url)
		}
		for id, want := range map[campus.ID]campus.EndpointID{"hankou": "his/dc-a/A", "zhongfa": "his/dc-a/A", "guanggu": "his/dc-b/B"} {
			client, err := hospital.New(hosp.ConfigAt(id))
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			found, err := his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
			require.NoError(t, err)
			assert.Equal(t, want, found.Origin.Endpoint, id)
		}
		entries := hosp.Ledger().Entries()
		assert.Contains(t, []campus.EndpointID{"his/dc-a/A", "his/dc-a/B", "his/dc-b/B"}, entries[len(entries)-1].Endpoint)
		_, page := w.send(t.Context(), "GET", a.URL+"/Slot?_count=1", "", nil)
		assert.Contains(t, page, "_cursor=dc-aA-1")
		status, _ := w.send(t.Context(), "GET", b.URL+"?_cursor=dc-aA-1&_type=Slot", "", nil)
		assert.Equal(t, 410, status)
	})
}
