package hospital

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
)

// Code says what went wrong. It is an error itself: errors.Is(err, hospital.ErrNotFound).
type Code string //nolint:errname // its values are the errors: ErrNotFound

// Codes. The text of each says what to do next.
const (
	ErrNotFound         Code = "not_found"         // nothing there
	ErrConflict         Code = "conflict"          // somebody else was first
	ErrOutcomeUnknown   Code = "outcome_unknown"   // may have happened
	ErrNumberReused     Code = "number_reused"     // the Number names another act
	ErrIdentityMismatch Code = "identity_mismatch" // the same number, another person
	ErrAmbiguousPatient Code = "ambiguous_patient" // several records of one PatientID
	ErrWrongPatient     Code = "wrong_patient"     // the answer holds another person's record
	ErrRefused          Code = "refused"           // by the system's own rules
	ErrForbidden        Code = "forbidden"         // credentials missing or not enough
	ErrNoToken          Code = "no_token"          // no credentials could be had; nothing was sent
	ErrNotAudited       Code = "not_audited"       // no audit record could be written; nothing was sent
	ErrInvalidArgument  Code = "invalid_argument"  // nothing was sent
	ErrUnknownCampus    Code = "unknown_campus"
	ErrNoEndpoint       Code = "no_endpoint"
	ErrUnavailable      Code = "unavailable"       // nothing was executed
	ErrStoreUnavailable Code = "store_unavailable" // an ErrUnavailable: nothing was sent
	ErrWriteUnavailable Code = "write_unavailable" // an ErrUnavailable: nothing was executed
	ErrClientIsolated   Code = "client_isolated"   // an ErrUnavailable: nothing was sent
	ErrBusy             Code = "busy"              // nothing was executed
	ErrDeadline         Code = "deadline"          // nothing was executed
	ErrCanceled         Code = "canceled"          // nothing was executed
	ErrStale            Code = "stale"             // only a copy that lags could answer
	ErrForeignAnswer    Code = "foreign_answer"
	ErrUnexpectedAnswer Code = "unexpected_answer"
	ErrFilterIgnored    Code = "filter_ignored"
	ErrPageLost         Code = "page_lost"
	ErrIncomplete       Code = "incomplete" // an ErrUnavailable: not all of the answer came
	ErrPartial          Code = "partial"    // a PartialError: not every campus answered
	ErrTooLarge         Code = "too_large"
	ErrClosed           Code = "closed"
	ErrInternal         Code = "internal"
)

var advice = map[Code]string{
	ErrNotFound:         "not found",
	ErrConflict:         "somebody else was first; read again and decide",
	ErrOutcomeUnknown:   "it may have happened; after RetryAfter Resolve it or repeat the call with the same Number, never under a new one",
	ErrNumberReused:     "this Number already names another act, or this one after a change; look at that before using a new one",
	ErrIdentityMismatch: "the number belongs to somebody of another name, birth date or sex; check the identity",
	ErrAmbiguousPatient: "several records carry this PatientID; have them merged",
	ErrWrongPatient:     "the answer holds another person's record and was dropped; report it to the system's operator",
	ErrRefused:          "refused by the system's rules",
	ErrForbidden:        "not permitted; check the credentials",
	ErrNoToken:          "no credentials could be had and nothing was sent; check the token server and what is registered there",
	ErrNotAudited:       "no audit record could be written and nothing was sent; check Config.Audit's store",
	ErrInvalidArgument:  "invalid argument; nothing was sent",
	ErrUnknownCampus:    "unknown campus; check the topology",
	ErrNoEndpoint:       "no endpoint may serve this for the campus; check the topology",
	ErrUnavailable:      "no site could answer; nothing was executed, try again later",
	ErrStoreUnavailable: "the system's database is down at every site; nothing was sent, try again after RetryAfter",
	ErrWriteUnavailable: "no site takes writes now; nothing was executed, try again after RetryAfter",
	ErrClientIsolated:   "this machine's network leads to no data centre; nothing was sent, check it",
	ErrBusy:             "too many calls in flight; nothing was executed, slow down",
	ErrDeadline:         "out of time; nothing was executed",
	ErrCanceled:         "canceled by the caller; nothing was executed",
	ErrStale:            "only a copy that lags could answer; try again later",
	ErrForeignAnswer:    "something other than the system answered; try again, check gateways",
	ErrUnexpectedAnswer: "the answer does not fit the question and was dropped",
	ErrFilterIgnored:    "the server ignored a search parameter; its answer was dropped",
	ErrPageLost:         "the list could not be continued; start it again",
	ErrIncomplete:       "the answer broke off and no site had the rest; what came is not all, ask again",
	ErrPartial:          "not every campus answered; what came is not all there is",
	ErrTooLarge:         "too large; ask for less or raise Config.MaxBody",
	ErrClosed:           "the client is closed",
	ErrInternal:         "unexpected failure",
}

func (c Code) Error() string {
	if text := advice[c]; text != "" {
		return "hospital: " + text
	}
	return "hospital: " + string(c)
}

// Error is every error of this package and the verbs, but for [*PartialError], which
// holds one per campus: use errors.Is and [CodeOf] there. It is safe to print by
// any route: what it prints names systems and sites, never people. Number is
// for the program; it is not printed, because some Numbers name a person.
type Error struct { //nolint:recvcheck // printing has value receivers, so that a copy prints no more than the pointer
	Code       Code
	System     campus.SystemID
	Campus     campus.ID
	DataCenter campus.DataCenterID
	// Op is the operation: "his.Book".
	Op string
	// Status is the answer's HTTP status, 0 if none came.
	Status int
	// RequestID is the X-Request-Id that the server's logs have too.
	RequestID string
	// Number names the act, for a write that has one.
	Number string
	// Attempts is how many requests the deciding step took.
	Attempts int
	// RetryAfter is the server's wish, or when a call may be let through again, zero if
	// nothing is known; of an unknown outcome at least how long the lost request may
	// still run.
	RetryAfter time.Duration
	// Since is since when the store has been down; see [ErrStoreUnavailable].
	Since time.Time
	// Reason refines ErrRefused and ErrInvalidArgument, in fixed words of a verb.
	Reason string

	cause   error
	resolve func(ctx context.Context) (bool, error)
}

// Error says what happened, where, and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("hospital: ")
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(strings.TrimPrefix(e.Code.Error(), "hospital: "))
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	var facts []string
	for _, f := range []struct{ name, value string }{
		{"system", string(e.System)}, {"campus", string(e.Campus)}, {"datacenter", string(e.DataCenter)}, {"request", e.RequestID},
	} {
		if f.value != "" {
			facts = append(facts, f.name+" "+f.value)
		}
	}
	if e.Status != 0 {
		facts = append(facts, fmt.Sprintf("status %d", e.Status))
	}
	if len(facts) > 0 {
		b.WriteString(" (" + strings.Join(facts, ", ") + ")")
	}
	return b.String()
}

// Is reports whether target is e's Code, or [ErrUnavailable] and e's Code one of its kinds.
func (e *Error) Is(target error) bool { return target == error(e.Code) || e.Code.Is(target) }

// Is makes errors.Is(ErrStoreUnavailable, ErrUnavailable) hold, and its like.
func (c Code) Is(target error) bool {
	switch c {
	case ErrStoreUnavailable, ErrWriteUnavailable, ErrClientIsolated, ErrIncomplete:
		return target == error(ErrUnavailable)
	default:
		return false
	}
}

// Unwrap returns the context's error when that ended the call, and the server's
// refusal (*fhir.OutcomeError) when there was one.
func (e *Error) Unwrap() error { return e.cause }

// Format prints what Error does, for every verb, of a copy too.
func (e Error) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// GoString prints what Error does.
func (e Error) GoString() string { return e.Error() }

// LogValue is the safe facts as a group.
func (e Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("code", string(e.Code)), slog.String("op", e.Op), slog.String("system", string(e.System)),
		slog.String("campus", string(e.Campus)), slog.String("datacenter", string(e.DataCenter)),
		slog.Int("status", e.Status), slog.String("request", e.RequestID), slog.String("reason", e.Reason),
	)
}

// MarshalJSON encodes the safe facts.
func (e Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"code": e.Code, "op": e.Op, "system": e.System, "campus": e.Campus, "datacenter": e.DataCenter,
		"status": e.Status, "request": e.RequestID, "reason": e.Reason, "attempts": e.Attempts,
	})
}

// Resolve finds out what became of a write of unknown outcome: true, it
// happened; false, it did not and no longer can. An error means that it is still
// not known: [ErrOutcomeUnknown] that the lost request may still be running, any
// other that nobody could be asked. For an error of another code it returns
// ErrInvalidArgument.
func (e *Error) Resolve(ctx context.Context) (happened bool, err error) {
	if e.resolve == nil || e.Code != ErrOutcomeUnknown {
		return false, &Error{Code: ErrInvalidArgument, Op: e.Op, Reason: "nothing to resolve"}
	}
	return e.resolve(ctx)
}

// CodeOf returns err's Code, "" for nil, [ErrPartial] for a [*PartialError] whatever its
// campuses' errors are, [ErrInternal] for an error that is not of this SDK.
func CodeOf(err error) Code { return codeOf(err) }

// codes maps the errors of the floors below. The first match wins.
var codes = []struct {
	err  error
	code Code
}{
	{failover.ErrOutcomeUnknown, ErrOutcomeUnknown},
	{failover.ErrClosed, ErrClosed},
	{failover.ErrBusy, ErrBusy},
	{failover.ErrTooLarge, ErrTooLarge},
	{failover.ErrAuthorize, ErrNoToken},
	{failover.ErrBody, ErrInvalidArgument},
	{failover.ErrRejected, ErrRefused},
	{fhir.ErrTooLarge, ErrTooLarge},
	{fhir.ErrPageLost, ErrPageLost},
	{context.Canceled, ErrCanceled},
	{failover.ErrDeadline, ErrDeadline},
	{context.DeadlineExceeded, ErrDeadline},
	{campus.ErrUnknownCampus, ErrUnknownCampus},
	{campus.ErrUnknownSystem, ErrNoEndpoint},
	{campus.ErrNoEndpoint, ErrNoEndpoint},
	{campus.ErrInvalidPatientID, ErrInvalidArgument},
	{fhir.ErrNotFound, ErrNotFound},
	{fhir.ErrGone, ErrNotFound},
	{fhir.ErrConflict, ErrConflict},
	{fhir.ErrPrecondition, ErrConflict},
	{fhir.ErrInvalid, ErrRefused},
	{fhir.ErrForeign, ErrForeignAnswer},
	{fhir.ErrFilterIgnored, ErrFilterIgnored},
	{fhir.ErrUnexpected, ErrUnexpectedAnswer},
	{fhir.ErrIncomplete, ErrUnexpectedAnswer},
	{fhir.ErrLink, ErrUnexpectedAnswer},
	{fhir.ErrCut, ErrUnavailable},
	{fhir.ErrRequest, ErrInvalidArgument},
	{failover.ErrStalled, ErrIncomplete},
	{failover.ErrCut, ErrIncomplete},
	{failover.ErrStoreUnavailable, ErrStoreUnavailable},
	{failover.ErrWriteUnavailable, ErrWriteUnavailable},
	{failover.ErrClientIsolated, ErrClientIsolated},
	{failover.ErrUnavailable, ErrUnavailable},
}

func codeOf(err error) Code {
	if err == nil {
		return ""
	}
	var partial *PartialError
	if errors.As(err, &partial) {
		return ErrPartial
	}
	var own *Error
	if errors.As(err, &own) {
		return own.Code
	}
	var code Code
	if errors.As(err, &code) {
		return code
	}
	var outcome *fhir.OutcomeError
	if errors.As(err, &outcome) && (outcome.Status == 401 || outcome.Status == 403) {
		return ErrForbidden
	}
	var lost *failover.Error
	if errors.As(err, &lost) && errors.Is(lost.Err, failover.ErrRejected) && (lost.Status == 401 || lost.Status == 403) {
		return ErrForbidden
	}
	if lost != nil && errors.Is(lost.Err, failover.ErrUnavailable) {
		switch lost.Fault {
		case failover.FaultForeign:
			return ErrForeignAnswer
		case failover.FaultStale:
			return ErrStale
		case failover.FaultOverload:
			if lost.Status == http.StatusTooManyRequests {
				return ErrBusy
			}
		default:
		}
	}
	for _, m := range codes {
		if errors.Is(err, m.err) {
			return m.code
		}
	}
	if errors.As(err, &outcome) {
		return ErrRefused
	}
	return ErrInternal
}

// wrap turns any error of a call into an *Error, once.
func wrap(err error, c *call) error {
	if err == nil {
		return nil
	}
	e := &Error{Code: codeOf(err)}
	var own *Error
	if errors.As(err, &own) && own.Code == e.Code { // and not that of one of a PartialError's campuses
		mine := *own // it may be somebody else's too
		mine.complete(c)
		return &mine
	}
	if e.Code == ErrPartial {
		e.cause = err
		e.complete(c)
		return e
	}
	var lost *failover.Error
	if errors.As(err, &lost) {
		e.DataCenter, e.Status, e.Attempts, e.RetryAfter = lost.DataCenter, lost.Status, lost.Attempts, lost.RetryAfter
		e.cause, e.Since = lost.Context, lost.Since
		if token := (*Error)(nil); errors.As(lost.AuthorizeError(), &token) {
			e.Reason, e.RetryAfter = token.Reason, token.RetryAfter
		}
		if wait := time.Until(lost.SettledAt); e.Code == ErrOutcomeUnknown && wait > e.RetryAfter {
			e.RetryAfter = wait
		}
	}
	var outcome *fhir.OutcomeError
	if errors.As(err, &outcome) {
		e.Status, e.cause = outcome.Status, outcome
	}
	if e.cause == nil && errors.Is(err, campus.ErrInvalidPatientID) {
		e.cause, e.Reason = campus.ErrInvalidPatientID, "PatientID"
	}
	e.complete(c)
	return e
}

// complete fills in what the place that made the error did not know.
func (e *Error) complete(c *call) {
	if e.Op == "" {
		e.Op = c.op.Name
	}
	if e.System == "" {
		e.System = c.op.System
	}
	if e.Campus == "" {
		e.Campus = c.campus
	}
	if e.RequestID == "" {
		e.RequestID = c.requestID
	}
}

// Refuse returns an *Error of the given code, for verbs; reason must be fixed words.
func Refuse(code Code, reason string) error { return &Error{Code: code, Reason: reason} }

// Because returns an *Error of the given code that wraps an error of the verb's own,
// for errors.As. What cause prints must name nobody.
func Because(code Code, cause error) error { return &Error{Code: code, cause: cause} }
