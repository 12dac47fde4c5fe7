package fhir

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Create posts a new resource (section 3.1.0.6). The server assigns the id; what
// comes back is the zero T when it sent no body. A create is not safe to repeat:
// prefer [CreateIfNone].
func Create[T r4.Resource](ctx context.Context, c *Client, resource T) (T, *Response, error) {
	return create(ctx, c, resource, "")
}

// CreateIfNone creates the resource unless one matches the identifier (a
// conditional create, section 3.1.0.6.1). Status 201 means created, 200 that one
// was there: compare it, it may be another's. [ErrPrecondition] means that
// several were. Whether two requests at once can both create is the server's
// contract, not the header's.
func CreateIfNone[T r4.Resource](ctx context.Context, c *Client, resource T, identifier r4.Identifier) (T, *Response, error) {
	query := IdentifierQuery(identifier)
	if query == "" || typeOfResource(resource) == "" || !carries(resource, identifier) {
		var none T
		return none, nil, fmt.Errorf("%w: an identifier needs system and value, and the resource must carry it", ErrRequest)
	}
	return create(ctx, c, resource, query)
}

// carries: is the identifier among those of the resource? Else what is made once
// is not found the second time.
func carries(resource r4.Resource, identifier r4.Identifier) bool {
	data, err := r4.Marshal(resource)
	if err != nil {
		return false
	}
	same := func(i r4.Identifier) bool { return i.System == identifier.System && i.Value == identifier.Value }
	var many struct {
		Identifier       []r4.Identifier
		MasterIdentifier r4.Identifier // of documents, which the parameter identifier finds too
	}
	if json.Unmarshal(data, &many) == nil {
		return slices.ContainsFunc(many.Identifier, same) || same(many.MasterIdentifier)
	}
	var one struct{ Identifier r4.Identifier }
	return json.Unmarshal(data, &one) == nil && same(one.Identifier)
}

// IdentifierQuery is the search that finds exactly this identifier, for
// If-None-Exist; "" when a part is missing or holds a character that would
// change the search.
func IdentifierQuery(i r4.Identifier) string {
	token := Token(i.System, i.Value)
	if token == "" {
		return ""
	}
	return url.Values{"identifier": {token}}.Encode()
}

// Token is a search token system|value (section 3.1.1.4.10), "" when a part is
// missing or holds a character that would change the search.
func Token(system, value string) string {
	if system == "" || value == "" || strings.ContainsAny(system+value, "|,\\$") {
		return ""
	}
	return system + "|" + value
}

func create[T r4.Resource](ctx context.Context, c *Client, resource T, ifNoneExist string) (T, *Response, error) {
	var none T
	typ := typeOfResource(resource)
	if !ValidType(typ) || subsetted(resource) {
		return none, nil, ErrRequest
	}
	req, err := c.requestWith(ctx, http.MethodPost, typ, "", resource)
	if err != nil {
		return none, nil, err
	}
	if ifNoneExist != "" {
		req.Header.Set("If-None-Exist", ifNoneExist)
	}
	return sent[T](ctx, c, Interaction{Name: "create", Type: typ, Expect: typ}, req, "")
}

// subsetted: the resource came from a search with _elements or _summary and is
// not all there; written back it would delete the rest.
func subsetted(resource r4.Resource) bool {
	meta := resource.ResourceMeta()
	return meta != nil && slices.ContainsFunc(meta.Tag, func(c r4.Coding) bool { return c.Code == subsettedCode })
}

// subsettedCode marks a resource that is not all there (section 3.1.1.5.10).
const subsettedCode = "SUBSETTED"

// Update puts a resource under its id if its current version is still the one
// in resource.Meta (section 3.1.0.4, If-Match). [ErrPrecondition] means that
// somebody changed it since. A resource without a version is [ErrRequest].
func Update[T r4.Resource](ctx context.Context, c *Client, resource T) (T, *Response, error) {
	etag := ""
	if typeOfResource(resource) != "" {
		etag = ETag(resource.ResourceMeta())
	}
	if etag == "" {
		var none T
		return none, nil, fmt.Errorf("%w: an update needs the version it replaces", ErrRequest)
	}
	return put(ctx, c, resource, Interaction{}, "If-Match", etag)
}

// CreateAs puts a new resource under an id of the client's making (update as
// create, section 3.1.0.4.1). Where the server honours update-create the id is a
// lock: sending it again makes no second one.
func CreateAs[T r4.Resource](ctx context.Context, c *Client, resource T) (T, *Response, error) {
	return put(ctx, c, resource, Interaction{Creates: true}, "If-None-Match", "*")
}

func put[T r4.Resource](ctx context.Context, c *Client, resource T, i Interaction, header, value string) (T, *Response, error) {
	var none T
	i.Name, i.Type = "update", typeOfResource(resource)
	if i.Expect = i.Type; !ValidType(i.Type) || !ValidID(resource.ResourceID()) || subsetted(resource) {
		return none, nil, ErrRequest
	}
	id := resource.ResourceID()
	req, err := c.requestWith(ctx, http.MethodPut, i.Type+"/"+id, "", resource)
	if err != nil {
		return none, nil, err
	}
	req.Header.Set(header, value)
	return sent[T](ctx, c, i, req, id)
}

// Transaction sends a Bundle of type transaction (section 3.1.0.11): all of it
// happens or none. The answer has one entry for each that was sent, in order,
// each with a status that says success; anything else is [ErrUnexpected].
func Transaction(ctx context.Context, c *Client, bundle *r4.Bundle) (*r4.Bundle, *Response, error) {
	if err := checkEntries(bundle, r4.BundleTypeTransaction); err != nil {
		return nil, nil, err
	}
	req, err := c.requestWith(ctx, http.MethodPost, "", "", bundle)
	if err != nil {
		return nil, nil, err
	}
	body, resp, err := c.call(ctx, Interaction{Name: "transaction", Expect: "Bundle"}, req)
	if err != nil {
		return nil, resp, err
	}
	answer, err := decoded[*r4.Bundle](body, resp)
	if err == nil {
		err = checkTransaction(bundle, answer)
	}
	if err != nil {
		return nil, resp, err
	}
	return answer, resp, nil
}

// checkEntries: does each entry of the bundle say what to do?
func checkEntries(bundle *r4.Bundle, typ string) error {
	if bundle == nil || bundle.Type != typ || len(bundle.Entry) == 0 {
		return fmt.Errorf("%w: not a %s", ErrRequest, typ)
	}
	for i := range bundle.Entry {
		e := &bundle.Entry[i]
		if r := e.Request; r == nil || r.Method == "" || (e.Resource != nil && subsetted(e.Resource)) {
			return fmt.Errorf("%w: entry %d has no request, is not all there, or could not be guarded", ErrRequest, i)
		}
		if _, ok := targetOf(e.Request.URL); !ok {
			return fmt.Errorf("%w: entry %d names nothing below the base", ErrRequest, i)
		}
	}
	return nil
}

func checkTransaction(sent, got *r4.Bundle) error {
	if got.Type != r4.BundleTypeTransactionResponse || len(got.Entry) != len(sent.Entry) {
		return fmt.Errorf("%w: not the answer to this transaction", ErrUnexpected)
	}
	for i, e := range got.Entry {
		if e.Response == nil || !entrySucceeded(e.Response.Status) {
			return fmt.Errorf("%w: entry %d did not succeed", ErrUnexpected, i)
		}
		if err := sameResource(&sent.Entry[i], &got.Entry[i]); err != nil {
			return fmt.Errorf("%w: entry %d is another resource", err, i)
		}
		if !sameKind(&sent.Entry[i], &got.Entry[i]) {
			return fmt.Errorf("%w: entry %d is of another type", ErrUnexpected, i)
		}
	}
	return nil
}

func entrySucceeded(status string) bool {
	code := statusOf(status)
	return code == http.StatusOK || code == http.StatusCreated || code == http.StatusNoContent
}

// statusOf is the number a status line begins with, 0 when it is none.
func statusOf(status string) int {
	text, _, _ := strings.Cut(status, " ")
	code, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 {
		return 0
	}
	return code
}

// sameResource: what answers a PUT is what was put.
func sameResource(sent, got *r4.BundleEntry) error {
	t, _ := targetOf(sent.Request.URL)
	if (sent.Request.Method != http.MethodPut && sent.Request.Method != http.MethodPatch) || t.id == "" {
		return nil
	}
	if got.Resource != nil && got.Resource.ResourceType() == t.typ && got.Resource.ResourceID() != t.id {
		return ErrUnexpected
	}
	if at := locationID(got.Response.Location, t.typ); at != "" && at != t.id {
		return ErrUnexpected
	}
	return nil
}

// typeOfResource is "" for nil, also for a nil pointer in the interface.
func typeOfResource[T r4.Resource](resource T) string {
	var none T
	if any(resource) == any(none) {
		return ""
	}
	return resource.ResourceType()
}

// Post is a transaction entry that creates resource unless one with the
// identifier exists; references to fullURL (urn:uuid:...) within the transaction
// become references to it. An identifier without system or value, or one that
// resource does not carry, makes an entry that [Transaction] refuses.
func Post(resource r4.Resource, fullURL string, ifNoneExist r4.Identifier) r4.BundleEntry {
	e := r4.BundleEntry{FullUrl: fullURL, Resource: resource}
	if query := IdentifierQuery(ifNoneExist); query != "" && carries(resource, ifNoneExist) {
		e.Request = &r4.BundleEntryRequest{Method: http.MethodPost, URL: resource.ResourceType(), IfNoneExist: query}
	}
	return e
}

// Put is a transaction entry that updates resource if its version is still the
// one in its Meta. A resource without id or version makes an entry that
// [Transaction] refuses.
func Put(resource r4.Resource) r4.BundleEntry {
	e := r4.BundleEntry{Resource: resource}
	if etag := ETag(resource.ResourceMeta()); etag != "" && ValidID(resource.ResourceID()) {
		e.Request = &r4.BundleEntryRequest{Method: http.MethodPut, URL: resource.ResourceType() + "/" + resource.ResourceID(), IfMatch: etag}
	}
	return e
}
