package hospital_test

import (
	"io"
	"net/http"
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

// envA and envB are the environments of a release; hankou prefers A.
var envA, envB = failover.Selector{Environment: "A"}, failover.Selector{Environment: "B"}

// flight is what was under way when a drain began.
type flight struct {
	done  sync.WaitGroup
	mu    sync.Mutex
	wrong []error
	left  []campus.EnvironmentID // where what ended was answered from
}

func (f *flight) one(do func() (hospital.Origin, error)) {
	f.done.Go(func() {
		o, err := do()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.left = append(f.left, o.Environment)
		if err != nil {
			f.wrong = append(f.wrong, err)
		}
	})
}

// takeOff sends reads, writes, a stream and a payment to environment A, where each
// takes its time.
func (s *stage) takeOff(reads, writes int, payment time.Duration) *flight {
	f, slow := &flight{}, min(time.Second, payment/2)
	in := func(interaction, typ string, d time.Duration) func() {
		return s.hosp.Break(fakes.Rule{When: fakes.When{Environment: "A", Interaction: interaction, Type: typ}, Do: fakes.Action{Delay: d, Late: true}})
	}
	over := []func(){in("create", "PaymentReconciliation", payment), in("search-type", "Patient", slow), in("create", "", slow), in("search-type", "Slot", min(15*time.Second, payment))}
	for range reads {
		f.one(func() (hospital.Origin, error) {
			found, err := s.desk.Patient(s.t.Context(), s.hosp.Demo().Patients[0])
			return found.Origin, err
		})
	}
	for range writes {
		f.one(func() (hospital.Origin, error) { return order(s.t.Context(), s.client, hospital.NewNumber()) })
	}
	f.one(func() (hospital.Origin, error) { return pay(s.t.Context(), s.client, "P1") })
	f.one(s.stream) // as a study is: the fakes have no PACS, so it is a long slow list over plain HTTP
	pass(slow / 4)
	for _, remove := range over { // what comes from now on is as fast as ever
		remove()
	}
	return f
}

func (s *stage) stream() (hospital.Origin, error) {
	resp, err := s.get("Slot?_count=1000")
	if err != nil {
		return hospital.Origin{}, err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return failover.OriginOf(resp), err
}

func (s *stage) get(path string) (*http.Response, error) {
	req, err := newRequest(s.t.Context(), "http://his.hospital.invalid/"+path)
	require.NoError(s.t, err)
	return s.client.HTTP(campus.HIS).Do(req)
}

// landed: everything ended well, and where it had begun.
func (s *stage) landed(f *flight, want int) {
	s.t.Helper()
	f.done.Wait()
	assert.Empty(s.t, f.wrong, "what was in flight")
	assert.Len(s.t, f.left, want)
	for _, env := range f.left {
		assert.Equal(s.t, campus.EnvironmentID("A"), env, "it completes where it began")
	}
	assert.Equal(s.t, 1, s.payments("P1"))
	assert.Empty(s.t, s.asked(time.Time{}, func(e fakes.Entry) bool {
		return e.Type == "PaymentReconciliation" && e.Interaction == "create" && e.Endpoint != "his/dc-a/A"
	}), "the payment was sent once")
}

// inFlight at environment A, and whether the payment is among the named.
func (s *stage) inFlight() (n int, paying bool) {
	for _, st := range s.client.Status() {
		if st.Environment == "A" {
			n += st.InFlight
			for _, straggler := range st.Stragglers {
				paying = paying || straggler.Op == payOp.Name
			}
		}
	}
	return n, paying
}

// drained: both doors of the HIS in environment A are. A balancer's word is asked for
// where there is traffic, so not at the others.
func (s *stage) drained() bool {
	return s.client.Drained(failover.Selector{Endpoint: "his/dc-a/A"}) && s.client.Drained(failover.Selector{Endpoint: "his/dc-b/A"})
}

// watch compares Drained with what is in flight until the payment has ended.
func (s *stage) watch(f *flight) {
	ended := make(chan struct{})
	go func() { f.done.Wait(); close(ended) }()
	for {
		drained := s.drained()
		n, paying := s.inFlight()
		select {
		case <-ended:
			assert.True(s.t, s.drained(), "nothing is in flight any more")
			return
		default:
		}
		if drained {
			assert.Zero(s.t, n, "Drained is true only at zero")
		}
		if s.payments("P1") == 0 {
			assert.False(s.t, drained)
			assert.True(s.t, paying, "the payment is named")
		}
		pass(50 * time.Millisecond)
	}
}

// everyNew went to an environment.
func (s *stage) everyNew(since time.Time, env campus.EnvironmentID) {
	s.t.Helper()
	for _, kind := range []string{"read", "write"} {
		for _, r := range s.since(since, kind) {
			assert.Equal(s.t, env, r.origin.Environment, "%s at %s", kind, r.began)
		}
	}
}

func (s *stage) noneFailed(since time.Time) {
	s.t.Helper()
	assert.Empty(s.t, failures(s.since(since, "read")))
	assert.Empty(s.t, failures(s.since(since, "write")))
}

// Environment A is drained with everything under way: nothing fails, what is in flight
// completes there, what is new goes to B, and Drained waits for the last.
func TestScenario27_GreyRelease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		drain, restore func(s *stage)
		opts           []fakes.Option
		noticed        time.Duration
	}{
		"by an operator": {
			drain:   func(s *stage) { assert.Equal(s.t, 15, s.client.Drain(envA)) },
			restore: func(s *stage) { assert.Equal(s.t, 15, s.client.Restore(envA)) },
		},
		"by a balancer": { // it says so, and closes what answers
			drain: func(s *stage) {
				s.hosp.SetReady(envA, false)
				s.hosp.Break(fakes.Rule{When: fakes.When{Environment: "A"}, Do: fakes.Action{Close: true}, Times: 60})
			},
			restore: func(s *stage) {
				html := s.hosp.Break(fakes.Rule{When: fakes.When{Environment: "A"}, Do: fakes.Action{Status: 404, Body: "<html>Not Found</html>"}})
				s.load(5 * time.Second)
				html()
				s.hosp.SetReady(envA, true)
			},
			opts: []fakes.Option{fakes.WithHealthPath()}, noticed: 5 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.load(5 * time.Second)
					f := s.takeOff(100, 20, time.Minute)
					began := time.Now()
					c.drain(s)
					assert.False(s.t, s.drained())
					s.load(10 * time.Second)
					s.watch(f)
					s.landed(f, 122)
					s.everyNew(began.Add(c.noticed), "B")
					c.restore(s)
					pass(c.noticed)
					s.load(5 * time.Second) // a question may be on its way
					back := time.Now()
					s.load(5 * time.Second)
					s.everyNew(back, "A")
					s.noneFailed(time.Time{})
				}, append(c.opts, kind, fakes.WithEnvironments())...)
			})
		})
	}
}

// A balancer that has no health path closes connections, then answers in the place of
// a server that restarts: nothing fails through that either.
func TestScenario27_GreyReleaseWithoutAWord(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			f := s.takeOff(100, 20, time.Minute)
			for _, do := range []fakes.Action{{Close: true}, {Status: 404, Body: "<html>Not Found</html>"}, {Close: true}, {Status: 404, Body: "<html>Not Found</html>", Close: true}} {
				over := s.hosp.Break(fakes.Rule{When: fakes.When{Environment: "A"}, Do: do})
				s.load(10 * time.Second)
				over()
			}
			s.landed(f, 122)
			s.load(10 * time.Second)
			assert.Empty(t, failures(s.since(time.Time{}, "read")))
			assert.Empty(t, failures(s.since(time.Time{}, "write")))
		}, kind, fakes.WithEnvironments())
	})
}

// The same over real sockets, smaller.
func TestScenario27_GreyReleaseOnSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("real sockets, real time")
	}
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		s := raise(t, nil, kind, fakes.WithEnvironments(), fakes.WithLoopback())
		s.loadAt(s.client, 500*time.Millisecond, 20, 5)
		f := s.takeOff(20, 5, 2*time.Second)
		began := time.Now()
		s.client.Drain(envA)
		s.loadAt(s.client, 500*time.Millisecond, 20, 5)
		s.watch(f)
		s.landed(f, 27)
		s.everyNew(began, "B")
		s.client.Restore(envA)
		back := time.Now()
		s.loadAt(s.client, 500*time.Millisecond, 20, 5)
		s.everyNew(back, "A")
		s.noneFailed(time.Time{})
		s.always()
	})
}

// A drain that never ends: a program holds the body of an answer for an hour. No call
// waits for that, it is named all the time, and the environment can be put back.
func TestScenario28_DrainThatNeverEnds(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			resp, err := s.get("Slot?_count=1000")
			require.NoError(s.t, err)
			defer resp.Body.Close()
			require.Equal(s.t, campus.EnvironmentID("A"), failover.OriginOf(resp).Environment)
			since := time.Now()
			pass(time.Second)
			s.client.Drain(envA)
			for range 6 {
				s.load(5 * time.Second)
				assert.False(s.t, s.client.Drained(envA))
				st := s.at("his/dc-a/A")
				require.Len(s.t, st.Stragglers, 1)
				assert.Equal(s.t, failover.Straggler{Op: "http", Since: since}, st.Stragglers[0])
				assert.True(s.t, st.Draining && !st.Drained)
				pass(10 * time.Minute)
			}
			s.everyNew(since, "B")
			s.client.Restore(envA)
			restored := time.Now()
			s.load(5 * time.Second)
			for _, kind := range []string{"read", "write"} {
				for _, r := range s.since(restored, kind) {
					assert.Equal(s.t, campus.EnvironmentID("A"), r.origin.Environment)
				}
				assert.Less(s.t, percentile(s.since(time.Time{}, kind), 1), 100*time.Millisecond, "nobody waits for the straggler")
			}
			s.noneFailed(time.Time{})
			s.client.Drain(envA)
			require.NoError(s.t, resp.Body.Close())
			assert.True(s.t, s.client.Drained(envA))
			assert.Empty(s.t, s.at("his/dc-a/A").Stragglers)
		}, kind, fakes.WithEnvironments())
	})
}

func (s *stage) at(id campus.EndpointID) failover.EndpointStatus {
	for _, st := range s.client.Status() {
		if st.Endpoint == id {
			return st
		}
	}
	return failover.EndpointStatus{}
}

// B is lost while A is drained: what may be repeated without harm is answered by A
// again, and says so; a payment is not sent there.
func TestScenario29_PeerFailsWhileDrained(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			s.client.Drain(envA)
			s.load(5 * time.Second)
			fault := time.Now()
			s.hosp.StopAt(envB)
			s.load(10 * time.Second)
			reads, writes := s.since(fault, "read"), s.since(fault, "write")
			assert.Empty(s.t, failures(reads))
			for _, r := range reads {
				assert.True(s.t, r.origin.Environment == "A" && r.origin.Drained, "it is said who answered")
			}
			for _, r := range writes { // keyed: not done, or done by A and said so
				assert.True(s.t, r.err != nil || (r.origin.Environment == "A" && r.origin.Drained))
				if r.err != nil {
					require.ErrorIs(s.t, r.err, hospital.ErrUnavailable)
					assert.Zero(s.t, s.orders(r.number))
				}
			}
			o, err := s.correct(s.slot().Resource.ID) // guarded by its version
			require.NoError(s.t, err)
			assert.True(s.t, o.Environment == "A" && o.Drained)
			_, err = pay(s.t.Context(), s.client, "P1")
			require.ErrorIs(s.t, err, hospital.ErrUnavailable)
			assert.Empty(s.t, s.asked(fault, func(e fakes.Entry) bool { return e.Type == "PaymentReconciliation" && e.Interaction == "create" }))
			assert.Zero(s.t, s.payments("P1"))
			require.NoError(s.t, s.hosp.StartAt(envB))
			s.load(90 * time.Second)
			back := time.Now()
			s.load(5 * time.Second)
			s.everyNew(back, "B")
			s.noneFailed(back)
		}, kind, fakes.WithEnvironments())
	})
}
