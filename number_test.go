package hospital_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
)

// Whoever follows the advice of ErrOutcomeUnknown, and repeats with the same Number
// after RetryAfter, does not do it twice.
func TestRepeatingAsAdvised(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{ResetAfter: true}, Times: 1})
		blind := s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type", Skip: 1}, Do: fakes.Action{Status: 500}})
		number := hospital.NewNumber()
		_, err := opaque(s.t.Context(), s.client, number)
		assert.Equal(s.t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))
		var e *hospital.Error
		require.ErrorAs(s.t, err, &e)
		blind()
		elapse(e.RetryAfter + time.Second)
		_, err = opaque(s.t.Context(), s.client, number)
		require.NoError(s.t, err)
		assert.Equal(s.t, 1, s.orders(number))
	})
}

// Two at once with one Number in one process, as by a double click: what the server
// would do twice, and what it looks for and then inserts.
func TestSameNumberAtOnce(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, err := opaque(s.t.Context(), s.client, number); assert.NoError(s.t, err) })
		}
		wg.Wait()
		assert.Equal(s.t, 1, s.orders(number))
	})
}

func TestSameNumberAtOnceKeyed(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{Delay: 10 * time.Millisecond}})
		number := hospital.NewNumber()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, err := order(s.t.Context(), s.client, number); assert.NoError(s.t, err) })
		}
		wg.Wait()
		assert.Equal(s.t, 1, s.orders(number))
	})
}

// A server that restarts may lose several sendings. Each is looked for once it has
// surely ended; one that never arrives is told as not executed, not as unknown.
func TestLostSeveralTimes(t *testing.T) {
	t.Parallel()
	keyed := func(ctx context.Context, c *hospital.Client, number string) (hospital.Origin, error) {
		return order(ctx, c, number)
	}
	for name, place := range map[string]func(context.Context, *hospital.Client, string) (hospital.Origin, error){"keyed": keyed, "unsafe": opaque} {
		for losses, want := range map[int]hospital.Code{3: "", 100: hospital.ErrUnavailable} {
			t.Run(fmt.Sprint(name, losses), func(t *testing.T) {
				t.Parallel()
				play(t, nil, func(s *stage) {
					when := fakes.When{System: campus.HIS, Interaction: "create"}
					page := s.hosp.Break(fakes.Rule{When: when, Do: fakes.Action{Status: 404, Body: "<html>Not Found</html>"}, Times: losses})
					number := hospital.NewNumber()
					_, err := place(s.t.Context(), s.client, number)
					assert.Equal(s.t, want, hospital.CodeOf(err))
					assert.Len(s.t, append(s.answeredAt("dc-a", "create", time.Time{}), s.answeredAt("dc-b", "create", time.Time{})...), 4)
					assert.Equal(s.t, want == "", s.orders(number) == 1)
					page()
					_, err = place(s.t.Context(), s.client, number)
					require.NoError(s.t, err)
					assert.Equal(s.t, 1, s.orders(number))
				})
			})
		}
	}
}
