package fhir

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Operation is a call of an operation, $name (section 3.2.0).
type Operation struct {
	// Name without its $: "match".
	Name string
	// Type and ID say on what: a resource, a type (no ID), the whole system (neither).
	Type, ID string
	// Parameters are its input; nil for none.
	Parameters *r4.Parameters
	// Reads says that it changes nothing (affectsState is false), so that it may be
	// asked again anywhere. One that does not say so is never sent twice.
	Reads bool
}

// Invoke calls an operation and returns what it returns: Parameters, or the one
// resource that stands for them. Input goes in the body, never in the URL. It is
// sent wherever it is called; [Declared.Operation] tells whether the server says
// that it has it. Another type than T is [ErrUnexpected]; where T is r4.Resource
// the result may be anything, nil when the server sent no body, and an
// OperationOutcome that reports errors is [ErrUnexpected].
func Invoke[T r4.Resource](ctx context.Context, c *Client, o Operation) (T, *Response, error) {
	var none T
	if !o.valid() {
		return none, nil, ErrRequest
	}
	in := o.Parameters
	if in == nil {
		in = &r4.Parameters{}
	}
	req, err := c.requestWith(ctx, http.MethodPost, o.path(), "", in)
	if err != nil {
		return none, nil, err
	}
	i := Interaction{Name: "operation", Type: o.Type, Operation: o.Name, Expect: typeOf[T](), Reads: o.Reads}
	return sent[T](ctx, c, i, req, "")
}

func (o Operation) valid() bool {
	name := strings.ReplaceAll(o.Name, "-", "")
	return name != "" && ValidID(name) && !strings.Contains(name, ".") && len(o.Name) <= 64 &&
		(o.Type == "" || ValidType(o.Type)) && (o.ID == "" || (o.Type != "" && ValidID(o.ID)))
}

func (o Operation) path() string {
	parts := []string{o.Type, o.ID, "$" + o.Name}
	return strings.TrimLeft(strings.ReplaceAll(strings.Join(parts, "/"), "//", "/"), "/")
}

// Result is what became of one entry of a [Batch].
type Result struct {
	Status int
	// Resource is what the entry answered with, nil for nothing.
	Resource r4.Resource
	// ETag and Location as in [Response].
	ETag, Location string
	// Err is nil when the entry succeeded, an [*OutcomeError] when the server
	// refused it, [ErrUnexpected] when its answer is not one to it.
	Err error
}

// Batch sends a Bundle of type batch (section 3.1.0.11): each entry succeeds or
// fails alone, and the result has one for each, in order. A batch of reads is
// sent again like a read; any other never, and after an unknown outcome each of
// its entries is unknown. Entries are made with [Post], [Put] and [Get].
func Batch(ctx context.Context, c *Client, bundle *r4.Bundle) ([]Result, *Response, error) {
	if err := checkEntries(bundle, r4.BundleTypeBatch); err != nil {
		return nil, nil, err
	}
	req, err := c.requestWith(ctx, http.MethodPost, "", "", bundle)
	if err != nil {
		return nil, nil, err
	}
	body, resp, err := c.call(ctx, Interaction{Name: "batch", Expect: "Bundle", Reads: onlyGets(bundle)}, req)
	if err != nil {
		return nil, resp, err
	}
	answer, err := decoded[*r4.Bundle](body, resp)
	if err == nil && (answer.Type != r4.BundleTypeBatchResponse || len(answer.Entry) != len(bundle.Entry)) {
		err = fmt.Errorf("%w: not the answer to this batch", ErrUnexpected)
	}
	if err != nil {
		return nil, resp, err
	}
	out := make([]Result, len(answer.Entry))
	for i := range answer.Entry {
		out[i] = resultOf(&bundle.Entry[i], &answer.Entry[i])
	}
	return out, resp, nil
}

// Get is a batch entry that reads what path names below the base: "Patient/1001".
// A patient's number must not stand in it.
func Get(path string) r4.BundleEntry {
	return r4.BundleEntry{Request: &r4.BundleEntryRequest{Method: http.MethodGet, URL: path}}
}

func onlyGets(bundle *r4.Bundle) bool {
	for i := range bundle.Entry {
		if bundle.Entry[i].Request.Method != http.MethodGet {
			return false
		}
	}
	return true
}

func resultOf(sent, got *r4.BundleEntry) Result {
	if got.Response == nil {
		return Result{Err: fmt.Errorf("%w: an entry without response", ErrUnexpected)}
	}
	r := Result{Status: statusOf(got.Response.Status), Resource: got.Resource, ETag: got.Response.Etag}
	typ, id, _ := strings.Cut(sent.Request.URL, "/")
	r.Location = locationID(got.Response.Location, typ)
	outcome, refused := got.Response.Outcome.(*r4.OperationOutcome)
	if o, ok := got.Resource.(*r4.OperationOutcome); ok && !refused {
		outcome, refused = o, true
	}
	switch {
	case r.Status >= 400 && refused:
		r.Err = newOutcomeError(r.Status, outcome)
	case r.Status >= 400:
		r.Err = newOutcomeError(r.Status, &r4.OperationOutcome{})
	case !entrySucceeded(got.Response.Status), refused && hasError(outcome):
		r.Err = ErrUnexpected
	case sameResource(sent, got) != nil:
		r.Err = fmt.Errorf("%w: another resource", ErrUnexpected)
	case sent.Request.Method == http.MethodGet && ValidID(id) && (got.Resource == nil || got.Resource.ResourceType() != typ || got.Resource.ResourceID() != id):
		r.Err = fmt.Errorf("%w: another resource", ErrUnexpected)
	}
	if r.Err != nil {
		r.Resource = nil
	}
	return r
}
