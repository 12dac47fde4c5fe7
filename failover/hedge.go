package failover

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
)

const (
	leastHedgeDelay = 30 * time.Millisecond
	// lostInARow is how many races an endpoint loses before somebody looks after it.
	lostInARow = 3
)

// hedgeDelay is after how long a call asks a second endpoint as well; 0 is never.
func (r *run) hedgeDelay(f *flight) time.Duration {
	if !r.call.Hedge || r.attempts != 1 || !r.quick() || r.pinned() || f.site.health[reads].current() != Healthy { // a canary must tell
		return 0
	}
	r.plan.hedges[r.call.System].earn()
	late, known := f.site.pace.p99()
	if !known {
		return 0
	}
	return max(late, leastHedgeDelay)
}

// race is a first request and the hedge that may follow it. The first runs in the
// caller's goroutine; while it does, the hedge may read the run and must not
// change it.
type race struct {
	run     *run
	primary *flight
	cancel  context.CancelFunc // the primary's
	done    chan struct{}      // the hedge has come back

	mu        sync.Mutex
	over      bool // the primary has come back
	won       bool // the hedge has, before the primary
	abandoned bool // nobody wants the hedge any more
	landed    bool // the hedge's result is there
	hedge     *flight
	stop      context.CancelFunc // the hedge's
	resp      *http.Response
	verdict   Verdict
}

// hedged sends f, and after delay another one beside it.
func (r *run) hedged(f *flight, delay time.Duration) (*http.Response, error) {
	x := &race{run: r, primary: f, done: make(chan struct{}), stop: func() {}}
	f.ctx, x.cancel = context.WithCancel(r.ctx)
	defer x.cancel()
	timer := time.AfterFunc(delay, x.second)
	resp, v := r.fly(f)
	timer.Stop()
	switch hedge, won := x.primaryBack(v.Outcome >= Rejected); {
	case hedge == nil:
		return r.land(f, resp, v)
	case v.Outcome >= Rejected:
		r.attempts++
		f.site.pace.wonRace()
		return r.land(f, resp, v)
	case won:
		r.attempts++
		r.lostRace(f)
		return r.land(hedge, x.resp, x.verdict)
	default: // the primary failed: what does the hedge say?
		r.attempts++
		_, _ = r.land(f, resp, v)
		r.tried, r.last = append(r.tried, hedge.site), hedge.site
		<-x.done
		return r.land(hedge, x.resp, x.verdict)
	}
}

// primaryBack ends the race. The hedge is left to itself when the primary's answer
// is taken.
func (x *race) primaryBack(taken bool) (hedge *flight, won bool) {
	x.mu.Lock()
	x.over = true
	drop := x.hedge != nil && taken
	x.abandoned = drop && !x.landed
	hedge, won = x.hedge, x.won
	stop, landed := x.stop, x.landed
	x.mu.Unlock()
	if drop {
		stop()
		if landed {
			x.run.drop(hedge, x.resp, x.verdict)
		}
	}
	return hedge, won
}

// second sends the hedge, in a goroutine of its own.
func (x *race) second() {
	h := x.start()
	if h == nil {
		return
	}
	resp, v := x.run.fly(h) //nolint:bodyclose // land or drop does
	x.mu.Lock()
	x.resp, x.verdict, x.landed = resp, v, true
	if v.Outcome == Committed && !x.over { // a refusal never beats a primary that is under way
		x.won = true
		x.cancel()
	}
	abandoned := x.abandoned
	x.mu.Unlock()
	close(x.done)
	if abandoned {
		x.run.drop(h, resp, v)
	}
}

// start finds a healthy peer with a place, if the budget allows.
func (x *race) start() *flight {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.run
	if x.over || r.ctx.Err() != nil {
		return nil
	}
	h := r.peer(time.Now())
	if h == nil {
		return nil
	}
	h.hedge = true
	h.attempt = x.primary.attempt
	h.attempt.N, h.attempt.Reason, h.attempt.Endpoint = h.attempt.N+1, "hedge", h.site.endpoint
	h.ctx, x.stop = context.WithCancel(context.WithValue(r.ctx, siteKey{}, h.site))
	x.hedge = h
	return h
}

// peer takes a place at a healthy endpoint that is as good as the first.
func (r *run) peer(now time.Time) *flight {
	for _, hop := range r.route {
		s := r.plan.sites[hop.Endpoint.Index()]
		if hop.Tier == campus.TierStandby || !r.candidate(s, nil, now) || s.out() || r.rank(s, now) != 0 || s.health[reads].current() != Healthy {
			continue
		}
		if !r.plan.hedges[r.call.System].spend() {
			return nil
		}
		return r.enter(s, &search{}, now)
	}
	return nil
}

// lostRace notes that an endpoint had not answered when its peer, asked later, had.
// That is slow, whatever it would have said; after several in a row somebody asks
// whether it is there at all.
func (r *run) lostRace(f *flight) {
	now := time.Now()
	k, s := r.client.keeper, f.site
	r.told(f, Result{Outcome: Unknown, Fault: FaultSlow, Duration: now.Sub(f.start)})
	slow, _ := s.pace.heard(2*s.pace.limit(), now.Sub(k.start))
	if s.pace.lostRace(now.Sub(k.start)) || slow {
		k.slow(s, reads, f.ticket, now)
	} else {
		k.release(s, reads, f.ticket)
	}
	if s.pace.lost.Load() >= lostInARow {
		r.client.verify(s, &doubt{site: s, class: reads, ticket: s.health[reads].ticket(), fault: FaultTimeout})
	}
}

// drop ends a hedge whose answer nobody needs. It says what it says of its endpoint.
func (r *run) drop(h *flight, resp *http.Response, v Verdict) {
	now := time.Now()
	if h.got.IsZero() {
		h.got = now
	}
	r.told(h, Result{Outcome: v.Outcome, Fault: v.Fault, Status: h.status, Duration: h.got.Sub(h.start)})
	if v.Outcome == Committed {
		r.client.keeper.worked(h.site, reads, h.ticket, now)
	} else {
		r.client.keeper.release(h.site, reads, h.ticket)
	}
	discard(resp)
}

// told tells the hook how an attempt ended.
func (r *run) told(f *flight, result Result) {
	if hook := r.client.options.Hooks.AttemptDone; hook != nil {
		hook(f.ctx, f.attempt, result)
	}
}
