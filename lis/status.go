package lis

import (
	"context"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/order"
	"github.com/hospital-go/hospital/internal/report"
	"github.com/hospital-go/hospital/internal/verb"
)

// Stage is how far an item of an order has come.
type Stage string

// Stages.
const (
	StageOrdered     Stage = "ordered"     // 已申请
	StageCollected   Stage = "collected"   // 已采集
	StageReceived    Stage = "received"    // 已接收
	StageRejected    Stage = "rejected"    // 已拒收, to be collected again
	StagePreliminary Stage = "preliminary" // 报告中: partial or preliminary
	StageReported    Stage = "reported"    // 已报告
	StageCancelled   Stage = "cancelled"   // 已取消
)

// OrderStatus is an order with what became of it.
type OrderStatus struct {
	// Number is the order's requisition number.
	Number string
	// Items by line.
	Items []ItemStatus
}

// ItemStatus is an item with what became of it.
type ItemStatus struct {
	// Item is the order's item.
	Item *r4.ServiceRequest
	// Stage is the furthest that anything says of it.
	Stage Stage
	// Specimens that were taken for it, rejected ones too.
	Specimens []*r4.Specimen
	// Reports on it, without their members; [Client.Report] and [Client.Reports] give
	// those. What was entered in error is not among them.
	Reports []*r4.DiagnosticReport
}

// OrderStatus (申请状态) reads an order with its specimens and reports.
// hospital.ErrNotFound when there is no such order, hospital.ErrWrongPatient when it is
// somebody else's.
func (c *Client) OrderStatus(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[OrderStatus], error) {
	return hospital.Read(ctx, c.client, ops().Read("OrderStatus", hospital.Session, hospital.List), func(ctx context.Context, f *fhir.Client) (hospital.Found[OrderStatus], error) {
		var none hospital.Found[OrderStatus]
		placed, records, err := c.orders.Owned(ctx, f, number, patient)
		if err != nil {
			return none, err
		}
		ctx = hospital.SameStore(ctx, placed.Origin)
		status, err := c.status(ctx, f, c.reports.Of(f, records, verb.ReadAbout(opts, patient)), placed)
		return hospital.Found[OrderStatus]{Resource: status, Origin: placed.Origin}, err
	}, verb.ReadAbout(opts, patient)...)
}

func (c *Client) status(ctx context.Context, f *fhir.Client, call *report.Call, placed order.Placed) (OrderStatus, error) {
	out := OrderStatus{Number: placed.Resource.Number}
	items := make([]order.Item, len(placed.Resource.Items))
	for i, s := range placed.Resource.Items {
		items[i] = order.Item{Resource: s, Origin: placed.Origin}
	}
	specimens, err := c.specimensOf(ctx, f, call.Patient(), items)
	if err != nil {
		return out, err
	}
	reports, err := c.reports.OnItems(ctx, f, call.Patient(), items)
	if err != nil {
		return out, err
	}
	for i := range reports {
		if reports[i].Resource, _, err = report.Current(ctx, call, reports[i].Origin, reports[i].Resource, report.Headers().InError); err != nil {
			return out, err
		}
	}
	for _, item := range items {
		s := ItemStatus{Item: item.Resource}
		for _, t := range specimens {
			if c.takenFor(t, item) {
				s.Specimens = append(s.Specimens, t.Resource)
			}
		}
		for _, r := range reports {
			if c.reports.On(r.Resource, r.Origin, item.Resource.ID) && !report.Headers().InError(r.Resource) {
				s.Reports = append(s.Reports, r.Resource)
			}
		}
		s.Stage = s.stage()
		out.Items = append(out.Items, s)
	}
	return out, nil
}

// stage is the furthest that anything says of the item.
func (s *ItemStatus) stage() Stage {
	reported := func(statuses ...string) bool {
		return slices.ContainsFunc(s.Reports, func(r *r4.DiagnosticReport) bool { return slices.Contains(statuses, r.Status) })
	}
	received := func(t *r4.Specimen) bool { return stands(t) && t.ReceivedTime != "" }
	switch {
	case !order.Live(s.Item):
		return StageCancelled
	case reported(r4.DiagnosticReportStatusFinal, r4.DiagnosticReportStatusAmended, r4.DiagnosticReportStatusCorrected, r4.DiagnosticReportStatusAppended):
		return StageReported
	case reported(r4.DiagnosticReportStatusPartial, r4.DiagnosticReportStatusPreliminary):
		return StagePreliminary
	case slices.ContainsFunc(s.Specimens, received):
		return StageReceived
	case slices.ContainsFunc(s.Specimens, stands):
		return StageCollected
	case len(s.Specimens) > 0:
		return StageRejected
	}
	return StageOrdered
}
