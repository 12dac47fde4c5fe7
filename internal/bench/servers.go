package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// serviceTime makes a server's answer take a while, so that an outage finds calls in flight.
const serviceTime = 2 * time.Millisecond

// store is what both replicas write to. It counts every execution of a write's
// number and, until it is frozen, every attempt of a call's.
type store struct {
	racy     bool
	mu       sync.Mutex
	runs     map[string]int
	attempts map[string]int
	frozen   bool
}

func (s *store) attempt(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		s.attempts[number]++
	}
}

// freeze ends the counting of attempts: good weather is over.
func (s *store) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// attemptsPerCall is how many requests a call took until the freeze.
func (s *store) attemptsPerCall() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, attempts := range s.attempts {
		n += attempts
	}
	return float64(n) / float64(max(len(s.attempts), 1))
}

// write executes a number, unless it is keyed and was executed before.
func (s *store) write(number string, keyed bool) {
	if s.racy && keyed {
		if s.seen(number) {
			return
		}
		time.Sleep(20 * time.Millisecond) // between look and insert: where doubles come from
		keyed = false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if keyed && s.runs[number] > 0 {
		return
	}
	s.runs[number]++
}

func (s *store) seen(number string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[number] > 0
}

// duplicates are executions beyond each number's first.
func (s *store) duplicates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, runs := range s.runs {
		n += runs - 1
	}
	return n
}

// replica is one server: a gate to the network, and a handler with a fault.
type replica struct {
	name   string
	store  *store
	gate   *gate
	server *http.Server
	mode   atomic.Int32 // a mode
}

// mode is what the handler does wrong.
type mode int32

const (
	well mode = iota
	slow
	cut
	drop
	failing
)

// sites are the two replicas.
type sites struct {
	home, peer *replica
	store      *store
}

func newSites(racy bool) (*sites, error) {
	shared := &store{racy: racy, runs: map[string]int{}, attempts: map[string]int{}}
	home, err := newReplica("home", shared)
	if err != nil {
		return nil, err
	}
	peer, err := newReplica("peer", shared)
	if err != nil {
		home.close()
		return nil, err
	}
	return &sites{home: home, peer: peer, store: shared}, nil
}

func (s *sites) hosts() []string { return []string{s.home.gate.addr, s.peer.gate.addr} }

func (s *sites) close() {
	s.home.close()
	s.peer.close()
}

func newReplica(name string, shared *store) (*replica, error) {
	g, err := newGate()
	if err != nil {
		return nil, err
	}
	r := &replica{name: name, store: shared, gate: g}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(g) }()
	return r, nil
}

func (r *replica) close() {
	_ = r.gate.Close()
	_ = r.server.Close()
}

// ServeHTTP answers the load and, at /health and /metadata, everybody's probes;
// a fault meets both alike.
func (r *replica) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	m := mode(r.mode.Load())
	if number := req.Header.Get(numberHeader); number != "" {
		r.store.attempt(number)
	}
	if m == failing {
		http.Error(w, `{"issue":"fault"}`, http.StatusInternalServerError)
		return
	}
	status, body := r.execute(req)
	switch m {
	case slow:
		time.Sleep(2 * time.Second)
	case drop:
		reset(w)
		return
	case cut:
		r.answer(w, status, body[:len(body)/2], len(body))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(time.Millisecond) // the reset must not overtake the first half
		reset(w)
		return
	default:
	}
	r.answer(w, status, body, len(body))
}

// execute does what the request asks, whether or not its caller still waits.
func (r *replica) execute(req *http.Request) (status int, body string) {
	_, _ = io.Copy(io.Discard, req.Body)
	time.Sleep(serviceTime)
	status = http.StatusOK
	if req.Method == http.MethodPost {
		status = http.StatusCreated
		r.store.write(req.Header.Get(numberHeader), req.Header.Get(keyHeader) != "")
	}
	return status, fmt.Sprintf(`{"id":%q,"note":%q}`, req.Header.Get(numberHeader), strings.Repeat("n", bodyLength))
}

func (r *replica) answer(w http.ResponseWriter, status int, body string, length int) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", fmt.Sprint(length))
	w.Header().Set("X-Replica", r.name)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// reset breaks the connection under an answer.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if g, ok := c.(*gatedConn); ok {
		g.reset()
	}
}
