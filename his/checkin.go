package his

import (
	"context"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
	"github.com/hospital-go/hospital/internal/verb"
)

// The class of an outpatient's Encounter.
const (
	// ActCodeSystem is the code system of Encounter.class.
	ActCodeSystem = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	// Ambulatory is the code in it.
	Ambulatory = "AMB"
)

// CheckIn (签到取号) marks a booked appointment as arrived and opens its Encounter,
// in one transaction. Checking in again returns the same Encounter. A booking
// that is not booked is hospital.ErrConflict.
func (c *Client) CheckIn(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.WriteOption) (hospital.Found[*r4.Encounter], error) {
	v := &visit{client: c, number: number, patient: patient}
	return hospital.Write(ctx, c.client, write("CheckIn"), number, v.send, v.find, verb.About(opts, patient)...)
}

type visit struct {
	client  *Client
	number  string
	patient campus.PatientID
}

type encounter = hospital.Found[*r4.Encounter]

func (v *visit) send(ctx context.Context, f *fhir.Client) (encounter, error) {
	found, patient, err := v.client.desk.Owned(ctx, f, v.number, v.patient)
	if err != nil {
		return encounter{}, err
	}
	ctx = hospital.SameStore(ctx, found.Origin)
	switch done, err := v.of(ctx, f, found, patient); {
	case hospital.CodeOf(err) != hospital.ErrNotFound:
		return done, err
	case found.Resource.Status != r4.AppointmentStatusBooked:
		return encounter{}, hospital.ErrConflict
	}
	appointment := found.Resource
	appointment.Status = r4.AppointmentStatusArrived
	entry := fhir.Post(v.encounter(found, patient.Current()), "", r4.Identifier{System: v.client.systems.Visit, Value: v.number})
	answer, arrived, err := v.client.desk.Commit(ctx, f, 0, fhir.Put(appointment), entry)
	if err != nil {
		return encounter{}, err
	}
	made, ok := answer.Entry[1].Resource.(*r4.Encounter)
	out := encounter{Resource: made, Origin: arrived.Origin}
	if !ok || !v.mine(out, found, patient) {
		return encounter{}, fhir.ErrUnexpected
	}
	return out, nil
}

func (v *visit) find(ctx context.Context, f *fhir.Client) (encounter, error) {
	found, patient, err := v.client.desk.Owned(ctx, f, v.number, v.patient)
	if err != nil {
		return encounter{}, err
	}
	return v.of(hospital.SameStore(ctx, found.Origin), f, found, patient)
}

// of finds the Encounter this check-in opened: it carries the visit number, is
// alive, and its Appointment has arrived. A planned one made beforehand is none.
func (v *visit) of(ctx context.Context, f *fhir.Client, found Booking, patient verb.Records) (encounter, error) {
	if !booking.Taken(found.Resource.Status) || found.Resource.Status == r4.AppointmentStatusBooked {
		return encounter{}, hospital.ErrNotFound
	}
	q := fhir.For(fhir.EncounterAppointment.Is(found.Resource.ID))
	all := verb.Search(ctx, f, q, func(e *r4.Encounter, o hospital.Origin) bool {
		return v.mine(encounter{Resource: e, Origin: o}, found, patient)
	})
	return verb.One(verb.Only(all, func(e *r4.Encounter) bool {
		return r4.HasIdentifier(e.Identifier, v.client.systems.Visit, v.number) && e.Status != r4.EncounterStatusPlanned &&
			e.Status != r4.EncounterStatusCancelled && e.Status != r4.EncounterStatusEnteredInError
	}), hospital.ErrConflict)
}

// mine: the Encounter is of this appointment and this patient.
func (v *visit) mine(e encounter, found Booking, patient verb.Records) bool {
	if !patient.Own(v.client.client, e.Origin, e.Resource.Subject) {
		return false
	}
	for i := range e.Resource.Appointment {
		if v.client.client.Names(e.Origin, &e.Resource.Appointment[i], "Appointment", found.Resource.ID) {
			return true
		}
	}
	return false
}

func (v *visit) encounter(found Booking, patient string) *r4.Encounter {
	return &r4.Encounter{
		Identifier:  []r4.Identifier{{System: v.client.systems.Visit, Value: v.number}},
		Status:      r4.EncounterStatusArrived,
		Class:       &r4.Coding{System: ActCodeSystem, Code: Ambulatory},
		Subject:     r4.RefTo("Patient", patient),
		Appointment: []r4.Reference{*r4.RefTo("Appointment", found.Resource.ID)},
	}
}
