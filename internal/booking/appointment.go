package booking

import (
	"cmp"
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

func over(status string) bool {
	return status == r4.AppointmentStatusCancelled || status == r4.AppointmentStatusEnteredInError || status == r4.AppointmentStatusNoshow
}

// holdEnd reads when a hold ends.
func holdEnd(a *r4.Appointment) (time.Time, bool) {
	for i := range a.Extension {
		if a.Extension[i].URL == HoldUntilURL {
			until, err := time.Parse(time.RFC3339, a.Extension[i].ValueInstant)
			return until, err == nil
		}
	}
	return time.Time{}, false
}

// expired: a hold without an end has ended.
func expired(a *r4.Appointment, now time.Time) bool {
	until, ok := holdEnd(a)
	return !ok || !now.Before(until)
}

// appointment finds the Appointment that carries a Number: the live one, or,
// when all are over, one of those. Two live ones of the same patient, which a
// server that looks, then inserts can make, are settled where that is allowed.
func (d *Desk) appointment(ctx context.Context, f *fhir.Client, system, number string, id campus.PatientID, settle bool) (Booking, error) {
	if err := verb.CheckNumber(number); err != nil {
		return Booking{}, err
	}
	list, err := verb.Collect(verb.Search(ctx, f, fhir.For(fhir.Identifier[*r4.Appointment](system, number)),
		func(a *r4.Appointment, _ hospital.Origin) bool { return r4.HasIdentifier(a.Identifier, system, number) }), verb.MaxSame)
	if err != nil {
		return Booking{}, err
	}
	if len(list) == 0 {
		return Booking{}, hospital.ErrNotFound
	}
	live := slices.DeleteFunc(slices.Clone(list), func(b Booking) bool { return over(b.Resource.Status) })
	switch {
	case len(live) == 0:
		return list[0], nil
	case len(live) == 1:
		return live[0], nil
	case !settle:
		return Booking{}, errTwoLive
	}
	return d.settle(ctx, f, live, id)
}

var errTwoLive = hospital.Refuse(hospital.ErrConflict, "two live appointments carry the Number; have one of them cancelled")

// settle keeps one of several Appointments of one Number and patient and ends the
// others, guarded by their versions: the one that has gone furthest stays, else
// the earliest. What has gone beyond booked is never ended, nor is anything where
// it cannot be told that both are of one moment, as a repetition makes them.
func (d *Desk) settle(ctx context.Context, f *fhir.Client, live []Booking, id campus.PatientID) (Booking, error) {
	patient, err := verb.FindRecords(hospital.SameStore(ctx, live[0].Origin), d.client, f, id)
	if err != nil {
		return Booking{}, verb.NoPatient(err)
	}
	if slices.ContainsFunc(live, func(b Booking) bool { return !d.isFor(b, patient.Resource) }) {
		return Booking{}, hospital.ErrNumberReused
	}
	slices.SortFunc(live, func(a, b Booking) int {
		return cmp.Or(progress(b)-progress(a), verb.Updated(a.Resource).Compare(verb.Updated(b.Resource)))
	})
	window := verb.Contract(d.client, live[0].Origin).MaxRun() + verb.ClockMargin
	for _, b := range live[1:] {
		apart := verb.Updated(b.Resource).Sub(verb.Updated(live[0].Resource)).Abs()
		if progress(b) > 1 || verb.Updated(b.Resource).IsZero() || verb.Updated(live[0].Resource).IsZero() || apart > window || (apart == 0 && progress(b) == progress(live[0])) {
			return Booking{}, errTwoLive
		}
	}
	for _, b := range live[1:] {
		status := r4.SlotStatusBusy
		if progress(b) == 0 {
			status = r4.SlotStatusBusyTentative
		}
		if _, err := d.end(ctx, f, b, status); err != nil {
			return Booking{}, err
		}
	}
	return live[0], nil
}

// progress is how far an appointment has gone: held, booked, further.
func progress(b Booking) int {
	switch b.Resource.Status {
	case r4.AppointmentStatusProposed:
		return 0
	case r4.AppointmentStatusBooked:
		return 1
	}
	return 2
}

// live collects the Appointments of a search that are not over.
func (d *Desk) live(ctx context.Context, f *fhir.Client, q fhir.Query, check func(Booking) bool) ([]Booking, error) {
	all := verb.Search(ctx, f, q, func(a *r4.Appointment, o hospital.Origin) bool { return check(Booking{Resource: a, Origin: o}) })
	return verb.Collect(verb.Only(all, func(a *r4.Appointment) bool { return !over(a.Status) }), verb.MaxSame)
}

// usedByOthers: does a live Appointment beside this one have the slot, which is in
// this status? Who waits, or whose hold has ended, has not.
func (d *Desk) usedByOthers(ctx context.Context, f *fhir.Client, found Booking, slot, status string) (bool, error) {
	q := fhir.For(fhir.AppointmentSlot.Is(slot))
	list, err := d.live(ctx, f, q, func(b Booking) bool { return d.usesSlot(b, slot) })
	return slices.ContainsFunc(list, func(b Booking) bool {
		until, ours := holdEnd(b.Resource)
		holds := status == r4.SlotStatusBusyTentative && b.Resource.Status == r4.AppointmentStatusProposed &&
			!(ours && time.Now().After(until.Add(verb.ClockMargin)))
		return b.Resource.ID != found.Resource.ID && (Taken(b.Resource.Status) || holds)
	}), err
}

// isFor reports whether the patient takes part.
func (d *Desk) isFor(found Booking, patient verb.Records) bool {
	return slices.ContainsFunc(found.Resource.Participant, func(p r4.AppointmentParticipant) bool {
		return patient.Own(d.client, found.Origin, p.Actor)
	})
}

// sameIDs: does an id name the same in both?
func sameIDs(a, b hospital.Origin) bool { return a.Store == b.Store && a.Epoch == b.Epoch }

var (
	errElsewhere = hospital.Refuse(hospital.ErrInvalidArgument, "what is asked for was read from another store or epoch; read it again")
	// errMoved: something stands under the Number, and what was asked for has no name there.
	errMoved = hospital.Refuse(hospital.ErrOutcomeUnknown, "what was asked for was read from another store or epoch; look what the Number names now")
)

func (d *Desk) usesSlot(found Booking, slot string) bool {
	for i := range found.Resource.Slot {
		if d.client.Names(found.Origin, &found.Resource.Slot[i], "Slot", slot) {
			return true
		}
	}
	return false
}

// currentSlot reads the slot's version of now and checks that the id still means
// the time the caller saw.
func (d *Desk) currentSlot(ctx context.Context, f *fhir.Client, seen hospital.Found[*r4.Slot]) (*r4.Slot, error) {
	slot, resp, err := fhir.Read[*r4.Slot](ctx, f, seen.Resource.ID)
	if err != nil {
		return nil, gone(err)
	}
	origin := hospital.OriginOf(resp)
	typ, id, ok := d.client.Local(seen.Origin, refOf(seen.Resource.Schedule))
	switch {
	case origin.Store != seen.Origin.Store,
		!verb.SameTime(slot.Start, seen.Resource.Start), !verb.SameTime(slot.End, seen.Resource.End),
		!ok, !d.client.Names(origin, slot.Schedule, typ, id):
		return nil, hospital.Refuse(hospital.ErrConflict, "the slot is not what it was when it was read")
	}
	return slot, nil
}

// gone: the slot's absence is not the booking's.
func gone(err error) error {
	if errors.Is(err, fhir.ErrNotFound) || errors.Is(err, fhir.ErrGone) {
		return hospital.Refuse(hospital.ErrConflict, "the slot does not exist any more")
	}
	return err
}

func refOf(r *r4.Reference) string {
	if r == nil {
		return ""
	}
	return r.Reference
}

// Commit sends the transaction and takes the Appointment, entry number i, from its
// answer. An entry without a guard is not sent.
func (d *Desk) Commit(ctx context.Context, f *fhir.Client, i int, entries ...r4.BundleEntry) (*r4.Bundle, Booking, error) {
	for _, e := range entries {
		if e.Request == nil {
			return nil, Booking{}, verb.ErrUnguarded
		}
	}
	answer, resp, err := fhir.Transaction(ctx, f, &r4.Bundle{Type: r4.BundleTypeTransaction, Entry: entries})
	if err != nil {
		return nil, Booking{}, d.Refused(err)
	}
	appointment, ok := answer.Entry[i].Resource.(*r4.Appointment)
	if !ok {
		return nil, Booking{}, fhir.ErrUnexpected // Write looks it up
	}
	return answer, Booking{Resource: appointment, Origin: hospital.OriginOf(resp)}, nil
}
