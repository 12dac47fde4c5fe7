package hospital_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// loses sends a write that is lost so, to a caller who has this much time.
func (s *stage) loses(number string, how fakes.Action, within time.Duration) *hospital.Error {
	s.t.Helper()
	s.hosp.Break(fakes.Rule{When: atHome, Do: how, Times: 1})
	ctx, cancel := context.WithTimeout(s.t.Context(), within)
	defer cancel()
	_, err := opaque(ctx, s.client, number)
	var lost *hospital.Error
	require.ErrorAs(s.t, err, &lost)
	require.Equal(s.t, hospital.ErrOutcomeUnknown, lost.Code)
	return lost
}

// Who repeats a lost write that no server can tell from another, and cannot look
// either, still does not know; and a third repetition waits for the first.
func TestRepeatedLostWriteWhileNobodyCanLook(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		_ = s.loses(number, fakes.Action{Delay: run - time.Second, Late: true}, 500*time.Millisecond)

		blind := s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type"}, Do: fakes.Action{Status: 500}})
		_, err := opaque(s.t.Context(), s.client, number)
		require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown, "the first is still running")
		blind()
		_, err = opaque(s.t.Context(), s.client, number)
		require.NoError(s.t, err)
		pass(10 * time.Second)
		assert.Equal(s.t, 1, s.orders(number))
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// The same after a crash: the process that is no more may have done it.
func TestRepeatedWhileNobodyCanLook(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type"}, Do: fakes.Action{Status: 500}})
		number := hospital.NewNumber()
		_, err := hospital.Write(s.t.Context(), s.client, opaqueOp, number, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
			_, resp, err := fhir.Create(ctx, f, serviceRequest(number))
			return hospital.OriginOf(resp), err
		}, findOrder(number), hospital.Repeated())
		require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
	})
}

// What was sent by other means than f may run for as long as the servers' contract
// says, which is longer than the default.
func TestUnknownByOtherMeansRunsAsDeclared(t *testing.T) {
	t.Parallel()
	const run = 2 * time.Minute
	settle := opaqueOp
	settle.Class = hospital.Settle
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{Delay: 50 * time.Second, Late: true}, Times: 1})
		sent := 0
		_, err := hospital.Write(s.t.Context(), s.client, settle, number, func(ctx context.Context, _ *fhir.Client) (hospital.Origin, error) {
			sent++
			_, resp, err := fhir.Create(ctx, s.client.FHIR(campus.HIS), serviceRequest(number)) // 20 s
			return hospital.OriginOf(resp), err
		}, findOrder(number))
		pass(3 * time.Minute)
		require.NoError(s.t, err)
		assert.Equal(s.t, 1, sent)
		assert.Equal(s.t, 1, s.orders(number))
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// A hook that panics after a write was lost, and a program that goes on: the next call
// with the Number knows that one may be running.
func TestPanicForgetsNoLostWrite(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	panics := false
	play(t, func(cfg *hospital.Config) {
		observe := cfg.OnAttempt
		cfg.OnAttempt = func(a failover.Attempt, r failover.Result) {
			observe(a, r)
			if panics && a.Method == http.MethodPost && a.Call.Template == "create ServiceRequest" {
				panics = false
				panic("a bug of the program's")
			}
		}
	}, func(s *stage) {
		number := hospital.NewNumber()
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{Delay: run - time.Second, Late: true}, Times: 1})
		func() {
			defer func() { assert.NotNil(s.t, recover()) }()
			ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
			defer cancel()
			panics = true
			_, _ = opaque(ctx, s.client, number)
		}()
		_, err := opaque(s.t.Context(), s.client, number)
		require.NoError(s.t, err)
		pass(10 * time.Second)
		assert.Equal(s.t, 1, s.orders(number))
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// One desk asks what became of a Number while a call with it is still under way, and
// may send once more: that it did not happen is not the last word.
func TestResolveWhileAnotherCallMaySend(t *testing.T) {
	t.Parallel()
	const run = 3 * time.Second
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "create"}, Do: fakes.Action{ResetBefore: true}, Times: 1})
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "create"}, Do: fakes.Action{Delay: 2 * time.Second}})
		first := make(chan error, 1)
		go func() {
			_, err := opaque(s.t.Context(), s.client, number)
			first <- err
		}()
		pass(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := opaque(ctx, s.client, number) // an impatient second click
		var e *hospital.Error
		require.ErrorAs(s.t, err, &e)
		require.Equal(s.t, hospital.ErrOutcomeUnknown, e.Code)
		pass(e.RetryAfter)
		happened, err := e.Resolve(s.t.Context())
		require.NoError(s.t, <-first)
		require.Equal(s.t, 1, s.orders(number))
		if err == nil {
			assert.True(s.t, happened, "it was said that it did not, and no longer can")
		}
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// A look that stumbles over two records of the patient has not seen what became of a
// booking: that is unknown, and comes out once the records are merged.
func TestLookThatCannotTellThePatient(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		slot, patient, number := s.freeSlots(1)[0], s.hosp.Demo().Patients[0], hospital.NewNumber()
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type", Type: "Appointment", Skip: 1}, Do: fakes.Action{Delay: time.Second}})
		booked := make(chan error, 1)
		go func() {
			_, err := s.desk.Book(s.t.Context(), his.BookRequest{Number: number, Patient: patient, Slot: slot})
			booked <- err
		}()
		pass(500 * time.Millisecond) // it was lost, and is looked for
		_, _, err := fhir.Create(s.t.Context(), s.client.FHIR(campus.HIS), &r4.Patient{Identifier: []r4.Identifier{{System: patient.Issuer, Value: patient.Value}}})
		require.NoError(s.t, err)
		err = <-booked
		require.Equal(s.t, 1, s.hosp.Count(campus.HIS, "Appointment", his.DefaultBookingSystem, number), "it happened")
		assert.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
	})
}

// Another write that went well does not end the wait for one that may still come.
func TestSessionAfterALostWriteAndAnother(t *testing.T) {
	t.Parallel()
	const lag, run = 3 * time.Second, 10 * time.Second
	play(t, nil, func(s *stage) {
		ctx := s.t.Context()
		number := hospital.NewNumber()
		_, err := order(ctx, s.client, number)
		require.NoError(s.t, err)
		pass(2 * lag)
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{ResetBefore: true}, Times: 1})
		lost := time.Now()
		_, _, err = fhir.Create(ctx, s.client.FHIR(campus.HIS), serviceRequest(hospital.NewNumber()))
		require.Equal(s.t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))
		_, err = order(ctx, s.client, hospital.NewNumber())
		require.NoError(s.t, err)
		s.hosp.Stop("dc-a")
		s.hosp.Stop("dc-b")
		for time.Since(lost) < run+lag {
			_, err = hospital.Read(ctx, s.client, sessionOp, findOrder(number))
			require.ErrorIs(s.t, err, hospital.ErrUnavailable, "%s", time.Since(lost))
			pass(4 * time.Second)
		}
	}, fakes.WithLag(lag), fakes.WithReadableStandby(), fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// Two desks were told that it is unknown what became of a Number. What the second one
// lost may still be running when the first asks: that it did not happen is not the last
// word.
func TestResolveAfterAnotherCallLostItToo(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		first := s.loses(number, fakes.Action{ResetBefore: true}, 500*time.Millisecond)

		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "create"}, Do: fakes.Action{Delay: run - time.Second, Late: true}, Times: 1})
		patient, cancel := context.WithTimeout(s.t.Context(), run+time.Second)
		defer cancel()
		_, err := opaque(patient, s.client, number) // waits, sends once more, and is lost
		require.Equal(s.t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))

		happened, err := first.Resolve(s.t.Context())
		pass(2 * run)
		require.Equal(s.t, 1, s.orders(number), "the second one's was executed")
		if err == nil {
			assert.True(s.t, happened, "it was said that it did not happen, and no longer can")
		}
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// The same of Resolve by the Number alone: a call that begins while it waits may still
// send, or have been lost.
func TestResolveWhileACallBegins(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	for name, patience := range map[string]time.Duration{"under way": time.Minute, "lost": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, nil, func(s *stage) {
				number := hospital.NewNumber()
				s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "create"}, Do: fakes.Action{Delay: run - time.Second, Late: true}, Times: 1})
				done := make(chan struct{})
				go func() {
					defer close(done)
					pass(2 * time.Second)
					ctx, cancel := context.WithTimeout(s.t.Context(), patience)
					defer cancel()
					_, _ = opaque(ctx, s.client, number)
				}()
				_, err := hospital.Resolve(s.t.Context(), s.client, opaqueOp, number, findOrder(number))
				<-done
				pass(2 * run)
				require.Equal(s.t, 1, s.orders(number))
				assert.NotErrorIs(s.t, err, hospital.ErrNotFound, "it was said that it did not happen, and no longer can")
			}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
		})
	}
}

// Where each campus has a laboratory of its own, a number of one is none of the other's:
// what one lost is nothing that the other may have done.
func TestLostAtOneCampusIsNotTheOthers(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	op := opaqueOp
	op.System = campus.LIS
	order := func(ctx context.Context, c *hospital.Client, at campus.ID) error {
		_, err := hospital.Write(ctx, c, op, "10000001", func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
			_, resp, err := fhir.Create(ctx, f, serviceRequest("10000001"))
			return hospital.OriginOf(resp), err
		}, findOrder("10000001"), hospital.AtCampus(at))
		return err
	}
	play(t, nil, func(s *stage) {
		s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "create"}, Do: fakes.Action{ResetBefore: true}, Times: 1})
		ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
		defer cancel()
		require.ErrorIs(s.t, order(ctx, s.client, "hankou"), hospital.ErrOutcomeUnknown)
		for range 4 {
			err := order(s.t.Context(), s.client, "guanggu")
			require.NoError(s.t, err)
			pass(40 * time.Minute)
		}
	}, fakes.WithOwnStores(campus.LIS), fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// A look that sees somebody else's act under the Number says nothing of the request that
// may still be running: whoever repeats then waits for it.
func TestLostIsNotForgottenForAnothersAct(t *testing.T) {
	t.Parallel()
	const run = 5 * time.Second
	play(t, nil, func(s *stage) {
		number, mixedUp := hospital.NewNumber(), false
		find := func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
			if mixedUp {
				return hospital.Origin{}, hospital.ErrWrongPatient // a cache that mixes answers up
			}
			return findOrder(number)(ctx, f)
		}
		send := func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
			_, resp, err := fhir.Create(ctx, f, serviceRequest(number))
			return hospital.OriginOf(resp), err
		}
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{Delay: run - time.Second, Late: true}, Times: 1})
		ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := hospital.Write(ctx, s.client, opaqueOp, number, send, find)
		require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
		mixedUp = true
		_, err = hospital.Write(s.t.Context(), s.client, opaqueOp, number, send, find)
		require.Error(s.t, err)
		mixedUp = false
		_, err = hospital.Write(s.t.Context(), s.client, opaqueOp, number, send, find)
		require.NoError(s.t, err)
		pass(2 * run)
		assert.Equal(s.t, 1, s.orders(number))
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}
