package hospital

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// sessions remembers where and when this client last wrote to each system, so that
// a [Session] read is never answered by a copy that cannot have it yet. The zero
// value is ready.
type sessions struct{ last sync.Map } // campus.SystemID to written

type written struct {
	in storeEpoch
	at time.Time
}

// wrote notes a write that was executed, or may have been.
func (s *sessions) wrote(system campus.SystemID, resp *http.Response, err error) {
	w := written{at: time.Now()}
	var lost *failover.Error
	switch {
	case err == nil:
		o := failover.OriginOf(resp)
		w.in = storeEpoch{o.Store, o.Epoch}
	case errors.As(err, &lost) && lost.Outcome == failover.Unknown:
		w.in = storeEpoch{lost.Store, lost.Epoch}
		w.at = later(w.at, lost.SettledAt)
	default:
		return
	}
	s.last.Store(system, w)
}

// since is the time of the last write, the zero time when there was none in the
// store and epoch that the campus writes to now.
func (s *sessions) since(t *campus.Topology, system campus.SystemID, id campus.ID) time.Time {
	last, _ := s.last.Load(system)
	w, ok := last.(written)
	if !ok {
		return time.Time{}
	}
	route, err := t.Route(system, id, campus.Write)
	if err != nil { // no writer: the copy is all there is, and may lag
		return w.at
	}
	if store := route[0].Endpoint.StoreOf(); w.in != (storeEpoch{store.ID, store.Epoch}) {
		return time.Time{}
	}
	return w.at
}
