package hospital_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
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

var (
	scenarioChaos     = flag.Int("scenario.chaos", 6, "how many schedules TestScenario46_Chaos plays")
	scenarioChaosSeed = flag.Uint64("scenario.seed", 0, "play only this schedule of TestScenario46_Chaos")
)

// A caller gives up before a hedge goes out, or in the moment it wins: no panic, no
// goroutine left, and no endpoint is blamed for a cancel.
func TestScenario31_GivingUpHedges(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.loadAt(s.client, 3*time.Second, 50, 0)
		slow := s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a"}, Do: fakes.Action{Delay: time.Second}})
		hedged := s.reasons["hedge"]
		var calls sync.WaitGroup
		for ms := range 60 {
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(ms)*time.Millisecond)
				defer cancel()
				_, err := s.desk.Patient(ctx, s.hosp.Demo().Patients[0])
				if err != nil {
					assert.ErrorIs(t, err, hospital.ErrDeadline)
				}
			})
			pass(100 * time.Millisecond)
			if ms%10 == 9 { // now and then the site is itself, or it would just be slow
				slow()
				s.loadAt(s.client, time.Second, 50, 0)
				slow = s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a"}, Do: fakes.Action{Delay: time.Second}})
			}
		}
		calls.Wait()
		assert.Greater(t, s.reasons["hedge"], hedged, "some had gone out")
		assert.Zero(t, s.happened(failover.Healthy, failover.Ejected)+s.happened(failover.Suspect, failover.Ejected))
		for _, st := range s.client.Status() {
			assert.Zero(t, st.InFlight)
		}
	})
}

// Random mixes of faults, under load, through the real wire: what must always hold
// holds, payments happen at most once, and every unknown outcome can be resolved
// into what the books say. A failing schedule is played again by -scenario.seed.
func TestScenario46_Chaos(t *testing.T) {
	t.Parallel()
	seeds := []uint64{*scenarioChaosSeed}
	if *scenarioChaosSeed == 0 {
		seeds = nil
		for i := range *scenarioChaos {
			seeds = append(seeds, uint64(i+1))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			kind := fakes.WithPersonality(fakes.Personality{AtomicCreate: seed%2 == 0})
			contract := campus.Contract{Versioning: true, UpdateCreate: true, ServerTimeout: 3 * time.Second} // the slow fault takes two
			if seed%2 == 0 {
				contract.ConditionalCreate = campus.Atomic
			}
			play(t, nil, func(s *stage) {
				c := &chaos{stage: s, random: rand.New(rand.NewPCG(seed, seed)), mends: map[string]func(){}}
				s.most = 3 // the copy is one more site for reads that may lag
				c.play()
			}, kind, fakes.WithContract(contract), fakes.WithHealthPath(), fakes.WithReadableStandby())
			if t.Failed() {
				t.Logf("play it again: go test . -run TestScenario46_Chaos -scenario.seed %d", seed)
			}
		})
	}
}

type chaos struct {
	*stage
	random *rand.Rand
	mends  map[string]func()

	paid sync.Map // number to error
}

// play disturbs for twenty seconds, mends everything, and looks at what is open.
func (c *chaos) play() {
	var all sync.WaitGroup
	all.Go(func() { c.loadAt(c.client, 20*time.Second, 10, 5) })
	for range 20 {
		all.Go(c.pay)
		c.disturb()
		pass(time.Duration(500+c.random.IntN(1000)) * time.Millisecond)
	}
	for _, mend := range c.mends {
		mend()
	}
	all.Wait()
	pass(2 * time.Minute)
	c.settle()
	_, err := his.New(c.client).Patient(c.t.Context(), c.hosp.Demo().Patients[0])
	require.NoError(c.t, err, "once everything is mended")
}

func (c *chaos) pay() {
	number := hospital.NewNumber()
	_, err := pay(c.t.Context(), c.client, number)
	c.paid.Store(number, err)
}

// disturb begins a fault, or ends the one of its kind.
func (c *chaos) disturb() {
	dc := []campus.DataCenterID{"dc-a", "dc-a", "dc-b"}[c.random.IntN(3)]
	rule := func(do fakes.Action) func() {
		return c.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: dc}, Do: do})
	}
	faults := map[string]func() func(){
		"stop":  func() func() { c.hosp.Stop(dc); return func() { _ = c.hosp.Start(dc) } },
		"hang":  func() func() { _ = c.hosp.Hang(dc, true); return func() { _ = c.hosp.Hang(dc, false) } },
		"store": func() func() { c.hosp.StoreDown("his", true); return func() { c.hosp.StoreDown("his", false) } },
		"partition": func() func() {
			c.hosp.Partition("hankou", dc, true)
			return func() { c.hosp.Partition("hankou", dc, false) }
		},
		"isolate": func() func() { c.hosp.Isolate("hankou", true); return func() { c.hosp.Isolate("hankou", false) } },
		"drain": func() func() {
			x := failover.Selector{DataCenter: dc}
			c.client.Drain(x)
			return func() { c.client.Restore(x) }
		},
		"balancer": func() func() {
			x := failover.Selector{DataCenter: dc}
			c.hosp.SetReady(x, false)
			return func() { c.hosp.SetReady(x, true) }
		},
		"lost":    func() func() { return rule(fakes.Action{ResetAfter: true}) },
		"cut":     func() func() { return rule(fakes.Action{CutAfter: 30}) },
		"slow":    func() func() { return rule(fakes.Action{Delay: 2 * time.Second, Late: true}) },
		"500":     func() func() { return rule(fakes.Action{Status: 500}) },
		"gateway": func() func() { return rule(fakes.Action{Execute: true, Status: 502, Body: "<html>"}) },
		"busy":    func() func() { return rule(fakes.Action{Status: 429, RetryAfter: "1"}) },
	}
	names := []string{"stop", "hang", "store", "partition", "isolate", "drain", "balancer", "lost", "cut", "slow", "500", "gateway", "busy"}
	name := names[c.random.IntN(len(names))]
	if mend, begun := c.mends[name]; begun {
		mend()
		delete(c.mends, name)
		return
	}
	c.mends[name] = faults[name]()
}

// settle resolves what is unknown and compares it with the books.
func (c *chaos) settle() {
	for _, r := range c.since(time.Time{}, "write") {
		c.compare("order", r.number, r.err, c.orders(r.number))
		if errors.Is(r.err, hospital.ErrOutcomeUnknown) { // in another process, from the number alone
			pass(time.Second) // a store that was down when the load ended lets in a few a second
			_, err := hospital.Resolve(c.t.Context(), c.client, orderOp, r.number, findOrder(r.number))
			assert.Equal(c.t, c.orders(r.number) == 1, err == nil, "%v", err)
		}
	}
	c.paid.Range(func(number, told any) bool {
		err, _ := told.(error)
		c.compare("payment", number.(string), err, c.hosp.Count(campus.HIS, "PaymentReconciliation", paymentSystem, number.(string)))
		return true
	})
}

// compare is what a caller was told against what is there.
func (c *chaos) compare(what, number string, err error, there int) {
	var e *hospital.Error
	switch {
	case there > 1:
		c.t.Errorf("%s %s is there %d times", what, number, there)
	case err == nil && there == 0:
		c.t.Errorf("%s %s is lost", what, number)
	case errors.Is(err, hospital.ErrOutcomeUnknown) && errors.As(err, &e):
		pass(time.Second)
		happened, err := e.Resolve(c.t.Context())
		if assert.NoError(c.t, err) {
			assert.Equal(c.t, there == 1, happened, "%s %s", what, number)
		}
	case err != nil && there == 1:
		c.t.Errorf("%s %s is there, and its caller was told: %v", what, number, err)
	}
}
