package hospital_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
)

// Resolve did not have the time to wait; its error is asked again later, as it says.
func TestResolvesOwnErrorCanBeResolved(t *testing.T) {
	t.Parallel()
	const run = 3 * time.Second
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		hurried, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
		defer cancel()
		_, err := hospital.Resolve(hurried, s.client, opaqueOp, number, findOrder(number))
		var e *hospital.Error
		require.ErrorAs(s.t, err, &e)
		require.Equal(s.t, hospital.ErrOutcomeUnknown, e.Code)
		pass(e.RetryAfter)
		ctx, stop := context.WithTimeout(s.t.Context(), time.Hour)
		defer stop()
		asked := time.Now()
		happened, err := e.Resolve(ctx)
		require.NoError(s.t, err)
		assert.False(s.t, happened)
		assert.Less(s.t, time.Since(asked), time.Minute)
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// Two ask at once what became of an act of which nothing runs any more.
func TestTwoAskAtOnce(t *testing.T) {
	t.Parallel()
	const run = 3 * time.Second
	for name, ask := range map[string]func(s *stage, e *hospital.Error, number string) error{
		"Error.Resolve": func(s *stage, e *hospital.Error, _ string) error {
			_, err := e.Resolve(s.t.Context())
			return err
		},
		"Resolve": func(s *stage, _ *hospital.Error, number string) error {
			_, err := hospital.Resolve(s.t.Context(), s.client, opaqueOp, number, findOrder(number))
			if hospital.CodeOf(err) == hospital.ErrNotFound {
				return nil
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, nil, func(s *stage) {
				number := hospital.NewNumber()
				e := s.loses(number, fakes.Action{ResetBefore: true}, 500*time.Millisecond)
				pass(2 * run)
				var both sync.WaitGroup
				errs := [2]error{}
				for i := range errs {
					both.Go(func() { errs[i] = ask(s, e, number) })
				}
				both.Wait()
				for _, err := range errs {
					assert.NoError(s.t, err, "nobody sends, nothing runs")
				}
			}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
		})
	}
}

// As TestActAfterOneThatWasResolved, by hospital.Resolve.
func TestActAfterResolve(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		ctx, number := s.t.Context(), hospital.NewNumber()
		_ = s.loses(number, fakes.Action{AnswerDelay: 10 * time.Second}, time.Second)
		_, err := hospital.Resolve(ctx, s.client, opaqueOp, number, findOrder(number))
		require.NoError(s.t, err, "it has happened")
		next := opaqueOp
		next.Name, next.Repeat = "test.Next", hospital.Guarded
		sent := false
		_, err = hospital.Write(ctx, s.client, next, number, func(ctx context.Context, f *fhir.Client) (bool, error) {
			sent = true
			return true, nil
		}, func(ctx context.Context, f *fhir.Client) (bool, error) {
			if _, err := findOrder(number)(ctx, f); err != nil || !sent {
				return false, hospital.ErrNotFound
			}
			return true, nil
		})
		require.NoError(s.t, err, "nobody has sent it yet")
	}, fakes.WithContract(campus.Contract{}))
}
