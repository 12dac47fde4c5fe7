package campus

import (
	"net/url"
	"path"
	"strings"
)

// Rebase checks a URL that the endpoint's server sent (a next link, a Location,
// a reference) and returns it under the address this SDK uses. It reports
// false unless the URL lies under the endpoint's URL or one of its aliases: a
// server must not send a client, and its credentials, elsewhere.
func (e *Endpoint) Rebase(u *url.URL) (*url.URL, bool) {
	if rest, ok := under(e.base, u); ok {
		return e.join(rest, u), true
	}
	for _, alias := range e.aliases {
		if rest, ok := under(alias, u); ok {
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

// under returns u's escaped path below base. Dot segments are refused, so that
// no path can climb out of its base.
func under(base, u *url.URL) (string, bool) {
	if u.Scheme != base.Scheme || u.User != nil || !strings.EqualFold(u.Hostname(), base.Hostname()) || port(u) != port(base) {
		return "", false
	}
	if p := strings.TrimRight(u.Path, "/"); p != "" && path.Clean(p) != p {
		return "", false
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), base.EscapedPath())
	return rest, ok && (rest == "" || rest[0] == '/')
}

func (e *Endpoint) join(rest string, u *url.URL) *url.URL {
	out := *e.base
	escaped := e.base.EscapedPath() + rest
	out.Path, _ = url.PathUnescape(escaped)
	out.RawPath = escaped
	out.RawQuery = u.RawQuery
	return &out
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
