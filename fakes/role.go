package fakes

import (
	"net/http"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// What is asked below an endpoint's URL beside FHIR and DICOMweb.
const (
	rolePath   = "/primary"
	healthPath = "/health/ready"
)

// Interactions of [When] that are neither FHIR nor DICOMweb. They match only where they are named.
const (
	interactionRole   = "role"
	interactionHealth = "health"
)

// besides are their requests, by method and path below the endpoint's URL.
var besides = map[string]string{"GET " + rolePath: interactionRole, "GET " + healthPath: interactionHealth}

// WithRolePath describes the stores of the active centres as written by one at a
// time, the one that answers 200 below its URL at /primary; see [Hospital.SetWriter].
func WithRolePath() Option { return func(h *Hospital) { h.rolePath = rolePath } }

// WithHealthPath describes each endpoint as watched by a balancer below its URL at
// /health/ready; see [Hospital.SetReady].
func WithHealthPath() Option { return func(h *Hospital) { h.healthPath = healthPath } }

// SetWriter lets only this data centre's servers of a system execute writes, nobody's
// when dc is empty. The others answer 500 with an OperationOutcome, and 503 at
// /primary. Before the first call all write. It is no part of the description.
func (h *Hospital) SetWriter(system campus.SystemID, dc campus.DataCenterID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writers[system] = dc
}

// leads: would the server execute a write?
func (s *server) leads() bool {
	s.hospital.mu.Lock()
	dc, named := s.hospital.writers[s.endpoint.System]
	s.hospital.mu.Unlock()
	return s.store.source() == nil && (!named || dc == s.endpoint.DataCenter)
}

// SetReady is what servers answer at /health/ready: 200 when they are ready, which
// they are in the beginning, 503 when not. Everything else they answer as before.
func (h *Hospital) SetReady(x failover.Selector, ready bool) {
	for _, s := range h.chosen(x) {
		s.mu.Lock()
		s.unready = !ready
		s.mu.Unlock()
	}
}

func (s *server) ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.unready
}

// beside: is it neither FHIR nor DICOMweb?
func (in *request) beside() bool {
	return in.interaction == interactionRole || in.interaction == interactionHealth
}

func sign(good bool, yes, no string) *answer {
	a := &answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body: []byte(yes + "\n")}
	if !good {
		a.status, a.body = http.StatusServiceUnavailable, []byte(no+"\n")
	}
	return a
}
