package hospital_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
)

// The caller's time ends while its loop looks at an item: what the campuses still had
// is missing, and that is said.
func TestAcrossOutOfTimeInTheLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ask := func(ctx context.Context, _ *fhir.Client, _ campus.PatientID) iter.Seq2[hospital.Found[string], error] {
			return func(yield func(hospital.Found[string], error) bool) {
				for _, item := range []string{"1", "2", "3"} {
					if !yield(hospital.Found[string]{Resource: string(hospital.CampusOf(ctx)) + item}, nil) {
						return
					}
				}
			}
		}
		var items []string
		var last error
		for found, err := range hospital.Across(ctx, g.client, acrossOp, everyNumber["hankou"], ask, itself, hospital.AcrossCampuses()) {
			if last = err; err == nil {
				items = append(items, found.Resource)
				pass(2 * time.Second) // a slow reader
			}
		}
		require.Less(t, len(items), 6, "two campuses have three each")
		var partial *hospital.PartialError
		require.ErrorAs(t, last, &partial, "what was shown is not all: %v", items)
		assert.ErrorIs(t, last, context.DeadlineExceeded)
	})
}

// A verb's bug at one campus is the caller's panic, as without AcrossCampuses, and not
// the end of the program.
func TestAcrossPanicsInTheCallersLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, nil)
		ask := func(ctx context.Context, _ *fhir.Client, _ campus.PatientID) iter.Seq2[hospital.Found[string], error] {
			return func(yield func(hospital.Found[string], error) bool) {
				if hospital.CampusOf(ctx) == "guanggu" {
					panic("a bug of the verb's")
				}
				yield(hospital.Found[string]{Resource: "1"}, nil)
			}
		}
		assert.PanicsWithValue(t, "a bug of the verb's", func() {
			for range hospital.Across(t.Context(), g.client, acrossOp, everyNumber["hankou"], ask, itself, hospital.AcrossCampuses()) { //nolint:errcheck // it panics
			}
		})
		for _, s := range g.client.Status() {
			assert.Zero(t, s.InFlight)
		}
	})
}

// Two bottles with the same growth are two, also where another campus has one of them,
// whichever answers first.
func TestWhatOneCampusHasTwiceIsTwo(t *testing.T) {
	t.Parallel()
	for late, other := range map[campus.ID]campus.ID{"hankou": "guanggu", "guanggu": "hankou"} {
		t.Run(string(late), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := asks{late: {[]string{"a", "a"}, nil}, other: {[]string{"a"}, nil}}
				g := newGroup(t, nil)
				items, err := g.read(t, func(ctx context.Context, f *fhir.Client, p campus.PatientID) iter.Seq2[hospital.Found[string], error] {
					if hospital.CampusOf(ctx) == late {
						time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
					}
					return a.at(ctx, f, p)
				}, hospital.AcrossOrganizations(hospital.Treatment))
				require.NoError(t, err)
				assert.Equal(t, []string{"a", "a"}, items)
			})
		})
	}
}
