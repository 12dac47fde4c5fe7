package his_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// What was booked or held under a record that was merged into the patient's since is
// his: he can see it, move it, cancel it and check in. It was somebody else's once.
func TestBookingsOfAMergedRecord(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, slots, patient, merged := d.t.Context(), d.freeSlots(), d.demo.Patients[0], d.demo.Patients[1]
		mine, old := d.patientID(patient), d.patientID(merged)
		for i, number := range []string{"B1", "B2"} {
			_, err := d.Book(ctx, his.BookRequest{Number: number, Patient: merged, Slot: slots[i]})
			require.NoError(t, err)
		}
		_, err := d.Hold(ctx, his.HoldRequest{Number: "H3", Patient: merged, Slot: slots[2], Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		_, err = d.Booking(ctx, "B1", patient)
		require.ErrorIs(t, err, hospital.ErrWrongPatient, "they are two people yet")
		put(d, old, func(p *r4.Patient) {
			p.Link = []r4.PatientLink{{Other: r4.RefTo("Patient", mine), Type: r4.LinkTypeReplacedBy}}
		})
		put(d, mine, func(p *r4.Patient) {
			p.Link = []r4.PatientLink{{Other: r4.RefTo("Patient", old), Type: r4.LinkTypeReplaces}}
		})

		_, err = d.Booking(ctx, "B1", patient)
		require.NoError(t, err)
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: patient, Slot: slots[0]})
		require.NoError(t, err, "it is booked already")
		_, err = d.Reschedule(ctx, his.RescheduleRequest{Number: "B1", Patient: patient, From: slots[0], To: slots[3]})
		require.NoError(t, err)
		_, err = d.Book(ctx, his.BookRequest{Number: "B3", Patient: patient, Slot: slots[2], Hold: "H3"})
		require.NoError(t, err)
		visit, err := d.CheckIn(ctx, "B1", patient)
		require.NoError(t, err)
		assert.Equal(t, "Patient/"+mine, visit.Resource.Subject.Reference, "what is new is of the record that stands")
		_, err = d.Cancel(ctx, "B2", patient)
		require.NoError(t, err)
		assert.Equal(t, r4.SlotStatusFree, d.slotStatus(slots[1].Resource.ID))
	})
}
