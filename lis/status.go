package lis

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

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
	StageRefused     Stage = "refused"     // 已退回: the laboratory says that it will not, or could not, do it
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
	// Tasks are what the laboratory says of doing it (Task.code fulfill); none where it
	// does not know Tasks, or this search of them (404, 400).
	Tasks []*r4.Task
	// Specimens that were taken for it, rejected ones too.
	Specimens []*r4.Specimen
	// Reports on it, without their members; [Client.Report] and [Client.Reports] give
	// those. What was entered in error is not among them.
	Reports []*r4.DiagnosticReport
}

// OrderStatus (申请状态) reads an order with its specimens, reports and what the
// laboratory says of doing it.
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
	tasks, err := c.tasksFor(ctx, f, call.Patient(), items)
	if err != nil {
		return out, err
	}
	for i := range reports {
		if reports[i].Resource, _, err = report.Current(ctx, call, reports[i].Origin, reports[i].Resource, report.Headers().InError); err != nil {
			return out, err
		}
	}
	for _, item := range items {
		s := ItemStatus{Item: item.Resource, Tasks: tasks[item.Resource.ID]}
		for _, t := range specimens {
			if c.takenFor(t, item) {
				s.Specimens = append(s.Specimens, t.Resource)
			}
		}
		for _, r := range reports {
			if c.reports.On(r.Resource, r.Origin, item.Resource.ID) && call.Mine(r.Origin, r.Resource.Subject) && !report.Headers().InError(r.Resource) {
				s.Reports = append(s.Reports, r.Resource)
			}
		}
		s.Stage = s.stage()
		out.Items = append(out.Items, s)
	}
	return out, nil
}

// maxTasks bounds the Tasks on the items of one order.
const maxTasks = 5000

// tasksFor are the laboratory's Tasks, by the id of the item that each is to fulfill.
func (c *Client) tasksFor(ctx context.Context, f *fhir.Client, patient verb.Records, items []order.Item) (map[string][]*r4.Task, error) {
	ids := verb.IDs(items)
	of := func(t *r4.Task, o hospital.Origin) int {
		return slices.IndexFunc(ids, func(id string) bool { return c.client.Names(o, t.Focus, "ServiceRequest", id) })
	}
	found, err := verb.Collect(verb.Search(ctx, f, fhir.For(fhir.TaskFocus.In(ids...)), func(t *r4.Task, o hospital.Origin) bool {
		return of(t, o) >= 0 && (t.For == nil || t.For.Reference == "" || patient.Own(c.client, o, t.For))
	}), maxTasks)
	if no := (*fhir.OutcomeError)(nil); errors.Is(err, verb.ErrNoRoute) || (errors.As(err, &no) && no.Status == http.StatusBadRequest) {
		return nil, nil //nolint:nilnil // who cannot be asked for Tasks says nothing in them
	}
	out := map[string][]*r4.Task{}
	for _, t := range found {
		if r4.HasCode(t.Resource.Code, "http://hl7.org/fhir/CodeSystem/task-code", "fulfill") && t.Resource.Status != r4.TaskStatusEnteredInError {
			id := ids[of(t.Resource, t.Origin)]
			out[id] = append(out[id], t.Resource)
		}
	}
	return out, err
}

// refused: the laboratory will not do it, or could not, and nothing says that it is
// being done all the same.
func (s *ItemStatus) refused() bool {
	no := false
	for _, t := range s.Tasks {
		switch t.Status {
		case r4.TaskStatusRejected, r4.TaskStatusFailed:
			no = true
		case r4.TaskStatusCancelled:
			continue
		default:
			return false
		}
		if slices.ContainsFunc(s.Specimens, func(p *r4.Specimen) bool { return takenSince(p, verb.Updated(t)) }) {
			return false // another tube
		}
	}
	return no
}

// takenSince: was a specimen that stands collected or received after that?
func takenSince(p *r4.Specimen, then time.Time) bool {
	after := func(text string) bool {
		at, err := time.Parse(time.RFC3339, text)
		return err == nil && at.After(then)
	}
	return stands(p) && (after(p.ReceivedTime) || (p.Collection != nil && after(p.Collection.CollectedDateTime)))
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
	case s.refused():
		return StageRefused
	case slices.ContainsFunc(s.Specimens, received):
		return StageReceived
	case slices.ContainsFunc(s.Specimens, stands):
		return StageCollected
	case len(s.Specimens) > 0:
		return StageRejected
	}
	return StageOrdered
}
