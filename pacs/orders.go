package pacs

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

// OrderRequest (检查申请) is an imaging order to be placed.
//
//   - Number is the accession number; at most 16 characters, counted in bytes (VR SH, PS3.5
//     section 6.2), none of them | , \ or $; issued and stored by the caller first. Required.
//     hospital.NewNumber, of 32 characters, does not fit.
//   - Patient (campus.PatientID) is whom it is for. Required.
//   - Items ([]OrderItem), 1 to 99. Their order is part of what Number names.
//   - Priority is routine, urgent, asap or stat; "" is routine.
//   - Encounter (r4.Identifier) is the visit's number, not a logical id; zero is none.
//   - Requester (r4.Identifier) is the staff number of who orders; zero is nobody.
//   - Reason ([]r4.CodeableConcept) is why: diagnoses; nil is none.
//   - Authored (time.Time) is when it was ordered; zero is now.
type OrderRequest = order.Request

// OrderItem is one examination that is asked for.
//
//   - Code (r4.CodeableConcept) of the examination, with a coding or a text. Required.
//   - BodySite ([]r4.CodeableConcept) is what is examined; nil where Code says it.
//   - Note is for whoever performs it; "" is none.
//   - Specimen is for laboratories; nil.
type OrderItem = order.Wanted

// Order is what one accession number names.
//
//   - Number is the accession number; "" of an item that another program made without one.
//   - Items ([]*r4.ServiceRequest) by line. Cancelled ones (revoked) are among them, those
//     that were entered in error are not.
//   - Cancelled() reports whether no item stands any more.
type Order = order.Order

// maxAccession is what DICOM has room for (VR SH, PS3.5 section 6.2).
const maxAccession = 16

// Order (检查申请) places an order with all its items in one transaction. It may be
// repeated with the same Number, after a crash too, and happens once.
// hospital.ErrNumberReused when Number names an order of another patient, of other
// items, or one that was cancelled; hospital.ErrInvalidArgument when something required is
// missing, or Number is too long.
func (c *Client) Order(ctx context.Context, r OrderRequest, opts ...hospital.WriteOption) (hospital.Found[Order], error) {
	if len(r.Number) > maxAccession {
		return hospital.Found[Order]{}, &hospital.Error{
			Code: hospital.ErrInvalidArgument, Op: "pacs.Order", System: c.ris, Reason: "an accession number has at most 16 characters",
		}
	}
	return c.orders.Place(ctx, r, opts...)
}

// CancelOrder (取消申请) cancels every item of an order that still stands, in one
// transaction. Cancelling again is success. Once an item was performed or reported on it
// is hospital.ErrRefused with an [OrderRefusal]. Appointments for the order stay as they
// are, and so do their slots: end them with [Client.Cancel].
func (c *Client) CancelOrder(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.WriteOption) (hospital.Found[Order], error) {
	return c.orders.Cancel(ctx, number, patient, opts...)
}

// OrderOf (查申请) reads the order of an accession number, for this patient:
// hospital.ErrNotFound when there is none, hospital.ErrWrongPatient when it is somebody
// else's.
func (c *Client) OrderOf(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[Order], error) {
	return c.orders.Find(ctx, number, patient, opts...)
}

// OrderQuery chooses orders of a Patient, which is required, by when they were ordered:
// [From, To), of which a zero time does not bound.
type OrderQuery = order.Query

// Orders (申请列表) yields a patient's imaging orders, the latest first, cancelled ones
// too. It may be asked across campuses, and is then in order of each campus only.
// hospital.ErrInvalidArgument when From is not before To; hospital.ErrUnexpectedAnswer for
// more than 5000 items at a campus: ask for less time.
func (c *Client) Orders(ctx context.Context, q OrderQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Order], error] {
	return c.orders.List(ctx, q, opts...)
}

// OrderRefusal is why an order cannot be cancelled any more, a string. It stands in
// hospital.Error.Reason beside hospital.ErrRefused; its method Err makes that error.
type OrderRefusal = order.Refusal

// Refusals of [Client.CancelOrder].
const (
	RefusedReported  = order.RefusedReported  // 已开始报告
	RefusedPerformed = order.RefusedPerformed // 已执行
)

// begun refuses to cancel items on which there is a report.
func (c *Client) begun(ctx context.Context, f *fhir.Client, patient verb.Records, items []order.Item) error {
	reports, err := c.reports.OnItems(ctx, f, patient, items)
	if err == nil && slices.ContainsFunc(reports, func(r hospital.Found[*r4.DiagnosticReport]) bool {
		return r.Resource.Status != r4.DiagnosticReportStatusCancelled
	}) {
		return RefusedReported.Err()
	}
	return err
}
