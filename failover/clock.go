package failover

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// clock is how far a server's clock is from ours, by the Date of its answers
// (RFC 9110, section 6.6.1).
type clock struct {
	known atomic.Bool
	ahead atomic.Int64 // nanoseconds
}

// slowAnswer is an answer too slow to tell the time by.
const slowAnswer = 2 * time.Second

// heard reads one answer's Date, which is cut to the second.
func (c *clock) heard(h http.Header, sent, received time.Time) {
	if h.Get("Age") != "" || received.Sub(sent) > slowAnswer { // from a cache, or long ago
		return
	}
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	middle := sent.Add(received.Sub(sent) / 2)
	ahead := at.Add(time.Second / 2).Sub(middle)
	if ahead.Abs() < time.Second {
		ahead = 0 // within what a Date can tell
	}
	c.ahead.Store(int64(ahead))
	c.known.Store(true)
}

func (c *clock) offset() (time.Duration, bool) {
	return time.Duration(c.ahead.Load()), c.known.Load()
}

// siteKey names the site of an attempt that is not its run's last: a hedge.
type siteKey struct{}

// ServerTime is the time by the clock of the endpoint that the attempt in ctx goes
// to, as far as its answers told it, else ours. It is for [Options.Authorize]: a
// signature or an assertion with our time is refused where clocks differ.
func ServerTime(ctx context.Context) time.Time {
	now := time.Now()
	s, _ := ctx.Value(siteKey{}).(*site)
	if r := runOf(ctx); s == nil && r != nil {
		s = r.last
	}
	if s == nil {
		return now
	}
	ahead, _ := s.clock.offset()
	return now.Add(ahead)
}
