package failover

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Errors of [Client.Do], for errors.Is. Faults of the topology
// ([campus.ErrUnknownCampus] and its like) come through as they are.
var (
	// ErrUnavailable: every endpoint was tried or out; nothing was executed.
	ErrUnavailable = errors.New("failover: no endpoint could answer; try again later")
	// ErrStoreUnavailable: the store answers 5xx at every door, as while a database
	// switches; [Error.Since] says since when. Nothing was sent. It is an ErrUnavailable.
	ErrStoreUnavailable error = unavailable("the store behind every site is down; try again after RetryAfter")
	// ErrWriteUnavailable: nobody who may take writes can be reached, or is known
	// while the role moves; nothing was executed. It is an ErrUnavailable.
	ErrWriteUnavailable error = unavailable("no site takes writes now; try again after RetryAfter")
	// ErrClientIsolated: no data centre can be reached, by faults that are rather this
	// machine's own network's. Nothing was sent. It is an ErrUnavailable.
	ErrClientIsolated error = unavailable("this machine's network leads to no data centre; check it")
	// ErrStalled: a stream fell silent for longer than [Call.Stall].
	ErrStalled = errors.New("failover: the stream fell silent; ask again")
	// ErrCut: a stream broke off before its end.
	ErrCut = errors.New("failover: the stream broke off; ask again")
	// ErrBusy: endpoints are at their bound of concurrency, and no other could answer;
	// nothing was executed.
	ErrBusy = errors.New("failover: too many calls in flight; slow down and try again")
	// ErrOutcomeUnknown: the request may have been executed; look before sending it again.
	ErrOutcomeUnknown = errors.New("failover: outcome unknown; look it up before repeating it")
	// ErrDeadline: the time given was over before an answer came; nothing was executed.
	ErrDeadline = errors.New("failover: out of time; nothing was executed")
	// ErrTooLarge: the answer exceeds [Call.MaxBody].
	ErrTooLarge = errors.New("failover: answer too large; ask for less or raise the limit")
	// ErrAuthorize: no credentials could be had for the endpoint.
	ErrAuthorize = errors.New("failover: could not authorize; check the endpoint's credentials")
	// ErrRejected: an adapter stated that its system refused.
	ErrRejected = errors.New("failover: refused by the system")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("failover: client is closed")
	// ErrBody: the request cannot be sent, or not sent again: an invalid header, a
	// body that cannot be read anew. Nothing was executed.
	ErrBody = errors.New("failover: the request cannot be sent; check its headers, and set GetBody for a body")
)

// unavailable are kinds of [ErrUnavailable].
type unavailable string

func (u unavailable) Error() string { return "failover: " + string(u) }

// Is makes errors.Is(err, ErrUnavailable) hold.
func (unavailable) Is(target error) bool { return target == ErrUnavailable }

// Error is a call that brought no answer. It never carries a URL, a header, a
// body, or the text of an error of the network.
type Error struct { //nolint:recvcheck // printing has value receivers, so that a copy prints no more than the pointer
	// Err is one of this package's errors.
	Err error
	// Outcome is the most that can have happened over all attempts.
	Outcome Outcome
	// Fault is why the deciding attempt failed.
	Fault Fault
	// Endpoint is where the deciding attempt went, empty if nowhere.
	Endpoint campus.EndpointID
	// DataCenter is where that is.
	DataCenter campus.DataCenterID
	// Store and Epoch are what is behind it.
	Store campus.StoreID
	Epoch int64
	// Status is the answer's, 0 if none came.
	Status int
	// RetryAfter is the server's wish, at most [MaxRetryAfter], or when a call may be
	// let through again; zero if nothing is known.
	RetryAfter time.Duration
	// Since is since when the store has been down; see [ErrStoreUnavailable].
	Since time.Time
	// SettledAt is when a request of unknown outcome has surely ended.
	SettledAt time.Time
	// Attempts is how many requests went out or tried to.
	Attempts int
	// Context is context.Canceled or context.DeadlineExceeded when the caller's
	// context ended the call, else nil.
	Context error

	authorize error
	doubts    []*doubt // whom to blame once the act works elsewhere
}

// AuthorizeError returns what Options.Authorize returned when that decided the
// call, else nil. It may hold a secret, and is printed by no route of e.
func (e *Error) AuthorizeError() error { return e.authorize }

// Format prints what Error does, for every verb, of a copy too.
func (e Error) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// GoString prints what Error does.
func (e Error) GoString() string { return e.Error() }

func (e *Error) Error() string {
	s := e.Err.Error()
	if e.Fault != FaultNone {
		s += fmt.Sprintf(" (%s", e.Fault)
		if e.DataCenter != "" {
			s += " at " + string(e.DataCenter)
		}
		if e.Status != 0 {
			s += fmt.Sprintf(", status %d", e.Status)
		}
		s += ")"
	}
	return s
}

// Unwrap lets errors.Is find both the kind and the context's error.
func (e *Error) Unwrap() []error {
	if e.Context == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Context}
}
