package verb

import (
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// AnyOf is a filter for one of several values, in the request's body: there may be
// many. None is a request that cannot be sent.
func AnyOf[T r4.Resource](name string, values []string) fhir.Filter[T] {
	if len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return v == "" || strings.ContainsAny(v, ",\\$") }) {
		name = "" // refused before anything is sent
	}
	return fhir.Raw[T](name, strings.Join(values, ","), true)
}

// Coded is a filter for one of several codes; nothing for none.
func Coded[T r4.Resource](name string, codes []r4.Coding) []fhir.Filter[T] {
	if len(codes) == 0 {
		return nil
	}
	values := make([]string, len(codes))
	for i, c := range codes {
		if values[i] = fhir.Token(c.System, c.Code); c.System == "" && !strings.ContainsAny(c.Code, "|,\\$") {
			values[i] = c.Code
		}
	}
	return []fhir.Filter[T]{AnyOf[T](name, values)}
}

// HasAny reports whether the concept is coded with one of the codes, of which there may
// be none. To a code without a system any system will do.
func HasAny(concept *r4.CodeableConcept, codes []r4.Coding) bool {
	return len(codes) == 0 || (concept != nil && slices.ContainsFunc(concept.Coding, func(got r4.Coding) bool {
		return slices.ContainsFunc(codes, func(c r4.Coding) bool { return got.Code == c.Code && (c.System == "" || got.System == c.System) })
	}))
}

// InCategory reports whether one of the concepts has the code.
func InCategory(list []r4.CodeableConcept, category r4.Coding) bool {
	return slices.ContainsFunc(list, func(c r4.CodeableConcept) bool { return HasAny(&c, []r4.Coding{category}) })
}

// Span bounds a search by time, [From, To); a zero time does not.
type Span struct{ From, To time.Time }

// Check refuses a span that ends before it begins.
func (s Span) Check() error {
	if !s.From.IsZero() && !s.To.IsZero() && !s.From.Before(s.To) {
		return hospital.Refuse(hospital.ErrInvalidArgument, "From must be before To")
	}
	return nil
}

// Between are the filters of a span.
func Between[T r4.Resource](p fhir.TimeParam[T], s Span) []fhir.Filter[T] {
	var out []fhir.Filter[T]
	if !s.From.IsZero() {
		out = append(out, p.From(s.From))
	}
	if !s.To.IsZero() {
		out = append(out, p.Before(s.To))
	}
	return out
}

// Holds reports whether what was at a time, or over a period, meets the bounds. A bare
// day is left to the server, whose day it is; what has no time at all does not.
func (s Span) Holds(at string, period *r4.Period) bool {
	if s == (Span{}) {
		return true
	}
	if at == "" && period == nil {
		return false
	}
	if period == nil {
		period = &r4.Period{Start: at, End: at}
	}
	to := s.To
	if to.IsZero() {
		to = time.Unix(1<<40, 0)
	}
	return Meets(period, s.From, to)
}
