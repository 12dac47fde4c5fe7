package lis_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
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

// peerFeed is a feed of a category that nobody else uses, and its reader, who stores
// the Position of each page.
type peerFeed struct {
	*peerBench
	categories lis.Option
	own        r4.Coding
	overlap    time.Duration
	since      time.Time
	position   lis.Position
	got        []lis.Change[*r4.Observation]
}

func newPeerFeed(t *testing.T, overlap time.Duration) *peerFeed {
	t.Helper()
	own := r4.Coding{System: "urn:hospital-go:conformance", Code: hospital.NewNumber()}
	categories := lis.WithCategories(lis.Categories{Result: own, Section: own})
	return &peerFeed{peerBench: newPeer(t, categories), categories: categories, own: own, overlap: overlap, since: time.Now().Add(-time.Hour)}
}

func (w *peerFeed) changes(p *peerBench) iter.Seq2[lis.Changes[*r4.Observation], error] {
	return p.ResultChanges(p.t.Context(), lis.FeedQuery{From: w.position, Since: w.since, Overlap: w.overlap})
}

// poll reads until the feed is up to date, or for one page, as a process that then dies.
func (w *peerFeed) poll(p *peerBench, onePage bool) int {
	w.t.Helper()
	pages, err := w.read(p, onePage)
	require.NoError(w.t, err)
	return pages
}

func (w *peerFeed) read(p *peerBench, onePage bool) (pages int, _ error) {
	w.t.Helper()
	for page, err := range w.changes(p) {
		if err != nil {
			return pages, err
		}
		assert.False(w.t, page.Restarted)
		pages++
		w.got, w.position = append(w.got, page.List...), page.Position
		if onePage {
			break
		}
	}
	return pages, nil
}

func (w *peerFeed) results(n int) []*r4.Observation {
	w.t.Helper()
	var list []*r4.Observation
	for i := range n {
		o := w.potassium(r4.Decimal(fmt.Sprint(i+1)), peerDay)
		o.Category = []r4.CodeableConcept{{Coding: []r4.Coding{w.own}}}
		list = append(list, o)
	}
	return createAll(w.bench, list)
}

// complete checks that the latest version of each came, that no version came twice, and
// that they came in the order in which the server wrote them.
func (w *peerFeed) complete(ids int) {
	w.t.Helper()
	seen, last := map[string]bool{}, map[string]*r4.Observation{}
	for _, c := range w.got {
		version := c.Resource.ID + "/" + c.Resource.Meta.VersionId
		assert.False(w.t, seen[version], "twice")
		seen[version] = true
		if before := last[c.Resource.ID]; before != nil {
			assert.LessOrEqual(w.t, before.Meta.LastUpdated, c.Resource.Meta.LastUpdated)
		}
		last[c.Resource.ID] = c.Resource
	}
	assert.Len(w.t, last, ids)
	stored := found(w.bench, fhir.ObservationCategory.Is(w.own.System, w.own.Code), fhir.Count[*r4.Observation](1000))
	assert.Len(w.t, stored, ids)
	for _, o := range stored {
		if assert.Contains(w.t, last, o.ID, "lost") {
			assert.Equal(w.t, o.Meta.VersionId, last[o.ID].Meta.VersionId)
		}
	}
}

// All that was made comes once, whether it is within the overlap or long past it,
// whether one process reads all of it or each page is read by another.
func TestPeerFeed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		overlap time.Duration
		onePage bool
	}{"within the overlap": {time.Hour, false}, "past it": {time.Millisecond, false}, "each page another process": {time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPeerFeed(t, c.overlap)
			list := w.results(210)
			pages := 0
			for n := 1; n > 0 && pages < 20; pages += n {
				n = w.poll(w.again(w.categories), c.onePage)
			}
			assert.Equal(t, c.overlap < time.Hour, pages > 2)
			w.complete(210)
			require.Len(t, w.got, 210)
			assert.Zero(t, w.poll(w.peerBench, false), "nothing new")

			put(w.bench, list[7].ID, func(o *r4.Observation) { o.Status = r4.ObservationStatusEnteredInError })
			for _, value := range []r4.Decimal{"150", "151"} {
				put(w.bench, list[8].ID, func(o *r4.Observation) { o.ValueQuantity.Value = value })
			}
			w.poll(w.again(w.categories), false)
			require.Len(t, w.got, 212)
			w.complete(210)
			for _, change := range w.got[210:] {
				assert.Equal(t, change.Resource.ID == list[7].ID, change.Withdrawn)
				assert.Equal(t, change.Withdrawn, change.Resource.ValueQuantity == nil)
			}
		})
	}
}

// What several write while the feed is read, by one process after another, all comes.
func TestPeerFeedUnderWrites(t *testing.T) {
	t.Parallel()
	w := newPeerFeed(t, 2*time.Second)
	list := w.results(110)
	var writers sync.WaitGroup
	defer writers.Wait()
	for n := range 3 {
		writers.Go(func() {
			chance := rand.New(rand.NewPCG(1, uint64(n)))
			for range 20 {
				id := list[n*30+chance.IntN(30)].ID // each its own
				put(w.bench, id, func(o *r4.Observation) { o.ValueQuantity.Value = r4.Decimal(fmt.Sprint(chance.IntN(90) + 1)) })
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for writing := true; writing; {
		select {
		case <-done:
			writing = false
		default:
		}
		if _, err := w.read(w.again(w.categories), true); err != nil {
			require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer, "the pages moved whenever they were read")
		}
	}
	for w.poll(w.again(w.categories), false) > 0 {
	}
	w.complete(110)
}

// What a peer does under writes, without one: a look is a result short of what was
// counted. Once, it is looked again; for good, it is an error after the pages before.
func TestFeedOfAListThatIsShort(t *testing.T) {
	t.Parallel()
	for name, times := range map[string]int{"once": 1, "for good": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				b.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type", Type: "Observation"}, Times: times, Do: fakes.Action{
					Rewrite: func(body []byte) []byte { return bytes.Replace(body, []byte(`"total":120`), []byte(`"total":121`), 1) },
				}})
				r := &reader{b: b, since: time.Now().Add(-time.Hour)}
				err := r.poll()
				if times == 1 {
					require.NoError(t, err)
					r.complete()
					return
				}
				require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
				assert.Len(t, r.got, 100, "all but the page that should have been the last")
			}, fakes.WithPersonality(fakes.Personality{PageSize: 50}))
		})
	}
}

// A Position of an earlier epoch begins again; one that is none is refused.
func TestPeerFeedPositions(t *testing.T) {
	t.Parallel()
	w := newPeerFeed(t, time.Hour)
	w.results(3)
	w.poll(w.peerBench, false)
	cfg := w.config(peerContract)
	cfg.Topology.Stores[0].Epoch = 2
	restored := w.with(cfg, w.categories)
	pages, err := until(w.changes(restored))
	require.NoError(t, err)
	require.Len(t, pages, 1)
	assert.True(t, pages[0].Restarted)
	assert.Len(t, pages[0].List, 3)
	_, err = until(w.ReportChanges(t.Context(), lis.FeedQuery{From: w.position, Since: w.since}))
	require.ErrorIs(t, err, hospital.ErrInvalidArgument, "of another feed")
}

// The feed of reports tells of them, Complete fetches the whole.
func TestPeerReportFeed(t *testing.T) {
	t.Parallel()
	w := newPeerFeed(t, time.Hour)
	ctx := t.Context()
	for range 105 {
		r := w.report(peerDay)
		put(w.bench, r.ID, func(r *r4.DiagnosticReport) { r.Category = []r4.CodeableConcept{{Coding: []r4.Coding{w.own}}} })
	}
	o := create(w.bench, w.potassium("4.1", peerDay))
	r := w.report(peerDay, o)
	put(w.bench, r.ID, func(r *r4.DiagnosticReport) { r.Category = []r4.CodeableConcept{{Coding: []r4.Coding{w.own}}} })
	q := lis.FeedQuery{Since: w.since}
	read := func(ctx context.Context) (out []lis.Change[*r4.DiagnosticReport]) {
		for page, err := range w.ReportChanges(ctx, q) {
			require.NoError(t, err)
			out, q.From = append(out, page.List...), page.Position
		}
		return out
	}
	list := read(ctx)
	require.Len(t, list, 106)
	last := list[105]
	assert.Equal(t, r.ID, last.Resource.ID)
	whole, err := w.Complete(ctx, last.Found)
	require.NoError(t, err)
	require.Len(t, whole.Resource.Results, 1)
	assert.Equal(t, "4.1 mmol/L", whole.Resource.Results[0].Value().Text)
	put(w.bench, r.ID, func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
	list = read(ctx)
	require.Len(t, list, 1)
	assert.True(t, list[0].Withdrawn)
	assert.Empty(t, list[0].Resource.Result)
	whole, err = w.Complete(ctx, list[0].Found)
	require.NoError(t, err)
	assert.True(t, whole.Resource.Withdrawn)
	assert.Equal(t, campus.ID("hankou"), whole.Origin.Campus)
}
