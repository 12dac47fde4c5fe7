package failover

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// State is an endpoint's health for one class of calls.
type State uint32

const (
	// Healthy endpoints take their place by policy.
	Healthy State = iota
	// Returning endpoints prove themselves with one call at a time.
	Returning
	// Suspect endpoints step behind the healthy ones of their tier.
	Suspect
	// Ejected endpoints come last.
	Ejected
	// Drained endpoints take nothing new, by an operator's word. It shows in
	// events and in [EndpointStatus.Drained] only: health goes on beneath it.
	Drained
)

// String returns the name.
func (s State) String() string {
	return [...]string{"healthy", "returning", "suspect", "ejected", "drained"}[s]
}

const (
	failuresToEject    = 3
	failuresToSuspect  = 2
	successesToHealthy = 2
	timeoutsToBlame    = 3
	ratioRequests      = 5
	ratioWindow        = 10 * time.Second
	firstEjection      = 5 * time.Second
	longestEjection    = time.Minute
	// longestReturning ends the proving of an endpoint that serves: writes that may
	// not be canaries have to come back some time.
	longestReturning = time.Minute
	// doubtWindow is how long an uncharged failure waits for another operation to fail too.
	// It is longer than two writes that use all their time.
	doubtWindow = 35 * time.Second
)

// class separates reads from writes: a database may refuse one and serve the other.
type class uint8

const (
	reads class = iota
	writes
	classes
)

func (c class) String() string { return [...]string{"read", "write"}[c] }

// health is one endpoint's state for one class. Its owner is the only writer of
// state; the breaker answers one question, has the failure ratio tripped, and
// lives for one generation.
type health struct {
	class  class
	notify func(class class, from, to State, cause string)
	state  atomic.Uint32 // read without the lock by pick

	mu         sync.Mutex
	generation atomic.Uint64 // written under the lock
	failures   int           // charged, in a row
	successes  int           // in a row, while not Healthy
	ejections  int
	until      time.Time // Ejected: not before
	since      time.Time // the present state began
	healthyAt  time.Time
	lease      time.Time // Returning: the canary's lease ends
	doubtOp    string    // an operation that failed without being charged
	doubtAt    time.Time
	timeouts   int // in a row, charged or not
	breaker    *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newHealth(c class, notify func(class, State, State, string)) *health {
	return &health{class: c, notify: notify, breaker: newBreaker()}
}

func newBreaker() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: ratioWindow, BucketPeriod: time.Second, Timeout: longestEjection,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.Requests >= ratioRequests && n.TotalFailures*2 >= n.Requests
		},
	})
}

func (h *health) current() State { return State(h.state.Load()) }

// ticket ties an attempt's result to the generation in which it began.
type ticket struct {
	h          *health
	generation uint64
	canary     bool
	lease      time.Time
}

// admit says whether the endpoint may take a call now. A Returning endpoint
// leases one canary at a time, to calls that may be repeated; a lease that ran
// out is a failure; a minute without one is proof enough.
func (h *health) admit(mayCanary bool, lease time.Duration, now time.Time) (ticket, bool) {
	if h.current() != Returning {
		return h.ticket(), true
	}
	h.mu.Lock()
	cause := ""
	switch {
	case h.current() != Returning: // somebody else has just decided
	case !h.lease.IsZero() && !now.Before(h.lease):
		cause = "lease"
		h.enter(Ejected, now)
	case h.lease.IsZero() && now.Sub(h.since) >= longestReturning:
		cause = "time"
		h.enter(Healthy, now)
	}
	to := h.current()
	t, ok := h.ticket(), to != Returning && to != Ejected
	if to == Returning && mayCanary && h.lease.IsZero() {
		h.lease = now.Add(lease)
		t.canary, t.lease, ok = true, h.lease, true
	}
	h.mu.Unlock()
	if cause != "" {
		h.notify(h.class, Returning, to, cause)
	}
	return t, ok
}

func (h *health) ticket() ticket { return ticket{h: h, generation: h.generation.Load()} }

// success records an answer that worked.
func (t ticket) success(now time.Time) {
	h := t.h
	h.mu.Lock()
	if t.generation != h.generation.Load() {
		h.mu.Unlock()
		return
	}
	h.failures, h.timeouts, h.doubtOp = 0, 0, ""
	h.count(nil)
	from := h.current()
	if from == Healthy {
		h.mu.Unlock()
		return
	}
	h.successes++
	if from != Returning && h.successes < successesToHealthy {
		h.mu.Unlock()
		return
	}
	h.enter(Healthy, now)
	h.mu.Unlock()
	h.notify(h.class, from, Healthy, "recovered")
}

// failure charges the endpoint. local faults (dial) count at once and more.
func (t ticket) failure(fault Fault, now time.Time) {
	h := t.h
	h.mu.Lock()
	if t.generation != h.generation.Load() {
		h.mu.Unlock()
		return
	}
	from := h.current()
	h.failures++
	h.successes = 0
	tripped := h.count(errFailed)
	to := from
	switch {
	case from == Returning, h.failures >= failuresToEject, tripped && from != Ejected:
		to = Ejected
	case from == Healthy && (fault == FaultDial || h.failures >= failuresToSuspect):
		to = Suspect
	}
	if to != from {
		h.enter(to, now)
	}
	h.mu.Unlock()
	if to != from {
		h.notify(h.class, from, to, string(fault))
	}
}

// doubt notes a failure that may be the request's own fault. It reports whether
// the endpoint is to blame all the same: another operation failed here lately
// too, or the third call in a row got no answer in time.
func (t ticket) doubt(op string, fault Fault, now time.Time) bool {
	h := t.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.generation != h.generation.Load() {
		return false
	}
	blame := h.doubtOp != "" && h.doubtOp != op && now.Sub(h.doubtAt) < doubtWindow
	h.doubtOp, h.doubtAt = op, now
	if fault != FaultTimeout {
		return blame
	}
	if h.timeouts++; h.timeouts >= timeoutsToBlame {
		h.failures = max(h.failures, failuresToSuspect-1)
		return true
	}
	return blame
}

// release gives an unused canary lease back.
func (t ticket) release() {
	if !t.canary {
		return
	}
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	if t.h.lease.Equal(t.lease) {
		t.h.lease = time.Time{}
	}
}

// probed records a probe's result for an endpoint that is not Healthy.
func (h *health) probed(ok bool, now time.Time) {
	t := h.ticket()
	h.mu.Lock()
	from := h.current()
	if from == Ejected && ok && !now.Before(h.until) {
		h.enter(Returning, now)
		h.mu.Unlock()
		h.notify(h.class, from, Returning, "probe")
		return
	}
	h.mu.Unlock()
	switch {
	case from != Suspect:
	case ok:
		t.success(now)
	default:
		t.failure(FaultDial, now)
	}
}

// enter changes state; it requires the lock.
func (h *health) enter(to State, now time.Time) {
	from := h.current()
	h.state.Store(uint32(to))
	h.successes = 0
	h.lease, h.since = time.Time{}, now
	if to == Suspect {
		return
	}
	h.generation.Add(1) // results of calls begun before do not count any more
	h.failures, h.timeouts = 0, 0
	h.breaker = newBreaker()
	switch to {
	case Healthy:
		h.healthyAt = now
	case Ejected:
		if from != Returning {
			h.ejections = max(0, h.ejections-int(now.Sub(h.healthyAt)/time.Minute))
		}
		h.ejections++
		h.until = now.Add(ejectionTime(h.ejections))
	default:
	}
}

// ejectionTime doubles from 5 s to a minute and is spread by a fifth, so that
// many clients do not come back together.
func ejectionTime(n int) time.Duration {
	d := longestEjection
	if n < 5 {
		d = min(d, firstEjection<<(n-1))
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter
}

var errFailed = errors.New("failed")

// count tells the breaker and returns whether it has tripped.
func (h *health) count(err error) bool {
	done, open := h.breaker.Allow()
	if open != nil {
		return true
	}
	done(err)
	return h.breaker.State() == gobreaker.StateOpen
}
