package hospital

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
)

// Declared returns what a system says of itself in its CapabilityStatement. It is
// read once per Store and epoch and kept; a failure is not. It is a hint of
// what to try, never a proof: what an endpoint honours is the topology's Contract.
func (c *Client) Declared(ctx context.Context, system campus.SystemID, opts ...ReadOption) (*fhir.Declared, error) {
	op := Op{Name: "hospital.Declared", System: system, Consistency: Strong, unaudited: true}
	route, err := c.Topology().Route(system, c.campusOf(readOptions(opts)), campus.ReadStrong)
	if err != nil {
		return nil, wrap(err, c.newCall(op, readOptions(opts)))
	}
	store := route[0].Endpoint.StoreOf()
	return c.declared.get(ctx, storeEpoch{store.ID, store.Epoch}, func(ctx context.Context) (*fhir.Declared, error) {
		return Read(ctx, c, op, func(ctx context.Context, f *fhir.Client) (*fhir.Declared, error) {
			statement, _, err := fhir.Capabilities(ctx, f)
			if err != nil {
				return nil, err
			}
			return fhir.NewDeclared(statement), nil
		}, opts...)
	})
}

// statements is what has been read, by store and epoch. The zero value is ready.
type statements struct {
	known sync.Map // storeEpoch to *fhir.Declared
	group singleflight.Group
}

type storeEpoch struct {
	store campus.StoreID
	epoch int64
}

// get reads a statement once, however many ask; who gives up leaves the others
// their answer.
func (s *statements) get(ctx context.Context, key storeEpoch, read func(context.Context) (*fhir.Declared, error)) (*fhir.Declared, error) {
	if known, ok := s.known.Load(key); ok {
		return known.(*fhir.Declared), nil //nolint:forcetypeassert // nothing else is stored
	}
	answer := s.group.DoChan(fmt.Sprint(key), func() (any, error) {
		declared, err := read(context.WithoutCancel(ctx))
		if err == nil {
			s.known.Store(key, declared)
		}
		return declared, err
	})
	select {
	case r := <-answer:
		declared, _ := r.Val.(*fhir.Declared)
		return declared, r.Err
	case <-ctx.Done():
		return nil, wrap(ctx.Err(), &call{op: Op{Name: "hospital.Declared"}})
	}
}

// Doubt is a promise of the topology that a system's own statement does not bear out.
type Doubt struct {
	Endpoint campus.EndpointID
	// Promise is the field of campus.Contract: versioning, updateCreate or conditionalCreate.
	Promise string
	// Type is the first resource type the statement leaves it out for.
	Type string
}

// Doubts compares the contracts in the topology with what the system says of
// itself: a promise that its statement does not list for one of the types ("Slot",
// say) may have been made too lightly. That there is no doubt is no proof either.
func (c *Client) Doubts(ctx context.Context, system campus.SystemID, types []string, opts ...ReadOption) ([]Doubt, error) {
	declared, err := c.Declared(ctx, system, opts...)
	if err != nil {
		return nil, err
	}
	var out []Doubt
	for _, e := range c.Topology().Endpoints() {
		if e.System != system || !e.Writes() {
			continue
		}
		promised := map[string]func(string) bool{}
		if e.Contract.Versioning {
			promised["versioning"] = declared.Versioned
		}
		if e.Contract.UpdateCreate {
			promised["updateCreate"] = declared.UpdateCreate
		}
		if e.Contract.ConditionalCreate == campus.Atomic {
			promised["conditionalCreate"] = declared.ConditionalCreate
		}
		for _, promise := range slices.Sorted(maps.Keys(promised)) {
			if i := slices.IndexFunc(types, func(t string) bool { return !promised[promise](t) }); i >= 0 {
				out = append(out, Doubt{Endpoint: e.ID, Promise: promise, Type: types[i]})
			}
		}
	}
	return out, nil
}
