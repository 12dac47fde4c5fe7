package pacs_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

// weakly: nothing is proved of the archives.
func weakly(cfg *hospital.Config) {
	for i := range cfg.Topology.Endpoints {
		cfg.Topology.Endpoints[i].Contract = campus.Contract{ServerTimeout: 40 * time.Second}
	}
}

// published is a description that changes.
type published struct {
	mu   sync.Mutex
	d    campus.Description
	last int64
}

func (p *published) Fetch(context.Context) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.d.Version == p.last {
		return nil, hospital.ErrUnchanged
	}
	p.last = p.d.Version
	return hospital.Document(p.d)
}

func (p *published) set(d campus.Description) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.d = d
}

// A store was lost with its data centre and the standby is promoted. The rest of the
// study, other files, and then the lost one, can be stored there. All is proved.
func TestStoreAfterALossAndAPromotion(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	onWire(t, 2, func(w *wire) {
		docs := &published{last: 1}
		w.change = func(cfg *hospital.Config) {
			d := &cfg.Topology
			d.Version, d.Stores, d.DataCenters[1].Role, d.Endpoints[1].Store = 1, []campus.Store{
				{ID: "pacs", Epoch: 1}, {ID: "pacs-dr", ReplicaOf: "pacs", Lag: time.Second, Epoch: 1},
			}, campus.Standby, "pacs-dr"
			cfg.Source, cfg.SourceEvery = docs, time.Second
			docs.set(*d)
		}
		gone := func(*http.Request) wireAnswer { return wireAnswer{drop: true} }
		old, heir := &wireStore{}, &wireStore{}
		old.refuse = func(r *http.Request) *wireAnswer {
			w.sites[0].says(gone)
			a := gone(r)
			return &a
		}
		w.sites[0].says(old.say)
		w.sites[1].says(heir.say)
		w.with(func(c *pacs.Client) {
			_, err := wirePut(w.t.Context(), w.t, c, bytesOf(files[0]), pacs.Upload{})
			require.ErrorIs(w.t, err, hospital.ErrOutcomeUnknown)
			d := docs.d
			d.Version, d.Stores = 2, []campus.Store{
				{ID: "pacs", ReplicaOf: "pacs-dr", Lag: time.Second, Epoch: 1}, {ID: "pacs-dr", Epoch: 2, Writers: []campus.DataCenterID{"dc-2"}},
			}
			docs.set(d)
			past(time.Minute)
			for _, later := range []time.Duration{0, 3 * time.Hour, 24 * time.Hour} {
				past(later)
				for _, f := range []wireFile{files[1], files[0]} {
					_, err := wirePut(w.t.Context(), w.t, c, bytesOf(f), pacs.Upload{})
					require.NoError(w.t, err, later)
				}
			}
			heir.has(w.t, files, "")
		})
	})
}

// A store was lost at one campus's archive; that of another campus has nothing to do
// with it.
func TestStoreAtAnotherCampusAfterALoss(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	onWire(t, 2, func(w *wire) {
		w.change = func(cfg *hospital.Config) {
			weakly(cfg)
			d := &cfg.Topology
			d.Campuses = append(d.Campuses, campus.Campus{ID: "guanggu", Organization: "group", Home: "dc-2"})
			d.Stores = append(d.Stores, campus.Store{ID: "pacs-2"})
			d.Endpoints[0].Campuses, d.Endpoints[1].Campuses, d.Endpoints[1].Store = []campus.ID{"hankou"}, []campus.ID{"guanggu"}, "pacs-2"
			cfg.Campus = "hankou"
		}
		here, there := &wireStore{refuse: func(*http.Request) *wireAnswer { return &wireAnswer{drop: true} }}, &wireStore{}
		w.sites[0].says(here.say)
		w.sites[1].says(there.say)
		w.with(func(c *pacs.Client) {
			ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
			defer cancel()
			_, err := wirePut(ctx, w.t, c, bytesOf(file), pacs.Upload{})
			require.ErrorIs(w.t, err, hospital.ErrOutcomeUnknown)
			for _, later := range []time.Duration{0, time.Minute, 3 * time.Hour} {
				past(later)
				for _, err := range c.Store(w.t.Context(), bytesOf(file), pacs.Upload{}, hospital.AtCampus("guanggu")) {
					assert.NoError(w.t, err, later)
				}
			}
		})
	})
}

// A device sends a study image by image, many at once, each with its own patience, to
// an archive that takes a second for each and is proved.
func TestManyStoresOfOneStudyAtOnce(t *testing.T) {
	t.Parallel()
	files := wireFiles(40, 1)
	onWire(t, 1, func(w *wire) {
		s := &lateStore{late: time.Second, taken: map[string]int{}}
		w.sites[0].says(s.say)
		w.with(func(c *pacs.Client) {
			var all sync.WaitGroup
			for _, f := range files {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
					defer cancel()
					_, err := wirePut(ctx, w.t, c, bytesOf(f), pacs.Upload{})
					assert.NoError(w.t, err)
				})
			}
			all.Wait()
		})
	})
}

// What the archive lists after a while is half of the file: Resolve must not say that
// the store happened.
func TestResolveOfAStoreOfWhichHalfIsThere(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 1000))
	onWire(t, 1, func(w *wire) {
		w.change = weakly
		s := &wireStore{refuse: func(r *http.Request) *wireAnswer {
			_, _ = io.ReadFull(r.Body, make([]byte, 3000))
			return &wireAnswer{drop: true}
		}}
		w.sites[0].says(s.say)
		w.with(func(c *pacs.Client) {
			ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
			defer cancel()
			_, err := wirePut(ctx, w.t, c, bytesOf(file), pacs.Upload{})
			var e *hospital.Error
			require.ErrorAs(w.t, err, &e)
			require.Equal(w.t, hospital.ErrOutcomeUnknown, e.Code)
			half := file
			half.data = file.data[:3000]
			s.files = append(s.files, half) // it took its time
			past(time.Minute)
			happened, err := e.Resolve(w.t.Context())
			require.ErrorIs(w.t, err, hospital.ErrConflict)
			assert.False(w.t, happened, "half of it is there")
		})
	})
}

// A study in two requests: the second is lost and still running. Who repeats the call
// finds what the first request brought, and must not forget the second over it.
func TestStoreOfTwoRequestsAgainIsSentOnce(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	onWire(t, 1, func(w *wire) {
		w.change = weakly
		s := &lateStore{late: 15 * time.Second, taken: map[string]int{}}
		w.sites[0].says(s.say)
		w.with(func(c *pacs.Client) {
			ctx, cancel := context.WithTimeout(w.t.Context(), 25*time.Second) // the first is stored after 15 s
			defer cancel()
			u := pacs.Upload{BatchFiles: 1}
			got, err := wirePut(ctx, w.t, c, bytesOf(files...), u)
			require.ErrorIs(w.t, err, hospital.ErrOutcomeUnknown)
			require.Len(w.t, got, 1)
			_, err = wirePut(w.t.Context(), w.t, c, bytesOf(files...), u) // "repeat the call"
			require.NoError(w.t, err)
			past(time.Minute)
			assert.Equal(w.t, map[string]int{files[0].instance: 1, files[1].instance: 1}, s.taken)
		})
	})
}

// Two times too large; meanwhile somebody else has stored another file under the UID of
// the last: that is not stored, whatever the archive says of it.
func TestStoreTooLargeTwiceAndAConflict(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 1)
	onWire(t, 1, func(w *wire) {
		s := &wireStore{}
		s.refuse = func(*http.Request) *wireAnswer {
			if s.posts == 2 {
				s.files = append(s.files, newWireFile(wireStudy, files[3].series, files[3].instance, "another's pixels"))
			}
			if s.posts <= 2 {
				return &wireAnswer{status: http.StatusRequestEntityTooLarge}
			}
			return nil
		}
		w.sites[0].says(s.say)
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"stored", "stored", "stored", "not_stored conflict"}, wireOutcomes(got))
		})
	})
}

// A large file that can be read once arrives whole, and then the connection breaks: it
// was sent, and it is there.
func TestStoreOfOneShotThatArrived(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	large := newWireFile(files[0].study, files[0].series, files[0].instance, strings.Repeat("pixels", 300_000))
	onWire(t, 2, func(w *wire) {
		s := &wireStore{cut: len(large.data) + 400 + 1}
		w.both(s)
		w.with(func(c *pacs.Client) {
			list := []pacs.File{pacs.Reader(strings.NewReader(string(large.data)), int64(len(large.data))), bytesOf(files[1])[0]}
			got, err := wirePut(w.t.Context(), w.t, c, list, pacs.Upload{})
			require.NoError(w.t, err)
			s.has(w.t, []wireFile{large}, "")
			assert.Equal(w.t, []string{"not_stored outcome_unknown", "stored"}, wireOutcomes(got))
		})
	})
}
