package pacs

import (
	"context"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
)

// Appointment is an imaging appointment, Resource (*r4.Appointment), and who answered with
// it, Origin.
type Appointment = booking.Booking

// Schedules (设备排班) yields the schedules of a service whose planning horizon meets
// [from, to); one without a horizon is not left out. service is a coding of
// Schedule.serviceType, system and code, such as CT of DICOM's modalities or what the
// department calls an examination. The device and the room are the schedule's actors.
// hospital.ErrInvalidArgument unless service has both, and from is before to.
func (c *Client) Schedules(ctx context.Context, service r4.Coding, from, to time.Time, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Schedule], error] {
	return c.desk.Schedules(ctx, service, from, to, opts...)
}

// FreeSlots (检查号源) yields the free slots of a schedule that start in [from, to). A
// slot that has a serviceType of its own is for that and not for its schedule's. A slot
// is free when it was read; Hold or Book decides. hospital.ErrInvalidArgument for a schedule
// that no verb returned, and unless from is before to.
func (c *Client) FreeSlots(ctx context.Context, schedule hospital.Found[*r4.Schedule], from, to time.Time, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Slot], error] {
	return c.desk.FreeSlots(ctx, schedule, from, to, opts...)
}

// HoldRequest holds a slot for a patient; all of it is required. Where the server does not
// end holds, [Client.ReleaseExpired] frees the slot.
//
//   - Number names the hold; at most 32 characters, stored by the caller first.
//   - Patient (campus.PatientID) is whom it is for.
//   - Slot (hospital.Found[*r4.Slot]) as FreeSlots returned it.
//   - Until (time.Time) is when the hold ends, at most 24 hours ahead.
type HoldRequest = booking.HoldRequest

// Hold (锁号) takes a free slot for a while: the Slot becomes busy-tentative and a
// proposed Appointment carries Number and Until. hospital.ErrConflict when the slot is
// not free any more. A hold that ended can be neither booked nor kept.
func (c *Client) Hold(ctx context.Context, r HoldRequest, opts ...hospital.WriteOption) (Appointment, error) {
	return c.desk.Hold(ctx, r, opts...)
}

// BookRequest books a slot for a patient's examination.
type BookRequest struct {
	// Number is the appointment's; at most 32 characters, stored by the caller first. Required.
	Number string
	// Patient whom it is for. Required.
	Patient campus.PatientID
	// Slot as FreeSlots returned it, or the one that was held. Required.
	Slot hospital.Found[*r4.Slot]
	// Hold is the hold's number where the slot was held; empty books a free slot.
	Hold string
	// Order is what the appointment is for, as it was read last, of the store that has
	// the slot. Zero books without one.
	Order hospital.Found[*r4.ServiceRequest]
}

// Book (检查预约) takes a free slot, or turns a hold into an appointment: the Slot
// becomes busy and a booked Appointment carries Number and is based on Order.
// hospital.ErrConflict when the slot is somebody else's, the hold has ended, or the
// order is not active or changed since it was read; hospital.ErrWrongPatient when the
// order is another patient's; hospital.ErrNumberReused when Number names another
// appointment; hospital.ErrRefused with a [BookingRefusal] when the hospital's rules
// forbid it.
//
// Where versions are a proved guard (campus.Contract.Versioning) an order revoked just
// now makes no appointment; the order has a new version, of equal content, afterwards.
// Elsewhere the order is looked at before, and may be revoked while the booking runs.
func (c *Client) Book(ctx context.Context, r BookRequest, opts ...hospital.WriteOption) (Appointment, error) {
	b := booking.BookRequest{Number: r.Number, Patient: r.Patient, Slot: r.Slot, Hold: r.Hold}
	return c.desk.BookFor(ctx, b, r.Order, opts...)
}

// BookingRefusal is why a booking was refused by the hospital's rules, a string. It stands
// in hospital.Error.Reason beside hospital.ErrRefused.
type BookingRefusal = booking.Refusal

// Refusals of [Client.Book], by the codes quota-exceeded, not-released and blacklisted of
// OperationOutcome.issue.details.coding.
const (
	RefusedQuota       = booking.RefusedQuota       // 限额已满
	RefusedNotReleased = booking.RefusedNotReleased // 未到放号时间
	RefusedBlacklisted = booking.RefusedBlacklisted // 爽约黑名单
)

// Appointment (查检查预约) reads the appointment that carries Number, for this patient:
// hospital.ErrNotFound when there is none, hospital.ErrWrongPatient when it is
// somebody else's.
func (c *Client) Appointment(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (Appointment, error) {
	return c.desk.Booking(ctx, "Appointment", number, patient, opts...)
}

// Release (释放) gives a held slot back: the Appointment is cancelled and the Slot
// free, in one transaction. Releasing again is success; releasing what was booked
// meanwhile is hospital.ErrConflict.
func (c *Client) Release(ctx context.Context, holdNumber string, patient campus.PatientID, opts ...hospital.WriteOption) (Appointment, error) {
	return c.desk.Release(ctx, holdNumber, patient, opts...)
}

// Cancel (取消检查预约) cancels an appointment and frees its slot, in one transaction;
// its order stays as it is. Cancelling again is success; once the patient has arrived
// it is hospital.ErrConflict.
func (c *Client) Cancel(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.WriteOption) (Appointment, error) {
	return c.desk.Cancel(ctx, number, patient, opts...)
}

// ReleaseExpired (释放过期锁号) frees the slots of a schedule in [from, to) whose hold has
// ended, for hospitals whose server does not. It returns how many it freed, before an error
// too, and goes on after a slot that somebody changed meanwhile. hospital.ErrInvalidArgument
// for a schedule that no verb returned, and unless from is before to.
func (c *Client) ReleaseExpired(ctx context.Context, schedule hospital.Found[*r4.Schedule], from, to time.Time, opts ...hospital.Option) (int, error) {
	return c.desk.ReleaseExpired(ctx, schedule, from, to, opts...)
}

// RescheduleRequest moves an appointment to another slot; all of it is required.
//
//   - Number of the appointment, which it keeps.
//   - Patient (campus.PatientID) is whom it is for.
//   - From (hospital.Found[*r4.Slot]) is the slot the caller believes it has: if it was
//     moved elsewhere meanwhile, nothing happens.
//   - To (hospital.Found[*r4.Slot]) as FreeSlots returned it.
type RescheduleRequest = booking.RescheduleRequest

// Reschedule (检查改期) moves an appointment: the new Slot busy, the old one free, the
// Appointment at the new one, in one transaction. Moving again to the same slot is
// success; a slot that is taken, or an appointment that is not at From, is
// hospital.ErrConflict and changes nothing.
func (c *Client) Reschedule(ctx context.Context, r RescheduleRequest, opts ...hospital.WriteOption) (Appointment, error) {
	return c.desk.Reschedule(ctx, r, opts...)
}
