package fakes

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/internal/memnet"
)

// Systems that are served: FHIR, and DICOMweb by the last.
var systems = []campus.SystemID{campus.HIS, campus.EMR, campus.LIS, campus.RIS, campus.PACS}

// Hospital is a running hospital group. Close it.
type Hospital struct {
	personality Personality
	contract    *campus.Contract
	loopback    bool
	firstPort   int
	ownLinks    bool
	chance      *rand.Rand // guarded by mu
	empty       bool
	readable    bool
	lag         time.Duration
	token       string
	rolePath    string
	healthPath  string
	parallel    bool                     // environments
	own         map[campus.SystemID]bool // a store for each campus
	authority   *authority               // nil: no TLS
	http2       bool

	description campus.Description // its Version and Stores guarded by mu, the rest fixed
	network     memnet.Network
	ledger      Ledger
	stores      map[campus.StoreID]*store
	originals   map[campus.SystemID][]campus.StoreID
	servers     []*server
	demo        Demo

	mu       sync.Mutex
	rules    []*activeRule
	down     map[campus.StoreID]bool
	writers  map[campus.SystemID]campus.DataCenterID
	links    map[way]*link
	isolated map[campus.ID]bool
	kept     int64 // bytes of what was stored
	handler  sync.WaitGroup
}

// New starts a hospital: the campuses hankou, guanggu and zhongfa; the data
// centres dc-a and dc-b (active) and dr (standby); his, emr, lis, ris and pacs in each.
func New(opts ...Option) (*Hospital, error) {
	h := &Hospital{
		chance: rand.New(rand.NewPCG(rand.Uint64(), 0)), lag: time.Minute, //nolint:gosec // chance, not secrets
		stores: map[campus.StoreID]*store{}, down: map[campus.StoreID]bool{}, writers: map[campus.SystemID]campus.DataCenterID{},
		links: map[way]*link{}, isolated: map[campus.ID]bool{}, own: map[campus.SystemID]bool{},
		originals: map[campus.SystemID][]campus.StoreID{},
	}
	for _, o := range opts {
		o(h)
	}
	if h.personality.RaceWindow == 0 {
		h.personality.RaceWindow = 50 * time.Millisecond
	}
	if h.personality.PageSize == 0 {
		h.personality.PageSize = 20
	}
	h.describe()
	if err := h.certifyAll(); err != nil {
		return nil, err
	}
	for i := range h.description.Endpoints {
		s, err := h.newServer(&h.description.Endpoints[i])
		if err != nil {
			_ = h.Close()
			return nil, err
		}
		h.servers = append(h.servers, s)
	}
	if !h.empty {
		h.demo = newDemo(time.Now())
		h.loadDemo()
	}
	return h, nil
}

// TB is the part of testing.TB that [NewHospital] needs.
type TB interface {
	// Helper marks the caller as a helper.
	Helper()
	// Fatalf ends the test.
	Fatalf(format string, args ...any)
	// Cleanup runs f when the test ends.
	Cleanup(f func())
}

// NewHospital is [New] for a test: it ends with the test.
func NewHospital(tb TB, opts ...Option) *Hospital {
	tb.Helper()
	h, err := New(opts...)
	if err != nil {
		tb.Fatalf("fakes: %v", err)
	}
	tb.Cleanup(func() { _ = h.Close() })
	return h
}

// Ledger returns the record of what was executed and what was answered.
func (h *Hospital) Ledger() *Ledger { return &h.ledger }

// Demo returns the people, doctors and schedules it began with.
func (h *Hospital) Demo() Demo { return h.demo }

// StoreDown makes every server of a store answer 500, or ends that: its database
// is gone.
func (h *Hospital) StoreDown(id campus.StoreID, down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down[id] = down
}

func (h *Hospital) isDown(id campus.StoreID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down[id]
}

// Count returns how many resources of the type carry the identifier in the
// system's own store, or in all of them, whatever clients were told.
func (h *Hospital) Count(system campus.SystemID, typ, issuer, value string) int {
	n := 0
	for _, id := range h.originals[system] {
		n += h.CountIn(id, typ, issuer, value)
	}
	return n
}

// CountIn is [Hospital.Count] in one store. It panics for a store that is none.
func (h *Hospital) CountIn(id campus.StoreID, typ, issuer, value string) int {
	return h.stores[id].count(typ, issuer, value)
}

// Resources returns every current resource of a type in the system's own store, or
// in all of them, as JSON.
func (h *Hospital) Resources(system campus.SystemID, typ string) [][]byte {
	var out [][]byte
	for _, id := range h.originals[system] {
		out = append(out, h.ResourcesIn(id, typ)...)
	}
	return out
}

// ResourcesIn is [Hospital.Resources] in one store. It panics for a store that is none.
func (h *Hospital) ResourcesIn(id campus.StoreID, typ string) [][]byte { return h.stores[id].all(typ) }

// Close stops everything and waits for what is running.
func (h *Hospital) Close() error {
	for _, s := range h.servers {
		_ = s.hang(false) // ending it cannot fail
		s.stop()
		s.release()
	}
	h.mendLinks()
	h.handler.Wait()
	return nil
}
