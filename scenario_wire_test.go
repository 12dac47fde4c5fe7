package hospital_test

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// skipSockets skips what takes seconds of real time.
func skipSockets(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("real sockets take real time")
	}
}

// flows are the connections that a client has made to a data centre.
type flows struct {
	mu  sync.Mutex
	all []*flow
}

// flow is a connection that can be silenced, and that remembers what was sent.
type flow struct {
	net.Conn
	closed chan struct{}

	mu     sync.Mutex
	silent bool
	done   bool
	sent   bytes.Buffer
}

// watch keeps every connection that is made from now on.
func (f *flows) watch(dial failover.DialFunc) failover.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &flow{Conn: conn, closed: make(chan struct{})}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.all = append(f.all, c)
		return c, nil
	}
}

// silence makes those that exist black holes; who dials anew is fine.
func (f *flows) silence() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.all {
		c.mu.Lock()
		c.silent = true
		c.mu.Unlock()
	}
}

// count is how many were made.
func (f *flows) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}

var (
	keyHeader = regexp.MustCompile(`(?i)If-None-Exist: ([^\r\n]*)`)
	posted    = regexp.MustCompile(`POST (/fhir/ServiceRequest) HTTP`)
)

// keys are the values of If-None-Exist that went over them.
func (f *flows) keys() []string { return f.seen(keyHeader) }

// posts are the orders that went over them.
func (f *flows) posts() []string { return f.seen(posted) }

func (f *flows) seen(what *regexp.Regexp) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.all {
		c.mu.Lock()
		for _, m := range what.FindAllStringSubmatch(c.sent.String(), -1) {
			out = append(out, m[1])
		}
		c.mu.Unlock()
	}
	return out
}

func (c *flow) isSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent
}

func (c *flow) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.isSilent() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *flow) Write(p []byte) (int, error) {
	if c.isSilent() {
		return len(p), nil
	}
	c.mu.Lock()
	c.sent.Write(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *flow) Close() error {
	c.mu.Lock()
	if !c.done {
		c.done = true
		close(c.closed)
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// names is a resolver of one data centre's names that can fail.
type names struct {
	mu    sync.Mutex
	fault func(ctx context.Context, address string) error
	dials int
	last  time.Time
}

func (n *names) watch(dial failover.DialFunc) failover.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		n.mu.Lock()
		fault := n.fault
		n.dials, n.last = n.dials+1, time.Now()
		n.mu.Unlock()
		if fault == nil {
			return dial(ctx, network, address)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: fault(ctx, address)}
	}
}

func (n *names) set(fault func(ctx context.Context, address string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault, n.dials = fault, 0
}

func (n *names) dialed() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// answeredAt is what the HIS of a data centre answered of an interaction, an empty one
// for all, from a time on.
func (s *stage) answeredAt(dc campus.DataCenterID, interaction string, since time.Time) []fakes.Entry {
	return slices.DeleteFunc(s.hosp.Ledger().Entries(), func(e fakes.Entry) bool {
		return e.DataCenter != dc || e.Endpoint != campus.EndpointID("his/"+dc) || e.Time.Before(since) || (interaction != "" && e.Interaction != interaction)
	})
}

// moves are the changes of state of the HIS of a data centre, of a class.
func (s *stage) moves(dc campus.DataCenterID, class string) []failover.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e failover.Event) bool {
		return e.Endpoint != campus.EndpointID("his/"+dc) || e.Class != class
	})
}

// between are results that began in a span of time.
func between(list []result, from, to time.Time) []result {
	return slices.DeleteFunc(slices.Clone(list), func(r result) bool { return r.began.Before(from) || !r.began.Before(to) })
}

// counted is how many of a list pass.
func counted[T any](list []T, f func(T) bool) int {
	n := 0
	for _, v := range list {
		if f(v) {
			n++
		}
	}
	return n
}

// elapse lets time pass.
func elapse(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // synctest bubble, or a pause over sockets
