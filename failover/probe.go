package failover

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// probe asks s until nothing is to be found out by it, in one goroutine per site.
// A healthy endpoint is asked only to settle a doubt, or by Reachable.
func (c *Client) probe(s *site) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !s.probing.CompareAndSwap(false, true) {
		return
	}
	c.probes.Go(func() { c.probeWhileNeeded(s) })
}

func (c *Client) probeWhileNeeded(s *site) {
	for !s.gone.Load() {
		interval := c.probeInterval(s)
		if interval == 0 {
			s.probing.Store(false)
			if c.probeInterval(s) == 0 || !s.probing.CompareAndSwap(false, true) {
				return // a change that came just now found probing set, or starts its own
			}
			continue
		}
		timer := time.NewTimer(interval + rand.N(interval/5)) //nolint:gosec // jitter
		select {
		case <-c.life.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		fault := c.ask(c.life, s)
		if c.life.Err() != nil {
			return // its failure was our own leaving
		}
		c.keeper.probed(s, fault, time.Now())
	}
}

// probeInterval is 0 when there is nothing to find out. The longer an ejected
// endpoint has been out while another one serves, the less often it is asked.
func (c *Client) probeInterval(s *site) (interval time.Duration) {
	k := c.keeper
	k.do(func() {
		now := time.Now()
		for c := range classes {
			var own time.Duration
			switch h := s.health[c]; {
			case h.current() == Suspect, k.isolated.Load() && s.center.stirred.Load():
				own = k.rules.ProbeSuspect
			case h.current() == Ejected && k.onlyOne(s, c):
				own = k.rules.ProbeEjected
			case h.current() == Ejected:
				own = max(k.rules.ProbeEjected, min(now.Sub(h.since)/8, longestProbe))
			default:
				continue
			}
			if interval == 0 || own < interval {
				interval = own
			}
		}
	})
	return interval
}

// Reachable asks every endpoint of a system at once and returns nil as soon as one
// is alive, else [ErrUnavailable].
func (c *Client) Reachable(ctx context.Context, system campus.SystemID) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sites := c.plan.Load().sites
	answers, asked := make(chan Fault, len(sites)), 0
	for _, s := range sites {
		if s.endpoint.System == system {
			asked++
			go func() { answers <- c.ask(ctx, s) }()
		}
	}
	for range asked {
		if <-answers == FaultNone {
			return nil
		}
	}
	return &Error{Err: ErrUnavailable, Outcome: NotSent}
}

// verify settles a doubt: was it the request's fault or the endpoint's? One probe
// at a time; if that fails too, the endpoint is charged.
func (c *Client) verify(s *site, d *doubt) {
	if s.adapter || !s.asking.CompareAndSwap(false, true) {
		return
	}
	c.background(func() {
		defer s.asking.Store(false)
		status, html, fault := c.get(c.life, s, c.options.ProbePath)
		ill := fault != FaultNone || status >= http.StatusInternalServerError || (html && d.fault == FaultForeign)
		if ill && c.life.Err() == nil {
			d.charge(c.keeper, time.Now())
		}
	}, func() { s.asking.Store(false) })
}

// background runs f for as long as the client lives; otherwise when it does not.
func (c *Client) background(f, otherwise func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		otherwise()
		return
	}
	c.probes.Go(f)
}

// ask asks for the probe path and looks at the status only: any answer but a 5xx
// means that somebody is there. Of an adapter nobody knows how to ask; its calls
// will tell.
func (c *Client) ask(ctx context.Context, s *site) Fault {
	if s.adapter {
		return FaultNone
	}
	status, _, fault := c.get(ctx, s, c.options.ProbePath)
	if fault == FaultNone && status >= http.StatusInternalServerError {
		return FaultStatus
	}
	return fault
}

// get asks for a path below an endpoint's base, without credentials, over
// connections of its own.
func (c *Client) get(ctx context.Context, s *site, path string) (status int, html bool, fault Fault) {
	timeout := probeTimeout
	if s.endpoint.Role() == campus.Standby {
		timeout = standbyTimeout
	}
	w := &wire{}
	ctx, cancel := context.WithTimeout(w.watch(ctx), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint.Base().String()+path, http.NoBody)
	if err != nil {
		return 0, false, FaultBody
	}
	if s.endpoint.HTTP2 {
		req.Body = once{http.NoBody} // see mustNotReplay
	}
	resp, err := s.probes.RoundTrip(req)
	if err != nil {
		return 0, false, w.silence(ctx)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, isHTML(resp), FaultNone
}

// silence is why a probe brought nothing. One whose time was over before it had a
// connection met nobody.
func (w *wire) silence(ctx context.Context) Fault {
	refused := w.refused.Load()
	switch {
	case refused != nil:
		return *refused
	case !w.gotConn.Load():
		return FaultUnreachable
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return FaultTimeout
	}
	return FaultReset
}

// inquiry is a question that is asked again while there is traffic.
type inquiry struct {
	at   atomic.Int64 // since the client's start; 0: at once
	busy atomic.Bool
}

const (
	inquiryEvery = time.Second
	// roleEvery is how often is asked who writes while nobody is known to.
	roleEvery = 200 * time.Millisecond
)

// inquire asks for path unless that was done lately, and passes the status on, 0
// for none.
func (c *Client) inquire(s *site, q *inquiry, every time.Duration, path string, now time.Time, answer func(status int)) {
	at := int64(now.Sub(c.keeper.start)) + 1
	if last := q.at.Load(); s.adapter || (last != 0 && at-last < int64(every)) || !q.busy.CompareAndSwap(false, true) {
		return
	}
	q.at.Store(at)
	c.background(func() {
		defer q.busy.Store(false)
		status, _, _ := c.get(c.life, s, path)
		if c.life.Err() == nil {
			answer(status)
		}
	}, func() { q.busy.Store(false) })
}

// heedBalancer asks the health path: 503 means that its balancer takes it out.
func (c *Client) heedBalancer(s *site, now time.Time) {
	c.inquire(s, &s.healthQ, inquiryEvery, s.endpoint.HealthPath, now, func(status int) {
		switch {
		case status == http.StatusServiceUnavailable:
			c.setOut(s, &s.balancer, true, "balancer")
		case status != 0 && status < 400:
			c.setOut(s, &s.balancer, false, "balancer")
		}
	})
}

// askRole asks who writes a store that has one writer at a time. What was heard long
// ago is not believed.
func (c *Client) askRole(s *site, every time.Duration, now time.Time) {
	if int64(now.Sub(c.keeper.start))-s.roleQ.at.Load() > int64(2*inquiryEvery) {
		s.role.Store(roleUnknown)
	}
	c.inquire(s, &s.roleQ, every, s.endpoint.StoreOf().RolePath, now, func(status int) {
		switch status {
		case http.StatusOK:
			s.role.Store(roleWriter)
		case 0:
			s.role.Store(roleUnknown)
		default:
			s.role.Store(roleOther)
		}
	})
}
