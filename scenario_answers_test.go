package hospital_test

import (
	"context"
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
)

const page404, page200 = "<html>Not Found</html>", "<html>Welcome</html>"

// Something other than the system answers: that is never "not found" and never
// success; reads go elsewhere, of writes it is said that nobody knows.
func TestScenario38_ForeignAnswers(t *testing.T) {
	t.Parallel()
	outcome := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception"}]}`
	for name, do := range map[string]fakes.Action{
		"200 HTML":                  {Status: 200, Body: page200},
		"200 HTML, executed":        {Status: 200, Body: page200, Execute: true},
		"404 HTML":                  {Status: 404, Body: page404},
		"200 with an error":         {Status: 200, Body: outcome, ContentType: fhir.MediaType},
		"200 with an error, plain":  {Status: 200, Body: outcome, ContentType: "application/json", Execute: true},
		"404 without a word":        {Status: 404, Body: " ", ContentType: "text/plain"},
		"nothing behind":            {Hang: true},
		"nothing behind but an end": {ResetBefore: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					ctx, patients := s.t.Context(), s.hosp.Demo().Patients
					s.load(2 * time.Second)
					known, err := s.desk.Patient(ctx, patients[0])
					require.NoError(s.t, err)
					read := func() (*r4.Patient, error) {
						op := hospital.Op{Name: "test.ByID", System: campus.HIS}
						return hospital.Read(hospital.SameStore(ctx, known.Origin), s.client, op, byID(known.Resource.ID))
					}
					s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a"}, Do: do})
					for _, number := range []string{"P1", "P2"} { // by no verb: nobody looks whether it happened
						_, _, err := fhir.Create(ctx, s.client.FHIR(campus.HIS), payment(number))
						assert.Equal(s.t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))
					}
					_, err = pay(ctx, s.client, "P3") // by a verb: who says that it happened has seen it
					if err != nil {
						require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
					} else {
						assert.Equal(s.t, 1, s.payments("P3"))
					}
					found, err := s.desk.Patient(ctx, patients[0])
					require.NoError(s.t, err)
					assert.Equal(s.t, campus.DataCenterID("dc-b"), found.Origin.DataCenter)
					same, err := read()
					require.NoError(s.t, err)
					assert.Equal(s.t, known.Resource.ID, same.ID)
					began := time.Now()
					s.loadAt(s.client, 5*time.Second, 50, 0)
					assert.Empty(s.t, failures(s.since(began, "read")))

					s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-b"}, Do: do})
					for range 3 {
						_, err = s.desk.Patient(ctx, patients[0])
						s.neither(err)
						_, err = read()
						s.neither(err)
						_, _, err = fhir.Create(ctx, s.client.FHIR(campus.HIS), payment("P4"))
						s.neither(err)
						_, err = pay(ctx, s.client, "P5")
						s.neither(err)
					}
				}, kind)
			})
		})
	}
}

// neither success nor "not found", nor a fault that is not one of the wire.
func (s *stage) neither(err error) {
	s.t.Helper()
	assert.Contains(s.t, []hospital.Code{
		hospital.ErrForeignAnswer, hospital.ErrUnexpectedAnswer, hospital.ErrUnavailable, hospital.ErrWriteUnavailable,
		hospital.ErrDeadline, hospital.ErrOutcomeUnknown,
	}, hospital.CodeOf(err))
}

// One request makes every server answer 500, five times a second for five minutes:
// nothing is ejected, and whoever asks anything else notices nothing.
func TestScenario44_PoisonedRequest(t *testing.T) {
	t.Parallel()
	find := func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		for _, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.Flag]("urn:poison", "1"))) {
			return hospital.Origin{}, err
		}
		return hospital.Origin{}, hospital.ErrNotFound
	}
	for name, c := range map[string]struct {
		when          fakes.When
		poison        func(s *stage) error
		reads, writes int
	}{
		"a read":             {fakes.When{Type: "Flag"}, poisonRead(find), 10, 2},
		"a read, quiet day":  {fakes.When{Type: "Flag"}, poisonRead(find), 1, 1},
		"a write":            {fakes.When{Type: "Flag", Interaction: "create"}, poisonWrite, 10, 2},
		"a write, quiet day": {fakes.When{Type: "Flag", Interaction: "create"}, poisonWrite, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.hosp.Break(fakes.Rule{When: c.when, Do: fakes.Action{Status: 500}})
					s.load(5 * time.Second)
					end := make(chan struct{})
					s.beside(end, 200*time.Millisecond, func() { assert.Error(s.t, c.poison(s)) })
					s.loadAt(s.client, 5*time.Minute, c.reads, c.writes)
					close(end)
					s.noneFailed(time.Time{})
					assert.Empty(s.t, s.ended(time.Time{}, failover.Ejected), "nothing is ejected")
					assert.Empty(s.t, s.ended(time.Time{}, failover.StoreDown))
				}, kind)
			})
		})
	}
}

// beside does something again and again until end is closed.
func (s *stage) beside(end <-chan struct{}, every time.Duration, do func()) {
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				go do()
			}
		}
	}()
}

func poisonRead(find hospital.Step[hospital.Origin]) func(s *stage) error {
	return func(s *stage) error {
		_, err := hospital.Read(s.t.Context(), s.client, hospital.Op{Name: "test.Poison", System: campus.HIS}, find)
		return err
	}
}

func poisonWrite(s *stage) error {
	_, _, err := fhir.CreateIfNone(s.t.Context(), s.client.FHIR(campus.HIS), &r4.Flag{
		Identifier: []r4.Identifier{{System: "urn:poison", Value: "1"}}, Status: "active", Subject: r4.RefTo("Patient", "1001"),
	}, r4.Identifier{System: "urn:poison", Value: "1"})
	return err
}

// The site that holds a list's cursor is lost between two pages: every item comes once,
// or it is said that the list could not be continued.
func TestScenario45_Paging(t *testing.T) {
	t.Parallel()
	scenes := map[string]func(s *stage, n int){
		"forgets its cursors after the first page": func(s *stage, n int) {
			if n == 20 {
				s.hosp.Stop("dc-a")
				require.NoError(s.t, s.hosp.Start("dc-a"))
			}
		},
		"each site in turn": func(s *stage, n int) {
			switch n {
			case 20:
				s.hosp.Stop("dc-a")
			case 60:
				require.NoError(s.t, s.hosp.Start("dc-a"))
				s.hosp.Stop("dc-b")
			case 100:
				require.NoError(s.t, s.hosp.Start("dc-b"))
				s.hosp.Stop("dc-a")
			}
		},
		"lost, and what was listed changes": func(s *stage, n int) {
			if n == 20 {
				s.hosp.Stop("dc-a")
				_, err := s.correct("s4-48")
				require.NoError(s.t, err)
				_, _, err = fhir.Create(s.t.Context(), s.client.FHIR(campus.HIS), &r4.Slot{Status: "busy", Schedule: r4.RefTo("Schedule", "sch1")})
				require.NoError(s.t, err)
			}
		},
	}
	for name, page := range map[string]int{"after the first page": 20, "after the second": 40, "before the last": 180, "in the middle of one": 30} {
		scenes["lost "+name] = func(s *stage, n int) {
			if n == page {
				s.hosp.Stop("dc-a")
			}
		}
	}
	for name, scene := range scenes {
		for links, opts := range map[string][]fakes.Option{"shared names": nil, "own names": {fakes.WithOwnLinks()}} {
			t.Run(name+", "+links, func(t *testing.T) {
				t.Parallel()
				play(t, nil, func(s *stage) {
					s.load(2 * time.Second)
					whole, err := s.list(func(int) {})
					require.NoError(s.t, err)
					require.Len(s.t, whole, 192)
					began := time.Now()
					ids, err := s.list(func(n int) { scene(s, n) })
					seen := map[string]int{}
					for _, id := range ids {
						seen[id]++
						assert.Equal(s.t, 1, seen[id], "twice: %s", id)
					}
					if err != nil {
						assert.Equal(s.t, "each site in turn", name, "one loss can be continued: %v", err)
						require.ErrorIs(s.t, err, hospital.ErrPageLost)
						return
					}
					for _, id := range whole {
						assert.Equal(s.t, 1, seen[id], "skipped: %s", id)
					}
					assert.NotEmpty(s.t, s.asked(began, func(e fakes.Entry) bool { return e.DataCenter == "dc-a" }))
				}, opts...)
			})
		}
	}
}
