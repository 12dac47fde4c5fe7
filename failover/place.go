package failover

import (
	"context"
	"sync/atomic"
	"time"
)

// places are the calls in flight at a door: counted, bounded, and known by name,
// without a lock.
type places struct {
	taken atomic.Int64
	next  atomic.Uint64
	all   []atomic.Pointer[place]
}

// place is one call's. Its first fields are set before it is taken.
type place struct {
	call  *Call
	since time.Time
	at    uint64

	cancel atomic.Pointer[context.CancelFunc] // of a read
	moved  atomic.Bool                        // by a drain
}

// take reports false when all are taken.
func (p *places) take(mine *place) bool {
	size := uint64(len(p.all))
	if uint64(p.taken.Add(1)) > size { //nolint:gosec // never negative
		p.taken.Add(-1)
		return false
	}
	for {
		if mine.at = p.next.Add(1) % size; p.all[mine.at].CompareAndSwap(nil, mine) {
			return true
		}
	}
}

func (p *places) leave(mine *place) {
	p.all[mine.at].Store(nil)
	p.taken.Add(-1)
}

// move ends the reads that are under way; they are sent elsewhere.
func (p *places) move() {
	for i := range p.all {
		if one := p.all[i].Load(); one != nil && one.call.Repeat == Safe {
			one.moved.Store(true)
			if cancel := one.cancel.Load(); cancel != nil {
				(*cancel)()
			}
		}
	}
}

// Straggler is a call that a drained endpoint still has.
type Straggler struct {
	// Op is the operation's name.
	Op string
	// Since is when its attempt began.
	Since time.Time
}

func (p *places) stragglers() []Straggler {
	var out []Straggler
	for i := range p.all {
		if one := p.all[i].Load(); one != nil {
			out = append(out, Straggler{one.call.Op, one.since})
		}
	}
	return out
}
