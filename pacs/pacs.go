package pacs

import (
	"cmp"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
	"github.com/hospital-go/hospital/internal/critical"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/order"
	"github.com/hospital-go/hospital/internal/report"
)

// The DICOM JSON model (PS3.18 annex F). Packages fmt and slog print none of their
// contents.
type (
	// Dataset is a set of attributes, a map from [Tag] to [Element]. Reading it from many
	// goroutines is safe, writing is not; its methods work on a nil one too.
	//
	//   - Text(t) is the first value's text without padding, of a name its alphabetic writing;
	//     "" when there is none.
	//   - Texts(t) are the texts of all values; nil when there is none.
	//   - Name(t) is the first value of a person name; zero when there is none.
	//   - Items(t) are the items of a sequence.
	//   - Int(t) is the first value as an int, false when it is not one.
	Dataset = dicomweb.Dataset
	// Element is one attribute's value: at most one of Values, InlineBinary and BulkDataURI
	// is set, none is an attribute without a value.
	//
	//   - VR is the value representation, two capital letters (PS3.5 section 6.2).
	//   - Values ([]Value) in their order.
	//   - InlineBinary is base64, as it came and unchecked.
	//   - BulkDataURI says where the value is, for [Client.BulkData].
	Element = dicomweb.Element
	// Value is one of an attribute's values; one with nothing set is empty.
	//
	//   - Text is a string, or a number exactly as the server wrote it.
	//   - Name (*PersonName) is the value of VR PN, else nil.
	//   - Item (Dataset) is the value of VR SQ, else nil.
	Value = dicomweb.Value
	// PersonName is a name in its Alphabetic, Ideographic and Phonetic writing, each "" or
	// family^given^middle^prefix^suffix (PS3.5 section 6.2.1).
	PersonName = dicomweb.PersonName
	// Tag is an attribute's tag, group<<16 | element: 0x0020000D. String writes it as
	// DICOMweb does: "0020000D".
	Tag = dicomweb.Tag
)

// Client has the verbs. It remembers which versions of reports it has shown, so that an
// older one is never shown after a newer: of the 20,000 to 40,000 reports, results and
// studies that came last, in this process. Use one for as long as the program runs. Beyond
// that it is immutable, and it is safe for concurrent use.
type Client struct {
	client  *hospital.Client
	ris     campus.SystemID
	systems Systems
	marks   Marks
	desk    *booking.Desk
	orders  *order.Desk
	reports *report.Desk
	board   *critical.Board
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
	// Report of a report's number. Default [DefaultReportSystem].
	Report string
	// Critical of a critical value's notification. Default [DefaultCriticalSystem].
	Critical string
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

	DefaultReportSystem   = "urn:hospital-go:imaging-report-number"
	DefaultCriticalSystem = "urn:hospital-go:imaging-critical-number"
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
		c.systems.Report = cmp.Or(s.Report, c.systems.Report)
		c.systems.Critical = cmp.Or(s.Critical, c.systems.Critical)
	}
}

// WithMarks says how reports that other institutions recognise are marked; the default
// is the tag HR of urn:hospital-go:recognition.
func WithMarks(m Marks) Option { return func(c *Client) { c.marks = m } }

// New returns the imaging verbs of client.
func New(client *hospital.Client, opts ...Option) *Client {
	c := &Client{client: client, ris: campus.RIS, marks: report.DefaultMarks(), systems: Systems{
		Booking: DefaultBookingSystem, Hold: DefaultHoldSystem, Accession: DefaultAccessionSystem, Line: DefaultLineSystem,
		Report: DefaultReportSystem, Critical: DefaultCriticalSystem,
	}}
	for _, o := range opts {
		o(c)
	}
	c.desk = booking.New(client, c.ris, "pacs", booking.Systems{Booking: c.systems.Booking, Hold: c.systems.Hold}, booking.DefaultRefusals())
	c.orders = order.New(client, order.Config{
		System: c.ris, Prefix: "pacs", Category: r4.Coding{System: OrderCategorySystem, Code: OrderCategory},
		Requisition: c.systems.Accession, Line: c.systems.Line, Begun: c.begun,
	})
	c.reports = report.New(client, report.Config{
		System: c.ris, Prefix: "pacs", Section: r4.Coding{System: SectionSystem, Code: Radiology}, Number: c.systems.Report,
		Marks: c.marks, StudyUID: studyUID,
	})
	c.board = critical.New(client, critical.Config{System: c.ris, Prefix: "pacs", Number: c.systems.Critical})
	return c
}

func op(name string, class hospital.Class) hospital.Op {
	return hospital.Op{Name: "pacs." + name, System: campus.PACS, Class: class}
}
