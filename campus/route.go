package campus

import (
	"errors"
	"fmt"
	"slices"
)

// Kind is what a call needs of the endpoint that answers.
type Kind uint8

const (
	// ReadAny tolerates a copy that lags.
	ReadAny Kind = iota
	// ReadStrong must see every committed write: only endpoints of the writer Store.
	ReadStrong
	// Write goes to a writer.
	Write
	kinds
)

// Errors of [Topology.Route].
var (
	ErrUnknownCampus = errors.New("campus: unknown campus")
	ErrUnknownSystem = errors.New("campus: unknown system")
	// ErrNoEndpoint: the system exists, but no endpoint may serve this kind of call for this campus.
	ErrNoEndpoint = errors.New("campus: no endpoint")
)

// Hop is one place on a Route.
type Hop struct {
	Endpoint *Endpoint
	// Tier groups hops that are as good as each other but for distance: a failing
	// one steps behind its tier's healthy ones, never behind the next tier's.
	Tier int
}

// Route is the endpoints for a call, in policy order. It must not be changed.
type Route []Hop

// Tiers of a [Hop].
const (
	TierPreferred        = iota // active, in the campus's environment
	TierOtherEnvironment        // active, in another environment
	TierStandby                 // standby, readable
)

type routeKey struct {
	system SystemID
	campus ID
	kind   Kind
}

// Route returns the endpoints for a call in the order of the policy: the
// campus's home data centre, then its peers, the campus's environment before
// others, a standby last and only where the kind allows it. Errors are
// [ErrUnknownCampus], [ErrUnknownSystem] and [ErrNoEndpoint]. It allocates
// nothing when it succeeds.
func (t *Topology) Route(system SystemID, campus ID, kind Kind) (Route, error) {
	if route := t.routes[routeKey{system, campus, kind}]; len(route) > 0 {
		return route, nil
	}
	switch {
	case t.campuses[campus] == nil:
		return nil, fmt.Errorf("%w %q", ErrUnknownCampus, campus)
	case t.systems[system] == nil:
		return nil, fmt.Errorf("%w %q", ErrUnknownSystem, system)
	}
	return nil, fmt.Errorf("%w of %s may serve this for campus %s", ErrNoEndpoint, system, campus)
}

// build makes the Topology of a checked description.
func (c *checker) build() *Topology {
	t := &Topology{
		version:  c.d.Version,
		campuses: map[ID]*Campus{}, systems: map[SystemID]*System{}, routes: map[routeKey]Route{},
	}
	for i := range c.d.Campuses {
		t.campuses[c.d.Campuses[i].ID] = &c.d.Campuses[i]
	}
	for i := range c.d.Systems {
		t.systems[c.d.Systems[i].ID] = &c.d.Systems[i]
	}
	for i := range c.d.Endpoints {
		c.d.Endpoints[i].index = i
		t.endpoints = append(t.endpoints, &c.d.Endpoints[i])
	}
	for id, campus := range t.campuses {
		for system := range t.systems {
			for kind := range kinds {
				t.routes[routeKey{system, id, kind}] = t.policy(campus, system, kind, c.centers)
			}
		}
	}
	return t
}

// policy computes one Route.
func (t *Topology) policy(campus *Campus, system SystemID, kind Kind, order map[DataCenterID]int) Route {
	var route Route
	writer := t.writer(campus, system)
	for _, e := range t.endpoints {
		if e.System == system && e.Serves(campus.ID) && e.allows(kind, writer) {
			route = append(route, Hop{Endpoint: e, Tier: e.tier(campus)})
		}
	}
	slices.SortStableFunc(route, func(a, b Hop) int {
		if a.Tier != b.Tier {
			return a.Tier - b.Tier
		}
		return distance(a, campus, order) - distance(b, campus, order)
	})
	return route
}

// writer is the store that takes this campus's writes, "" when none does.
func (t *Topology) writer(campus *Campus, system SystemID) StoreID {
	for _, e := range t.endpoints {
		if e.System == system && e.Serves(campus.ID) && e.Writes() {
			return e.Store
		}
	}
	return ""
}

// allows: a strong read sees the store that is written and no other, through
// any of its doors.
func (e *Endpoint) allows(kind Kind, writer StoreID) bool {
	current := (e.Store == writer || (writer == "" && e.store.ReplicaOf == "")) && (e.role == Active || e.Writes())
	switch kind {
	case Write:
		return e.Writes()
	case ReadStrong:
		return current
	default:
		return current || e.Readable
	}
}

func (e *Endpoint) tier(campus *Campus) int {
	switch {
	case e.role == Standby && !e.Writes():
		return TierStandby
	case e.Environment != campus.Environment:
		return TierOtherEnvironment
	}
	return TierPreferred
}

func distance(h Hop, campus *Campus, order map[DataCenterID]int) int {
	if h.Endpoint.DataCenter == campus.Home {
		return -1
	}
	return order[h.Endpoint.DataCenter]
}
