package critical

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Acknowledgement is one step of a critical value.
type Acknowledgement struct {
	// Number of the notification; required.
	Number string
	// By is the staff number of who takes the step; required.
	By string
	// Terminal is where: a workstation, a telephone; "" is nowhere.
	Terminal string
	// At is when; the zero time is now.
	At time.Time
	// Text is what was read back, for Receive, or what was done, for Handle: both
	// required.
	Text string
}

// RefusedReadBack is the hospital.Error.Reason, beside hospital.ErrRefused, of a receipt
// whose text is not the value.
const RefusedReadBack = "what was read back is not the value; read it again"

// Receive records that the ward has taken the value and read it back:
// hospital.ErrRefused with [RefusedReadBack] when Text is another, hospital.ErrConflict
// when somebody else took the step, or the same with other words, or it is not its turn.
func (b *Board) Receive(ctx context.Context, a Acknowledgement, opts ...hospital.WriteOption) (Found, error) {
	return b.step(ctx, "ReceiveCritical", a, transition{Notified, Received, r4.TaskStatusReceived}, opts)
}

// See records that the doctor has seen it; hospital.ErrConflict as of [Board.Receive].
func (b *Board) See(ctx context.Context, a Acknowledgement, opts ...hospital.WriteOption) (Found, error) {
	return b.step(ctx, "SeeCritical", a, transition{Received, Seen, r4.TaskStatusAccepted}, opts)
}

// Handle records what was done about it, and ends it; hospital.ErrConflict as of
// [Board.Receive].
func (b *Board) Handle(ctx context.Context, a Acknowledgement, opts ...hospital.WriteOption) (Found, error) {
	return b.step(ctx, "HandleCritical", a, transition{Seen, Handled, r4.TaskStatusCompleted}, opts)
}

// transition leads from one stage to the next, with the Task's new status.
type transition struct {
	from, to Stage
	status   string
}

func (b *Board) step(ctx context.Context, name string, a Acknowledgement, t transition, opts []hospital.WriteOption) (Found, error) {
	if a.At.IsZero() {
		a.At = time.Now()
	}
	send := func(ctx context.Context, f *fhir.Client) (Found, error) {
		found, done, err := b.taken(ctx, f, a, t)
		if done || err != nil {
			return found, err
		}
		changed := found.Resource.Task
		changed.Status = t.status
		changed.LastModified = verb.Instant(a.At)
		changed.Extension = append(changed.Extension, Step{Stage: t.to, By: a.By, Terminal: a.Terminal, At: a.At, Text: a.Text}.extension())
		if fhir.ETag(changed.Meta) == "" {
			return Found{}, verb.ErrUnguarded
		}
		got, resp, err := fhir.Update(hospital.SameStore(ctx, found.Origin), f, changed)
		if err != nil {
			return Found{}, err
		}
		if got == nil || got.Status != t.status {
			return Found{}, fhir.ErrUnexpected // Write looks it up
		}
		return b.read(got, hospital.OriginOf(resp)), nil
	}
	find := func(ctx context.Context, f *fhir.Client) (Found, error) {
		found, done, err := b.taken(ctx, f, a, t)
		if err == nil && !done {
			err = hospital.ErrNotFound
		}
		return found, err
	}
	return hospital.Write(ctx, b.client, b.ops.Guarded(name), a.Number, send, find, opts...)
}

// taken finds the critical value and reports whether the step was taken by the same
// person; hospital.ErrConflict when by another, or when it is not its turn.
func (b *Board) taken(ctx context.Context, f *fhir.Client, a Acknowledgement, t transition) (Found, bool, error) {
	if a.By == "" || (t.to != Seen && strings.TrimSpace(a.Text) == "") {
		return Found{}, false, hospital.Refuse(hospital.ErrInvalidArgument, "say who takes the step, and what was read back or done")
	}
	found, err := b.byNumber(ctx, f, a.Number, verb.MaySettle)
	if err != nil {
		return Found{}, false, err
	}
	c := found.Resource
	step, taken := c.lastTo(t.to)
	switch {
	case c.Stage == Withdrawn:
		return Found{}, false, hospital.Refuse(hospital.ErrConflict, "it was withdrawn")
	case t.to == Received && !same(a.Text, c.Value):
		return Found{}, false, hospital.Refuse(hospital.ErrRefused, RefusedReadBack)
	case taken && step.By == a.By && same(a.Text, step.Text):
		return found, true, nil
	case taken && step.By == a.By:
		return Found{}, false, hospital.Refuse(hospital.ErrConflict, "this step was taken with other words; look what it says")
	case taken:
		return Found{}, false, hospital.Refuse(hospital.ErrConflict, "somebody else has taken this step")
	case c.Stage != t.from:
		return Found{}, false, hospital.Refuse(hospital.ErrConflict, "it is not this step's turn")
	}
	return found, false, nil
}

// stages in their order.
var stages = []Stage{Notified, Received, Seen, Handled}

// lastTo is the last step that led to a stage at which the value stands, or beyond: a step
// that was taken once may be undone, given back, given to another ward or opened again.
func (c *Critical) lastTo(to Stage) (last Step, taken bool) {
	if slices.Index(stages, c.Stage) < slices.Index(stages, to) {
		return Step{}, false
	}
	for _, s := range c.Steps {
		if s.Stage == to {
			last, taken = s, true
		}
	}
	return last, taken
}

// same compares texts but for space around and between their words.
func same(a, b string) bool { return slices.Equal(strings.Fields(a), strings.Fields(b)) }
