package dicomweb

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Bounds of one data set, in either direction of the codec.
const (
	// maxDepth is how deeply sequences may nest. The deepest in use, structured
	// reports and radiotherapy plans, need about ten.
	maxDepth = 16
	// maxValues is how many attributes and values there may be, nested ones too.
	maxValues = 1 << 20
	// maxLength is how many bytes a data set may have. [DecodeArray] has its own limit.
	maxLength = 64 << 20
	// maxSkip is how deeply what is passed over may nest: a sequence is three levels of JSON.
	maxSkip = 3*maxDepth + 3
)

// UnmarshalJSON reads a data set of the DICOM JSON model (PS3.18 annex F) and
// replaces *d. It returns an [ErrInvalid] or an [ErrTooLarge] (16 levels of
// sequences, 2^20 attributes and values, 64 MiB). Refused are a tag or a member that
// comes twice, invalid UTF-8, half surrogates, an attribute without vr or with
// two kinds of value, a value that does not fit its vr (a number where text belongs
// may have lost a zero). Members of an attribute that the standard does not know
// are left out.
func (d *Dataset) UnmarshalJSON(data []byte) error {
	if len(data) > maxLength {
		return tooLarge("a data set")
	}
	fresh, err := decodeDataset(data)
	if err == nil {
		*d = fresh
	}
	return err
}

func decodeDataset(data []byte) (Dataset, error) {
	if !utf8.Valid(data) {
		return nil, invalid("not UTF-8")
	}
	d := &decoder{data: data}
	out := d.dataset(1)
	if d.peek(); d.err == nil && d.pos != len(data) {
		d.fail("something follows a data set")
	}
	return out, d.err
}

// decoder reads one data set of valid UTF-8. The first error sticks.
type decoder struct {
	data   []byte
	pos    int
	values int
	err    error
}

func (d *decoder) fail(reason string) { d.failed(invalid(reason)) }

func (d *decoder) failed(err error) {
	if d.err == nil {
		d.err = err
	}
}

// peek returns the next byte that is not white space, 0 at the end or after an error.
func (d *decoder) peek() byte {
	for ; d.err == nil && d.pos < len(d.data); d.pos++ {
		if c := d.data[d.pos]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

// accept takes c if it comes next.
func (d *decoder) accept(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.pos++
	return true
}

func (d *decoder) expect(c byte) {
	if !d.accept(c) {
		d.fail("broken JSON")
	}
}

// list reads what stands between two brackets, each item by a call.
func (d *decoder) list(open, closing byte, item func()) {
	d.expect(open)
	if d.accept(closing) {
		return
	}
	for d.err == nil {
		item()
		if !d.accept(',') {
			d.expect(closing)
			return
		}
	}
}

// object calls member with each name; it has to read what follows.
func (d *decoder) object(member func(name string)) {
	d.list('{', '}', func() {
		name := d.text()
		d.expect(':')
		member(name)
	})
}

func (d *decoder) count() {
	if d.values++; d.values > maxValues {
		d.failed(tooLarge("a data set's attributes and values"))
	}
}

func (d *decoder) dataset(depth int) Dataset {
	if depth > maxDepth {
		d.failed(tooLarge("the depth of sequences"))
	}
	out := Dataset{}
	d.object(func(name string) {
		d.count()
		tag, ok := ParseTag(name)
		if _, twice := out[tag]; !ok || twice {
			d.fail("a member that is no tag, or a tag that comes twice")
			return
		}
		out[tag] = d.element(depth)
	})
	return out
}

func (d *decoder) element(depth int) Element {
	var e Element
	kinds, later := 0, 0
	d.object(func(name string) {
		switch name {
		case "vr":
			e.VR = d.vr(e.VR)
		case "Value":
			kinds++
			if d.peek(); e.VR != "" {
				e.Values = d.valuesOf(e.VR, depth)
			} else { // its vr comes later
				later = d.pos
				d.skip(maxSkip)
			}
		case "InlineBinary":
			kinds++
			e.InlineBinary = d.text()
		case "BulkDataURI":
			kinds++
			e.BulkDataURI = d.text()
		default:
			d.skip(maxSkip)
		}
	})
	if e.VR == "" || kinds > 1 {
		d.fail("an attribute without vr, or with two kinds of value")
	}
	if later != 0 {
		end := d.pos
		d.pos = later
		e.Values = d.valuesOf(e.VR, depth)
		d.pos = end
	}
	return e
}

func (d *decoder) vr(before string) string {
	vr := d.text()
	if before != "" || !validVR(vr) {
		d.fail("a vr that is none, or comes twice")
	}
	return vr
}

func validVR(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// numeric says whether JSON writes values of a vr as numbers (PS3.18 table F.2.3-1).
func numeric(vr string) bool {
	switch vr {
	case "DS", "IS", "FL", "FD", "SS", "US", "SL", "UL", "SV", "UV":
		return true
	}
	return false
}

func (d *decoder) valuesOf(vr string, depth int) []Value {
	var out []Value
	d.list('[', ']', func() {
		d.count()
		out = append(out, d.value(vr, depth))
	})
	return out
}

func (d *decoder) value(vr string, depth int) Value {
	switch c := d.peek(); {
	case c == 'n':
		d.literal("null")
		return Value{}
	case vr == "SQ":
		return Value{Item: d.dataset(depth + 1)}
	case vr == "PN":
		return Value{Name: d.name()}
	case c == '"':
		return Value{Text: d.text()}
	case numeric(vr):
		return Value{Text: string(d.number())}
	}
	d.fail("a value that does not fit its vr")
	return Value{}
}

// name reads a person name, nil when it is empty.
func (d *decoder) name() *PersonName {
	var n PersonName
	d.object(func(name string) {
		group := map[string]*string{
			"Alphabetic": &n.Alphabetic, "Ideographic": &n.Ideographic, "Phonetic": &n.Phonetic,
		}[name]
		switch {
		case group == nil:
			d.skip(maxSkip)
		case *group != "":
			d.fail("a part of a name that comes twice")
		default:
			*group = d.text()
		}
	})
	if n == (PersonName{}) {
		return nil
	}
	return &n
}

// skip passes over a value.
func (d *decoder) skip(depth int) {
	if depth == 0 {
		d.failed(tooLarge("the depth of JSON"))
	}
	switch d.peek() {
	case '{':
		d.object(func(string) { d.skip(depth - 1) })
	case '[':
		d.list('[', ']', func() { d.skip(depth - 1) })
	case '"':
		d.text()
	case 't':
		d.literal("true")
	case 'f':
		d.literal("false")
	case 'n':
		d.literal("null")
	default:
		d.number()
	}
}

func (d *decoder) literal(word string) {
	if !bytes.HasPrefix(d.data[d.pos:], []byte(word)) {
		d.fail("broken JSON")
		return
	}
	d.pos += len(word)
}

func (d *decoder) number() []byte {
	d.peek()
	start := d.pos
	for d.pos < len(d.data) && strings.IndexByte("+-.0123456789Ee", d.data[d.pos]) >= 0 {
		d.pos++
	}
	if !isNumber(d.data[start:d.pos]) {
		d.fail("broken JSON")
	}
	return d.data[start:d.pos]
}

// isNumber says whether b is a number as JSON writes them, without white space.
func isNumber(b []byte) bool {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	return len(b) > 0 && (b[0] == '-' || digit(b[0])) && digit(b[len(b)-1]) && json.Valid(b)
}

// text reads a string.
func (d *decoder) text() string {
	d.expect('"')
	start := d.pos
	for d.err == nil && d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			d.pos++
			return string(d.data[start : d.pos-1])
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			d.fail("a control character in a string")
		}
		d.pos++
	}
	d.fail("a string without end")
	return ""
}

// escaped reads the string that began at start and has a backslash at d.pos.
func (d *decoder) escaped(start int) string {
	for ; d.pos < len(d.data) && d.data[d.pos] != '"'; d.pos++ {
		if d.data[d.pos] == '\\' {
			d.pos++
		}
	}
	d.pos = min(d.pos+1, len(d.data))
	raw, s := d.data[start-1:d.pos], ""
	if json.Unmarshal(raw, &s) != nil {
		d.fail("a broken string")
	}
	// encoding/json replaces half of a surrogate pair: there are more of them than came.
	plain := bytes.ToLower(bytes.ReplaceAll(raw, []byte(`\\`), nil)) // a backslash that is text begins no escape
	if strings.Count(s, "\uFFFD") > bytes.Count(plain, []byte("\uFFFD"))+bytes.Count(plain, []byte(`\ufffd`)) {
		d.fail("half of a surrogate pair")
	}
	return s
}
