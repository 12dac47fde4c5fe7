package fakes

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// server is one endpoint's.
type server struct {
	hospital *Hospital
	endpoint *campus.Endpoint
	store    *store
	address  string // as dialed
	bound    string
	port     io.Closer // keeps the port while the server is stopped; nil in memory

	line line // what comes in; silent while it is a black hole

	mu      sync.Mutex
	http    *http.Server
	door    *door
	conns   map[*lineConn]bool
	stall   chan struct{} // not nil: a black hole
	cursors map[string][]string
	cursor  int
	results map[string]searchResult
	unready bool
	limit   int // of requests in flight; 0: none
	flying  int
	load    Load
}

func (h *Hospital) newServer(e *campus.Endpoint) (*server, error) {
	s := &server{
		hospital: h, endpoint: e, store: h.stores[e.Store], line: line{lossy: true},
		conns: map[*lineConn]bool{}, cursors: map[string][]string{}, results: map[string]searchResult{},
	}
	err := s.start()
	if err != nil {
		s.release()
	}
	return s, err
}

// chosen are the servers a selector names.
func (h *Hospital) chosen(x failover.Selector) []*server {
	return slices.DeleteFunc(slices.Clone(h.servers), func(s *server) bool {
		e := s.endpoint
		return (x.Endpoint != "" && x.Endpoint != e.Name()) || (x.System != "" && x.System != e.System) ||
			(x.DataCenter != "" && x.DataCenter != e.DataCenter) || (x.Environment != "" && x.Environment != e.Environment)
	})
}

// StopAt takes servers away: listeners close, connections are reset. An empty
// field of x matches all.
func (h *Hospital) StopAt(x failover.Selector) {
	for _, s := range h.chosen(x) {
		s.stop()
	}
}

// StartAt brings stopped servers back. In memory it cannot fail; on loopback sockets it
// fails when a port was taken meanwhile, on Linux only by a program that asked for it.
func (h *Hospital) StartAt(x failover.Selector) error {
	var all error
	for _, s := range h.chosen(x) {
		all = errors.Join(all, s.start())
	}
	return all
}

// Stop is [Hospital.StopAt] a data centre.
func (h *Hospital) Stop(dc campus.DataCenterID) { h.StopAt(failover.Selector{DataCenter: dc}) }

// Start is [Hospital.StartAt] a data centre.
func (h *Hospital) Start(dc campus.DataCenterID) error {
	return h.StartAt(failover.Selector{DataCenter: dc})
}

// Hang makes a data centre a black hole, or ends that: new connections get no
// answer, existing ones neither. When it ends, connections on which something came
// meanwhile are reset, and that is never executed. In memory it cannot fail; on loopback
// sockets it fails where the kernel cannot be made to ignore a dial, which is known of Linux only.
func (h *Hospital) Hang(dc campus.DataCenterID, on bool) error {
	list := h.chosen(failover.Selector{DataCenter: dc})
	failed := make([]error, len(list))
	var all sync.WaitGroup
	for i, s := range list {
		all.Go(func() { failed[i] = s.hang(on) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// listen opens the server's listener, again where it was before.
func (s *server) listen() (net.Listener, string, error) {
	if !s.hospital.loopback {
		host := hostOf(s.endpoint)
		l, err := s.hospital.network.Listen(net.JoinHostPort(host, s.hospital.port()))
		return l, host, err
	}
	at := s.bound
	if at == "" {
		var err error
		if at, s.port, err = reserve(s.wantedPort()); err != nil {
			return nil, "", err
		}
	}
	l, err := net.Listen("tcp", at) //nolint:noctx // it returns at once
	if err != nil {
		return nil, "", err
	}
	return l, l.Addr().String(), nil
}

// release gives the port up.
func (s *server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.port != nil {
		_ = s.port.Close()
	}
}

// wantedPort is 0 where any will do.
func (s *server) wantedPort() int {
	h := s.hospital
	if h.firstPort == 0 {
		return 0
	}
	return h.firstPort + slices.IndexFunc(h.description.Endpoints, func(x campus.Endpoint) bool { return x.Name() == s.endpoint.Name() })
}

// hostOf is an endpoint's name in memory: his.dc-a.test, pacs.hankou.a.dc-a.test.
func hostOf(e *campus.Endpoint) string {
	parts := []string{string(e.System)}
	if len(e.Campuses) > 0 {
		parts = append(parts, string(e.Campuses[0]))
	}
	if e.Environment != "" {
		parts = append(parts, strings.ToLower(string(e.Environment)))
	}
	return strings.Join(append(parts, string(e.DataCenter), "test"), ".")
}

func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return nil
	}
	l, host, err := s.listen()
	if err != nil {
		return err
	}
	if s.bound == "" {
		s.bound, s.address = host, host
		if !strings.Contains(host, ":") {
			s.address = net.JoinHostPort(host, s.hospital.port())
		}
		s.endpoint.URL = s.hospital.scheme() + "://" + host + basePath(s.endpoint.System)
	}
	s.door = newDoor(s, l)
	if s.stall != nil {
		if err := s.door.shut(); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ConnContext: withConn}
	s.hospital.secure(s.http, s.endpoint)
	go serve(s.http, s.door)
	return nil
}

func serve(srv *http.Server, l net.Listener) {
	if srv.TLSConfig != nil {
		_ = srv.ServeTLS(l, "", "")
		return
	}
	_ = srv.Serve(l)
}

// connKey finds a request's connection, which HTTP/2 does not hand over.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// stop resets every connection, as a machine that loses power does.
func (s *server) stop() {
	s.mu.Lock()
	srv := s.http
	if s.http = nil; srv != nil {
		_ = s.door.Close() // a server that has not begun to serve would leave it open
	}
	clear(s.cursors)
	s.mu.Unlock()
	s.resetAll()
	if srv != nil {
		_ = srv.Close()
	}
}

func (s *server) resetAll() {
	s.mu.Lock()
	var list []*lineConn
	for c := range s.conns {
		list = append(list, c)
	}
	s.mu.Unlock()
	for _, c := range list {
		c.reset()
	}
}

func (s *server) hang(on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on == (s.stall != nil) {
		return nil
	}
	if !s.hospital.loopback {
		s.hospital.network.Hang(s.address, on)
	}
	switch {
	case !on:
		close(s.stall)
		s.stall = nil
		s.door.open()
	default:
		if s.http != nil {
			if err := s.door.shut(); err != nil {
				return err
			}
		}
		s.stall = make(chan struct{})
	}
	s.line.hush(on)
	return nil
}

// adopt takes a connection in, nil when the server is stopped meanwhile.
func (s *server) adopt(d *door, inner net.Conn) net.Conn {
	c := s.line.join(inner, s.forget)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil || s.door != d {
		s.line.leave(c)
		resetConn(inner)
		return nil
	}
	s.load.Connections++
	s.conns[c] = true
	return c
}

func (s *server) forget(c *lineConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
