package booking

import (
	"context"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

type slotSeq = iter.Seq2[hospital.Found[*r4.Slot], error]

func (d *Desk) heldSlots(schedule hospital.Found[*r4.Schedule], from, to time.Time) func(context.Context, *fhir.Client) slotSeq {
	return func(ctx context.Context, f *fhir.Client) slotSeq {
		return d.slots(ctx, f, schedule, from, to, r4.SlotStatusBusyTentative)
	}
}

// releaseExpired ends the hold of one slot if its time is over.
func (d *Desk) releaseExpired(ctx context.Context, slot hospital.Found[*r4.Slot], opts []hospital.WriteOption) (bool, error) {
	tried := false
	step := func(ctx context.Context, f *fhir.Client) (Booking, error) {
		ctx = hospital.SameStore(ctx, slot.Origin)
		for held, err := range d.holdsOf(ctx, f, slot.Resource.ID) {
			if err != nil {
				return Booking{}, err
			}
			until, ours := holdEnd(held.Resource)
			if _, ok := r4.IdentifierValue(held.Resource.Identifier, d.systems.Hold); !ok || !ours {
				continue // another program's: it knows when that ends
			}
			if time.Now().After(until.Add(verb.ClockMargin)) {
				tried = true
				for _, p := range held.Resource.Participant {
					verb.Concerns(ctx, d.client, held.Origin, p.Actor)
				}
				return d.end(ctx, f, held, r4.SlotStatusBusyTentative)
			}
		}
		return Booking{}, nil
	}
	find := func(ctx context.Context, f *fhir.Client) (Booking, error) {
		current, _, err := fhir.Read[*r4.Slot](hospital.SameStore(ctx, slot.Origin), f, slot.Resource.ID)
		switch {
		case err != nil || current.Status == r4.SlotStatusFree:
			return Booking{}, err
		case current.Status == r4.SlotStatusBusyTentative:
			return Booking{}, hospital.ErrNotFound
		}
		return Booking{}, hospital.ErrConflict // somebody booked it meanwhile
	}
	_, err := hospital.Write(ctx, d.client, d.ops.Guarded("ReleaseExpired"), "", step, find, opts...)
	return tried && err == nil, err
}

// holdsOf yields the proposed appointments of a slot.
func (d *Desk) holdsOf(ctx context.Context, f *fhir.Client, slot string) iter.Seq2[Booking, error] {
	q := fhir.For(fhir.AppointmentSlot.Is(slot), fhir.AppointmentStatus.In(r4.AppointmentStatusProposed))
	found := verb.Search(ctx, f, q, func(a *r4.Appointment, o hospital.Origin) bool {
		return d.usesSlot(Booking{Resource: a, Origin: o}, slot)
	})
	return verb.Only(found, func(a *r4.Appointment) bool { return a.Status == r4.AppointmentStatusProposed })
}
