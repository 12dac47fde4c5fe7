package booking_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
)

const modalities = "http://dicom.nema.org/resources/ontology/DCM"

var ct = r4.Coding{System: modalities, Code: "CT"}

// A schedule of another service, or of another time, is no answer to what was asked.
func TestSchedulesOfAService(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		system, code, start string
		want                error
	}{
		"of the service":        {modalities, "CT", "2000-01-01", nil},
		"of another":            {modalities, "MR", "2000-01-01", hospital.ErrFilterIgnored},
		"of an equal code":      {"urn:local", "CT", "2000-01-01", hospital.ErrFilterIgnored},
		"of another time":       {modalities, "CT", "2001-01-01", hospital.ErrFilterIgnored},
		"of nothing and no one": {"", "", "2000-01-01", hospital.ErrFilterIgnored},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *room) {
				r.hosp.Break(fakes.Rule{When: fakes.When{Type: "Schedule"}, Do: fakes.Action{
					Status: http.StatusOK, ContentType: "application/fhir+json", Body: fmt.Sprintf(`{"resourceType":"Bundle","type":"searchset","entry":[
						{"resource":{"resourceType":"Schedule","id":"ct1","actor":[{"reference":"Device/ct1"}],"serviceType":[{"coding":[{"code":"X"},{"system":%q,"code":%q}]}],
						"planningHorizon":{"start":"%sT08:00:00+08:00","end":"2001-01-31T08:00:00+08:00"}},"search":{"mode":"match"}}]}`, c.system, c.code, c.start),
				}})
				found := 0
				for schedule, err := range r.Schedules(t.Context(), ct, time.Now(), time.Now().Add(24*time.Hour)) {
					require.ErrorIs(t, err, c.want)
					if err == nil {
						found++
						assert.Equal(t, "ct1", schedule.Resource.ID)
						assert.Equal(t, campus.HIS, schedule.Origin.System)
					}
				}
				assert.Equal(t, c.want == nil, found == 1)
			})
		})
	}
}

func TestSchedulesThatCannotBeAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *room) {
		now := time.Now()
		r.hosp.Break(fakes.Rule{Do: fakes.Action{Hang: true}}) // nothing is sent
		for name, c := range map[string]struct {
			service r4.Coding
			to      time.Time
		}{
			"everything": {r4.Coding{}, now.Add(time.Hour)},
			"any system": {r4.Coding{Code: "CT"}, now.Add(time.Hour)},
			"no code":    {r4.Coding{System: modalities}, now.Add(time.Hour)},
			"two codes":  {r4.Coding{System: modalities, Code: "CT,MR"}, now.Add(time.Hour)},
			"no time":    {ct, now},
		} {
			asked := 0
			for _, err := range r.Schedules(t.Context(), c.service, now, c.to) {
				asked++
				require.ErrorIs(t, err, hospital.ErrInvalidArgument, name)
			}
			assert.Equal(t, 1, asked, name)
		}
		assert.Equal(t, now, time.Now())
	})
}

// Two desks of one hospital keep their Numbers apart by their systems, and take no
// slots that another system's verbs found.
func TestDesksAreApart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *room) {
		_, err := r.Book(t.Context(), r.request("B1"))
		require.NoError(t, err)
		other := booking.New(r.client, campus.HIS, "other", booking.Systems{Booking: "urn:other:booking", Hold: "urn:other:hold"}, nil)
		_, err = other.Booking(t.Context(), "Booking", "B1", r.patients[0])
		require.ErrorIs(t, err, hospital.ErrNotFound)
		elsewhere := booking.New(r.client, campus.EMR, "other", booking.Systems{Booking: bookingSystem, Hold: holdSystem}, nil)
		request := r.request("B2")
		request.Slot = r.slots[1]
		_, err = elsewhere.Book(t.Context(), request)
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}

// What an operation is called is prefix and verb.
func TestOperationsAreNamedByPrefix(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *room) {
		_, err := r.Booking(t.Context(), "Appointment", "B1", r.patients[0])
		var e *hospital.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "test.Appointment", e.Op)
		none := hospital.Found[*r4.Slot]{}
		_, err = r.Book(t.Context(), booking.BookRequest{Number: "B1", Patient: r.patients[0], Slot: none})
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "test.Book", e.Op)
	})
}
