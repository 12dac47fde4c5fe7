package his

import (
	"context"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
)

// HoldUntilURL is the extension of a proposed Appointment that says when its
// hold ends (valueInstant).
const HoldUntilURL = booking.HoldUntilURL

// MaxHold bounds how long a slot may be held.
const MaxHold = booking.MaxHold

// Booking is an Appointment and who answered with it.
type Booking = booking.Booking

// HoldRequest holds a slot for a patient: the hold's Number (at most 32 characters,
// stored by the caller first), Patient, the Slot as FreeSlots returned it, and Until,
// when the hold ends, at most [MaxHold] ahead.
type HoldRequest = booking.HoldRequest

// Hold (锁号) takes a free slot for a while: the Slot becomes busy-tentative and a
// proposed Appointment carries Number and Until. hospital.ErrConflict when the
// slot is not free any more. A hold that ended can be neither booked nor kept:
// [Client.ReleaseExpired] frees its slot.
func (c *Client) Hold(ctx context.Context, r HoldRequest, opts ...hospital.WriteOption) (Booking, error) {
	return c.desk.Hold(ctx, r, opts...)
}

// BookRequest books a slot for a patient: the booking Number (at most 32 characters,
// stored by the caller first), Patient, the Slot as FreeSlots returned it or the one
// that was held, and Hold, the hold's number where it was; empty books a free slot.
type BookRequest = booking.BookRequest

// Book (预约) takes a free slot, or turns a hold into a booking: the Slot becomes
// busy and a booked Appointment carries Number. hospital.ErrConflict when the
// slot is somebody else's or the hold has ended, hospital.ErrNumberReused when
// Number names another booking, hospital.ErrRefused with a [Refusal] when the
// hospital's rules forbid it.
func (c *Client) Book(ctx context.Context, r BookRequest, opts ...hospital.WriteOption) (Booking, error) {
	return c.desk.Book(ctx, r, opts...)
}

// HoldAnyRequest holds whichever slot of a schedule can be had: the hold's Number (at
// most 32 characters, stored by the caller first), Patient, Schedule, From and To,
// which bound the slot's start, and Until, when the hold ends, at most [MaxHold] ahead.
type HoldAnyRequest = booking.HoldAnyRequest

// HoldAny (锁任意号) is [Client.Hold] for the first free slot of the window that can
// be had. hospital.ErrConflict when there is none left.
func (c *Client) HoldAny(ctx context.Context, r HoldAnyRequest, opts ...hospital.WriteOption) (Booking, error) {
	return c.desk.HoldAny(ctx, r, opts...)
}

// Booking (查预约) reads the booking that carries Number, for this patient:
// hospital.ErrNotFound when there is none, hospital.ErrWrongPatient when it is
// somebody else's.
func (c *Client) Booking(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (Booking, error) {
	return c.desk.Booking(ctx, "Booking", number, patient, opts...)
}

// Release (释放) gives a held slot back: the Appointment is cancelled and the Slot
// free, in one transaction. Releasing again is success; releasing what was
// booked meanwhile is hospital.ErrConflict.
func (c *Client) Release(ctx context.Context, holdNumber string, patient campus.PatientID, opts ...hospital.WriteOption) (Booking, error) {
	return c.desk.Release(ctx, holdNumber, patient, opts...)
}

// Cancel (取消预约) cancels a booking and frees its slot, in one transaction.
// Cancelling again is success; after check-in it is hospital.ErrConflict.
func (c *Client) Cancel(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.WriteOption) (Booking, error) {
	return c.desk.Cancel(ctx, number, patient, opts...)
}

// RescheduleRequest moves a booking to another slot: its Number, which it keeps,
// Patient, From, the slot the caller believes the booking has (if it was moved
// elsewhere meanwhile, nothing happens), and To as FreeSlots returned it.
type RescheduleRequest = booking.RescheduleRequest

// Reschedule (改期) moves a booking: the new Slot busy, the old one free, the
// Appointment at the new one, in one transaction. Moving again to the same slot
// is success; a slot that is taken, or a booking that is not at From, is
// hospital.ErrConflict and changes nothing.
func (c *Client) Reschedule(ctx context.Context, r RescheduleRequest, opts ...hospital.WriteOption) (Booking, error) {
	return c.desk.Reschedule(ctx, r, opts...)
}

// ReleaseExpired frees the slots of a schedule in [from, to) whose hold has
// ended, for hospitals whose server does not. It returns how many it freed and
// goes on after a slot that somebody changed meanwhile.
func (c *Client) ReleaseExpired(ctx context.Context, schedule hospital.Found[*r4.Schedule], from, to time.Time, opts ...hospital.Option) (int, error) {
	return c.desk.ReleaseExpired(ctx, schedule, from, to, opts...)
}

// Resolve finds what a booking number or a hold number names, from the number
// alone: in a process that knows nothing else of an act whose outcome was unknown.
// The Appointment's status says how far it has gone; whose it is must be compared
// by the caller. hospital.ErrNotFound means that it did not happen and no longer
// can, hospital.ErrOutcomeUnknown that a lost request may still be running, or be sent
// again by another desk: that takes 15 s and the server's time (campus.Contract).
func (c *Client) Resolve(ctx context.Context, number string, opts ...hospital.ReadOption) (Booking, error) {
	return c.desk.Resolve(ctx, number, opts...)
}
