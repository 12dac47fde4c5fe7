package hospital

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// sessions remembers when this client last wrote to each store, or saw what that had
// taken, so that a [Session] read is never answered by a copy that cannot have it yet.
// The zero value is ready.
type sessions struct{ last sync.Map } // written to time.Time

type written struct {
	system campus.SystemID
	in     storeEpoch
}

// wrote notes a write that was executed, or may have been.
func (s *sessions) wrote(system campus.SystemID, resp *http.Response, err error) {
	at := time.Now()
	var lost *failover.Error
	switch {
	case err == nil:
		o := failover.OriginOf(resp)
		s.note(written{system, storeEpoch{o.Store, o.Epoch}}, at)
	case errors.As(err, &lost) && lost.Outcome == failover.Unknown:
		s.note(written{system, storeEpoch{lost.Store, lost.Epoch}}, later(at, lost.SettledAt))
	}
}

// note never goes back: what was lost may come after what went well.
func (s *sessions) note(w written, at time.Time) {
	for {
		last, known := s.last.LoadOrStore(w, at)
		if !known || !at.After(last.(time.Time)) || s.last.CompareAndSwap(w, last, at) { //nolint:forcetypeassert // nothing else is stored
			return
		}
	}
}

// saw notes what a store had taken when it answered. What a copy answers is no news.
func (s *sessions) saw(o Origin, at time.Time) {
	if o.ReplicaOf != "" {
		return
	}
	if now := time.Now(); at.After(now) { // by a clock that is ahead
		at = now
	}
	s.note(written{o.System, storeEpoch{o.Store, o.Epoch}}, at)
}

// Saw notes that a caller was shown what the store of origin took at a time, by the
// server's clock: from then on a [Session] read is not answered by a copy that may be
// behind that, as after a write. It may be called from several goroutines.
func (c *Client) Saw(origin Origin, at time.Time) { c.sessions.saw(origin, at) }

// since is the time of the last write to the store and epoch that the campus writes
// to now, the zero time when there was none. Where nobody writes, the copy is all
// there is, and may lag behind any.
func (s *sessions) since(t *campus.Topology, system campus.SystemID, id campus.ID) (at time.Time) {
	route, err := t.Route(system, id, campus.Write)
	s.last.Range(func(key, last any) bool {
		w := key.(written) //nolint:forcetypeassert // nothing else is stored
		if w.system == system && (err != nil || w.in == storeEpoch{route[0].Endpoint.Store, route[0].Endpoint.StoreOf().Epoch}) {
			at = later(at, last.(time.Time)) //nolint:forcetypeassert // nothing else is stored
		}
		return true
	})
	return at
}
