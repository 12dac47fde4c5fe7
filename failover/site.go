package failover

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Limits of the connections; see [Options].
const (
	dialTimeout        = 500 * time.Millisecond
	standbyDialTimeout = time.Second
	tlsTimeout         = time.Second
	idlePerEndpoint    = 256
	idleTimeout        = 90 * time.Second
	// freshIdle keeps calls that must not meet a connection the server has just
	// closed: a reset there looks like a lost answer.
	freshIdle       = time.Second
	maxHeaderBytes  = 64 << 10
	defaultInFlight = 512
	// pingAfter and pingTimeout find an HTTP/2 connection that leads nowhere.
	pingAfter   = time.Second
	pingTimeout = time.Second
)

// DialFunc connects to an address. Its connections should have SetLinger, as TCP's
// have, or NetConn: a request that was given up is not to be delivered later.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// site is one endpoint of one topology, and the door to it.
type site struct {
	endpoint *campus.Endpoint
	store    *storeHealth
	center   *center
	*door
}

// door is what this process knows of an address and how it gets there; it outlives
// a topology that leaves the address as it is.
type door struct {
	adapter bool
	gone    atomic.Bool // no topology in force has it any more
	health  [classes]*health
	pace    pace
	places  places
	clock   clock

	operator atomic.Bool                // drained in this process
	balancer atomic.Bool                // its health path said so
	moving   atomic.Pointer[time.Timer] // what moves its reads when it is drained
	role     atomic.Uint32
	pause    [classes]atomic.Int64 // since the client's start: the server asked for silence until then
	knocked  atomic.Int64          // when somebody tried all the same
	probing  atomic.Bool           // a goroutine probes until it is healthy
	asking   atomic.Bool           // one probe is out to settle a doubt
	healthQ  inquiry
	roleQ    inquiry

	pooled, fresh, single, probes http.RoundTripper
}

// Roles of a door by its store's role path.
const (
	roleUnknown uint32 = iota
	roleWriter
	roleOther
)

func newSite(e *campus.Endpoint, o *Options) *site {
	s := &site{endpoint: e, door: &door{places: places{all: make([]atomic.Pointer[place], o.MaxInFlight)}}}
	for c := range classes {
		s.health[c] = newHealth()
	}
	if adapter := o.Adapters[e.ID]; adapter != nil {
		s.adapter, s.pooled, s.fresh, s.single = true, adapter, adapter, adapter
		return s
	}
	if o.network != nil {
		s.pooled = o.network(e)
		s.fresh, s.single, s.probes = s.pooled, s.pooled, s.pooled
		return s
	}
	s.pooled = newTransport(e, o, idleTimeout)
	s.fresh = newTransport(e, o, freshIdle)
	s.probes = newTransport(e, o, freshIdle)
	if s.single = s.fresh; e.Front == campus.VIP {
		once := newTransport(e, o, freshIdle)
		once.DisableKeepAlives = true
		s.single = once
	}
	return s
}

// same: the door to old leads to e as well.
func (s *site) same(e *campus.Endpoint) bool {
	old := s.endpoint
	return old.ID == e.ID && old.System == e.System && old.DataCenter == e.DataCenter && old.Role() == e.Role() &&
		old.Base().String() == e.Base().String() && old.Front == e.Front && old.HTTP2 == e.HTTP2
}

// out: taken out by the description, an operator or a balancer.
func (s *site) out() bool {
	return s.endpoint.Drained || s.endpoint.Fenced || s.operator.Load() || s.balancer.Load()
}

func (d *door) serves(c class) bool { return d.health[c].current() == Healthy }

// beside: an endpoint that can take the other's calls, no worse for some campus.
func (s *site) beside(other *site) bool {
	a, b := s.endpoint, other.endpoint
	if a.System != b.System || a.Environment != b.Environment || (a.Role() != b.Role() && !a.Writes()) {
		return false
	}
	if len(a.Campuses) == 0 || len(b.Campuses) == 0 {
		return true
	}
	for _, id := range a.Campuses {
		if b.Serves(id) {
			return true
		}
	}
	return false
}

func newTransport(e *campus.Endpoint, o *Options, idle time.Duration) *http.Transport {
	dial := o.Dial[e.DataCenter]
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if o.Proxy != nil {
		dial = throughProxy(dial, o.Proxy)
	}
	limit := dialTimeout
	if e.Role() == campus.Standby {
		limit = standbyDialTimeout
	}
	dialTLS := o.DialTLS[e.DataCenter]
	if dialTLS == nil {
		dialTLS = overTLS(dial, limit, tlsOf(e, o))
	}
	t := &http.Transport{
		DialContext:            watched(dial, limit, false),
		DialTLSContext:         watched(dialTLS, limit+tlsTimeout, e.HTTP2),
		MaxIdleConns:           idlePerEndpoint,
		MaxIdleConnsPerHost:    idlePerEndpoint,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	if e.HTTP2 {
		t.Protocols = &http.Protocols{}
		t.Protocols.SetHTTP2(true)
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: pingAfter + pingTimeout}
	}
	return t
}

// negotiated is the protocol both sides agreed on.
func negotiated(conn net.Conn) string {
	if c, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return c.ConnectionState().NegotiatedProtocol
	}
	return ""
}

// transport chooses the connections for a call's nth attempt.
func (s *site) transport(call *Call, n int) http.RoundTripper {
	switch {
	case s.endpoint.Front == campus.VIP && n > 1:
		return s.single // a new connection, so that the balancer chooses again
	case call.Repeat == Unsafe || (call.Repeat == Keyed && s.endpoint.Contract.ConditionalCreate != campus.Atomic):
		return s.fresh
	}
	return s.pooled
}

// paused is for how long the server has asked for silence, from at on.
func (d *door) paused(c class, at time.Duration) time.Duration {
	return max(0, time.Duration(d.pause[c].Load())-at)
}

// pausedUntil remembers the latest wish for silence: a 429 rations what was asked, and
// says nothing of the other class.
func (d *door) pausedUntil(at time.Duration, of ...class) {
	if len(of) == 0 {
		of = []class{reads, writes}
	}
	for _, c := range of {
		for old := d.pause[c].Load(); old < int64(at) && !d.pause[c].CompareAndSwap(old, int64(at)); old = d.pause[c].Load() {
		}
	}
}

// knock lets one call a second try what asks for silence, when there is nobody else.
func (d *door) knock(at time.Duration) bool {
	last := d.knocked.Load()
	return (last == 0 || at-time.Duration(last) >= canaryEvery) && d.knocked.CompareAndSwap(last, int64(max(at, 1)))
}

func (s *site) closeIdle() {
	for _, rt := range []http.RoundTripper{s.pooled, s.fresh, s.single, s.probes} {
		if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

func classOf(k campus.Kind) class {
	if k == campus.Write {
		return writes
	}
	return reads
}
