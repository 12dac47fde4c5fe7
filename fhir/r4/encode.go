package r4

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// encoder appends JSON to buf. Names arrive between comma and colon, quoted, as
// constants of the generated code.
type encoder struct {
	buf   []byte
	start int
	depth int
	begin [MaxDepth + 1]int // of the object at each depth
	err   error
}

func (e *encoder) fail(reason string) {
	if e.err == nil {
		e.err = &SyntaxError{Offset: len(e.buf) - e.start, Reason: reason}
	}
}

func (e *encoder) open() bool {
	if e.depth == MaxDepth {
		e.fail("nested too deeply")
		return false
	}
	e.depth++
	e.begin[e.depth] = len(e.buf)
	e.buf = append(e.buf, '{')
	return true
}

// openList counts a level too, as the decoder does.
func (e *encoder) openList() {
	if e.depth++; e.depth > MaxDepth {
		e.fail("nested too deeply")
	}
	e.buf = append(e.buf, '[')
}

func (e *encoder) closeList() {
	e.depth--
	e.buf = append(e.buf, ']')
}

func (e *encoder) close() {
	e.depth--
	e.buf = append(e.buf, '}')
}

// comma separates from the value before, if there is one.
func (e *encoder) comma() {
	if c := e.buf[len(e.buf)-1]; c != '{' && c != '[' {
		e.buf = append(e.buf, ',')
	}
}

// name opens a member; the comma its name begins with is for what came before.
func (e *encoder) name(name string) {
	if e.buf[len(e.buf)-1] == '{' {
		name = name[1:]
	}
	e.buf = append(e.buf, name...)
}

func (e *encoder) string(name, s string, extra Extra) {
	if s == "" {
		e.stashed(name, extra)
		return
	}
	buf := e.buf
	if buf[len(buf)-1] == '{' {
		name = name[1:]
	}
	e.buf = e.appendQuoted(append(buf, name...), s)
}

func (e *encoder) strings(name string, list []string, extra Extra) {
	if len(list) == 0 {
		e.stashed(name, extra)
		return
	}
	e.name(name)
	e.openList()
	for _, s := range list {
		e.comma()
		if s == "" {
			e.buf = append(e.buf, "null"...)
		} else {
			e.quote(s)
		}
	}
	e.closeList()
}

func (e *encoder) bool(name string, b *bool) {
	e.name(name)
	e.buf = strconv.AppendBool(e.buf, *b)
}

func (e *encoder) int(name string, n *int) {
	e.name(name)
	e.integer(*n)
}

func (e *encoder) integer(n int) {
	if n < math.MinInt32 || n > math.MaxInt32 {
		e.fail("an integer beyond 32 bits")
	}
	e.buf = strconv.AppendInt(e.buf, int64(n), 10)
}

func (e *encoder) ints(name string, list []int, extra Extra) {
	if len(list) == 0 {
		e.stashed(name, extra)
		return
	}
	e.name(name)
	e.openList()
	for _, n := range list {
		e.comma()
		e.integer(n)
	}
	e.closeList()
}

func (e *encoder) decimal(name string, d Decimal) {
	if !d.Valid() {
		e.fail("a Decimal that is not a number")
	}
	e.name(name)
	e.buf = append(e.buf, d...)
}

func (e *encoder) resource(name string, r Resource) {
	e.name(name)
	r.marshal(e)
}

func (e *encoder) resources(name string, list []Resource, extra Extra) { //nolint:unparam // contained is the only list so far
	if len(list) == 0 {
		e.stashed(name, extra)
		return
	}
	e.name(name)
	e.openList()
	for _, r := range list {
		e.comma()
		if r == nil {
			e.fail("nil in a list of resources")
			break
		}
		r.marshal(e)
	}
	e.closeList()
}

// raw writes JSON that came from outside. It is read once more, so that
// what a program put there by hand cannot break the document around it.
func (e *encoder) raw(value []byte) {
	d := newDecoder(value)
	d.depth = e.depth
	d.skip()
	d.end()
	if d.err != nil {
		e.fail("kept JSON that is not valid")
		return
	}
	e.buf = append(e.buf, value...)
}

// extra writes the members without a field of their own.
func (e *encoder) extra(extra Extra) {
	if e.err != nil {
		return
	}
	if slices.ContainsFunc(extra, func(m Member) bool { return !m.stash }) && e.wroteOneOf(extra) {
		e.fail("a member of Extra that has a field, which is set")
	}
	for i := range extra {
		if extra[i].stash {
			continue
		}
		for j := range i {
			if extra[j].Name == extra[i].Name && !extra[j].stash {
				e.fail("a member twice in Extra")
			}
		}
		e.comma()
		e.quote(extra[i].Name)
		e.buf = append(e.buf, ':')
		e.raw(extra[i].Value)
	}
}

// wroteOneOf: has the object that is being written a member of such a name already?
func (e *encoder) wroteOneOf(extra Extra) bool {
	d := newDecoder(e.buf[e.begin[e.depth]:])
	for name, ok := d.first(""); ok; name, ok = d.next("") {
		if slices.ContainsFunc(extra, func(m Member) bool { return !m.stash && m.Name == string(name) }) {
			return true
		}
		d.skip()
	}
	return false
}

// stashed writes the untypable value a field came with, now that the field is still empty.
func (e *encoder) stashed(name string, extra Extra) {
	for i := range extra {
		if extra[i].stash && extra[i].Name == name[2:len(name)-2] {
			e.name(name)
			e.buf = append(e.buf, extra[i].Value...)
		}
	}
}

func (e *encoder) quote(s string) { e.buf = e.appendQuoted(e.buf, s) }

func (e *encoder) appendQuoted(buf []byte, s string) []byte {
	escapes, ascii := look(s)
	if !ascii && !utf8.ValidString(s) {
		e.fail("invalid UTF-8")
	}
	buf = append(buf, '"')
	if escapes {
		buf = appendEscaped(buf, s)
	} else {
		buf = append(buf, s...)
	}
	return append(buf, '"')
}

// look says whether a string may hold something to escape, and whether all of it is
// ASCII: eight bytes at a time, the last eight of them perhaps twice.
func look(s string) (escapes, ascii bool) {
	if len(s) < 8 {
		return lookShort(s)
	}
	var special, all uint64
	for i := 0; i+8 <= len(s); i += 8 {
		word := eight(s[i : i+8])
		special |= specials(word)
		all |= word
	}
	last := eight(s[len(s)-8:])
	special |= specials(last)
	all |= last
	return special&highBits != 0, all&highBits == 0
}

func lookShort(s string) (escapes, ascii bool) {
	ascii = true
	for i := range len(s) {
		c := s[i]
		escapes = escapes || c < ' ' || c == '"' || c == '\\'
		ascii = ascii && c < utf8.RuneSelf
	}
	return escapes, ascii
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// eight is eight bytes as one word; the compiler makes it one load.
func eight(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// specials has a high bit set if one of the word's bytes is a control character, a
// quote or a backslash. It may have one for a word without, never none for one with.
func specials(word uint64) uint64 {
	quote, backslash := word^lowBits*'"', word^lowBits*'\\'
	return (word-lowBits*' ')&^word | (quote-lowBits)&^quote | (backslash-lowBits)&^backslash
}

func appendEscaped(buf []byte, s string) []byte {
	plain := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			buf = appendEscape(append(buf, s[plain:i]...), c)
			plain = i + 1
		}
	}
	return append(buf, s[plain:]...)
}

func appendEscape(buf []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(buf, '\\', c)
	case '\n':
		return append(buf, '\\', 'n')
	case '\r':
		return append(buf, '\\', 'r')
	case '\t':
		return append(buf, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
