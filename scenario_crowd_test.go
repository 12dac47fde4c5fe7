package hospital_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/his"
)

// dc-b must take twice its load alone. Bounded, we never ask too much of it; where the
// bound is too wide it refuses, and is not ejected for that; what is too much waits or
// is told that it is busy.
func TestScenario34_Capacity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bound, limit int
		slow         time.Duration // every answer takes that long
	}{
		"bounded by us":       {bound: 4, limit: 8, slow: 100 * time.Millisecond},
		"bounded by the site": {limit: 8, slow: 100 * time.Millisecond},
		"far too much":        {limit: 3, slow: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, func(cfg *hospital.Config) { cfg.MaxInFlight = c.bound }, func(s *stage) {
					other := s.another("guanggu", func(cfg *hospital.Config) { cfg.MaxInFlight = c.bound })
					s.hosp.Break(fakes.Rule{Do: fakes.Action{Delay: c.slow}})
					both := func(d time.Duration) {
						var halves sync.WaitGroup
						halves.Go(func() { s.load(d) })
						halves.Go(func() { s.loadAt(other, d, 50, 10) })
						halves.Wait()
					}
					both(5 * time.Second)
					fault := time.Now()
					s.hosp.Limit("dc-b", c.limit)
					s.hosp.Stop("dc-a")
					both(30 * time.Second)
					reads, writes := s.since(fault, "read"), s.since(fault, "write")
					for _, list := range [][]result{reads, writes} {
						for code, n := range failures(list) {
							assert.Equal(s.t, hospital.ErrBusy, code, "%d times", n)
						}
						assert.Positive(s.t, len(list)-len(failures(list)), "somebody is served")
					}
					for _, state := range []failover.State{failover.Ejected, failover.Suspect, failover.StoreDown} {
						for _, e := range s.ended(fault, state) {
							assert.NotEqual(s.t, campus.DataCenterID("dc-b"), e.DataCenter, "%s to %s by %s", e.From, e.To, e.Cause)
							assert.NotEmpty(s.t, e.DataCenter)
						}
					}
					refused := len(s.asked(fault, func(e fakes.Entry) bool { return e.Status == 429 }))
					if c.bound > 0 {
						assert.Zero(s.t, refused, "the bound holds")
						assert.LessOrEqual(s.t, s.hosp.Load("dc-b").Peak, 2*c.bound)
					} else {
						assert.Positive(s.t, refused)
					}
					served := 0
					for _, r := range append(reads, writes...) {
						if r.err == nil {
							served++
						}
					}
					room := float64(c.limit) / c.slow.Seconds() * 30 // answers in that time
					assert.Greater(s.t, float64(served), min(0.9*3600, 0.5*room), "its room is used")
				}, kind)
			})
		})
	}
}

// A node of the database is evicted: for 20 s both sites answer 500 now and then. Who
// had a second chance does not fail, and afterwards no call waits for anything to grow.
func TestScenario39_NodeLoss(t *testing.T) {
	t.Parallel()
	for name, mixed := range map[string]func(s *stage, d time.Duration){
		"every third answer":       everyNth(3),
		"every second answer":      everyNth(2),
		"one door or the other":    oneDoor(20 * time.Millisecond),
		"one door, then the other": oneDoor(300 * time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.load(5 * time.Second)
					fault := time.Now()
					go mixed(s, 20*time.Second)
					s.load(20 * time.Second)
					after := time.Now()
					s.load(time.Minute)
					answers := map[string]int{}
					for _, e := range s.asked(fault, func(e fakes.Entry) bool { return e.Status == 500 }) {
						answers[e.RequestID]++
					}
					for _, kind := range []string{"read", "write"} {
						single := map[hospital.Code]int{}
						for _, r := range s.since(fault, kind) {
							if failed := (*hospital.Error)(nil); errors.As(r.err, &failed) && answers[failed.RequestID] < 2 && r.began.Before(after) {
								single[failed.Code]++
							}
						}
						n := 0
						for _, times := range single {
							n += times
						}
						// Both doors can be out, and the budget spent, for the moment of a call.
						assert.LessOrEqual(s.t, n, len(s.since(fault, kind))/400, "%s that failed and never had its second chance: %v", kind, single)
						calm := s.since(after.Add(2*time.Second), kind)
						assert.Empty(s.t, failures(calm), "%s in the minute after", kind)
						assert.Less(s.t, percentile(calm, 1), 200*time.Millisecond, "%s in the minute after", kind)
					}
				}, kind)
			})
		})
	}
}

// everyNth answer of each site is a 500.
func everyNth(every int) func(s *stage, d time.Duration) {
	return func(s *stage, d time.Duration) {
		var rules []func()
		for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
			for n := range 3000 {
				when := fakes.When{DataCenter: dc, Skip: (n + 1) * (every - 1)} // what an earlier rule takes this one does not see
				rules = append(rules, s.hosp.Break(fakes.Rule{When: when, Do: fakes.Action{Status: 500}, Times: 1}))
			}
		}
		pass(d)
		for _, over := range rules {
			over()
		}
	}
}

// oneDoor answers 500, and which one is left to chance: the other one never does.
func oneDoor(step time.Duration) func(s *stage, d time.Duration) {
	return func(s *stage, d time.Duration) {
		chance := rand.New(rand.NewPCG(39, 39))
		for range int(d / step) {
			dc := []campus.DataCenterID{"dc-a", "dc-b"}[chance.IntN(2)]
			over := s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: dc}, Do: fakes.Action{Status: 500}})
			pass(step)
			over()
		}
	}
}

// 1,300 clients lose dc-a in the same moment, and it comes back for all of them: dc-b
// is never asked too much, each opens its few connections, and they return spread out.
func TestScenario41_ManyClients(t *testing.T) {
	t.Parallel()
	const clients, every, limit = 1300, 13 * time.Second, 60
	play(t, nil, func(s *stage) {
		s.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: fakes.Action{Delay: 20 * time.Millisecond}})
		s.hosp.Limit("dc-a", limit)
		s.hosp.Limit("dc-b", limit)
		patient := s.hosp.Demo().Patients[0]
		ctx, stop := context.WithCancel(s.t.Context())
		var all sync.WaitGroup
		failed, calls := map[hospital.Code]int{}, 0
		for n := range clients {
			client := s.another("hankou", func(cfg *hospital.Config) {
				cfg.Topology = onlyHIS(cfg.Topology)
				cfg.DisableTracing, cfg.Logger, cfg.OnEvent, cfg.OnAttempt = true, nil, nil, nil
			})
			all.Go(func() {
				desk := his.New(client)
				pass(every * time.Duration(n) / clients)
				for ctx.Err() == nil {
					_, err := desk.Patient(s.t.Context(), patient)
					s.mu.Lock()
					calls++
					if err != nil {
						failed[hospital.CodeOf(err)]++
					}
					s.mu.Unlock()
					pass(every)
				}
			})
		}
		pass(every)
		before := s.hosp.Load("dc-b")
		s.hosp.Stop("dc-a")
		storm := s.connections("dc-b", 20*time.Second)
		assert.LessOrEqual(s.t, total(storm), clients+clients/10, "one connection each")
		assert.LessOrEqual(s.t, busiest(storm), clients/40, "as spread as the calls are")
		require.NoError(s.t, s.hosp.Start("dc-a"))
		began := time.Now()
		back := s.connections("dc-a", 130*time.Second) // of probes, at most one each second, too
		stop()
		all.Wait()
		assert.Empty(s.t, failed, "of %d", calls)
		assert.Zero(s.t, before.Requests, "nobody was there before")
		assert.LessOrEqual(s.t, s.hosp.Load("dc-b").Peak, limit)
		assert.LessOrEqual(s.t, s.hosp.Load("dc-a").Peak, limit)
		assert.Empty(s.t, s.asked(time.Time{}, func(e fakes.Entry) bool { return e.Status == 429 }), "no site is asked too much")
		assert.LessOrEqual(s.t, busiest(back), clients/10, "in a tenth of a second: jitter spreads what comes back")
		home := map[int]int{} // calls at home in each 10 s
		for _, e := range s.asked(began, func(e fakes.Entry) bool { return e.DataCenter == "dc-a" && e.Interaction == "search-type" }) {
			home[int(e.Time.Sub(began)/(10*time.Second))]++
		}
		assert.Zero(s.t, home[0]+home[1]+home[2], "held down")
		assert.Greater(s.t, home[12], int(0.9*clients*10/every.Seconds()), "all are home again: %v", home)
	})
}

// connections taken in by a data centre in each tenth of a second from now on.
func (s *stage) connections(dc campus.DataCenterID, d time.Duration) []int {
	var out []int
	last := s.hosp.Load(dc).Connections
	for range int(d / (100 * time.Millisecond)) {
		pass(100 * time.Millisecond)
		now := s.hosp.Load(dc).Connections
		out = append(out, now-last)
		last = now
	}
	return out
}

func total(list []int) (sum int) {
	for _, n := range list {
		sum += n
	}
	return sum
}

func busiest(list []int) (most int) {
	for _, n := range list {
		most = max(most, n)
	}
	return most
}
