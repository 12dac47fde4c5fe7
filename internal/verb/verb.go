// Package verb holds what the typed clients (his, lis, pacs) have in common: checked
// searches, the one patient of a PatientID, Numbers, and times as servers take them.
package verb

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// MaxNumber is how long a Number may be.
const MaxNumber = 32

// CheckNumber refuses a Number that cannot name an act.
func CheckNumber(number string) error {
	if number == "" || len(number) > MaxNumber || fhir.Token("s", number) == "" {
		return hospital.Refuse(hospital.ErrInvalidArgument, "a Number has 1 to 32 characters and none of | , \\ $")
	}
	return nil
}

// Search yields the matches of one search as Founds, each of which check must
// accept: a server that ignores a filter returns everyone.
func Search[T r4.Resource](ctx context.Context, f *fhir.Client, q fhir.Query, check func(T, hospital.Origin) bool) iter.Seq2[hospital.Found[T], error] {
	return func(yield func(hospital.Found[T], error) bool) {
		var none hospital.Found[T]
		for page, err := range fhir.Search(ctx, f, q) {
			if err != nil {
				yield(none, NoRoute(err))
				return
			}
			origin := hospital.OriginOf(page.Response)
			for _, r := range page.Matches {
				item, err := r4.As[T](r)
				if err != nil || !check(item, origin) {
					yield(none, hospital.ErrFilterIgnored)
					return
				}
				if !yield(hospital.Found[T]{Resource: item, Origin: origin}, nil) {
					return
				}
			}
		}
	}
}

// NoRoute is for searches: one that finds nothing says so with an empty page. 404 means
// that the server does not know the route, which must not be taken for an absence.
func NoRoute(err error) error {
	if errors.Is(err, fhir.ErrNotFound) || errors.Is(err, fhir.ErrGone) {
		return ErrNoRoute
	}
	return err
}

// ErrNoRoute is a search that the server does not know.
var ErrNoRoute = hospital.Refuse(hospital.ErrUnexpectedAnswer, "the server does not know the search")

// Only drops what does not hold. It is for what may change between the search and
// the page that shows it, such as a slot's status: no sign of an ignored filter.
func Only[T any](items iter.Seq2[hospital.Found[T], error], holds func(T) bool) iter.Seq2[hospital.Found[T], error] {
	return func(yield func(hospital.Found[T], error) bool) {
		for item, err := range items {
			if err == nil && !holds(item.Resource) {
				continue
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// Collect gathers at most limit items; more are an error.
func Collect[T any](items iter.Seq2[hospital.Found[T], error], limit int) ([]hospital.Found[T], error) {
	var out []hospital.Found[T]
	for item, err := range items {
		switch {
		case err != nil:
			return nil, err
		case len(out) == limit:
			return nil, hospital.Refuse(hospital.ErrUnexpectedAnswer, "far more than can be")
		}
		out = append(out, item)
	}
	return out, nil
}

// One returns the only item, ErrNotFound for none, many for several.
func One[T any](items iter.Seq2[hospital.Found[T], error], many hospital.Code) (hospital.Found[T], error) {
	list, err := Collect(items, MaxSame)
	switch {
	case err != nil:
		return hospital.Found[T]{}, err
	case len(list) == 0:
		return hospital.Found[T]{}, hospital.ErrNotFound
	case len(list) > 1:
		return hospital.Found[T]{}, many
	}
	return list[0], nil
}

// MaxSame bounds how many resources of one identifier are looked at.
const MaxSame = 16

// Fail is a sequence of nothing but an error.
func Fail[T any](err error) iter.Seq2[hospital.Found[T], error] {
	return func(yield func(hospital.Found[T], error) bool) { yield(hospital.Found[T]{}, err) }
}

// About says whom a write is about.
func About(opts []hospital.WriteOption, patient campus.PatientID) []hospital.WriteOption {
	return append(slices.Clip(opts), hospital.Concerning(patient))
}

// ReadAbout says whom a read is about.
func ReadAbout(opts []hospital.ReadOption, patient campus.PatientID) []hospital.ReadOption {
	return append(slices.Clip(opts), hospital.Concerning(patient))
}

// Needs checks that a Found came from a verb that reads this system.
func Needs[T r4.Resource](found hospital.Found[T], system campus.SystemID) error {
	var none T
	if any(found.Resource) == any(none) || found.Origin.Store == "" || found.Origin.System != system || !fhir.ValidID(found.Resource.ResourceID()) {
		return hospital.Refuse(hospital.ErrInvalidArgument, "pass what a verb of this package returned")
	}
	return nil
}

// IDs are the logical ids.
func IDs[T r4.Resource](found []hospital.Found[T]) []string {
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].Resource.ResourceID()
	}
	return ids
}

// ErrUnguarded says that a server which names no version gives nothing to guard with.
var ErrUnguarded = hospital.Refuse(hospital.ErrUnexpectedAnswer, "a record without version cannot be guarded")
