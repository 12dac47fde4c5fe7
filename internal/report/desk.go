// Package report reads diagnostic reports (检查检验报告) whole: with their results, those
// results' members, specimens and images, or not at all. The typed clients that have
// reports (lis, pacs) forward to a [Desk].
//
// A Desk remembers which versions it has shown, so that an older one is never shown
// after a newer, and what was entered in error is not shown. It remembers the 20,000 to
// 40,000 reports, results and studies that came last.
package report

import (
	"context"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Config is how a system keeps its reports.
type Config struct {
	System campus.SystemID
	// Prefix of the operations' names: "lis" makes "lis.Reports".
	Prefix string
	// Section of reports where a [Query] names none (DiagnosticReport.category).
	Section r4.Coding
	// Number is the identifier system of reports' numbers.
	Number string
	// Marks of what other institutions recognise.
	Marks Marks
	// StudyUID reads the Study Instance UID of an ImagingStudy that a report is about,
	// false when it has none. Nil leaves out the images that reports are about.
	StudyUID func(*r4.ImagingStudy) (string, bool)
}

// SectionSystem is the code system of DiagnosticReport.category (HL7 v2 table 0074).
const SectionSystem = "http://terminology.hl7.org/CodeSystem/v2-0074"

// Desk has the verbs. It remembers what it has shown; beyond that it is immutable, and
// it is safe for concurrent use.
type Desk struct {
	client *hospital.Client
	config Config
	ops    verb.Ops
	seen   *seen
}

// New returns the desk of a system.
func New(client *hospital.Client, config Config) *Desk {
	return &Desk{client: client, config: config, ops: verb.Ops{System: config.System, Prefix: config.Prefix}, seen: newSeen(maxSeen)}
}

// Take notes a version that came and reports whether a newer one came before; shows
// says whether its content is shown.
func (d *Desk) Take(o hospital.Origin, r r4.Resource, shows bool) (stale bool) {
	stale, _ = d.take(o, r, shows)
	return stale
}

// take is for all that comes: the client learns of it, so that no copy that may be
// behind this answers afterwards.
func (d *Desk) take(o hospital.Origin, r r4.Resource, shows bool) (stale, shown bool) {
	if at := verb.Updated(r); !at.IsZero() {
		d.client.Saw(o, at.Add(verb.ClockMargin))
	}
	return d.seen.take(o, r, shows)
}

// Call is one call of a reading verb at one campus: how to ask, and whom it is about.
type Call struct {
	*Desk
	f       *fhir.Client
	opts    []hospital.ReadOption
	patient verb.Records
}

// Of is the call about a patient whose records are known.
func (d *Desk) Of(f *fhir.Client, patient verb.Records, opts []hospital.ReadOption) *Call {
	return &Call{Desk: d, f: f, opts: opts, patient: patient}
}

// At finds the patient and returns the call about him, confined to the Store that
// knows him.
func (d *Desk) At(ctx context.Context, f *fhir.Client, id campus.PatientID, opts []hospital.ReadOption) (*Call, context.Context, error) {
	patient, err := verb.FindRecords(ctx, d.client, f, id)
	if err != nil {
		return nil, ctx, err
	}
	return d.Of(f, patient.Resource, verb.ReadAbout(opts, id)), hospital.SameStore(ctx, patient.Origin), nil
}

// Patient are the records of the patient whom the call is about.
func (c *Call) Patient() verb.Records { return c.patient }

// Mine reports whether the reference names the patient whom the call is about.
func (c *Call) Mine(origin hospital.Origin, subject *r4.Reference) bool {
	return c.patient.Own(c.client, origin, subject)
}

// strong is a client of the Store that takes writes, for what a copy has answered with
// an older version than was shown before.
func (c *Call) strong(origin hospital.Origin) *fhir.Client {
	return c.client.FHIR(c.config.System, append(slices.Clip(c.opts), hospital.AtCampus(origin.Campus))...)
}
