package fakes

import (
	"net/http"
	"slices"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Promote makes the standby's store of a system the writer: it stops following,
// with what its lag has let through. The description names dr as its writer, in an
// epoch above both stores', and the system's own store its replica; the version rises. The
// old store's servers stay as they are, so that a write which is sent there shows. A
// second call does nothing. With [WithOwnStores] it is every campus's.
func (h *Hospital) Promote(system campus.SystemID) {
	for _, original := range h.originals[system] {
		h.promote(original)
	}
}

func (h *Hospital) promote(original campus.StoreID) {
	replica := replicaOf(original)
	h.stores[replica].catchUp()
	if !h.stores[replica].unfollow() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	old, heir := h.storeOf(original), h.storeOf(replica)
	heir.Epoch = max(old.Epoch, heir.Epoch) + 1
	heir.Writers, heir.ReplicaOf, heir.Lag = []campus.DataCenterID{"dr"}, "", 0
	old.Writers, old.ReplicaOf = nil, replica
	h.description.Version++
}

// Restore takes a system's own store back to its state at a time: ids and versions
// given since are given again. Its epoch and the description's version rise, and
// its replica's epoch where that had to go back too. Its servers forget their page
// cursors. With [WithOwnStores] it is every campus's.
func (h *Hospital) Restore(system campus.SystemID, at time.Time) {
	for _, original := range h.originals[system] {
		h.restore(original, at)
	}
}

func (h *Hospital) restore(original campus.StoreID, at time.Time) {
	replica := replicaOf(original)
	kept, images := h.stores[original].rewindTo(at)
	back := h.stores[replica].refollow(h.stores[original], kept, images)
	for _, s := range h.servers {
		if s.endpoint.Store == original || (back && s.endpoint.Store == replica) {
			s.forgetPages()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.storeOf(original).Epoch++
	if back {
		h.storeOf(replica).Epoch++
	}
	h.description.Version++
}

func replicaOf(original campus.StoreID) campus.StoreID { return original + "-dr" }

// storeOf requires the lock.
func (h *Hospital) storeOf(id campus.StoreID) *campus.Store {
	i := slices.IndexFunc(h.description.Stores, func(s campus.Store) bool { return s.ID == id })
	return &h.description.Stores[i]
}

func (s *server) forgetPages() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.cursors)
	clear(s.results)
}

// source is the store this one follows, nil for one that is written.
func (s *store) source() *store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.original
}

// unfollow reports whether it did follow.
func (s *store) unfollow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	followed := s.original != nil
	s.original = nil
	return followed
}

// rewindTo keeps the changes and the images up to a time and returns the former, and how
// many there are of the latter.
func (s *store) rewindTo(at time.Time) ([]change, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := slices.IndexFunc(s.log, func(c change) bool { return c.at.After(at) })
	if n < 0 {
		n = len(s.log)
	}
	s.rewind(n)
	s.keepImages(imagesUntil(s.images, at))
	return s.log, len(s.images)
}

// keepImages requires the lock. Whoever has the slice keeps what it had.
func (s *store) keepImages(n int) { s.images = s.images[:n:n] }

// refollow takes a replica back to what its original has kept, and reports
// whether it had come further.
func (s *store) refollow(original *store, kept []change, images int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.original != original {
		return false
	}
	further := len(s.images) > images
	s.keepImages(min(len(s.images), images))
	if s.applied <= len(kept) {
		return further
	}
	s.rewind(len(s.log) - (s.applied - len(kept))) // one of its own for one of the original's
	s.applied = len(kept)
	names := map[string]string{}
	for _, c := range kept {
		names[c.key] = s.renamed[c.key]
	}
	s.renamed, s.nextID = names, firstID+1+len(names) // names are given before changes are made
	return true
}

// rewind replays the first n changes; it requires the lock.
func (s *store) rewind(n int) {
	log := s.log[:n:n]
	s.current, s.history, s.order, s.log, s.nextID = map[string]object{}, map[string][]version{}, nil, nil, firstID
	for _, c := range log {
		s.replay(c)
	}
	s.log = log
}

func (s *store) replay(c change) {
	s.nextID = c.nextID
	_, exists := s.current[c.key]
	method := http.MethodPut
	switch {
	case c.to == nil:
		method = http.MethodDelete
		delete(s.current, c.key)
		s.order = slices.DeleteFunc(s.order, func(k string) bool { return k == c.key })
	case !exists:
		method = http.MethodPost
		s.order = append(s.order, c.key)
	}
	if c.to != nil {
		s.current[c.key] = c.to
	}
	s.history[c.key] = append(s.history[c.key], version{c.at, method, c.to})
}
