package hospital_test

import (
	"context"
	"slices"
	"strings"
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
	"github.com/hospital-go/hospital/his"
)

// A bad description is refused, the one in force stays, somebody is told, and no call
// notices.
func TestScenario32_BadConfig(t *testing.T) {
	t.Parallel()
	edited := func(edit func(d *campus.Description)) func(campus.Description) string {
		return func(d campus.Description) string {
			edit(&d)
			return document(d)
		}
	}
	for name, spoil := range map[string]func(d campus.Description) string{
		"empty document": func(campus.Description) string { return "" },
		"empty group":    func(campus.Description) string { return "version: 6" },
		"half of it": func(d campus.Description) string {
			text := document(d)
			return text[:strings.LastIndex(text, "datacenter:")+4]
		},
		"lower version":              edited(func(d *campus.Description) { d.Version = 4 }),
		"same version, another home": edited(func(d *campus.Description) { d.Version, d.Campuses[0].Home = 5, "dc-b" }),
		"duplicate site":             edited(func(d *campus.Description) { d.Endpoints = append(d.Endpoints, d.Endpoints[0]) }),
		"duplicate data centre":      edited(func(d *campus.Description) { d.DataCenters = append(d.DataCenters, d.DataCenters[0]) }),
		"cyclic":                     edited(func(d *campus.Description) { storeIn(d, "his").ReplicaOf = "his-dr" }),
		"replica of itself":          edited(func(d *campus.Description) { storeIn(d, "his").ReplicaOf = "his" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				docs, seen := &documents{}, &events{}
				play(t, func(cfg *hospital.Config) {
					cfg.Topology.Version = 5
					following(docs, seen, t.TempDir())(cfg)
				}, func(s *stage) {
					bad := s.hosp.Description()
					bad.Version = 6
					text := spoil(bad)
					timer := time.AfterFunc(2*time.Second, func() { docs.set(text, nil) })
					defer timer.Stop()
					s.load(6 * time.Second)
					got := seen.take()
					require.Len(s.t, got, 1, "told, and once")
					assert.False(s.t, got[0].Taken)
					require.Error(s.t, got[0].Err)
					assert.Equal(s.t, int64(5), s.client.Topology().Version())
					for _, kind := range []string{"read", "write"} {
						list := s.since(time.Time{}, kind)
						assert.Empty(s.t, failures(list))
						assert.False(s.t, slices.ContainsFunc(list, func(r result) bool { return r.origin.DataCenter != "dc-a" }))
					}
				}, kind)
			})
		})
	}
}

// swaps is a source that brings another description each time it is asked.
type swaps struct {
	next func(n int) string
	n    int
}

const thousand = 1000

func (s *swaps) Fetch(context.Context) ([]byte, error) {
	if s.n == thousand {
		return nil, hospital.ErrUnchanged
	}
	s.n++
	return []byte(s.next(s.n)), nil
}

// swapped is when which description came.
type swapped struct {
	mu sync.Mutex
	at []time.Time
}

func (s *swapped) add(e hospital.TopologyEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Taken {
		s.at = append(s.at, e.Time)
	}
}

// during are the swaps that were in force at some time of a call, 0 for none yet.
func (s *swapped) during(r result) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _ := slices.BinarySearchFunc(s.at, r.began, time.Time.Compare)
	last := first
	for last < len(s.at) && !s.at[last].After(r.began.Add(r.took)) {
		last++
	}
	var out []int
	for n := first; n <= last; n++ {
		out = append(out, n)
	}
	return out
}

// A thousand descriptions come while calls run: none is lost, none goes where no
// description of its time leads.
func TestScenario33_ReloadUnderLoad(t *testing.T) {
	t.Parallel()
	centers := [...]campus.DataCenterID{"dc-a", "dc-b"}
	for name, c := range map[string]struct {
		swap  func(d *campus.Description, n int)
		kinds []string // of calls that must follow
	}{
		"the home moves":      {func(d *campus.Description, n int) { d.Campuses[0].Home = centers[n%2] }, []string{"read", "write"}},
		"the home is drained": {func(d *campus.Description, n int) { d.Endpoints[0].Drained = n%2 == 1 }, []string{"read", "write"}},
		"the home is fenced":  {func(d *campus.Description, n int) { d.Endpoints[0].Fenced = n%2 == 1 }, []string{"read", "write"}},
		"the one writer moves": {func(d *campus.Description, n int) {
			store := storeIn(d, "his")
			store.Writers, store.Epoch = []campus.DataCenterID{centers[n%2]}, int64(n+1)
		}, []string{"write"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				seen := &swapped{}
				play(t, func(cfg *hospital.Config) {
					base := onlyHIS(cfg.Topology)
					describe := func(n int) campus.Description {
						d := base
						d.Version, d.Stores = int64(n+1), slices.Clone(d.Stores)
						d.Campuses, d.Endpoints = slices.Clone(d.Campuses), slices.Clone(d.Endpoints)
						c.swap(&d, n)
						return d
					}
					cfg.Topology, cfg.SourceEvery, cfg.OnTopology = describe(0), 5*time.Millisecond, seen.add
					cfg.Source = &swaps{next: func(n int) string { return document(describe(n)) }}
				}, func(s *stage) {
					s.loadAt(s.client, 6*time.Second, 200, 40)
					assert.Len(s.t, seen.at, thousand)
					assert.Equal(s.t, int64(thousand+1), s.client.Topology().Version())
					reads, writes := s.since(time.Time{}, "read"), s.since(time.Time{}, "write")
					assert.Len(s.t, reads, 1200)
					assert.Len(s.t, writes, 240)
					assert.Empty(s.t, failures(reads), "lost")
					assert.Empty(s.t, failures(writes), "lost")
					for _, kind := range c.kinds {
						for _, r := range s.since(time.Time{}, kind) {
							right := slices.ContainsFunc(seen.during(r), func(n int) bool { return centers[n%2] == r.origin.DataCenter })
							assert.True(s.t, right || r.err != nil, "%s at %s went to %s", kind, r.began, r.origin.DataCenter)
						}
					}
				}, kind)
			})
		})
	}
}

// A restored database gives ids again: nothing of the epoch before is used, a cursor
// is lost and said to be, and the session has ended.
func TestScenario42_RestoredDatabase(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		docs, seen := &documents{}, &events{}
		play(t, following(docs, seen, t.TempDir()), func(s *stage) {
			ctx := s.t.Context()
			pass(time.Minute) // the copy is there
			s.load(2 * time.Second)
			good := time.Now()
			s.load(2 * time.Second)
			patient, err := s.desk.Patient(ctx, s.hosp.Demo().Patients[0])
			require.NoError(s.t, err)
			slot := s.slot()
			_, lost := s.list(func(n int) {
				if n == 1 { // the first page is being read
					s.hosp.Restore(campus.HIS, good)
					docs.set(document(s.hosp.Description()), nil)
					pass(1100 * time.Millisecond)
					assert.Len(s.t, seen.take(), 1)
				}
			})
			restored := time.Now()
			require.ErrorIs(s.t, lost, hospital.ErrPageLost, "a position of the epoch before")
			_, err = s.desk.Book(ctx, his.BookRequest{Number: "B1", Patient: s.hosp.Demo().Patients[0], Slot: slot})
			require.ErrorIs(s.t, err, hospital.ErrInvalidArgument, "its ETag is of the epoch before")
			_, err = hospital.Read(hospital.SameStore(ctx, patient.Origin), s.client, hospital.Op{Name: "test.ByID", System: campus.HIS},
				byID(patient.Resource.ID))
			require.ErrorIs(s.t, err, hospital.ErrInvalidArgument, "its id is of the epoch before")
			assert.Empty(s.t, s.asked(restored, func(e fakes.Entry) bool { return e.Interaction != "search-type" }), "no read by an old id, no write")
			s.load(5 * time.Second)
			assert.Empty(s.t, failures(s.since(restored, "read")))
			assert.Empty(s.t, failures(s.since(restored, "write")))
			_, err = s.desk.Book(ctx, his.BookRequest{Number: "B1", Patient: s.hosp.Demo().Patients[0], Slot: s.slot()})
			require.NoError(s.t, err, "what is read again can be used")
			pass(10 * time.Second)
			_, err = order(ctx, s.client, hospital.NewNumber())
			require.NoError(s.t, err)
			s.hosp.Restore(campus.HIS, time.Now().Add(-time.Second))
			docs.set(document(s.hosp.Description()), nil)
			pass(1100 * time.Millisecond)
			s.hosp.Stop("dc-a")
			s.hosp.Stop("dc-b")
			found, err := s.desk.Patient(ctx, s.hosp.Demo().Patients[0])
			require.NoError(s.t, err, "what was written in the epoch before binds nobody")
			assert.Equal(s.t, time.Minute, found.Origin.Lag)
		}, kind, fakes.WithReadableStandby())
	})
}

func byID(id string) hospital.Step[*r4.Patient] {
	return func(ctx context.Context, f *fhir.Client) (*r4.Patient, error) {
		found, _, err := fhir.Read[*r4.Patient](ctx, f, id)
		return found, err
	}
}
