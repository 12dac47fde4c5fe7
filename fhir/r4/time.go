package r4

import (
	"errors"
	"regexp"
	"strings"
	"time"
)

// Precision is how much of a date or time was written down.
type Precision uint8

// Precisions of date, dateTime and instant (section 2.24.0.1).
const (
	Year Precision = iota + 1
	Month
	Day
	Second
	// Fraction is a fraction of a second, of however many digits.
	Fraction
)

// Span is what a date or time of some precision covers: 1970 covers a year.
type Span struct {
	// From is its first moment, To the first after it. A time's are one second or
	// fraction apart.
	From, To  time.Time
	Precision Precision
}

// ErrTime is what [ParseTime]'s error is. The text is not repeated: it may be a birth date.
var ErrTime = errors.New("r4: not a FHIR date, dateTime or instant")

// timeForm is the standard's: a time has seconds and a zone, or it is only a date.
var timeForm = regexp.MustCompile(`^\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?$`)

// ParseTime reads a date, dateTime or instant as the span it covers. A bare date
// has no zone of its own and is taken in zone, nil meaning UTC. A leap second is
// the moment after the 59th. The error is [ErrTime].
func ParseTime(s string, zone *time.Location) (Span, error) {
	if zone == nil {
		zone = time.UTC
	}
	if len(s) > 64 || !timeForm.MatchString(s) {
		return Span{}, ErrTime
	}
	switch len(s) {
	case len("2006"):
		return dateSpan("2006", s, zone, Year, 1, 0, 0)
	case len("2006-01"):
		return dateSpan("2006-01", s, zone, Month, 0, 1, 0)
	case len(time.DateOnly):
		return dateSpan(time.DateOnly, s, zone, Day, 0, 0, 1)
	}
	return instant(s)
}

func dateSpan(layout, s string, zone *time.Location, p Precision, years, months, days int) (Span, error) {
	t, err := time.ParseInLocation(layout, s, zone)
	if err != nil {
		return Span{}, ErrTime
	}
	return Span{From: t, To: t.AddDate(years, months, days), Precision: p}, nil
}

func instant(s string) (Span, error) {
	const seconds = len("2006-01-02T15:04:")
	leap := time.Duration(0)
	if s[seconds:seconds+2] == "60" {
		s, leap = s[:seconds]+"59"+s[seconds+2:], time.Second
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return Span{}, ErrTime
	}
	t = t.Add(leap)
	digits := 0
	if _, rest, ok := strings.Cut(s, "."); ok {
		digits = strings.IndexAny(rest, "Z+-")
	}
	if digits == 0 {
		return Span{From: t, To: t.Add(time.Second), Precision: Second}, nil
	}
	step := time.Second
	for range min(digits, 9) {
		step /= 10
	}
	return Span{From: t, To: t.Add(step), Precision: Fraction}, nil
}
