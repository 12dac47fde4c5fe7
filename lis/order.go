package lis

import (
	"context"
	"iter"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/order"
	"github.com/hospital-go/hospital/internal/verb"
)

// OrderRequest (检验申请) is an order to be placed: Number, Patient and Items are
// required; Priority is routine, urgent, asap or stat; Encounter and Requester are
// numbers (就诊号, 工号), not logical ids.
type OrderRequest = order.Request

// OrderItem is one test that is asked for: its Code, and the kind of Specimen where
// that is known.
type OrderItem = order.Wanted

// Order is what one requisition names: its Number, and its Items by line.
type Order = order.Order

// Order (检验申请) places an order with all its items in one transaction: all of them
// or nothing. It may be repeated with the same Number, after a crash too, and happens
// once. hospital.ErrNumberReused when Number names an order of another patient, of
// other items, or one that was cancelled.
func (c *Client) Order(ctx context.Context, r OrderRequest, opts ...hospital.WriteOption) (hospital.Found[Order], error) {
	return c.orders.Place(ctx, r, opts...)
}

// CancelOrder (取消申请) cancels every item of an order that still stands, in one
// transaction. Cancelling again is success. Once a specimen was collected, the
// laboratory has begun to report, or an item was performed it is hospital.ErrRefused
// with a [Refusal]; a specimen that was rejected is none.
func (c *Client) CancelOrder(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.WriteOption) (hospital.Found[Order], error) {
	return c.orders.Cancel(ctx, number, patient, opts...)
}

// OrderOf (查申请) reads the order of a Number, for this patient: hospital.ErrNotFound
// when there is none, hospital.ErrWrongPatient when it is somebody else's.
func (c *Client) OrderOf(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[Order], error) {
	return c.orders.Find(ctx, number, patient, opts...)
}

// OrderQuery chooses orders of a patient by when they were ordered, [From, To).
type OrderQuery = order.Query

// Orders (申请列表) yields a patient's orders, the latest first, cancelled ones too. It
// may be asked across campuses.
func (c *Client) Orders(ctx context.Context, q OrderQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Order], error] {
	return c.orders.List(ctx, q, opts...)
}

// Refusal is why an order cannot be cancelled any more. It stands in
// hospital.Error.Reason beside hospital.ErrRefused.
type Refusal = order.Refusal

// Refusals.
const (
	RefusedCollected = order.RefusedCollected // 标本已采集
	RefusedReported  = order.RefusedReported  // 已开始报告
	RefusedPerformed = order.RefusedPerformed // 已执行
)

// begun refuses to cancel items that the laboratory is at work on.
func (c *Client) begun(ctx context.Context, f *fhir.Client, patient string, items []order.Item) error {
	specimens, err := c.specimensOf(ctx, f, patient, items)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(specimens, func(s tube) bool { return stands(s.Resource) }) {
		return RefusedCollected.Err()
	}
	reports, err := c.reports.OnItems(ctx, f, patient, items)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(reports, func(r header) bool { return r.Resource.Status != r4.DiagnosticReportStatusCancelled }) {
		return RefusedReported.Err()
	}
	return nil
}

type (
	tube   = hospital.Found[*r4.Specimen]
	header = hospital.Found[*r4.DiagnosticReport]
)

// maxSpecimens bounds the specimens of one patient that are looked at.
const maxSpecimens = 5000

// specimensOf finds the specimens that were taken for items. There is no search by
// Specimen.request, so all of the patient's are looked at.
func (c *Client) specimensOf(ctx context.Context, f *fhir.Client, patient string, items []order.Item) ([]tube, error) {
	q := fhir.For(fhir.SpecimenPatient.Is(patient))
	all, err := verb.Collect(verb.Search(ctx, f, q, func(s *r4.Specimen, o hospital.Origin) bool {
		return c.client.Names(o, s.Subject, "Patient", patient)
	}), maxSpecimens)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s tube) bool {
		return s.Resource.Status == r4.SpecimenStatusEnteredInError || !slices.ContainsFunc(items, func(i order.Item) bool { return c.takenFor(s, i) })
	}), nil
}

// takenFor: was the specimen taken for the item? Either may name the other.
func (c *Client) takenFor(s tube, item order.Item) bool {
	names := func(list []r4.Reference, o hospital.Origin, typ, id string) bool {
		return slices.ContainsFunc(list, func(r r4.Reference) bool { return c.client.Names(o, &r, typ, id) })
	}
	return names(s.Resource.Request, s.Origin, "ServiceRequest", item.Resource.ID) || names(item.Resource.Specimen, item.Origin, "Specimen", s.Resource.ID)
}
