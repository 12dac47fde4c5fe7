package fhir

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

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
	if err != nil || len(steps) == 0 {
		return none, nil, fmt.Errorf("%w: a patch needs steps with JSON values", ErrRequest)
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
	_, resp, err := c.call(ctx, Interaction{Name: "delete", Type: resource.ResourceType()}, req)
	return resp, err
}

// UpdateIf puts the one resource that carries the identifier, or creates it (a
// conditional update, section 3.1.0.4.3). Several are [ErrPrecondition]. It
// overwrites whatever is there, so it is never sent twice; the identifier stands
// in the URL, where balancers log it: use it for what names no patient. What
// comes back is the zero T when the server sent no body.
func UpdateIf[T r4.Resource](ctx context.Context, c *Client, resource T, identifier r4.Identifier) (T, *Response, error) {
	var none T
	typ, query := typeOfResource(resource), IdentifierQuery(identifier)
	if !ValidType(typ) || query == "" || subsetted(resource) {
		return none, nil, ErrRequest
	}
	req, err := c.requestWith(ctx, http.MethodPut, typ, query, resource)
	if err != nil {
		return none, nil, err
	}
	body, resp, err := c.call(ctx, Interaction{Name: "update", Type: typ, Expect: typ}, req)
	if err != nil {
		return none, resp, err
	}
	res, err := decoded[T](body, resp)
	if err == nil && len(body) > 0 && !carries(body, identifier) {
		err = fmt.Errorf("%w: it carries another identifier", ErrUnexpected)
	}
	if err != nil {
		return none, resp, err
	}
	return res, resp, nil
}

// carries: is the identifier among those of the document?
func carries(body []byte, identifier r4.Identifier) bool {
	var many struct{ Identifier []r4.Identifier }
	if json.Unmarshal(body, &many) == nil {
		return r4.HasIdentifier(many.Identifier, identifier.System, identifier.Value)
	}
	var one struct{ Identifier r4.Identifier }
	return json.Unmarshal(body, &one) == nil && one.Identifier.System == identifier.System && one.Identifier.Value == identifier.Value
}

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
