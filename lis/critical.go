package lis

import (
	"context"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/critical"
)

// Critical (危急值) is a critical value.
//
//   - Task (*r4.Task) is the whole of it.
//   - Number names the notification; "" where another program gave none.
//   - Patient (campus.PatientID) as the notifier named him; zero where nobody said.
//   - Value is what must be read back.
//   - Stage ([CriticalStage]) is how far it has come.
//   - Deadline (time.Time) is until when it must be handled; zero where none was set.
//   - Steps ([]CriticalStep) that were taken, in order.
//   - Open() reports whether somebody must still do something.
//   - Overdue(now) reports whether it is open and its Deadline has passed.
type Critical = critical.Critical

// CriticalStep is one step of a critical value.
//
//   - Stage ([CriticalStage]) that it led to.
//   - By is the staff number of who took it, Terminal where, "" when nobody said.
//   - At (time.Time) is when, as who took it said.
//   - Text is what was read back, or what was done; "" when nobody said.
type CriticalStep = critical.Step

// CriticalStage is how far a critical value has come, a string.
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

// CriticalRequest is a critical value that a ward must be told of. All of it is required
// but Encounter and Terminal.
//
//   - Number names the notification; at most 32 characters, stored by the caller first.
//   - Patient (campus.PatientID) is whose value it is.
//   - Finding (hospital.Found[r4.Resource]) is an Observation or a DiagnosticReport:
//     [ResultFinding], [ReportFinding].
//   - Value is what the ward must read back, such as "K+ 7.1 mmol/L".
//   - Ward (r4.Identifier) of the Organization that must handle it.
//   - Deadline (time.Time) is until when it must be handled.
//   - By is the staff number of who notifies; Terminal is where, "" is nowhere.
//   - Encounter (r4.Identifier) is the visit's number; zero is none.
type CriticalRequest = critical.Request

// CriticalAcknowledgement is one step of a critical value.
//
//   - Number of the notification. Required.
//   - By is the staff number of who takes the step. Required.
//   - Text is what was read back (ReceiveCritical) or done (HandleCritical): both required.
//   - Terminal is where: a workstation, a telephone; "" is nowhere.
//   - At (time.Time) is when; zero is now.
type CriticalAcknowledgement = critical.Acknowledgement

// CriticalChange is what a sweep found: Kind is one of [CriticalIsNew] and its like, Resource
// ([*Critical]) is what it is about, as it is now, and Origin who answered.
type CriticalChange = critical.Change

// Kinds of changes that a sweep finds.
const (
	// CriticalIsNew was first seen by this sweep.
	CriticalIsNew = critical.IsNew
	// CriticalIsAdvanced means that somebody took a step.
	CriticalIsAdvanced = critical.IsAdvanced
	// CriticalIsOverdue means that its deadline has passed; it is told once.
	CriticalIsOverdue = critical.IsOverdue
	// CriticalIsGone was handled, withdrawn, or given to another ward.
	CriticalIsGone = critical.IsGone
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
// another patient's, hospital.ErrRefused when it was entered in error,
// hospital.ErrConflict when it was corrected since it was read,
// hospital.ErrInvalidArgument when nobody knows the ward.
func (c *Client) NotifyCritical(ctx context.Context, r CriticalRequest, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.Notify(ctx, r, opts...)
}

// ReceiveCritical (危急值接收) records that the ward has taken a critical value and read it
// back: Text must be the value, spaces apart, or it is hospital.ErrRefused with the reason
// [RefusedReadBack]. Repeating it with the same words is success for the same person; else,
// or when it is not its turn, or was withdrawn, it is hospital.ErrConflict.
// hospital.ErrNotFound when there is no such notification, hospital.ErrInvalidArgument
// without By or Text.
//
// Where versions are no proved guard (campus.Contract.Versioning), of two steps at the
// very same moment one may overwrite the other: that holds for all steps.
func (c *Client) ReceiveCritical(ctx context.Context, a CriticalAcknowledgement, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.Receive(ctx, a, opts...)
}

// SeeCritical (危急值医生知晓) records that the doctor has seen a critical value, as
// [Client.ReceiveCritical] records its receipt: hospital.ErrConflict before that. Text may
// be empty.
func (c *Client) SeeCritical(ctx context.Context, a CriticalAcknowledgement, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.See(ctx, a, opts...)
}

// HandleCritical (危急值处置) records what was done about a critical value and ends it, as
// [Client.ReceiveCritical] records its receipt: hospital.ErrConflict before a doctor has
// seen it. Text is what was done.
func (c *Client) HandleCritical(ctx context.Context, a CriticalAcknowledgement, opts ...hospital.WriteOption) (hospital.Found[*Critical], error) {
	return c.board.Handle(ctx, a, opts...)
}

// CriticalOf (查危急值) reads the critical value of a Number: hospital.ErrNotFound when
// there is none, hospital.ErrConflict when two carry it.
func (c *Client) CriticalOf(ctx context.Context, number string, opts ...hospital.ReadOption) (hospital.Found[*Critical], error) {
	return c.board.Find(ctx, number, opts...)
}

// OpenCriticals (未处置危急值) lists all critical values of a ward that are not handled, the
// nearest deadline first, those without one before all. It is all of them or an error:
// where several campuses are asked, one that did not answer is an error
// (hospital.ErrPartial) beside what the others have, and a ward that nobody knows is
// hospital.ErrInvalidArgument; no answer looks like "none". The zero Identifier is every
// ward.
func (c *Client) OpenCriticals(ctx context.Context, ward r4.Identifier, opts ...hospital.ReadOption) ([]hospital.Found[*Critical], error) {
	return c.board.Open(ctx, ward, opts...)
}

// OverdueCriticals (超时危急值) is [Client.OpenCriticals] of those whose deadline has passed,
// with its errors: hospital.ErrPartial, hospital.ErrInvalidArgument.
func (c *Client) OverdueCriticals(ctx context.Context, ward r4.Identifier, opts ...hospital.ReadOption) ([]hospital.Found[*Critical], error) {
	return c.board.Overdue(ctx, ward, opts...)
}

// SweepCriticals (危急值巡检) looks at a ward's open critical values again and again, every
// 30 s where every is zero or less, and yields what has changed: everything open at
// first, then what is new, was advanced, became overdue, or is gone. A look that fails
// is yielded as an error and the sweep goes on: until it succeeds the screen must say
// that nothing is known of what came meanwhile, with hospital.ErrPartial of what came at
// the campuses that are silent. hospital.CodeOf tells what failed;
// hospital.ErrInvalidArgument will not pass by itself. It ends with ctx, without an error,
// or with the loop.
func (c *Client) SweepCriticals(ctx context.Context, ward r4.Identifier, every time.Duration, opts ...hospital.ReadOption) iter.Seq2[CriticalChange, error] {
	return c.board.Sweep(ctx, ward, every, opts...)
}
