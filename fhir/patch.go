package fhir

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hospital-go/hospital/fhir/r4"
)

// PatchMediaType is JSON Patch (RFC 6902).
const PatchMediaType = "application/json-patch+json"

// PatchStep is one operation of a JSON Patch (RFC 6902, section 4).
type PatchStep struct {
	// Op is add, remove, replace, move, copy or test.
	Op string `json:"op"`
	// Path is a JSON Pointer (RFC 6901): /name/0/family.
	Path string `json:"path"`
	// From is the source of move and copy.
	From string `json:"from,omitempty"`
	// Value of add, replace and test, as JSON.
	Value json.RawMessage `json:"value,omitempty"`
}

// unsound: not one of the six operations, or without what it needs.
func (s PatchStep) unsound() bool {
	pointer := func(p string) bool { return utf8.ValidString(p) && (p == "" || strings.HasPrefix(p, "/")) }
	switch s.Op {
	case "add", "replace", "test":
		return !pointer(s.Path) || len(s.Value) == 0
	case "move", "copy":
		return !pointer(s.Path) || !pointer(s.From) || s.From == ""
	}
	return s.Op != "remove" || !pointer(s.Path)
}

// Patch changes parts of a resource whose current version is still the one in
// resource.Meta (section 3.1.0.5). Only a server whose statement lists the
// interaction and the format is asked, else it is [ErrNotDeclared]: read, change
// and [Update] instead. [ErrPrecondition] means that somebody changed it since.
func Patch[T r4.Resource](ctx context.Context, c *Client, declared *Declared, resource T, steps []PatchStep) (T, *Response, error) {
	var none T
	typ := typeOfResource(resource)
	if !declared.Patch(typ) {
		return none, nil, ErrNotDeclared
	}
	data, err := json.Marshal(steps)
	if err != nil || len(steps) == 0 || slices.ContainsFunc(steps, PatchStep.unsound) {
		return none, nil, fmt.Errorf("%w: a patch needs steps of RFC 6902, with pointers and JSON values", ErrRequest)
	}
	req, err := c.versioned(ctx, http.MethodPatch, resource, content{PatchMediaType, data})
	if err != nil {
		return none, nil, err
	}
	return sent[T](ctx, c, Interaction{Name: "patch", Type: typ, Expect: typ}, req, resource.ResourceID())
}

// Delete removes a resource whose current version is still the one in its Meta
// (section 3.1.0.7.1, with If-Match; a server may ignore that). That it is gone
// already is success: Response.Status tells 200 or 204 from 404 and 410. A
// resource without a version is [ErrRequest].
func Delete(ctx context.Context, c *Client, resource r4.Resource) (*Response, error) {
	req, err := c.versioned(ctx, http.MethodDelete, resource, content{})
	if err != nil {
		return nil, err
	}
	body, resp, err := c.call(ctx, Interaction{Name: "delete", Type: resource.ResourceType()}, req)
	if err != nil || len(body) == 0 || resp.Status >= 400 {
		return resp, err
	}
	shown, err := r4.Unmarshal(body)
	if err != nil || (shown.ResourceType() == resource.ResourceType() && shown.ResourceID() != resource.ResourceID()) {
		return resp, fmt.Errorf("%w: another resource", ErrUnexpected)
	}
	return resp, nil
}

// UpdateIf puts the one resource that carries the identifier, or creates it (a
// conditional update, section 3.1.0.4.3). Several are [ErrPrecondition]. It
// overwrites whatever is there, so it is never sent twice. The identifier stands
// in the URL, where balancers log it, so people's records are [ErrRequest]; so is a
// resource that does not carry it. What comes back is the zero T when the server
// sent no body.
func UpdateIf[T r4.Resource](ctx context.Context, c *Client, resource T, identifier r4.Identifier) (T, *Response, error) {
	var none T
	typ, query := typeOfResource(resource), IdentifierQuery(identifier)
	if !ValidType(typ) || slices.Contains(people, typ) || query == "" || subsetted(resource) || !carries(resource, identifier) {
		return none, nil, fmt.Errorf("%w: nobody's record, and one that carries the identifier", ErrRequest)
	}
	req, err := c.requestWith(ctx, http.MethodPut, typ, query, resource)
	if err != nil {
		return none, nil, err
	}
	res, resp, err := sent[T](ctx, c, Interaction{Name: "update", Type: typ, Expect: typ}, req, "")
	if err == nil && typeOfResource(res) != "" && !carries(res, identifier) {
		return none, resp, fmt.Errorf("%w: it carries another identifier", ErrUnexpected)
	}
	return res, resp, err
}

// people are the types whose identifiers name somebody.
var people = []string{"Patient", "Person", "RelatedPerson"}

// versioned is a request to the resource at the version its Meta names.
func (c *Client) versioned(ctx context.Context, method string, resource r4.Resource, body content) (*http.Request, error) {
	if typeOfResource(resource) == "" || !ValidType(resource.ResourceType()) || !ValidID(resource.ResourceID()) || ETag(resource.ResourceMeta()) == "" {
		return nil, fmt.Errorf("%w: it needs an id and the version it is about", ErrRequest)
	}
	req, err := c.request(ctx, method, resource.ResourceType()+"/"+resource.ResourceID(), "", body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("If-Match", ETag(resource.ResourceMeta()))
	return req, nil
}
