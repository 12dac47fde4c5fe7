package fakes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/internal/memnet"
)

// Personality is what kind of servers these are.
type Personality struct {
	// AtomicCreate makes If-None-Exist a lock. The zero value is a racy server:
	// it looks, waits RaceWindow, then inserts, whether or not the client is still there.
	AtomicCreate bool
	// RaceWindow of a racy server; zero means 50 ms.
	RaceWindow time.Duration
	// IgnoreIfMatch makes versions no guard.
	IgnoreIfMatch bool
	// NoUpdateCreate refuses a PUT to an id that does not exist, with 405.
	NoUpdateCreate bool
	// IgnoreFilters makes searches return everything of the type; the self link
	// tells, unless LyingSelf is set.
	IgnoreFilters, LyingSelf bool
	// CacheSearches is how long an equal search gets the same result again, unless
	// it says Cache-Control: no-cache.
	CacheSearches time.Duration
	// PageSize of searches; zero means 20.
	PageSize int
}

// Option configures a [Hospital].
type Option func(*Hospital)

// WithPersonality chooses the kind of servers.
func WithPersonality(p Personality) Option { return func(h *Hospital) { h.personality = p } }

// WithContract declares what the servers honour, instead of the truth about the personality.
func WithContract(c campus.Contract) Option { return func(h *Hospital) { h.contract = &c } }

// WithLoopback serves on sockets of 127.0.0.1 instead of memory.
func WithLoopback() Option { return func(h *Hospital) { h.loopback = true } }

// WithLoopbackFrom is [WithLoopback] at the ports from port on, one per endpoint in
// the order of the description, so that addresses stay the same from run to run.
func WithLoopbackFrom(port int) Option {
	return func(h *Hospital) { h.loopback, h.firstPort = true, port }
}

// WithOwnLinks makes servers name themselves in links by the address they listen
// at, so that any client can follow them. The default is a name the servers share,
// as behind a balancer, which a client must know as an alias.
func WithOwnLinks() Option { return func(h *Hospital) { h.ownLinks = true } }

// WithSeed makes what is left to chance (the jitter of rules) the same from run to
// run, as far as requests come in the same order.
func WithSeed(seed uint64) Option {
	return func(h *Hospital) { h.chance = rand.New(rand.NewPCG(seed, seed)) } //nolint:gosec // repeatable, not secret
}

// WithoutDemoData begins with empty stores.
func WithoutDemoData() Option { return func(h *Hospital) { h.empty = true } }

// WithLag sets how far the standby follows behind; zero means one minute.
func WithLag(d time.Duration) Option { return func(h *Hospital) { h.lag = d } }

// WithReadableStandby lets reads that tolerate lag use the standby.
func WithReadableStandby() Option { return func(h *Hospital) { h.readable = true } }

// WithBearer makes every server ask for this token.
func WithBearer(token string) Option { return func(h *Hospital) { h.token = token } }

// Systems that are served.
var systems = []campus.SystemID{campus.HIS, campus.EMR, campus.LIS}

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

	description campus.Description
	network     memnet.Network
	ledger      Ledger
	stores      map[campus.StoreID]*store
	servers     []*server
	demo        Demo

	mu      sync.Mutex
	rules   []*activeRule
	down    map[campus.StoreID]bool
	handler sync.WaitGroup
}

// New starts a hospital: the campuses hankou, guanggu and zhongfa; the data
// centres dc-a and dc-b (active) and dr (standby); his, emr and lis in each.
func New(opts ...Option) (*Hospital, error) {
	h := &Hospital{chance: rand.New(rand.NewPCG(rand.Uint64(), 0)), stores: map[campus.StoreID]*store{}, down: map[campus.StoreID]bool{}, lag: time.Minute} //nolint:gosec // chance, not secrets
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
		h.stores[campus.StoreID(campus.HIS)].load(h.demo.resources())
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

// describe makes the topology. Both doors of a store have the alias under which
// their servers name themselves.
func (h *Hospital) describe() {
	d := campus.Description{
		Version: 1,
		Organizations: []campus.Organization{
			{ID: "group", Name: "集团总医院"}, {ID: "zhongfa-hospital", Name: "中法新城医院"},
		},
		DataCenters: []campus.DataCenter{
			{ID: "dc-a", Name: "数据中心 A", Role: campus.Active},
			{ID: "dc-b", Name: "数据中心 B", Role: campus.Active},
			{ID: "dr", Name: "异地灾备", Role: campus.Standby},
		},
		Campuses: []campus.Campus{
			{ID: "hankou", Name: "汉口主院区", Organization: "group", Home: "dc-a"},
			{ID: "guanggu", Name: "光谷院区", Organization: "group", Home: "dc-b"},
			{ID: "zhongfa", Name: "中法新城院区", Organization: "zhongfa-hospital", Home: "dc-a"},
		},
	}
	for _, sys := range systems {
		original, replica := campus.StoreID(sys), campus.StoreID(sys+"-dr")
		d.Systems = append(d.Systems, campus.System{ID: sys})
		d.Stores = append(d.Stores, campus.Store{ID: original, Epoch: 1}, campus.Store{ID: replica, ReplicaOf: original, Lag: h.lag, Epoch: 1})
		h.stores[original] = newStore(h, original)
		h.stores[replica] = newReplica(h, replica, h.stores[original], h.lag)
		for _, dc := range d.DataCenters {
			e := campus.Endpoint{System: sys, DataCenter: dc.ID, Store: original, Contract: h.truth(), AllowPlainHTTP: true}
			if !h.ownLinks {
				e.Aliases = []string{"http://" + string(sys) + ".group.test/fhir"}
			}
			if dc.Role == campus.Standby {
				e.Store, e.Readable = replica, h.readable
			}
			d.Endpoints = append(d.Endpoints, e)
		}
	}
	h.description = d
}

// truth is what the personality honours.
func (h *Hospital) truth() campus.Contract {
	if h.contract != nil {
		return *h.contract
	}
	c := campus.Contract{
		ConditionalCreate: campus.Racy, Versioning: !h.personality.IgnoreIfMatch, UpdateCreate: !h.personality.NoUpdateCreate,
		ServerTimeout: h.personality.RaceWindow + 500*time.Millisecond,
	}
	if h.personality.AtomicCreate {
		c.ConditionalCreate = campus.Atomic
	}
	return c
}

// Config returns a configuration of an SDK client for this hospital, at campus
// hankou. The caller may change it.
func (h *Hospital) Config() hospital.Config {
	cfg := hospital.Config{Topology: h.description, Campus: "hankou"}
	d := &cfg.Topology
	d.Organizations, d.Campuses, d.DataCenters = slices.Clone(d.Organizations), slices.Clone(d.Campuses), slices.Clone(d.DataCenters)
	d.Systems, d.Stores, d.Endpoints = slices.Clone(d.Systems), slices.Clone(d.Stores), slices.Clone(d.Endpoints)
	if h.token != "" {
		cfg.Credentials = map[campus.SystemID]hospital.Credential{}
		for _, sys := range systems {
			cfg.Credentials[sys] = hospital.BearerToken(h.token)
		}
	}
	if !h.loopback {
		cfg.Dial = map[campus.DataCenterID]failover.DialFunc{}
		for _, dc := range h.description.DataCenters {
			cfg.Dial[dc.ID] = h.network.DialContext
		}
	}
	return cfg
}

// Dial connects to a server by the address in the description, for tests that
// speak the wire themselves.
func (h *Hospital) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if h.loopback {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return h.network.DialContext(ctx, network, address)
}

// Ledger returns the record of what was executed and what was answered.
func (h *Hospital) Ledger() *Ledger { return &h.ledger }

// Demo returns the people, doctors and schedules it began with.
func (h *Hospital) Demo() Demo { return h.demo }

// Stop takes a data centre's servers away: listeners close, connections are reset.
func (h *Hospital) Stop(dc campus.DataCenterID) {
	for _, s := range h.servers {
		if s.endpoint.DataCenter == dc {
			s.stop()
		}
	}
}

// Start brings a stopped data centre's servers back. On loopback sockets it fails
// when another program has taken the port meanwhile.
func (h *Hospital) Start(dc campus.DataCenterID) error {
	var all error
	for _, s := range h.servers {
		if s.endpoint.DataCenter == dc {
			all = errors.Join(all, s.start())
		}
	}
	return all
}

// Hang makes a data centre a black hole, or ends that: new connections get no
// answer, existing ones neither. In memory only.
func (h *Hospital) Hang(dc campus.DataCenterID, on bool) {
	for _, s := range h.servers {
		if s.endpoint.DataCenter == dc {
			h.network.Hang(s.address, on)
			s.hang(on)
		}
	}
}

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
// system's own store, whatever clients were told.
func (h *Hospital) Count(system campus.SystemID, typ, issuer, value string) int {
	return h.stores[campus.StoreID(system)].count(typ, issuer, value)
}

// Resources returns every current resource of a type in the system's own store, as JSON.
func (h *Hospital) Resources(system campus.SystemID, typ string) [][]byte {
	return h.stores[campus.StoreID(system)].all(typ)
}

// Close stops everything and waits for what is running.
func (h *Hospital) Close() error {
	for _, s := range h.servers {
		s.hang(false)
		s.stop()
	}
	h.handler.Wait()
	return nil
}

// address is where an endpoint's server listens.
func (h *Hospital) listen(e *campus.Endpoint, again string) (net.Listener, string, error) {
	if !h.loopback {
		host := fmt.Sprintf("%s.%s.test", e.System, e.DataCenter)
		l, err := h.network.Listen(host + ":80")
		return l, host, err
	}
	if again == "" {
		port := h.firstPort
		if port > 0 {
			port += slices.IndexFunc(h.description.Endpoints, func(x campus.Endpoint) bool { return x.System == e.System && x.DataCenter == e.DataCenter })
		}
		again = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	l, err := net.Listen("tcp", again) //nolint:noctx // it returns at once
	if err != nil {
		return nil, "", err
	}
	return l, l.Addr().String(), nil
}

// server is one endpoint's.
type server struct {
	hospital *Hospital
	endpoint *campus.Endpoint
	store    *store
	address  string // as dialed
	bound    string

	mu      sync.Mutex
	http    *http.Server
	door    net.Listener
	conns   map[net.Conn]bool
	stall   chan struct{} // not nil: a black hole
	cursors map[string][]string
	cursor  int
	results map[string]searchResult
}

func (h *Hospital) newServer(e *campus.Endpoint) (*server, error) {
	s := &server{hospital: h, endpoint: e, store: h.stores[e.Store], conns: map[net.Conn]bool{}, cursors: map[string][]string{}, results: map[string]searchResult{}}
	return s, s.start()
}

func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return nil
	}
	l, host, err := s.hospital.listen(s.endpoint, s.bound)
	if err != nil {
		return err
	}
	s.bound, s.address = host, host
	if !strings.Contains(host, ":") {
		s.address += ":80"
	}
	s.endpoint.URL = "http://" + host + "/fhir"
	s.door = l
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ConnState: s.track}
	go func(srv *http.Server) { _ = srv.Serve(l) }(s.http)
	return nil
}

func (s *server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, c)
	default:
	}
}

// stop resets every connection, as a machine that loses power does.
func (s *server) stop() {
	s.mu.Lock()
	srv := s.http
	if s.http = nil; srv != nil {
		_ = s.door.Close() // a server that has not begun to serve would leave it open
	}
	for c := range s.conns {
		reset(c)
	}
	clear(s.cursors)
	s.mu.Unlock()
	if srv != nil {
		_ = srv.Close()
	}
}

func reset(c net.Conn) {
	switch c := c.(type) {
	case *memnet.Conn:
		c.Reset()
	case *net.TCPConn:
		_ = c.SetLinger(0)
		_ = c.Close()
	default:
		_ = c.Close()
	}
}

func (s *server) hang(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case on && s.stall == nil:
		s.stall = make(chan struct{})
	case !on && s.stall != nil:
		close(s.stall)
		s.stall = nil
	}
}
