package dicomweb

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
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
// mime/multipart, which does the reading, takes several cut answers for whole ones;
// the closing boundary is therefore watched here.
type Parts struct {
	mime    *multipart.Reader
	body    *body
	limits  Limits
	count   int
	current *Part
	err     error // sticky
}

// Part is one part, to be read up to its io.EOF. It is whole once [Parts.Next] has
// returned the following part or io.EOF: some ends of a cut answer look like the end of
// a part until then.
type Part struct {
	// Header is the part's header.
	Header textproto.MIMEHeader
	// MediaType is the media type in small letters, such as "application/dicom"; "" without one.
	MediaType string
	// Params are the parameters of the media type, their names in small letters.
	Params map[string]string
	// Length is the part's Content-Length, -1 without one. A part of another length
	// is an ErrInvalid: what ended it was no boundary, or it is not whole.
	Length int64

	raw  *multipart.Part
	body *body
	read int64
	err  error // sticky
}

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
	b := newBody(r, boundary)
	return &Parts{mime: multipart.NewReader(b, boundary), body: b, limits: l}, nil
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
// returns io.EOF when the closing boundary has come and what follows it was read to the end
// of the answer; an [ErrCut] when the answer ended before; an [ErrTooLarge] or
// [ErrInvalid] when it breaks the limits or the format. An error stays.
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
	p.body.left = p.limits.MaxHeader + 2*mimeBuffer
	raw, err := p.mime.NextRawPart()
	p.body.left = unlimited
	switch {
	case err == nil:
		return p.begin(raw)
	case atEnd(err):
		return nil, p.body.epilogue()
	}
	return nil, p.body.failure(err)
}

// begin checks a part's header.
func (p *Parts) begin(raw *multipart.Part) (*Part, error) {
	if p.count++; p.count > p.limits.MaxParts {
		return nil, tooLarge("the number of parts")
	}
	part := &Part{Header: raw.Header, raw: raw, body: p.body}
	var err error
	if headerSize(raw.Header) > p.limits.MaxHeader {
		return nil, tooLarge("a part's header")
	}
	if part.Length, err = contentLength(raw.Header); err != nil {
		return nil, err
	}
	switch strings.ToLower(raw.Header.Get("Content-Transfer-Encoding")) {
	case "", "binary", "8bit", "7bit":
	default:
		return nil, invalid("a part that is encoded for mail")
	}
	if s := raw.Header.Get("Content-Type"); s != "" {
		if part.MediaType, part.Params, err = parseMediaType(s); err != nil {
			return nil, invalid("a part's Content-Type")
		}
	}
	return part, nil
}

func headerSize(h textproto.MIMEHeader) (n int64) {
	for name, values := range h {
		for _, v := range values {
			n += int64(len(name) + len(v) + len(": \r\n"))
		}
	}
	return n
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

// Read reads the part's bytes as they are. See [Part] for what its io.EOF says.
func (p *Part) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.fill(b)
	p.read += int64(n)
	switch {
	case err != nil:
		p.err = p.end(err)
	case p.Length >= 0 && p.read > p.Length:
		p.err = errLength
	}
	return n, p.err
}

// fill reads on while there is something to read without waiting: mime/multipart
// hands out 4 KiB at most.
func (p *Part) fill(b []byte) (n int, err error) {
	for {
		m, err := p.raw.Read(b[n:])
		n += m
		if err != nil || n == len(b) || p.body.r.Buffered() == 0 {
			return n, err
		}
	}
}

var errLength = invalid("a part of another length than its Content-Length")

// end is what it means that mime/multipart reads no more.
func (p *Part) end(err error) error {
	switch {
	case !atEnd(err):
		return p.body.failure(err)
	case p.body.dangling():
		return p.body.failure(io.ErrUnexpectedEOF)
	case p.Length >= 0 && p.read != p.Length:
		return errLength
	}
	return io.EOF
}

// Release gives the buffer back for others to use; nothing can be read afterwards.
// It may be left out, and called more than once.
func (p *Parts) Release() {
	if p.body.r == nil {
		return
	}
	p.err = invalid("read after Release")
	if p.current != nil {
		p.current.err = p.err
	}
	p.body.r.Reset(nil)
	buffers.Put(p.body.r)
	p.body.r = nil
}
