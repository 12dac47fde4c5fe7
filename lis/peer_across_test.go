package lis_test

import (
	"context"
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

// peerGroup are two campuses, each with a LIS of its own, and somebody who has a number
// at each. The bench embedded is the group's, called from hankou.
type peerGroup struct {
	*bench
	hankou, guanggu *bench
	doors           [2]*door
	ward            r4.Identifier
	oneServer       bool
}

func newPeerGroup(t *testing.T) *peerGroup {
	t.Helper()
	bases := peerBases(t)
	g := &peerGroup{ward: r4.Identifier{System: fakes.WardSystem, Value: hospital.NewNumber()}, oneServer: bases[0] == bases[1]}
	d := campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
		Systems:       []campus.System{{ID: campus.LIS}},
	}
	for i, id := range []campus.ID{"hankou", "guanggu"} {
		g.doors[i] = newDoor(t, bases[i])
		dc, store := d.DataCenters[i].ID, campus.StoreID("lis-"+id)
		d.Campuses = append(d.Campuses, campus.Campus{ID: id, Organization: "group", Home: dc, PatientIssuer: peerIssuer + ":" + string(id)})
		d.Stores = append(d.Stores, campus.Store{ID: store})
		d.Endpoints = append(d.Endpoints, campus.Endpoint{
			System: campus.LIS, DataCenter: dc, Store: store, URL: g.doors[i].url, Aliases: []string{bases[i]},
			Campuses: []campus.ID{id}, Contract: peerContract,
		})
	}
	at := func(id campus.ID) *bench {
		b := benchOf(t, hospital.Config{Topology: d, Campus: id, DisableTracing: true})
		b.patient = b.person(peerIssuer + ":" + string(id))
		return b
	}
	g.hankou, g.guanggu = at("hankou"), at("guanggu")
	g.bench = benchOf(t, hospital.Config{Topology: d, Campus: "hankou", DisableTracing: true, Identities: func(_ context.Context, id campus.PatientID) ([]campus.PatientID, error) {
		if id == g.hankou.patient {
			return []campus.PatientID{g.hankou.patient, g.guanggu.patient}, nil
		}
		return []campus.PatientID{id}, nil // somebody of whom one number is known
	}})
	g.patient = g.hankou.patient
	create(g.hankou, &r4.Organization{Identifier: []r4.Identifier{g.ward}})
	if !g.oneServer {
		create(g.guanggu, &r4.Organization{Identifier: []r4.Identifier{g.ward}})
	}
	for i, b := range g.campuses() {
		g.seed(b, peerDay.Add(time.Duration(i)*time.Hour))
	}
	return g
}

func (g *peerGroup) campuses() []*bench { return []*bench{g.hankou, g.guanggu} }

// shared is the business identifier of a result that both campuses hold.
func (g *peerGroup) shared() []r4.Identifier {
	return []r4.Identifier{{System: "urn:hospital-go:recognised", Value: g.ward.Value}}
}

// seed makes an order, two results two hours apart, a report on the first, one that is
// recognised and held by both, and a critical value.
func (g *peerGroup) seed(b *bench, at time.Time) {
	b.t.Helper()
	r := b.request(g.ward.Value) // both laboratories have issued the number
	if g.oneServer {
		r.Number = hospital.NewNumber()
	}
	r.Authored = at
	_, err := b.Order(b.t.Context(), r)
	require.NoError(b.t, err)
	b.report(at, create(b, b.potassium("4.1", at)))
	high := create(b, b.potassium("7.1", at.Add(2*time.Hour)))
	held := b.potassium("5", peerDay.Add(9*time.Hour))
	held.Identifier, held.Code = g.shared(), r4.Concept(loinc, "2951-2")
	held.Meta = &r4.Meta{Tag: []r4.Coding{lis.DefaultMarks().Tag}}
	create(b, held)
	results, err := until(b.Results(b.t.Context(), lis.ResultQuery{Patient: b.patient, Codes: []r4.Coding{{Code: "2823-3"}}}))
	require.NoError(b.t, err)
	require.Equal(b.t, high.ID, results[0].Resource.Observation.ID)
	_, err = b.NotifyCritical(b.t.Context(), lis.CriticalRequest{
		Number: hospital.NewNumber(), Patient: b.patient, Finding: lis.ResultFinding(results[0]), Value: "K+ 7.1", Ward: g.ward,
		Deadline: time.Now().Add(-time.Minute), By: "L1",
	})
	require.NoError(b.t, err)
}

// lists counts what each verb shows, by campus, and what ended it.
func (g *peerGroup) lists(patient campus.PatientID) map[string]func() (map[campus.ID]int, error) {
	ctx, code := g.t.Context(), r4.Coding{System: loinc, Code: "2823-3"}
	return map[string]func() (map[campus.ID]int, error){
		"Orders": func() (map[campus.ID]int, error) {
			return byCampus(until(g.Orders(ctx, lis.OrderQuery{Patient: patient}, hospital.AcrossCampuses())))
		},
		"Reports": func() (map[campus.ID]int, error) {
			return byCampus(until(g.Reports(ctx, lis.ReportQuery{Patient: patient}, hospital.AcrossCampuses())))
		},
		"Results": func() (map[campus.ID]int, error) {
			return byCampus(until(g.Results(ctx, lis.ResultQuery{Patient: patient, Codes: []r4.Coding{code}}, hospital.AcrossCampuses())))
		},
		"Trend": func() (map[campus.ID]int, error) {
			return byCampus(until(g.Trend(ctx, lis.TrendQuery{Patient: patient, Code: code}, hospital.AcrossCampuses())))
		},
	}
}

func byCampus[T any](list []hospital.Found[T], err error) (map[campus.ID]int, error) {
	out := map[campus.ID]int{}
	for _, item := range list {
		out[item.Origin.Campus]++
	}
	return out, err
}

var peerLists = map[string]int{"Orders": 1, "Reports": 1, "Results": 2, "Trend": 2} // at each campus

func TestPeersAcrossCampuses(t *testing.T) {
	t.Parallel()
	g := newPeerGroup(t)
	for name, list := range g.lists(g.patient) {
		got, err := list()
		require.NoError(t, err, name)
		n := peerLists[name]
		assert.Equal(t, map[campus.ID]int{"hankou": n, "guanggu": n}, got, name)
	}
	for _, r := range all(t, g.Reports(t.Context(), lis.ReportQuery{Patient: g.patient}, hospital.AcrossCampuses())) {
		assert.Len(t, r.Resource.Results, 1, "whole, wherever it is")
	}
	var times []string
	for _, r := range all(t, g.Trend(t.Context(), lis.TrendQuery{Patient: g.patient, Code: r4.Coding{System: loinc, Code: "2823-3"}}, hospital.AcrossCampuses())) {
		times = append(times, r.Resource.Observation.EffectiveDateTime[11:13]+" "+string(r.Origin.Campus))
	}
	assert.Equal(t, []string{"08 hankou", "09 guanggu", "10 hankou", "11 guanggu"}, times)
	recognised := all(t, g.Recognised(t.Context(), lis.ResultQuery{Patient: g.patient}, hospital.AcrossCampuses()))
	require.Len(t, recognised, 1, "one result that both hold")
	assert.Equal(t, g.shared(), recognised[0].Resource.Observation.Identifier)
	got, err := byCampus(until(g.Results(t.Context(), lis.ResultQuery{Patient: g.patient, Codes: []r4.Coding{{Code: "2823-3"}}})))
	require.NoError(t, err)
	assert.Equal(t, map[campus.ID]int{"hankou": 2}, got, "without the option one's own")
	for name, list := range map[string]func(context.Context, r4.Identifier, ...hospital.ReadOption) ([]hospital.Found[*lis.Critical], error){
		"open": g.OpenCriticals, "overdue": g.OverdueCriticals,
	} {
		got, err := byCampus(list(t.Context(), g.ward, hospital.AcrossCampuses()))
		require.NoError(t, err, name)
		n := 1
		if g.oneServer {
			n = 2
		}
		assert.Equal(t, map[campus.ID]int{"hankou": n, "guanggu": n}, got, name)
	}
}

// Somebody of whom no number is known at the other campus: what is here comes, and that
// the other was not asked.
func TestPeersNotAsked(t *testing.T) {
	t.Parallel()
	g := newPeerGroup(t)
	someone := g.hankou.person(peerIssuer + ":hankou")
	for name, list := range g.lists(someone) {
		got, err := list()
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial, name)
		assert.Equal(t, []campus.ID{"guanggu"}, partial.NotAsked, name)
		assert.Empty(t, partial.Failed, name)
		assert.Empty(t, got, name)
	}
}

// One campus's LIS is stopped: what the other has comes, then who did not answer; of
// critical values there is no list at all.
func TestPeersOneIsStopped(t *testing.T) {
	t.Parallel()
	g := newPeerGroup(t)
	g.doors[1].Close()
	for name, list := range g.lists(g.patient) {
		got, err := list()
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial, name)
		require.ErrorIs(t, err, hospital.ErrPartial, name)
		require.Contains(t, partial.Failed, campus.ID("guanggu"), name)
		require.ErrorIs(t, partial.Failed["guanggu"], hospital.ErrUnavailable, name)
		assert.Len(t, partial.Failed, 1, name)
		assert.Equal(t, map[campus.ID]int{"hankou": peerLists[name]}, got, name)
	}
	list, err := g.OpenCriticals(t.Context(), g.ward, hospital.AcrossCampuses())
	require.ErrorIs(t, err, hospital.ErrPartial)
	assert.NotEmpty(t, list, "what the other has must be dealt with")
	list, err = g.OpenCriticals(t.Context(), g.ward)
	require.NoError(t, err)
	assert.NotEmpty(t, list, "one's own ward can be asked")
}

// A server that ends in the middle of its pages is no short list.
func TestPeersOneStopsBetweenPages(t *testing.T) {
	t.Parallel()
	g := newPeerGroup(t)
	var list []*r4.Observation
	for i := range 45 {
		list = append(list, g.guanggu.potassium("4.1", peerDay.AddDate(0, 0, -i)))
	}
	createAll(g.guanggu, list)
	seen := 0
	var last error
	for r, err := range g.Results(t.Context(), lis.ResultQuery{Patient: g.patient, Codes: []r4.Coding{{Code: "2823-3"}}}, hospital.AcrossCampuses()) {
		if last = err; err != nil {
			continue
		}
		if r.Origin.Campus == "guanggu" {
			if seen++; seen == 5 {
				g.doors[1].CloseClientConnections()
				g.doors[1].Close()
			}
		}
	}
	require.ErrorIs(t, last, hospital.ErrPartial)
	assert.Less(t, seen, 47)
}
