package dicomweb

import (
	"maps"
	"slices"
	"unicode/utf8"
)

// MarshalJSON writes the data set in the order of its tags, without escapes for
// HTML; json.Marshal adds those, so call it directly or use an encoder that was told
// not to. Numbers are written as they are kept, as text where they are none.
// It returns an [ErrInvalid] or an [ErrTooLarge] for what UnmarshalJSON would refuse.
func (d Dataset) MarshalJSON() ([]byte, error) {
	e := &encoder{}
	e.dataset(d, 1)
	return e.buf, e.err
}

type encoder struct {
	buf []byte
	err error
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) raw(s string) { e.buf = append(e.buf, s...) }

func (e *encoder) dataset(d Dataset, depth int) {
	if depth > maxDepth {
		e.fail(tooLarge("the depth of sequences"))
		return
	}
	e.raw("{")
	for i, tag := range slices.Sorted(maps.Keys(d)) {
		if i > 0 {
			e.raw(",")
		}
		e.quote(tag.String())
		e.raw(":")
		e.element(d[tag], depth)
	}
	e.raw("}")
}

func (e *encoder) element(el Element, depth int) {
	if !validVR(el.VR) {
		e.fail(invalid("an attribute without vr"))
	}
	e.raw(`{"vr":`)
	e.quote(el.VR)
	switch {
	case len(el.Values) > 0 && el.InlineBinary == "" && el.BulkDataURI == "":
		e.raw(`,"Value":[`)
		for i, v := range el.Values {
			if i > 0 {
				e.raw(",")
			}
			e.value(el.VR, v, depth)
		}
		e.raw("]")
	case len(el.Values) > 0 || el.InlineBinary != "" && el.BulkDataURI != "":
		e.fail(invalid("an attribute with two kinds of value"))
	case el.InlineBinary != "":
		e.raw(`,"InlineBinary":`)
		e.quote(el.InlineBinary)
	case el.BulkDataURI != "":
		e.raw(`,"BulkDataURI":`)
		e.quote(el.BulkDataURI)
	}
	e.raw("}")
}

func (e *encoder) value(vr string, v Value, depth int) {
	switch {
	case v.Text == "" && v.Name == nil && v.Item == nil:
		e.raw("null")
	case v.Item != nil && vr == "SQ" && v.Name == nil && v.Text == "":
		e.dataset(v.Item, depth+1)
	case v.Name != nil && vr == "PN" && v.Item == nil && v.Text == "":
		e.name(*v.Name)
	case v.Item != nil || v.Name != nil || vr == "SQ" || vr == "PN":
		e.fail(invalid("a value that does not fit its vr"))
	case numeric(vr) && isNumber([]byte(v.Text)):
		e.raw(v.Text)
	default:
		e.quote(v.Text)
	}
}

func (e *encoder) name(n PersonName) {
	sep := "{"
	for _, group := range [...]struct{ name, text string }{
		{`"Alphabetic":`, n.Alphabetic}, {`"Ideographic":`, n.Ideographic}, {`"Phonetic":`, n.Phonetic},
	} {
		if group.text != "" {
			e.raw(sep)
			e.raw(group.name)
			e.quote(group.text)
			sep = ","
		}
	}
	if sep == "{" {
		e.raw("null")
		return
	}
	e.raw("}")
}

func (e *encoder) quote(s string) {
	if !utf8.ValidString(s) {
		e.fail(invalid("not UTF-8"))
	}
	const hex = "0123456789abcdef"
	e.buf = append(e.buf, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			e.buf = append(e.buf, '\\', c)
		case c < ' ':
			e.buf = append(e.buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			e.buf = append(e.buf, c)
		}
	}
	e.buf = append(e.buf, '"')
}
