package hospital_test

import (
	"context"
	"strings"
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

// opaqueOp is a write that no server can tell from another one.
var opaqueOp = hospital.Op{Name: "test.Opaque", System: campus.HIS, Class: hospital.WriteClass, Repeat: hospital.Unsafe}

func serviceRequest(number string) *r4.ServiceRequest {
	return &r4.ServiceRequest{
		Identifier: []r4.Identifier{{System: orderSystem, Value: number}}, Status: "active", Intent: "order", Subject: r4.RefTo("Patient", "1001"),
	}
}

// opaque places an order by a POST without any guard.
func opaque(ctx context.Context, c *hospital.Client, number string) (hospital.Origin, error) {
	return hospital.Write(ctx, c, opaqueOp, number, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		_, resp, err := fhir.Create(ctx, f, serviceRequest(number))
		return hospital.OriginOf(resp), err
	}, findOrder(number))
}

var atHome = fakes.When{System: campus.HIS, DataCenter: "dc-a", Interaction: "create"}

// A POST without a guard is sent once, whatever became of it, and can be looked up.
func TestScenario05_OpaquePost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   fakes.Action
		want int
	}{
		"executed":     {fakes.Action{ResetAfter: true}, 1},
		"not executed": {fakes.Action{ResetBefore: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				home, peer := &flows{}, &flows{}
				play(t, watchedBoth(home, peer), func(s *stage) {
					s.hosp.Break(fakes.Rule{When: atHome, Do: c.do, Times: 1})
					number := hospital.NewNumber()
					_, _, err := fhir.Create(s.t.Context(), s.client.FHIR(campus.HIS), serviceRequest(number))
					assert.Equal(s.t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))
					elapse(time.Minute)
					assert.Len(s.t, append(home.posts(), peer.posts()...), 1, "not sent again")
					assert.Equal(s.t, c.want, s.orders(number))
					_, err = hospital.Resolve(s.t.Context(), s.client, opaqueOp, number, findOrder(number))
					assert.Equal(s.t, map[int]hospital.Code{1: "", 0: hospital.ErrNotFound}[c.want], hospital.CodeOf(err))
				}, kind)
			})
		})
	}
}

func watchedBoth(home, peer *flows) func(cfg *hospital.Config) {
	return func(cfg *hospital.Config) {
		watched("dc-a", home.watch)(cfg)
		watched("dc-b", peer.watch)(cfg)
	}
}

// The same through Write while nobody can look: unknown, and its Resolve finds the truth.
func TestScenario05_OpaqueWrite(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{ResetAfter: true}, Times: 1})
			blind := s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type", Skip: 1}, Do: fakes.Action{Status: 500}})
			number := hospital.NewNumber()
			_, err := opaque(s.t.Context(), s.client, number)
			var lost *hospital.Error
			require.ErrorAs(s.t, err, &lost)
			assert.Equal(s.t, hospital.ErrOutcomeUnknown, lost.Code)
			assert.Equal(s.t, number, lost.Number)
			assert.Len(s.t, append(s.answeredAt("dc-a", "create", time.Time{}), s.answeredAt("dc-b", "create", time.Time{})...), 1)
			blind()
			elapse(2 * time.Second)
			happened, err := lost.Resolve(s.t.Context())
			require.NoError(s.t, err)
			assert.True(s.t, happened)
			assert.Equal(s.t, 1, s.orders(number))
		}, kind)
	})
}

// A keyed write whose answer is lost is done once, and the same key goes wherever it is sent.
func TestScenario06_KeyedPost(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		home, peer := &flows{}, &flows{}
		play(t, watchedBoth(home, peer), func(s *stage) {
			s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{ResetAfter: true}, Times: 1})
			number := hospital.NewNumber()
			_, err := order(s.t.Context(), s.client, number)
			require.NoError(s.t, err)
			assert.Equal(s.t, 1, s.orders(number))
			assert.Equal(s.t, 1, s.hosp.Ledger().Executions(number))
			require.Len(s.t, home.keys(), 1)
			assert.Contains(s.t, home.keys()[0], number)
			if s.atomic() {
				assert.Equal(s.t, home.keys(), peer.keys(), "the same key on both sites")
			} else {
				assert.Empty(s.t, peer.keys(), "not sent again, but looked up")
			}
		}, kind)
	})
}

// atomic: do the servers hold a lock?
func (s *stage) atomic() bool {
	return s.client.Topology().Endpoints()[0].Contract.ConditionalCreate == campus.Atomic
}

// A racy server's keyed write never has a second one beside it, though its site has gone.
func TestScenario07_RacyThenDown(t *testing.T) {
	t.Parallel()
	const run = 550 * time.Millisecond // after which the fake's requests have surely ended
	for name, c := range map[string]struct {
		do       fakes.Action
		downAt   time.Duration
		deadline time.Duration
		want     hospital.Code
		again    int // at the peer, after the first can no longer run
	}{
		"done, and found":                   {do: fakes.Action{ResetAfter: true}, downAt: 50 * time.Millisecond},
		"still running, and found":          {do: fakes.Action{Delay: 400 * time.Millisecond, Late: true}, downAt: 100 * time.Millisecond},
		"never done, and sent once more":    {do: fakes.Action{ResetBefore: true}, downAt: 50 * time.Millisecond, again: 1},
		"still running at the deadline":     {do: fakes.Action{Delay: 400 * time.Millisecond, Late: true}, downAt: 100 * time.Millisecond, deadline: 300 * time.Millisecond, want: hospital.ErrOutcomeUnknown},
		"never done, and an early deadline": {do: fakes.Action{ResetBefore: true}, downAt: 50 * time.Millisecond, deadline: 300 * time.Millisecond, want: hospital.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, nil, func(s *stage) {
				s.hosp.Break(fakes.Rule{When: atHome, Do: c.do, Times: 1})
				down := time.AfterFunc(c.downAt, func() { s.hosp.Stop("dc-a") })
				defer down.Stop()
				ctx := s.t.Context()
				if c.deadline > 0 {
					short, cancel := context.WithTimeout(ctx, c.deadline)
					defer cancel()
					ctx = short
				}
				began, number := time.Now(), hospital.NewNumber()
				_, err := order(ctx, s.client, number)
				assert.Equal(s.t, c.want, hospital.CodeOf(err))
				peer := s.answeredAt("dc-b", "create", time.Time{})
				require.Len(s.t, peer, c.again)
				if c.again > 0 {
					assert.GreaterOrEqual(s.t, peer[0].Time.Sub(began), run, "not while the first may run")
				}
				if c.deadline == 0 {
					assert.Equal(s.t, 1, s.orders(number))
					return
				}
				assert.LessOrEqual(s.t, time.Since(began), c.deadline+50*time.Millisecond)
				var lost *hospital.Error
				require.ErrorAs(s.t, err, &lost)
				elapse(lost.RetryAfter)
				happened, err := lost.Resolve(s.t.Context())
				require.NoError(s.t, err)
				assert.Equal(s.t, s.orders(number) == 1, happened)
				assert.Equal(s.t, c.do.Late, happened)
			})
		})
	}
}

// A conditional create whose answer is lost is repeated where that is a lock, and answered with what is there.
func TestScenario08_ConditionalCreate(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{ResetAfter: true}, Times: 1})
			number := hospital.NewNumber()
			_, err := order(s.t.Context(), s.client, number)
			require.NoError(s.t, err)
			first, second := s.answeredAt("dc-a", "create", time.Time{}), s.answeredAt("dc-b", "create", time.Time{})
			require.Len(s.t, first, 1)
			assert.True(s.t, first[0].Executed && first[0].Status == 0)
			if s.atomic() {
				require.Len(s.t, second, 1)
				assert.Equal(s.t, 200, second[0].Status, "what exists")
				assert.False(s.t, second[0].Executed)
			} else {
				assert.Empty(s.t, second)
			}
			assert.Equal(s.t, 1, s.orders(number))
		}, kind)
	})
}

// What exists is compared: the same booking is success, another person's under the Number is not.
func TestScenario08_Compared(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			slots := s.freeSlots(2)
			s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
			number, people := hospital.NewNumber(), s.hosp.Demo().Patients
			_, err := s.desk.Book(s.t.Context(), his.BookRequest{Number: number, Patient: people[0], Slot: slots[0]})
			require.NoError(s.t, err)
			_, err = s.desk.Book(s.t.Context(), his.BookRequest{Number: number, Patient: people[0], Slot: slots[0]})
			require.NoError(s.t, err, "the caller may repeat")
			_, err = s.desk.Book(s.t.Context(), his.BookRequest{Number: number, Patient: people[1], Slot: slots[0]})
			require.ErrorIs(s.t, err, hospital.ErrNumberReused)
			_, err = s.desk.Book(s.t.Context(), his.BookRequest{Number: number, Patient: people[0], Slot: slots[1]})
			require.ErrorIs(s.t, err, hospital.ErrNumberReused)
			assert.Equal(s.t, 1, s.hosp.Ledger().Executions(number))
			assert.Equal(s.t, 1, counted(s.hosp.Resources(campus.HIS, "Appointment"), func(a []byte) bool { return strings.Contains(string(a), number) }))
		}, kind)
	})
}

func (s *stage) freeSlots(n int) []hospital.Found[*r4.Slot] {
	s.t.Helper()
	var out []hospital.Found[*r4.Slot]
	demo := s.hosp.Demo()
	for department, err := range s.desk.Departments(s.t.Context()) {
		require.NoError(s.t, err)
		for doctor, err := range s.desk.Doctors(s.t.Context(), department) {
			require.NoError(s.t, err)
			for schedule, err := range s.desk.Schedules(s.t.Context(), doctor, demo.Start, demo.End) {
				require.NoError(s.t, err)
				for slot, err := range s.desk.FreeSlots(s.t.Context(), schedule, demo.Start, demo.End) {
					require.NoError(s.t, err)
					if out = append(out, slot); len(out) == n {
						return out
					}
				}
			}
		}
	}
	s.t.Fatal("no free slots")
	return nil
}

// A versioned update whose answer is lost meets itself as a conflict, and reads what is there.
func TestScenario09_VersionedUpdate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   fakes.Action
		them bool
		want hospital.Code
	}{
		"it was mine":          {do: fakes.Action{ResetAfter: true}},
		"somebody else's":      {do: fakes.Action{Delay: 100 * time.Millisecond, ResetBefore: true}, them: true, want: hospital.ErrConflict},
		"never done, so again": {do: fakes.Action{ResetBefore: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					number := hospital.NewNumber()
					there, _, err := fhir.Create(s.t.Context(), s.client.FHIR(campus.HIS), serviceRequest(number))
					require.NoError(s.t, err)
					s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "update"}, Do: c.do, Times: 1})
					other := s.another("guanggu", nil)
					rival := time.AfterFunc(50*time.Millisecond, func() {
						if c.them {
							assert.NoError(s.t, amend(s.t.Context(), other, there, "revoked"))
						}
					})
					defer rival.Stop()
					assert.Equal(s.t, c.want, hospital.CodeOf(amend(s.t.Context(), s.client, there, "completed")))
					now, _, err := fhir.Read[*r4.ServiceRequest](s.t.Context(), s.client.FHIR(campus.HIS), there.ID)
					require.NoError(s.t, err)
					assert.Equal(s.t, map[bool]string{false: "completed", true: "revoked"}[c.them], now.Status)
					assert.Equal(s.t, "2", now.Meta.VersionId, "changed once")
					retried := s.answeredAt("dc-b", "update", time.Time{})
					if c.do.ResetAfter {
						require.Len(s.t, retried, 1)
						assert.Equal(s.t, 412, retried[0].Status)
					}
				}, kind)
			})
		})
	}
}

var amendOp = hospital.Op{Name: "test.Amend", System: campus.HIS, Class: hospital.WriteClass, Repeat: hospital.Guarded}

// amend changes a request's status if its version is still the one that was seen.
func amend(ctx context.Context, c *hospital.Client, seen *r4.ServiceRequest, status string) error {
	mine := *seen
	mine.Status = status
	_, err := hospital.Write(ctx, c, amendOp, "", func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		_, resp, err := fhir.Update(ctx, f, &mine)
		return hospital.OriginOf(resp), err
	}, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		now, resp, err := fhir.Read[*r4.ServiceRequest](ctx, f, seen.ID)
		switch {
		case err != nil:
			return hospital.Origin{}, err
		case now.Meta.VersionId == seen.Meta.VersionId:
			return hospital.Origin{}, hospital.ErrNotFound
		case now.Status != mine.Status:
			return hospital.Origin{}, hospital.Refuse(hospital.ErrConflict, "changed by somebody else")
		}
		return hospital.OriginOf(resp), nil
	})
	return err
}
