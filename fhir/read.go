package fhir

import (
	"context"
	"net/http"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Read reads one resource by its logical id (section 3.1.0.1). A resource of
// another type or id is [ErrUnexpected].
func Read[T r4.Resource](ctx context.Context, c *Client, id string) (T, *Response, error) {
	if !ValidID(id) {
		var none T
		return none, nil, ErrRequest
	}
	typ := typeOf[T]()
	return get[T](ctx, c, Interaction{Name: "read", Type: typ}, id, typ+"/"+id)
}

// get reads the resource at path, which must have this type and id.
func get[T r4.Resource](ctx context.Context, c *Client, i Interaction, id, path string) (T, *Response, error) {
	var none T
	if i.Type == "" {
		return none, nil, ErrRequest
	}
	i.Expect, i.Reads = i.Type, true
	req, err := c.request(ctx, http.MethodGet, path, "", content{})
	if err != nil {
		return none, nil, err
	}
	return sent[T](ctx, c, i, req, id)
}

// Capabilities reads the server's CapabilityStatement (section 3.1.0.8). It is a
// hint of what the server offers, never a proof.
func Capabilities(ctx context.Context, c *Client) (*r4.CapabilityStatement, *Response, error) {
	req, err := c.request(ctx, http.MethodGet, "metadata", "", content{})
	if err != nil {
		return nil, nil, err
	}
	body, resp, err := c.call(ctx, Interaction{Name: "capabilities", Expect: "CapabilityStatement", Reads: true}, req)
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
