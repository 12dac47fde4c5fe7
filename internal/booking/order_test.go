package booking_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
	"github.com/hospital-go/hospital/internal/verb"
)

const bookingSystem, holdSystem = "urn:test:booking", "urn:test:hold"

// room is a desk with two patients' orders and free slots.
type room struct {
	t *testing.T
	*booking.Desk
	hosp          *fakes.Hospital
	client        *hospital.Client
	fhir          *fhir.Client
	patients      []campus.PatientID
	order, others hospital.Found[*r4.ServiceRequest]
	slots         []hospital.Found[*r4.Slot]
}

func inBubble(t *testing.T, test func(t *testing.T, r *room), opts ...fakes.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, opts...)
		client, err := hospital.New(hosp.Config())
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		systems := booking.Systems{Booking: bookingSystem, Hold: holdSystem}
		r := &room{
			t: t, hosp: hosp, client: client, fhir: client.FHIR(campus.HIS), patients: hosp.Demo().Patients,
			Desk: booking.New(client, campus.HIS, "test", systems, booking.DefaultRefusals()),
		}
		r.order, r.others = r.placed(r.patients[0]), r.placed(r.patients[1])
		f, demo := r.fhir, hosp.Demo()
		schedule, resp, err := fhir.Read[*r4.Schedule](t.Context(), f, "sch1")
		require.NoError(t, err)
		found := hospital.Found[*r4.Schedule]{Resource: schedule, Origin: hospital.OriginOf(resp)}
		for slot, err := range r.FreeSlots(t.Context(), found, demo.Start, demo.End) {
			require.NoError(t, err)
			r.slots = append(r.slots, slot)
		}
		test(t, r)
	})
}

// placed is a new order, as the server has it.
func (r *room) placed(id campus.PatientID) hospital.Found[*r4.ServiceRequest] {
	r.t.Helper()
	patient, err := verb.FindPatient(r.t.Context(), r.fhir, id)
	require.NoError(r.t, err)
	order, resp, err := fhir.Create(r.t.Context(), r.fhir, &r4.ServiceRequest{
		Status: r4.RequestStatusActive, Intent: "order", Subject: r4.RefTo("Patient", patient.Resource.ID),
	})
	require.NoError(r.t, err)
	return hospital.Found[*r4.ServiceRequest]{Resource: order, Origin: hospital.OriginOf(resp)}
}

// change writes the order as another program does.
func (r *room) change(order hospital.Found[*r4.ServiceRequest], status, priority string) {
	r.t.Helper()
	current := r.current(order)
	current.Status, current.Priority = status, priority
	_, _, err := fhir.Update(r.t.Context(), r.fhir, current)
	require.NoError(r.t, err)
}

func (r *room) current(order hospital.Found[*r4.ServiceRequest]) *r4.ServiceRequest {
	r.t.Helper()
	current, _, err := fhir.Read[*r4.ServiceRequest](r.t.Context(), r.fhir, order.Resource.ID)
	require.NoError(r.t, err)
	return current
}

func (r *room) slotStatus(slot hospital.Found[*r4.Slot]) string {
	r.t.Helper()
	current, _, err := fhir.Read[*r4.Slot](r.t.Context(), r.fhir, slot.Resource.ID)
	require.NoError(r.t, err)
	return current.Status
}

// request books the first slot for the first patient.
func (r *room) request(number string) booking.BookRequest {
	return booking.BookRequest{Number: number, Patient: r.patients[0], Slot: r.slots[0]}
}

func (r *room) bookings(number string) int {
	return r.hosp.Count(campus.HIS, "Appointment", bookingSystem, number)
}

func TestBookingForAnOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *room) {
		based := []r4.Reference{*r4.RefTo("ServiceRequest", r.order.Resource.ID)}
		for range 2 { // the second time the order has another version: the act is done all the same
			booked, err := r.BookFor(t.Context(), r.request("B1"), r.order)
			require.NoError(t, err)
			assert.Equal(t, based, booked.Resource.BasedOn)
		}
		after := r.current(r.order)
		assert.NotEqual(t, r.order.Resource.Meta.VersionId, after.Meta.VersionId, "guarded by its version")
		after.Meta = r.order.Resource.Meta
		assert.Equal(t, r.order.Resource, after, "and otherwise the same")

		_, err := r.BookFor(t.Context(), r.request("B1"), r.placed(r.patients[0]))
		require.ErrorIs(t, err, hospital.ErrNumberReused, "the Number names the booking of another order")
		again := booking.BookRequest{Number: "B2", Patient: r.patients[0], Slot: r.slots[1]}
		_, err = r.BookFor(t.Context(), again, r.order)
		require.ErrorIs(t, err, hospital.ErrConflict, "somebody booked for the order since it was read")
		assert.Equal(t, r4.SlotStatusFree, r.slotStatus(r.slots[1]))
	})
}

func TestHoldBecomesBookingForAnOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *room) {
		_, err := r.Hold(t.Context(), booking.HoldRequest{Number: "H1", Patient: r.patients[0], Slot: r.slots[0], Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		request := r.request("B1")
		request.Hold = "H1"
		_, err = r.BookFor(t.Context(), request, r.others)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		booked, err := r.BookFor(t.Context(), request, r.order)
		require.NoError(t, err)
		assert.Equal(t, []r4.Reference{*r4.RefTo("ServiceRequest", r.order.Resource.ID)}, booked.Resource.BasedOn)
		moved, err := r.Reschedule(t.Context(), booking.RescheduleRequest{Number: "B1", Patient: r.patients[0], From: r.slots[0], To: r.slots[1]})
		require.NoError(t, err)
		assert.Equal(t, booked.Resource.BasedOn, moved.Resource.BasedOn, "it is still for the order")
	})
}

// An order that is not what the caller believes books nothing.
func TestOrderThatCannotBeBooked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		order func(r *room) hospital.Found[*r4.ServiceRequest]
		want  hospital.Code
	}{
		"another patient's": {func(r *room) hospital.Found[*r4.ServiceRequest] { return r.others }, hospital.ErrWrongPatient},
		"revoked": {func(r *room) hospital.Found[*r4.ServiceRequest] {
			r.change(r.order, r4.RequestStatusRevoked, "")
			return hospital.Found[*r4.ServiceRequest]{Resource: r.current(r.order), Origin: r.order.Origin}
		}, hospital.ErrConflict},
		"changed since": {func(r *room) hospital.Found[*r4.ServiceRequest] {
			r.change(r.order, r4.RequestStatusActive, "stat")
			return r.order
		}, hospital.ErrConflict},
		"not there": {func(r *room) hospital.Found[*r4.ServiceRequest] {
			return hospital.Found[*r4.ServiceRequest]{Resource: &r4.ServiceRequest{ID: "none"}, Origin: r.order.Origin}
		}, hospital.ErrConflict},
		"of another store": {func(r *room) hospital.Found[*r4.ServiceRequest] {
			order := r.order
			order.Origin.Store = "elsewhere"
			return order
		}, hospital.ErrInvalidArgument},
		"of another system": {func(r *room) hospital.Found[*r4.ServiceRequest] {
			order := r.order
			order.Origin.System = campus.LIS
			return order
		}, hospital.ErrInvalidArgument},
		"of an earlier epoch": {func(r *room) hospital.Found[*r4.ServiceRequest] {
			order := r.order
			order.Origin.Epoch--
			return order
		}, hospital.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *room) {
				_, err := r.BookFor(t.Context(), r.request("B1"), c.order(r))
				require.ErrorIs(t, err, c.want)
				assert.Zero(t, r.bookings("B1"))
				assert.Equal(t, r4.SlotStatusFree, r.slotStatus(r.slots[0]))
			})
		})
	}
}

// The order is revoked between the look at it and the transaction. The version
// refuses the booking; where it is no proved guard, the revocation stays at least.
func TestOrderRevokedUnderWay(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]fakes.Personality{"versions": {}, "no versions": {IgnoreIfMatch: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *room) {
				r.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{Delay: 100 * time.Millisecond}, Times: 1})
				done := make(chan error)
				go func() {
					_, err := r.BookFor(t.Context(), r.request("B1"), r.order)
					done <- err
				}()
				time.Sleep(50 * time.Millisecond) //nolint:forbidigo // synctest bubble
				r.change(r.order, r4.RequestStatusRevoked, "")
				err := <-done
				assert.Equal(t, r4.RequestStatusRevoked, r.current(r.order).Status)
				if p.IgnoreIfMatch {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, hospital.ErrConflict)
				assert.Zero(t, r.bookings("B1"))
				assert.Equal(t, r4.SlotStatusFree, r.slotStatus(r.slots[0]))
			}, fakes.WithPersonality(p))
		})
	}
}

// The answer is lost: the order's version has moved, and the booking is found.
func TestBookingForAnOrderAfterALostAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *room) {
		r.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		_, err := r.BookFor(t.Context(), r.request("B1"), r.order)
		require.NoError(t, err)
		assert.Equal(t, 1, r.bookings("B1"))
	})
}

// An order of a record that was merged into the patient's is his.
func TestBookingForAMergedRecordsOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *room) {
		mine, old := r.order.Resource.Subject, r.others.Resource.Subject
		r.link(old, mine, r4.LinkTypeReplacedBy)
		r.link(mine, old, r4.LinkTypeReplaces)
		_, err := r.BookFor(t.Context(), r.request("B1"), r.others)
		require.NoError(t, err)
	})
}

// link writes a link of one record to another.
func (r *room) link(from, to *r4.Reference, typ string) {
	r.t.Helper()
	_, id, _ := strings.Cut(from.Reference, "/")
	p, _, err := fhir.Read[*r4.Patient](r.t.Context(), r.fhir, id)
	require.NoError(r.t, err)
	p.Link = []r4.PatientLink{{Other: to, Type: typ}}
	_, _, err = fhir.Update(r.t.Context(), r.fhir, p)
	require.NoError(r.t, err)
}
