package his_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// personalities under which every promise about writes must hold.
var personalities = map[string]fakes.Option{
	"racy":   fakes.WithPersonality(fakes.Personality{RaceWindow: 2 * time.Second}),
	"atomic": fakes.WithPersonality(fakes.Personality{AtomicCreate: true}),
	"racy, versioning not declared": func(h *fakes.Hospital) {
		fakes.WithPersonality(fakes.Personality{RaceWindow: 2 * time.Second})(h)
		fakes.WithContract(campus.Contract{ServerTimeout: 3 * time.Second})(h)
	},
}

func TestSixtyFourCallersSixteenSlots(t *testing.T) {
	t.Parallel()
	for name, personality := range personalities {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				slots := d.freeSlots()[:16]
				d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "read"}, Do: fakes.Action{Jitter: 200 * time.Millisecond}})
				errs := make([][2]error, 64) // every caller asks twice at once, with one Number
				var callers sync.WaitGroup
				for i := range errs {
					for again := range 2 {
						callers.Go(func() {
							_, errs[i][again] = d.Book(t.Context(), his.BookRequest{
								Number: fmt.Sprintf("B%d", i), Patient: d.demo.Patients[i%12], Slot: slots[i%16],
							})
						})
					}
				}
				callers.Wait()
				booked := 0
				for i, both := range errs {
					if both[0] == nil || both[1] == nil {
						booked++
						require.NoError(t, errors.Join(both[:]...), "nobody is told that his own booking is somebody else's")
						assert.Equal(t, 1, d.bookings(fmt.Sprintf("B%d", i)))
						continue
					}
					require.ErrorIs(t, both[0], hospital.ErrConflict)
					require.ErrorIs(t, both[1], hospital.ErrConflict)
					assert.Zero(t, d.bookings(fmt.Sprintf("B%d", i)))
				}
				assert.Equal(t, 16, booked)
				assert.Empty(t, d.hosp.Ledger().Doubled())
				for _, s := range slots {
					assert.Equal(t, r4.SlotStatusBusy, d.slotStatus(s.Resource.ID))
				}
			}, personality)
		})
	}
}

// faults of one transaction at the home data centre.
var faults = map[string]fakes.Action{
	"reset before":           {ResetBefore: true},
	"answer lost":            {ResetAfter: true},
	"answer cut":             {CutAfter: 40},
	"slow, then answer lost": {AnswerDelay: 3 * time.Second, ResetAfter: true},
	"500":                    {Status: 500},
	"503":                    {Status: 503},
	"503 executed":           {Status: 503, Execute: true},
	"503, try later":         {Status: 503, RetryAfter: "1"},
	"502 from a gateway":     {Status: 502, Body: "<html>Bad Gateway</html>"},
	"200 from a gateway":     {Status: 200, Body: "<html>Welcome</html>", Execute: true},
	"404 from a gateway":     {Status: 404, Body: "<html>Not Found</html>"},
	"200 with an error":      {Status: 200, Body: `{"resourceType":"OperationOutcome","issue":[]}`, ContentType: "application/json", Execute: true},
	"429":                    {Status: 429, RetryAfter: "1"},
	"hang":                   {Hang: true},
}

// Whatever happens to the transaction, the caller who repeats with the same
// Number, in the same process or after a crash, ends with one booking and the truth.
func TestBookingHappensOnceUnderEveryFault(t *testing.T) {
	t.Parallel()
	for pname, personality := range personalities {
		for fname, action := range faults {
			t.Run(pname+"/"+fname, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					slot, patient := d.freeSlots()[0], d.demo.Patients[0]
					request := his.BookRequest{Number: "B1", Patient: patient, Slot: slot}
					d.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "transaction"}, Do: action, Times: 1})
					started := time.Now()
					_, err := d.Book(t.Context(), request)
					assert.LessOrEqual(t, time.Since(started), 15*time.Second+50*time.Millisecond, "back before its deadline")
					if err != nil {
						require.ErrorIs(t, err, hospital.ErrOutcomeUnknown, "what may have happened is called unknown")
						var e *hospital.Error
						require.ErrorAs(t, err, &e)
						assert.Equal(t, "B1", e.Number)
					}
					assert.LessOrEqual(t, d.bookings("B1"), 1)

					time.Sleep(5 * time.Second)     //nolint:forbidigo // synctest bubble
					restarted := newDesk(t, d.hosp) // a new process: nothing in memory
					again, err := restarted.Book(t.Context(), request)
					require.NoError(t, err, "repeating with the same Number brings the truth")
					assert.Equal(t, 1, d.bookings("B1"))
					assert.True(t, r4.HasIdentifier(again.Resource.Identifier, his.DefaultBookingSystem, "B1"))
					assert.Equal(t, r4.SlotStatusBusy, d.slotStatus(slot.Resource.ID))
					assert.Empty(t, d.hosp.Ledger().Doubled())
				}, personality)
			})
		}
	}
}

func TestSiteLostMidTransaction(t *testing.T) {
	t.Parallel()
	for name, personality := range personalities {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				slot := d.freeSlots()[0]
				lost := time.AfterFunc(time.Second, func() { d.hosp.Stop("dc-a") }) // within the race window
				defer lost.Stop()
				booked, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: slot})
				require.NoError(t, err)
				assert.Equal(t, 1, d.bookings("B1"))
				assert.NotEmpty(t, booked.Resource.ID)
			}, personality)
		})
	}
}

func TestUnknownOutcomeCanBeResolved(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]fakes.Action{"executed": {ResetAfter: true}, "not executed": {ResetBefore: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				slot := d.freeSlots()[0]
				d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: do})
				remove := d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type", Type: "Appointment", Skip: 1}, Do: fakes.Action{Status: 500}})
				_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: slot})
				require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
				var e *hospital.Error
				require.ErrorAs(t, err, &e)

				_, err = e.Resolve(t.Context())
				require.Error(t, err, "nobody can be asked yet")
				remove()
				if name == "not executed" {
					_, err = e.Resolve(t.Context())
					require.ErrorIs(t, err, hospital.ErrOutcomeUnknown, "it may still be running")
				}
				assert.Positive(t, e.RetryAfter)
				time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
				happened, err := e.Resolve(t.Context())
				require.NoError(t, err)
				assert.Equal(t, name == "executed", happened)
			})
		})
	}
}

func TestRegisterHappensOnce(t *testing.T) {
	t.Parallel()
	id := campus.PatientID{Issuer: campus.ResidentIDIssuer, Value: "110101199003075672"}
	request := func() his.RegisterRequest {
		return his.RegisterRequest{ID: id, Patient: &r4.Patient{
			Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}},
			Name:       []r4.HumanName{{Text: "钱多多"}}, BirthDate: "1990-03-07", Gender: r4.AdministrativeGenderMale,
		}}
	}
	for pname, personality := range personalities {
		for fname, action := range faults {
			t.Run(pname+"/"+fname, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, d *desk) {
					d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "create"}, Do: action, Times: 1})
					_, err := d.Register(t.Context(), request())
					if err != nil {
						require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
					}
					time.Sleep(5 * time.Second) //nolint:forbidigo // synctest bubble
					found, err := newDesk(t, d.hosp).Register(t.Context(), request())
					require.NoError(t, err)
					assert.True(t, r4.HasIdentifier(found.Resource.Identifier, id.Issuer, id.Value))
					assert.Equal(t, 1, d.hosp.Count(campus.HIS, "Patient", id.Issuer, id.Value))
				}, personality)
			})
		}
	}
}

// Two desks at once on a server that looks, then inserts: both may create, and
// then neither is told that all is well.
func TestTwoDesksRegisterOnePersonOnARacyServer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		id := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY999999"}
		var errs [2]error
		var desks sync.WaitGroup
		for i := range errs {
			desks.Go(func() {
				_, errs[i] = d.Register(t.Context(), his.RegisterRequest{ID: id, Patient: &r4.Patient{
					Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}}, Name: []r4.HumanName{{Text: "钱多多"}},
				}})
			})
		}
		desks.Wait()
		if d.hosp.Count(campus.HIS, "Patient", id.Issuer, id.Value) > 1 {
			assert.ErrorIs(t, errors.Join(errs[:]...), hospital.ErrAmbiguousPatient)
		}
	})
}

// Every other verb, with its answer lost: repeating it is success and changes nothing more.
func TestChangesMayBeRepeated(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		slots, patient := d.freeSlots(), d.demo.Patients[0]
		ctx := t.Context()
		window := his.HoldAnyRequest{Number: "H2", Patient: patient, Schedule: d.schedule(), From: d.demo.Start, To: d.demo.Start.Add(time.Minute)}
		lose := func() {
			d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		}
		until := time.Now().Add(time.Hour)
		window.Until = until
		for _, step := range []struct {
			name string
			call func() error
		}{
			{"hold", func() error {
				_, err := d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: patient, Slot: slots[0], Until: until})
				return err
			}},
			{"release", func() error { _, err := d.Release(ctx, "H1", patient); return err }},
			{"hold any", func() error {
				_, err := d.HoldAny(ctx, window)
				return err
			}},
			{"book", func() error {
				_, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: patient, Slot: slots[1]})
				return err
			}},
			{"reschedule", func() error {
				_, err := d.Reschedule(ctx, his.RescheduleRequest{Number: "B1", Patient: patient, From: slots[1], To: slots[2]})
				return err
			}},
			{"cancel", func() error { _, err := d.Cancel(ctx, "B1", patient); return err }},
			{"book again", func() error {
				_, err := d.Book(ctx, his.BookRequest{Number: "B2", Patient: patient, Slot: slots[1]})
				return err
			}},
			{"check in", func() error { _, err := d.CheckIn(ctx, "B2", patient); return err }},
		} {
			lose()
			require.NoError(t, step.call(), step.name)
			require.NoError(t, step.call(), "%s, repeated", step.name)
		}
		assert.Empty(t, d.hosp.Ledger().Doubled())
		assert.Equal(t, r4.SlotStatusBusyTentative, d.slotStatus(slots[0].Resource.ID), "held by HoldAny")
		assert.Equal(t, r4.SlotStatusFree, d.slotStatus(slots[2].Resource.ID))
		assert.Equal(t, r4.SlotStatusBusy, d.slotStatus(slots[1].Resource.ID))
		assert.Equal(t, 1, d.hosp.Count(campus.HIS, "Encounter", his.DefaultVisitSystem, "B2"))
	})
}

// After a crash a hold of any slot is repeated at once: the first one's request is still
// running, and must not hold a second slot.
func TestRepeatedHoldAny(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, first := t.Context(), d.freeSlots()[0]
		request := his.HoldAnyRequest{Number: "H1", Patient: d.demo.Patients[0], Schedule: d.schedule(), From: d.demo.Start, To: d.demo.End, Until: time.Now().Add(time.Hour)}
		crashed, kill := context.WithTimeout(ctx, 100*time.Millisecond)
		defer kill()
		_, err := d.HoldAny(crashed, request)
		require.Error(t, err)
		put(d, first.Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusBusyUnavailable }) // closed meanwhile (停诊)
		_, err = newDesk(t, d.hosp).HoldAny(ctx, request, hospital.Repeated())
		require.NoError(t, err)
		time.Sleep(5 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Empty(t, d.hosp.Ledger().Doubled())
		assert.Equal(t, 1, d.live(his.DefaultHoldSystem, "H1"))
	}, fakes.WithPersonality(fakes.Personality{RaceWindow: time.Second}))
}

// A hold that has ended is booked by somebody while it is being released: that is no slot
// that was freed.
func TestReleaseExpiredBesideABooking(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, slot := t.Context(), d.freeSlots()[0]
		held, err := d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: d.demo.Patients[0], Slot: slot, Until: time.Now().Add(time.Minute)})
		require.NoError(t, err)
		time.Sleep(time.Hour) //nolint:forbidigo // synctest bubble
		schedule := d.schedule()
		d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{Delay: time.Second}, Times: 1})
		time.AfterFunc(500*time.Millisecond, func() {
			put(d, held.Resource.ID, func(a *r4.Appointment) { a.Status = r4.AppointmentStatusBooked })
			put(d, slot.Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusBusy })
		})
		freed, err := d.ReleaseExpired(ctx, schedule, d.demo.Start, d.demo.End)
		require.NoError(t, err)
		assert.Zero(t, freed)
		assert.Equal(t, r4.SlotStatusBusy, d.slotStatus(slot.Resource.ID))
	})
}

// One connection broke before anything was executed. The transaction puts the slot by its
// version, so the same one may be sent again at once, as that of Hold is.
func TestHoldAnyOverABrokenConnection(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(d *desk) error{
		"Hold": func(d *desk) error {
			_, err := d.Hold(d.t.Context(), his.HoldRequest{Number: "H1", Patient: d.demo.Patients[0], Slot: d.freeSlots()[0], Until: time.Now().Add(time.Hour)})
			return err
		},
		"HoldAny": func(d *desk) error {
			_, err := d.HoldAny(d.t.Context(), his.HoldAnyRequest{
				Number: "H1", Patient: d.demo.Patients[0], Schedule: d.schedule(), From: d.demo.Start, To: d.demo.End, Until: time.Now().Add(time.Hour),
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				d.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "transaction"}, Do: fakes.Action{ResetBefore: true}, Times: 1})
				asked := time.Now()
				require.NoError(t, hold(d))
				assert.Less(t, time.Since(asked), 5*time.Second)
			}, fakes.WithContract(campus.Contract{Versioning: true}))
		})
	}
}
