package his

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

// Systems are the identifier systems under which Numbers are stored.
type Systems struct {
	// Booking of an Appointment's booking number. Default [DefaultBookingSystem].
	Booking string
	// Hold of an Appointment's hold number. Default [DefaultHoldSystem].
	Hold string
	// Visit of an Encounter's number, which is the booking's. Default [DefaultVisitSystem].
	Visit string
}

// Defaults of [Systems].
const (
	DefaultBookingSystem = "urn:hospital-go:booking-number"
	DefaultHoldSystem    = "urn:hospital-go:hold-number"
	DefaultVisitSystem   = "urn:hospital-go:visit-number"
)

// Client has the verbs. It is immutable and safe for concurrent use.
type Client struct {
	client   *hospital.Client
	systems  Systems
	refusals map[string]Refusal
}

// Option configures a [Client].
type Option func(*Client)

// WithSystems names the identifier systems this HIS uses; empty fields keep their default.
func WithSystems(s Systems) Option {
	return func(c *Client) {
		for _, f := range []struct{ to, from *string }{
			{&c.systems.Booking, &s.Booking}, {&c.systems.Hold, &s.Hold}, {&c.systems.Visit, &s.Visit},
		} {
			if *f.from != "" {
				*f.to = *f.from
			}
		}
	}
}

// Refusal is why a booking was refused by the hospital's rules. It stands in
// hospital.Error.Reason beside hospital.ErrRefused.
type Refusal string

// Refusals that [WithRefusals] maps a server's codes to.
const (
	RefusedQuota       Refusal = "quota used up"               // 限额已满
	RefusedNotReleased Refusal = "not yet released"            // 未到放号时间
	RefusedBlacklisted Refusal = "patient may not book online" // 爽约黑名单
)

// WithRefusals maps codes of OperationOutcome.issue.details.coding to reasons.
// The default maps quota-exceeded, not-released and blacklisted.
func WithRefusals(codes map[string]Refusal) Option {
	return func(c *Client) {
		c.refusals = map[string]Refusal{}
		for code, reason := range codes {
			c.refusals[code] = reason
		}
	}
}

// New returns the HIS verbs of client.
func New(client *hospital.Client, opts ...Option) *Client {
	c := &Client{
		client:  client,
		systems: Systems{Booking: DefaultBookingSystem, Hold: DefaultHoldSystem, Visit: DefaultVisitSystem},
		refusals: map[string]Refusal{
			"quota-exceeded": RefusedQuota, "not-released": RefusedNotReleased, "blacklisted": RefusedBlacklisted,
		},
	}
	for _, o := range opts {
		o(c)
	}
	return c
}

// refused gives a business refusal its reason, and leaves every other error alone.
func (c *Client) refused(err error) error {
	var outcome *fhir.OutcomeError
	if !errors.As(err, &outcome) {
		return err
	}
	for _, issue := range outcome.Outcome().Issue {
		if issue.Details == nil {
			continue
		}
		for _, coding := range issue.Details.Coding {
			if reason, ok := c.refusals[coding.Code]; ok {
				return hospital.Refuse(hospital.ErrRefused, string(reason))
			}
		}
	}
	return err
}

func op(name string, consistency hospital.Consistency, class hospital.Class) hospital.Op {
	return hospital.Op{Name: "his." + name, System: campus.HIS, Consistency: consistency, Class: class}
}

// write declares a transaction whose guard is a version.
func write(name string) hospital.Op {
	return hospital.Op{
		Name: "his." + name, System: campus.HIS, Consistency: hospital.Strong,
		Repeat: hospital.Guarded, Class: hospital.WriteClass,
	}
}

// maxNumber is how long a Number may be.
const maxNumber = 32

func checkNumber(number string) error {
	if number == "" || len(number) > maxNumber || fhir.Token("s", number) == "" {
		return hospital.Refuse(hospital.ErrInvalidArgument, "a Number has 1 to 32 characters and none of | , \\ $")
	}
	return nil
}

// search yields the matches of one search as Founds, each of which check must
// accept: a server that ignores a filter returns everyone.
func search[T r4.Resource](ctx context.Context, f *fhir.Client, q fhir.Query, check func(T, hospital.Origin) bool) iter.Seq2[hospital.Found[T], error] {
	return func(yield func(hospital.Found[T], error) bool) {
		var none hospital.Found[T]
		for page, err := range fhir.Search(ctx, f, q) {
			if err != nil {
				yield(none, noRoute(err))
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

// noRoute: a search that finds nothing says so with an empty page. 404 means that
// the server does not know the route, which must not be taken for an absence.
func noRoute(err error) error {
	if errors.Is(err, fhir.ErrNotFound) || errors.Is(err, fhir.ErrGone) {
		return hospital.Refuse(hospital.ErrUnexpectedAnswer, "the server does not know the search")
	}
	return err
}

// only drops what does not hold. It is for what may change between the search and
// the page that shows it, such as a slot's status: no sign of an ignored filter.
func only[T r4.Resource](items iter.Seq2[hospital.Found[T], error], holds func(T) bool) iter.Seq2[hospital.Found[T], error] {
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

// collect gathers at most limit items; more are an error.
func collect[T any](items iter.Seq2[hospital.Found[T], error], limit int) ([]hospital.Found[T], error) {
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

// one returns the only item, ErrNotFound for none, many for several.
func one[T r4.Resource](items iter.Seq2[hospital.Found[T], error], many hospital.Code) (hospital.Found[T], error) {
	list, err := collect(items, maxSame)
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

// with says whom a write is about.
func with(opts []hospital.WriteOption, patient campus.PatientID) []hospital.WriteOption {
	return append(slices.Clip(opts), hospital.Concerning(patient))
}

// maxSame bounds how many resources of one identifier are looked at.
const maxSame = 16
