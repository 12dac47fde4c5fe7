package order

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// MaxItems is how many items one order may have.
const MaxItems = 99

// Request is an order to be placed.
type Request struct {
	// Number is the requisition number; at most 32 characters, counted in bytes, stored by
	// the caller first. Required.
	Number string
	// Patient whom it is for. Required.
	Patient campus.PatientID
	// Items that are asked for, 1 to [MaxItems]. Their order counts: it is part of what
	// the Number names.
	Items []Wanted
	// Priority is routine, urgent, asap or stat; "" is routine.
	Priority string
	// Encounter is the visit's number (就诊号). The zero Identifier is none.
	Encounter r4.Identifier
	// Requester is who orders: a staff number (工号). The zero Identifier is nobody.
	Requester r4.Identifier
	// Reason is why: diagnoses; nil is none.
	Reason []r4.CodeableConcept
	// Authored is when it was ordered; the zero time is now.
	Authored time.Time
}

// Wanted is one item that is asked for.
type Wanted struct {
	// Code of the test or examination; required, with a coding or a text.
	Code r4.CodeableConcept
	// Specimen is the kind of material, nil where there is none or the laboratory knows.
	Specimen *r4.CodeableConcept
	// BodySite is where, for what is done at a place of the body; nil is nowhere.
	BodySite []r4.CodeableConcept
	// Note is for whoever performs it; "" is none.
	Note string
}

// Place places an order, all of it or nothing. It may be repeated with the same Number.
// hospital.ErrNumberReused when Number names an order of another patient, of other items,
// or one that was cancelled; hospital.ErrConflict when it was made twice and cannot be
// ended once.
func (d *Desk) Place(ctx context.Context, r Request, opts ...hospital.WriteOption) (Placed, error) {
	if r.Authored.IsZero() {
		r.Authored = time.Now() // of all items alike
	}
	p := &placing{desk: d, Request: r}
	return hospital.Write(ctx, d.client, d.ops.Write("Order", hospital.Keyed), r.Number, p.send, p.find, verb.About(opts, r.Patient)...)
}

type placing struct {
	Request
	desk *Desk
	left *r4.Bundle      // what is to be taken back, as long as it may be there
	at   hospital.Origin // where it is: its ids are another patient's elsewhere
}

func (p *placing) check() error {
	if err := verb.CheckNumber(p.Number); err != nil {
		return err
	}
	if err := p.Patient.Validate(); err != nil {
		return err
	}
	switch c := p.desk.config; {
	case c.Requisition == c.Line:
		return hospital.Refuse(hospital.ErrInvalidArgument, "the identifier systems of requisition and line must differ")
	case len(p.Items) == 0 || len(p.Items) > MaxItems:
		return hospital.Refuse(hospital.ErrInvalidArgument, "an order has 1 to 99 items")
	case slices.ContainsFunc(p.Items, func(w Wanted) bool { return !named(&w.Code) }):
		return hospital.Refuse(hospital.ErrInvalidArgument, "an item needs a code")
	case !slices.Contains([]string{"", r4.RequestPriorityRoutine, r4.RequestPriorityUrgent, r4.RequestPriorityAsap, r4.RequestPriorityStat}, p.Priority):
		return hospital.Refuse(hospital.ErrInvalidArgument, "a priority is routine, urgent, asap or stat")
	}
	return nil
}

func named(c *r4.CodeableConcept) bool {
	return c.Text != "" || slices.ContainsFunc(c.Coding, func(k r4.Coding) bool { return k.Code != "" })
}

// send looks first (it may have been placed before a crash), then writes, then looks
// whether somebody placed it at the same moment.
func (p *placing) send(ctx context.Context, f *fhir.Client) (Placed, error) {
	if done, err := p.find(ctx, f); hospital.CodeOf(err) != hospital.ErrNotFound {
		return done, err
	}
	patient, err := verb.FindPatient(ctx, f, p.Patient)
	if err != nil {
		return Placed{}, err
	}
	bundle := &r4.Bundle{Type: r4.BundleTypeTransaction}
	for i := range p.Items {
		line := r4.Identifier{System: p.desk.config.Line, Value: lineValue(p.Number, i+1)}
		bundle.Entry = append(bundle.Entry, fhir.Post(p.item(i, patient.Resource.ID), "", line))
	}
	answer, resp, err := fhir.Transaction(hospital.SameStore(ctx, patient.Origin), f, bundle)
	if err != nil {
		return Placed{}, err
	}
	ctx = hospital.SameStore(ctx, patient.Origin)
	mine, err := p.made(answer, hospital.OriginOf(resp), patient.Resource.ID)
	if err != nil {
		return Placed{}, cmp.Or(p.undo(ctx, f, answer, hospital.OriginOf(resp), patient.Resource.ID), err)
	}
	return p.look(ctx, f, mine)
}

// made takes the items from the transaction's answer; whatever does not fit is looked
// up by Write.
func (p *placing) made(answer *r4.Bundle, origin hospital.Origin, patient string) ([]Item, error) {
	var out []Item
	for i := range answer.Entry {
		s, ok := answer.Entry[i].Resource.(*r4.ServiceRequest)
		if !ok || !p.fits(i, s, origin, patient) {
			return nil, fhir.ErrUnexpected
		}
		out = append(out, Item{Resource: s, Origin: origin})
	}
	return out, nil
}

// fits: is it the item that was asked for as number i?
func (p *placing) fits(i int, s *r4.ServiceRequest, origin hospital.Origin, patient string) bool {
	return p.desk.LineOf(s) == i+1 && s.Requisition != nil && s.Requisition.Value == p.Number && Live(s) &&
		p.Items[i].is(s) && p.desk.client.Names(origin, s.Subject, "Patient", patient)
}

// undo takes back what the transaction made beside a line that was there already and is
// no item of this order (another patient's, or over): an order is placed whole or not at all.
func (p *placing) undo(ctx context.Context, f *fhir.Client, answer *r4.Bundle, origin hospital.Origin, patient string) error {
	bundle, foreign := &r4.Bundle{Type: r4.BundleTypeTransaction}, false
	for i := range answer.Entry {
		s, ok := answer.Entry[i].Resource.(*r4.ServiceRequest)
		switch {
		case !ok:
			return nil // it says too little; Write looks
		case strings.HasPrefix(answer.Entry[i].Response.Status, "201"):
			s.Status = r4.RequestStatusEnteredInError
			bundle.Entry = append(bundle.Entry, fhir.Put(s))
		case !p.fits(i, s, origin, patient):
			foreign = true
		}
	}
	if !foreign || len(bundle.Entry) == 0 {
		return nil
	}
	p.left, p.at = bundle, origin
	return p.takeBack(ctx, f)
}

// takeBack is guarded, so it may be sent again when it was lost; a conflict says that it,
// or somebody else's change, came first.
func (p *placing) takeBack(ctx context.Context, f *fhir.Client) error {
	if _, _, err := fhir.Transaction(hospital.SameStore(ctx, p.at), f, p.left); err != nil && hospital.CodeOf(err) != hospital.ErrConflict {
		return err
	}
	p.left = nil
	return hospital.Refuse(hospital.ErrNumberReused, "a line of it was there already")
}

// find looks the order up by its Number and compares all of it.
func (p *placing) find(ctx context.Context, f *fhir.Client) (Placed, error) {
	if err := p.check(); err != nil {
		return Placed{}, err
	}
	if p.left != nil {
		return Placed{}, p.takeBack(ctx, f)
	}
	return p.look(ctx, f, nil)
}

func (p *placing) look(ctx context.Context, f *fhir.Client, mine []Item) (Placed, error) {
	items, err := p.desk.items(ctx, f, p.Number, mine)
	if err != nil {
		return Placed{}, err
	}
	ctx = hospital.SameStore(ctx, items[0].Origin)
	patient, err := verb.FindRecords(ctx, p.desk.client, f, p.Patient)
	switch {
	case err != nil:
		return Placed{}, verb.NoPatient(err)
	case !p.desk.allOf(items, patient.Resource):
		return Placed{}, hospital.ErrNumberReused
	}
	if items, err = p.desk.settle(ctx, f, patient.Resource, items, mine); err != nil {
		return Placed{}, err
	}
	placed := p.desk.order(items)
	switch {
	case placed.Resource.Cancelled():
		return Placed{}, hospital.Refuse(hospital.ErrNumberReused, "the order it names was cancelled")
	case !p.same(placed.Resource):
		return Placed{}, hospital.Refuse(hospital.ErrNumberReused, "it names an order of other items")
	}
	return placed, nil
}

// same: are these the items that were asked for?
func (p *placing) same(o Order) bool {
	if len(o.Items) != len(p.Items) {
		return false
	}
	for i, s := range o.Items {
		if p.desk.LineOf(s) != i+1 || !p.Items[i].is(s) {
			return false
		}
	}
	return true
}

// is: is the item this one, of this material and at this place of the body?
func (w *Wanted) is(s *r4.ServiceRequest) bool {
	kind := Material(s)
	return same(&w.Code, s.Code) && (w.Specimen == nil || kind == nil || same(w.Specimen, kind)) &&
		(len(w.BodySite) == 0 || len(s.BodySite) == 0 || slices.EqualFunc(w.BodySite, s.BodySite, func(a, b r4.CodeableConcept) bool { return same(&a, &b) }))
}

// same: does the item say what was asked for? A server may have added codings.
func same(asked, got *r4.CodeableConcept) bool {
	if got == nil {
		return false
	}
	for i := range asked.Coding {
		if !r4.HasCode(got, asked.Coding[i].System, asked.Coding[i].Code) {
			return false
		}
	}
	return len(asked.Coding) > 0 || asked.Text == got.Text
}

// specimenID names the kind of material within an item, where no tube exists yet.
const specimenID = "specimen"

// item is the new resource. It refers to the patient by an id of the Store that is
// written, to all else by its number.
func (p *placing) item(i int, patient string) *r4.ServiceRequest {
	w, config := &p.Items[i], p.desk.config
	s := &r4.ServiceRequest{
		Identifier:  []r4.Identifier{{System: config.Line, Value: lineValue(p.Number, i+1)}},
		Requisition: &r4.Identifier{System: config.Requisition, Value: p.Number},
		Status:      r4.RequestStatusActive,
		Intent:      r4.RequestIntentOrder,
		Category:    []r4.CodeableConcept{{Coding: []r4.Coding{config.Category}}},
		Priority:    p.Priority,
		Code:        &w.Code,
		Subject:     r4.RefTo("Patient", patient),
		Encounter:   numbered(p.Encounter),
		Requester:   numbered(p.Requester),
		AuthoredOn:  verb.Instant(p.Authored),
		ReasonCode:  p.Reason,
		BodySite:    w.BodySite,
	}
	if w.Note != "" {
		s.Note = []r4.Annotation{{Text: w.Note}}
	}
	if w.Specimen != nil {
		s.Contained = []r4.Resource{&r4.Specimen{ID: specimenID, Type: w.Specimen}}
		s.Specimen = []r4.Reference{{Reference: "#" + specimenID}}
	}
	return s
}

// numbered is a logical reference (section 2.3.0.1), nil for no number.
func numbered(id r4.Identifier) *r4.Reference {
	if id.Value == "" {
		return nil
	}
	return &r4.Reference{Identifier: &id}
}

// Material is the kind of specimen that an item asks for, nil when it does not say.
func Material(s *r4.ServiceRequest) *r4.CodeableConcept {
	for _, c := range s.Contained {
		if kind, ok := c.(*r4.Specimen); ok && slices.ContainsFunc(s.Specimen, func(r r4.Reference) bool { return r.Reference == "#"+kind.ID }) {
			return kind.Type
		}
	}
	return nil
}
