package campus

import (
	"net/url"

	"github.com/hospital-go/hospital/internal/link"
)

// Rebase checks a URL that the endpoint's server sent (a next link, a Location,
// a reference) and returns it under the address this SDK uses. It reports
// false unless the URL lies under the endpoint's URL or one of its aliases: a
// server must not send a client, and its credentials, elsewhere.
func (e *Endpoint) Rebase(u *url.URL) (*url.URL, bool) {
	if rest, ok := link.Under(e.base, u); ok {
		return e.join(rest, u), true
	}
	for _, alias := range e.aliases {
		if rest, ok := link.Under(alias, u); ok {
			return e.join(rest, u), true
		}
	}
	return nil, false
}

// Locate finds the endpoint a URL belongs to. It reports false when no endpoint
// or more than one (behind one alias) could be meant.
func (t *Topology) Locate(u *url.URL) (*Endpoint, bool) {
	var found *Endpoint
	for _, e := range t.endpoints {
		if _, ok := e.Rebase(u); ok {
			if found != nil {
				return nil, false
			}
			found = e
		}
	}
	return found, found != nil
}

func (e *Endpoint) join(rest string, u *url.URL) *url.URL {
	out := *e.base
	escaped := e.base.EscapedPath() + rest
	out.Path, _ = url.PathUnescape(escaped)
	out.RawPath = escaped
	out.RawQuery = u.RawQuery
	return &out
}
