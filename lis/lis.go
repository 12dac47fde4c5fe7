package lis

import (
	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/critical"
	"github.com/hospital-go/hospital/internal/order"
	"github.com/hospital-go/hospital/internal/report"
	"github.com/hospital-go/hospital/internal/verb"
)

// Systems are the identifier systems under which Numbers are stored.
type Systems struct {
	// Requisition of an order's Number (ServiceRequest.requisition). Default [DefaultRequisitionSystem].
	Requisition string
	// Line of an item's own identifier, Number and line. Default [DefaultLineSystem].
	Line string
	// Barcode of a tube. Default [DefaultBarcodeSystem].
	Barcode string
	// Accession of the number that the laboratory gives a specimen it received
	// (Specimen.accessionIdentifier). Default [DefaultAccessionSystem].
	Accession string
	// Report of a report's number. Default [DefaultReportSystem].
	Report string
	// Critical of a critical value's notification. Default [DefaultCriticalSystem].
	Critical string
}

// Defaults of [Systems].
const (
	DefaultRequisitionSystem = "urn:hospital-go:requisition-number"
	DefaultLineSystem        = "urn:hospital-go:requisition-line"
	DefaultBarcodeSystem     = "urn:hospital-go:specimen-barcode"
	DefaultAccessionSystem   = "urn:hospital-go:laboratory-accession"
	DefaultReportSystem      = "urn:hospital-go:laboratory-report-number"
	DefaultCriticalSystem    = "urn:hospital-go:critical-number"
)

// Codes by which a laboratory's resources are known.
const (
	// SectionSystem is the code system of DiagnosticReport.category (HL7 v2 table 0074).
	SectionSystem = report.SectionSystem
	// Laboratory is the section of all laboratory reports.
	Laboratory = "LAB"
	// MicrobiologySection is that of microbiology.
	MicrobiologySection = "MB"
	// CategorySystem is the code system of Observation.category.
	CategorySystem = "http://terminology.hl7.org/CodeSystem/observation-category"
	// LaboratoryCategory is its code for laboratory results.
	LaboratoryCategory = "laboratory"
	// OrderCategorySystem is the code system of ServiceRequest.category (SNOMED CT).
	OrderCategorySystem = "http://snomed.info/sct"
	// OrderCategory is its code for a laboratory procedure.
	OrderCategory = "108252007"
)

// Categories are the codes by which a LIS tells its resources from others.
type Categories struct {
	// Order of every item (ServiceRequest.category). Default [OrderCategory].
	Order r4.Coding
	// Section of reports (DiagnosticReport.category). Default [Laboratory].
	Section r4.Coding
	// Microbiology is the section of microbiology's. Default [MicrobiologySection].
	Microbiology r4.Coding
	// Result of single results (Observation.category). Default [LaboratoryCategory].
	Result r4.Coding
}

// Client has the verbs. It remembers which versions of reports and results it has
// shown, so that an older one is never shown after a newer: of the 20,000 to 40,000 that
// came last, in this process. Use one for as long as the program runs. Beyond that it is
// immutable, and it is safe for concurrent use.
type Client struct {
	client     *hospital.Client
	systems    Systems
	categories Categories
	marks      Marks
	container  bool // barcodes stand on the container
	orders     *order.Desk
	board      *critical.Board
	reports    *report.Desk
}

// Option configures a [Client].
type Option func(*Client)

// WithSystems names the identifier systems this LIS uses; empty fields keep their default.
func WithSystems(s Systems) Option {
	return func(c *Client) {
		for _, f := range []struct{ to, from *string }{
			{&c.systems.Requisition, &s.Requisition},
			{&c.systems.Line, &s.Line},
			{&c.systems.Barcode, &s.Barcode},
			{&c.systems.Accession, &s.Accession},
			{&c.systems.Report, &s.Report},
			{&c.systems.Critical, &s.Critical},
		} {
			if *f.from != "" {
				*f.to = *f.from
			}
		}
	}
}

// WithCategories names the categories this LIS uses; those without a code keep their default.
func WithCategories(k Categories) Option {
	return func(c *Client) {
		for _, f := range []struct{ to, from *r4.Coding }{
			{&c.categories.Order, &k.Order},
			{&c.categories.Section, &k.Section},
			{&c.categories.Microbiology, &k.Microbiology},
			{&c.categories.Result, &k.Result},
		} {
			if f.from.Code != "" {
				*f.to = *f.from
			}
		}
	}
}

// WithContainerBarcodes is for a LIS that keeps a tube's barcode as
// Specimen.container.identifier, searched by container-id. The default is
// Specimen.identifier.
func WithContainerBarcodes() Option { return func(c *Client) { c.container = true } }

// WithMarks says how results that other institutions recognise are marked; the default
// is [DefaultMarks].
func WithMarks(m Marks) Option { return func(c *Client) { c.marks = m } }

// New returns the LIS verbs of client.
func New(client *hospital.Client, opts ...Option) *Client {
	c := &Client{
		client: client,
		systems: Systems{
			Requisition: DefaultRequisitionSystem, Line: DefaultLineSystem, Barcode: DefaultBarcodeSystem,
			Accession: DefaultAccessionSystem, Report: DefaultReportSystem, Critical: DefaultCriticalSystem,
		},
		categories: Categories{
			Order:        r4.Coding{System: OrderCategorySystem, Code: OrderCategory},
			Section:      r4.Coding{System: SectionSystem, Code: Laboratory},
			Microbiology: r4.Coding{System: SectionSystem, Code: MicrobiologySection},
			Result:       r4.Coding{System: CategorySystem, Code: LaboratoryCategory},
		},
		marks: DefaultMarks(),
	}
	for _, o := range opts {
		o(c)
	}
	c.orders = order.New(client, order.Config{
		System: campus.LIS, Prefix: "lis", Category: c.categories.Order,
		Requisition: c.systems.Requisition, Line: c.systems.Line, Begun: c.begun,
	})
	c.board = critical.New(client, critical.Config{System: campus.LIS, Prefix: "lis", Number: c.systems.Critical})
	c.reports = report.New(client, report.Config{
		System: campus.LIS, Prefix: "lis", Section: c.categories.Section, Number: c.systems.Report, Marks: c.marks,
	})
	return c
}

// ops are this package's operations.
func ops() verb.Ops { return verb.Ops{System: campus.LIS, Prefix: "lis"} }
