package failover

import (
	"context"
	"net/http"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Repeat is what a call declares about being sent again after an unknown
// outcome. The zero value, [Unsafe], is never sent twice.
type Repeat uint8

const (
	// Unsafe calls run at most once.
	Unsafe Repeat = iota
	// Keyed calls carry a business number the server looks for first (If-None-Exist).
	Keyed
	// Guarded calls name the version they consume (If-Match), or create an id of the client's making.
	Guarded
	// Safe calls change nothing.
	Safe
)

// String returns the name.
func (r Repeat) String() string { return [...]string{"unsafe", "keyed", "guarded", "safe"}[r] }

// Outcome is what became of an attempt.
type Outcome uint8

const (
	// Unknown means that it may have been executed. The zero value, so that nothing is
	// taken for settled by mistake.
	Unknown Outcome = iota
	// NotSent means that no byte of the request left.
	NotSent
	// NotExecuted means that the server said that it did nothing and might later.
	NotExecuted
	// Rejected means that the server understood and refused.
	Rejected
	// Committed means that the server answered as asked.
	Committed
)

// String returns the name.
func (o Outcome) String() string {
	return [...]string{"unknown", "not_sent", "not_executed", "rejected", "committed"}[o]
}

// Fault is why an attempt failed, in words fit for a metric.
type Fault string

// Faults of an attempt.
const (
	FaultNone        Fault = ""
	FaultBusy        Fault = "busy"        // the endpoint's bound of concurrency is reached
	FaultAuth        Fault = "authorize"   // no credentials could be had
	FaultDial        Fault = "dial"        // a connection was refused
	FaultDNS         Fault = "dns"         // the name was not found
	FaultUnreachable Fault = "unreachable" // nothing answered at the address, or no way led there
	FaultCertificate Fault = "certificate" // TLS: a certificate that does not hold, or no common terms
	FaultTimeout     Fault = "timeout"     // nothing came in the time given
	FaultReset       Fault = "reset"       // the connection broke after the request left
	FaultCut         Fault = "cut"         // the answer ended early
	FaultStatus      Fault = "status"      // 5xx
	FaultOverload    Fault = "overload"    // 429, or 503 with Retry-After
	FaultForeign     Fault = "foreign"     // something other than the server answered
	FaultTooLarge    Fault = "too_large"   // the answer exceeds MaxBody
	FaultCanceled    Fault = "canceled"    // the caller gave up
	FaultBody        Fault = "request"     // the request cannot be sent: its body, its headers
	FaultStale       Fault = "stale"       // a copy that may lag said "not found"
	FaultSlow        Fault = "slow"        // answers, but far later than it used to
	FaultProbe       Fault = "probe_failed"
	FaultMoved       Fault = "moved" // a read that a drain would not wait for any longer
)

// unreachable: no connection could be had.
func (f Fault) unreachable() bool {
	return f == FaultDial || f == FaultCertificate || f.local()
}

// local: it may as well be our own network.
func (f Fault) local() bool { return f == FaultDNS || f == FaultUnreachable }

// seenByProbes: a probe that succeeds says that the cause is over.
func (f Fault) seenByProbes() bool {
	return f.unreachable() || f == FaultTimeout || f == FaultReset || f == FaultProbe
}

// Verdict is what a [Classifier] makes of an answer.
type Verdict struct {
	Outcome Outcome
	// Fault is why, when the Outcome is not [Committed] and not [Rejected].
	Fault Fault
	// Empty: the answer says that there is nothing. From a copy that may lag that
	// is no answer.
	Empty bool
	// Stated: the system itself said so, in its protocol's own form; see
	// campus.Contract.RollsBackOn5xx.
	Stated bool
}

// Classifier judges an answer by protocol. body is nil for streams (MaxBody 0).
// It must not keep body.
type Classifier func(call *Call, resp *http.Response, body []byte) Verdict

// Call is one use of an operation: where it goes and what may be done to it.
type Call struct {
	System campus.SystemID
	Campus campus.ID
	Kind   campus.Kind
	// Op names the operation for telemetry and for charging: a template such as
	// "his.Book", never data.
	Op string
	// Template names the request on the wire without data: "search-type Slot".
	Template string
	// Repeat is what is declared about sending again. A read is Safe.
	Repeat Repeat
	// Creates marks a Guarded call whose guard is a client-made id rather than a version.
	Creates bool
	// AttemptTimeout bounds one attempt; zero means all that remains.
	AttemptTimeout time.Duration
	// Timeout bounds the call; zero means [DefaultTimeout]. A context's deadline that is sooner wins.
	Timeout time.Duration
	// MaxBody is how many bytes of answer, after decompression, are read inside
	// the attempt; more fails it. Zero streams the body to the caller; AttemptTimeout
	// then bounds the wait for its headers and for its first byte, and Stall each silence
	// after that. A stream that breaks off is an [*Error], good for Again.
	MaxBody int64
	// Stall is the longest silence of a stream: reading it fails with [ErrStalled].
	// Zero means [DefaultStall], negative means any.
	Stall time.Duration
	// Upload says that the request's body is long: Stall bounds each pause in which the
	// server takes nothing of it, and AttemptTimeout the wait for the answer after it.
	Upload bool
	// Classify defaults to [ClassifyHTTP].
	Classify Classifier
	// Hedge lets a Safe call whose body is bounded be asked at a second endpoint when
	// the first is later than nearly always; the first success wins.
	Hedge bool
	// Endpoint pins the call to one endpoint, as a page cursor needs. Empty for none.
	Endpoint campus.EndpointID
	// Store confines the call to endpoints of one Store, while its epoch is Epoch:
	// both come from an [Origin]. Empty for none.
	Store campus.StoreID
	Epoch int64
	// Again is how an earlier sending of the same act failed, which has surely ended, or
	// how a stream of the same answer broke off:
	// another endpoint is asked first, and when it works there, that one is to blame.
	// nil for none.
	Again *Error
	// Environment is preferred to the campus's own, so that the steps of one workflow
	// meet one version of a system. Empty means the campus's.
	Environment campus.EnvironmentID
	// After is when this caller last wrote: a copy that may be behind that is not
	// asked. Zero means never.
	After time.Time
}

func (c *Call) timeout() time.Duration {
	if c.Timeout <= 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

func (c *Call) stall() time.Duration {
	if c.Stall == 0 {
		return DefaultStall
	}
	return c.Stall
}

// DefaultTimeout bounds a call that names no time.
const DefaultTimeout = 15 * time.Second

// DefaultStall is the longest silence of a stream that names none.
const DefaultStall = 10 * time.Second

// Origin is who answered.
type Origin struct {
	Campus      campus.ID
	System      campus.SystemID
	DataCenter  campus.DataCenterID
	Environment campus.EnvironmentID
	Endpoint    campus.EndpointID
	Store       campus.StoreID
	Role        campus.Role
	// Epoch is the store's; ids, versions and cursors hold within one epoch of one store.
	Epoch int64
	// ReplicaOf is the store that the answering one copies, empty of an original: what a
	// copy answers may be behind.
	ReplicaOf campus.StoreID
	// Lag bounds how far a copy may be behind; zero, of a copy, means that nobody knows.
	Lag time.Duration
	// Drained: the endpoint is taken out, and answered because nobody else could.
	Drained bool
	// RequestID is the X-Request-Id that was sent.
	RequestID string
	// Attempts is how many requests the call took.
	Attempts int
}

type originKey struct{}

// OriginOf returns who sent resp; the zero Origin when resp did not come from a [Client].
func OriginOf(resp *http.Response) Origin {
	if resp == nil || resp.Request == nil {
		return Origin{}
	}
	o, _ := resp.Request.Context().Value(originKey{}).(Origin)
	return o
}

func withOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}
