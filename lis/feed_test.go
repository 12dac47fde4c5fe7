package lis_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// reader follows a feed and keeps what it got.
type reader struct {
	b         *bench
	since     time.Time
	position  lis.Position
	got       []string // id/version
	last      map[string]int
	restarted int
}

func (r *reader) poll() error {
	for page, err := range r.b.ResultChanges(r.b.t.Context(), lis.FeedQuery{From: r.position, Since: r.since}) {
		if err != nil {
			return err
		}
		if page.Restarted {
			r.restarted++
			r.got, r.last = nil, nil
		}
		for _, c := range page.List {
			if r.last == nil {
				r.last = map[string]int{}
			}
			version := 0
			_, err := fmt.Sscan(c.Resource.Meta.VersionId, &version)
			require.NoError(r.b.t, err)
			assert.Greater(r.b.t, version, r.last[c.Resource.ID], "never an older one, never one twice")
			r.last[c.Resource.ID] = version
			r.got = append(r.got, c.Resource.ID+"/"+c.Resource.Meta.VersionId)
		}
		r.position = page.Position
	}
	return nil
}

// complete checks that the latest version of everything came.
func (r *reader) complete() {
	r.b.t.Helper()
	for _, o := range stored[*r4.Observation](r.b, "Observation") {
		if assert.Contains(r.b.t, r.last, o.ID) {
			assert.Equal(r.b.t, o.Meta.VersionId, fmt.Sprint(r.last[o.ID]))
		}
	}
}

func TestFeed(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]fakes.Personality{"usual pages": {}, "tiny pages": {PageSize: 3}, "old": {PageSize: 7}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				if name == "old" { // beyond the overlap
					wait(time.Hour)
				}
				r := &reader{b: b, since: time.Now().Add(-2 * time.Hour)}
				require.NoError(t, r.poll())
				assert.Len(t, r.got, 12*(6+4), "all of one moment: more than a page")
				r.complete()
				require.NoError(t, r.poll())
				assert.Len(t, r.got, 120, "nothing new")

				wait(time.Minute)
				put(b, "lab1-1-1", func(o *r4.Observation) { o.Status = r4.ObservationStatusEnteredInError })
				put(b, "lab1-1-2", func(o *r4.Observation) { o.ValueQuantity.Value = "150" })
				wait(time.Second)
				put(b, "lab1-1-2", func(o *r4.Observation) { o.ValueQuantity.Value = "151" })
				other := &reader{b: newBench(t, b.hosp), since: r.since, position: r.position, last: map[string]int{}} // another process goes on
				for page, err := range other.b.ResultChanges(t.Context(), lis.FeedQuery{From: r.position, Since: r.since}) {
					require.NoError(t, err)
					for _, c := range page.List {
						assert.Equal(t, c.Resource.ID == "lab1-1-1", c.Withdrawn)
						assert.Equal(t, c.Withdrawn, c.Resource.ValueQuantity == nil)
					}
				}
				require.NoError(t, other.poll())
				assert.Equal(t, []string{"lab1-1-1/2", "lab1-1-2/3"}, other.got)
			}, fakes.WithPersonality(p))
		})
	}
}

// What is written while the feed is read, by several at once, all comes, in order of
// versions, also over crashes between page and position.
func TestFeedUnderWrites(t *testing.T) {
	t.Parallel()
	for seed := range 2 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS}, Do: fakes.Action{Jitter: 80 * time.Millisecond}})
				r := &reader{b: b, since: time.Now().Add(-time.Hour)}
				var writers sync.WaitGroup
				for w := range 3 {
					writers.Go(func() {
						chance := rand.New(rand.NewPCG(uint64(seed), uint64(w)))
						for range 12 {
							id := fmt.Sprintf("lab%d-%d-%d", w+1, 1+chance.IntN(3), 1+chance.IntN(2))
							put(b, id, func(o *r4.Observation) { o.ValueQuantity.Value = r4.Decimal(fmt.Sprint(chance.IntN(90) + 1)) })
							wait(time.Duration(chance.IntN(20)) * time.Second)
						}
					})
				}
				done := make(chan struct{})
				go func() { writers.Wait(); close(done) }()
				for running := true; running; {
					select {
					case <-done:
						running = false
					case <-time.After(3 * time.Second):
					}
					require.NoError(t, r.poll())
				}
				require.NoError(t, r.poll())
				r.complete()
			}, fakes.WithPersonality(fakes.Personality{PageSize: 4, AtomicCreate: true}), fakes.WithSeed(uint64(seed)))
		})
	}
}

// An earlier point of the store is restored: ids and versions are issued again, so the
// feed begins again where it was told to.
func TestFeedAfterARestore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		r := &reader{b: b, since: time.Now().Add(-time.Hour)}
		require.NoError(t, r.poll())
		wait(time.Minute)
		at := time.Now()
		wait(time.Minute)
		put(b, "lab1-1-1", func(o *r4.Observation) { o.ValueQuantity.Value = "9" })
		require.NoError(t, r.poll())
		b.hosp.Restore(campus.LIS, at)
		r.b = newBench(t, b.hosp)
		require.NoError(t, r.poll())
		assert.Equal(t, 1, r.restarted)
		assert.Len(t, r.got, 120)
		r.complete()
		put(r.b, "lab1-1-1", func(o *r4.Observation) { o.ValueQuantity.Value = "8" })
		require.NoError(t, r.poll())
		assert.Equal(t, 1, r.restarted)
		assert.Equal(t, "lab1-1-1/2", r.got[len(r.got)-1])
	})
}

// A transaction whose time lies before what was read already becomes visible later.
func TestFeedLooksBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		r := &reader{b: b, since: time.Now().Add(-time.Hour)}
		wait(10 * time.Minute)
		put(b, "lab1-1-1", func(o *r4.Observation) { o.ValueQuantity.Value = "9" })
		wait(4 * time.Minute)
		put(b, "lab1-1-2", func(o *r4.Observation) { o.ValueQuantity.Value = "8" })
		hidden := b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type"}, Do: fakes.Action{Rewrite: func(body []byte) []byte {
			bundle, err := r4.Decode[*r4.Bundle](body)
			if err != nil {
				return body
			}
			var kept []r4.BundleEntry
			for _, e := range bundle.Entry {
				if e.Resource.ResourceID() != "lab1-1-1" {
					kept = append(kept, e)
				}
			}
			bundle.Entry, bundle.Total = kept, nil
			out, _ := r4.Marshal(bundle)
			return out
		}}})
		require.NoError(t, r.poll())
		assert.NotContains(t, r.got, "lab1-1-1/2")
		hidden()
		wait(time.Hour)
		require.NoError(t, r.poll())
		assert.Equal(t, "lab1-1-1/2", r.got[len(r.got)-1])
	})
}

func TestFeedRefusals(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		ctx, since := t.Context(), time.Now().Add(-time.Hour)
		_, err := until(b.ReportChanges(ctx, lis.FeedQuery{}))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		pages, err := until(b.ReportChanges(ctx, lis.FeedQuery{Since: since}))
		require.NoError(t, err)
		require.NotEmpty(t, pages)
		assert.NotContains(t, string(pages[0].Position), "lab")
		for _, position := range []lis.Position{pages[0].Position, "x", "bm90IGpzb24"} {
			_, err = until(b.ResultChanges(ctx, lis.FeedQuery{Since: since, From: position}))
			require.ErrorIs(t, err, hospital.ErrInvalidArgument, "not of this feed")
		}
		whole, err := b.Complete(ctx, pages[0].List[0].Found)
		require.NoError(t, err)
		assert.NotEmpty(t, whole.Resource.Results)
		for name, edit := range map[string]func(body []byte) []byte{
			"no time": func(body []byte) []byte {
				return bytes.ReplaceAll(body, []byte(`"lastUpdated":`), []byte(`"lastUpdate":`))
			},
			"too old": func(body []byte) []byte {
				return bytes.ReplaceAll(body, []byte(`"lastUpdated":"2000`), []byte(`"lastUpdated":"1999`))
			},
			"unsorted": func(body []byte) []byte {
				return bytes.Replace(body, []byte(`"lastUpdated":"2000-01-01T00:00`), []byte(`"lastUpdated":"2000-01-01T00:01`), 1)
			},
		} {
			wait(time.Hour) // so that all of it is old
			remove := b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type"}, Do: fakes.Action{Rewrite: edit}})
			_, err = until(b.ResultChanges(ctx, lis.FeedQuery{Since: since}))
			require.ErrorIs(t, err, hospital.ErrFilterIgnored, name)
			remove()
		}
	})
}

// One transaction of 250 results has one time. A reader that was away meanwhile gets all
// of them, also when something else came later.
func TestFeedLosesNothingOfOneMoment(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		r := &reader{b: b, since: time.Now().Add(-time.Hour)}
		require.NoError(t, r.poll())
		wait(time.Minute)
		subject, bundle := b.patientRef(b.patient), &r4.Bundle{Type: r4.BundleTypeTransaction}
		for i := range 250 {
			id := r4.Identifier{System: "urn:analyser", Value: fmt.Sprint("A", i)}
			bundle.Entry = append(bundle.Entry, fhir.Post(&r4.Observation{
				Identifier: []r4.Identifier{id}, Status: "final", Code: r4.Concept(loinc, "2823-3"), Subject: subject,
				Category: []r4.CodeableConcept{*r4.Concept(lis.CategorySystem, lis.LaboratoryCategory)}, ValueQuantity: r4.UCUMQuantity("4.0", "mmol/L"),
			}, "", id))
		}
		_, _, err := fhir.Transaction(t.Context(), b.client.FHIR(campus.LIS), bundle)
		require.NoError(t, err)
		wait(time.Minute)
		put(b, "lab1-1-1", func(o *r4.Observation) { o.ValueQuantity.Value = "9" })
		wait(time.Hour) // longer than the overlap
		require.NoError(t, r.poll())
		require.NoError(t, r.poll())
		assert.Len(t, r.got, 120+250+1)
		r.complete()
	}, fakes.WithPersonality(fakes.Personality{PageSize: 100, AtomicCreate: true}))
}
