package fhir

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// controls are parameters whose absence from the self link hides nothing: they
// choose the form of the answer.
var controls = []string{"_count", "_summary", "_elements", "_format", "_total", "_contained"}

// honoured compares the self link with what was asked: a parameter the server did
// not use is missing there, and a value it changed differs. A link that leaves out
// all of a POST's parameters says nothing: servers do that to keep them out of
// URLs. So does an answer without a self link.
func (s *search) honoured(self string) bool {
	u, err := url.Parse(self)
	if err != nil {
		return false
	}
	if last := path.Base(u.Path); last != s.query.Type && r4.Generated(last) {
		return false
	}
	used, missing, present := readLink(u.RawQuery), 0, 0
	for name, values := range s.query.Params {
		switch {
		case slices.Contains(controls, base(name)):
		case !uses(used.values(name), values):
			missing++
		case !slices.Contains(shaping, base(name)):
			present++
		}
	}
	return missing == 0 || (s.query.Post && present == 0 && !used.anyOf(s.query.Params))
}

// shaping are parameters whose presence in the link of a POST does not mean that
// it would have told the others.
var shaping = []string{"_include", "_revinclude", "_sort"}

// base is a parameter's name without its modifier.
func base(name string) string {
	before, _, _ := strings.Cut(name, ":")
	return before
}

// linkQuery is what a self link says was used.
type linkQuery map[string][]string

// readLink reads a query as leniently as servers write them: a + may be itself, a ;
// is no separator.
func readLink(raw string) linkQuery {
	out := linkQuery{}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		plus, err2 := url.PathUnescape(value)
		if err != nil || err2 != nil {
			continue
		}
		out[name] = append(out[name], plus)
		if spaces, err := url.QueryUnescape(value); err == nil && spaces != plus {
			out[name] = append(out[name], spaces)
		}
	}
	return out
}

// values are those of the parameter, also where the link names a reference's type
// (schedule:Schedule). Another modifier makes it another parameter.
func (q linkQuery) values(name string) []string {
	out := slices.Clone(q[name])
	for other, values := range q {
		if rest, ok := strings.CutPrefix(other, name+":"); ok && ValidType(rest) {
			out = append(out, values...)
		}
	}
	return out
}

// anyOf: does the link name one of the parameters, however it changed it?
func (q linkQuery) anyOf(sent url.Values) bool {
	for name := range sent {
		if slices.Contains(controls, base(name)) || slices.Contains(shaping, base(name)) {
			continue
		}
		for used := range q {
			if base(used) == base(name) {
				return true
			}
		}
	}
	return false
}

// uses: is each value that was sent among those that were used?
func uses(used, sent []string) bool {
	for _, v := range sent {
		if !slices.ContainsFunc(used, func(u string) bool { return sameValues(u, v) }) {
			return false
		}
	}
	return true
}

// sameValues compares alternatives (a,b) as sets.
func sameValues(used, sent string) bool {
	have, want := strings.Split(used, ","), strings.Split(sent, ",")
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h string) bool { return sameValue(h, w) }) {
			return false
		}
	}
	return len(have) == len(want)
}

// sameValue lets a server write a reference absolutely or by its id alone, and a
// time in another zone; a code must be as it was.
func sameValue(used, sent string) bool {
	if used == sent || strings.Contains(sent, "|") {
		return used == sent
	}
	usedType, usedID, okUsed := referenceOf(used)
	sentType, sentID, okSent := referenceOf(sent)
	if okUsed || okSent {
		return usedID == sentID && (usedType == "" || sentType == "" || usedType == sentType)
	}
	return sameMoment(used, sent)
}

// referenceOf reads Type/id, alone or at the end of a URL, as two; of anything else
// all of it is the id.
func referenceOf(s string) (typ, id string, ok bool) {
	parts := strings.Split(s, "/")
	if n := len(parts); n > 1 && ValidType(parts[n-2]) && ValidID(parts[n-1]) {
		return parts[n-2], parts[n-1], true
	}
	return "", s, false
}

// sameMoment compares what bounds a search by time: of a day its beginning, its
// end, or both.
func sameMoment(used, sent string) bool {
	prefix, a, okA := momentOf(used)
	other, b, okB := momentOf(sent)
	if !okA || !okB || prefix != other {
		return false
	}
	begin, end := a.From.Equal(b.From), a.To.Equal(b.To)
	switch prefix {
	case "ge", "lt":
		return begin
	case "le", "gt":
		return end
	}
	return begin && end
}

func momentOf(s string) (prefix string, at r4.Span, ok bool) {
	if prefix = "eq"; len(s) > 2 && s[0] >= 'a' && s[0] <= 'z' {
		prefix, s = s[:2], s[2:]
	}
	at, err := r4.ParseTime(strings.ReplaceAll(s, " ", "+"), nil)
	return prefix, at, err == nil
}
