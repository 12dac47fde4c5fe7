package fakes

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// errNotDICOM is a file that is not as PS3.10 wants it.
var errNotDICOM = errors.New("fakes: not a whole DICOM file with its UIDs")

// Transfer syntaxes that are not explicit little endian.
const (
	explicitLittle = "1.2.840.10008.1.2.1"
	implicitLittle = "1.2.840.10008.1.2"
	explicitBig    = "1.2.840.10008.1.2.2"
	deflated       = "1.2.840.10008.1.2.1.99"
)

// Bounds of what is read.
const (
	maxDepth    = 8
	maxInflated = 64 << 20
	maxNumbers  = 64 // values of one element
)

// file is what a DICOM file says before its pixels.
type file struct {
	study, series, sop string // their UIDs
	syntax             string
	set                dataset
	spans              map[uint32]stretch // of the elements' values, where the file has them in the open
	pixels             int64              // where they begin, 0 where they cannot be found
	pixelsN            int64              // how long they are, -1 when they are encapsulated
}

// stretch is where a value is, and the bytes that say how long.
type stretch struct{ from, to, lengthAt, lengthSize int }

// parseFile reads a file as far as its pixels. data may end within these. That the meta
// group names another instance than the dataset is as it is with others' servers: theirs to send.
func parseFile(data []byte) (file, error) {
	f := file{spans: map[uint32]stretch{}}
	if len(data) < 132 || string(data[128:132]) != "DICM" {
		return f, errNotDICOM
	}
	meta := &scanner{data: data, at: 132, order: binary.LittleEndian}
	head := dataset{}
	for meta.at+2 <= len(data) && binary.LittleEndian.Uint16(data[meta.at:]) == 2 {
		if _, err := meta.next(head, 0); err != nil {
			return f, err
		}
	}
	f.syntax = head.text(tagTransferSyntax)
	body := &scanner{data: data, at: meta.at, order: binary.LittleEndian, spans: f.spans}
	switch f.syntax {
	case implicitLittle:
		body.implicit = true
	case explicitBig:
		body.order = binary.BigEndian
	case deflated:
		inflated, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[meta.at:])), maxInflated))
		if err != nil {
			return f, errNotDICOM
		}
		body.data, body.at, body.spans = inflated, 0, nil
	}
	set, err := body.dataset(len(body.data), 0)
	if f.set = set; err != nil {
		return f, err
	}
	if body.spans != nil {
		f.pixels, f.pixelsN = int64(body.pixels), body.pixelsN
	}
	for _, tag := range []uint32{tagSOPClass, tagSOPInstance, tagStudy, tagSeries} {
		if e := set[tag]; e.vr != "UI" || len(e.values) != 1 || !validUID(set.text(tag)) {
			return f, errNotDICOM
		}
	}
	f.study, f.series, f.sop = set.text(tagStudy), set.text(tagSeries), set.text(tagSOPInstance)
	if !validUID(f.syntax) {
		return f, errNotDICOM
	}
	return f, nil
}

// complete: has a file of this size all of its pixels?
func (f file) complete(size int64) bool { return f.pixelsN <= 0 || f.pixels+f.pixelsN <= size }

func validUID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789.") == ""
}

// scanner reads elements.
type scanner struct {
	data     []byte
	at       int
	order    binary.ByteOrder
	implicit bool
	charset  string
	spans    map[uint32]stretch // nil: not wanted
	pixels   int
	pixelsN  int64
}

// undefined is a length that a delimiter tells.
const undefined = 0xFFFFFFFF

// longVRs have a length of 32 bits.
const longVRs = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"

// header is an element's tag, VR and length.
func (s *scanner) header() (tag uint32, vr string, length uint32, err error) {
	b := s.data[min(s.at, len(s.data)):]
	if len(b) < 8 {
		return 0, "", 0, errNotDICOM
	}
	tag = uint32(s.order.Uint16(b))<<16 | uint32(s.order.Uint16(b[2:]))
	if tag>>16 == 0xFFFE || s.implicit {
		s.at += 8
		return tag, vrOf(tag), s.order.Uint32(b[4:]), nil
	}
	vr = string(b[4:6])
	if !strings.Contains(longVRs, vr) {
		s.at += 8
		return tag, vr, uint32(s.order.Uint16(b[6:])), nil
	}
	if len(b) < 12 {
		return 0, "", 0, errNotDICOM
	}
	s.at += 12
	return tag, vr, s.order.Uint32(b[8:]), nil
}

// dataset reads until end, a delimiter, or the pixels.
func (s *scanner) dataset(end, depth int) (dataset, error) {
	d := dataset{}
	if depth > maxDepth {
		return d, errNotDICOM
	}
	for s.at < end {
		if more, err := s.next(d, depth); err != nil || !more {
			return d, err
		}
	}
	return d, nil
}

// next reads one element into d and reports whether another may follow.
func (s *scanner) next(d dataset, depth int) (more bool, err error) {
	tag, vr, length, err := s.header()
	switch {
	case err != nil:
		return false, err
	case tag == tagItemEnd || tag == tagSequenceEnd:
		return false, nil
	case depth == 0 && tag>>16 == 0x7FE0 && tag&0xFFFF >= 8: // the pixels, of integers or floats
		if s.pixels, s.pixelsN = s.at, int64(length); length == undefined {
			s.pixelsN = -1
		}
		return false, nil
	case vr == "SQ" || length == undefined:
		return true, s.sequence(d, tag, vr, length, depth)
	case int64(length) > int64(len(s.data)-s.at):
		return false, errNotDICOM
	}
	from := s.at
	s.at += int(length)
	if size := s.lengthSize(vr); depth == 0 && s.spans != nil {
		s.spans[tag] = stretch{from, s.at, from - size, size}
	}
	if e, ok := s.element(vr, s.data[from:s.at]); ok {
		d[tag] = e
	}
	if tag == tagCharset {
		s.charset = d.text(tag)
	}
	return true, nil
}

func (s *scanner) lengthSize(vr string) int {
	if s.implicit || strings.Contains(longVRs, vr) {
		return 4
	}
	return 2
}

// sequence reads items. Within a UN of undefined length they are implicit (PS3.5 6.2.2).
func (s *scanner) sequence(d dataset, tag uint32, vr string, length uint32, depth int) error {
	end := len(s.data)
	if length != undefined {
		end = s.at + int(length)
	}
	if end > len(s.data) {
		return errNotDICOM
	}
	inner := *s
	if vr == "UN" {
		inner.implicit, inner.order = true, binary.LittleEndian
	}
	e := element{vr: "SQ"}
	for inner.at < end {
		t, _, n, err := inner.header()
		if err != nil {
			return err
		}
		if t == tagSequenceEnd {
			break
		}
		until := end
		if n != undefined {
			until = inner.at + int(n)
		}
		if t != tagItem || until > end {
			return errNotDICOM
		}
		if vr != "SQ" && vr != "UN" { // fragments
			inner.at = until
			continue
		}
		item, err := inner.dataset(until, depth+1)
		if err != nil {
			return err
		}
		e.values = append(e.values, item)
	}
	if s.at = inner.at; vr == "SQ" {
		d[tag] = e
	}
	return nil
}

// element decodes what searches and metadata need: text and few numbers.
func (s *scanner) element(vr string, b []byte) (element, bool) {
	if slices.Contains([]string{"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}, vr) {
		return textElement(vr, strings.ToValidUTF8(string(b), "\uFFFD")), true
	}
	if slices.Contains([]string{"LO", "LT", "PN", "SH", "ST", "UC", "UT"}, vr) {
		return textElement(vr, decoded(s.charset, b)), true
	}
	size := map[string]int{"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8}[vr]
	if size == 0 || len(b)%size != 0 || len(b)/size > maxNumbers {
		return element{}, false
	}
	e := element{vr: vr}
	for part := range slices.Chunk(b, size) {
		e.values = append(e.values, s.number(vr, part))
	}
	return e, true
}

func (s *scanner) number(vr string, b []byte) any {
	switch vr {
	case "US":
		return json.Number(strconv.Itoa(int(s.order.Uint16(b))))
	case "SS":
		return json.Number(strconv.Itoa(int(int16(s.order.Uint16(b))))) //nolint:gosec // the sign is in the bits
	case "UL":
		return json.Number(strconv.FormatUint(uint64(s.order.Uint32(b)), 10))
	case "SL":
		return json.Number(strconv.Itoa(int(int32(s.order.Uint32(b))))) //nolint:gosec // the sign is in the bits
	}
	var f float64
	if vr == "FL" {
		f = float64(math.Float32frombits(s.order.Uint32(b)))
	} else {
		f = math.Float64frombits(s.order.Uint64(b))
	}
	if f-f != 0 {
		return fmt.Sprint(f) // JSON has no such number
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}

// decoded is text in UTF-8. Of GB18030 and GBK the standard library has no table: each of
// their characters becomes U+FFFD; so does each byte of the other sets but Latin-1.
func decoded(charset string, b []byte) string {
	switch charset {
	case "ISO_IR 100":
		var out strings.Builder
		for _, c := range b {
			out.WriteRune(rune(c))
		}
		return out.String()
	case "GB18030", "GBK":
		return withoutGB(b)
	}
	return strings.ToValidUTF8(string(b), string(utf8.RuneError))
}

// withoutGB keeps what is ASCII; the second byte of a character may look like it.
func withoutGB(b []byte) string {
	var out strings.Builder
	for i := 0; i < len(b); i++ {
		if b[i] < 0x80 {
			out.WriteByte(b[i])
			continue
		}
		out.WriteRune(utf8.RuneError)
		if i++; i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i += 2
		}
	}
	return out.String()
}
