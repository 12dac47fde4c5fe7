// Package link decides whether a URL that a server sent lies below a base address,
// and whether a host is this machine.
package link

import (
	"net"
	"net/url"
	"path"
	"strings"
	"unicode"
)

// Under returns u's escaped path below base, "" or with a leading slash, and
// false when u is elsewhere. Paths that some server or proxy on the way might
// read as climbing out of the base are refused: dot segments in any writing,
// path parameters on them, backslashes, doubly escaped characters.
func Under(base, u *url.URL) (string, bool) {
	if u.Scheme != base.Scheme || u.User != nil || !strings.EqualFold(u.Hostname(), base.Hostname()) || port(u) != port(base) {
		return "", false
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r == '\\' || r == '%' || unicode.IsControl(r) }) {
		return "", false
	}
	if p := strings.TrimRight(u.Path, "/"); p != "" && path.Clean(p) != p {
		return "", false
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return "", false
		}
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), base.EscapedPath())
	return rest, ok && (rest == "" || rest[0] == '/')
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

// Loopback reports whether a host is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
