package hospital_test

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// pass lets time go by.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // synctest bubble, or the rhythm of a scene on sockets

// document is a description as a source brings it.
func document(d campus.Description) string {
	text, _ := hospital.Document(d)
	return string(text)
}

// onlyHIS leaves the other systems out, for scenes that read descriptions, or make
// clients, by the thousand.
func onlyHIS(d campus.Description) campus.Description {
	d.Systems = slices.DeleteFunc(d.Systems, func(x campus.System) bool { return x.ID != campus.HIS })
	d.Stores = slices.DeleteFunc(d.Stores, func(x campus.Store) bool { return x.ID != "his" && x.ID != "his-dr" })
	d.Endpoints = slices.DeleteFunc(d.Endpoints, func(x campus.Endpoint) bool { return x.System != campus.HIS })
	return d
}

// storeIn is a store of a description, to be changed.
func storeIn(d *campus.Description, id campus.StoreID) *campus.Store {
	return &d.Stores[slices.IndexFunc(d.Stores, func(x campus.Store) bool { return x.ID == id })]
}

// following makes a client follow documents, beginning with the group as it is.
func following(docs *documents, seen *events, state string) func(cfg *hospital.Config) {
	return func(cfg *hospital.Config) {
		docs.set(document(cfg.Topology), nil)
		cfg.Source, cfg.SourceEvery, cfg.StateDir, cfg.OnTopology = docs, time.Second, state, seen.add
	}
}

// asked are the requests answered since a time that f accepts.
func (s *stage) asked(since time.Time, f func(fakes.Entry) bool) []fakes.Entry {
	return slices.DeleteFunc(s.hosp.Ledger().Entries(), func(e fakes.Entry) bool { return e.Time.Before(since) || !f(e) })
}

// writing is a request that writes, at one of the data centres.
func writing(dcs ...campus.DataCenterID) func(fakes.Entry) bool {
	return func(e fakes.Entry) bool {
		return slices.Contains(dcs, e.DataCenter) && slices.Contains([]string{"create", "update", "patch", "delete", "transaction"}, e.Interaction)
	}
}

// ended are the events that led an endpoint, or a store, to a state since a time.
func (s *stage) ended(since time.Time, in failover.State) []failover.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e failover.Event) bool { return e.Time.Before(since) || e.To != in })
}

// strong reads an order from the store that is written, now.
func strong(ctx context.Context, c *hospital.Client, number string) (hospital.Origin, error) {
	op := hospital.Op{Name: "test.Strong", System: campus.HIS, Consistency: hospital.Strong}
	return hospital.Read(ctx, c, op, findOrder(number))
}

const paymentSystem = "urn:hospital-go:test-payment"

// payOp may never be sent twice: the server knows nothing of its number.
var payOp = hospital.Op{Name: "test.Pay", System: campus.HIS, Class: hospital.Settle, Repeat: hospital.Unsafe}

// pay takes money.
func pay(ctx context.Context, c *hospital.Client, number string) (hospital.Origin, error) {
	return hospital.Write(ctx, c, payOp, number, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		_, resp, err := fhir.Create(ctx, f, payment(number))
		return hospital.OriginOf(resp), err
	}, findPayment(number))
}

func payment(number string) *r4.PaymentReconciliation {
	return &r4.PaymentReconciliation{
		Identifier: []r4.Identifier{{System: paymentSystem, Value: number}}, Status: "active", Created: "2026-01-01",
		PaymentDate: "2026-01-01", PaymentAmount: &r4.Money{Value: "80.00", Currency: "CNY"},
	}
}

func findPayment(number string) hospital.Step[hospital.Origin] {
	return func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.PaymentReconciliation](paymentSystem, number))) {
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

// payments is how often money was taken under a number.
func (s *stage) payments(number string) int {
	return s.hosp.Count(campus.HIS, "PaymentReconciliation", paymentSystem, number)
}

// slots are the free slots of the first doctor, as a desk lists them.
func (s *stage) slots() iter.Seq2[hospital.Found[*r4.Slot], error] {
	ctx, demo := s.t.Context(), s.hosp.Demo()
	for department, err := range s.desk.Departments(ctx) {
		require.NoError(s.t, err)
		for doctor, err := range s.desk.Doctors(ctx, department) {
			require.NoError(s.t, err)
			for schedule, err := range s.desk.Schedules(ctx, doctor, demo.Start, demo.End) {
				require.NoError(s.t, err)
				return s.desk.FreeSlots(ctx, schedule, demo.Start, demo.End)
			}
		}
	}
	require.Fail(s.t, "no schedule")
	return nil
}

// slot is a free one.
func (s *stage) slot() hospital.Found[*r4.Slot] {
	for slot, err := range s.slots() {
		require.NoError(s.t, err)
		return slot
	}
	require.Fail(s.t, "no slot")
	return hospital.Found[*r4.Slot]{}
}

// list reads all slots page by page; between is called after each of them with how
// many there have been.
func (s *stage) list(between func(n int)) (ids []string, err error) {
	op := hospital.Op{Name: "test.List", System: campus.HIS, Consistency: hospital.Strong, Class: hospital.List}
	slots := hospital.Stream(s.t.Context(), s.client, op, func(ctx context.Context, f *fhir.Client) iter.Seq2[*r4.Slot, error] {
		return fhir.Matches[*r4.Slot](fhir.Search(ctx, f, fhir.For[*r4.Slot]()))
	})
	for slot, err := range slots {
		if err != nil {
			return ids, err
		}
		ids = append(ids, slot.ID)
		between(len(ids))
	}
	return ids, nil
}

// correct changes a slot that nobody else changed meanwhile.
func (s *stage) correct(id string) (hospital.Origin, error) {
	op := hospital.Op{Name: "test.Correct", System: campus.HIS, Class: hospital.WriteClass, Repeat: hospital.Guarded}
	return hospital.Write(s.t.Context(), s.client, op, "", func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		slot, _, err := readSlot(ctx, f, id)
		if err != nil {
			return hospital.Origin{}, err
		}
		slot.Comment = "checked"
		_, resp, err := fhir.Update(ctx, f, slot)
		return hospital.OriginOf(resp), err
	}, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		slot, resp, err := readSlot(ctx, f, id)
		if err == nil && slot.Comment != "checked" {
			err = hospital.ErrNotFound
		}
		return hospital.OriginOf(resp), err
	})
}

func readSlot(ctx context.Context, f *fhir.Client, id string) (*r4.Slot, *fhir.Response, error) {
	return fhir.Read[*r4.Slot](ctx, f, id)
}
