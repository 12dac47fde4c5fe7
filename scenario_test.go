package hospital_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// stage is a hospital, a client at campus hankou (home dc-a, peer dc-b) and the base
// load of every scenario: 50 reads and 10 writes a second. What must hold in every
// scenario is checked when it ends.
type stage struct {
	t      *testing.T
	hosp   *fakes.Hospital
	client *hospital.Client
	desk   *his.Client
	log    bytes.Buffer

	most int // attempts a call, where there are more than two sites

	mu       sync.Mutex
	results  []result
	events   []failover.Event
	calls    int // first attempts
	attempts int
	reasons  map[string]int
}

// result is what one caller of the load saw.
type result struct {
	kind   string // "read" or "write"
	number string // of a write
	began  time.Time
	took   time.Duration
	origin hospital.Origin
	err    error
}

// play runs a scene in virtual time and checks what must always hold: nothing done
// twice, at most two attempts a call, every call back in time, no patient in a log
// or an error, no goroutine left behind (the bubble would not end).
func play(t *testing.T, change func(cfg *hospital.Config), scene func(s *stage), opts ...fakes.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := raise(t, change, opts...)
		scene(s)
		s.always()
	})
}

// raise opens a stage; over loopback sockets too, outside a bubble.
func raise(t *testing.T, change func(cfg *hospital.Config), opts ...fakes.Option) *stage {
	t.Helper()
	s := &stage{t: t, hosp: fakes.NewHospital(t, opts...), reasons: map[string]int{}}
	s.client = s.another("hankou", change)
	s.desk = his.New(s.client)
	return s
}

// another opens one more client, at a campus, observed like the first.
func (s *stage) another(id campus.ID, change func(cfg *hospital.Config)) *hospital.Client {
	s.t.Helper()
	cfg := s.hosp.ConfigAt(id)
	cfg.Logger = slog.New(slog.NewTextHandler(&lockedWriter{stage: s}, nil))
	cfg.OnEvent = func(e failover.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, e)
	}
	cfg.OnAttempt = func(a failover.Attempt, _ failover.Result) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.attempts++
		s.reasons[a.Reason]++
		if a.N == 1 {
			s.calls++
		}
	}
	if change != nil {
		change(&cfg)
	}
	client, err := hospital.New(cfg)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

type lockedWriter struct{ stage *stage }

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.stage.mu.Lock()
	defer w.stage.mu.Unlock()
	return w.stage.log.Write(p)
}

// load is the base load for a while; every call that has begun is waited for.
func (s *stage) load(d time.Duration) { s.loadAt(s.client, d, 50, 10) }

func (s *stage) loadAt(c *hospital.Client, d time.Duration, reads, writes int) {
	var calls sync.WaitGroup
	end := time.Now().Add(d)
	for kind, rate := range map[string]int{"read": reads, "write": writes} {
		if rate == 0 {
			continue
		}
		calls.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				calls.Go(func() { s.one(c, kind, i) })
				time.Sleep(time.Second / time.Duration(rate)) //nolint:forbidigo // synctest bubble, or the load's own rhythm
			}
		})
	}
	calls.Wait()
}

func (s *stage) one(c *hospital.Client, kind string, i int) {
	r := result{kind: kind, began: time.Now()}
	if kind == "read" {
		patients := s.hosp.Demo().Patients
		var found hospital.Found[*r4.Patient]
		found, r.err = his.New(c).Patient(s.t.Context(), patients[i%len(patients)])
		r.origin = found.Origin
	} else {
		r.number = hospital.NewNumber()
		r.origin, r.err = order(s.t.Context(), c, r.number)
	}
	r.took = time.Since(r.began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = append(s.results, r)
}

const orderSystem = "urn:hospital-go:test-order"

// orderOp is a keyed write: sent once where conditional creates race, again where
// they are atomic, and looked up by its Number otherwise.
var orderOp = hospital.Op{Name: "test.Order", System: campus.HIS, Class: hospital.WriteClass, Repeat: hospital.Keyed}

// order places an order that carries a Number.
func order(ctx context.Context, c *hospital.Client, number string, opts ...hospital.WriteOption) (hospital.Origin, error) {
	return hospital.Write(ctx, c, orderOp, number, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		_, resp, err := fhir.CreateIfNone(ctx, f, &r4.ServiceRequest{
			Identifier: []r4.Identifier{{System: orderSystem, Value: number}}, Status: "active", Intent: "order", Subject: r4.RefTo("Patient", "1001"),
		}, r4.Identifier{System: orderSystem, Value: number})
		return hospital.OriginOf(resp), err
	}, findOrder(number), opts...)
}

// findOrder looks an order up.
func findOrder(number string) hospital.Step[hospital.Origin] {
	return func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.ServiceRequest](orderSystem, number))) {
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

// orders is how many of an order there are, whatever callers were told.
func (s *stage) orders(number string) int {
	return s.hosp.Count(campus.HIS, "ServiceRequest", orderSystem, number)
}

// since returns the load's results that began at or after a time, of a kind.
func (s *stage) since(t time.Time, kind string) []result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.results), func(r result) bool { return r.began.Before(t) || r.kind != kind })
}

// failures are those that failed, by code.
func failures(list []result) map[hospital.Code]int {
	out := map[hospital.Code]int{}
	for _, r := range list {
		if r.err != nil {
			out[hospital.CodeOf(r.err)]++
		}
	}
	return out
}

// slowest is the percentile of what they took.
func percentile(list []result, p float64) time.Duration {
	var took []time.Duration
	for _, r := range list {
		took = append(took, r.took)
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(p*float64(len(took))))]
}

// firstOf is the first result that f accepts.
func firstOf(list []result, f func(result) bool) (result, bool) {
	i := slices.IndexFunc(list, f)
	if i < 0 {
		return result{}, false
	}
	return list[i], true
}

func from(dc campus.DataCenterID) func(result) bool {
	return func(r result) bool { return r.err == nil && r.origin.DataCenter == dc }
}

// status of one HIS endpoint.
func (s *stage) status(dc campus.DataCenterID) failover.EndpointStatus {
	for _, st := range s.client.Status() {
		if st.System == campus.HIS && st.DataCenter == dc {
			return st
		}
	}
	return failover.EndpointStatus{}
}

func (s *stage) happened(from, to failover.State) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, e := range s.events {
		if e.From == from && e.To == to {
			n++
		}
	}
	return n
}

// always checks what holds in every scenario.
func (s *stage) always() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Empty(s.t, s.hosp.Ledger().Doubled(), "executed twice")
	assert.LessOrEqual(s.t, s.attempts, max(s.most, 2)*s.calls+2, "attempts")
	for _, r := range s.results {
		limit := 5 * time.Second
		if r.kind == "write" {
			limit = 15 * time.Second
		}
		assert.LessOrEqual(s.t, r.took, limit+50*time.Millisecond, "%s of %s", r.kind, r.began)
		if r.err != nil {
			var typed *hospital.Error
			assert.ErrorAs(s.t, r.err, &typed) //nolint:testifylint // the others are looked at too
			s.silent(fmt.Sprintf("%v %+v %q", r.err, r.err, errors.Unwrap(r.err)))
		}
		if r.kind == "write" && r.err == nil { // wherever, and whatever was restored since
			assert.Equal(s.t, 1, s.hosp.Ledger().Executions(r.number), "an order that was reported placed")
		}
	}
	s.silent(s.log.String())
}

// silent: no name, number or identifier system of a patient.
func (s *stage) silent(text string) {
	s.t.Helper()
	for _, id := range s.hosp.Demo().Patients {
		if strings.Contains(text, id.Value) || strings.Contains(text, id.Issuer) {
			s.t.Errorf("a patient's number in: %s", text)
		}
	}
	assert.NotContains(s.t, text, "张三丰")
}
