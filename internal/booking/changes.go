package booking

import (
	"context"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Booking (查预约) reads the booking that carries Number, for this patient:
// hospital.ErrNotFound when there is none, hospital.ErrWrongPatient when it is
// somebody else's. The operation has the name of the client's verb.
func (d *Desk) Booking(ctx context.Context, name, number string, patient campus.PatientID, opts ...hospital.ReadOption) (Booking, error) {
	return hospital.Read(ctx, d.client, d.ops.Read(name, hospital.Session, hospital.Quick),
		func(ctx context.Context, f *fhir.Client) (Booking, error) {
			found, _, err := d.owned(ctx, f, d.systems.Booking, number, patient, verb.OnlyReads)
			return found, err
		}, append(slices.Clip(opts), hospital.Concerning(patient))...)
}

// Owned finds the booking that carries Number for a writing verb, checks whose it is,
// and returns the patient's records in the Store that answered.
func (d *Desk) Owned(ctx context.Context, f *fhir.Client, number string, patient campus.PatientID) (Booking, verb.Records, error) {
	return d.owned(ctx, f, d.systems.Booking, number, patient, verb.MaySettle)
}

// owned finds an Appointment by Number, checks whose it is, and returns the
// patient's records in the Store that answered.
func (d *Desk) owned(ctx context.Context, f *fhir.Client, system, number string, id campus.PatientID, settle bool) (Booking, verb.Records, error) {
	found, err := d.appointment(ctx, f, system, number, id, settle)
	if err != nil {
		return Booking{}, nil, err
	}
	patient, err := verb.FindRecords(hospital.SameStore(ctx, found.Origin), d.client, f, id)
	switch {
	case hospital.CodeOf(err) == hospital.ErrNotFound:
		return Booking{}, nil, hospital.ErrWrongPatient // the booking exists, the patient does not
	case err != nil:
		return Booking{}, nil, err
	case !d.isFor(found, patient.Resource):
		return Booking{}, nil, hospital.ErrWrongPatient
	}
	return found, patient.Resource, nil
}

// Release (释放) gives a held slot back: the Appointment is cancelled and the Slot
// free, in one transaction. Releasing again is success; releasing what was
// booked meanwhile is hospital.ErrConflict.
func (d *Desk) Release(ctx context.Context, holdNumber string, patient campus.PatientID, opts ...hospital.WriteOption) (Booking, error) {
	e := ending{
		desk: d, name: "Release", system: d.systems.Hold, number: holdNumber, patient: patient,
		from: r4.AppointmentStatusProposed, slotFrom: r4.SlotStatusBusyTentative,
	}
	return e.run(ctx, opts)
}

// Cancel (取消预约) cancels a booking and frees its slot, in one transaction.
// Cancelling again is success; after check-in it is hospital.ErrConflict.
func (d *Desk) Cancel(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.WriteOption) (Booking, error) {
	e := ending{
		desk: d, name: "Cancel", system: d.systems.Booking, number: number, patient: patient,
		from: r4.AppointmentStatusBooked, slotFrom: r4.SlotStatusBusy,
	}
	return e.run(ctx, opts)
}

// ending is the end of a hold or booking.
type ending struct {
	desk           *Desk
	name           string
	system, number string
	patient        campus.PatientID
	from, slotFrom string
}

func (e *ending) run(ctx context.Context, opts []hospital.WriteOption) (Booking, error) {
	return hospital.Write(ctx, e.desk.client, e.desk.ops.Guarded(e.name), e.number, e.send, e.find, verb.About(opts, e.patient)...)
}

func (e *ending) send(ctx context.Context, f *fhir.Client) (Booking, error) {
	found, _, err := e.desk.owned(ctx, f, e.system, e.number, e.patient, verb.MaySettle)
	if err != nil || found.Resource.Status == r4.AppointmentStatusCancelled {
		return found, err
	}
	if found.Resource.Status != e.from {
		return Booking{}, hospital.ErrConflict
	}
	return e.desk.end(ctx, f, found, e.slotFrom)
}

// find: the act is done when the Appointment is cancelled.
func (e *ending) find(ctx context.Context, f *fhir.Client) (Booking, error) {
	found, _, err := e.desk.owned(ctx, f, e.system, e.number, e.patient, verb.MaySettle)
	if err == nil && found.Resource.Status != r4.AppointmentStatusCancelled {
		return Booking{}, hospital.ErrNotFound
	}
	return found, err
}

// end cancels the Appointment and frees its slots, guarded by all their versions.
func (d *Desk) end(ctx context.Context, f *fhir.Client, found Booking, slotStatus string) (Booking, error) {
	ctx = hospital.SameStore(ctx, found.Origin)
	appointment := found.Resource
	appointment.Status = r4.AppointmentStatusCancelled
	entries := []r4.BundleEntry{fhir.Put(appointment)}
	for i := range appointment.Slot {
		slot, err := d.slotOf(ctx, f, found, &appointment.Slot[i])
		if err != nil {
			return Booking{}, err
		}
		others, err := d.usedByOthers(ctx, f, found, slot.ID, slotStatus)
		if err != nil {
			return Booking{}, err
		}
		if others || slot.Status == r4.SlotStatusBusyUnavailable {
			continue // somebody else's by now, or the clinic was closed (停诊): the slot stays as it is
		}
		if slot.Status != slotStatus {
			return Booking{}, hospital.Refuse(hospital.ErrConflict, "the slot is not in the state the appointment says")
		}
		slot.Status = r4.SlotStatusFree
		entries = append(entries, fhir.Put(slot))
	}
	return d.change(ctx, f, sameAs(found, r4.AppointmentStatusCancelled), entries...)
}

// change commits a change of an Appointment, entry 0, that mine must accept.
func (d *Desk) change(ctx context.Context, f *fhir.Client, mine func(Booking) bool, entries ...r4.BundleEntry) (Booking, error) {
	_, found, err := d.Commit(ctx, f, 0, entries...)
	if err == nil && !mine(found) {
		err = fhir.ErrUnexpected
	}
	return found, err
}

// sameAs accepts an answer that is the same Appointment in a new status.
func sameAs(want Booking, status string) func(Booking) bool {
	return func(got Booking) bool {
		return got.Resource.ID == want.Resource.ID && got.Origin.Store == want.Origin.Store && got.Resource.Status == status
	}
}

func (d *Desk) slotOf(ctx context.Context, f *fhir.Client, found Booking, ref *r4.Reference) (*r4.Slot, error) {
	typ, id, ok := d.client.Local(found.Origin, ref.Reference)
	if !ok || typ != "Slot" {
		return nil, hospital.ErrUnexpectedAnswer
	}
	slot, _, err := fhir.Read[*r4.Slot](ctx, f, id)
	if err != nil {
		return nil, gone(err)
	}
	return slot, nil
}

// RescheduleRequest moves a booking to another slot.
type RescheduleRequest struct {
	// Number of the booking, which it keeps. Required.
	Number string
	// Patient whom it is for. Required.
	Patient campus.PatientID
	// From is the slot the caller believes the booking has: if it was moved
	// elsewhere meanwhile, nothing happens. Required.
	From hospital.Found[*r4.Slot]
	// To as FreeSlots returned it. Required.
	To hospital.Found[*r4.Slot]
}

// Reschedule (改期) moves a booking: the new Slot busy, the old one free, the
// Appointment at the new one, in one transaction. Moving again to the same slot
// is success; a slot that is taken, or a booking that is not at From, is
// hospital.ErrConflict and changes nothing.
func (d *Desk) Reschedule(ctx context.Context, r RescheduleRequest, opts ...hospital.WriteOption) (Booking, error) {
	m := &move{desk: d, RescheduleRequest: r}
	return hospital.Write(ctx, d.client, d.ops.Guarded("Reschedule"), r.Number, m.send, m.find, verb.About(opts, r.Patient)...)
}

type move struct {
	RescheduleRequest
	desk *Desk
}

func (m *move) check() error {
	if err := verb.Needs(m.From, m.desk.system); err != nil {
		return err
	}
	if err := verb.Needs(m.To, m.desk.system); err != nil {
		return err
	}
	if !sameIDs(m.From.Origin, m.To.Origin) || m.From.Resource.ID == m.To.Resource.ID {
		return hospital.Refuse(hospital.ErrInvalidArgument, "From and To must be two slots of one store")
	}
	return nil
}

// find: the act is done when the booking is at To.
func (m *move) find(ctx context.Context, f *fhir.Client) (Booking, error) {
	if err := m.check(); err != nil {
		return Booking{}, err
	}
	found, _, err := m.desk.Owned(ctx, f, m.Number, m.Patient)
	if err == nil && !sameIDs(found.Origin, m.To.Origin) {
		err = errMoved
	}
	if err == nil && (found.Resource.Status != r4.AppointmentStatusBooked || !m.desk.usesSlot(found, m.To.Resource.ID)) {
		return Booking{}, hospital.ErrNotFound
	}
	return found, err
}

func (m *move) send(ctx context.Context, f *fhir.Client) (Booking, error) {
	if err := m.check(); err != nil {
		return Booking{}, err
	}
	d := m.desk
	found, _, err := d.Owned(ctx, f, m.Number, m.Patient)
	switch {
	case err != nil:
		return Booking{}, err
	case !sameIDs(found.Origin, m.To.Origin):
		return Booking{}, errElsewhere
	case found.Resource.Status == r4.AppointmentStatusBooked && d.usesSlot(found, m.To.Resource.ID):
		return found, nil
	case found.Resource.Status != r4.AppointmentStatusBooked || len(found.Resource.Slot) != 1 || !d.usesSlot(found, m.From.Resource.ID):
		return Booking{}, hospital.ErrConflict
	}
	return m.commit(hospital.SameStore(ctx, m.To.Origin), f, found)
}

func (m *move) commit(ctx context.Context, f *fhir.Client, found Booking) (Booking, error) {
	from, err := m.desk.currentSlot(ctx, f, m.From)
	if err != nil {
		return Booking{}, err
	}
	to, err := m.desk.currentSlot(ctx, f, m.To)
	if err != nil {
		return Booking{}, err
	}
	closed := from.Status == r4.SlotStatusBusyUnavailable // the clinic was closed (停诊): the slot stays as it is
	if to.Status != r4.SlotStatusFree || (from.Status != r4.SlotStatusBusy && !closed) {
		return Booking{}, hospital.ErrConflict
	}
	from.Status, to.Status = r4.SlotStatusFree, r4.SlotStatusBusy
	appointment := found.Resource
	appointment.Slot = []r4.Reference{*r4.RefTo("Slot", to.ID)}
	appointment.Start, appointment.End = to.Start, to.End
	mine := func(got Booking) bool {
		return sameAs(found, r4.AppointmentStatusBooked)(got) && m.desk.usesSlot(got, to.ID)
	}
	entries := []r4.BundleEntry{fhir.Put(appointment), fhir.Put(to)}
	if !closed {
		entries = append(entries, fhir.Put(from))
	}
	return m.desk.change(ctx, f, mine, entries...)
}

// ReleaseExpired frees the slots of a schedule in [from, to) whose hold has
// ended, for hospitals whose server does not. It returns how many it freed and
// goes on after a slot that somebody changed meanwhile.
func (d *Desk) ReleaseExpired(ctx context.Context, schedule hospital.Found[*r4.Schedule], from, to time.Time, opts ...hospital.Option) (int, error) {
	read, writing := make([]hospital.ReadOption, len(opts)), make([]hospital.WriteOption, len(opts))
	for i, o := range opts {
		read[i], writing[i] = o, o
	}
	freed := 0
	// All of them first: a search whose result shrinks between its pages skips some.
	held, err := verb.Collect(hospital.Stream(ctx, d.client, d.ops.Read("HeldSlots", hospital.Strong, hospital.List), d.heldSlots(schedule, from, to), read...), maxSlots)
	if err != nil {
		return 0, err
	}
	for _, slot := range held {
		switch done, err := d.releaseExpired(ctx, slot, writing); {
		case hospital.CodeOf(err) == hospital.ErrConflict:
		case err != nil:
			return freed, err
		case done:
			freed++
		}
	}
	return freed, nil
}
