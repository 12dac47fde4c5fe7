package failover

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hospital-go/hospital/campus"
)

const (
	probeSuspect   = 500 * time.Millisecond
	probeEjected   = time.Second
	probeTimeout   = 500 * time.Millisecond
	standbyTimeout = time.Second
)

// probe asks s until it is healthy again, in one goroutine per site. A healthy
// endpoint is asked only to settle a doubt, or by Reachable.
func (c *Client) probe(s *site) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !s.probing.CompareAndSwap(false, true) {
		return
	}
	c.probes.Go(func() { c.probeUntilHealthy(s) })
}

func (c *Client) probeUntilHealthy(s *site) {
	for {
		worst := max(s.health[reads].current(), s.health[writes].current())
		if s.gone.Load() {
			return
		}
		if worst <= Returning {
			s.probing.Store(false)
			if max(s.health[reads].current(), s.health[writes].current()) <= Returning || !s.probing.CompareAndSwap(false, true) {
				return // a change that came just now found probing set, or starts its own
			}
			continue
		}
		interval := probeSuspect
		if worst == Ejected {
			interval = probeEjected
		}
		timer := time.NewTimer(interval + rand.N(interval/5)) //nolint:gosec // jitter
		select {
		case <-c.life.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		ok := c.alive(s)
		if c.life.Err() != nil {
			return // its failure was our own leaving
		}
		for _, h := range s.health {
			h.probed(ok, time.Now())
		}
	}
}

// Reachable asks every endpoint of a system at once and returns nil as soon as one
// is alive, else [ErrUnavailable].
func (c *Client) Reachable(ctx context.Context, system campus.SystemID) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sites := c.plan.Load().sites
	answers, asked := make(chan bool, len(sites)), 0
	for _, s := range sites {
		if s.endpoint.System == system {
			asked++
			go func() { answers <- c.aliveIn(ctx, s) }()
		}
	}
	for range asked {
		if <-answers {
			return nil
		}
	}
	return &Error{Err: ErrUnavailable, Outcome: NotSent}
}

// verify settles a doubt: was it the request's fault or the endpoint's? One probe
// at a time; if that fails too, the endpoint is charged.
func (c *Client) verify(s *site, d *doubt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || s.adapter || !s.asking.CompareAndSwap(false, true) {
		return
	}
	c.probes.Go(func() {
		defer s.asking.Store(false)
		if !c.alive(s) && c.life.Err() == nil {
			d.charge(time.Now())
		}
	})
}

// alive asks for the probe path and looks at the status only: any answer but a
// 5xx means that somebody is there.
func (c *Client) alive(s *site) bool { return c.aliveIn(c.life, s) }

func (c *Client) aliveIn(ctx context.Context, s *site) bool {
	if s.adapter {
		return true // nobody knows how to ask; its calls will tell
	}
	timeout := probeTimeout
	if s.endpoint.Role() == campus.Standby {
		timeout = standbyTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint.Base().String()+c.options.ProbePath, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := s.probes.RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode < 500
}
