package booking

import (
	"context"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
)

// HoldUntilURL is the extension of a proposed Appointment that says when its
// hold ends (valueInstant).
const HoldUntilURL = "urn:hospital-go:hold-until"

// MaxHold bounds how long a slot may be held.
const MaxHold = 24 * time.Hour

// Booking is an Appointment and who answered with it.
type Booking = hospital.Found[*r4.Appointment]

// HoldRequest holds a slot for a patient.
type HoldRequest struct {
	// Number names the hold; at most 32 characters, stored by the caller first. Required.
	Number string
	// Patient whom it is for. Required.
	Patient campus.PatientID
	// Slot as FreeSlots returned it. Required.
	Slot hospital.Found[*r4.Slot]
	// Until is when the hold ends, at most [MaxHold] ahead. Required.
	Until time.Time
}

// Hold (锁号) takes a free slot for a while: the Slot becomes busy-tentative and a
// proposed Appointment carries Number and Until. hospital.ErrConflict when the
// slot is not free any more. A hold that ended can be neither booked nor kept:
// [Desk.ReleaseExpired] frees its slot.
func (d *Desk) Hold(ctx context.Context, r HoldRequest, opts ...hospital.WriteOption) (Booking, error) {
	a := act{
		desk: d, name: "Hold", system: d.systems.Hold, number: r.Number, patient: r.Patient, slot: r.Slot,
		status: r4.AppointmentStatusProposed, slotStatus: r4.SlotStatusBusyTentative, until: r.Until,
	}
	return a.take(ctx, opts)
}

// BookRequest books a slot for a patient.
type BookRequest struct {
	// Number is the booking number; at most 32 characters, stored by the caller first.
	// Required.
	Number string
	// Patient whom it is for. Required.
	Patient campus.PatientID
	// Slot as FreeSlots returned it, or the one that was held. Required.
	Slot hospital.Found[*r4.Slot]
	// Hold is the hold's number where the slot was held; empty books a free slot.
	Hold string
}

// Book (预约) takes a free slot, or turns a hold into a booking: the Slot becomes
// busy and a booked Appointment carries Number. hospital.ErrConflict when the
// slot is somebody else's or the hold has ended, hospital.ErrNumberReused when
// Number names another booking, hospital.ErrRefused with a [Refusal] when the
// hospital's rules forbid it.
func (d *Desk) Book(ctx context.Context, r BookRequest, opts ...hospital.WriteOption) (Booking, error) {
	return d.BookFor(ctx, r, hospital.Found[*r4.ServiceRequest]{}, opts...)
}

// BookFor is [Desk.Book] of what was ordered; a zero order is none. The Appointment is
// based on the order, which must be the patient's (hospital.ErrWrongPatient), active,
// and of the version that was read: hospital.ErrConflict else, and nothing changes.
// Where versions are a proved guard the transaction holds it to that, and the order
// has a new version, of equal content, afterwards.
func (d *Desk) BookFor(ctx context.Context, r BookRequest, order hospital.Found[*r4.ServiceRequest], opts ...hospital.WriteOption) (Booking, error) {
	a := act{
		desk: d, name: "Book", system: d.systems.Booking, number: r.Number, patient: r.Patient, slot: r.Slot,
		status: r4.AppointmentStatusBooked, slotStatus: r4.SlotStatusBusy, hold: r.Hold, order: order,
	}
	return a.take(ctx, opts)
}
