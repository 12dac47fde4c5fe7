package failover

import (
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// EndpointStatus is what this process knows of one endpoint.
type EndpointStatus struct {
	Endpoint    campus.EndpointID
	System      campus.SystemID
	DataCenter  campus.DataCenterID
	Environment campus.EnvironmentID
	Store       campus.StoreID
	// Read and Write are the health of the two classes.
	Read, Write State
	// Draining: taken out by the description, an operator or a balancer. Drained: and
	// nothing is in flight any more. Stragglers are what still is.
	Draining, Drained bool
	Stragglers        []Straggler
	// InFlight counts the calls under way, a stream until its body is closed.
	InFlight int
	// StoreDown is since when the store behind it answers 5xx at every door; zero if
	// it does not.
	StoreDown time.Time
	// PausedUntil is until when the server asked for silence, zero if it did not.
	PausedUntil time.Time
	// ClockOffset is how far the server's clock is ahead of ours, to about a second,
	// by the Date headers of its answers; zero too while ClockKnown is false.
	ClockOffset time.Duration
	ClockKnown  bool
}

// Status returns every endpoint's, in the topology's order.
func (c *Client) Status() []EndpointStatus {
	sites, now := c.plan.Load().sites, time.Now()
	out := make([]EndpointStatus, 0, len(sites))
	c.keeper.do(func() {
		for _, s := range sites {
			c.keeper.tick(s, now)
			out = append(out, c.statusOf(s, now))
		}
	})
	return out
}

func (c *Client) statusOf(s *site, now time.Time) EndpointStatus {
	e := s.endpoint
	st := EndpointStatus{
		Endpoint: e.ID, System: e.System, DataCenter: e.DataCenter, Environment: e.Environment, Store: e.Store,
		Read: s.health[reads].current(), Write: s.health[writes].current(),
		Draining: s.out(), InFlight: int(s.places.taken.Load()),
	}
	if st.Draining {
		st.Stragglers = s.places.stragglers()
		st.Drained = len(st.Stragglers) == 0 && st.InFlight == 0
	}
	if s.store.down() {
		st.StoreDown = s.store.downSince
	}
	st.ClockOffset, st.ClockKnown = s.clock.offset()
	if left := max(s.paused(reads, now.Sub(c.keeper.start)), s.paused(writes, now.Sub(c.keeper.start))); left > 0 {
		st.PausedUntil = now.Add(left)
	}
	return st
}

// Isolated reports whether this client seems to have lost its own network.
func (c *Client) Isolated() bool { return c.keeper.isolated.Load() }

// Selector names endpoints; an empty field matches all.
type Selector struct {
	Endpoint    campus.EndpointID
	System      campus.SystemID
	DataCenter  campus.DataCenterID
	Environment campus.EnvironmentID
}

// Matches reports whether e is among them.
func (x Selector) Matches(e *campus.Endpoint) bool {
	return (x.Endpoint == "" || x.Endpoint == e.ID) && (x.System == "" || x.System == e.System) &&
		(x.DataCenter == "" || x.DataCenter == e.DataCenter) && (x.Environment == "" || x.Environment == e.Environment)
}

// Drain takes endpoints out in this process: nothing new goes there, but for what
// may be repeated when nobody else is left; calls in flight finish, and reads that
// have not after Rules.DrainDeadline are sent elsewhere. It returns how many
// endpoints match; [Client.Drained] tells when they are empty. Health never undoes
// it; [Client.Restore] does.
func (c *Client) Drain(x Selector) int { return c.setOperator(x, true) }

// Restore puts drained endpoints back and returns how many match. What the
// description or a balancer has taken out stays out.
func (c *Client) Restore(x Selector) int { return c.setOperator(x, false) }

// Drained reports whether endpoints match and all of them are taken out and empty.
func (c *Client) Drained(x Selector) bool {
	n := 0
	for _, s := range c.plan.Load().sites {
		if x.Matches(s.endpoint) {
			if n++; !s.out() || s.places.taken.Load() > 0 {
				return false
			}
		}
	}
	return n > 0
}

func (c *Client) setOperator(x Selector, out bool) int {
	n := 0
	for _, s := range c.plan.Load().sites {
		if x.Matches(s.endpoint) {
			n++
			c.setOut(s, &s.operator, out, "operator")
		}
	}
	return n
}

// setOut takes an endpoint out by one voice, or takes that word back.
func (c *Client) setOut(s *site, voice *atomic.Bool, out bool, who string) {
	was := s.out()
	if voice.Swap(out) == out || s.out() == was { // another voice holds it out
		return
	}
	c.moveReadsLater(s)
	ev := Event{
		Time: time.Now(), Endpoint: s.endpoint.ID, DataCenter: s.endpoint.DataCenter, Store: s.endpoint.Store,
		From: Drained, To: s.health[reads].current(), Cause: who,
	}
	if out {
		ev.From, ev.To = ev.To, Drained
	}
	c.tell(ev)
}

// moveReadsLater moves the reads that have not ended by the drain's deadline.
func (c *Client) moveReadsLater(s *site) {
	var timer *time.Timer
	switch out := s.out(); {
	case out && s.moving.Load() != nil:
		return // since another voice said so
	case out:
		timer = time.AfterFunc(c.keeper.rules.DrainDeadline, func() {
			for _, now := range c.plan.Load().sites { // its description may have changed
				if now.door == s.door && now.out() {
					now.places.move()
				}
			}
		})
	}
	if old := s.moving.Swap(timer); old != nil {
		old.Stop()
	}
}
