package failover

import (
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// What is bigger than one endpoint: a store whose every door answers 5xx, and a
// client without a network. Both freeze the health of endpoints, which are not to
// blame, and let one call a second find out. The keeper's lock guards all of it
// but the atomics.

const (
	// storeWindow is how close together failures of a store must be, and storeSilence
	// how long, or for how many of them, nothing may have worked: with half of all
	// answers 500 something does.
	storeWindow   = 3 * time.Second
	storeSilence  = 500 * time.Millisecond
	storeFailures = 30
	// isolationWindow is how close together two data centres must have been lost.
	isolationWindow = 10 * time.Second
	canaryEvery     = time.Second
)

// gate is shut but for canaries, then open to a growing share, then open.
type gate struct {
	shut     bool
	next     time.Time // when the next canary may go
	ramp     ramp
	window   time.Time // the second in which admitted were let through
	admitted int
}

func (g *gate) admit(may trust, now time.Time) bool {
	switch {
	case g.shut:
		if !may.canary || now.Before(g.next) {
			return false
		}
		g.next = now.Add(canaryEvery)
		return true
	case !g.ramp.begun(), may.inside:
		return true
	case g.ramp.full(now):
		g.ramp = ramp{}
		return true
	}
	if now.Sub(g.window) >= time.Second {
		g.window, g.admitted = now, 0
	}
	if g.admitted++; g.admitted <= trials { // who asks seldom harms nobody
		return true
	}
	return g.ramp.admit(now)
}

func (g *gate) open(now time.Time, growth time.Duration) {
	if !g.shut {
		return
	}
	if *g = (gate{}); growth > 0 {
		g.ramp = newRamp(now, growth)
	}
}

func (g *gate) wide() bool { return !g.shut && !g.ramp.begun() }

// storeHealth is one Store's: is its database there?
type storeHealth struct {
	id      campus.StoreID
	stirred atomic.Bool          // a success must be told
	guarded atomic.Bool          // a call must ask
	asked   atomic.Pointer[door] // by the last canary, while it is down

	since, last time.Time // 5xx since the last success
	failures    int
	op          string
	several     bool // more than one operation failed
	doors       map[*door]time.Time
	gates       [classes]gate
	downSince   time.Time
	readsBack   time.Time
}

func (s *storeHealth) down() bool { return s.gates[reads].shut || s.gates[writes].shut }

// failed notes a 5xx and reports whether the store is down now: every door has
// answered so to more than one operation, and nothing has worked for a while.
func (s *storeHealth) failed(d *door, op string, doors []*door, now time.Time) bool {
	if now.Sub(s.last) > storeWindow {
		s.since, s.failures, s.op, s.several, s.doors = now, 0, op, false, map[*door]time.Time{}
	}
	s.failures++
	s.last, s.several = now, s.several || op != s.op
	s.doors[d] = now
	s.stirred.Store(true)
	silent := now.Sub(s.since) >= storeSilence || s.failures >= storeFailures
	if !s.several || !silent || (s.gates[reads].shut && s.gates[writes].shut) {
		return false
	}
	for _, other := range doors {
		if at, failed := s.doors[other]; !failed || now.Sub(at) > storeWindow {
			return false
		}
	}
	return true
}

func (s *storeHealth) shut(now time.Time) {
	for c := range s.gates {
		s.gates[c] = gate{shut: true, next: now}
	}
	s.downSince, s.readsBack = now, time.Time{}
	s.guarded.Store(true)
}

// worked opens the gate of a class.
func (s *storeHealth) worked(c class, growth time.Duration, now time.Time) {
	s.last, s.since = time.Time{}, time.Time{}
	if c == reads && s.gates[reads].shut {
		s.readsBack = now
	}
	s.gates[c].open(now, growth)
	s.settle()
}

// admit asks the gate of a class. Writes that may not be canaries follow the
// reads after the time in which those grew.
func (s *storeHealth) admit(c class, may trust, growth time.Duration, now time.Time) bool {
	if g := &s.gates[writes]; c == writes && g.shut && !s.readsBack.IsZero() && now.Sub(s.readsBack) >= growth {
		g.open(now, 0)
	}
	canary := s.gates[c].shut
	ok := s.gates[c].admit(may, now)
	if ok && canary {
		s.asked.Store(may.door)
	}
	s.settle()
	return ok
}

func (s *storeHealth) settle() {
	if !s.down() {
		s.asked.Store(nil)
	}
	wide := s.gates[reads].wide() && s.gates[writes].wide()
	s.guarded.Store(!wide)
	s.stirred.Store(!wide || !s.last.IsZero())
}

// retryAfter is how soon a call may be the next canary.
func (s *storeHealth) retryAfter(c class, now time.Time) time.Duration {
	return max(s.gates[c].next.Sub(now), canaryEvery/10)
}

// center is what is known of the way to a data centre.
type center struct {
	stirred atomic.Bool
	heard   atomic.Int64 // since the keeper's start, 0: never

	since, last time.Time // failures that may be our own network's
}

// failed notes a failure that may be our own network's.
func (c *center) failed(now time.Time) {
	if now.Sub(c.last) > isolationWindow {
		c.since = now
	}
	c.last = now
	c.stirred.Store(true)
}

func (c *center) lost(now time.Time) bool {
	return !c.since.IsZero() && now.Sub(c.last) <= isolationWindow
}
