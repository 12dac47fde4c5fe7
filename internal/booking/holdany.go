package booking

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// HoldAnyRequest holds whichever slot of a schedule can be had.
type HoldAnyRequest struct {
	// Number names the hold; at most 32 characters, stored by the caller first. Required.
	Number string
	// Patient whom it is for. Required.
	Patient campus.PatientID
	// Schedule as a verb returned it. Required.
	Schedule hospital.Found[*r4.Schedule]
	// From and To bound the slot's start, [From, To); From must be before To.
	From, To time.Time
	// Until is when the hold ends, at most [MaxHold] ahead. Required.
	Until time.Time
}

// HoldAny (锁任意号) is [Desk.Hold] for the first free slot of the window that can
// be had. hospital.ErrConflict when there is none left.
func (d *Desk) HoldAny(ctx context.Context, r HoldAnyRequest, opts ...hospital.WriteOption) (Booking, error) {
	a := &act{
		desk: d, name: "Hold", system: d.systems.Hold, number: r.Number, patient: r.Patient, window: &r,
		status: r4.AppointmentStatusProposed, slotStatus: r4.SlotStatusBusyTentative, until: r.Until,
	}
	op := d.ops.Guarded("HoldAny")
	op.Anew = true
	return hospital.Write(ctx, d.client, op, r.Number, a.sendAny, a.find, verb.About(opts, r.Patient)...)
}

// maxSlots bounds the slots of a schedule and time that are looked at together.
const maxSlots = 2000

func (a *act) sendAny(ctx context.Context, f *fhir.Client) (Booking, error) {
	patient, done, err := a.begin(ctx, f)
	if err != nil || done.Resource != nil {
		return done, err
	}
	free, err := verb.Collect(a.desk.slots(ctx, f, a.window.Schedule, a.window.From, a.window.To, r4.SlotStatusFree), maxSlots)
	if err != nil {
		return Booking{}, err
	}
	// Everybody begins somewhere else, or all would run for the same slot.
	start := fnv.New32a()
	_, _ = start.Write([]byte(a.number))
	for i := range free {
		held, err := a.takeSlot(ctx, f, patient, free[(int(start.Sum32()%maxSlots)+i)%len(free)])
		if hospital.CodeOf(err) != hospital.ErrConflict {
			return held, err
		}
		// A refusal may be the echo of an own success whose answer was lost.
		if done, err := a.find(ctx, f); hospital.CodeOf(err) != hospital.ErrNotFound {
			return done, err
		}
	}
	return Booking{}, hospital.ErrConflict
}
