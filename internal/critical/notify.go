package critical

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Request is a critical value that a ward must be told of.
type Request struct {
	// Number names the notification; at most 32 characters, stored by the caller first.
	// Required.
	Number string
	// Patient whose value it is. Required.
	Patient campus.PatientID
	// Finding is the Observation or DiagnosticReport, as a verb returned it. Required.
	Finding hospital.Found[r4.Resource]
	// Value is what the ward must read back, such as "K+ 7.1 mmol/L". Required.
	Value string
	// Ward is an identifier of the Organization that must handle it. Required.
	Ward r4.Identifier
	// Encounter is the visit's number. The zero Identifier is none.
	Encounter r4.Identifier
	// Deadline is until when it must be handled. Required.
	Deadline time.Time
	// By is the staff number of who notifies, required; Terminal is where, "" is nowhere.
	By, Terminal string
}

// Notify tells a ward. It may be repeated with the same Number. hospital.ErrNumberReused
// when Number names another notification or one that was withdrawn,
// hospital.ErrWrongPatient when the finding is another patient's, hospital.ErrRefused when
// it was entered in error, hospital.ErrInvalidArgument when nobody knows the ward.
func (b *Board) Notify(ctx context.Context, r Request, opts ...hospital.WriteOption) (Found, error) {
	n := &notifying{board: b, Request: r}
	return hospital.Write(ctx, b.client, b.ops.Write("NotifyCritical", hospital.Keyed), r.Number, n.send, n.find, verb.About(opts, r.Patient)...)
}

type notifying struct {
	Request
	board *Board
}

func (n *notifying) check() error {
	if err := verb.CheckNumber(n.Number); err != nil {
		return err
	}
	if err := n.Patient.Validate(); err != nil {
		return err
	}
	if err := verb.Needs(n.Finding, n.board.config.System); err != nil {
		return err
	}
	switch typ := n.Finding.Resource.ResourceType(); {
	case typ != "Observation" && typ != "DiagnosticReport":
		return hospital.Refuse(hospital.ErrInvalidArgument, "a finding is an Observation or a DiagnosticReport")
	case same(n.Value, "") || n.By == "" || n.Deadline.IsZero():
		return hospital.Refuse(hospital.ErrInvalidArgument, "a notification needs a value, a deadline and who makes it")
	case n.Ward.System == "" || n.Ward.Value == "":
		return hospital.Refuse(hospital.ErrInvalidArgument, "a ward is named by system and value")
	}
	return nil
}

// send looks first (it may have been notified before a crash), then writes.
func (n *notifying) send(ctx context.Context, f *fhir.Client) (Found, error) {
	if done, err := n.find(ctx, f); hospital.CodeOf(err) != hospital.ErrNotFound {
		return done, err
	}
	patient, ward, err := n.people(ctx, f)
	if err != nil {
		return Found{}, err
	}
	ctx = hospital.SameStore(ctx, n.Finding.Origin)
	if err := n.finding(ctx, f, patient); err != nil {
		return Found{}, err
	}
	id := r4.Identifier{System: n.board.config.Number, Value: n.Number}
	if _, _, err := fhir.CreateIfNone(ctx, f, n.task(patient.Current(), ward), id); err != nil {
		return Found{}, err
	}
	return n.find(ctx, f) // two at once may both have made one: the look finds both
}

var errNoWard = hospital.Refuse(hospital.ErrInvalidArgument, "the system knows no ward of this identifier")

// people finds patient and ward in the store that holds the finding.
func (n *notifying) people(ctx context.Context, f *fhir.Client) (patient verb.Records, ward string, err error) {
	ctx = hospital.SameStore(ctx, n.Finding.Origin)
	who, err := verb.FindRecords(ctx, n.board.client, f, n.Patient)
	if err != nil {
		return nil, "", err
	}
	where, err := wardOf(ctx, f, n.Ward)
	if hospital.CodeOf(err) == hospital.ErrNotFound {
		err = errNoWard
	}
	if err != nil {
		return nil, "", err
	}
	return who.Resource, where.Resource.ID, nil
}

func wardOf(ctx context.Context, f *fhir.Client, id r4.Identifier) (hospital.Found[*r4.Organization], error) {
	q := fhir.For(fhir.Identifier[*r4.Organization](id.System, id.Value))
	return verb.One(verb.Search(ctx, f, q, func(o *r4.Organization, _ hospital.Origin) bool {
		return r4.HasIdentifier(o.Identifier, id.System, id.Value)
	}), hospital.ErrUnexpectedAnswer)
}

// finding reads it again: it must be this patient's, stand, and say what the caller read.
func (n *notifying) finding(ctx context.Context, f *fhir.Client, patient verb.Records) error {
	id := n.Finding.Resource.ResourceID()
	var subject *r4.Reference
	var status string
	var now r4.Resource
	var resp *fhir.Response
	var err error
	if n.Finding.Resource.ResourceType() == "Observation" {
		var o *r4.Observation
		if o, resp, err = fhir.Read[*r4.Observation](ctx, f, id); err == nil {
			now, subject, status = o, o.Subject, o.Status
		}
	} else {
		var r *r4.DiagnosticReport
		if r, resp, err = fhir.Read[*r4.DiagnosticReport](ctx, f, id); err == nil {
			now, subject, status = r, r.Subject, r.Status
		}
	}
	switch {
	case errors.Is(err, fhir.ErrNotFound) || errors.Is(err, fhir.ErrGone):
		return hospital.Refuse(hospital.ErrConflict, "the finding does not exist any more")
	case err != nil:
		return err
	case !patient.Own(n.board.client, hospital.OriginOf(resp), subject):
		return hospital.ErrWrongPatient
	case status == r4.ObservationStatusEnteredInError: // spelt so for reports too
		return hospital.Refuse(hospital.ErrRefused, "the finding was entered in error")
	case newer(n.Finding.Resource, now) && slices.Contains(corrected, status):
		return hospital.Refuse(hospital.ErrConflict, "the finding was corrected since it was read; read it again")
	}
	return nil
}

// corrected are the statuses, spelt alike for both, of what says something else than before.
var corrected = []string{r4.ObservationStatusAmended, r4.ObservationStatusCorrected, r4.ObservationStatusCancelled}

// newer: is it known that now is another version than the one that was read?
func newer(read, now r4.Resource) bool {
	a, b := fhir.ETag(read.ResourceMeta()), fhir.ETag(now.ResourceMeta())
	return a != "" && b != "" && a != b
}

// find looks the notification up by its Number and compares all of it.
func (n *notifying) find(ctx context.Context, f *fhir.Client) (Found, error) {
	if err := n.check(); err != nil {
		return Found{}, err
	}
	found, err := n.board.byNumber(ctx, f, n.Number, verb.MaySettle)
	if err != nil {
		return Found{}, err
	}
	patient, ward, err := n.people(hospital.SameStore(ctx, found.Origin), f)
	if err != nil {
		return Found{}, verb.NoPatient(err)
	}
	t, names := found.Resource.Task, n.board.client.Names
	switch {
	case found.Origin.Store != n.Finding.Origin.Store,
		!patient.Own(n.board.client, found.Origin, t.For), !names(found.Origin, t.Owner, "Organization", ward),
		!names(found.Origin, t.Focus, n.Finding.Resource.ResourceType(), n.Finding.Resource.ResourceID()),
		!same(found.Resource.Value, n.Value):
		return Found{}, hospital.ErrNumberReused
	case found.Resource.Stage == Withdrawn:
		return Found{}, hospital.Refuse(hospital.ErrNumberReused, "the notification it names was withdrawn")
	}
	return found, nil
}

// task is the new resource. It refers by ids of the Store that is written; the
// patient's number goes along, so that whoever reads it knows whom to call by it.
func (n *notifying) task(patient, ward string) *r4.Task {
	now := time.Now()
	subject := r4.RefTo("Patient", patient)
	subject.Identifier = &r4.Identifier{System: n.Patient.Issuer, Value: n.Patient.Value}
	t := &r4.Task{
		Identifier:  []r4.Identifier{{System: n.board.config.Number, Value: n.Number}},
		Status:      r4.TaskStatusRequested,
		Intent:      r4.TaskIntentOrder,
		Priority:    r4.RequestPriorityStat,
		Code:        r4.Concept(CodeSystem, Code),
		Focus:       r4.RefTo(n.Finding.Resource.ResourceType(), n.Finding.Resource.ResourceID()),
		For:         subject,
		AuthoredOn:  verb.Instant(now),
		Owner:       r4.RefTo("Organization", ward),
		Restriction: &r4.TaskRestriction{Period: &r4.Period{End: verb.Instant(n.Deadline)}},
		Input:       []r4.TaskInput{{Type: r4.Concept(CodeSystem, InputValue), ValueString: n.Value}},
		Extension:   []r4.Extension{Step{Stage: Notified, By: n.By, Terminal: n.Terminal, At: now}.extension()},
	}
	if n.Encounter.Value != "" {
		t.Encounter = &r4.Reference{Identifier: &n.Encounter}
	}
	return t
}
