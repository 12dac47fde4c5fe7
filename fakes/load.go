package fakes

import (
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// Load is what a data centre's servers had to bear since the hospital began.
type Load struct {
	// Requests of FHIR that came, those refused for want of room included.
	Requests int
	// Peak is the most of them that any one server had in flight at a time.
	Peak int
	// Connections that were taken in, and OpenConnections that are there now.
	Connections, OpenConnections int
}

// Limit makes each server of a data centre answer 429 to what is beyond this many
// FHIR requests in flight, and execute nothing of it; zero means no limit.
func (h *Hospital) Limit(dc campus.DataCenterID, inFlight int) {
	for _, s := range h.chosen(failover.Selector{DataCenter: dc}) {
		s.mu.Lock()
		s.limit = inFlight
		s.mu.Unlock()
	}
}

// Load returns what a data centre's servers bear, summed over them.
func (h *Hospital) Load(dc campus.DataCenterID) Load {
	var sum Load
	for _, s := range h.chosen(failover.Selector{DataCenter: dc}) {
		s.mu.Lock()
		sum.Requests += s.load.Requests
		sum.Peak = max(sum.Peak, s.load.Peak)
		sum.Connections += s.load.Connections
		sum.OpenConnections += len(s.conns)
		s.mu.Unlock()
	}
	return sum
}

// enter counts a request in and reports whether there is room for it. leave counts
// it out, also where there was none.
func (s *server) enter() (room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying++
	s.load.Requests++
	s.load.Peak = max(s.load.Peak, s.flying)
	return s.limit == 0 || s.flying <= s.limit
}

func (s *server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
}
