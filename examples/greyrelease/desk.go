package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// desk is one campus's program and its load.
type desk struct {
	hosp   *fakes.Hospital
	campus campus.ID
	client *hospital.Client
	his    *his.Client

	mu      sync.Mutex
	records []record
}

// record is one call as its caller saw it.
type record struct {
	kind   string // of numbered resource: ServiceRequest or PaymentReconciliation; "" for a read
	number string
	err    error
}

func newDesk(hosp *fakes.Hospital, c campus.Campus, client *hospital.Client) *desk {
	return &desk{hosp: hosp, campus: c.ID, client: client, his: his.New(client)}
}

// work asks, orders and pays until the time is over. A call that has begun is finished.
func (d *desk) work(ctx context.Context) {
	var calls sync.WaitGroup
	for i := 0; ctx.Err() == nil; i++ {
		calls.Go(func() { d.read(i) })
		if i%5 == 0 {
			calls.Go(func() { d.note("ServiceRequest", d.order) })
		}
		if i%10 == 0 {
			calls.Go(func() { d.note("PaymentReconciliation", d.pay) })
		}
		wait(ctx, 20*time.Millisecond)
	}
	calls.Wait()
}

func (d *desk) read(i int) {
	patients := d.hosp.Demo().Patients
	_, err := d.his.Patient(context.Background(), patients[i%len(patients)])
	d.add(record{err: err})
}

func (d *desk) note(kind string, act func(ctx context.Context, number string) error) {
	number := hospital.NewNumber()
	d.add(record{kind, number, act(context.Background(), number)})
}

func (d *desk) add(r record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records = append(d.records, r)
}

func (d *desk) counts() (calls, failed int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.records {
		if r.err != nil {
			failed++
		}
	}
	return len(d.records), failed
}

const numberSystem = "urn:hospital-go:demo-number"

// order may be sent again: it carries a key that the server looks for.
func (d *desk) order(ctx context.Context, number string) error {
	op := hospital.Op{Name: "demo.Order", System: campus.HIS, Class: hospital.WriteClass, Repeat: hospital.Keyed}
	id := r4.Identifier{System: numberSystem, Value: number}
	mine := func(r r4.Resource) bool {
		o, ok := r.(*r4.ServiceRequest)
		return ok && r4.HasIdentifier(o.Identifier, numberSystem, number)
	}
	return write(ctx, d.client, op, number, "ServiceRequest", mine, func(ctx context.Context, f *fhir.Client) error {
		_, _, err := fhir.CreateIfNone(ctx, f, &r4.ServiceRequest{
			Identifier: []r4.Identifier{id}, Status: "active", Intent: "order", Subject: r4.RefTo("Patient", "1001"),
		}, id)
		return err
	})
}

// pay is never sent twice, and nothing may cut it short.
func (d *desk) pay(ctx context.Context, number string) error {
	op := hospital.Op{Name: "demo.Pay", System: campus.HIS, Class: hospital.Settle, Repeat: hospital.Unsafe}
	mine := func(r r4.Resource) bool {
		p, ok := r.(*r4.PaymentReconciliation)
		return ok && r4.HasIdentifier(p.Identifier, numberSystem, number)
	}
	return write(ctx, d.client, op, number, "PaymentReconciliation", mine, func(ctx context.Context, f *fhir.Client) error {
		_, _, err := fhir.Create(ctx, f, &r4.PaymentReconciliation{
			Identifier: []r4.Identifier{{System: numberSystem, Value: number}}, Status: "active",
			PaymentDate: "2026-01-01", Created: "2026-01-01T08:00:00+08:00", PaymentAmount: &r4.Money{Value: "12.50", Currency: "CNY"},
		})
		return err
	})
}

// write is a hospital.Write whose act is looked up by its number.
func write(ctx context.Context, c *hospital.Client, op hospital.Op, number, typ string, mine func(r4.Resource) bool, send func(context.Context, *fhir.Client) error) error {
	_, err := hospital.Write(ctx, c, op, number, func(ctx context.Context, f *fhir.Client) (bool, error) {
		return true, send(ctx, f)
	}, func(ctx context.Context, f *fhir.Client) (bool, error) {
		for page, err := range fhir.Search(ctx, f, fhir.Query{Type: typ, Params: map[string][]string{"identifier": {fhir.Token(numberSystem, number)}}}) {
			if err != nil {
				return false, err
			}
			for _, r := range page.Matches {
				if !mine(r) { // a server that ignores the filter returns everybody's
					return false, hospital.ErrFilterIgnored
				}
			}
			if len(page.Matches) > 0 {
				return true, nil
			}
		}
		return false, hospital.ErrNotFound
	})
	return err
}

// audit compares what callers were told with the hospital's own books.
func (r *release) audit(s *summary) {
	for _, d := range r.desks {
		for _, one := range d.records {
			s.Calls++
			if one.kind == "PaymentReconciliation" {
				s.Payments++
			}
			if one.err != nil {
				s.Failed++
				if errors.Is(one.err, hospital.ErrCanceled) || (one.kind == "PaymentReconciliation" && errors.Is(one.err, hospital.ErrOutcomeUnknown)) {
					s.Cancelled++
				}
			}
			if one.kind == "" {
				continue
			}
			switch n := r.hosp.Count(campus.HIS, one.kind, numberSystem, one.number); {
			case n > 1:
				s.Duplicated++
			case n == 0 && one.err == nil:
				s.Lost++
			}
		}
	}
}
