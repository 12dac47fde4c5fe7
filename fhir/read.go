package fhir

import (
	"context"
	"fmt"
	"net/http"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Read reads one resource by its logical id (section 3.1.0.1). A resource of
// another type or id is [ErrUnexpected].
func Read[T r4.Resource](ctx context.Context, c *Client, id string) (T, *Response, error) {
	var none T
	typ := typeOf[T]()
	if typ == "" || !ValidID(id) {
		return none, nil, ErrRequest
	}
	req, err := c.request(ctx, http.MethodGet, typ+"/"+id, "", nil)
	if err != nil {
		return none, nil, err
	}
	body, resp, err := c.call(ctx, Interaction{Name: "read", Type: typ, Expect: typ}, req)
	if err != nil {
		return none, resp, err
	}
	res, err := decoded[T](body, resp)
	if err == nil && (r4.Resource(res) == nil || res.ResourceID() != id) {
		err = fmt.Errorf("%w: another id", ErrUnexpected)
	}
	if err != nil {
		return none, resp, err
	}
	return res, resp, nil
}

// Capabilities reads the server's CapabilityStatement (section 3.1.0.8). It is a
// hint of what the server offers, never a proof.
func Capabilities(ctx context.Context, c *Client) (*r4.CapabilityStatement, *Response, error) {
	req, err := c.request(ctx, http.MethodGet, "metadata", "", nil)
	if err != nil {
		return nil, nil, err
	}
	body, resp, err := c.call(ctx, Interaction{Name: "capabilities", Expect: "CapabilityStatement"}, req)
	if err != nil {
		return nil, resp, err
	}
	res, err := decoded[*r4.CapabilityStatement](body, resp)
	return res, resp, err
}

// typeOf returns T's resource type, "" when T is no generated type.
func typeOf[T r4.Resource]() string {
	var zero T
	switch any(zero).(type) {
	case nil, *r4.Unknown:
		return ""
	}
	return zero.ResourceType()
}
