package pacs_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

// A desk that held a slot of the CT and died must not keep it for ever.
func TestExpiredHoldsAreFreed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		client, err := hospital.New(hosp.Config())
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		images, demo := pacs.New(client), hosp.Demo()
		before := freeSlots(t.Context(), images, demo)
		_, err = images.Hold(t.Context(), pacs.HoldRequest{
			Number: hospital.NewNumber(), Patient: demo.Patients[0], Slot: before[0], Until: time.Now().Add(time.Minute),
		})
		require.NoError(t, err)
		time.Sleep(time.Hour) //nolint:forbidigo // virtual
		require.Len(t, freeSlots(t.Context(), images, demo), len(before)-1, "the hold ended and the slot is still taken")
		for schedule, err := range images.Schedules(t.Context(), ct, demo.Start, demo.End) {
			require.NoError(t, err)
			n, err := images.ReleaseExpired(t.Context(), schedule, demo.Start, demo.End)
			require.NoError(t, err)
			assert.Equal(t, 1, n)
		}
		assert.Len(t, freeSlots(t.Context(), images, demo), len(before))
	})
}
