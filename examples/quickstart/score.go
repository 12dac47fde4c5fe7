package main

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// summary is what -json prints.
type summary struct {
	Fault      string `json:"fault"`
	Calls      int    `json:"calls"`
	Conflicts  int    `json:"conflicts"`
	Failed     int    `json:"failed"`
	Duplicated int    `json:"duplicated"`
	Lost       int    `json:"lost"`
	Unknown    int    `json:"unknown"`
	Switches   int    `json:"switches"`
	SwitchMS   int64  `json:"switch_ms"`
	SlowestMS  int64  `json:"slowest_ms"`
	TraceID    string `json:"trace_id"`
}

type score struct {
	summary
	records []record
	trace   tracetest.SpanStubs
}

// broken: the default fault must fail nothing; no fault may double or lose anything.
func (s *score) broken(fault string) bool {
	return s.Duplicated > 0 || s.Lost > 0 || (fault == "site" && (s.Failed > 0 || s.Unknown > 0))
}

// score compares what callers were told with the hospital's own books.
func (p *play) score() *score {
	s := &score{records: p.snapshot()}
	s.Fault, s.Calls = p.options.fault, len(s.records)
	p.mu.Lock() // events may still come
	s.Switches = p.switches
	p.mu.Unlock()
	switched := map[campus.ID]time.Duration{}
	for _, r := range s.records {
		switch r.code {
		case "":
		case hospital.ErrConflict:
			s.Conflicts++
		case hospital.ErrOutcomeUnknown:
			s.Unknown++
		default:
			s.Failed++
		}
		s.SlowestMS = max(s.SlowestMS, r.took.Milliseconds())
		if done := r.at + r.took; r.from == "dc-b" && r.at >= p.faultAt && p.home(r.campus) == "dc-a" && switched[r.campus] == 0 {
			switched[r.campus] = done - p.faultAt
		}
	}
	for _, d := range switched {
		s.SwitchMS = max(s.SwitchMS, d.Milliseconds())
	}
	s.audit(p)
	s.trace = p.pickTrace()
	if len(s.trace) > 0 {
		s.TraceID = s.trace[0].SpanContext.TraceID().String()
	}
	return s
}

func (p *play) home(id campus.ID) campus.DataCenterID {
	return p.desks[0].client.Topology().Campus(id).Home
}

// audit: every booking that was reported exists once, with the status reported
// last; nothing exists twice; every busy slot has one live appointment.
func (s *score) audit(p *play) {
	s.Duplicated = len(p.hosp.Ledger().Doubled())
	canceled := map[string]bool{}
	for _, r := range s.records {
		if r.number != "" {
			canceled[r.number] = canceled[r.number] || r.canceled
		}
	}
	found, slots := map[string]string{}, map[string]int{}
	for _, data := range p.hosp.Resources(campus.HIS, "Appointment") {
		a, err := r4.Decode[*r4.Appointment](data)
		if err != nil {
			s.Lost++
			continue
		}
		if number, ok := r4.IdentifierValue(a.Identifier, his.DefaultBookingSystem); ok {
			found[number] = a.Status
		}
		if a.Status != r4.AppointmentStatusCancelled && len(a.Slot) == 1 {
			slots[a.Slot[0].Reference]++
		}
	}
	for number, gone := range canceled {
		if status := found[number]; status == "" || gone != (status == r4.AppointmentStatusCancelled) {
			s.Lost++
		}
	}
	for _, n := range slots {
		s.Duplicated += n - 1
	}
}

// pickTrace returns the spans of a booking that failed over, else of any booking.
func (p *play) pickTrace() tracetest.SpanStubs {
	byTrace := map[string]tracetest.SpanStubs{}
	var best string
	bestRank := 0
	for _, span := range p.spans.GetSpans() {
		id := span.SpanContext.TraceID().String()
		byTrace[id] = append(byTrace[id], span)
		rank := 0
		if span.Name == "POST transaction" {
			if rank = 1; slices.Contains(span.Attributes, attribute.String("hospital.attempt.reason", "failover")) {
				rank = 2
			}
		}
		if rank > bestRank || best == "" {
			best, bestRank = id, rank
		}
	}
	return byTrace[best]
}
