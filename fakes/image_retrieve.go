package fakes

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// part is one of a multipart answer.
type part struct {
	media string
	place string // Content-Location, where there is one
	size  int64
	open  func() (io.Reader, error)
}

// multi is a multipart answer, made while it is sent.
type multi struct {
	boundary string
	bare     bool // without the parts' lengths
	parts    []part
}

// copyBuffer is what passes at a time.
const copyBuffer = 128 << 10

// write sends the parts to w, with what fill does in place of their content.
func (m *multi) write(w io.Writer, fill func(to io.Writer, p part) error) error {
	mw := multipart.NewWriter(w)
	if err := mw.SetBoundary(m.boundary); err != nil {
		return err
	}
	for _, p := range m.parts {
		h := textproto.MIMEHeader{"Content-Type": {p.media}}
		if p.place != "" {
			h.Set("Content-Location", p.place)
		}
		if !m.bare {
			h.Set("Content-Length", strconv.FormatInt(p.size, 10))
		}
		to, err := mw.CreatePart(h)
		if err == nil {
			err = fill(to, p)
		}
		if err != nil {
			return err
		}
	}
	return mw.Close()
}

func (m *multi) send(w io.Writer) error {
	return m.write(w, func(to io.Writer, p part) error { return p.copy(to) })
}

func (p part) copy(to io.Writer) error {
	r, err := p.open()
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{to}, r, make([]byte, min(copyBuffer, p.size+1)))
	return err
}

// length is what send will send.
func (m *multi) length() int64 {
	var b bytes.Buffer
	n := int64(0)
	_ = m.write(&b, func(_ io.Writer, p part) error {
		n += p.size + int64(b.Len())
		b.Reset()
		return nil
	})
	return n + int64(b.Len())
}

// multipart answers with parts of one type; whole says its length.
func (s *server) multipart(in *request, typ string, parts []part, whole bool) *answer {
	m := &multi{boundary: s.boundary(), parts: parts}
	a := &answer{status: http.StatusOK, header: http.Header{}, flow: &flow{length: -1, write: m.send}}
	a.header.Set("Content-Type", fmt.Sprintf("multipart/related; type=%q; boundary=%s", typ, m.boundary))
	if whole {
		a.flow.length = m.length()
	}
	p := s.hospital.personality
	a.flow.late, a.flow.early = p.Nearline, p.NearlineHeaders
	if m.bare = !whole && p.NoLength && !in.image.http2; m.bare {
		a.header.Set("Transfer-Encoding", "identity") // net/http ends such an answer with the connection
	}
	return a
}

// boundary is another each time.
func (s *server) boundary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor++
	return fmt.Sprintf("%s-%s-%d", s.endpoint.System, s.endpoint.DataCenter, s.cursor)
}

// retrieve answers with files, as they are stored. Several come in another order than
// searches list them, as nothing promises the same; it is the same each time.
func (s *server) retrieve(in *request, list []*instance) *answer {
	single := in.interaction == "retrieve-instance"
	syntax, multiple, ok := in.image.asks("application/dicom", single)
	if !ok {
		return s.refuseImage(http.StatusNotAcceptable, `only multipart/related; type="application/dicom"`)
	}
	var parts []part
	for _, i := range list {
		if !isIn(i.syntax, syntax) {
			return s.refuseTranscoding(syntax)
		}
		if _, err := i.open(); err != nil {
			return s.refuseImage(http.StatusInternalServerError, "the bytes were not kept")
		}
		parts = append(parts, part{media: "application/dicom; transfer-syntax=" + i.syntax, size: i.size, open: i.open})
	}
	if multiple {
		slices.Reverse(parts)
		return s.multipart(in, "application/dicom", parts, single)
	}
	return s.alone(parts[0])
}

// alone answers with one part as the body.
func (s *server) alone(p part) *answer {
	a := &answer{status: http.StatusOK, header: http.Header{}}
	a.header.Set("Content-Type", p.media)
	a.flow = &flow{length: p.size, write: p.copy}
	a.flow.late, a.flow.early = s.hospital.personality.Nearline, s.hospital.personality.NearlineHeaders
	return a
}

// isIn: is what is stored in the syntax that was asked for? None is the default, explicit
// little endian (PS3.18 section 8.7.3).
func isIn(have, asked string) bool { return asked == "*" || have == cmp.Or(asked, explicitLittle) }

// refuseTranscoding: a server need not know but explicit little endian, and for that it
// may lack the codec.
func (s *server) refuseTranscoding(asked string) *answer {
	if s.hospital.personality.RefuseTranscoding || !isIn(explicitLittle, asked) {
		return s.refuseImage(http.StatusNotAcceptable, "transcoding refused")
	}
	return s.refuseImage(http.StatusInternalServerError, "transcoding failed")
}

// asks finds the transfer syntax that was asked for of this media type, and whether in a
// multipart answer; alone allows one that is none.
func (c *imageCall) asks(typ string, alone bool) (syntax string, multiple, ok bool) {
	if syntax, multiple = c.parts(typ); multiple {
		return syntax, true, true
	}
	i := slices.IndexFunc(c.accept, func(a accepted) bool { return a.media == typ })
	if i < 0 || !alone {
		return "", false, false
	}
	return c.accept[i].params["transfer-syntax"], false, true
}

// metadata answers with datasets, pixels by their address.
func (s *server) metadata(in *request, list []*instance) *answer {
	if !in.image.takes("application/dicom+json", "application/json") {
		return s.refuseImage(http.StatusNotAcceptable, "only application/dicom+json")
	}
	out := make([]dataset, len(list))
	for n, i := range list {
		out[n] = s.known(i)
		if i.pixelsN > 0 {
			out[n][tagPixels] = element{vr: "OW", uri: s.placeOf(i, instanceLevel) + "/bulkdata/7FE00010"}
		}
	}
	return s.datasets(out, nil)
}

// bulkdata answers with the pixel data, the only value that metadata leaves out.
func (s *server) bulkdata(in *request, i *instance) *answer {
	tag, ok := parseTag(strings.ToUpper(in.image.names["bulkdata"]))
	if !ok || tag != tagPixels || i.pixelsN <= 0 {
		return s.refuseImage(http.StatusNotFound, "no such bulk data")
	}
	return s.octets(in, i, []part{s.piece(i, 0, i.pixelsN)})
}

// frames answers with frames by their numbers, from 1.
func (s *server) frames(in *request, i *instance) *answer {
	var parts []part
	for text := range strings.SplitSeq(in.image.names["frames"], ",") {
		n, err := strconv.Atoi(text)
		from, size, ok := i.frame(n)
		if err != nil || !ok {
			return s.refuseImage(http.StatusBadRequest, "no such frame")
		}
		parts = append(parts, s.piece(i, from, size))
		parts[len(parts)-1].place = s.placeOf(i, instanceLevel) + "/frames/" + text
	}
	return s.octets(in, i, parts)
}

// octets answers with pieces of the pixel data, as they are stored.
func (s *server) octets(in *request, i *instance, parts []part) *answer {
	const typ = "application/octet-stream"
	syntax, multiple, ok := in.image.asks(typ, len(parts) == 1)
	if !ok {
		return s.refuseImage(http.StatusNotAcceptable, `only multipart/related; type="application/octet-stream"`)
	}
	if !isIn(i.pixelSyntax(), syntax) {
		return s.refuseTranscoding(syntax)
	}
	if _, err := parts[0].open(); err != nil {
		return s.refuseImage(http.StatusInternalServerError, "the bytes were not kept")
	}
	if multiple {
		return s.multipart(in, typ, parts, len(parts) == 1)
	}
	return s.alone(parts[0])
}

func (s *server) piece(i *instance, from, n int64) part {
	return part{
		media: "application/octet-stream; transfer-syntax=" + i.pixelSyntax(), size: n,
		open: func() (io.Reader, error) { return i.value(from, n) },
	}
}

// pixelSyntax is that of the pixels, whose bytes are the same in implicit and in
// explicit little endian.
func (i *instance) pixelSyntax() string {
	if i.syntax == implicitLittle {
		return explicitLittle
	}
	return i.syntax
}

// frame finds a frame, from 1, in the pixel data. Encapsulated ones are found where each
// is one fragment.
func (i *instance) frame(n int) (from, size int64, ok bool) {
	frames := max(1, i.set.int(tagFrames))
	if n < 1 || n > frames {
		return 0, 0, false
	}
	if i.pixelsN < 0 {
		return i.fragment(n, frames)
	}
	size = int64(i.set.int(tagRows)) * int64(i.set.int(tagColumns)) * int64(max(1, i.set.int(tagSamples))) * int64(i.set.int(tagBitsAllocated)) / 8
	from = int64(n-1) * size
	return from, size, size > 0 && from+size <= i.pixelsN
}

// fragment walks the items of encapsulated pixel data; the first is the offset table.
func (i *instance) fragment(n, frames int) (from, size int64, ok bool) {
	if !i.whole {
		return 0, 0, false
	}
	data, count := i.head[i.pixels:], 0
	for at := 0; at+8 <= len(data); {
		tag := uint32(binary.LittleEndian.Uint16(data[at:]))<<16 | uint32(binary.LittleEndian.Uint16(data[at+2:]))
		length := int(binary.LittleEndian.Uint32(data[at+4:]))
		if at += 8; tag != tagItem || length > len(data)-at {
			break
		}
		if count == n {
			from, size = int64(at), int64(length)
		}
		at, count = at+length, count+1
	}
	return from, size, count-1 == frames && size > 0
}
