// Package critical is the closed loop of critical values (危急值), one implementation for
// every system that finds them: laboratory, imaging, ECG, pathology. The typed clients
// (lis, pacs) forward to a [Board].
//
//	notified ──receive, read back──▶ received ──doctor──▶ seen ──what was done──▶ handled
//	requested                        received             accepted               completed
//
// Each is one Task, whose status stands below its stage. It names the finding (focus),
// the patient (for), the ward (owner) and until when it must be handled
// (restriction.period.end); input holds the value that must be read back. Who, when and
// at which terminal stands in an extension per step, [StepURL]. A step is guarded by the
// Task's version.
package critical

import (
	"context"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Config is how a system keeps its critical values.
type Config struct {
	System campus.SystemID
	// Prefix of the operations' names: "lis" makes "lis.NotifyCritical".
	Prefix string
	// Number is the identifier system of a notification's Number.
	Number string
}

// How a Task is known as a critical value, and what it holds.
const (
	// CodeSystem is the code system of Task.code and of the types of Task.input.
	CodeSystem = "urn:hospital-go:critical-value"
	// Code is the Task's code.
	Code = "critical-value"
	// InputValue is the type of the input that holds the value to be read back.
	InputValue = "value"
	// StepURL is the extension of a step. Its parts are stage (valueCode), by, terminal
	// and text (valueString), and at (valueInstant).
	StepURL = "urn:hospital-go:critical-step"
)

// Board has the verbs. It is immutable and safe for concurrent use.
type Board struct {
	client *hospital.Client
	config Config
	ops    verb.Ops
}

// New returns the board of a system.
func New(client *hospital.Client, config Config) *Board {
	return &Board{client: client, config: config, ops: verb.Ops{System: config.System, Prefix: config.Prefix}}
}

// Stage is how far a critical value has come.
type Stage string

// Stages.
const (
	Notified Stage = "notified" // 已通知: nobody has taken it yet
	Received Stage = "received" // 已接收, read back
	Seen     Stage = "seen"     // 医生已知晓
	Handled  Stage = "handled"  // 已处置
	// Withdrawn was cancelled, or entered in error.
	Withdrawn Stage = "withdrawn" // 已撤销
)

// Critical is one critical value.
type Critical struct {
	// Task is the whole of it.
	Task *r4.Task
	// Number names the notification; "" where another program gave none.
	Number string
	// Patient as the notifier named him; zero where another program did not say.
	Patient campus.PatientID
	// Value is what must be read back.
	Value string
	// Stage is how far it has come.
	Stage Stage
	// Deadline is until when it must be handled; the zero time where none was set.
	Deadline time.Time
	// Steps that were taken, in order.
	Steps []Step

	origin hospital.Origin
}

// Step is who did what, when and where.
type Step struct {
	// Stage that it led to.
	Stage Stage
	// By is the staff number of who took it.
	By string
	// Terminal is where; "" when nobody said.
	Terminal string
	// At is when, as who took it said.
	At time.Time
	// Text is what was read back, or what was done; "" when nobody said.
	Text string
}

// Open reports whether somebody must still do something.
func (c *Critical) Open() bool { return c.Stage != Handled && c.Stage != Withdrawn }

// Overdue reports whether it is open and its Deadline is before now; one without a
// Deadline never is.
func (c *Critical) Overdue(now time.Time) bool {
	return c.Open() && !c.Deadline.IsZero() && now.After(c.Deadline)
}

// Found is a critical value and who answered with it.
type Found = hospital.Found[*Critical]

// openStatuses are all those in which somebody must still do something: a ward that
// refused one has not handled it.
var openStatuses = []string{
	r4.TaskStatusDraft, r4.TaskStatusRequested, r4.TaskStatusReceived, r4.TaskStatusAccepted, r4.TaskStatusRejected,
	r4.TaskStatusReady, r4.TaskStatusInProgress, r4.TaskStatusOnHold, r4.TaskStatusFailed,
}

// stageOf is what a status means; one nobody knows is nobody's work done.
func stageOf(status string) Stage {
	switch status {
	case r4.TaskStatusReceived:
		return Received
	case r4.TaskStatusAccepted, r4.TaskStatusInProgress:
		return Seen
	case r4.TaskStatusCompleted:
		return Handled
	case r4.TaskStatusCancelled, r4.TaskStatusEnteredInError:
		return Withdrawn
	}
	return Notified
}

func (b *Board) read(t *r4.Task, o hospital.Origin) Found {
	c := &Critical{Task: t, Stage: stageOf(t.Status), origin: o}
	c.Number, _ = r4.IdentifierValue(t.Identifier, b.config.Number)
	if t.For != nil && t.For.Identifier != nil {
		c.Patient = campus.PatientID{Issuer: t.For.Identifier.System, Value: t.For.Identifier.Value}
	}
	if t.Restriction != nil && t.Restriction.Period != nil {
		c.Deadline = verb.Point(t.Restriction.Period.End)
	}
	for i := range t.Input {
		if r4.HasCode(t.Input[i].Type, CodeSystem, InputValue) {
			c.Value = t.Input[i].ValueString
		}
	}
	for i := range t.Extension {
		if t.Extension[i].URL == StepURL {
			c.Steps = append(c.Steps, readStep(t.Extension[i].Extension))
		}
	}
	return Found{Resource: c, Origin: o}
}

func readStep(parts []r4.Extension) Step {
	var s Step
	for i := range parts {
		switch p := &parts[i]; p.URL {
		case "stage":
			s.Stage = Stage(p.ValueCode)
		case "by":
			s.By = p.ValueString
		case "terminal":
			s.Terminal = p.ValueString
		case "text":
			s.Text = p.ValueString
		case "at":
			s.At, _ = time.Parse(time.RFC3339, p.ValueInstant)
		}
	}
	return s
}

func (s Step) extension() r4.Extension {
	parts := []r4.Extension{{URL: "stage", ValueCode: string(s.Stage)}, {URL: "by", ValueString: s.By}, {URL: "at", ValueInstant: verb.Instant(s.At)}}
	if s.Terminal != "" {
		parts = append(parts, r4.Extension{URL: "terminal", ValueString: s.Terminal})
	}
	if s.Text != "" {
		parts = append(parts, r4.Extension{URL: "text", ValueString: s.Text})
	}
	return r4.Extension{URL: StepURL, Extension: parts}
}

// Find reads the critical value of a Number: hospital.ErrNotFound when there is none,
// hospital.ErrConflict when two carry it.
func (b *Board) Find(ctx context.Context, number string, opts ...hospital.ReadOption) (Found, error) {
	return hospital.Read(ctx, b.client, b.ops.Read("Critical", hospital.Strong, hospital.Quick), func(ctx context.Context, f *fhir.Client) (Found, error) {
		return b.byNumber(ctx, f, number, verb.OnlyReads)
	}, opts...)
}

// byNumber finds the Task that carries the Number: the one that stands, or, when none
// does, the one that was withdrawn.
func (b *Board) byNumber(ctx context.Context, f *fhir.Client, number string, settle bool) (Found, error) {
	if err := verb.CheckNumber(number); err != nil {
		return Found{}, err
	}
	q := fhir.For(fhir.Identifier[*r4.Task](b.config.Number, number))
	list, err := verb.Collect(verb.Search(ctx, f, q, func(t *r4.Task, _ hospital.Origin) bool {
		return r4.HasIdentifier(t.Identifier, b.config.Number, number)
	}), verb.MaxSame)
	if err != nil {
		return Found{}, err
	}
	live := slices.DeleteFunc(slices.Clone(list), func(t task) bool { return stageOf(t.Resource.Status) == Withdrawn })
	var found task
	switch {
	case len(list) == 0:
		return Found{}, hospital.ErrNotFound
	case len(live) == 0:
		found = list[0]
	case len(live) == 1:
		found = live[0]
	case !settle:
		return Found{}, errTwoLive
	default:
		if found, err = b.settle(ctx, f, live); err != nil {
			return Found{}, err
		}
	}
	verb.Concerns(ctx, b.client, found.Origin, found.Resource.For)
	return b.read(found.Resource, found.Origin), nil
}

type task = hospital.Found[*r4.Task]

var errTwoLive = hospital.Refuse(hospital.ErrConflict, "two live Tasks carry the Number; have one of them cancelled")

// settle keeps one of several Tasks of one Number, which a server that looks, then
// inserts can make of one notification, and withdraws the others, guarded by their
// versions. The earliest stays. Nothing is withdrawn that somebody has taken, or that is
// not of the same moment, patient and finding.
func (b *Board) settle(ctx context.Context, f *fhir.Client, list []task) (task, error) {
	slices.SortStableFunc(list, func(x, y task) int { return verb.Updated(x.Resource).Compare(verb.Updated(y.Resource)) })
	first := list[0]
	window := verb.Contract(b.client, first.Origin).MaxRun() + verb.ClockMargin
	for _, t := range list[1:] {
		apart := verb.Updated(t.Resource).Sub(verb.Updated(first.Resource))
		if t.Resource.Status != r4.TaskStatusRequested || verb.Updated(first.Resource).IsZero() || apart == 0 || apart > window ||
			!sameRef(t.Resource.For, first.Resource.For) || !sameRef(t.Resource.Focus, first.Resource.Focus) {
			return task{}, errTwoLive
		}
	}
	for _, t := range list[1:] {
		t.Resource.Status = r4.TaskStatusEnteredInError
		if _, _, err := fhir.Update(hospital.SameStore(ctx, t.Origin), f, t.Resource); err != nil {
			return task{}, err
		}
	}
	return first, nil
}

func sameRef(a, b *r4.Reference) bool { return a != nil && b != nil && a.Reference == b.Reference }
