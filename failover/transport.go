package failover

import (
	"net/http"

	"github.com/hospital-go/hospital/campus"
)

// Transport is an http.RoundTripper over a [Client], for programs that speak
// plain HTTP to a system. A URL's host is not used; its path and query are
// relative to the endpoints' base. What may be sent again follows RFC 9110,
// section 9.2: safe methods are Safe; PUT and DELETE with If-Match are Guarded;
// the rest is Unsafe.
//
// Called through http.Client, its errors are wrapped in a *url.Error that prints
// the request's URL: unwrap it before logging when URLs may name a patient.
type Transport struct {
	Client *Client
	// Call is the template for every request; Kind and Repeat are set by method.
	Call Call
}

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip sends req. The request is not changed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	call := t.Call
	call.Repeat, call.Kind = RepeatOf(req), KindOf(req)
	if req.Body != nil {
		defer req.Body.Close()
	}
	return t.Client.Do(req.Context(), &call, req)
}

// RepeatOf is what RFC 9110 lets a client assume of req.
func RepeatOf(req *http.Request) Repeat {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, "":
		return Safe
	case http.MethodPut, http.MethodDelete, http.MethodPatch:
		if etag := req.Header.Get("If-Match"); etag != "" && etag != "*" {
			return Guarded
		}
	}
	return Unsafe
}

// KindOf is the kind of call req's method makes; reads are strong.
func KindOf(req *http.Request) campus.Kind {
	if RepeatOf(req) == Safe {
		return campus.ReadStrong
	}
	return campus.Write
}
