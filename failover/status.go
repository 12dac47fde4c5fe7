package failover

import (
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
	// Drained: taken out by an operator. InFlight tells when it is empty.
	Drained  bool
	InFlight int
	// PausedUntil is until when the server asked for silence, zero if it did not.
	PausedUntil time.Time
	// ClockOffset is how far the server's clock is ahead of ours, to about a second,
	// by the Date headers of its answers; zero too while ClockKnown is false.
	ClockOffset time.Duration
	ClockKnown  bool
}

// Status returns every endpoint's, in the topology's order.
func (c *Client) Status() []EndpointStatus {
	sites := c.plan.Load().sites
	out := make([]EndpointStatus, 0, len(sites))
	for _, s := range sites {
		e := s.endpoint
		st := EndpointStatus{
			Endpoint: e.ID, System: e.System, DataCenter: e.DataCenter, Environment: e.Environment, Store: e.Store,
			Read: s.health[reads].current(), Write: s.health[writes].current(),
			Drained: s.drained.Load(), InFlight: int(s.inFlight.Load()),
		}
		st.ClockOffset, st.ClockKnown = s.clock.offset()
		if s.paused(time.Now()) {
			st.PausedUntil = time.Unix(0, s.pause.Load())
		}
		out = append(out, st)
	}
	return out
}

// Selector names endpoints; an empty field matches all.
type Selector struct {
	Endpoint    campus.EndpointID
	System      campus.SystemID
	DataCenter  campus.DataCenterID
	Environment campus.EnvironmentID
}

func (x Selector) matches(e *campus.Endpoint) bool {
	return (x.Endpoint == "" || x.Endpoint == e.ID) && (x.System == "" || x.System == e.System) &&
		(x.DataCenter == "" || x.DataCenter == e.DataCenter) && (x.Environment == "" || x.Environment == e.Environment)
}

// Drain takes endpoints out in this process: nothing new goes there, calls in
// flight finish. It returns how many endpoints match; [Client.Status] tells when
// they are empty. Health never undoes it; [Client.Restore] does.
func (c *Client) Drain(x Selector) int { return c.setDrained(x, true) }

// Restore puts drained endpoints back and returns how many match.
func (c *Client) Restore(x Selector) int { return c.setDrained(x, false) }

func (c *Client) setDrained(x Selector, drained bool) int {
	n := 0
	for _, s := range c.plan.Load().sites {
		if !x.matches(s.endpoint) {
			continue
		}
		n++
		if s.drained.Swap(drained) == drained || c.options.Hooks.Event == nil {
			continue
		}
		ev := Event{Time: time.Now(), Endpoint: s.endpoint.ID, From: Drained, To: s.health[reads].current(), Cause: "restored"}
		if drained {
			ev.From, ev.To, ev.Cause = ev.To, Drained, "drained"
		}
		c.options.Hooks.Event(ev)
	}
	return n
}
