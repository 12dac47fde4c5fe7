package failover

import (
	"context"
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
)

// DialFunc connects to an address.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// site is one endpoint of one topology, and the door to it.
type site struct {
	endpoint *campus.Endpoint
	*door
}

// door is what this process knows of an address and how it gets there; it outlives
// a topology that leaves the address as it is.
type door struct {
	adapter  bool
	gone     atomic.Bool // no topology in force has it any more
	health   [classes]*health
	inFlight atomic.Int64
	drained  atomic.Bool
	probing  atomic.Bool  // a goroutine probes until it is healthy
	asking   atomic.Bool  // one probe is out to settle a doubt
	pause    atomic.Int64 // Unix nanoseconds before which the server asked for silence
	clock    clock

	pooled, fresh, probes http.RoundTripper
}

func newSite(e *campus.Endpoint, o *Options, notify func(*site, class, State, State, string)) *site {
	s := &site{endpoint: e, door: &door{}}
	s.drained.Store(e.Drained)
	for c := range classes {
		s.health[c] = newHealth(c, func(c class, from, to State, cause string) { notify(s, c, from, to, cause) })
	}
	if adapter := o.Adapters[e.ID]; adapter != nil {
		s.adapter, s.pooled, s.fresh = true, adapter, adapter
		return s
	}
	s.pooled = newTransport(e, o, idleTimeout)
	s.fresh = newTransport(e, o, freshIdle)
	s.probes = newTransport(e, o, freshIdle)
	return s
}

// same: the door to old leads to e as well.
func (s *site) same(e *campus.Endpoint) bool {
	old := s.endpoint
	return old.ID == e.ID && old.System == e.System && old.DataCenter == e.DataCenter && old.Role() == e.Role() &&
		old.Base().String() == e.Base().String()
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
	return &http.Transport{
		DialContext:            watched(dial, limit),
		DialTLSContext:         watched(dialTLS, limit+tlsTimeout),
		MaxIdleConns:           idlePerEndpoint,
		MaxIdleConnsPerHost:    idlePerEndpoint,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// transport chooses the connections for a call.
func (s *site) transport(call *Call) http.RoundTripper {
	if call.Repeat == Unsafe || (call.Repeat == Keyed && s.endpoint.Contract.ConditionalCreate != campus.Atomic) {
		return s.fresh
	}
	return s.pooled
}

// acquire takes a place among the calls in flight.
func (s *door) acquire(limit int) bool {
	if s.inFlight.Add(1) > int64(limit) {
		s.inFlight.Add(-1)
		return false
	}
	return true
}

func (s *door) release() { s.inFlight.Add(-1) }

func (s *door) paused(now time.Time) bool { return now.UnixNano() < s.pause.Load() }

// pausedUntil remembers the latest wish for silence.
func (s *door) pausedUntil(t time.Time) {
	for {
		old := s.pause.Load()
		if old >= t.UnixNano() || s.pause.CompareAndSwap(old, t.UnixNano()) {
			return
		}
	}
}

func (s *door) closeIdle() {
	for _, rt := range []http.RoundTripper{s.pooled, s.fresh, s.probes} {
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
