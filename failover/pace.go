package failover

import (
	"math"
	"sync/atomic"
	"time"
)

// pace is how fast an endpoint's quick reads are, and used to be. Calls that meet
// may lose a sample: it is an estimate, and takes no lock.
type pace struct {
	samples   atomic.Int64
	lately    atomic.Uint64 // float64 bits, nanoseconds, as all below
	baseline  atomic.Uint64
	tail      atomic.Uint64 // the baseline's 99th percentile
	slowSince atomic.Int64  // since the keeper's start; 0: it is not slow
	lost      atomic.Int64  // races with a hedge, in a row
	lostSince atomic.Int64
}

const (
	paceSamples = 32 // before a baseline is believed
	slowFactor  = 3
	slowFloor   = 200 * time.Millisecond
	slowFor     = 3 * time.Second
	quickRead   = 2 * time.Second // longer ones say nothing of an endpoint's pace

	// Whoever loses so many races in a row, over such a time, is slow: to find out by
	// latency would take more hedges.
	lostRaces   = 20
	lostRaceFor = 500 * time.Millisecond

	latelyWeight, baselineWeight, slowWeight = 1.0 / 8, 1.0 / 64, 1.0 / 2048
	tailStep                                 = 0.1
)

func load(a *atomic.Uint64) float64 { return math.Float64frombits(a.Load()) }

func store(a *atomic.Uint64, v float64) { a.Store(math.Float64bits(v)) }

// limit is what is too slow.
func (p *pace) limit() time.Duration {
	base := load(&p.baseline)
	return time.Duration(max(slowFactor*base, base+float64(slowFloor)))
}

// heard takes one answer's time at moment at. It reports whether the endpoint has
// been too slow for a while, and whether this answer was in good time.
func (p *pace) heard(took time.Duration, at time.Duration) (slow, inTime bool) {
	d := float64(took)
	if p.samples.Load() == 0 {
		store(&p.lately, d)
		store(&p.baseline, d)
		store(&p.tail, d)
	}
	known := p.samples.Load() >= paceSamples
	lately := load(&p.lately) + latelyWeight*(d-load(&p.lately))
	store(&p.lately, lately)
	limit := p.limit()
	if inTime = !known || took <= limit; inTime {
		p.learn(d)
	} else { // what is slow now must not soon become what is usual
		store(&p.baseline, load(&p.baseline)+slowWeight*(d-load(&p.baseline)))
	}
	if !known || time.Duration(lately) <= limit {
		if p.slowSince.Load() != 0 {
			p.slowSince.Store(0)
		}
		return false, inTime
	}
	p.slowSince.CompareAndSwap(0, int64(max(at, 1)))
	return !inTime && at-time.Duration(p.slowSince.Load()) >= slowFor, inTime
}

// lostRace counts a race that a hedge won; it reports whether the endpoint is slow.
func (p *pace) lostRace(at time.Duration) bool {
	n := p.lost.Add(1)
	if n == 1 {
		p.lostSince.Store(int64(at))
	}
	return n >= lostRaces && at-time.Duration(p.lostSince.Load()) >= lostRaceFor
}

func (p *pace) wonRace() { p.lost.Store(0) }

// learn moves the baseline, and its tail by steps whose sizes make one answer in a
// hundred lie above it.
func (p *pace) learn(d float64) {
	p.samples.Add(1)
	store(&p.baseline, load(&p.baseline)+baselineWeight*(d-load(&p.baseline)))
	if tail := load(&p.tail); d > tail {
		store(&p.tail, tail*(1+tailStep))
	} else {
		store(&p.tail, tail*(1-tailStep/99))
	}
}

// p99 is the baseline's 99th percentile, once it is known.
func (p *pace) p99() (late time.Duration, known bool) {
	return time.Duration(load(&p.tail)), p.samples.Load() >= paceSamples
}
