package booking

import (
	"context"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/verb"
)

// Resolve finds what a booking number or a hold number names, from the number
// alone: in a process that knows nothing else of an act whose outcome was unknown.
// The Appointment's status says how far it has gone; whose it is must be compared
// by the caller. hospital.ErrNotFound means that it did not happen and no longer
// can, hospital.ErrOutcomeUnknown that a lost request may still be running, or be sent
// again by another desk: that takes 15 s and the server's time (campus.Contract).
func (d *Desk) Resolve(ctx context.Context, number string, opts ...hospital.ReadOption) (Booking, error) {
	if err := verb.CheckNumber(number); err != nil {
		return Booking{}, err
	}
	return hospital.Resolve(ctx, d.client, d.ops.Guarded("Resolve"), number, func(ctx context.Context, f *fhir.Client) (Booking, error) {
		found, err := d.appointment(ctx, f, d.systems.Booking, number, campus.PatientID{}, verb.OnlyReads)
		if hospital.CodeOf(err) != hospital.ErrNotFound {
			return found, err
		}
		return d.appointment(ctx, f, d.systems.Hold, number, campus.PatientID{}, verb.OnlyReads)
	}, opts...)
}
