package lis

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/order"
	"github.com/hospital-go/hospital/internal/verb"
)

// OrderRequest (检验申请) is an order to be placed.
//
//   - Number is the requisition's; at most 32 characters, counted in bytes, none of them
//     | , \ or $; stored by the caller first. Required.
//   - Patient (campus.PatientID) is whom it is for. Required.
//   - Items ([]OrderItem), 1 to 99. Their order is part of what Number names.
//   - Priority is routine, urgent, asap or stat; "" is routine.
//   - Encounter (r4.Identifier) is the visit's number (就诊号), not a logical id; zero is
//     none.
//   - Requester (r4.Identifier) is the staff number (工号) of who orders; zero is nobody.
//   - Reason ([]r4.CodeableConcept) is why: diagnoses; nil is none.
//   - Authored (time.Time) is when it was ordered; zero is now.
type OrderRequest = order.Request

// OrderItem is one test that is asked for.
//
//   - Code (r4.CodeableConcept) of the test, with a coding or a text. Required.
//   - Specimen (*r4.CodeableConcept) is the kind of material; nil where the laboratory
//     knows.
//   - BodySite ([]r4.CodeableConcept) is where it is taken; nil does not say.
//   - Note is for whoever performs it; "" is none.
type OrderItem = order.Wanted

// Order is what one requisition names.
//
//   - Number is the requisition's; "" of an item that another program made without one.
//   - Items ([]*r4.ServiceRequest) by line. Cancelled ones (revoked) are among them, those
//     that were entered in error are not.
//   - Cancelled() reports whether no item stands any more.
type Order = order.Order

// Order (检验申请) places an order with all its items in one transaction: all of them
// or nothing. It may be repeated with the same Number, after a crash too, and happens
// once. hospital.ErrNumberReused when Number names an order of another patient, of
// other items, or one that was cancelled; hospital.ErrInvalidArgument when something
// required is missing.
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

// OrderQuery chooses orders of a Patient, which is required, by when they were ordered:
// [From, To), of which a zero time does not bound.
type OrderQuery = order.Query

// Orders (申请列表) yields a patient's orders, the latest first, cancelled ones too. It
// may be asked across campuses, and is then in order of each campus only.
// hospital.ErrInvalidArgument when From is not before To; hospital.ErrUnexpectedAnswer for
// more than 5000 items at a campus: ask for less time.
func (c *Client) Orders(ctx context.Context, q OrderQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Order], error] {
	return c.orders.List(ctx, q, opts...)
}

// Refusal is why an order cannot be cancelled any more, a string. It stands in
// hospital.Error.Reason beside hospital.ErrRefused; its method Err makes that error.
type Refusal = order.Refusal

// Refusals.
const (
	RefusedCollected = order.RefusedCollected // 标本已采集
	RefusedReported  = order.RefusedReported  // 已开始报告
	RefusedPerformed = order.RefusedPerformed // 已执行
)

// begun refuses to cancel items that the laboratory is at work on.
func (c *Client) begun(ctx context.Context, f *fhir.Client, patient verb.Records, items []order.Item) error {
	all, err := c.specimens(ctx, f, patient)
	if err != nil {
		return err
	}
	specimens := c.takenForAny(all, items)
	if c.unseen(all, items) || slices.ContainsFunc(specimens, func(s tube) bool { return stands(s.Resource) }) {
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
func (c *Client) specimensOf(ctx context.Context, f *fhir.Client, patient verb.Records, items []order.Item) ([]tube, error) {
	all, err := c.specimens(ctx, f, patient)
	return c.takenForAny(all, items), err
}

func (c *Client) specimens(ctx context.Context, f *fhir.Client, patient verb.Records) ([]tube, error) {
	q := fhir.For(fhir.SpecimenPatient.In(patient...))
	return verb.Collect(verb.Search(ctx, f, q, func(s *r4.Specimen, o hospital.Origin) bool {
		return patient.Own(c.client, o, s.Subject)
	}), maxSpecimens)
}

func (c *Client) takenForAny(all []tube, items []order.Item) []tube {
	return slices.DeleteFunc(slices.Clone(all), func(s tube) bool {
		return s.Resource.Status == r4.SpecimenStatusEnteredInError || !slices.ContainsFunc(items, func(i order.Item) bool { return c.takenFor(s, i) })
	})
}

// unseen: does an item name a tube that is not among the patient's, because it says
// nobody's, or is known by its number only?
func (c *Client) unseen(all []tube, items []order.Item) bool {
	return slices.ContainsFunc(items, func(i order.Item) bool {
		return slices.ContainsFunc(i.Resource.Specimen, func(r r4.Reference) bool {
			return !strings.HasPrefix(r.Reference, "#") &&
				!slices.ContainsFunc(all, func(s tube) bool { return c.client.Names(i.Origin, &r, "Specimen", s.Resource.ID) })
		})
	})
}

// takenFor: was the specimen taken for the item? Either may name the other.
func (c *Client) takenFor(s tube, item order.Item) bool {
	names := func(list []r4.Reference, o hospital.Origin, typ, id string) bool {
		return slices.ContainsFunc(list, func(r r4.Reference) bool { return c.client.Names(o, &r, typ, id) })
	}
	return names(s.Resource.Request, s.Origin, "ServiceRequest", item.Resource.ID) || names(item.Resource.Specimen, item.Origin, "Specimen", s.Resource.ID)
}
