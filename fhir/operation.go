package fhir

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
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

// Get is a batch entry that reads what path names below the base: "Patient/1001",
// "Patient/1001/_history/3", "Observation?patient=Patient/1001". Its answer is
// compared with it: another id, version or type is [ErrUnexpected].
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

// target is what an entry's URL names.
type target struct {
	typ, id, version string
	history, other   bool // a whole history; an operation or the like, of which nothing is known
	partial          bool // only parts were asked for
}

// targetOf reads a URL below the base; an absolute one leads who knows where.
func targetOf(text string) (target, bool) {
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || u.Fragment != "" {
		return target{}, false
	}
	t := target{partial: inPart(u.Query())}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	last := parts[len(parts)-1]
	switch {
	case strings.HasPrefix(last, "$"), len(parts) == 1 && !ValidType(last):
		t.other = true
		return t, last != ""
	case !ValidType(parts[0]):
		return t, false
	}
	t.typ = parts[0]
	if len(parts) > 1 {
		t.id = parts[1]
	}
	switch {
	case len(parts) == 2 && t.id == "_history":
		t.id, t.history = "", true
	case len(parts) == 2 && t.id == "_search":
		t.id = ""
	case len(parts) == 3 && ValidID(t.id) && ValidType(last): // a compartment
		t.typ, t.id = last, ""
	case len(parts) == 1:
	case !ValidID(t.id), len(parts) > 2 && parts[2] != "_history", len(parts) > 4:
		return t, false
	case len(parts) == 3:
		t.history = true
	case len(parts) == 4:
		t.version = parts[3]
	}
	return t, true
}

// answers: does the resource answer a GET of t?
func (t target) answers(r r4.Resource) bool {
	if r == nil || t.other {
		return r != nil
	}
	bundle, _ := r.(*r4.Bundle)
	switch {
	case t.history:
		return bundle != nil && bundle.Type == r4.BundleTypeHistory
	case t.id == "":
		return bundle != nil && bundle.Type == r4.BundleTypeSearchset && t.matches(bundle)
	case r.ResourceType() != t.typ || r.ResourceID() != t.id:
		return false
	}
	return t.version == "" || (r.ResourceMeta() != nil && r.ResourceMeta().VersionId == t.version)
}

// matches: is everything that a search found of its type?
func (t target) matches(bundle *r4.Bundle) bool {
	for i := range bundle.Entry {
		e := &bundle.Entry[i]
		if match := e.Search == nil || e.Search.Mode == "" || e.Search.Mode == r4.SearchEntryModeMatch; match &&
			(e.Resource == nil || e.Resource.ResourceType() != t.typ) {
			return false
		}
	}
	return true
}

// mark marks what came in part.
func (t target) mark(r r4.Resource) {
	if !t.partial || r == nil {
		return
	}
	markSubsetted(r)
	if bundle, ok := r.(*r4.Bundle); ok {
		for i := range bundle.Entry {
			if inner := bundle.Entry[i].Resource; inner != nil {
				markSubsetted(inner)
			}
		}
	}
}

func resultOf(sent, got *r4.BundleEntry) Result {
	if got.Response == nil {
		return Result{Err: fmt.Errorf("%w: an entry without response", ErrUnexpected)}
	}
	t, _ := targetOf(sent.Request.URL)
	r := Result{Status: statusOf(got.Response.Status), Resource: got.Resource, ETag: got.Response.Etag}
	r.Location = locationID(got.Response.Location, t.typ)
	outcome, said := got.Response.Outcome.(*r4.OperationOutcome)
	if o, ok := got.Resource.(*r4.OperationOutcome); ok && !said {
		outcome, said = o, true
	}
	if !said {
		outcome = &r4.OperationOutcome{}
	}
	switch method := sent.Request.Method; {
	case method == http.MethodDelete && isGone(r.Status, outcome):
		r.Resource = nil
	case r.Status >= 400:
		r.Err = newOutcomeError(r.Status, outcome)
	case !entrySucceeded(got.Response.Status), hasError(outcome):
		r.Err = ErrUnexpected
	case method == http.MethodGet && !t.answers(got.Resource), method != http.MethodGet && !sameKind(sent, got), sameResource(sent, got) != nil:
		r.Err = fmt.Errorf("%w: another resource", ErrUnexpected)
	}
	if r.Err != nil {
		r.Resource = nil
	}
	t.mark(r.Resource)
	return r
}

// sameKind: what answers a write is of the type that its URL names, or says how it
// went. What was sent may be of another type: a patch, an operation's input.
func sameKind(sent, got *r4.BundleEntry) bool {
	t, _ := targetOf(sent.Request.URL)
	if got.Resource == nil || t.other || t.typ == "" {
		return true
	}
	typ := got.Resource.ResourceType()
	return typ == t.typ || typ == "OperationOutcome" || (typ == "Bundle" && t.id == "" && strings.HasSuffix(sent.Request.URL, "_search"))
}
