package failover

import (
	"errors"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// search is the way to the next attempt: whom it passed over and why.
type search struct {
	passed []*site
	why    refusal // the gravest
	store  *site   // whose store is down
	busy   bool
	quiet  time.Duration // how long somebody asks for silence
	until  time.Time     // held at most
}

// next chooses an endpoint, takes a place there, and waits if it must. An endpoint
// that takes nobody just now is passed over, not used up.
func (r *run) next() *flight {
	var look search
	for {
		now := time.Now()
		r.replan()
		s := r.pick(now, look.passed)
		if s == nil {
			if r.hold(&look, now) {
				continue
			}
			r.nothingLeft(&look, now)
			return nil
		}
		f := r.enter(s, &look, now)
		switch {
		case f == nil:
			look.passed = append(look.passed, s)
		case !r.wait(s):
			r.giveBack(f)
			return nil
		case !r.led(s), s.out() && !r.harmless(s.endpoint.Contract): // while it waited
			r.giveBack(f)
			look.passed = append(look.passed, s)
		default:
			r.begin(f, r.reason(s))
			return f
		}
	}
}

// replan lets a call of which nothing has been sent follow the topology in force.
func (r *run) replan() {
	plan := r.client.plan.Load()
	unsent := r.attempts == 0 || (r.attempts == 1 && r.err != nil && r.err.Outcome == NotSent && r.err.Fault == FaultMoved)
	if plan == r.plan || !unsent {
		return
	}
	if route, err := plan.topology.Route(r.call.System, r.call.Campus, r.call.Kind); err == nil {
		r.plan, r.route, r.tried = plan, route, r.tried[:0]
	}
}

// enter takes a place at s, or notes why there is none.
func (r *run) enter(s *site, look *search, now time.Time) *flight {
	if left := s.paused(classOf(r.call.Kind), now.Sub(r.client.keeper.start)); left > 0 && !(r.harmless(s.endpoint.Contract) && s.knock(now.Sub(r.client.keeper.start))) {
		if look.quiet == 0 || left < look.quiet {
			look.quiet = left
		}
		return nil
	}
	c := classOf(r.call.Kind)
	may := trust{canary: r.mayCanary(), lease: r.lease(), inside: r.attempts > 0, alone: s.health[c].current() != Healthy && !r.others(s, look.passed, now)}
	t, why := r.client.keeper.admit(s, c, may, now)
	if look.why = max(look.why, why); why != admitted {
		if why == storeDown {
			look.store = s
		}
		return nil
	}
	f := &flight{site: s, ticket: t, place: place{call: r.call, since: now}}
	if !s.places.take(&f.place) {
		r.client.keeper.release(s, c, t)
		look.busy, r.crowded = true, true
		return nil
	}
	return f
}

// begin counts an attempt.
func (r *run) begin(f *flight, reason string) {
	r.attempts++
	r.tried, r.last = append(r.tried, f.site), f.site
	f.ctx = r.ctx
	f.attempt = Attempt{Call: r.call, Endpoint: f.site.endpoint, Method: r.req.Method, N: r.attempts, Reason: reason}
}

func (r *run) giveBack(f *flight) {
	f.site.places.leave(&f.place)
	r.client.keeper.release(f.site, classOf(r.call.Kind), f.ticket)
}

// lease is how long a canary may take; its credentials take their own time.
func (r *run) lease() time.Duration {
	lease := 2 * r.call.timeout()
	if r.call.AttemptTimeout > 0 {
		lease = 2 * r.call.AttemptTimeout
	}
	if r.client.options.Authorize != nil {
		lease += min(r.call.timeout(), DefaultTimeout)
	}
	return lease
}

// hold waits a little where that may help: nobody knows yet who is back, or who
// writes. It reports whether to look again.
func (r *run) hold(look *search, now time.Time) bool {
	rules := &r.client.keeper.rules
	pause := holdStep
	switch {
	case look.quiet > 0:
		pause = look.quiet + time.Duration(rules.jitter()*float64(look.quiet)/8) // not all together
		if deadline, _ := r.ctx.Deadline(); now.Add(pause).After(deadline) || r.mayHaveRun() {
			return false
		}
	case look.busy || look.why >= storeDown || r.mayHaveRun():
		return false
	case look.why != onTrial && (r.call.Kind != campus.Write || r.pinned()):
		return false
	}
	if look.until.IsZero() {
		look.until = now.Add(rules.WriteHold)
	}
	if look.quiet == 0 && !now.Before(look.until) {
		return false
	}
	*look = search{until: look.until}
	return r.sleep(pause)
}

// pinned: only endpoints that may be gone for good would do.
func (r *run) pinned() bool { return r.call.Endpoint != "" || r.proof }

func (r *run) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// nothingLeft makes the error of a call that cannot be sent, unless an earlier
// attempt says more.
func (r *run) nothingLeft(look *search, now time.Time) {
	if r.err != nil && (r.call.Repeat != Safe || look.why != storeDown) {
		return
	}
	k := r.client.keeper
	switch {
	case look.why == storeDown:
		r.err = k.storeError(look.store, classOf(r.call.Kind), now)
	case look.why == isolated:
		r.err = &Error{Err: ErrClientIsolated, Outcome: NotSent, Fault: FaultUnreachable, RetryAfter: canaryEvery}
	case look.busy || r.crowded:
		r.err = &Error{Err: ErrBusy, Outcome: NotSent, Fault: FaultBusy}
	case look.quiet > 0:
		r.err = &Error{Err: ErrUnavailable, Outcome: NotSent, Fault: FaultOverload, RetryAfter: min(look.quiet, MaxRetryAfter)}
	case r.call.Kind == campus.Write && !r.pinned():
		r.err = &Error{Err: ErrWriteUnavailable, Outcome: NotSent, RetryAfter: canaryEvery}
	default:
		r.err = &Error{Err: ErrUnavailable, Outcome: NotSent}
	}
	if r.ctx.Err() != nil {
		r.err.Err, r.err.Context = ErrDeadline, r.ctx.Err()
	}
}

// wait makes retries cost something: nothing for the first hop to another endpoint
// that is well, or at least answers probes or some calls; else a token of the
// budget and a pause.
func (r *run) wait(s *site) bool {
	if r.attempts == 0 || r.renew {
		r.renew = false
		return true
	}
	h := s.health[classOf(r.call.Kind)]
	if well := h.current() <= Returning || h.answers.Load() || h.workedLately(time.Since(r.client.keeper.start)); s != r.last && well && !r.freeHop {
		r.freeHop = true
		return true
	}
	if !r.plan.budgets[r.call.System].spend() {
		return false
	}
	if r.sleep(backoff(r.attempts)) {
		return true
	}
	if r.err == nil {
		return false // final makes the error
	}
	if r.err.Context = r.ctx.Err(); errors.Is(r.err.Err, ErrUnavailable) {
		r.err.Err = ErrDeadline
	}
	return false
}
