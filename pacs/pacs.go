package pacs

import (
	"cmp"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/order"
)

// The DICOM JSON model (PS3.18 annex F). Packages fmt and slog print none of their
// contents.
type (
	// Dataset is a set of attributes by [Tag]; see its methods Text, Texts, Name, Items, Int.
	Dataset = dicomweb.Dataset
	// Element is one attribute's value.
	Element = dicomweb.Element
	// Value is one of an attribute's values. Numbers are text, as the server wrote them.
	Value = dicomweb.Value
	// PersonName is a name in its alphabetic, ideographic and phonetic writing.
	PersonName = dicomweb.PersonName
	// Tag is an attribute's tag, group<<16 | element.
	Tag = dicomweb.Tag
)

// Client has the verbs. It is immutable and safe for concurrent use.
type Client struct {
	client  *hospital.Client
	ris     campus.SystemID
	systems Systems
	desk    *booking.Desk
	orders  *order.Desk
	viewer  viewer
}

// Systems are the identifier systems under which the RIS stores Numbers.
type Systems struct {
	// Booking of an Appointment's booking number. Default [DefaultBookingSystem].
	Booking string
	// Hold of an Appointment's hold number. Default [DefaultHoldSystem].
	Hold string
	// Accession of an order's accession number, its requisition. Default [DefaultAccessionSystem].
	Accession string
	// Line of an item's accession number and line. Default [DefaultLineSystem].
	Line string
}

// Imaging is the category of what is ordered here, a code of SNOMED CT.
const (
	OrderCategorySystem = "http://snomed.info/sct"
	OrderCategory       = "363679005"
)

// Defaults of [Systems].
const (
	DefaultAccessionSystem = "urn:hospital-go:accession-number"
	DefaultLineSystem      = "urn:hospital-go:imaging-order-line"

	DefaultBookingSystem = "urn:hospital-go:imaging-booking-number"
	DefaultHoldSystem    = "urn:hospital-go:imaging-hold-number"
)

// Option configures a [Client].
type Option func(*Client)

// WithRIS names the system that holds imaging orders, appointments and reports, in
// FHIR. Default campus.RIS.
func WithRIS(system campus.SystemID) Option { return func(c *Client) { c.ris = system } }

// WithSystems names the identifier systems the RIS uses; empty fields keep their default.
func WithSystems(s Systems) Option {
	return func(c *Client) {
		c.systems.Booking = cmp.Or(s.Booking, c.systems.Booking)
		c.systems.Hold = cmp.Or(s.Hold, c.systems.Hold)
		c.systems.Accession = cmp.Or(s.Accession, c.systems.Accession)
		c.systems.Line = cmp.Or(s.Line, c.systems.Line)
	}
}

// New returns the imaging verbs of client.
func New(client *hospital.Client, opts ...Option) *Client {
	c := &Client{client: client, ris: campus.RIS, systems: Systems{
		Booking: DefaultBookingSystem, Hold: DefaultHoldSystem, Accession: DefaultAccessionSystem, Line: DefaultLineSystem,
	}}
	for _, o := range opts {
		o(c)
	}
	c.desk = booking.New(client, c.ris, "pacs", booking.Systems{Booking: c.systems.Booking, Hold: c.systems.Hold}, booking.DefaultRefusals())
	c.orders = order.New(client, order.Config{
		System: c.ris, Prefix: "pacs", Category: r4.Coding{System: OrderCategorySystem, Code: OrderCategory},
		Requisition: c.systems.Accession, Line: c.systems.Line, Begun: c.begun,
	})
	return c
}

func op(name string, class hospital.Class) hospital.Op {
	return hospital.Op{Name: "pacs." + name, System: campus.PACS, Class: class}
}
