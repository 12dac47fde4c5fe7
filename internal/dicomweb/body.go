package dicomweb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"sync"
)

const (
	maxBoundary = 70   // RFC 2046 section 5.1.1
	mimeBuffer  = 4096 // what mime/multipart reads ahead
	unlimited   = -1
	// maxTail holds the longest closing line with some white space behind it.
	maxTail = 256
)

// body is what mime/multipart reads. It remembers how the answer ended.
type body struct {
	r    *bufio.Reader
	dash []byte // --boundary
	left int64  // bytes that may still be read, or unlimited
	err  error  // what Read returns at last
	tail []byte // the last bytes that came
}

// buffers are large because mime/multipart's own is small.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1<<20) }}

func newBody(r io.Reader, boundary string) *body {
	buf, _ := buffers.Get().(*bufio.Reader)
	buf.Reset(r)
	return &body{r: buf, dash: []byte("--" + boundary), left: unlimited, tail: make([]byte, 0, maxTail)}
}

// Read returns a bare io.EOF only after a closing boundary without an end of line,
// which is allowed; else an ErrCut. So mime/multipart has no other end to see than
// the closing boundary.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.err = tooLarge("a part's header")
		return 0, b.err
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.r.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	b.remember(p[:n])
	if err == nil && b.halfClosed() {
		if _, err = b.r.Peek(1); err != nil { // half a delimiter is none of a part's bytes
			n--
			b.tail = b.tail[:len(b.tail)-1]
		}
	}
	b.note(err)
	return n, b.err
}

// halfClosed says whether what came ends with the first hyphen of a closing boundary.
func (b *body) halfClosed() bool {
	rest, ok := bytes.CutPrefix(b.lastLine(), b.dash)
	return ok && string(rest) == "-"
}

// note keeps what the answer ended with.
func (b *body) note(err error) {
	switch {
	case err == nil:
	case atEnd(err) && b.closed():
		b.err = io.EOF
	default:
		b.err = ended(err)
	}
}

func (b *body) remember(p []byte) {
	p = p[max(0, len(p)-maxTail):]
	if over := len(b.tail) + len(p) - maxTail; over > 0 {
		b.tail = b.tail[:copy(b.tail, b.tail[over:])]
	}
	b.tail = append(b.tail, p...)
}

// lastLine is what came behind the last line feed, or its last bytes.
func (b *body) lastLine() []byte {
	return b.tail[bytes.LastIndexByte(b.tail, '\n')+1:]
}

// closed says whether the last line is the closing boundary. One with a colon could
// be a line of a header, where mime/multipart would take the end for a good one.
func (b *body) closed() bool {
	rest, ok := bytes.CutPrefix(b.lastLine(), b.dash)
	return ok && string(bytes.TrimRight(rest, " \t")) == "--" && !bytes.ContainsRune(b.dash, ':')
}

// dangling says whether the answer ended inside a line that begins as a boundary.
// It does not wait unless the last line does.
func (b *body) dangling() bool {
	if !bytes.Equal(bytes.TrimRight(b.lastLine(), " \t\r"), b.dash) {
		return false
	}
	if b.err == nil {
		_, err := b.r.Peek(1)
		b.note(err)
	}
	return b.err != nil
}

// failure is what an error of mime/multipart means. Its text is never kept: it may
// quote the answer.
func (b *body) failure(err error) error {
	switch {
	case b.err != nil && !atEnd(b.err):
		return b.err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return ended(io.ErrUnexpectedEOF)
	case errors.Is(err, multipart.ErrMessageTooLarge):
		return tooLarge("a part's header")
	}
	return invalid("broken multipart format")
}

// epilogue reads what follows the closing boundary and returns io.EOF if the answer ends well.
func (b *body) epilogue() error {
	if b.err != nil {
		return b.err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(b.r, maxSpace+1))
	switch {
	case err != nil:
		return ended(err)
	case n > maxSpace:
		return tooLarge("what follows the last part")
	}
	return io.EOF
}
