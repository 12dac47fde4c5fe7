package verb

import (
	"time"

	"github.com/hospital-go/hospital/fhir/r4"
)

// China is the group's time zone: servers take a bare day for their own.
var China = time.FixedZone("+08:00", 8*60*60)

// Instant writes a time with seconds and zone, which every server understands.
func Instant(t time.Time) string { return t.In(China).Format(time.RFC3339) }

// Within reports whether an instant lies in [from, to). Instants have no fractions on
// the wire, so from counts from its second.
func Within(instant string, from, to time.Time) bool {
	at, err := time.Parse(time.RFC3339, instant)
	return err == nil && !at.Before(from.Truncate(time.Second)) && at.Before(to)
}

// Meets reports whether the period overlaps [from, to). What cannot be told does not
// speak against it.
func Meets(p *r4.Period, from, to time.Time) bool {
	if p == nil {
		return true
	}
	start, err := time.Parse(time.RFC3339, p.Start)
	end, err2 := time.Parse(time.RFC3339, p.End)
	return (err != nil || start.Before(to)) && (err2 != nil || !end.Before(from.Truncate(time.Second)))
}

// SameTime compares instants of different writing.
func SameTime(a, b string) bool {
	ta, err := time.Parse(time.RFC3339, a)
	tb, err2 := time.Parse(time.RFC3339, b)
	return err == nil && err2 == nil && ta.Equal(tb)
}

// Updated is when the server wrote a version, the zero time if it does not say.
func Updated(r r4.Resource) time.Time {
	meta := r.ResourceMeta()
	if meta == nil {
		return time.Time{}
	}
	at, _ := time.Parse(time.RFC3339, meta.LastUpdated)
	return at
}

// Point is the first instant of what a date or time names, the zero time of what names
// none. It is for sorting.
func Point(text string) time.Time {
	s, err := r4.ParseTime(text, China)
	if err != nil {
		return time.Time{}
	}
	return s.From
}
