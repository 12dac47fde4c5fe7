package his_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// Another process, that has nothing but the Number, finds out what became of a
// booking: done, held, never done, or not to be known yet.
func TestResolveFromTheNumberAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		slots, patient := d.freeSlots(), d.demo.Patients[0]
		d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		ctx, crash := context.WithTimeout(t.Context(), time.Millisecond) // the process ends with its answer lost
		_, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: patient, Slot: slots[0]})
		crash()
		_ = err // whatever it was told, it can tell nobody any more
		_, err = d.Hold(t.Context(), his.HoldRequest{Number: "H1", Patient: patient, Slot: slots[1], Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)

		other := newDesk(t, d.hosp)
		booked, err := other.Resolve(t.Context(), "B1")
		require.NoError(t, err)
		assert.Equal(t, r4.AppointmentStatusBooked, booked.Resource.Status)
		held, err := other.Resolve(t.Context(), "H1")
		require.NoError(t, err)
		assert.Equal(t, r4.AppointmentStatusProposed, held.Resource.Status)

		start := time.Now()
		_, err = other.Resolve(t.Context(), "B2")
		require.ErrorIs(t, err, hospital.ErrNotFound)
		assert.GreaterOrEqual(t, time.Since(start), 550*time.Millisecond, "no sooner than a lost request must have ended")
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = other.Resolve(short, "B3")
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
		var e *hospital.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "B3", e.Number)
		assert.Positive(t, e.RetryAfter)
		_, err = other.Resolve(t.Context(), "not a | number")
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}
