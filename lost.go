package hospital

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// act is what the number of a call names: a key for each campus for which it is the same.
// One that is known by several of them stays known when a description comes with which
// they are more, or fewer. An empty one is nobody's.
type act []string

// actOf is the number at the campuses that write to the same store: another campus's
// system may use it for another act, as barcodes.
func (c *Client) actOf(call *call) (a act) {
	if call.number == "" {
		return nil
	}
	store := func(id campus.ID) campus.StoreID {
		route, err := c.Topology().Route(call.op.System, id, campus.Write)
		if err != nil {
			return ""
		}
		return route[0].Endpoint.Store
	}
	mine := store(call.campus)
	for _, id := range c.Topology().Campuses() {
		if store(id) == mine {
			a = append(a, string(call.op.System)+"|"+call.number+"|"+string(id))
		}
	}
	return a
}

// lostWrites remembers until when lost writes of this client may still run, so that a
// caller who repeats at once does not put a second one beside the first, and keeps the
// calls of one act apart. The zero value is ready.
type lostWrites struct {
	mu   sync.Mutex
	lost map[string]map[string]lostWrite // by the act's keys, and by operation
	busy map[string]*place               // by the act's keys
}

// lostKept is for how long a repetition of a lost write looks before it sends.
const lostKept = time.Hour

type lostWrite struct {
	at time.Time // by when it has surely ended
	in storeEpoch
}

// place is had by one call of an act at a time: one that may send, or one that looks while
// nobody sends.
type place struct {
	act    act
	left   chan struct{}
	sends  bool // its call may
	wanted bool // by one that may
}

// take takes the place of an act, or says who has it.
func (l *lostWrites) take(a act, sends bool) (mine, other *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range a {
		if other := l.busy[key]; other != nil {
			other.wanted = other.wanted || sends
			return nil, other
		}
	}
	if l.busy == nil {
		l.busy = map[string]*place{}
	}
	mine = &place{act: a, left: make(chan struct{}), sends: sends}
	for _, key := range a {
		l.busy[key] = mine
	}
	return mine, nil
}

// enter waits for the place of an act; it is nil when ctx ends first.
func (l *lostWrites) enter(ctx context.Context, a act, sends bool) (mine *place, waited bool) {
	for {
		mine, other := l.take(a, sends)
		if mine != nil {
			return mine, waited
		}
		waited = true
		select {
		case <-other.left:
		case <-ctx.Done():
			return nil, waited
		}
	}
}

// enterBeside takes the place of an act to look, unless one has it who may send. It waits
// for others who look; both are nil when ctx ends first.
func (l *lostWrites) enterBeside(ctx context.Context, a act) (mine, sender *place) {
	for {
		mine, other := l.take(a, false)
		if mine != nil || other.sends {
			return mine, other
		}
		select {
		case <-other.left:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// wanted: did somebody come who may send?
func (l *lostWrites) wanted(p *place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.wanted
}

func (l *lostWrites) leave(p *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range p.act {
		delete(l.busy, key)
	}
	close(p.left)
}

// until is by when all that was lost of an act has surely ended.
func (l *lostWrites) until(a act) (at time.Time) {
	l.each(a, func(_ string, w lostWrite) { at = later(at, w.at) })
	return at
}

// where is where an operation's last lost write of an act went, or any operation's for "".
func (l *lostWrites) where(a act, op string) storeEpoch {
	var last lostWrite
	l.each(a, func(name string, w lostWrite) {
		if (op == "" || op == name) && w.in != (storeEpoch{}) && !w.at.Before(last.at) {
			last = w
		}
	})
	return last.in
}

func (l *lostWrites) each(a act, f func(op string, w lostWrite)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range a {
		for op, w := range l.lost[key] {
			if !w.old() {
				f(op, w)
			}
		}
	}
}

func (w lostWrite) old() bool { return time.Since(w.at) > lostKept }

func (l *lostWrites) note(a act, op string, lost lostWrite) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = map[string]map[string]lostWrite{}
	}
	maps.DeleteFunc(l.lost, func(_ string, ops map[string]lostWrite) bool {
		maps.DeleteFunc(ops, func(_ string, w lostWrite) bool { return w.old() })
		return len(ops) == 0
	})
	for _, key := range a {
		if l.lost[key] == nil {
			l.lost[key] = map[string]lostWrite{}
		}
		l.lost[key][op] = lostWrite{later(lost.at, l.lost[key][op].at), lost.in}
	}
}

// forget is for what an operation had lost when it had ended by then; another operation
// with its number knows nothing of it.
func (l *lostWrites) forget(a act, op string, by time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range a {
		if w, known := l.lost[key][op]; known && !w.at.After(by) {
			delete(l.lost[key], op)
		}
	}
}
