package fhir

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Filter is one condition or control of a search of T's type. It is made by a
// search parameter's method, so that neither its name nor the type it belongs to
// can be misspelt; [Raw] is for the rest. A value that cannot be sent (empty, or
// with a character that would change the search) makes a search that is
// [ErrRequest] before anything is sent.
type Filter[T r4.Resource] struct {
	name, value string
	private     bool // about a person: in the body, never in the URL
	invalid     bool
}

// For is a search of T's type for what passes every filter. It goes in the
// request's body when one of them is about a person: an identifier, a name, a
// telephone number, a birth date.
func For[T r4.Resource](filters ...Filter[T]) Query {
	q := Query{Type: typeOf[T](), Params: url.Values{}}
	for _, f := range filters {
		q.Params.Add(f.name, f.value)
		q.Post = q.Post || f.private
		q.invalid = q.invalid || f.invalid
	}
	return q
}

// Raw is a filter by the parameter's name as the server knows it, modifiers and
// all; value is sent as it is. It is put in the body when private is set.
func Raw[T r4.Resource](name, value string, private bool) Filter[T] {
	return Filter[T]{name: name, value: value, private: private, invalid: name == ""}
}

// Identifier finds T by one of its identifiers.
func Identifier[T r4.Resource](system, value string) Filter[T] {
	return token[T]("identifier", system, value, true)
}

// ID finds T by logical id, within one Store.
func ID[T r4.Resource](id string) Filter[T] {
	return Filter[T]{name: "_id", value: id, invalid: !ValidID(id)}
}

// TokenParam is a search parameter of codes (section 3.1.1.4.10). Its value is its name.
type TokenParam[T r4.Resource] string

// Is matches the code of a system; an empty system matches the code in any.
func (p TokenParam[T]) Is(system, code string) Filter[T] {
	if system == "" {
		return Filter[T]{name: string(p), value: code, invalid: !plain(code)}
	}
	return token[T](string(p), system, code, false)
}

// In matches any of the codes, in any system.
func (p TokenParam[T]) In(codes ...string) Filter[T] {
	f := Filter[T]{name: string(p), value: strings.Join(codes, ","), invalid: len(codes) == 0}
	for _, c := range codes {
		f.invalid = f.invalid || !plain(c)
	}
	return f
}

func token[T r4.Resource](name, system, value string, private bool) Filter[T] {
	t := Token(system, value)
	return Filter[T]{name: name, value: t, private: private, invalid: t == ""}
}

// plain: may stand in a search value as it is.
func plain(s string) bool { return s != "" && !strings.ContainsAny(s, "|,\\$") }

// PersonParam is a search parameter about a person, sent in the body.
type PersonParam[T r4.Resource] string

// Is matches as the parameter's type says: a name by its beginning or as the
// server sees fit, a number exactly.
func (p PersonParam[T]) Is(value string) Filter[T] {
	return Filter[T]{name: string(p), value: value, private: true, invalid: !plain(value)}
}

// TextParam is a search parameter of texts that name no person.
type TextParam[T r4.Resource] string

// Is matches texts that begin with value, or as the server sees fit.
func (p TextParam[T]) Is(value string) Filter[T] {
	return Filter[T]{name: string(p), value: value, invalid: !plain(value)}
}

// TimeParam is a search parameter of times and periods (section 3.1.1.4.7). Times
// are sent with their zone, never as a bare day, which is another one elsewhere.
type TimeParam[T r4.Resource] string

func (p TimeParam[T]) at(prefix string, t time.Time) Filter[T] {
	return Filter[T]{name: string(p), value: prefix + t.Format(time.RFC3339Nano), invalid: t.IsZero()}
}

// From matches what is, or lasts, at t or later.
func (p TimeParam[T]) From(t time.Time) Filter[T] { return p.at("ge", t) }

// Before matches what begins before t.
func (p TimeParam[T]) Before(t time.Time) Filter[T] { return p.at("lt", t) }

// RefParam is a search parameter of references to S.
type RefParam[T, S r4.Resource] string

// Is matches references to the resource of this logical id, within one Store.
func (p RefParam[T, S]) Is(id string) Filter[T] {
	return Filter[T]{name: string(p), value: typeOf[S]() + "/" + id, invalid: !ValidID(id) || typeOf[S]() == ""}
}

// In matches references to one of several resources, within one Store. None is a query
// that is refused.
func (p RefParam[T, S]) In(ids ...string) Filter[T] {
	f, values := Filter[T]{name: string(p), invalid: len(ids) == 0}, make([]string, len(ids))
	for i, id := range ids {
		one := p.Is(id)
		values[i], f.invalid = one.value, f.invalid || one.invalid
	}
	f.value = strings.Join(values, ",")
	return f
}

// Where matches references to what passes the filter: a chained search
// (section 3.1.1.4.16), such as a patient's by identifier.
func (p RefParam[T, S]) Where(f Filter[S]) Filter[T] {
	return Filter[T]{name: string(p) + ":" + typeOf[S]() + "." + f.name, value: f.value, private: f.private, invalid: f.invalid || f.control()}
}

// control: it is about the answer's form, not about what matches.
func (f Filter[T]) control() bool {
	return strings.HasPrefix(f.name, "_") && f.name != "_id" && !strings.HasPrefix(f.name, "_has:")
}

// Include brings along what the matches refer to; it arrives in [Page.Included].
func (p RefParam[T, S]) Include() Filter[T] {
	return Filter[T]{name: "_include", value: typeOf[T]() + ":" + string(p)}
}

// IncludeReferring brings along the Ts that refer to the matches (_revinclude).
func IncludeReferring[S, T r4.Resource](p RefParam[T, S]) Filter[S] {
	return Filter[S]{name: "_revinclude", value: typeOf[T]() + ":" + string(p)}
}

// Has matches what some T that passes the filter refers to by p (_has,
// section 3.1.1.4.17).
func Has[S, T r4.Resource](p RefParam[T, S], f Filter[T]) Filter[S] {
	return Filter[S]{name: "_has:" + typeOf[T]() + ":" + string(p) + ":" + f.name, value: f.value, private: f.private, invalid: f.invalid || f.control()}
}

// Count asks for pages of n matches; servers may send fewer.
func Count[T r4.Resource](n int) Filter[T] {
	return Filter[T]{name: "_count", value: strconv.Itoa(n), invalid: n < 1}
}

// Newest sorts by a time, the latest first.
func Newest[T r4.Resource](p TimeParam[T]) Filter[T] {
	return Filter[T]{name: "_sort", value: "-" + string(p)}
}

// Elements asks for these members only (section 3.1.1.5.10). What comes is marked
// SUBSETTED and refused by [Update].
func Elements[T r4.Resource](names ...string) Filter[T] {
	f := Filter[T]{name: "_elements", value: strings.Join(names, ","), invalid: len(names) == 0}
	for _, n := range names {
		f.invalid = f.invalid || !ValidID(n)
	}
	return f
}

// Summary asks for the short form of the matches: "true", "text" or "data"
// (section 3.1.1.5.9). What comes is marked SUBSETTED and refused by [Update].
func Summary[T r4.Resource](form string) Filter[T] {
	return Filter[T]{name: "_summary", value: form, invalid: form != "true" && form != "text" && form != "data"}
}
