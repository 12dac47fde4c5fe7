package lis

import (
	"context"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/critical"
)

// Critical (危急值) is a critical value: its Number, Patient, Value to be read back, Stage,
// Deadline, Steps, and the Task that holds it all.
type Critical = critical.Critical

// CriticalStep is who took a step of a critical value, when, and at which terminal.
type CriticalStep = critical.Step

// CriticalStage is how far a critical value has come.
type CriticalStage = critical.Stage

// Stages of a critical value, in order; the last is that of one that was cancelled or
// entered in error.
const (
	CriticalNotified  = critical.Notified
	CriticalReceived  = critical.Received
	CriticalSeen      = critical.Seen
	CriticalHandled   = critical.Handled
	CriticalWithdrawn = critical.Withdrawn
)

// CriticalRequest is a critical value that a ward must be told of: Number, Patient,
// Finding ([ResultFinding], [ReportFinding]), Value, Ward, Deadline and By are required.
type CriticalRequest = critical.Request

// CriticalAcknowledgement is one step: Number and By are required; Text is what was read
// back, or what was done.
type CriticalAcknowledgement = critical.Acknowledgement

// CriticalChange is what a sweep found.
type CriticalChange = critical.Change

// Kinds of changes that a sweep finds.
const (
	CriticalIsNew      = critical.IsNew
	CriticalIsAdvanced = critical.IsAdvanced
	CriticalIsOverdue  = critical.IsOverdue
	CriticalIsGone     = critical.IsGone
)

// RefusedReadBack is the hospital.Error.Reason, beside hospital.ErrRefused, when a
// critical value was not read back as it is.
const RefusedReadBack = critical.RefusedReadBack

// ResultFinding makes a result the finding of a [CriticalRequest].
func ResultFinding(r hospital.Found[Result]) hospital.Found[r4.Resource] {
	return hospital.Found[r4.Resource]{Resource: r.Resource.Observation, Origin: r.Origin}
}

// ReportFinding makes a report the finding of a [CriticalRequest].
func ReportFinding(r hospital.Found[*Report]) hospital.Found[r4.Resource] {
	out := hospital.Found[r4.Resource]{Origin: r.Origin}
	if r.Resource != nil {
		out.Resource = r.Resource.Report
	}
	return out
}

// NotifyCritical (危急值通知) tells a ward of a critical value. It may be repeated with the
// same Number and happens once; hospital.ErrNumberReused when Number names another
// notification or one that was withdrawn, hospital.ErrWrongPatient when the finding is
// another patient's, hospital.ErrRefused when it was entered in error.
func (c *Client) NotifyCritical(ctx context.Context, r CriticalRequest, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.Notify(ctx, r, opts...)
}

// ReceiveCritical (危急值接收) records that the ward has taken a critical value and read it
// back: Text must be the value, spaces apart, or it is hospital.ErrRefused with the reason
// [RefusedReadBack]. Repeating it is
// success for the same person; for another, or when it is not its turn, it is
// hospital.ErrConflict.
func (c *Client) ReceiveCritical(ctx context.Context, a CriticalAcknowledgement, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.Receive(ctx, a, opts...)
}

// SeeCritical (危急值医生知晓) records that the doctor has seen a critical value, as
// [Client.ReceiveCritical] records its receipt. Text may be empty.
func (c *Client) SeeCritical(ctx context.Context, a CriticalAcknowledgement, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.See(ctx, a, opts...)
}

// HandleCritical (危急值处置) records what was done about a critical value and ends it, as
// [Client.ReceiveCritical] records its receipt. Text is what was done.
func (c *Client) HandleCritical(ctx context.Context, a CriticalAcknowledgement, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.Handle(ctx, a, opts...)
}

// CriticalOf (查危急值) reads the critical value of a Number: hospital.ErrNotFound when
// there is none.
func (c *Client) CriticalOf(ctx context.Context, number string, opts ...hospital.ReadOption) (hospital.Found[*Critical], error) {
	return c.board.Find(ctx, number, opts...)
}

// OpenCriticals (未处置危急值) lists all critical values of a ward that are not handled, the
// nearest deadline first. It is all of them or an error: where several campuses are
// asked, one that did not answer is an error, and a ward that nobody knows is
// hospital.ErrInvalidArgument; no answer looks like "none". The zero Identifier is every
// ward.
func (c *Client) OpenCriticals(ctx context.Context, ward r4.Identifier, opts ...hospital.ReadOption) ([]hospital.Found[*Critical], error) {
	return c.board.Open(ctx, ward, opts...)
}

// OverdueCriticals (超时危急值) is [Client.OpenCriticals] of those whose deadline has passed.
func (c *Client) OverdueCriticals(ctx context.Context, ward r4.Identifier, opts ...hospital.ReadOption) ([]hospital.Found[*Critical], error) {
	return c.board.Overdue(ctx, ward, opts...)
}

// SweepCriticals (危急值巡检) looks at a ward's open critical values again and again, every
// 30 s where every is zero or less, and yields what has changed: everything open at
// first, then what is new, was advanced, became overdue, or is gone. A look that fails
// is yielded as an error and the sweep goes on: until it succeeds the screen must say
// that nothing is known of what came meanwhile. It ends with ctx, or with the loop.
func (c *Client) SweepCriticals(ctx context.Context, ward r4.Identifier, every time.Duration, opts ...hospital.ReadOption) iter.Seq2[CriticalChange, error] {
	return c.board.Sweep(ctx, ward, every, opts...)
}
