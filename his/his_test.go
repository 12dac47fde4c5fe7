package his_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// desk is a client at campus hankou with what a test needs of the demo.
type desk struct {
	t      *testing.T
	hosp   *fakes.Hospital
	client *hospital.Client
	*his.Client
	demo fakes.Demo
}

// inBubble runs a test against a hospital in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, d *desk), opts ...fakes.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, opts...)
		test(t, newDesk(t, hosp))
	})
}

func newDesk(t *testing.T, hosp *fakes.Hospital) *desk {
	t.Helper()
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return &desk{t: t, hosp: hosp, client: client, Client: his.New(client), demo: hosp.Demo()}
}

func (d *desk) schedule() hospital.Found[*r4.Schedule] {
	d.t.Helper()
	ctx := d.t.Context()
	for department, err := range d.Departments(ctx) {
		require.NoError(d.t, err)
		for doctor, err := range d.Doctors(ctx, department) {
			require.NoError(d.t, err)
			for schedule, err := range d.Schedules(ctx, doctor, d.demo.Start, d.demo.End) {
				require.NoError(d.t, err)
				return schedule
			}
		}
	}
	require.Fail(d.t, "no schedule")
	return hospital.Found[*r4.Schedule]{}
}

func (d *desk) freeSlots() []hospital.Found[*r4.Slot] {
	d.t.Helper()
	var out []hospital.Found[*r4.Slot]
	for slot, err := range d.FreeSlots(d.t.Context(), d.schedule(), d.demo.Start, d.demo.End) {
		require.NoError(d.t, err)
		out = append(out, slot)
	}
	return out
}

func (d *desk) slotStatus(id string) string {
	d.t.Helper()
	for _, data := range d.hosp.Resources(campus.HIS, "Slot") {
		slot, err := r4.Decode[*r4.Slot](data)
		require.NoError(d.t, err)
		if slot.ID == id {
			return slot.Status
		}
	}
	return ""
}

// bookings counts what really carries the number.
func (d *desk) bookings(number string) int {
	return d.hosp.Count(campus.HIS, "Appointment", his.DefaultBookingSystem, number)
}

func TestLifeOfABooking(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx := d.t.Context()
		slots := d.freeSlots()
		require.Len(t, slots, 48)
		patient := d.demo.Patients[0]

		held, err := d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: patient, Slot: slots[0], Until: time.Now().Add(5 * time.Minute)})
		require.NoError(t, err)
		assert.Equal(t, r4.AppointmentStatusProposed, held.Resource.Status)
		assert.Equal(t, r4.SlotStatusBusyTentative, d.slotStatus(slots[0].Resource.ID))

		booked, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: patient, Slot: slots[0], Hold: "H1"})
		require.NoError(t, err)
		assert.Equal(t, held.Resource.ID, booked.Resource.ID, "the hold becomes the booking")
		assert.Equal(t, r4.SlotStatusBusy, d.slotStatus(slots[0].Resource.ID))

		_, err = d.Release(ctx, "H1", patient)
		require.ErrorIs(t, err, hospital.ErrConflict, "a booking is not released")

		moved, err := d.Reschedule(ctx, his.RescheduleRequest{Number: "B1", Patient: patient, From: slots[0], To: slots[1]})
		require.NoError(t, err)
		assert.Equal(t, slots[1].Resource.Start, moved.Resource.Start)
		assert.Equal(t, r4.SlotStatusFree, d.slotStatus(slots[0].Resource.ID))
		assert.Equal(t, r4.SlotStatusBusy, d.slotStatus(slots[1].Resource.ID))

		visit, err := d.CheckIn(ctx, "B1", patient)
		require.NoError(t, err)
		again, err := d.CheckIn(ctx, "B1", patient)
		require.NoError(t, err)
		assert.Equal(t, visit.Resource.ID, again.Resource.ID)
		_, err = d.Cancel(ctx, "B1", patient)
		require.ErrorIs(t, err, hospital.ErrConflict, "who has arrived cannot cancel")

		second, err := d.Book(ctx, his.BookRequest{Number: "B2", Patient: patient, Slot: slots[2]})
		require.NoError(t, err)
		for range 2 {
			_, err = d.Cancel(ctx, "B2", patient)
			require.NoError(t, err)
		}
		assert.Equal(t, r4.SlotStatusFree, d.slotStatus(slots[2].Resource.ID))
		_, err = d.Book(ctx, his.BookRequest{Number: "B2", Patient: patient, Slot: slots[2]})
		require.ErrorIs(t, err, hospital.ErrNumberReused, "a cancelled booking's number is spent")
		found, err := d.Booking(ctx, "B2", patient)
		require.NoError(t, err)
		assert.Equal(t, second.Resource.ID, found.Resource.ID)
		assert.Equal(t, campus.DataCenterID("dc-a"), found.Origin.DataCenter)
	})
}

func TestBookingSurvivesLostDataCentre(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		slots := d.freeSlots()
		d.hosp.Stop("dc-a")
		start := time.Now()
		booked, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: slots[0]})
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), booked.Origin.DataCenter)
		assert.Less(t, time.Since(start), 50*time.Millisecond+600*time.Millisecond)
		assert.Equal(t, 1, d.bookings("B1"))
		require.NoError(t, d.hosp.Start("dc-a"))
		time.Sleep(20 * time.Second) //nolint:forbidigo // synctest bubble
		found, err := d.Booking(t.Context(), "B1", d.demo.Patients[0])
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-a"), found.Origin.DataCenter, "back home")
	})
}
