package hospital_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/his"
)

// Once the standby is promoted, writes go there; the old centre that comes back gets
// none, nor does it from a program that starts again.
func TestScenario24_StandbyPromoted(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		docs, seen, state := &documents{}, &events{}, t.TempDir()
		play(t, following(docs, seen, state), func(s *stage) {
			before := document(s.hosp.Description())
			s.load(5 * time.Second)
			s.hosp.Stop("dc-a")
			s.hosp.Stop("dc-b")
			pass(2 * time.Second)
			s.hosp.Promote(campus.HIS)
			docs.set(document(s.hosp.Description()), nil)
			pass(1100 * time.Millisecond)
			promoted := time.Now()
			require.Len(s.t, seen.take(), 1)
			s.load(10 * time.Second)
			require.NoError(s.t, s.hosp.Start("dc-a"))
			require.NoError(s.t, s.hosp.Start("dc-b"))
			s.load(90 * time.Second)
			for name, source := range map[string]*documents{"its source is down": {err: errDown}, "its source is behind": {text: before}} {
				restarted := s.another("hankou", func(cfg *hospital.Config) {
					cfg.Topology, cfg.Source, cfg.SourceEvery, cfg.StateDir = campus.Description{}, source, time.Second, state
					require.NoError(s.t, cfg.Fetch(s.t.Context()))
				})
				assert.Equal(s.t, int64(2), restarted.Topology().Version(), name)
				s.loadAt(restarted, 5*time.Second, 50, 10)
			}
			writes := s.since(promoted, "write")
			assert.Empty(s.t, failures(writes))
			assert.Empty(s.t, failures(s.since(promoted, "read")))
			assert.False(s.t, slices.ContainsFunc(writes, func(r result) bool { return r.origin.DataCenter != "dr" || r.origin.Epoch != 2 }))
			assert.Empty(s.t, s.asked(promoted, writing("dc-a", "dc-b")), "no write goes to who has been replaced")
		}, kind, fakes.WithLag(time.Second))
	})
}

// Two descriptions of one epoch name two writers: the first holds, the newcomer is
// refused and that is told.
func TestScenario25_ContradictoryTopology(t *testing.T) {
	t.Parallel()
	named := func(d campus.Description, dc campus.DataCenterID) campus.Description {
		d.Version, d.Stores = d.Version+1, slices.Clone(d.Stores)
		storeIn(&d, "his").Writers = []campus.DataCenterID{dc}
		return d
	}
	for name, c := range map[string]struct {
		first  func(hosp *fakes.Hospital) campus.Description
		rival  func(original, inForce campus.Description) campus.Description
		writer campus.DataCenterID
	}{
		"two data centres": {
			first: func(hosp *fakes.Hospital) campus.Description {
				hosp.SetWriter(campus.HIS, "dc-a")
				d := named(hosp.Description(), "dc-a")
				storeIn(&d, "his").Epoch = 2
				return d
			},
			rival:  func(_, inForce campus.Description) campus.Description { return named(inForce, "dc-b") },
			writer: "dc-a",
		},
		"the standby and the old writer": {
			first: func(hosp *fakes.Hospital) campus.Description {
				hosp.Promote(campus.HIS)
				return hosp.Description()
			},
			rival: func(original, inForce campus.Description) campus.Description {
				d := original
				d.Version = inForce.Version + 1
				storeIn(&d, "his").Epoch, storeIn(&d, "his-dr").Epoch = 2, 2
				return d
			},
			writer: "dr",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				docs, seen, state := &documents{}, &events{}, t.TempDir()
				play(t, following(docs, seen, state), func(s *stage) {
					s.load(5 * time.Second)
					original, first := s.hosp.Description(), c.first(s.hosp)
					rival := document(c.rival(original, first))
					docs.set(document(first), nil)
					pass(1100 * time.Millisecond)
					got := seen.take()
					require.Len(s.t, got, 1)
					require.NoError(s.t, got[0].Err)
					began := time.Now()
					docs.set(rival, nil)
					s.load(10 * time.Second)
					got = seen.take()
					require.Len(s.t, got, 1, "the newcomer is told of, once")
					assert.False(s.t, got[0].Taken)
					require.ErrorIs(s.t, got[0].Err, hospital.ErrTopology)
					assert.Equal(s.t, first.Version, s.client.Topology().Version())
					restarted := s.another("hankou", func(cfg *hospital.Config) {
						cfg.Topology, cfg.Source, cfg.SourceEvery, cfg.StateDir = campus.Description{}, &documents{text: rival}, time.Second, state
						require.NoError(s.t, cfg.Fetch(s.t.Context()))
					})
					s.loadAt(restarted, 5*time.Second, 50, 10)
					writes := s.since(began, "write")
					assert.Empty(s.t, failures(writes))
					for _, r := range writes {
						assert.Equal(s.t, c.writer, r.origin.DataCenter)
					}
				}, kind, fakes.WithLag(time.Second))
			})
		})
	}
}

// Both centres are gone and nobody promotes the standby: what tolerates its lag reads
// there where it is readable, everything else fails at once, and nothing is written.
func TestScenario26_StandbyWithoutPromotion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts []fakes.Option
		hung bool
		fast time.Duration
	}{
		"readable":                    {opts: []fakes.Option{fakes.WithReadableStandby()}, fast: time.Second},
		"not readable":                {fast: time.Second},
		"readable, answering nothing": {opts: []fakes.Option{fakes.WithReadableStandby()}, hung: true, fast: 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.load(5 * time.Second)
					s.hosp.Stop("dc-a")
					s.hosp.Stop("dc-b")
					require.NoError(s.t, s.hosp.Hang("dr", c.hung))
					pass(1500 * time.Millisecond) // what was written has reached the copy
					fault := time.Now()
					s.load(20 * time.Second)
					reads, writes := s.since(fault, "read"), s.since(fault, "write")
					assert.Equal(s.t, len(writes), failures(writes)[hospital.ErrWriteUnavailable], "%v", failures(writes))
					assert.Less(s.t, percentile(writes, 1), 3*time.Second)
					assert.Empty(s.t, s.asked(fault, writing("dr")), "nobody writes at a copy")
					began := time.Now()
					_, err := strong(s.t.Context(), s.client, "N1")
					require.ErrorIs(s.t, err, hospital.ErrUnavailable)
					assert.Less(s.t, time.Since(began), c.fast)
					if len(c.opts) == 0 || c.hung {
						for _, r := range reads {
							require.ErrorIs(s.t, r.err, hospital.ErrUnavailable)
							require.LessOrEqual(s.t, r.took, c.fast)
						}
						return
					}
					assert.Empty(s.t, failures(reads))
					for _, r := range reads {
						require.Equal(s.t, campus.DataCenterID("dr"), r.origin.DataCenter)
						require.Equal(s.t, time.Second, r.origin.Lag, "it is said how far it may be behind")
					}
				}, append(c.opts, kind, fakes.WithLag(time.Second))...)
			})
		})
	}
}

// What this client wrote it sees again, from whoever answers, or it is told that
// nobody can show it; another client's answer from the copy says that it may be late.
func TestScenario30_ReadYourWrites(t *testing.T) {
	t.Parallel()
	const lag = 3 * time.Second
	session := hospital.Op{Name: "test.Session", System: campus.HIS, Consistency: hospital.Session}
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		for name, gone := range map[string][]campus.DataCenterID{"the peer of one store": {"dc-a"}, "the copy that lags": {"dc-a", "dc-b"}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				play(t, nil, func(s *stage) {
					ctx, other := s.t.Context(), s.another("hankou", nil)
					s.load(5 * time.Second)
					number := hospital.NewNumber()
					_, err := order(ctx, s.client, number)
					require.NoError(s.t, err)
					wrote := time.Now()
					for _, dc := range gone {
						s.hosp.Stop(dc)
					}
					for time.Since(wrote) < 3*lag {
						o, err := hospital.Read(ctx, s.client, session, findOrder(number))
						switch {
						case err != nil:
							assert.Less(s.t, time.Since(wrote), lag+time.Second, "the copy has it by now")
							require.NotErrorIs(s.t, err, hospital.ErrNotFound, "older, and silently")
							assert.True(s.t, errors.Is(err, hospital.ErrUnavailable) || errors.Is(err, hospital.ErrStale), "%v", err)
							assert.Len(s.t, gone, 2, "the peer shows the same store")
						case o.DataCenter == "dr":
							assert.GreaterOrEqual(s.t, time.Since(wrote), lag)
							assert.Equal(s.t, lag, o.Lag, "marked")
						}
						if o, err := his.New(other).Patient(ctx, s.hosp.Demo().Patients[0]); err == nil && o.Origin.DataCenter == "dr" {
							assert.Equal(s.t, lag, o.Origin.Lag, "marked")
						}
						pass(100 * time.Millisecond)
					}
					_, err = hospital.Read(ctx, s.client, session, findOrder(number))
					require.NoError(s.t, err)
				}, kind, fakes.WithLag(lag), fakes.WithReadableStandby())
			})
		}
	})
}
