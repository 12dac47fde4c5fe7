package hospital_test

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// A site that asks for two seconds' silence gets them, and the peer answers meanwhile.
func TestScenario12_RetryAfterOnRead(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.load(5 * time.Second)
		s.hosp.Break(fakes.Rule{
			When: fakes.When{System: campus.HIS, DataCenter: "dc-a", Type: "Patient"},
			Do:   fakes.Action{Status: 503, RetryAfter: "2"}, Times: 1,
		})
		fault := time.Now()
		s.loadAt(s.client, 10*time.Second, 50, 0)
		reads := s.since(fault, "read")
		assert.Empty(s.t, failures(reads))
		require.Equal(s.t, campus.DataCenterID("dc-b"), reads[0].origin.DataCenter)
		assert.LessOrEqual(s.t, percentile(reads, 1), 5*time.Millisecond, "at once")
		entries := s.answeredAt("dc-a", "", fault)
		require.Greater(s.t, len(entries), 1)
		assert.Equal(s.t, 503, entries[0].Status)
		asked := entries[1:]
		if asked[0].Interaction == "capabilities" && asked[0].Time.Equal(entries[0].Time) {
			asked = asked[1:] // whose fault was it?
		}
		assert.GreaterOrEqual(s.t, asked[0].Time.Sub(entries[0].Time), 2*time.Second, "not asked: %v", asked[0])
		assert.Less(s.t, asked[0].Time.Sub(entries[0].Time), 3*time.Second, "and then asked again")
		assert.Equal(s.t, campus.DataCenterID("dc-a"), s.lastOrigin())
	})
}

// A site that wants silence for a day, or for a nonsense, gets no storm, and the caller the wish in time.
func TestScenario13_RetryAfterOnWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, header string
		want         time.Duration
	}{
		{"a day", "86400", 5 * time.Minute},
		{"negative", "-1", 0},
		{"more than a duration holds", "9223372037", 5 * time.Minute},
		{"a past date", "Wed, 21 Oct 1998 07:28:00 GMT", 0},
		{"garbage", "soon", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for name, contract := range map[string]campus.Contract{
				"racy":                 {},
				"atomic":               {ConditionalCreate: campus.Atomic},
				"racy, not executed":   {NotExecuted: []int{503}},
				"atomic, not executed": {ConditionalCreate: campus.Atomic, NotExecuted: []int{503}},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					contract.Versioning, contract.UpdateCreate, contract.ServerTimeout = true, true, 550*time.Millisecond
					kind := fakes.WithPersonality(fakes.Personality{AtomicCreate: contract.ConditionalCreate == campus.Atomic})
					play(t, nil, func(s *stage) {
						s.load(5 * time.Second)
						s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "create"}, Do: fakes.Action{Status: 503, RetryAfter: c.header}})
						fault := time.Now()
						s.one(s.client, "write", 0)
						first := s.since(fault, "write")[0]
						var typed *hospital.Error
						require.ErrorAs(s.t, first.err, &typed)
						sent := len(s.answeredAt("dc-a", "create", fault)) + len(s.answeredAt("dc-b", "create", fault))
						if len(contract.NotExecuted) > 0 {
							assert.Equal(s.t, hospital.ErrUnavailable, typed.Code)
							assert.Equal(s.t, 2, sent, "each site once")
						} else {
							assert.Contains(s.t, []hospital.Code{hospital.ErrOutcomeUnknown, hospital.ErrUnavailable}, typed.Code)
							assert.LessOrEqual(s.t, sent, 4, "each site once, and once more when nothing can run any longer")
						}
						assert.LessOrEqual(s.t, typed.RetryAfter, c.want)
						assert.GreaterOrEqual(s.t, typed.RetryAfter, c.want-15*time.Second, "the hint")
						again := time.Now()
						s.loadAt(s.client, 10*time.Second, 0, 10)
						sent = len(s.answeredAt("dc-a", "create", again)) + len(s.answeredAt("dc-b", "create", again))
						if c.want > 0 {
							assert.LessOrEqual(s.t, sent, 22, "one a second and site at most, and one at once")
						} else {
							assert.LessOrEqual(s.t, sent, 4*100+50)
						}
					}, kind, fakes.WithContract(contract))
				})
			}
		})
	}
}

// Among 200 callers exactly one tries a site that is coming back; then a share that grows.
func TestScenario16_HalfOpen(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.load(5 * time.Second)
		s.hosp.Stop("dc-a")
		s.load(5 * time.Second)
		require.Equal(s.t, failover.Ejected, s.status("dc-a").Read)
		require.NoError(s.t, s.hosp.Start("dc-a"))
		for s.status("dc-a").Read != failover.Returning {
			elapse(time.Second)
		}
		patients := fakes.When{System: campus.HIS, DataCenter: "dc-a", Type: "Patient"}
		mend := s.hosp.Break(fakes.Rule{When: patients, Do: fakes.Action{Delay: 150 * time.Millisecond, ResetBefore: true}})
		for range 3 { // the canary fails, so there is one more at each return
			s.canaries(failover.Ejected)
			for s.status("dc-a").Read != failover.Returning {
				elapse(time.Second)
			}
		}
		mend()
		s.hosp.Break(fakes.Rule{When: patients, Do: fakes.Action{Delay: 150 * time.Millisecond}, Times: 1})
		grows := time.Now().Add(150 * time.Millisecond)
		s.canaries(failover.Returning)
		s.loadAt(s.client, 70*time.Second, 50, 0)
		for i := range 6 {
			at := time.Duration(i) * 10 * time.Second
			window := between(s.since(grows, "read"), grows.Add(at), grows.Add(at+10*time.Second))
			share := float64(counted(window, from("dc-a"))) / float64(len(window))
			assert.InDelta(s.t, 0.175+0.15*float64(i), share, 0.05, "window %d", i)
		}
		rest := s.since(grows.Add(61*time.Second), "read")
		assert.Equal(s.t, len(rest), counted(rest, from("dc-a")))
		assert.Empty(s.t, failures(s.since(time.Time{}, "read")))
		assert.Equal(s.t, failover.Healthy, s.status("dc-a").Read)
	})
}

// canaries lets 200 readers come at once, of whom one is a canary.
func (s *stage) canaries(then failover.State) {
	s.t.Helper()
	began, before := time.Now(), s.hosp.Load("dc-a").Requests
	var crowd sync.WaitGroup
	for i := range 200 {
		crowd.Go(func() { s.one(s.client, "read", i) })
	}
	elapse(100 * time.Millisecond)
	assert.Equal(s.t, before+1, s.hosp.Load("dc-a").Requests, "one canary")
	s.loadAt(s.client, 40*time.Millisecond, 100, 0)
	assert.Equal(s.t, before+1, s.hosp.Load("dc-a").Requests, "one canary at a time")
	crowd.Wait()
	reads := s.since(began, "read")
	assert.Empty(s.t, failures(reads))
	assert.GreaterOrEqual(s.t, counted(reads, from("dc-b")), 199, "the peer serves")
	assert.Equal(s.t, then, s.status("dc-a").Read)
}

// A site that is up and down every three seconds takes the traffic at most once a minute, and nothing grows. It counts goroutines, so nothing runs beside it.
func TestScenario17_Flapping(t *testing.T) {
	for name, atomic := range map[string]bool{"racy": false, "atomic": true} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.load(5 * time.Second)
				goroutines, connections := s.quiet()
				s.flap(10 * time.Minute)
				assert.Empty(s.t, failures(s.since(time.Time{}, "read")))
				assert.Empty(s.t, failures(s.since(time.Time{}, "write")))
				for _, class := range []string{"read", "write"} {
					leaves, comes := s.switches(class)
					assert.NotEmpty(s.t, leaves)
					for _, list := range [][]time.Time{leaves, comes} {
						for i := 1; i < len(list); i++ {
							assert.GreaterOrEqual(s.t, list[i].Sub(list[i-1]), time.Minute, "%s", class)
						}
					}
				}
				require.NoError(s.t, s.hosp.Start("dc-a"))
				now, open := s.quiet()
				assert.LessOrEqual(s.t, now, goroutines+2, "goroutines")
				assert.LessOrEqual(s.t, open, connections+2, "connections")
			}, fakes.WithPersonality(fakes.Personality{AtomicCreate: atomic}))
		})
	}
}

// The same without a hold-down: each ejection is longer, up to a minute.
func TestScenario17_EjectionGrows(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, func(cfg *hospital.Config) { cfg.Failover.HoldDown = -1 }, func(s *stage) {
			s.load(5 * time.Second)
			s.flap(10 * time.Minute)
			want, out, n := 5*time.Second, time.Time{}, 0
			for _, e := range s.moves("dc-a", "read") {
				switch {
				case e.To == failover.Ejected:
					out = e.Time
				case e.From == failover.Ejected:
					took := e.Time.Sub(out)
					assert.GreaterOrEqual(s.t, took, want*8/10, "ejection %d", n+1)
					want, n = min(2*want, time.Minute), n+1
				}
			}
			assert.GreaterOrEqual(s.t, n, 5, "it grew to a minute")
		}, kind)
	})
}

// flap stops and starts dc-a under load.
func (s *stage) flap(d time.Duration) {
	s.t.Helper()
	stop := make(chan struct{})
	var flapper sync.WaitGroup
	flapper.Go(func() {
		for up := false; ; up = !up {
			if !up {
				s.hosp.Stop("dc-a")
			} else if err := s.hosp.Start("dc-a"); err != nil {
				s.t.Error(err)
			}
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Second):
			}
		}
	})
	s.loadAt(s.client, d, 10, 1)
	close(stop)
	flapper.Wait()
}

// quiet waits until nothing is left of the load but what idles for ever.
func (s *stage) quiet() (goroutines, connections int) {
	elapse(5 * time.Minute)
	synctest.Wait()
	return runtime.NumGoroutine(), s.hosp.Load("dc-a").OpenConnections + s.hosp.Load("dc-b").OpenConnections
}

// switches are when dc-a left the traffic of a class, and came back.
func (s *stage) switches(class string) (leaves, comes []time.Time) {
	in := true
	for _, e := range s.moves("dc-a", class) {
		switch now := e.To == failover.Healthy || e.To == failover.Returning; {
		case in && !now:
			leaves = append(leaves, e.Time)
			in = now
		case !in && now:
			comes = append(comes, e.Time)
			in = now
		}
	}
	return leaves, comes
}

// Writes that fail take a site out for writes only, and no probe brings them back.
func TestScenario18_WritesOnly(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			fault := time.Now()
			s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, DataCenter: "dc-a", Interaction: "create"}, Do: fakes.Action{Status: 500}})
			s.load(5 * time.Second)
			assert.NotEqual(s.t, failover.Healthy, s.status("dc-a").Write, "out, for writes")
			out, _ := s.switches("write")
			s.load(55 * time.Second)
			assert.Empty(s.t, s.answeredAt("dc-a", "create", fault.Add(5*time.Second)), "no probe brings writes back")
			if assert.NotEmpty(s.t, out) {
				assert.NotEmpty(s.t, s.answeredAt("dc-a", "capabilities", out[0]), "though probes succeed")
			}
			assert.NotEqual(s.t, failover.Healthy, s.status("dc-a").Write)
			assert.Equal(s.t, failover.Healthy, s.status("dc-a").Read)
			assert.Empty(s.t, s.moves("dc-a", "read"))
			reads := s.since(fault, "read")
			assert.Equal(s.t, len(reads), counted(reads, from("dc-a")), "reads stay home")
			assert.Empty(s.t, failures(s.since(fault, "write")))
		}, kind)
	})
}
