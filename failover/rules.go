package failover

import (
	"math/rand/v2"
	"time"
)

// Rules are the constants of the state machine that programs may change. Zero is
// the default; a negative duration means none.
type Rules struct {
	// FirstEjection is how long an endpoint stays out the first time, doubled with
	// each further time, spread by a fifth: 5 s. It never exceeds LongestEjection: 60 s.
	FirstEjection, LongestEjection time.Duration
	// HoldDown is how long an ejected endpoint stays out at least while another one
	// serves, so that a flapping one takes the traffic back and forth at most once in
	// that time: 60 s.
	HoldDown time.Duration
	// Growth is how long the share of a returning endpoint grows, from a tenth to
	// all, while another one serves: 60 s.
	Growth time.Duration
	// StoreGrowth is the same for all calls to a store that was down: 10 s.
	StoreGrowth time.Duration
	// Unasked is after how long an endpoint that answers probes is taken back without
	// a canary, because no call could be one: 60 s. Writes that may not be canaries,
	// such as payments, wait that long from when its reads are well.
	Unasked time.Duration
	// WriteHold is how long a write waits for a writer while there is none: 2 s.
	WriteHold time.Duration
	// DrainDeadline is after how long reads still under way at a drained endpoint are
	// moved: 300 s. Nothing else is ever cut short by a drain.
	DrainDeadline time.Duration
	// ProbeSuspect and ProbeEjected are how often such endpoints are probed: 500 ms
	// and 1 s, that growing to 10 s while an ejection lasts.
	ProbeSuspect, ProbeEjected time.Duration

	jitter func() float64 // from 0 to 1
}

// withDefaults fills in what is zero and turns negative into none.
func (r *Rules) withDefaults() {
	for _, d := range []struct {
		field    *time.Duration
		standard time.Duration
	}{
		{&r.FirstEjection, 5 * time.Second},
		{&r.LongestEjection, time.Minute},
		{&r.HoldDown, time.Minute},
		{&r.Growth, time.Minute},
		{&r.StoreGrowth, 10 * time.Second},
		{&r.Unasked, time.Minute},
		{&r.WriteHold, 2 * time.Second},
		{&r.DrainDeadline, 300 * time.Second},
		{&r.ProbeSuspect, 500 * time.Millisecond},
		{&r.ProbeEjected, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.standard
		}
		*d.field = max(*d.field, 0)
	}
	r.ProbeSuspect, r.ProbeEjected = max(r.ProbeSuspect, shortestProbe), max(r.ProbeEjected, shortestProbe)
	if r.jitter == nil {
		r.jitter = rand.Float64
	}
}

// Constants of the state machine that nobody may change.
const (
	failuresToEject    = 3
	failuresToSuspect  = 2
	successesToHealthy = 2
	timeoutsToBlame    = 3
	ratioRequests      = 5
	ratioWindow        = 10 * time.Second
	returningFailed    = 5 // a fifth of what was let through may fail
	// doubtWindow is how long an uncharged failure waits for another operation to fail too.
	// It is longer than two writes that use all their time.
	doubtWindow = 35 * time.Second
	// latelyWindow is how long a success is remembered of an endpoint in trouble.
	latelyWindow = 3 * time.Second
	// trials bounds the calls in flight to what nobody knows to be well.
	trials = 8

	shortestProbe  = 10 * time.Millisecond
	longestProbe   = 10 * time.Second
	probeTimeout   = 500 * time.Millisecond
	standbyTimeout = time.Second
)

// ejectionTime doubles and is spread by a fifth, so that many clients do not come
// back together.
func (r *Rules) ejectionTime(n int) time.Duration {
	d := r.FirstEjection
	for i := 1; i < n && d < r.LongestEjection; i++ {
		d *= 2
	}
	return time.Duration(float64(min(d, r.LongestEjection)) * (0.8 + 0.4*r.jitter()))
}

// ramp lets a growing share through: a tenth at once, all at its end. The zero
// value has not begun.
type ramp struct {
	from   time.Time
	length time.Duration
	credit float64
}

func newRamp(now time.Time, length time.Duration) ramp {
	return ramp{from: now, length: length, credit: 1 - rampFirst}
}

const rampFirst = 0.1

func (r *ramp) begun() bool { return !r.from.IsZero() }

func (r *ramp) full(now time.Time) bool { return r.begun() && now.Sub(r.from) >= r.length }

func (r *ramp) admit(now time.Time) bool {
	if r.full(now) {
		return true
	}
	r.credit += rampFirst + (1-rampFirst)*float64(now.Sub(r.from))/float64(r.length)
	if r.credit < 1-1e-9 { // ten tenths are a little less than one
		return false
	}
	r.credit = min(r.credit-1, 1)
	return true
}
