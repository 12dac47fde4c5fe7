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
	holdStep    = 25 * time.Millisecond
)

// backoff is full jitter over a doubling range; n counts retries from 1.
func backoff(n int) time.Duration {
	limit := min(backoffBase<<min(n, 10), backoffMax)
	return time.Duration(rand.Int64N(int64(limit))) //nolint:gosec // jitter
}

// budget bounds what is sent beyond one request a call to a share of the traffic.
// It counts in hundredths.
type budget struct {
	hundredths  atomic.Int64
	most, share int64
}

const (
	retryTokens = 50 // a further retry costs one, a success earns a tenth
	hedgeTokens = 500
	retryShare  = 10 // hundredths
	hedgeShare  = 2
)

func newBudget(tokens, share int64) *budget {
	b := &budget{most: 100 * tokens, share: share}
	b.hundredths.Store(b.most)
	return b
}

func (b *budget) earn() {
	if b.hundredths.Load() < b.most {
		b.hundredths.Add(b.share)
	}
}

func (b *budget) spend() bool {
	if b.hundredths.Add(-100) < 0 {
		b.hundredths.Add(100)
		return false
	}
	return true
}

// pick returns the best endpoint of the route for the run's next attempt: in its
// Store, not yet tried in this round, healthy ones of a tier first. What is
// ejected, paused or drained is a last resort.
func (r *run) pick(now time.Time, passed []*site) *site {
	if s := r.best(now, passed); s != nil {
		return s
	}
	r.tried = r.tried[:0] // every candidate had its turn
	return r.best(now, passed)
}

func (r *run) best(now time.Time, passed []*site) *site {
	var best *site
	bestRank, equals := 0, uint64(0)
	for _, hop := range r.route {
		s := r.plan.sites[hop.Endpoint.Index()]
		if !r.candidate(s, passed, now) {
			continue
		}
		rank := r.rank(s, now)
		switch {
		case rank < rankDrained:
			rank += r.tier(hop) * tierRanks
		case rank < lastResort:
			rank += r.tier(hop)
		}
		switch {
		case best == nil || rank < bestRank:
			best, bestRank, equals = s, rank, 1
		case rank == bestRank && rank >= lastResort: // nobody knows who is back first
			if equals++; r.client.turn.Add(1)%equals == 0 {
				best = s
			}
		}
	}
	return best
}

// tier is the policy's, or what a workflow that must stay in one environment makes of it.
func (r *run) tier(hop campus.Hop) int {
	switch {
	case r.call.Environment == "" || hop.Tier == campus.TierStandby:
		return hop.Tier
	case hop.Endpoint.Environment == r.call.Environment:
		return campus.TierPreferred
	}
	return campus.TierOtherEnvironment
}

func (r *run) candidate(s *site, passed []*site, now time.Time) bool {
	e := s.endpoint
	if e.Fenced || (r.call.Endpoint != "" && e.ID != r.call.Endpoint) ||
		(r.store != "" && e.Store != r.store) || (r.call.Store != "" && e.StoreOf().Epoch != r.call.Epoch) || (r.proof && !proved(r.call, e.Contract)) {
		return false
	}
	if e.HealthPath != "" {
		r.client.heedBalancer(s, now)
	}
	return r.led(s) && (!s.out() || r.harmless(e.Contract)) && !r.behind(e, now) && (r.call.Kind != campus.Write || e.StoreOf().RolePath == "" || r.writesNow(s, now)) &&
		!slices.Contains(r.tried, s) && !slices.Contains(passed, s)
}

// mayCanary: only what may be repeated tries an endpoint that is coming back.
func (r *run) mayCanary() bool { return r.call.Repeat == Safe || r.call.Repeat == Guarded }

// harmless: what is proved to bear a repetition may go to whom nobody trusts just now.
func (r *run) harmless(c campus.Contract) bool { return proved(r.call, c) }

// behind: a copy that cannot have yet what this caller wrote.
func (r *run) behind(e *campus.Endpoint, now time.Time) bool {
	s := e.StoreOf()
	return s.ReplicaOf != "" && !r.call.After.IsZero() && (s.Lag == 0 || now.Sub(r.call.After) <= s.Lag)
}

// writesNow: s is the one door of its store that says it writes. Where two say so
// nobody is believed.
func (r *run) writesNow(s *site, now time.Time) bool {
	every := roleEvery
	if r.claims(s) == 1 {
		every = inquiryEvery
	}
	for _, other := range r.plan.sites {
		if other.store == s.store && other.endpoint.Writes() {
			r.client.askRole(other, every, now)
		}
	}
	return r.claims(s) == 1 && s.role.Load() == roleWriter
}

// claims is how many doors of the store say that they write.
func (r *run) claims(s *site) int {
	n := 0
	for _, other := range r.plan.sites {
		if other.store == s.store && other.endpoint.Writes() && other.role.Load() == roleWriter {
			n++
		}
	}
	return n
}

// Ranks within a tier, and what lies behind all tiers.
const (
	tierRanks   = 8
	rankSuspect = 1
	rankDrained = 56 // and well
	lastResort  = 64 // ejected
	rankPaused  = lastResort + 2
	rankGone    = lastResort + 4 // drained, and not well
)

func (r *run) rank(s *site, now time.Time) int {
	switch state := s.health[classOf(r.call.Kind)].current(); {
	case s.out() && state == Healthy:
		return rankDrained
	case s.out():
		return rankGone
	case s.paused(classOf(r.call.Kind), now.Sub(r.client.keeper.start)) > 0:
		return rankPaused
	case state == Ejected:
		return lastResort
	case state == Suspect, s.store.asked.Load() == s.door: // its store was down there just now
		return rankSuspect
	}
	return 0
}

// others reports whether somebody else can be expected to serve: then a canary's
// lease, or a share, is a reason to go there.
func (r *run) others(s *site, passed []*site, now time.Time) bool {
	for _, hop := range r.route {
		other := r.plan.sites[hop.Endpoint.Index()]
		if other != s && r.candidate(other, passed, now) && r.rank(other, now) < rankDrained &&
			other.health[classOf(r.call.Kind)].current() != Returning {
			return true
		}
	}
	return false
}
