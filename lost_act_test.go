package hospital_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// A write was lost and may be running. A description comes that has one more campus: the
// write is still the same one.
func TestLostIsNotForgottenForANewCampus(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	docs, seen := &documents{}, &events{}
	play(t, following(docs, seen, t.TempDir()), func(s *stage) {
		number := hospital.NewNumber()
		_ = s.loses(number, fakes.Action{Delay: run - time.Second, Late: true}, 500*time.Millisecond)

		d := s.hosp.Description()
		more := d.Campuses[0]
		more.ID, more.PatientIssuer = "wuchang", "urn:wuchang"
		d.Version, d.Campuses = d.Version+1, append(slices.Clone(d.Campuses), more)
		docs.set(document(d), nil)
		pass(1100 * time.Millisecond)
		got := seen.take()
		require.NotEmpty(s.t, got)
		require.NoError(s.t, got[len(got)-1].Err)
		require.NotNil(s.t, s.client.Topology().Campus("wuchang"))

		_, err := opaque(s.t.Context(), s.client, number)
		require.NoError(s.t, err)
		pass(2 * run)
		assert.Equal(s.t, 1, s.orders(number))
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// A booking's answer was lost, and its Resolve has found it: what is done with the
// booking afterwards is another act.
func TestActAfterOneThatWasResolved(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		ctx, patient, number := s.t.Context(), s.hosp.Demo().Patients[0], hospital.NewNumber()
		slot := s.slot()
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		blind := s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type", Type: "Appointment", Skip: 1}, Do: fakes.Action{Status: 500}})
		_, err := s.desk.Book(ctx, his.BookRequest{Number: number, Patient: patient, Slot: slot})
		var lost *hospital.Error
		require.ErrorAs(s.t, err, &lost)
		require.Equal(s.t, hospital.ErrOutcomeUnknown, lost.Code)
		blind()
		pass(2 * time.Second)
		happened, err := lost.Resolve(ctx)
		require.NoError(s.t, err)
		require.True(s.t, happened)
		_, err = s.desk.CheckIn(ctx, number, patient)
		assert.NoError(s.t, err, "the patient stands there, and nobody has sent his check-in yet")
	}, fakes.WithContract(campus.Contract{}))
}

// The same where the store was lost meanwhile, and its copy has the act: for an hour.
func TestActAfterAPromotion(t *testing.T) {
	t.Parallel()
	docs, seen := &documents{}, &events{}
	finish := hospital.Op{Name: "test.Finish", System: campus.HIS, Class: hospital.WriteClass, Repeat: hospital.Guarded}
	play(t, following(docs, seen, t.TempDir()), func(s *stage) {
		ctx, number := s.t.Context(), hospital.NewNumber()
		lost := s.loses(number, fakes.Action{AnswerDelay: 10 * time.Second}, time.Second)
		pass(3 * time.Minute) // the copy has it
		s.hosp.Promote(campus.HIS)
		docs.set(document(s.hosp.Description()), nil)
		pass(1100 * time.Millisecond)
		happened, err := lost.Resolve(ctx)
		require.NoError(s.t, err)
		require.True(s.t, happened)
		sent := 0
		_, err = hospital.Write(ctx, s.client, finish, number, func(ctx context.Context, f *fhir.Client) (*r4.ServiceRequest, error) {
			sent++
			order, _, err := orderOf(ctx, f, number)
			if err != nil {
				return nil, err
			}
			order.Status = "completed"
			done, _, err := fhir.Update(ctx, f, order)
			return done, err
		}, func(ctx context.Context, f *fhir.Client) (*r4.ServiceRequest, error) {
			order, _, err := orderOf(ctx, f, number)
			if err == nil && order.Status != "completed" {
				err = hospital.ErrNotFound
			}
			return order, err
		})
		require.NoError(s.t, err)
		assert.Equal(s.t, 1, sent)
	})
}

func orderOf(ctx context.Context, f *fhir.Client, number string) (*r4.ServiceRequest, hospital.Origin, error) {
	for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.ServiceRequest](orderSystem, number))) {
		if err != nil {
			return nil, hospital.Origin{}, err
		}
		for _, r := range page.Matches {
			order, err := r4.As[*r4.ServiceRequest](r)
			return order, hospital.OriginOf(page.Response), err
		}
	}
	return nil, hospital.Origin{}, hospital.ErrNotFound
}

// A booking was done, its answer lost, and its store too; the copy that was promoted has it.
// It is this booking, and no other one under its Number.
func TestBookingIsFoundAfterAPromotion(t *testing.T) {
	t.Parallel()
	for name, moves := range map[string]bool{"booked": false, "moved": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, seen := &documents{}, &events{}
			play(t, following(docs, seen, t.TempDir()), func(s *stage) {
				patient, number := s.hosp.Demo().Patients[0], hospital.NewNumber()
				var slots []hospital.Found[*r4.Slot]
				for slot, err := range s.slots() {
					require.NoError(s.t, err)
					slots = append(slots, slot)
				}
				act := func(ctx context.Context) error {
					_, err := s.desk.Book(ctx, his.BookRequest{Number: number, Patient: patient, Slot: slots[0]})
					return err
				}
				if moves {
					require.NoError(s.t, act(s.t.Context()))
					act = func(ctx context.Context) error {
						_, err := s.desk.Reschedule(ctx, his.RescheduleRequest{Number: number, Patient: patient, From: slots[0], To: slots[1]})
						return err
					}
				}
				s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "transaction"}, Do: fakes.Action{AnswerDelay: 10 * time.Second}, Times: 1})
				hurried, cancel := context.WithTimeout(s.t.Context(), time.Second)
				defer cancel()
				var lost *hospital.Error
				require.ErrorAs(s.t, act(hurried), &lost)
				require.Equal(s.t, hospital.ErrOutcomeUnknown, lost.Code)
				pass(3 * time.Minute) // the copy has it
				s.hosp.Promote(campus.HIS)
				docs.set(document(s.hosp.Description()), nil)
				pass(1100 * time.Millisecond)
				_, err := lost.Resolve(s.t.Context())
				require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown, "it names this very act, and nothing says so")
				require.ErrorIs(s.t, act(s.t.Context()), hospital.ErrOutcomeUnknown)
				found, err := s.desk.Booking(s.t.Context(), number, patient)
				require.NoError(s.t, err, "it is found by its Number")
				assert.Equal(s.t, r4.AppointmentStatusBooked, found.Resource.Status)
			})
		})
	}
}

// Two clicks on one button; the first one's request was executed before its store was
// lost, and the copy that is promoted does not have it. Neither may say that it did not happen.
func TestSecondClickKnowsWhereItWasLost(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	docs, seen := &documents{}, &events{}
	play(t, following(docs, seen, t.TempDir()), func(s *stage) {
		number := hospital.NewNumber()
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{AnswerDelay: 10 * time.Second}, Times: 1})
		errs := [2]*hospital.Error{}
		done := make(chan struct{}, 2)
		for i := range errs {
			go func() {
				ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(2-i)*time.Second)
				defer cancel()
				_, err := opaque(ctx, s.client, number)
				assert.ErrorAs(s.t, err, &errs[i])
				done <- struct{}{}
			}()
			pass(10 * time.Millisecond)
		}
		<-done
		<-done
		for _, e := range errs {
			require.Equal(s.t, hospital.ErrOutcomeUnknown, e.Code)
		}
		require.Equal(s.t, 1, s.orders(number), "it was executed")
		s.hosp.Promote(campus.HIS)
		docs.set(document(s.hosp.Description()), nil)
		pass(2 * run)
		for i, e := range errs {
			happened, err := e.Resolve(s.t.Context())
			assert.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown, "click %d was told: %v", i+1, happened)
		}
	}, fakes.WithLag(time.Minute), fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// Another desk asks what became of a payment while the first one, which lost a request,
// waits to send it once more.
func TestResolveWhileAnotherDeskMaySendAgain(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		create := fakes.When{System: campus.HIS, Interaction: "create"}
		s.hosp.Break(fakes.Rule{When: create, Do: fakes.Action{ResetBefore: true}, Times: 1})
		s.hosp.Break(fakes.Rule{When: create, Do: fakes.Action{Delay: run - time.Second}, Times: 1})
		paid := make(chan error, 1)
		go func() {
			_, err := pay(s.t.Context(), s.client, number)
			paid <- err
		}()
		pass(time.Second)
		_, err := hospital.Resolve(s.t.Context(), s.another("hankou", nil), payOp, number, findPayment(number))
		require.NoError(s.t, <-paid)
		require.Equal(s.t, 1, s.payments(number))
		assert.NotErrorIs(s.t, err, hospital.ErrNotFound, "it was said that it did not happen, and no longer can")
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// The look's answer is slow; meanwhile a call with the Number comes and goes.
func TestResolveBesideACallThatComesAndGoes(t *testing.T) {
	t.Parallel()
	const run = 3 * time.Second
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		e := s.loses(number, fakes.Action{ResetBefore: true}, 500*time.Millisecond)
		pass(2 * run)
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type"}, Do: fakes.Action{AnswerDelay: time.Second}, Times: 1})
		done := make(chan error, 1)
		go func() {
			pass(100 * time.Millisecond)
			_, err := opaque(s.t.Context(), s.client, number)
			done <- err
		}()
		happened, err := e.Resolve(s.t.Context())
		require.NoError(s.t, <-done)
		if err == nil {
			assert.True(s.t, happened, "it was said that it did not happen, and no longer can")
		}
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}
