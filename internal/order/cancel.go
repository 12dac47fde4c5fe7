package order

import (
	"context"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Refusal is why an order cannot be cancelled any more. It stands in
// hospital.Error.Reason beside hospital.ErrRefused.
type Refusal string

// Refusals.
const (
	RefusedCollected Refusal = "a specimen of the order was collected already"        // 标本已采集
	RefusedReported  Refusal = "somebody has begun to report on an item of the order" // 已开始报告
	RefusedPerformed Refusal = "an item of the order was performed already"           // 已执行
)

// Err is the refusal as an error.
func (r Refusal) Err() error { return hospital.Refuse(hospital.ErrRefused, string(r)) }

// Cancel cancels every item that still stands, guarded by their versions. Cancelling again
// is success. It is hospital.ErrRefused with a [Refusal] once an item was performed, or
// whoever Config.Begun asks has begun with one.
func (d *Desk) Cancel(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.WriteOption) (Placed, error) {
	c := &cancelling{desk: d, number: number, patient: patient}
	return hospital.Write(ctx, d.client, d.ops.Guarded("CancelOrder"), number, c.send, c.find, verb.About(opts, patient)...)
}

type cancelling struct {
	desk    *Desk
	number  string
	patient campus.PatientID
}

func (c *cancelling) send(ctx context.Context, f *fhir.Client) (Placed, error) {
	placed, patient, err := c.desk.Settled(ctx, f, c.number, c.patient)
	if err != nil || placed.Resource.Cancelled() {
		return placed, err
	}
	ctx = hospital.SameStore(ctx, placed.Origin)
	stands := live(itemsOf(placed))
	if slices.ContainsFunc(stands, func(i Item) bool { return i.Resource.Status == r4.RequestStatusCompleted }) {
		return Placed{}, RefusedPerformed.Err()
	}
	if err := c.desk.begun(ctx, f, patient, stands); err != nil {
		return Placed{}, err
	}
	ended, err := c.desk.revoke(ctx, f, stands)
	if err != nil {
		return Placed{}, err
	}
	for _, e := range ended {
		at := slices.IndexFunc(placed.Resource.Items, func(s *r4.ServiceRequest) bool { return s.ID == e.Resource.ID })
		placed.Resource.Items[at] = e.Resource
	}
	return placed, nil
}

// find: the act is done when no item stands.
func (c *cancelling) find(ctx context.Context, f *fhir.Client) (Placed, error) {
	placed, _, err := c.desk.Settled(ctx, f, c.number, c.patient)
	if err == nil && !placed.Resource.Cancelled() {
		return Placed{}, hospital.ErrNotFound
	}
	return placed, err
}

func itemsOf(p Placed) []Item {
	out := make([]Item, len(p.Resource.Items))
	for i, s := range p.Resource.Items {
		out[i] = Item{Resource: s, Origin: p.Origin}
	}
	return out
}

// revoke cancels items in one transaction and returns what they are then.
func (d *Desk) revoke(ctx context.Context, f *fhir.Client, items []Item) ([]Item, error) {
	bundle := &r4.Bundle{Type: r4.BundleTypeTransaction}
	for _, i := range items {
		changed := *i.Resource
		changed.Status = r4.RequestStatusRevoked
		entry := fhir.Put(&changed)
		if entry.Request == nil {
			return nil, verb.ErrUnguarded
		}
		bundle.Entry = append(bundle.Entry, entry)
	}
	answer, resp, err := fhir.Transaction(ctx, f, bundle)
	if err != nil {
		return nil, err
	}
	out := make([]Item, len(items))
	for i := range answer.Entry {
		s, ok := answer.Entry[i].Resource.(*r4.ServiceRequest)
		if !ok || s.ID != items[i].Resource.ID || s.Status != r4.RequestStatusRevoked {
			return nil, fhir.ErrUnexpected // Write looks it up
		}
		out[i] = Item{Resource: s, Origin: hospital.OriginOf(resp)}
	}
	return out, nil
}
