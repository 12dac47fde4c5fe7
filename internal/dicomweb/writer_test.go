package dicomweb_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"strings"
	"testing/iotest"

	"github.com/hospital-go/hospital/internal/dicomweb"
)

// Transfer syntaxes the tests write.
const (
	implicitLE   = "1.2.840.10008.1.2"
	explicitLE   = "1.2.840.10008.1.2.1"
	deflatedLE   = "1.2.840.10008.1.2.1.99"
	explicitBE   = "1.2.840.10008.1.2.2"
	jpegLossless = "1.2.840.10008.1.2.4.70"
)

var syntaxes = []string{implicitLE, explicitLE, deflatedLE, explicitBE, jpegLossless}

const undefinedLength = 0xFFFFFFFF

// writer writes data elements in one encoding.
type writer struct {
	bytes.Buffer
	order    binary.ByteOrder
	implicit bool
}

func (w *writer) u16(v ...uint16) {
	for _, v := range v {
		b := make([]byte, 2)
		w.order.PutUint16(b, v)
		w.Write(b)
	}
}

func (w *writer) u32(v uint32) {
	b := make([]byte, 4)
	w.order.PutUint32(b, v)
	w.Write(b)
}

func (w *writer) header(tag dicomweb.Tag, vr string, length uint32) {
	w.u16(uint16(tag>>16), uint16(tag))
	switch {
	case w.implicit || tag>>16 == 0xFFFE:
		w.u32(length)
	case strings.Contains("AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US", vr):
		w.WriteString(vr)
		w.u16(uint16(length))
	default:
		w.WriteString(vr)
		w.u16(0)
		w.u32(length)
	}
}

// put writes an element, padded to even length.
func (w *writer) put(tag dicomweb.Tag, vr, value string) {
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	w.header(tag, vr, uint32(len(value)))
	w.WriteString(value)
}

// file is a DICOM file to write. The zero value is a whole one with an image.
type file struct {
	syntax                  string // explicitLE
	media, instance, series string // 1.2.3.4.5, 1.2.3.4.5, 1.2.3.4
	name                    string // bytes in GB18030
	noPixels                bool
	before, inside, after   func(w *writer) // added before the UIDs, between them and the pixels, behind them
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

const preamble = 128

func (f file) bytes() []byte {
	meta := &writer{order: binary.LittleEndian}
	meta.put(0x00020001, "OB", "\x00\x01")
	meta.put(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.2")
	meta.put(0x00020003, "UI", or(f.media, "1.2.3.4.5"))
	meta.put(0x00020010, "UI", or(f.syntax, explicitLE))
	out := &writer{order: binary.LittleEndian}
	out.Write(make([]byte, preamble))
	out.WriteString("DICM")
	out.header(0x00020000, "UL", 4)
	out.u32(uint32(meta.Len()))
	out.Write(meta.Bytes())
	data := f.data()
	if f.syntax == deflatedLE {
		z, _ := flate.NewWriter(out, flate.BestCompression)
		_, _ = z.Write(data)
		_ = z.Close()
		return out.Bytes()
	}
	out.Write(data)
	return out.Bytes()
}

func (f file) data() []byte {
	w := &writer{order: binary.LittleEndian, implicit: f.syntax == implicitLE}
	if f.syntax == explicitBE {
		w.order = binary.BigEndian
	}
	w.put(dicomweb.TagSpecificCharacterSet, "CS", "GB18030")
	w.put(dicomweb.TagSOPClassUID, "UI", "1.2.840.10008.5.1.4.1.1.2")
	w.put(dicomweb.TagSOPInstanceUID, "UI", or(f.instance, "1.2.3.4.5"))
	w.put(dicomweb.TagAccessionNumber, "SH", "ACC-7")
	if f.before != nil {
		f.before(w)
	}
	w.put(dicomweb.TagPatientName, "PN", or(f.name, "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab"))
	w.put(dicomweb.TagPatientID, "LO", "P-0001")
	w.put(dicomweb.TagIssuerOfPatientID, "LO", "HOSP")
	w.put(dicomweb.TagStudyInstanceUID, "UI", "1.2.3")
	w.put(dicomweb.TagSeriesInstanceUID, "UI", or(f.series, "1.2.3.4"))
	if f.inside != nil {
		f.inside(w)
	}
	switch {
	case f.noPixels:
	case f.syntax == jpegLossless:
		w.header(dicomweb.TagPixelData, "OB", undefinedLength)
		w.fragment("")
		w.fragment("\xff\xd8 fragment \xff\xd9")
		w.header(0xFFFEE0DD, "", 0)
	default:
		w.put(dicomweb.TagPixelData, "OW", "0123456789abcdef")
	}
	if f.after != nil {
		f.after(w)
	}
	return w.Bytes()
}

func (w *writer) fragment(s string) {
	w.header(0xFFFEE000, "", uint32(len(s)))
	w.WriteString(s)
}

// nest writes sequences of undefined length inside each other.
func nest(w *writer, tag dicomweb.Tag, vr string, depth int) {
	if depth == 0 {
		return
	}
	w.header(tag, vr, undefinedLength)
	inner := w
	if vr == "UN" {
		inner = &writer{order: binary.LittleEndian, implicit: true}
	}
	inner.header(0xFFFEE000, "", undefinedLength)
	inner.put(0x00080100, "SH", "code")
	nest(inner, tag, map[bool]string{true: "SQ", false: vr}[inner.implicit], depth-1)
	inner.header(0xFFFEE00D, "", 0)
	inner.header(0xFFFEE000, "", 4)
	inner.WriteString("item")
	inner.header(0xFFFEE0DD, "", 0)
	if inner != w {
		w.Write(inner.Bytes())
	}
}

// chunkings are ways a reader may hand out the same bytes.
var chunkings = map[string]func(io.Reader) io.Reader{
	"all":         func(r io.Reader) io.Reader { return r },
	"bytes":       iotest.OneByteReader,
	"halves":      iotest.HalfReader,
	"end at once": iotest.DataErrReader,
}
