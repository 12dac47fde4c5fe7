package his

import (
	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/internal/booking"
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
	desk     *booking.Desk
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
type Refusal = booking.Refusal

// Refusals that [WithRefusals] maps a server's codes to.
const (
	RefusedQuota       = booking.RefusedQuota       // 限额已满
	RefusedNotReleased = booking.RefusedNotReleased // 未到放号时间
	RefusedBlacklisted = booking.RefusedBlacklisted // 爽约黑名单
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
		client:   client,
		systems:  Systems{Booking: DefaultBookingSystem, Hold: DefaultHoldSystem, Visit: DefaultVisitSystem},
		refusals: booking.DefaultRefusals(),
	}
	for _, o := range opts {
		o(c)
	}
	c.desk = booking.New(client, campus.HIS, "his", booking.Systems{Booking: c.systems.Booking, Hold: c.systems.Hold}, c.refusals)
	return c
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
