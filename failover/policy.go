package failover

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// mayRepeat is the Repeat × Contract table: may a call whose last attempt ended
// so at s be sent again, and must it stay in the same Store?
func mayRepeat(call *Call, s *site, outcome Outcome) (again, sameStore bool) {
	c := s.endpoint.Contract
	switch {
	case outcome == Committed || outcome == Rejected:
		return false, false
	case outcome == NotSent || outcome == NotExecuted:
		return true, false
	case call.Repeat == Safe:
		return true, false
	case call.Repeat == Guarded && call.Creates:
		return c.UpdateCreate, true
	case call.Repeat == Guarded:
		return c.Versioning, true
	case call.Repeat == Keyed:
		return c.ConditionalCreate == "atomic", true
	}
	return false, false
}

// Bounds of the attempts of one call.
const (
	minAttempts = 2
	maxAttempts = 3
	backoffBase = 50 * time.Millisecond
	backoffMax  = 2 * time.Second
)

// backoff is full jitter over a doubling range; n counts retries from 1.
func backoff(n int) time.Duration {
	limit := min(backoffBase<<min(n, 10), backoffMax)
	return time.Duration(rand.Int64N(int64(limit))) //nolint:gosec // jitter
}

// budget bounds retries to a share of the traffic. It counts in tenths.
type budget struct{ tenths atomic.Int64 }

const budgetTenths = 500

func newBudget() *budget {
	b := &budget{}
	b.tenths.Store(budgetTenths)
	return b
}

func (b *budget) earn() {
	if b.tenths.Load() < budgetTenths {
		b.tenths.Add(1)
	}
}

func (b *budget) spend() bool {
	if b.tenths.Add(-10) < 0 {
		b.tenths.Add(10)
		return false
	}
	return true
}

// pick returns the best endpoint of the route for the run's next attempt: not
// drained, in its Store, not yet tried in this round, healthy ones of a tier
// first. Paused and ejected ones are a last resort, in policy order.
func (r *run) pick(now time.Time) *site {
	if s := r.best(now); s != nil {
		return s
	}
	if r.attempts == 0 || len(r.tried) == 0 {
		return nil
	}
	r.tried = r.tried[:0] // every candidate had its turn
	return r.best(now)
}

func (r *run) best(now time.Time) *site {
	var best *site
	bestRank := 0
	for _, hop := range r.route {
		s := r.client.sites[hop.Endpoint.Index()]
		if !r.candidate(s) {
			continue
		}
		if rank := hop.Tier*8 + r.rank(s, now); best == nil || rank < bestRank {
			best, bestRank = s, rank
		}
	}
	return best
}

func (r *run) candidate(s *site) bool {
	if s.drained.Load() || (r.call.Endpoint != "" && s.endpoint.ID != r.call.Endpoint) ||
		(r.store != "" && s.endpoint.Store != r.store) {
		return false
	}
	for _, t := range r.tried {
		if t == s {
			return false
		}
	}
	return true
}

// rank orders within a tier; what is ejected or paused goes behind every tier.
func (r *run) rank(s *site, now time.Time) int {
	const behindAllTiers = 64
	state := s.health[classOf(r.call.Kind)].current()
	switch {
	case s.paused(now):
		return behindAllTiers + 2
	case state == Ejected:
		return behindAllTiers
	case state == Suspect:
		return 1
	}
	return 0
}
