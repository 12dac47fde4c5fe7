package r4

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxDepth is how deeply objects and arrays may nest, in either direction
	// of the codec. The deepest official example needs 15.
	MaxDepth = 128
	// MaxValues is how many values (members and array items) one document may hold.
	MaxValues = 2_000_000
)

// decoder reads one document. The first error sticks: every later call returns
// zero values, so generated code needs no error checks of its own.
type decoder struct {
	data   []byte
	pos    int
	depth  int
	values int
	looked int  // bytes that were looked at ahead
	ahead  bool // nothing that is read now is kept: it is read again
	typ    string
	err    error
}

func newDecoder(data []byte) *decoder { return &decoder{data: data} }

func (d *decoder) fail(reason string) {
	if d.err == nil {
		d.err = &SyntaxError{Type: d.typ, Offset: d.pos, Reason: reason}
	}
}

// peek returns the next byte that is not white space, 0 at the end or after an error.
func (d *decoder) peek() byte {
	if d.err != nil {
		return 0
	}
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; c {
		case ' ', '\t', '\r', '\n':
			d.pos++
		default:
			return c
		}
	}
	return 0
}

func (d *decoder) expect(c byte, reason string) bool {
	if d.peek() != c {
		d.fail(reason)
		return false
	}
	d.pos++
	return true
}

// end checks that nothing follows the document.
func (d *decoder) end() {
	if d.peek(); d.err == nil && d.pos != len(d.data) {
		d.fail("something follows the resource")
	}
}

func (d *decoder) enter() bool {
	if d.depth++; d.depth > MaxDepth {
		d.fail("nested too deeply")
		return false
	}
	return true
}

func (d *decoder) count() {
	if d.values++; d.values > MaxValues {
		d.fail("too many values")
	}
}

// first opens an object of type typ and returns its first member's name.
func (d *decoder) first(typ string) ([]byte, bool) {
	if typ != "" {
		d.typ = typ
	}
	if !d.expect('{', "expected an object") || !d.enter() {
		return nil, false
	}
	if d.peek() == '}' {
		return nil, d.leave()
	}
	return d.name()
}

// next returns the following member's name, false at the object's end.
func (d *decoder) next(typ string) ([]byte, bool) {
	if typ != "" {
		d.typ = typ
	}
	switch d.peek() {
	case ',':
		d.pos++
		return d.name()
	case '}':
		return nil, d.leave()
	}
	d.fail("expected , or } in an object")
	return nil, false
}

// leave closes an object or array; it returns false so that loops end with it.
func (d *decoder) leave() bool {
	d.pos++
	d.depth--
	return false
}

func (d *decoder) name() ([]byte, bool) {
	d.count()
	name := d.quoted()
	if !d.expect(':', "expected : after a member's name") {
		return nil, false
	}
	return name, d.err == nil
}

// quoted returns the contents of a string: of the input itself when nothing is
// escaped, else a fresh slice. Callers copy what they keep.
func (d *decoder) quoted() []byte {
	if !d.expect('"', "expected a string") {
		return nil
	}
	start, ascii := d.pos, true
	for i := start; i < len(d.data); i++ {
		switch c := d.data[i]; {
		case c == '"':
			d.pos = i + 1
			return d.checked(d.data[start:i], ascii)
		case c == '\\':
			return d.escaped(start, i)
		case c < 0x20:
			d.pos = i
			d.fail("control character in a string")
			return nil
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	d.fail("string without an end")
	return nil
}

func (d *decoder) checked(s []byte, ascii bool) []byte {
	if !ascii && !utf8.Valid(s) {
		d.fail("invalid UTF-8")
		return nil
	}
	return s
}

func (d *decoder) escaped(start, i int) []byte {
	out := append([]byte(nil), d.data[start:i]...)
	for i < len(d.data) {
		c := d.data[i]
		switch {
		case c == '"':
			d.pos = i + 1
			return d.checked(out, false)
		case c < 0x20:
			d.fail("control character in a string")
			return nil
		case c != '\\':
			out = append(out, c)
			i++
		default:
			var n int
			if out, n = unescape(out, d.data[i:]); n == 0 {
				d.pos = i
				d.fail("invalid escape in a string")
				return nil
			}
			i += n
		}
	}
	d.fail("string without an end")
	return nil
}

// unescape appends what the escape at the start of s stands for and returns how
// many bytes it took, 0 when it is invalid. Half of a surrogate pair is invalid.
func unescape(out, s []byte) ([]byte, int) {
	if len(s) < 2 {
		return out, 0
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := bytes.IndexByte([]byte(from), s[1]); i >= 0 {
		return append(out, to[i]), 2
	}
	r, ok := hex4(s)
	if !ok {
		return out, 0
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r), 6
	}
	low, ok := hex4(s[6:])
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return utf8.AppendRune(out, pair), 12
	}
	return out, 0
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	return rune(n), err == nil
}

// text reads a string that must be there.
func (d *decoder) text() string { return string(d.quoted()) }

// string reads a string-like primitive. An empty one, which FHIR forbids, is kept in extra.
func (d *decoder) string(name string, extra *Extra) string {
	s := d.quoted()
	if len(s) == 0 && d.err == nil {
		stash(extra, name, `""`)
	}
	return string(s)
}

// strings reads an array of string-like primitives; null becomes "".
func (d *decoder) strings(name string, extra *Extra) []string {
	var out []string
	for more := d.open(name, extra); more; more = d.more() {
		if d.peek() == 'n' {
			d.literal("null")
			out = append(out, "")
			continue
		}
		s := d.quoted()
		if len(s) == 0 {
			d.fail("empty string in an array")
		}
		out = append(out, string(s))
	}
	return out
}

func (d *decoder) bool() *bool {
	switch d.peek() {
	case 't':
		d.literal("true")
		return Ptr(true)
	case 'f':
		d.literal("false")
		return Ptr(false)
	}
	d.fail("expected true or false")
	return nil
}

func (d *decoder) int() *int {
	text := string(d.number())
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || text == "-0" {
		d.fail("expected a 32-bit integer")
		return nil
	}
	return Ptr(int(n))
}

// ints reads an array of integers. One that holds a null, which []int cannot
// show, is kept in extra as it came.
func (d *decoder) ints(name string, extra *Extra) []int {
	var out []int
	d.peek()
	start, nulls := d.pos, false
	for more := d.open(name, extra); more; more = d.more() {
		if d.peek() == 'n' {
			d.literal("null")
			nulls = true
		} else if n := d.int(); n != nil {
			out = append(out, *n)
		}
	}
	if nulls && d.err == nil {
		stash(extra, name, string(d.data[start:d.pos]))
		return nil
	}
	return out
}

func (d *decoder) decimal() Decimal { return Decimal(d.number()) }

// number reads a JSON number as text.
func (d *decoder) number() []byte {
	d.peek()
	n := scanNumber(d.data[d.pos:])
	if n == 0 {
		d.fail("expected a number")
		return nil
	}
	d.pos += n
	return d.data[d.pos-n : d.pos]
}

// open enters an array and says whether it has items. An empty one, which FHIR
// forbids, is kept in extra.
func (d *decoder) open(name string, extra *Extra) bool {
	if !d.expect('[', "expected an array") || !d.enter() {
		return false
	}
	if d.peek() == ']' {
		stash(extra, name, "[]")
		return d.leave()
	}
	d.count()
	return d.err == nil
}

// more steps to the array's next item.
func (d *decoder) more() bool {
	switch d.peek() {
	case ',':
		d.pos++
		d.count()
		return d.err == nil
	case ']':
		return d.leave()
	}
	d.fail("expected , or ] in an array")
	return false
}

// extra keeps a member the type does not know, verbatim.
func (d *decoder) extra(extra *Extra, name []byte) {
	m := Member{Name: string(name)}
	d.peek()
	start := d.pos
	d.skip()
	if d.err != nil {
		return
	}
	unknown := 0
	for _, other := range *extra {
		if other.Name == m.Name {
			d.fail("duplicate member")
			return
		}
		if !other.stash {
			unknown++
		}
	}
	if unknown >= maxExtra {
		d.fail("too many unknown members")
		return
	}
	m.Value = bytes.Clone(d.data[start:d.pos])
	*extra = append(*extra, m)
}

// maxExtra keeps the search for duplicates cheap.
const maxExtra = 256

// skip reads any value and checks its syntax.
func (d *decoder) skip() {
	switch d.peek() {
	case '{':
		for _, ok := d.first(""); ok; _, ok = d.next("") {
			d.skip()
		}
	case '[':
		var none Extra
		for more := d.open("", &none); more; more = d.more() {
			d.skip()
		}
	case '"':
		d.passString()
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

// passString reads a string that is not kept.
func (d *decoder) passString() {
	if !d.ahead {
		d.quoted()
		return
	}
	for i := d.pos + 1; i < len(d.data); i++ {
		switch d.data[i] {
		case '\\':
			i++
		case '"':
			d.pos = i + 1
			return
		}
	}
	d.fail("string without an end")
}

func (d *decoder) literal(word string) {
	if !bytes.HasPrefix(d.data[d.pos:], []byte(word)) {
		d.fail("expected a value")
		return
	}
	d.pos += len(word)
}

// resource reads a resource of whatever type it names itself.
func (d *decoder) resource() Resource {
	outer := d.typ
	name := d.resourceType()
	if d.err != nil {
		return nil
	}
	r := newResource(name)
	r.unmarshal(d)
	d.typ = outer
	return r
}

// resourceType looks ahead for the member that names the type and steps back.
// It usually comes first; when it comes last the object is read twice, which
// MaxDepth bounds for nested ones.
func (d *decoder) resourceType() string {
	pos, depth, values := d.pos, d.depth, d.values
	outer := d.ahead
	d.ahead = true
	defer func() { d.ahead = outer }()
	for name, ok := d.first(""); ok; name, ok = d.next("") {
		if string(name) == "resourceType" {
			typ := d.text()
			if d.looked += d.pos - pos; d.looked > maxLook*len(d.data) {
				d.fail("resourceType comes last too often")
			}
			d.pos, d.depth, d.values = pos, depth, values
			return typ
		}
		d.skip()
	}
	d.fail("no resourceType")
	return ""
}

// maxLook is how often, on average, each byte may be looked at ahead.
const maxLook = 16

// members remembers which members of an object have come.
type members [3]uint64

func (m *members) once(d *decoder, i uint) {
	if m[i/64]&(1<<(i%64)) != 0 {
		d.fail("duplicate member")
	}
	m[i/64] |= 1 << (i % 64)
}
