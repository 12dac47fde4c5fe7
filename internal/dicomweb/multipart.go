package dicomweb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Limits bound a multipart answer beside the size of its parts, which the reader of
// a part bounds.
type Limits struct {
	// MaxParts is how many parts there may be; 0 is 65,536.
	MaxParts int
	// MaxHeader is how many bytes a part's header may have; 0 is 16 KiB. What stands
	// before the first part may be as long.
	MaxHeader int64
}

// Parts reads the parts of a multipart/related answer (RFC 2387, PS3.18 section 8.6),
// one after another. It is for one goroutine.
//
// It is not built on mime/multipart, which takes several cut answers for whole ones,
// looks for the boundary in parts that say how long they are, and does so slowly for the
// long boundaries that archives use.
type Parts struct {
	r       *bufio.Reader
	dash    []byte // --boundary
	nl      []byte // what ends a line: \r\n, or \n where the first boundary's line does
	sep     []byte // nl and dash
	limits  Limits
	count   int
	current *Part
	err     error // sticky
}

// Part is one part, to be read up to its io.EOF: then its boundary has come. Of a part
// without Length that may have been a boundary inside its bytes; what follows it, and so
// [Parts.Next], shows that.
type Part struct {
	// Header is the part's header.
	Header textproto.MIMEHeader
	// MediaType is the media type in small letters, such as "application/dicom"; "" without one.
	MediaType string
	// Params are the parameters of the media type, their names in small letters.
	Params map[string]string
	// Length is the part's Content-Length, -1 without one. A part after which no boundary
	// stands is an ErrInvalid.
	Length int64

	parts *Parts
	read  int64
	err   error // sticky
}

const (
	maxBoundary = 70 // RFC 2046 section 5.1.1
	maxLines    = 10_000
	// needle is how much of a boundary is looked for first: what processors find fast.
	needle = 32
)

// buffers are large, so that a read takes what has come.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1<<20) }}

// NewParts reads the multipart body r, whose Content-Type is contentType. Nothing is
// read yet. It returns an [ErrInvalid] if that is not multipart/related with a boundary.
func NewParts(r io.Reader, contentType string, l Limits) (*Parts, error) {
	media, params, err := parseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || media != "multipart/related" || boundary == "" || len(boundary) > maxBoundary {
		return nil, invalid("not a multipart/related answer with a boundary")
	}
	if l.MaxParts == 0 {
		l.MaxParts = 1 << 16
	}
	if l.MaxHeader == 0 {
		l.MaxHeader = 16 << 10
	}
	buf, _ := buffers.Get().(*bufio.Reader)
	buf.Reset(r)
	return &Parts{r: buf, dash: []byte("--" + boundary), limits: l}, nil
}

// unquoted finds a parameter "type" that some servers leave without the quotes that
// its slash needs.
var unquoted = regexp.MustCompile(`(?i)(;\s*type=)([a-z0-9.+-]+/[a-z0-9.+-]+)`)

func parseMediaType(s string) (string, map[string]string, error) {
	media, params, err := mime.ParseMediaType(s)
	if errors.Is(err, mime.ErrInvalidMediaParameter) {
		return mime.ParseMediaType(unquoted.ReplaceAllString(s, `$1"$2"`))
	}
	return media, params, err
}

// Next passes over what is left of the part before and returns the next one. It
// returns io.EOF when the closing boundary has come and what follows it, which must be white
// space, was read to the end of the answer; an [ErrCut] when the answer ended before; an
// [ErrTooLarge] or [ErrInvalid] when it breaks the limits or the format. An error stays.
func (p *Parts) Next() (*Part, error) {
	if p.err == nil {
		p.current, p.err = p.next()
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.current, nil
}

func (p *Parts) next() (*Part, error) {
	if p.current != nil {
		if _, err := io.Copy(io.Discard, p.current); err != nil {
			return nil, err
		}
	}
	closed, err := p.boundary()
	switch {
	case err != nil:
		return nil, err
	case closed:
		return nil, p.epilogue()
	}
	header, err := p.header()
	if err != nil {
		return nil, err
	}
	return p.begin(header)
}

// boundary reads a boundary's line, the first one behind whatever stands before it.
func (p *Parts) boundary() (closed bool, err error) {
	for left := p.limits.MaxHeader; ; {
		line, err := p.line(&left)
		after, is := bytes.CutPrefix(line, p.dash)
		after, final := bytes.CutPrefix(after, []byte("--"))
		after = bytes.TrimLeft(after, " \t")
		switch {
		case is && final && p.closes(after, err):
			return true, nil
		case err != nil:
			return false, ended(err)
		case is && !final && p.opens(after):
			return false, nil
		case p.nl != nil:
			return false, invalid("broken multipart format")
		}
	}
}

// closes: the closing boundary's line may be without end at the answer's.
func (p *Parts) closes(after []byte, err error) bool {
	switch {
	case err != nil:
		return atEnd(err) && len(after) == 0
	case p.nl == nil:
		return string(after) == "\r\n"
	}
	return bytes.Equal(after, p.nl)
}

// opens: the first boundary's line says how lines end.
func (p *Parts) opens(after []byte) bool {
	if p.nl == nil && (string(after) == "\r\n" || string(after) == "\n") {
		p.nl = bytes.Clone(after)
		p.sep = append(bytes.Clone(after), p.dash...)
	}
	return p.nl != nil && bytes.Equal(after, p.nl)
}

// line reads a line with its end; left is how many bytes there may be. It is good until
// the next read.
func (p *Parts) line(left *int64) ([]byte, error) {
	line, err := p.r.ReadSlice('\n')
	if *left -= int64(len(line)); *left < 0 || errors.Is(err, bufio.ErrBufferFull) {
		return nil, tooLarge("a part's header")
	}
	return line, err
}

// header reads a part's header up to its empty line.
func (p *Parts) header() (textproto.MIMEHeader, error) {
	var text bytes.Buffer
	left := p.limits.MaxHeader
	for range maxLines {
		line, err := p.line(&left)
		switch {
		case err != nil:
			return nil, ended(err)
		case bytes.HasPrefix(line, p.dash):
			return nil, invalid("a boundary inside a header")
		}
		text.Write(line)
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			h, err := textproto.NewReader(bufio.NewReader(&text)).ReadMIMEHeader()
			if err != nil {
				return nil, invalid("broken multipart format")
			}
			return h, nil
		}
	}
	return nil, tooLarge("a part's header")
}

// begin checks a part's header.
func (p *Parts) begin(header textproto.MIMEHeader) (*Part, error) {
	if p.count++; p.count > p.limits.MaxParts {
		return nil, tooLarge("the number of parts")
	}
	part := &Part{Header: header, parts: p}
	var err error
	if part.Length, err = contentLength(header); err != nil {
		return nil, err
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "", "binary", "8bit", "7bit":
	default:
		return nil, invalid("a part that is encoded for mail")
	}
	if s := header.Get("Content-Type"); s != "" {
		if part.MediaType, part.Params, err = parseMediaType(s); err != nil {
			return nil, invalid("a part's Content-Type")
		}
	}
	return part, nil
}

func contentLength(h textproto.MIMEHeader) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil || len(values) > 1 {
		return 0, invalid("a part's Content-Length")
	}
	return int64(n), nil
}

// epilogue reads what follows the closing boundary and returns io.EOF if the answer ends
// well. Anything but white space means that the boundary stood inside a part.
func (p *Parts) epilogue() error {
	for n := 0; n <= maxSpace; {
		_, err := p.r.Peek(1)
		rest, _ := p.r.Peek(p.r.Buffered())
		switch {
		case len(bytes.TrimLeft(rest, " \t\r\n")) > 0:
			return invalid("something stands behind the closing boundary")
		case atEnd(err):
			return io.EOF
		case err != nil:
			return ended(err)
		}
		n += len(rest)
		_, _ = p.r.Discard(len(rest))
	}
	return tooLarge("what follows the last part")
}

// Release gives the buffer back for others to use; nothing can be read afterwards.
// It may be left out, and called more than once.
func (p *Parts) Release() {
	if p.r == nil {
		return
	}
	p.err = invalid("read after Release")
	if p.current != nil {
		p.current.err = p.err
	}
	p.r.Reset(nil)
	buffers.Put(p.r)
	p.r = nil
}
