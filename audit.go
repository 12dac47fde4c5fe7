package hospital

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Purpose is why somebody acts: a code of HL7's PurposeOfUse
// (http://terminology.hl7.org/CodeSystem/v3-ActReason). Others than those below may be used.
type Purpose string

// Purposes.
const (
	Treatment      Purpose = "TREAT"
	Emergency      Purpose = "ETREAT"
	Payment        Purpose = "HPAYMT"
	Operations     Purpose = "HOPERAT"
	Research       Purpose = "HRESCH"
	PatientRequest Purpose = "PATRQT"
	// BreakGlass (紧急授权) is access beyond one's permission in an emergency. It needs
	// a Reason, and is what an auditor looks at first.
	BreakGlass Purpose = "BTG"
)

// Actor is who acts, for whom, and why: ID, Organization and Purpose are required
// where a system is audited. Packages fmt and slog print it without Reason.
type Actor struct {
	// ID is a staff number, or the name of a program that acts by itself.
	ID string
	// Organization is the legal entity it acts for.
	Organization campus.OrganizationID
	Purpose      Purpose
	// Reason in words; required for [BreakGlass]. It goes to the audit and nowhere else.
	Reason string
}

// As says who acts. Systems in Config.AuditRequired are not called without it.
func As(a Actor) Option { return optionFunc(func(o *options) { o.actor = a }) }

// Concerning says which patients a call is about, for its audit record. The verbs
// say so themselves.
func Concerning(patients ...campus.PatientID) Option {
	return optionFunc(func(o *options) {
		for _, p := range patients {
			if !slices.Contains(o.patients, p) {
				o.patients = append(o.patients, p)
			}
		}
	})
}

// Concerns adds a patient to the audit record of the call in ctx: one that turned
// up on the way, such as in a search's answer.
func Concerns(ctx context.Context, patient campus.PatientID) {
	c := callOf(ctx)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.patients, patient) {
		c.patients = append(c.patients, patient)
	}
}

// AuditStage is when a record is made.
type AuditStage string

// Stages of a call. Systems in Config.AuditRequired have both; others the second.
const (
	// AuditStarted comes before anything is sent. If it cannot be recorded nothing is.
	AuditStarted AuditStage = "started"
	// AuditEnded comes with the outcome.
	AuditEnded AuditStage = "ended"
)

// AuditRecord is what one call was: who, for whom, which verb, about which
// patient, and what came of it. It names a patient: keep it apart from logs. fmt
// and slog print it without patients and numbers; encoding/json writes all of it.
type AuditRecord struct {
	Stage AuditStage
	Time  time.Time
	// Op is the verb, "his.Book"; "fhir" and "http" are the escape hatches, of which
	// Interaction says more: "read Patient", "GET".
	Op, Interaction string
	System          campus.SystemID
	Campus          campus.ID
	Actor           Actor
	// Patients the call is about, as far as it is known; a search by name knows at its
	// end. One of whom only the record is known has the issuer urn:hospital-go:store:STORE
	// and the logical id.
	Patients []campus.PatientID
	// Number names the act of a write.
	Number string
	// RequestID is the X-Request-Id that the system's own logs have.
	RequestID string
	// Outcome is "" for success, else the error's Code. [ErrOutcomeUnknown] may have
	// happened; its Resolve makes another record.
	Outcome Code
}

// Auditor keeps an audit record. It is called in the caller's goroutine, must be
// safe for concurrent use and return only once the record is safe. An error at
// [AuditStarted] ends the call with [ErrNotAudited] before anything is sent; at
// [AuditEnded] it is too late for that, so it is logged (Config.Logger). ctx does not end with the call's.
type Auditor func(ctx context.Context, r AuditRecord) error

// String is the record without patients and numbers.
func (r AuditRecord) String() string {
	return fmt.Sprintf("%s %s %s by %s: %s", r.Stage, r.Op, r.System, r.Actor, r.Outcome.word())
}

// GoString prints what String does.
func (r AuditRecord) GoString() string { return r.String() }

// Format prints what String does, for every verb.
func (r AuditRecord) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue prints what String does.
func (r AuditRecord) LogValue() slog.Value { return slog.StringValue(r.String()) }

func (c Code) word() string {
	if c == "" {
		return "success"
	}
	return string(c)
}

func (a Actor) complete() bool {
	said := func(s string) bool { return strings.TrimSpace(s) != "" }
	return said(a.ID) && said(string(a.Organization)) && said(string(a.Purpose)) &&
		(!strings.EqualFold(string(a.Purpose), string(BreakGlass)) || said(a.Reason))
}

// String is the actor without the Reason, which may speak of a patient.
func (a Actor) String() string {
	return fmt.Sprintf("%s for %s (%s)", a.ID, a.Organization, a.Purpose)
}

// GoString prints what String does.
func (a Actor) GoString() string { return a.String() }

// Format prints what String does, for every verb.
func (a Actor) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue prints what String does.
func (a Actor) LogValue() slog.Value { return slog.StringValue(a.String()) }

// auditStart records that a call begins, where that is required, and refuses it
// where that cannot be done.
func (c *Client) auditStart(ctx context.Context, call *call, interaction string) error {
	if call.op.unaudited || !slices.Contains(c.config.AuditRequired, call.op.System) {
		return nil
	}
	if !call.actor.complete() {
		return Refuse(ErrInvalidArgument, "this system is audited: say with hospital.As who acts, for whom and why, and give a break-glass its Reason")
	}
	if err := c.record(ctx, call, AuditStarted, interaction, nil); err != nil {
		return ErrNotAudited
	}
	return nil
}

// auditEnd records what came of a call.
func (c *Client) auditEnd(ctx context.Context, call *call, interaction string, err error) {
	if call.op.unaudited || c.config.Audit == nil {
		return
	}
	if c.record(ctx, call, AuditEnded, interaction, err) != nil && c.config.Logger != nil {
		c.config.Logger.ErrorContext(ctx, "hospital audit record lost", "op", call.op.Name, "request", call.requestID)
	}
}

func (c *Client) record(ctx context.Context, call *call, stage AuditStage, interaction string, err error) error {
	call.mu.Lock()
	patients := slices.Clone(call.patients)
	call.mu.Unlock()
	return c.config.Audit(context.WithoutCancel(ctx), AuditRecord{
		Stage: stage, Time: time.Now(), Op: call.op.Name, Interaction: interaction, System: call.op.System, Campus: call.campus,
		Actor: call.actor, Patients: patients, Number: call.number, RequestID: call.requestID, Outcome: codeOf(err),
	})
}
