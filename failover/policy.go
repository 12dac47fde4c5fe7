package failover

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// mayRepeat is the Repeat × Contract table: may a call whose last attempt ended
// so be sent again? proof means only in the same Store and only to endpoints
// with as good a contract.
func mayRepeat(call *Call, c campus.Contract, outcome Outcome) (again, proof bool) {
	switch {
	case outcome == Committed || outcome == Rejected:
		return false, false
	case outcome == NotSent || outcome == NotExecuted || call.Repeat == Safe:
		return true, false
	}
	return proved(call, c), true
}

// proved: does the contract make a second sending harmless?
func proved(call *Call, c campus.Contract) bool {
	switch call.Repeat {
	case Guarded:
		return (call.Creates && c.UpdateCreate) || (!call.Creates && c.Versioning)
	case Keyed:
		return c.ConditionalCreate == campus.Atomic
	default:
		return call.Repeat == Safe
	}
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
func (r *run) pick(now time.Time, passed []*site) *site {
	if s := r.best(now, passed); s != nil {
		return s
	}
	r.tried = r.tried[:0] // every candidate had its turn
	return r.best(now, passed)
}

func (r *run) best(now time.Time, passed []*site) *site {
	var best *site
	bestRank := 0
	for _, hop := range r.route {
		s := r.plan.sites[hop.Endpoint.Index()]
		if !r.candidate(s, passed) {
			continue
		}
		if rank := hop.Tier*8 + r.rank(s, now); best == nil || rank < bestRank {
			best, bestRank = s, rank
		}
	}
	return best
}

func (r *run) candidate(s *site, passed []*site) bool {
	if s.drained.Load() || (r.call.Endpoint != "" && s.endpoint.ID != r.call.Endpoint) ||
		(r.store != "" && s.endpoint.Store != r.store) || (r.call.Store != "" && s.endpoint.StoreOf().Epoch != r.call.Epoch) || (r.proof && !proved(r.call, s.endpoint.Contract)) {
		return false
	}
	if now := r.client.plan.Load(); now != r.plan && !now.leadsTo(s, r.call.Kind) {
		return false
	}
	return !slices.Contains(r.tried, s) && !slices.Contains(passed, s)
}

// behindAllTiers is the rank of what is ejected or paused.
const behindAllTiers = 64

func (r *run) rank(s *site, now time.Time) int {
	switch state := s.health[classOf(r.call.Kind)].current(); {
	case s.paused(now):
		return behindAllTiers + 2
	case state == Ejected:
		return behindAllTiers
	case state == Suspect:
		return 1
	}
	return 0
}
