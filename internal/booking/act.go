package booking

import (
	"cmp"
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// act is one taking of a slot: a hold or a booking.
type act struct {
	desk               *Desk
	name               string
	system, number     string
	patient            campus.PatientID
	slot               hospital.Found[*r4.Slot]
	status, slotStatus string
	until              time.Time
	hold               string
	window             *HoldAnyRequest                    // instead of slot
	order              hospital.Found[*r4.ServiceRequest] // zero: none

	sentAt  atomic.Int64 // Unix nanoseconds of the last transaction of this act
	gaveWay atomic.Bool  // what was made had an earlier rival and was ended
}

func (a *act) take(ctx context.Context, opts []hospital.WriteOption) (Booking, error) {
	return hospital.Write(ctx, a.desk.client, a.desk.ops.Guarded(a.name), a.number, a.send, a.find, verb.About(opts, a.patient)...)
}

func (a *act) check() error {
	if err := verb.CheckNumber(a.number); err != nil {
		return err
	}
	if err := a.patient.Validate(); err != nil {
		return err
	}
	if a.hold != "" {
		if err := verb.CheckNumber(a.hold); err != nil {
			return err
		}
	}
	if a.desk.systems.Hold == a.desk.systems.Booking {
		return hospital.Refuse(hospital.ErrInvalidArgument, "Systems.Hold and Systems.Booking must differ")
	}
	if a.window != nil {
		return verb.Needs(a.window.Schedule, a.desk.system)
	}
	if err := verb.Needs(a.slot, a.desk.system); err != nil {
		return err
	}
	return a.checkOrder()
}

// send looks first (the act may have been done before a crash), then writes.
func (a *act) send(ctx context.Context, f *fhir.Client) (Booking, error) {
	patient, done, err := a.begin(ctx, f)
	if err != nil || done.Resource != nil {
		return done, err
	}
	return a.takeSlot(ctx, f, patient, a.slot)
}

// begin checks the request and returns the act if it was done already, else the patient.
func (a *act) begin(ctx context.Context, f *fhir.Client) (hospital.Found[verb.Records], Booking, error) {
	var nobody hospital.Found[verb.Records]
	if left := time.Until(a.until); a.name == "Hold" && (left <= 0 || left > MaxHold) {
		return nobody, Booking{}, hospital.Refuse(hospital.ErrInvalidArgument, "Until must lie within the next 24 hours")
	}
	if done, err := a.find(ctx, f); hospital.CodeOf(err) != hospital.ErrNotFound {
		return nobody, done, err
	}
	patient, err := verb.FindRecords(ctx, a.desk.client, f, a.patient)
	return patient, Booking{}, err
}

// takeSlot writes the act for one slot, guarded by the version the slot has now.
func (a *act) takeSlot(ctx context.Context, f *fhir.Client, patient hospital.Found[verb.Records], seen hospital.Found[*r4.Slot]) (Booking, error) {
	if !sameIDs(patient.Origin, seen.Origin) {
		return Booking{}, errElsewhere
	}
	ctx = hospital.SameStore(ctx, seen.Origin)
	slot, err := a.desk.currentSlot(ctx, f, seen)
	if err != nil {
		return Booking{}, err
	}
	guard, err := a.guardOrder(ctx, f, patient.Resource)
	if err != nil {
		return Booking{}, err
	}
	if a.hold != "" {
		return a.fromHold(ctx, f, patient.Resource, slot, guard)
	}
	if slot.Status != r4.SlotStatusFree {
		return Booking{}, hospital.ErrConflict
	}
	slot.Status = a.slotStatus
	entry := fhir.Post(a.appointment(patient.Resource.Current(), slot, seen.Origin), "", r4.Identifier{System: a.system, Value: a.number})
	a.sentAt.Store(time.Now().UnixNano())
	answer, found, err := a.desk.Commit(ctx, f, 1, append([]r4.BundleEntry{fhir.Put(slot), entry}, guard...)...)
	if err != nil {
		return found, err
	}
	if !a.mine(found, patient.Resource, slot.ID) {
		if !strings.HasPrefix(answer.Entry[1].Response.Status, "201") {
			a.undo(ctx, f, answer.Entry[0].Resource, slot.ID, found)
		}
		return Booking{}, fhir.ErrUnexpected // Write looks up what carries the Number
	}
	return a.alone(ctx, f, found, slot.ID)
}

// undo frees the slot again when the server, asked to create the Appointment
// unless its Number exists, found one that has not this slot, or is over, and
// took the slot all the same.
func (a *act) undo(ctx context.Context, f *fhir.Client, taken r4.Resource, id string, found Booking) {
	slot, ok := taken.(*r4.Slot)
	if !ok || slot.ID != id || (a.desk.usesSlot(found, id) && !over(found.Resource.Status)) {
		return
	}
	slot.Status = r4.SlotStatusFree
	_, _, _ = fhir.Update(ctx, f, slot) // guarded; whoever came between has it now
}

// alone makes sure that the act happened once: of two Appointments with its
// Number, which a server that looks, then inserts can make, the later one goes.
// Where versions are no proved guard, the same for the slot.
func (a *act) alone(ctx context.Context, f *fhir.Client, mine Booking, slot string) (Booking, error) {
	rivals, err := a.rivals(ctx, f, mine, slot)
	if err != nil {
		return Booking{}, err
	}
	for _, rival := range rivals {
		if rival.Resource.ID == mine.Resource.ID || yields(rival, mine) {
			continue
		}
		a.gaveWay.Store(true)
		if a.desk.usesSlot(rival, slot) { // it stays taken
			cancelled := *mine.Resource
			cancelled.Status = r4.AppointmentStatusCancelled
			_, err = a.desk.change(ctx, f, sameAs(mine, cancelled.Status), fhir.Put(&cancelled))
		} else {
			_, err = a.desk.end(ctx, f, mine, a.slotStatus)
		}
		return Booking{}, cmp.Or(err, error(hospital.ErrConflict)) // Write looks what stands now
	}
	return mine, nil
}

// rivals are the live Appointments of the Number and, where that is needed, of the slot.
func (a *act) rivals(ctx context.Context, f *fhir.Client, mine Booking, slot string) ([]Booking, error) {
	rivals, err := a.desk.live(ctx, f, fhir.For(fhir.Identifier[*r4.Appointment](a.system, a.number)), func(b Booking) bool {
		return r4.HasIdentifier(b.Resource.Identifier, a.system, a.number)
	})
	if err != nil || verb.Contract(a.desk.client, mine.Origin).Versioning {
		return rivals, err
	}
	q := fhir.For(fhir.AppointmentSlot.Is(slot))
	same, err := a.desk.live(ctx, f, q, func(b Booking) bool { return a.desk.usesSlot(b, slot) })
	for _, b := range same {
		// Who waits for the slot without having it is no rival.
		_, held := r4.IdentifierValue(b.Resource.Identifier, a.desk.systems.Hold)
		if Taken(b.Resource.Status) || (held && !expired(b.Resource, time.Now())) {
			rivals = append(rivals, b)
		}
	}
	return rivals, err
}

// yields: will the rival give way? It looks after it is written, so one written
// later sees mine. Whoever may be earlier, or has gone further, stays.
func yields(rival, mine Booking) bool {
	return rival.Resource.Status == mine.Resource.Status && !verb.Updated(mine.Resource).IsZero() && verb.Updated(rival.Resource).After(verb.Updated(mine.Resource))
}

// fromHold turns the hold's Appointment into the booking's.
func (a *act) fromHold(ctx context.Context, f *fhir.Client, patient verb.Records, slot *r4.Slot, guard []r4.BundleEntry) (Booking, error) {
	held, err := a.desk.appointment(ctx, f, a.desk.systems.Hold, a.hold, a.patient, verb.MaySettle)
	if err != nil {
		return Booking{}, err
	}
	appointment := held.Resource
	switch {
	case !a.desk.isFor(held, patient) || !a.desk.usesSlot(held, slot.ID):
		return Booking{}, hospital.Refuse(hospital.ErrNumberReused, "the hold is of another patient or slot")
	case appointment.Status != r4.AppointmentStatusProposed || slot.Status != r4.SlotStatusBusyTentative:
		return Booking{}, hospital.ErrConflict
	case expired(appointment, time.Now()):
		return Booking{}, hospital.Refuse(hospital.ErrConflict, "the hold has ended")
	}
	slot.Status, appointment.Status = a.slotStatus, a.status
	appointment.Identifier = append(appointment.Identifier, r4.Identifier{System: a.system, Value: a.number})
	appointment.BasedOn = a.basedOn(appointment.BasedOn, held.Origin)
	a.sentAt.Store(time.Now().UnixNano())
	_, found, err := a.desk.Commit(ctx, f, 1, append([]r4.BundleEntry{fhir.Put(slot), fhir.Put(appointment)}, guard...)...)
	if err != nil {
		return found, err
	}
	if !a.mine(found, patient, slot.ID) {
		return Booking{}, fhir.ErrUnexpected
	}
	return a.alone(ctx, f, found, slot.ID)
}

// appointment is the new resource. It refers by ids of the Store that is written.
func (a *act) appointment(patient string, slot *r4.Slot, o hospital.Origin) *r4.Appointment {
	out := &r4.Appointment{
		Identifier: []r4.Identifier{{System: a.system, Value: a.number}},
		Status:     a.status,
		BasedOn:    a.basedOn(nil, o),
		Slot:       []r4.Reference{*r4.RefTo("Slot", slot.ID)},
		Start:      slot.Start,
		End:        slot.End,
		Participant: []r4.AppointmentParticipant{{
			Actor:  r4.RefTo("Patient", patient),
			Status: r4.ParticipationStatusAccepted,
		}},
	}
	if !a.until.IsZero() {
		out.Extension = []r4.Extension{{URL: HoldUntilURL, ValueInstant: verb.Instant(a.until)}}
	}
	return out
}

// find looks the act up by its Number and compares all of it.
func (a *act) find(ctx context.Context, f *fhir.Client) (Booking, error) {
	if err := a.check(); err != nil {
		return Booking{}, err
	}
	found, err := a.desk.appointment(ctx, f, a.system, a.number, a.patient, verb.MaySettle)
	if err != nil {
		return Booking{}, err
	}
	if a.gaveWay.Load() && over(found.Resource.Status) {
		return Booking{}, hospital.ErrConflict
	}
	contract := verb.Contract(a.desk.client, found.Origin)
	if err := a.compare(ctx, f, found); err != nil || contract.Versioning || len(found.Resource.Slot) != 1 {
		return found, err
	}
	// Whoever has just sent it must look beside it here too: the answer may have
	// been lost before he could. What somebody sent earlier stands.
	if time.Since(time.Unix(0, a.sentAt.Load())) > contract.MaxRun()+verb.ClockMargin {
		return found, nil
	}
	_, slot, ok := a.desk.client.Local(found.Origin, found.Resource.Slot[0].Reference)
	if !ok || found.Resource.Status != a.status {
		return found, nil
	}
	return a.alone(hospital.SameStore(ctx, found.Origin), f, found, slot)
}

// compare: is what carries the Number this act? A Number whose booking was
// cancelled names an act that is over.
func (a *act) compare(ctx context.Context, f *fhir.Client, found Booking) error {
	ctx = hospital.SameStore(ctx, found.Origin)
	patient, err := verb.FindRecords(ctx, a.desk.client, f, a.patient)
	switch {
	case err != nil:
		return verb.NoPatient(err)
	case !a.desk.isFor(found, patient.Resource):
		return hospital.ErrNumberReused
	case over(found.Resource.Status):
		return hospital.Refuse(hospital.ErrNumberReused, "the act it names was cancelled")
	case !sameIDs(found.Origin, a.origin()): // as after a promotion
		return errMoved
	}
	if same, err := a.same(ctx, f, found); err != nil || !same {
		return cmp.Or(err, hospital.Refuse(hospital.ErrNumberReused, "it names another slot"))
	}
	if !a.ordered(found.Resource.BasedOn, found.Origin) {
		return hospital.Refuse(hospital.ErrNumberReused, "it names another order")
	}
	return a.stands(found.Resource)
}

// origin is where the caller read what he asks for.
func (a *act) origin() hospital.Origin {
	if a.window != nil {
		return a.window.Schedule.Origin
	}
	return a.slot.Origin
}

// stands: is the act in force? A hold that was booked since was kept.
func (a *act) stands(found *r4.Appointment) error {
	switch status := found.Status; {
	case Taken(status):
		return nil
	case a.status != r4.AppointmentStatusProposed:
		return hospital.Refuse(hospital.ErrConflict, "what carries the Number is not booked")
	case status != a.status:
		return hospital.Refuse(hospital.ErrConflict, "what carries the Number is not held")
	case expired(found, time.Now()):
		return hospital.Refuse(hospital.ErrConflict, "the hold has ended")
	}
	return nil
}

// Taken reports whether an Appointment of this status is booked, or further on the way.
func Taken(status string) bool {
	switch status {
	case r4.AppointmentStatusBooked, r4.AppointmentStatusArrived, r4.AppointmentStatusCheckedIn, r4.AppointmentStatusFulfilled:
		return true
	}
	return false
}

// mine is compare for an answer to what was just sent.
func (a *act) mine(found Booking, patient verb.Records, slot string) bool {
	return r4.HasIdentifier(found.Resource.Identifier, a.system, a.number) && found.Resource.Status == a.status &&
		a.desk.isFor(found, patient) && a.desk.usesSlot(found, slot) && a.ordered(found.Resource.BasedOn, found.Origin)
}

// same: does the Appointment have the slot that was asked for, or one of the
// schedule and window?
func (a *act) same(ctx context.Context, f *fhir.Client, found Booking) (bool, error) {
	if a.window == nil {
		return a.desk.usesSlot(found, a.slot.Resource.ID), nil
	}
	if !verb.Within(found.Resource.Start, a.window.From, a.window.To) || len(found.Resource.Slot) != 1 {
		return false, nil
	}
	slot, err := a.desk.slotOf(ctx, f, found, &found.Resource.Slot[0])
	if err != nil {
		return false, err
	}
	return a.desk.client.Names(found.Origin, slot.Schedule, "Schedule", a.window.Schedule.Resource.ID), nil
}
