package hospital

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// lostWrites remembers until when lost writes of this process may still run, by
// system and act ([Client.actOf]), so that a caller who repeats at once does not put a second
// one beside the first. The zero value is ready.
type lostWrites struct {
	mu   sync.Mutex
	all  map[string]lostWrite
	busy map[string]chan struct{} // numbers of writes under way
}

// lostKept is for how long a repetition of a lost write looks before it sends.
const lostKept = time.Hour

type lostWrite struct {
	op string
	at time.Time
	in storeEpoch
}

func lostKey(op Op, act string) string { return string(op.System) + "|" + act }

// enter waits until no other Write of the number is under way here; leave is nil
// when ctx ends first.
func (l *lostWrites) enter(ctx context.Context, op Op, act string) (leave func(), waited bool) {
	if act == "" {
		return func() {}, false
	}
	for key, mine := lostKey(op, act), make(chan struct{}); ; waited = true {
		l.mu.Lock()
		other := l.busy[key]
		if other == nil {
			if l.busy == nil {
				l.busy = map[string]chan struct{}{}
			}
			l.busy[key] = mine
		}
		l.mu.Unlock()
		if other == nil {
			return func() {
				l.mu.Lock()
				delete(l.busy, key)
				l.mu.Unlock()
				close(mine)
			}, waited
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, true
		}
	}
}

func (l *lostWrites) underWay(op Op, act string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy[lostKey(op, act)] != nil
}

func (l *lostWrites) until(op Op, act string) (time.Time, storeEpoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.all[lostKey(op, act)]
	if time.Since(lost.at) > lostKept {
		return time.Time{}, storeEpoch{}
	}
	return lost.at, lost.in
}

func (l *lostWrites) note(op Op, act string, lost lostWrite) {
	if act == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]lostWrite{}
	}
	now := time.Now()
	maps.DeleteFunc(l.all, func(_ string, w lostWrite) bool { return now.Sub(w.at) > lostKept })
	key := lostKey(op, act)
	l.all[key] = lostWrite{op.Name, later(lost.at, l.all[key].at), lost.in}
}

// forget is for the operation that was lost; another one with its number knows
// nothing of it.
func (l *lostWrites) forget(op Op, act string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key := lostKey(op, act); l.all[key].op == op.Name {
		delete(l.all, key)
	}
}

// actOf is a call's number, and for whom it names one act: the campuses that write to the
// same store. Another campus's system may use it for another one, as barcodes.
func (c *Client) actOf(call *call) string {
	if call.number == "" {
		return ""
	}
	store := func(id campus.ID) campus.StoreID {
		route, err := c.Topology().Route(call.op.System, id, campus.Write)
		if err != nil {
			return ""
		}
		return route[0].Endpoint.Store
	}
	act, mine := call.number, store(call.campus)
	for _, id := range c.Topology().Campuses() {
		if store(id) == mine {
			act += "|" + string(id)
		}
	}
	return act
}

// othersRun is until when a call of the number may still do the act: one under way here,
// or one that was lost.
func (c *Client) othersRun(call *call) time.Time {
	act := c.actOf(call)
	at, _ := c.lost.until(call.op, act)
	if c.lost.underWay(call.op, act) {
		at = later(at, time.Now().Add(c.longestRun(call.op.System)))
	}
	return at
}
