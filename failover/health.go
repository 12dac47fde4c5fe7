package failover

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// State is an endpoint's health for one class of calls.
type State uint32

const (
	// Healthy endpoints take their place by policy.
	Healthy State = iota
	// Returning endpoints prove themselves: one call at a time, then a growing share.
	Returning
	// Suspect endpoints step behind the healthy ones of their tier.
	Suspect
	// Ejected endpoints come last.
	Ejected
	// Drained endpoints take nothing new, by the word of an operator or a balancer. It
	// shows in events and in [EndpointStatus] only: health goes on beneath it.
	Drained
	// StoreDown shows in events only: every door of a store answers 5xx.
	StoreDown
	// Isolated shows in events only: the client has lost its own network.
	Isolated
)

var stateNames = [...]string{"healthy", "returning", "suspect", "ejected", "drained", "store_down", "isolated"}

// String returns the name.
func (s State) String() string { return stateNames[s] }

// class separates reads from writes: a database may refuse one and serve the other.
type class uint8

const (
	reads class = iota
	writes
	classes
)

func (c class) String() string { return [...]string{"read", "write"}[c] }

// health is one endpoint's state for one class: the table of the four states, one
// method per thing that happens. Nothing here waits, tells anybody or looks at a
// clock, but for gobreaker at its own window; all but the atomics requires the
// keeper's lock, and what happened comes back as the step to take. The breaker
// answers one question, has the failure ratio tripped, and lives for one generation.
//
//	from       on                                                          to
//	Healthy    1 failed dial, or 2 failures in a row                       Suspect
//	Healthy    slow for 3 s                                                Suspect
//	Healthy    3 failures in a row, or half of at least 5 in 10 s          Ejected
//	Healthy    what makes it Suspect, within the hold-down of having been  Ejected
//	Suspect    2 successes; probes count where they can see the cause      Healthy
//	Suspect    3 failures in a row, of calls or probes                     Ejected
//	Suspect    for a cause that probes cannot see: its time, and a probe   Returning
//	Ejected    its time and the hold-down, and a probe                     Returning
//	Ejected    a probe, while nobody else serves                           Returning
//	Ejected    a success, while nobody else serves                         Healthy
//	Returning  a success, while nobody else serves                         Healthy
//	Returning  the canary's success, then a share that grew to all         Healthy
//	Returning  nobody could be its canary for a minute, which for          Healthy
//	           writes begins when reads are Healthy, or for two
//	Returning  the canary's failure or its lease, 3 in a row, or a fifth   Ejected
type health struct {
	state      atomic.Uint32
	stirred    atomic.Bool  // a success has something to clear
	answers    atomic.Bool  // Ejected, and its last probe was good: it waits for its time only
	workedAt   atomic.Int64 // in trouble, a call worked all the same; since the keeper's start
	generation atomic.Uint64
	breaker    atomic.Pointer[gobreaker.TwoStepCircuitBreaker[struct{}]]

	failures    int // charged, in a row
	successes   int // in a row, while Suspect
	timeouts    int // in a row, charged or not
	ejections   int
	since       time.Time // the present state began
	until       time.Time // Ejected, or Suspect for what probes cannot see: not before
	healthyAt   time.Time
	recoveredAt time.Time // from Suspect
	failedAt    time.Time
	before      before
	doubtOp     string // an operation that failed without being charged
	doubtAt     time.Time
	trials      int // in flight
	canary      lease
	ramp        ramp // Returning: after the canary
	asked       int  // Returning: results since the canary, and how many failed
	failed      int
}

// before is what an endpoint was when its present trouble began, should that turn
// out to be somebody else's.
type before struct {
	known     bool
	ejections int
	cause     Fault
	at        time.Time
}

// lease is one canary's time; zero is none.
type lease struct {
	until  time.Time
	length time.Duration
}

// ticket ties an attempt's result to the generation in which it began.
type ticket struct {
	generation uint64
	canary     lease
	trial      bool
}

// step is where an endpoint goes and why; why is empty for staying.
type step struct {
	to  State
	why Fault
}

// Causes of a step that are no faults.
const (
	causeRecovered Fault = "recovered"
	causeProbe     Fault = "probe"
	causeTime      Fault = "time"
	causeLease     Fault = "lease"
)

var stay = step{}

func newHealth() *health {
	h := &health{}
	h.breaker.Store(newBreaker())
	return h
}

func newBreaker() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: ratioWindow, BucketPeriod: time.Second, Timeout: time.Hour,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.Requests >= ratioRequests && n.TotalFailures*2 >= n.Requests
		},
	})
}

func (h *health) current() State { return State(h.state.Load()) }

func (h *health) ticket() ticket { return ticket{generation: h.generation.Load()} }

// tick is what time alone does. readsWell is since when the endpoint's reads are
// Healthy, zero if they are not.
func (h *health) tick(c class, readsWell time.Time, r *Rules, now time.Time) step {
	if h.current() != Returning {
		return stay
	}
	switch overdue := now.Sub(h.canary.until); {
	case h.canary == lease{}:
	case overdue > h.canary.length: // nobody holds a lease that long: this process was stopped
		h.canary = lease{}
	case overdue >= 0:
		return step{Ejected, causeLease}
	}
	if h.ramp.full(now) {
		return step{Healthy, causeRecovered}
	}
	if !h.ramp.begun() && h.canary == (lease{}) && h.unasked(c, readsWell, now.Sub(h.since), r.Unasked, now) {
		return step{Healthy, causeTime}
	}
	return stay
}

// unasked: nobody could be a canary for so long that none is waited for. Reads may
// have been well long before anybody looked, so writes wait twice as long at most.
func (h *health) unasked(c class, readsWell time.Time, returning, limit time.Duration, now time.Time) bool {
	if c == reads {
		return returning >= limit
	}
	return !readsWell.IsZero() && returning >= limit && (now.Sub(readsWell) >= limit || returning >= 2*limit)
}

// trust is what a call may be used for: to prove an endpoint with, for how long.
type trust struct {
	canary bool // it may be repeated
	lease  time.Duration
	alone  bool // nobody else serves
	inside bool // the call has been let through before

	door      *door
	readsWell bool // the endpoint's reads work
	lately    bool // a read, or a call of the class, has just worked here
}

// admit says whether the endpoint may take a call now.
func (h *health) admit(may trust, now time.Time) (ticket, bool) {
	t := h.ticket()
	switch state := h.current(); {
	case state < Returning || state == Suspect:
		return t, true
	case state == Returning && !may.alone && h.ramp.begun():
		return t, h.ramp.admit(now)
	case state == Returning && !may.alone:
		if !may.canary || h.canary != (lease{}) {
			return t, false
		}
		h.canary = lease{now.Add(may.lease), may.lease}
		t.canary = h.canary
		return t, true
	case !may.canary && !may.lately && (state == Ejected || !may.readsWell): // a payment is no probe
		return t, false
	}
	if t.trial = h.trials < trials; t.trial {
		h.trials++
	}
	return t, t.trial
}

// works: Healthy, or on the way there with a success.
func (h *health) works() bool {
	return h.current() == Healthy || (h.current() == Returning && h.ramp.begun())
}

// release gives back what the ticket holds; every ticket ends with one.
func (h *health) release(t ticket) {
	if t.trial && t.generation == h.generation.Load() {
		h.trials--
	}
	if t.canary != (lease{}) && h.canary == t.canary {
		h.canary = lease{}
	}
}

// worked is an answer in good time.
func (h *health) worked(alone bool, r *Rules, now time.Time) step {
	h.failures, h.timeouts, h.doubtOp = 0, 0, ""
	switch h.current() {
	case Healthy:
		if now.Sub(h.failedAt) >= ratioWindow {
			h.before = before{}
			h.stirred.Store(false)
		}
	case Suspect:
		if h.successes++; h.successes >= successesToHealthy {
			return step{Healthy, causeRecovered}
		}
	case Ejected:
		if alone {
			return step{Healthy, causeRecovered}
		}
	case Returning:
		h.asked++
		if alone || r.Growth == 0 {
			return step{Healthy, causeRecovered}
		}
		if !h.ramp.begun() {
			h.ramp = newRamp(now, r.Growth)
		}
	default:
	}
	return stay
}

// charge is a failure that the endpoint is to blame for. tripped: the ratio has.
func (h *health) charge(fault Fault, tripped bool, r *Rules, now time.Time) step {
	h.note(fault, now)
	h.failures++
	h.successes = 0
	state := h.current()
	switch {
	case state == Ejected:
		return stay
	case state == Returning:
		h.asked++
		h.failed++
		share := h.asked >= ratioRequests && h.failed*returningFailed > h.asked
		if !h.ramp.begun() || share || h.failures >= failuresToEject {
			return step{Ejected, fault}
		}
	case h.failures >= failuresToEject || tripped:
		return step{Ejected, fault}
	case state == Healthy && (fault.unreachable() || h.failures >= failuresToSuspect):
		return h.suspected(fault, r, now)
	}
	return stay
}

// suspected: whoever has just recovered and fails again is not believed so fast.
func (h *health) suspected(fault Fault, r *Rules, now time.Time) step {
	if !h.recoveredAt.IsZero() && now.Sub(h.recoveredAt) < r.HoldDown {
		return step{Ejected, fault}
	}
	return step{Suspect, fault}
}

// doubt notes a failure that may be the request's own fault. It reports whether
// the endpoint is to blame all the same: it is still proving itself, another
// operation failed here lately too, or the third call in a row got no answer in time.
func (h *health) doubt(op string, fault Fault, now time.Time) bool {
	h.stirred.Store(true)
	h.failedAt = now
	blame := h.doubtOp != "" && h.doubtOp != op && now.Sub(h.doubtAt) < doubtWindow
	h.doubtOp, h.doubtAt = op, now
	if h.timeouts++; fault != FaultTimeout {
		h.timeouts = 0
	}
	if h.timeouts >= timeoutsToBlame {
		h.failures = max(h.failures, failuresToSuspect-1)
		return true
	}
	return blame || h.current() == Returning
}

// slow: the endpoint answers, but has been far too late for a while.
func (h *health) slow(r *Rules, now time.Time) step {
	switch h.current() {
	case Healthy:
		h.note(FaultSlow, now)
		return h.suspected(FaultSlow, r, now)
	case Returning:
		return h.charge(FaultSlow, false, r, now)
	default:
		return stay
	}
}

// probed is a probe's result.
func (h *health) probed(ok, alone bool, r *Rules, now time.Time) step {
	early := now.Before(h.until)
	h.answers.Store(ok)
	switch state := h.current(); {
	case state == Suspect && !ok:
		return h.charge(FaultProbe, false, r, now)
	case state == Suspect && h.until.IsZero():
		return h.worked(alone, r, now)
	case state == Suspect && (!early || alone):
		return step{Returning, causeProbe}
	case state == Ejected && ok && (alone || (!early && !now.Before(h.since.Add(r.HoldDown)))):
		return step{Returning, causeProbe}
	}
	return stay
}

// enter changes the state.
func (h *health) enter(s step, r *Rules, now time.Time) {
	from := h.current()
	h.state.Store(uint32(s.to))
	h.stirred.Store(true)
	h.answers.Store(false)
	h.successes, h.until, h.since = 0, time.Time{}, now
	switch s.to {
	case Suspect:
		if !s.why.seenByProbes() {
			h.until = now.Add(r.ejectionTime(max(1, h.forgotten(now))))
		}
		return // what is under way still counts
	case Ejected:
		if from != Returning {
			h.ejections = h.forgotten(now)
		}
		h.ejections++
		h.until = now.Add(r.ejectionTime(h.ejections))
	case Healthy:
		if from == Suspect {
			h.recoveredAt = now
		}
		h.healthyAt, h.before = now, before{}
	default:
	}
	h.generation.Add(1) // results of calls begun before do not count any more
	h.failures, h.timeouts, h.trials, h.asked, h.failed, h.doubtOp = 0, 0, 0, 0, 0, ""
	h.canary, h.ramp = lease{}, ramp{}
	h.breaker.Store(newBreaker())
}

// forgotten is how many ejections are left after the healthy minutes since.
func (h *health) forgotten(now time.Time) int {
	return max(0, h.ejections-int(now.Sub(h.healthyAt)/time.Minute))
}

// workedLately: not all that goes there fails.
func (h *health) workedLately(at time.Duration) bool {
	last := h.workedAt.Load()
	return last != 0 && at-time.Duration(last) < latelyWindow
}

// note remembers what the endpoint was before its first failure.
func (h *health) note(fault Fault, now time.Time) {
	h.stirred.Store(true)
	h.failedAt = now
	if !h.before.known {
		h.before = before{known: true, ejections: h.ejections, cause: fault, at: now}
	}
}

// forgive undoes trouble of a kind that began at since or later and was not the
// endpoint's own.
func (h *health) forgive(blamed func(Fault) bool, since time.Time, why Fault, r *Rules, now time.Time) step {
	if !h.before.known || !blamed(h.before.cause) || h.before.at.Before(since) {
		return stay
	}
	from := h.current()
	ejections, recovered := h.before.ejections, h.recoveredAt
	h.enter(step{Healthy, why}, r, now)
	h.ejections, h.recoveredAt = ejections, recovered
	if from == Healthy {
		return stay
	}
	return step{Healthy, why}
}

var errFailed = errors.New("failed")

// count tells the breaker and returns whether it has tripped.
func (h *health) count(err error) bool {
	breaker := h.breaker.Load()
	done, open := breaker.Allow()
	if open != nil {
		return true
	}
	done(err)
	return breaker.State() == gobreaker.StateOpen
}
