package hospital

import (
	"context"
	"maps"
	"sync"
	"time"
)

// lostWrites remembers until when lost writes of this process may still run, by
// system and number, so that a caller who repeats at once does not put a second
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

func lostKey(op Op, number string) string { return string(op.System) + "|" + number }

// enter waits until no other Write of the number is under way here; leave is nil
// when ctx ends first.
func (l *lostWrites) enter(ctx context.Context, op Op, number string) (leave func(), waited bool) {
	if number == "" {
		return func() {}, false
	}
	for key, mine := lostKey(op, number), make(chan struct{}); ; waited = true {
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

func (l *lostWrites) underWay(op Op, number string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy[lostKey(op, number)] != nil
}

func (l *lostWrites) until(op Op, number string) (time.Time, storeEpoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.all[lostKey(op, number)]
	if time.Since(lost.at) > lostKept {
		return time.Time{}, storeEpoch{}
	}
	return lost.at, lost.in
}

func (l *lostWrites) note(op Op, number string, lost lostWrite) {
	if number == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]lostWrite{}
	}
	now := time.Now()
	maps.DeleteFunc(l.all, func(_ string, w lostWrite) bool { return now.Sub(w.at) > lostKept })
	key := lostKey(op, number)
	l.all[key] = lostWrite{op.Name, later(lost.at, l.all[key].at), lost.in}
}

// forget is for the operation that was lost; another one with its number knows
// nothing of it.
func (l *lostWrites) forget(op Op, number string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key := lostKey(op, number); l.all[key].op == op.Name {
		delete(l.all, key)
	}
}
