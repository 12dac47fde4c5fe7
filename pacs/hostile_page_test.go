package pacs_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

// What was found whole before each page began with the last row of the one before.
func TestPagesOfMoreServers(t *testing.T) {
	t.Parallel()
	rows := studyRows(450, hisStudy)
	pages := func(size int) func(*http.Request) wireAnswer { // PageRequest.of(offset / size, size)
		return func(r *http.Request) wireAnswer {
			at := min(offsetOf(r)/size*size, len(rows))
			return wireJSON(rows[at:min(at+size, len(rows))]...)
		}
	}
	for name, answer := range map[string]func(*http.Request) wireAnswer{
		"whole pages of 100 only": pages(100),
		"whole pages of 150 only": pages(150),
		"whole pages of 200 only": pages(200),
		"one row a page": func(r *http.Request) wireAnswer {
			at := min(offsetOf(r), len(rows))
			return wireJSON(rows[at:min(at+1, len(rows))]...)
		},
		"a warning with each answer": func(r *http.Request) wireAnswer {
			a := wirePage(r, rows)
			a.header = "Warning: 214 gateway \"Transformation Applied\"\r\n"
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			searching(t, answer, hisStudies, func(t *testing.T, _ *wire, uids []string, err error) {
				t.Helper()
				require.NoError(t, err)
				assert.Len(t, uids, 450)
			})
		})
	}
}

// Two studies are changed between two pages and move to the end, of an archive that lists
// in the order of change: the last page begins one row later and shows the two again.
func TestStudiesMoveToTheEndBetweenPages(t *testing.T) {
	t.Parallel()
	rows, moved := studyRows(300, hisStudy), false
	searching(t, func(r *http.Request) wireAnswer {
		a := wirePage(r, rows)
		if !moved {
			rows, moved = slices.Concat(rows[2:], rows[:2]), true
		}
		return a
	}, hisStudies, func(t *testing.T, _ *wire, uids []string, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.Len(t, uids, 300, "each once")
	})
}

// A study is taken away between two pages: all others move up, and none is skipped.
func TestStudyIsTakenAwayBetweenPages(t *testing.T) {
	t.Parallel()
	rows, taken := studyRows(450, hisStudy), false
	searching(t, func(r *http.Request) wireAnswer {
		a := wirePage(r, rows)
		if !taken {
			rows, taken = slices.Concat(rows[:5], rows[6:]), true
		}
		return a
	}, hisStudies, func(t *testing.T, _ *wire, uids []string, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.Len(t, uids, 450, "each once")
	})
}

// A list that shifts all the time cannot be told whole.
func TestStudiesAreTakenAwayAllTheTime(t *testing.T) {
	t.Parallel()
	rows := studyRows(450, hisStudy)
	searching(t, func(r *http.Request) wireAnswer {
		a := wirePage(r, rows)
		rows = rows[1:]
		return a
	}, hisStudies, func(t *testing.T, _ *wire, _ []string, err error) {
		t.Helper()
		require.ErrorIs(t, err, hospital.ErrPageLost)
	})
}

// An archive that knows no offsets and has nothing at any: what fits a page is found.
func TestNothingAtAnyOffset(t *testing.T) {
	t.Parallel()
	rows := studyRows(5, hisStudy)
	searching(t, func(r *http.Request) wireAnswer {
		if offsetOf(r) > 0 {
			return wireJSON()
		}
		return wireJSON(rows...)
	}, hisStudies, func(t *testing.T, w *wire, uids []string, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.Len(t, uids, 5)
		assert.Len(t, w.sites[0].asked(), 4, "that the list stands was looked at")
	})
}

// A study is taken away between two pages, then the archive is lost. What a copy has, which
// lags, is not the rest of the archive's list.
func TestListIsNotBegunAnewAtACopy(t *testing.T) {
	t.Parallel()
	onWire(t, 2, func(w *wire) {
		w.change = func(cfg *hospital.Config) {
			d := &cfg.Topology
			d.Stores = append(d.Stores, campus.Store{ID: "pacs-dr", ReplicaOf: "pacs", Lag: time.Minute})
			d.Endpoints[1].Store, d.Endpoints[1].Readable = "pacs-dr", true
			d.DataCenters[1].Role = campus.Standby
		}
		rows, asked := studyRows(450, hisStudy), 0
		copied := slices.Clone(rows[:300])
		w.sites[0].says(func(r *http.Request) wireAnswer {
			if asked++; asked > 2 {
				return wireAnswer{drop: true}
			}
			a := wirePage(r, rows)
			rows = rows[1:]
			return a
		})
		w.sites[1].says(func(r *http.Request) wireAnswer { return wirePage(r, copied) })
		w.with(func(c *pacs.Client) {
			var last error
			var origins []string
			n := 0
			for s, err := range c.Studies(w.t.Context(), hisStudies) {
				if last = err; err == nil {
					n++
					if o := string(s.Origin.Store); !slices.Contains(origins, o) {
						origins = append(origins, o)
					}
				}
			}
			assert.True(w.t, last != nil || n == 450, "%d of 450 without an error, all said to be of %v", n, origins)
		})
	})
}
