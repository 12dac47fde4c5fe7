package failover

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// keeper is the one owner of what is known of endpoints, stores and the network.
// Calls that go well take no lock; everything else passes here.
type keeper struct {
	rules Rules
	start time.Time
	sites func() []*site // of the topology in force
	tell  func(Event)    // called without the lock

	isolated atomic.Bool

	mu      sync.Mutex
	news    []Event
	stores  map[campus.StoreID]*storeHealth
	centers map[campus.DataCenterID]*center
	lostAt  time.Time // isolated since
	alone   gate      // isolated: who may try
}

func newKeeper(rules Rules, sites func() []*site, tell func(Event)) *keeper {
	rules.withDefaults()
	return &keeper{
		rules: rules, start: time.Now(), sites: sites, tell: tell,
		stores: map[campus.StoreID]*storeHealth{}, centers: map[campus.DataCenterID]*center{},
	}
}

// adopt gives a site its store and data centre.
func (k *keeper) adopt(s *site) *site {
	k.mu.Lock()
	defer k.mu.Unlock()
	store, dc := s.endpoint.Store, s.endpoint.DataCenter
	if k.stores[store] == nil {
		k.stores[store] = &storeHealth{id: store}
	}
	if k.centers[dc] == nil {
		k.centers[dc] = &center{}
	}
	s.store, s.center = k.stores[store], k.centers[dc]
	return s
}

// do runs f under the lock and tells afterwards what changed.
func (k *keeper) do(f func()) {
	k.mu.Lock()
	f()
	news := k.news
	k.news = nil
	k.mu.Unlock()
	for _, e := range news {
		k.tell(e)
	}
}

// take makes a step of the table; it requires the lock.
func (k *keeper) take(s *site, c class, next step, now time.Time) {
	if next == stay {
		return
	}
	h := s.health[c]
	from := h.current()
	h.enter(next, &k.rules, now)
	if from != next.to {
		k.note(s, c, from, next, now)
	}
}

func (k *keeper) note(s *site, c class, from State, next step, now time.Time) {
	k.news = append(k.news, Event{
		Time: now, Endpoint: s.endpoint.ID, DataCenter: s.endpoint.DataCenter, Store: s.endpoint.Store,
		Class: c.String(), From: from, To: next.to, Cause: string(next.why),
	})
}

// refusal is why a call may not go to an endpoint just now.
type refusal uint8

const (
	admitted refusal = iota
	notItsTurn
	onTrial
	storeDown
	isolated
)

// admit says whether s may take a call now.
func (k *keeper) admit(s *site, c class, may trust, now time.Time) (t ticket, why refusal) {
	h := s.health[c]
	may.door = s.door
	if state := h.current(); state == Healthy && !k.isolated.Load() && !s.store.guarded.Load() {
		return h.ticket(), admitted
	}
	k.do(func() {
		k.tick(s, now)
		switch {
		case k.isolated.Load() && !k.alone.admit(may, now):
			why = isolated
		case s.store.guarded.Load() && !k.storeAdmits(s.store, c, may, now):
			why = storeDown
		default:
			may.readsWell = s.health[reads].works()
			may.lately = h.workedLately(now.Sub(k.start)) || s.health[reads].workedLately(now.Sub(k.start))
			var ok bool
			if t, ok = h.admit(may, now); !ok {
				if why = notItsTurn; may.alone {
					why = onTrial
				}
			}
		}
	})
	return t, why
}

// storeAdmits asks the store's gate; it requires the lock.
func (k *keeper) storeAdmits(store *storeHealth, c class, may trust, now time.Time) (ok bool) {
	k.watch(store, now, func() { ok = store.admit(c, may, k.rules.StoreGrowth, now) })
	return ok
}

// storeWorked opens the store's gate; it requires the lock.
func (k *keeper) storeWorked(store *storeHealth, c class, now time.Time) {
	if store.stirred.Load() {
		k.watch(store, now, func() { store.worked(c, k.rules.StoreGrowth, now) })
	}
}

// watch tells of a store that is back after f; it requires the lock.
func (k *keeper) watch(store *storeHealth, now time.Time, f func()) {
	was := store.down()
	if f(); was && !store.down() {
		k.news = append(k.news, Event{Time: now, Store: store.id, From: StoreDown, To: Healthy, Cause: string(causeRecovered)})
	}
}

// tick does what time alone does; it requires the lock.
func (k *keeper) tick(s *site, now time.Time) {
	for c := range classes {
		var readsWell time.Time
		if h := s.health[reads]; h.current() == Healthy {
			if readsWell = h.healthyAt; readsWell.IsZero() { // it was never anything else
				readsWell = k.start
			}
		}
		k.take(s, c, s.health[c].tick(c, readsWell, &k.rules, now), now)
	}
}

// release ends a ticket whose attempt says nothing of the endpoint.
func (k *keeper) release(s *site, c class, t ticket) {
	if t == (ticket{generation: t.generation}) {
		return
	}
	k.do(func() { s.health[c].release(t) })
}

// worked records an answer in good time.
func (k *keeper) worked(s *site, c class, t ticket, now time.Time) {
	h := s.health[c]
	k.heard(s, now)
	if t.generation == h.generation.Load() {
		h.count(nil)
	}
	if !h.stirred.Load() && !s.store.stirred.Load() {
		return
	}
	h.workedAt.Store(max(1, int64(now.Sub(k.start))))
	k.do(func() {
		h.release(t)
		k.storeWorked(s.store, c, now)
		if t.generation == h.generation.Load() && h.stirred.Load() {
			k.take(s, c, h.worked(k.onlyOne(s, c), &k.rules, now), now)
		}
	})
}

// failed charges the endpoint with a failure of a call begun under t.
func (k *keeper) failed(s *site, c class, t ticket, fault Fault, now time.Time) {
	k.do(func() {
		h := s.health[c]
		h.release(t)
		if t.generation != h.generation.Load() || k.frozen(s, c, fault) {
			return
		}
		k.take(s, c, h.charge(fault, h.count(errFailed), &k.rules, now), now)
	})
}

// frozen: somebody else is to blame.
func (k *keeper) frozen(s *site, c class, fault Fault) bool {
	return (k.isolated.Load() && fault.local()) || (s.store.gates[c].shut && !fault.unreachable())
}

// unreached charges both classes: what cannot be reached can be neither read nor written.
func (k *keeper) unreached(s *site, c class, t ticket, fault Fault, now time.Time) {
	if fault.local() {
		k.lost(s, now)
	} else {
		k.heard(s, now) // somebody refused
	}
	stale := t.generation != s.health[c].generation.Load()
	for other := range classes {
		switch {
		case other == c:
			k.failed(s, c, t, fault, now)
		case !stale: // what one class has got over says nothing to the other
			k.failed(s, other, s.health[other].ticket(), fault, now)
		}
	}
}

// doubted notes a failure that may be the request's own fault, and reports
// whether the endpoint is to blame all the same.
func (k *keeper) doubted(s *site, c class, t ticket, op string, fault Fault, status int, now time.Time) (blame bool) {
	if fault != FaultTimeout {
		k.heard(s, now)
	}
	k.do(func() {
		h := s.health[c]
		if status >= http.StatusInternalServerError && fault != FaultForeign {
			k.storeFailed(s, op, now)
		}
		if t.generation == h.generation.Load() && !k.frozen(s, c, fault) {
			blame = h.doubt(op, fault, now) || t.canary != (lease{})
		}
		if !blame {
			h.release(t)
		}
	})
	return blame
}

// storeFailed shuts the store once that is what has happened; it requires the lock.
func (k *keeper) storeFailed(s *site, op string, now time.Time) {
	var doors []*door
	for _, other := range k.sites() {
		if other.store == s.store && !other.out() && !other.adapter {
			doors = append(doors, other.door)
		}
	}
	since := s.store.since
	if !s.store.failed(s.door, op, doors, now) {
		return
	}
	s.store.shut(now)
	k.forgive(func(other *site) bool { return other.store == s.store }, func(f Fault) bool { return f == FaultStatus || f == FaultOverload }, since, "store_down", now)
	k.news = append(k.news, Event{Time: now, Store: s.store.id, From: Healthy, To: StoreDown, Cause: string(FaultStatus)})
}

// forgive undoes what endpoints were charged with; it requires the lock.
func (k *keeper) forgive(whom func(*site) bool, blamed func(Fault) bool, since time.Time, why Fault, now time.Time) {
	for _, s := range k.sites() {
		if !whom(s) {
			continue
		}
		for c := range classes {
			h := s.health[c]
			from := h.current()
			if next := h.forgive(blamed, since, why, &k.rules, now); next != stay {
				k.note(s, c, from, next, now)
			}
		}
	}
}

// slow records an endpoint that answers far too late. That is better than nobody.
func (k *keeper) slow(s *site, c class, t ticket, now time.Time) {
	k.heard(s, now)
	k.do(func() {
		h := s.health[c]
		h.release(t)
		k.storeWorked(s.store, c, now)
		switch {
		case t.generation != h.generation.Load():
		case k.onlyOne(s, c):
			k.take(s, c, h.worked(true, &k.rules, now), now)
		default:
			k.take(s, c, h.slow(&k.rules, now), now)
		}
	})
}

// probed records a probe's result for an endpoint that is not Healthy.
func (k *keeper) probed(s *site, fault Fault, now time.Time) {
	switch {
	case fault.local():
		k.lost(s, now)
	case !s.adapter: // nobody was asked
		k.heard(s, now)
	}
	k.do(func() {
		k.tick(s, now)
		for c := range classes {
			if fault == FaultNone || !k.frozen(s, c, fault) {
				// Reads prove a door that is needed for writes.
				alone := k.onlyOne(s, c) || (c == reads && s.endpoint.Writes() && k.onlyOne(s, writes))
				k.take(s, c, s.health[c].probed(fault == FaultNone, alone, &k.rules, now), now)
			}
		}
	})
}

// onlyOne: no other endpoint of its tier serves; it requires the lock.
func (k *keeper) onlyOne(s *site, c class) bool {
	for _, other := range k.sites() {
		if other.door != s.door && other.beside(s) && (c == reads || other.endpoint.Writes()) && !other.out() && other.serves(c) {
			return false
		}
	}
	return true
}

// lost notes that a data centre could not be reached by a fault that may be our
// own network's. Where that is all of them, it is.
func (k *keeper) lost(s *site, now time.Time) {
	k.do(func() {
		s.center.failed(now)
		if k.isolated.Load() {
			return
		}
		since, n := now, 0
		for _, c := range k.centers {
			if c.lost(now) {
				n++
				if c.since.Before(since) {
					since = c.since
				}
			}
		}
		for _, c := range k.centers {
			if heard := c.heard.Load(); n < 2 || heard > int64(since.Sub(k.start))+1 {
				return
			}
		}
		k.isolated.Store(true)
		k.lostAt, k.alone = since, gate{shut: true, next: now}
		k.forgive(func(*site) bool { return true }, Fault.local, since, "isolated", now)
		k.news = append(k.news, Event{Time: now, From: Healthy, To: Isolated, Cause: string(FaultUnreachable)})
	})
}

// heardEvery is how exactly a sign of life is remembered.
const heardEvery = 100 * time.Millisecond

// heard notes a sign of life of a data centre.
func (k *keeper) heard(s *site, now time.Time) {
	at, last := int64(now.Sub(k.start))+1, s.center.heard.Load()
	if last == 0 || at-last > int64(heardEvery) { // cores that share the line need not fight for it
		s.center.heard.Store(at)
	}
	if !s.center.stirred.Load() && !k.isolated.Load() {
		return
	}
	k.do(func() {
		s.center.since, s.center.last = time.Time{}, time.Time{}
		s.center.stirred.Store(false)
		if !k.isolated.Swap(false) {
			return
		}
		for _, c := range k.centers {
			c.since, c.last = time.Time{}, time.Time{}
		}
		k.forgive(func(*site) bool { return true }, Fault.local, k.lostAt, "isolated", now)
		k.news = append(k.news, Event{Time: now, From: Isolated, To: Healthy, Cause: string(causeRecovered)})
	})
}

// storeError is why nothing goes to a store.
func (k *keeper) storeError(s *site, c class, now time.Time) *Error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &Error{
		Err: ErrStoreUnavailable, Outcome: NotSent, Fault: FaultStatus, Store: s.endpoint.Store, Epoch: s.endpoint.StoreOf().Epoch,
		Since: s.store.downSince, RetryAfter: s.store.retryAfter(c, now),
	}
}
