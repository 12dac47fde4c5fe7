package failover

import (
	"context"
	"net/http"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Hooks observe a [Client]. Any field may be nil. They are called with no lock
// held and must return quickly; several may run at once.
type Hooks struct {
	// AttemptStart fires once before each request on the wire, retries included.
	// It may return a derived context and add headers (trace propagation).
	AttemptStart func(ctx context.Context, a Attempt, header http.Header) context.Context
	// AttemptDone fires once after each AttemptStart, with the context it returned.
	AttemptDone func(ctx context.Context, a Attempt, r Result)
	// Event fires at every change of state.
	Event func(Event)
}

// Attempt is one request about to be sent.
type Attempt struct {
	Call     *Call
	Endpoint *campus.Endpoint
	Method   string
	// N counts from 1.
	N int
	// Reason is "first", "failover" (another endpoint than before), "retry" (the same
	// one) or "hedge" (another one while the first is late).
	Reason string
}

// Result is how it ended.
type Result struct {
	Outcome Outcome
	Fault   Fault
	// Status is 0 when no answer came.
	Status   int
	Duration time.Duration
}

// Event is one change of the state of an endpoint, a store or this client.
type Event struct {
	Time time.Time
	// Endpoint, where it is and what it leads to; empty for a store or the client.
	Endpoint   campus.EndpointID
	DataCenter campus.DataCenterID
	// Store is empty for the client.
	Store campus.StoreID
	// Class is "read" or "write"; empty where both are meant.
	Class    string
	From, To State
	// Cause is the fault that led here, or "recovered", "probe" (it answered again),
	// "lease" (its canary did not come back), "time", "isolated" and "store_down" (the
	// fault was not the endpoint's), "operator", "balancer".
	Cause string
}
