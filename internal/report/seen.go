package report

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// maxSeen is how many reports and results are remembered at least; twice as many at most.
const maxSeen = 20_000

// seen remembers the highest version that came of each report and result, and whether
// its content was shown. What has not been asked for in a long while is forgotten.
type seen struct {
	mu             sync.Mutex
	limit          int
	recent, before map[seenKey]seenVersion
}

type seenKey struct {
	store   campus.StoreID
	epoch   int64 // after a restore versions are issued again
	typ, id string
}

type seenVersion struct {
	version string
	at      time.Time
	shown   bool
}

func newSeen(limit int) *seen { return &seen{limit: limit, recent: map[seenKey]seenVersion{}} }

func keyOf(o hospital.Origin, r r4.Resource) seenKey {
	return seenKey{o.Store, o.Epoch, r.ResourceType(), r.ResourceID()}
}

func versionOf(r r4.Resource) seenVersion {
	v := seenVersion{at: verb.Updated(r)}
	if m := r.ResourceMeta(); m != nil {
		v.version = m.VersionId
	}
	return v
}

// before reports whether v is surely older than w: by number where both are numbers,
// else by the server's time.
func (v seenVersion) before(w seenVersion) bool {
	if v.version == w.version && v.version != "" {
		return false
	}
	a, err := strconv.ParseUint(v.version, 10, 64)
	b, err2 := strconv.ParseUint(w.version, 10, 64)
	if err == nil && err2 == nil {
		return a < b
	}
	return !v.at.IsZero() && v.at.Before(w.at)
}

// take notes a version that came and reports whether a newer one came before, and
// whether any was shown.
func (s *seen) take(o hospital.Origin, r r4.Resource, shows bool) (stale, shown bool) {
	key, v := keyOf(o, r), versionOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.recent[key]
	if !ok {
		known, ok = s.before[key]
	}
	if ok && v.before(known) {
		return true, known.shown
	}
	v.shown = shows || known.shown
	if len(s.recent) >= s.limit {
		s.before, s.recent = s.recent, map[seenKey]seenVersion{}
	}
	s.recent[key] = v
	return false, known.shown
}

// Current returns the resource to show in the place of what came, and whether an
// earlier version of it was shown. Where what came is older than that, the Store that
// takes writes is asked once more; when that is no newer it is hospital.ErrStale.
// inError says of a version whether it must not be shown.
func Current[T r4.Resource](ctx context.Context, c *Call, origin hospital.Origin, r T, inError func(T) bool) (T, bool, error) {
	stale, shown := c.take(origin, r, !inError(r))
	if !stale {
		return r, shown, nil
	}
	var none T
	again, resp, err := fhir.Read[T](hospital.SameStore(ctx, origin), c.strong(origin), r.ResourceID())
	if err != nil {
		return none, shown, goneStale(err)
	}
	if stale, shown = c.take(hospital.OriginOf(resp), again, !inError(again)); stale {
		return none, shown, hospital.ErrStale
	}
	return again, shown, nil
}

// goneStale: what was shown and is not there now is no absence of the patient.
func goneStale(err error) error {
	if hospital.CodeOf(err) == hospital.ErrNotFound {
		return hospital.ErrStale
	}
	return err
}
