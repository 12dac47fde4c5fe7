package lis

import (
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// anyOf is a filter for one of several values, in the request's body: there may be
// many. None is a request that cannot be sent.
func anyOf[T r4.Resource](name string, values []string) fhir.Filter[T] {
	if len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return v == "" || strings.ContainsAny(v, ",\\$") }) {
		name = "" // refused before anything is sent
	}
	return fhir.Raw[T](name, strings.Join(values, ","), true)
}

// coded is a filter for one of several codes; nothing for none.
func coded[T r4.Resource](name string, codes []r4.Coding) []fhir.Filter[T] {
	if len(codes) == 0 {
		return nil
	}
	values := make([]string, len(codes))
	for i, c := range codes {
		if values[i] = fhir.Token(c.System, c.Code); c.System == "" && !strings.ContainsAny(c.Code, "|,\\$") {
			values[i] = c.Code
		}
	}
	return []fhir.Filter[T]{anyOf[T](name, values)}
}

// hasAny: is the concept coded with one of the codes? Without a system any will do.
func hasAny(concept *r4.CodeableConcept, codes []r4.Coding) bool {
	return len(codes) == 0 || (concept != nil && slices.ContainsFunc(concept.Coding, func(got r4.Coding) bool {
		return slices.ContainsFunc(codes, func(c r4.Coding) bool { return got.Code == c.Code && (c.System == "" || got.System == c.System) })
	}))
}

func inCategory(list []r4.CodeableConcept, category r4.Coding) bool {
	return slices.ContainsFunc(list, func(c r4.CodeableConcept) bool { return hasAny(&c, []r4.Coding{category}) })
}

// span bounds a search by time, [from, to); a zero time does not.
type span struct{ from, to time.Time }

func (s span) check() error {
	if !s.from.IsZero() && !s.to.IsZero() && !s.from.Before(s.to) {
		return hospital.Refuse(hospital.ErrInvalidArgument, "From must be before To")
	}
	return nil
}

func within[T r4.Resource](p fhir.TimeParam[T], s span) []fhir.Filter[T] {
	var out []fhir.Filter[T]
	if !s.from.IsZero() {
		out = append(out, p.From(s.from))
	}
	if !s.to.IsZero() {
		out = append(out, p.Before(s.to))
	}
	return out
}

// holds: does what was measured at a time, or over a period, meet the bounds? A bare
// day is left to the server, whose day it is; what has no time at all does not.
func (s span) holds(at string, period *r4.Period) bool {
	if s == (span{}) {
		return true
	}
	if at == "" && period == nil {
		return false
	}
	if period == nil {
		period = &r4.Period{Start: at, End: at}
	}
	to := s.to
	if to.IsZero() {
		to = time.Unix(1<<40, 0)
	}
	return verb.Meets(period, s.from, to)
}
