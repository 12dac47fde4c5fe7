package hospital_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// At both sites 503 for five minutes costs hardly more than an attempt a call, and is over at once when one is back.
func TestScenario14_Both503(t *testing.T) {
	t.Parallel()
	for _, back := range []campus.DataCenterID{"dc-a", "dc-b"} {
		t.Run(string(back)+" returns", func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.load(5 * time.Second)
					mend := map[campus.DataCenterID]func(){}
					for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
						mend[dc] = s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, DataCenter: dc}, Do: fakes.Action{Status: 503}})
					}
					spent := s.spending()
					s.load(5 * time.Minute)
					spent()
					returned := time.Now()
					mend[back]()
					s.load(30 * time.Second)
					first, ok := firstOf(s.since(returned, "read"), func(r result) bool { return r.err == nil })
					require.True(s.t, ok)
					assert.LessOrEqual(s.t, first.began.Add(first.took).Sub(returned), 2*time.Second)
					assert.Equal(s.t, back, first.origin.DataCenter)
				}, kind)
			})
		})
	}
}

// spending checks, when it is over, that calls cost hardly more than an attempt each.
func (s *stage) spending() (over func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	attempts, calls := s.attempts, len(s.results)
	return func() {
		s.t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		assert.LessOrEqual(s.t, float64(s.attempts-attempts), 1.1*float64(len(s.results)-calls)+50, "attempts")
	}
}

// When everything was down and the peer is back first, reads are back with it, and nobody stampedes.
func TestScenario15_PeerBackFirst(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			s.hosp.Stop("dc-a")
			s.hosp.Stop("dc-b")
			s.load(time.Minute)
			before := s.hosp.Load("dc-b").Requests
			s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, DataCenter: "dc-b", Type: "Patient"}, Do: fakes.Action{Delay: 300 * time.Millisecond}})
			returned := time.Now()
			require.NoError(s.t, s.hosp.Start("dc-b"))
			var crowd sync.WaitGroup
			for i := range 200 {
				crowd.Go(func() { s.one(s.client, "read", i) })
			}
			elapse(290 * time.Millisecond)
			// Eight reads, eight writes, and what probes ask beside them.
			assert.LessOrEqual(s.t, s.hosp.Load("dc-b").Requests-before, 20, "in flight until the first success")
			s.load(20 * time.Second)
			crowd.Wait()
			reads := s.since(returned, "read")
			first, ok := firstOf(reads, from("dc-b"))
			require.True(s.t, ok)
			assert.LessOrEqual(s.t, first.began.Add(first.took).Sub(returned), 3*time.Second)
			assert.Empty(s.t, failures(s.since(returned.Add(3*time.Second), "read")))
			assert.Empty(s.t, failures(s.since(returned.Add(3*time.Second), "write")))
			assert.Equal(s.t, failover.Ejected, s.status("dc-a").Read)
		}, kind)
	})
}

// While the database switches, a copy that may be read is read, and says how old it may be.
func TestScenario23_OpenReplica(t *testing.T) {
	t.Parallel()
	const lag = 5 * time.Second
	for name, writes := range map[string]int{"readers only": 0, "who has written waits for the lag": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.loadAt(s.client, 10*time.Second, 50, writes)
					fault := time.Now()
					s.hosp.StoreDown(campus.StoreID(campus.HIS), true)
					s.loadAt(s.client, time.Minute, 50, writes)
					known := fault
					if writes > 0 {
						known = fault.Add(lag + 2*time.Second) // what is lost at the start may run half a second
					}
					reads := s.since(known, "read")
					assert.Empty(s.t, failures(reads))
					for _, r := range reads {
						assert.Equal(s.t, campus.DataCenterID("dr"), r.origin.DataCenter)
						assert.Equal(s.t, campus.Standby, r.origin.Role)
						assert.Equal(s.t, lag, r.origin.Lag, "marked")
					}
					s.hosp.StoreDown(campus.StoreID(campus.HIS), false)
					returned := time.Now()
					s.loadAt(s.client, 20*time.Second, 50, writes)
					assert.Empty(s.t, failures(s.since(returned, "read")))
					for _, r := range s.since(returned.Add(12*time.Second), "read") {
						assert.Equal(s.t, campus.StoreID(campus.HIS), r.origin.Store)
						assert.Zero(s.t, r.origin.Lag)
					}
				}, kind, fakes.WithReadableStandby(), fakes.WithLag(lag))
			})
		})
	}
}

// Five minutes of 500 from both doors are the database's, said so at once, and over as soon as it is back.
func TestScenario23_StoreDown(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(s *stage) (mend func()){
		"the store is down": func(s *stage) func() {
			s.hosp.StoreDown(campus.StoreID(campus.HIS), true)
			return func() { s.hosp.StoreDown(campus.StoreID(campus.HIS), false) }
		},
		"500 without a word": func(s *stage) func() {
			return s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS}, Do: fakes.Action{Status: 500, Body: "oops", ContentType: "text/plain"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.load(5 * time.Second)
					fault, spent := time.Now(), s.spending()
					mend := fail(s)
					s.load(5 * time.Minute)
					spent()
					storeDown(s, fault)
					returned := time.Now()
					mend()
					s.load(30 * time.Second)
					first, ok := firstOf(s.since(returned, "read"), func(r result) bool { return r.err == nil })
					require.True(s.t, ok)
					assert.LessOrEqual(s.t, first.began.Add(first.took).Sub(returned), 2*time.Second)
					full := first.began.Add(first.took + 10*time.Second)
					assert.Empty(s.t, failures(s.since(full, "read")), "full rate")
					assert.Empty(s.t, failures(s.since(full, "write")), "full rate")
					assert.Zero(s.t, failures(s.since(returned, "write"))[hospital.ErrOutcomeUnknown])
				}, kind)
			})
		})
	}
}

// storeDown is what callers are told meanwhile.
func storeDown(s *stage, fault time.Time) {
	s.t.Helper()
	settled := fault.Add(time.Second)
	for _, r := range append(s.since(settled, "read"), s.since(settled, "write")...) {
		var typed *hospital.Error
		require.ErrorAs(s.t, r.err, &typed)
		if typed.Code == hospital.ErrUnavailable && r.kind == "read" && typed.Attempts > 0 {
			continue // a canary
		}
		assert.Equal(s.t, hospital.ErrStoreUnavailable, typed.Code)
		require.ErrorIs(s.t, r.err, hospital.ErrUnavailable)
		assert.LessOrEqual(s.t, r.took, 50*time.Millisecond, "fast")
		assert.WithinDuration(s.t, fault, typed.Since, time.Second)
		assert.Positive(s.t, typed.RetryAfter)
	}
	unknown := counted(s.since(fault, "write"), func(r result) bool { return hospital.CodeOf(r.err) == hospital.ErrOutcomeUnknown })
	early := counted(s.since(fault, "write"), func(r result) bool {
		return hospital.CodeOf(r.err) == hospital.ErrOutcomeUnknown && r.began.Before(settled)
	})
	assert.Equal(s.t, early, unknown, "unknown only at the start")
	for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
		assert.Equal(s.t, []failover.State{failover.Healthy, failover.Healthy}, []failover.State{s.status(dc).Read, s.status(dc).Write}, "not ejection")
		for _, e := range append(s.moves(dc, "read"), s.moves(dc, "write")...) {
			assert.WithinDuration(s.t, fault, e.Time, time.Second, "frozen from then on")
		}
	}
	assert.False(s.t, s.status("dc-a").StoreDown.IsZero())
}
