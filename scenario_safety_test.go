package hospital_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// A process dies between send and answer; the one that follows repeats the act with
// its Number: it has happened once.
func TestScenario35_Crash(t *testing.T) {
	t.Parallel()
	restart := func(*stage, *hospital.Client, string) { pass(time.Second) } // as a process takes, and longer than a request
	ask := func(s *stage, c *hospital.Client, number string) {
		if _, err := hospital.Resolve(s.t.Context(), c, orderOp, number, findOrder(number)); err != nil {
			assert.ErrorIs(s.t, err, hospital.ErrNotFound)
		}
	}
	for name, c := range map[string]struct {
		do     fakes.Action
		before func(s *stage, c *hospital.Client, number string)
	}{
		"before it is executed":            {fakes.Action{Delay: 300 * time.Millisecond, Late: true}, restart},
		"while it is executed":             {fakes.Action{Delay: 75 * time.Millisecond, Late: true, AnswerDelay: 50 * time.Millisecond}, restart},
		"executed, the answer is lost":     {fakes.Action{AnswerDelay: 300 * time.Millisecond}, restart},
		"before it is executed, asks":      {fakes.Action{Delay: 300 * time.Millisecond, Late: true}, ask},
		"while it is executed, asks":       {fakes.Action{Delay: 75 * time.Millisecond, Late: true, AnswerDelay: 50 * time.Millisecond}, ask},
		"executed, the answer lost, asks":  {fakes.Action{AnswerDelay: 300 * time.Millisecond}, ask},
		"never executed, the process asks": {fakes.Action{Hang: true}, ask},
		"being executed, repeated at once": {fakes.Action{Delay: 120 * time.Millisecond, Late: true}, func(*stage, *hospital.Client, string) {}}, // says hospital.Repeated
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.load(2 * time.Second)
					crash := func(number, interaction string, before func(*stage, *hospital.Client, string), act func(ctx context.Context, c *hospital.Client) error) {
						s.hosp.Break(fakes.Rule{When: fakes.When{Interaction: interaction}, Do: c.do, Times: 1})
						process := s.another("hankou", nil)
						ctx, kill := context.WithTimeout(s.t.Context(), 100*time.Millisecond)
						require.Error(s.t, act(ctx, process))
						kill()
						require.NoError(s.t, process.Close())
						restarted := s.another("hankou", nil)
						before(s, restarted, number)
						require.NoError(s.t, act(s.t.Context(), restarted), number)
						pass(5 * time.Second)
						assert.Equal(s.t, 1, s.hosp.Ledger().Executions(number), number)
					}
					var again []hospital.WriteOption // the first process knows of no other
					crash("O1", "create", func(s *stage, c2 *hospital.Client, number string) {
						c.before(s, c2, number)
						again = []hospital.WriteOption{hospital.Repeated()}
					}, func(ctx context.Context, c *hospital.Client) error {
						_, err := order(ctx, c, "O1", again...)
						return err
					})
					slot := s.slot() // its version guards it, so it may be booked again at once
					crash("B1", "transaction", func(*stage, *hospital.Client, string) {}, func(ctx context.Context, c *hospital.Client) error {
						_, err := his.New(c).Book(ctx, his.BookRequest{Number: "B1", Patient: s.hosp.Demo().Patients[0], Slot: slot})
						return err
					})
				}, kind)
			})
		})
	}
}

// A conditional create that races still runs at a slow site when it is given up: a
// second one is not put beside it.
func TestScenario36_RacyCreateStillRunning(t *testing.T) {
	t.Parallel()
	const slow, window = 3 * time.Second, 50 * time.Millisecond
	for name, c := range map[string]struct {
		patience time.Duration
		lose     func(s *stage)
		known    bool // in the end, to the first caller
	}{
		"the caller gives up":       {patience: time.Second, lose: func(*stage) {}},
		"its connection is reset":   {patience: time.Hour, lose: func(s *stage) { s.hosp.Stop("dc-a") }, known: true},
		"its network is cut":        {patience: time.Hour, lose: func(s *stage) { s.hosp.Partition("hankou", "dc-a", true) }},
		"reset, and little time":    {patience: 2 * time.Second, lose: func(s *stage) { s.hosp.Stop("dc-a") }},
		"reset, and just more time": {patience: 6 * time.Second, lose: func(s *stage) { s.hosp.Stop("dc-a") }, known: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, nil, func(s *stage) {
				s.loadAt(s.client, 5*time.Second, 50, 0)
				s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "create"}, Do: fakes.Action{Delay: slow, Late: true}})
				lost := time.AfterFunc(time.Second-10*time.Millisecond, func() { c.lose(s) })
				defer lost.Stop()
				ctx, cancel := context.WithTimeout(s.t.Context(), c.patience)
				defer cancel()
				_, err := order(ctx, s.client, "O1")
				if c.known {
					require.NoError(s.t, err)
				} else {
					require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
				}
				_, err = order(s.t.Context(), s.client, "O1") // repeated at once
				if err != nil {
					require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
				}
				pass(20 * time.Second)
				assert.Equal(s.t, 1, s.hosp.Ledger().Executions("O1"))
				var busy time.Time
				for _, e := range s.asked(time.Time{}, writing("dc-a", "dc-b")) {
					began := e.Time.Add(-window)
					if e.DataCenter == "dc-a" {
						began = began.Add(-slow)
					}
					assert.False(s.t, began.Before(busy), "two in flight")
					busy = e.Time
				}
			}, fakes.WithContract(campus.Contract{Versioning: true, UpdateCreate: true, ServerTimeout: slow + time.Second}))
		})
	}
}

// claim takes what only one can have: it closes the thing under its version and leaves
// a receipt with the caller's Number, in one transaction.
func claim(ctx context.Context, c *hospital.Client, number string, open func(ctx context.Context, f *fhir.Client) (r4.Resource, error), receipt r4.Resource, find hospital.Step[hospital.Origin], issuer string) error {
	op := hospital.Op{Name: "test.Claim", System: campus.HIS, Class: hospital.Settle, Repeat: hospital.Guarded}
	_, err := hospital.Write(ctx, c, op, number, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		closed, err := open(ctx, f)
		if err != nil {
			return hospital.Origin{}, err
		}
		_, resp, err := fhir.Transaction(ctx, f, &r4.Bundle{Type: "transaction", Entry: []r4.BundleEntry{
			fhir.Put(closed), fhir.Post(receipt, "", r4.Identifier{System: issuer, Value: number}),
		}})
		return hospital.OriginOf(resp), err
	}, find)
	return err
}

const dispenseSystem = "urn:hospital-go:test-dispense"

// Two people want one thing: one gets it, the other is told that, and no money is
// taken twice, also when the winner's answer is lost.
func TestScenario37_TwoCallers(t *testing.T) {
	t.Parallel()
	slotOf := func(s *stage) func(c *hospital.Client, number string) error {
		slot := s.slot()
		return func(c *hospital.Client, number string) error {
			_, err := his.New(c).Book(s.t.Context(), his.BookRequest{Number: number, Patient: s.hosp.Demo().Patients[0], Slot: slot})
			return err
		}
	}
	billOf := func(s *stage) func(c *hospital.Client, number string) error {
		bill, _, err := fhir.Create(s.t.Context(), s.client.FHIR(campus.HIS), &r4.Invoice{Status: "issued"})
		require.NoError(s.t, err)
		return func(c *hospital.Client, number string) error {
			return claim(s.t.Context(), c, number, func(ctx context.Context, f *fhir.Client) (r4.Resource, error) {
				now, _, err := fhir.Read[*r4.Invoice](ctx, f, bill.ID)
				if err == nil && now.Status != "issued" {
					err = hospital.ErrConflict
				}
				if err == nil {
					now.Status = "balanced"
				}
				return now, err
			}, payment(number), findPayment(number), paymentSystem)
		}
	}
	prescriptionOf := func(s *stage) func(c *hospital.Client, number string) error {
		paper, _, err := fhir.Create(s.t.Context(), s.client.FHIR(campus.HIS), &r4.MedicationRequest{Status: "active", Intent: "order", Subject: r4.RefTo("Patient", "1001")})
		require.NoError(s.t, err)
		return func(c *hospital.Client, number string) error {
			return claim(s.t.Context(), c, number, func(ctx context.Context, f *fhir.Client) (r4.Resource, error) {
				now, _, err := fhir.Read[*r4.MedicationRequest](ctx, f, paper.ID)
				if err == nil && now.Status != "active" {
					err = hospital.ErrConflict
				}
				if err == nil {
					now.Status = "completed"
				}
				return now, err
			}, &r4.MedicationDispense{Identifier: []r4.Identifier{{System: dispenseSystem, Value: number}}, Status: "completed"}, findDispense(number), dispenseSystem)
		}
	}
	things := map[string]func(s *stage) func(c *hospital.Client, number string) error{"slot": slotOf, "bill": billOf, "prescription": prescriptionOf}
	for thing, offer := range things {
		for fault, do := range map[string]fakes.Action{"calm": {}, "answers lost": {ResetAfter: true}, "slow": {Jitter: 200 * time.Millisecond}} {
			t.Run(thing+", "+fault, func(t *testing.T) {
				t.Parallel()
				bothKinds(t, func(t *testing.T, kind fakes.Option) {
					play(t, nil, func(s *stage) {
						callers := [2]*hospital.Client{s.another("hankou", nil), s.another("guanggu", nil)}
						for n := range 20 {
							over := s.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: do, Times: 1 + n%3})
							take, errs := offer(s), [2]error{}
							var both sync.WaitGroup
							for i, c := range callers {
								both.Go(func() { errs[i] = take(c, fmt.Sprintf("%s-%d-%d", thing, n, i)) })
							}
							both.Wait()
							over()
							winner := 0
							if errs[0] != nil {
								winner = 1
							}
							require.NoError(s.t, errs[winner], "one wins")
							require.ErrorIs(s.t, errs[1-winner], hospital.ErrConflict)
							assert.Equal(s.t, 1, s.hosp.Ledger().Executions(fmt.Sprintf("%s-%d-%d", thing, n, winner)))
							assert.Zero(s.t, s.hosp.Ledger().Executions(fmt.Sprintf("%s-%d-%d", thing, n, 1-winner)))
						}
					}, kind)
				})
			})
		}
	}
}

func findDispense(number string) hospital.Step[hospital.Origin] {
	return func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.MedicationDispense](dispenseSystem, number))) {
			if err != nil {
				return hospital.Origin{}, err
			}
			if len(page.Matches) > 0 {
				return hospital.OriginOf(page.Response), nil
			}
		}
		return hospital.Origin{}, hospital.ErrNotFound
	}
}

// A site comes back while nobody but payers calls: none of them is the probe, and in
// the end they are served at home again.
func TestScenario43_PaymentIsNoCanary(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			s.hosp.Stop("dc-a")
			s.load(5 * time.Second)
			fault := time.Now()
			require.Equal(s.t, failover.Ejected, s.status("dc-a").Write)
			back := time.AfterFunc(20*time.Second, func() { assert.NoError(s.t, s.hosp.Start("dc-a")) })
			defer back.Stop()
			var last hospital.Origin
			for n := range 240 {
				number := fmt.Sprintf("P%d", n)
				o, err := pay(s.t.Context(), s.client, number)
				require.NoError(s.t, err)
				require.Equal(s.t, 1, s.payments(number))
				last = o
				pass(2 * time.Second)
			}
			assert.Equal(s.t, campus.DataCenterID("dc-a"), last.DataCenter, "home again in eight minutes")
			var healthy time.Time
			for _, e := range s.ended(fault, failover.Healthy) {
				if e.Endpoint == "his/dc-a" && e.Class == "write" {
					healthy = e.Time
				}
			}
			require.False(s.t, healthy.IsZero())
			for _, e := range s.asked(fault, writing("dc-a")) {
				assert.False(s.t, e.Time.Before(healthy), "a payment was the probe")
			}
		}, kind)
	})
}
