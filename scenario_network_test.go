package hospital_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// A client that has lost its own network blames no site, and is back with it.
func TestScenario21_Isolated(t *testing.T) {
	t.Parallel()
	for name, idle := range map[string]time.Duration{"under load": 0, "from rest, without a connection": 3 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.load(5 * time.Second)
					elapse(idle)
					fault := time.Now()
					s.hosp.Isolate("hankou", true)
					s.load(time.Minute)
					known := fault.Add(5 * time.Second)
					if idle > 0 {
						known = fault.Add(time.Second)
					}
					for _, kind := range []string{"read", "write"} {
						list := s.since(known, kind)
						assert.Equal(s.t, map[hospital.Code]int{hospital.ErrClientIsolated: len(list)}, failures(list))
					}
					for _, r := range append(s.since(known, "read"), s.since(known, "write")...) {
						require.ErrorIs(s.t, r.err, hospital.ErrUnavailable)
						assert.LessOrEqual(s.t, r.took, 100*time.Millisecond, "at once")
					}
					for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
						for _, class := range []string{"read", "write"} {
							assert.Zero(s.t, counted(s.moves(dc, class), func(e failover.Event) bool { return e.To == failover.Ejected }), "ejections of %s for %s", dc, class)
						}
					}
					assert.Equal(s.t, 1, s.happened(failover.Healthy, failover.Isolated))
					returned := time.Now()
					s.hosp.Isolate("hankou", false)
					s.load(10 * time.Second)
					first, ok := firstOf(s.since(returned, "read"), from("dc-a"))
					require.True(s.t, ok)
					assert.LessOrEqual(s.t, first.began.Add(first.took).Sub(returned), time.Second, "instant recovery")
					for _, kind := range []string{"read", "write"} {
						list := s.since(returned.Add(time.Second), kind)
						assert.Empty(s.t, failures(list))
						assert.Equal(s.t, len(list), counted(list, from("dc-a")))
					}
				}, kind)
			})
		})
	}
}

// Where only the way to dc-a is cut its campus uses dc-b, for writes too; another campus notices nothing.
func TestScenario22_PartialPartition(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			other := &stage{t: s.t, hosp: s.hosp, reasons: map[string]int{}}
			other.client = other.another("zhongfa", nil) // at home in dc-a as well
			both := func(d time.Duration) {
				done := make(chan struct{})
				go func() { defer close(done); other.load(d) }()
				s.load(d)
				<-done
			}
			both(5 * time.Second)
			fault := time.Now()
			s.hosp.Partition("hankou", "dc-a", true)
			both(30 * time.Second)
			assert.Empty(s.t, failures(s.since(fault, "read")))
			for _, kind := range []string{"read", "write"} {
				list := s.since(fault.Add(3*time.Second), kind)
				assert.Empty(s.t, failures(list))
				assert.Equal(s.t, len(list), counted(list, from("dc-b")), kind)
				assert.Less(s.t, percentile(list, 1), 200*time.Millisecond, kind)
			}
			lost := failures(s.since(fault, "write"))
			delete(lost, hospital.ErrOutcomeUnknown) // those on their way at the cut
			assert.Empty(s.t, lost)
			s.resolved(fault)
			for _, kind := range []string{"read", "write"} {
				list := other.since(time.Time{}, kind)
				assert.Empty(s.t, failures(list))
				assert.Equal(s.t, len(list), counted(list, from("dc-a")), "the other campus is unchanged")
			}
			assert.Empty(s.t, other.events)
			other.always()
			s.hosp.Partition("hankou", "dc-a", false)
		}, kind)
	})
}

// resolved: every write that was lost can be looked up, and the truth is told.
func (s *stage) resolved(since time.Time) {
	s.t.Helper()
	for _, r := range s.since(since, "write") {
		if hospital.CodeOf(r.err) != hospital.ErrOutcomeUnknown {
			continue
		}
		_, err := hospital.Resolve(s.t.Context(), s.client, orderOp, r.number, findOrder(r.number))
		assert.Equal(s.t, map[bool]hospital.Code{true: "", false: hospital.ErrNotFound}[s.orders(r.number) == 1], hospital.CodeOf(err))
	}
}

// Where dc-a is the one named writer, writes wait for it and say so.
func TestScenario22_OneWriter(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, func(cfg *hospital.Config) {
			for i := range cfg.Topology.Stores {
				if st := &cfg.Topology.Stores[i]; st.ID == "his" {
					st.Writers = []campus.DataCenterID{"dc-a"}
				}
			}
		}, func(s *stage) {
			s.load(5 * time.Second)
			fault := time.Now()
			s.hosp.Partition("hankou", "dc-a", true)
			s.load(30 * time.Second)
			assert.Empty(s.t, failures(s.since(fault, "read")))
			reads := s.since(fault.Add(3*time.Second), "read")
			assert.Equal(s.t, len(reads), counted(reads, from("dc-b")))
			writes := s.since(fault.Add(3*time.Second), "write")
			assert.Equal(s.t, map[hospital.Code]int{hospital.ErrWriteUnavailable: len(writes)}, failures(writes))
			for _, r := range writes {
				var typed *hospital.Error
				require.ErrorAs(s.t, r.err, &typed)
				assert.Positive(s.t, typed.RetryAfter)
				assert.LessOrEqual(s.t, r.took, 3*time.Second, "held a little only")
			}
			assert.Empty(s.t, s.answeredAt("dc-b", "create", time.Time{}), "nobody else is written")
			s.hosp.Partition("hankou", "dc-a", false)
			returned := time.Now()
			s.load(20 * time.Second)
			assert.Empty(s.t, failures(s.since(returned.Add(12*time.Second), "write")), "nobody else could serve: the first success is enough")
		}, kind)
	})
}
