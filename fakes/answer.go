package fakes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answer is a response before it is sent.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	flow    *flow    // in place of body
	created []string // Numbers of what was created, or newly given
	changed bool
	lost    bool // the request did not come whole: there is nobody to be told
}

// flow is a body that is made while it is sent.
type flow struct {
	length int64 // -1: not known beforehand
	write  func(w io.Writer) error
	late   time.Duration // passes before its first byte
	early  bool          // the headers do not wait for it
}

// toTheEnd sends a body whole.
const toTheEnd = -1

// errFence ends a body too early.
var errFence = errors.New("fakes: no further")

// fence lets so many bytes through.
type fence struct {
	io.Writer
	left int64
}

func (f *fence) Write(p []byte) (int, error) {
	if int64(len(p)) <= f.left {
		f.left -= int64(len(p))
		return f.Writer.Write(p)
	}
	n, err := f.Writer.Write(p[:f.left])
	f.left = 0
	return n, errors.Join(err, errFence)
}

// send sends the answer up to a byte of its body and reports whether that was all.
func (a *answer) send(ctx context.Context, w http.ResponseWriter, end int64) (whole bool) {
	maps.Copy(w.Header(), a.header)
	if n := a.length(); n >= 0 && a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	}
	if !a.begin(ctx, w) {
		return false
	}
	to := io.Writer(w)
	if end != toTheEnd {
		to = &fence{w, end}
	}
	err := a.write(to)
	if err == nil || errors.Is(err, http.ErrBodyNotAllowed) {
		return true
	}
	_ = http.NewResponseController(w).Flush()
	return false
}

// begin sends the headers, late where the body is, and reports whether the client
// waited.
func (a *answer) begin(ctx context.Context, w http.ResponseWriter) bool {
	late := a.flow != nil && a.flow.late > 0
	if late && !a.flow.early && !pause(ctx, a.flow.late) {
		return false
	}
	w.WriteHeader(a.status)
	if late && a.flow.early {
		_ = http.NewResponseController(w).Flush()
		return pause(ctx, a.flow.late)
	}
	return true
}

func (a *answer) length() int64 {
	if a.flow != nil {
		return a.flow.length
	}
	return int64(len(a.body))
}

func (a *answer) write(w io.Writer) error {
	if a.flow != nil {
		return a.flow.write(w)
	}
	_, err := w.Write(a.body)
	return err
}

// maxRewritten bounds an answer that is gathered before it is sent.
const maxRewritten = 64 << 20

// gathered is the answer with its body in one piece.
func (a *answer) gathered() *answer {
	if a.flow == nil {
		return a
	}
	var b bytes.Buffer
	if err := a.flow.write(&fence{&b, maxRewritten}); err != nil {
		return refuse(http.StatusInternalServerError, "too-long")
	}
	header := a.header.Clone()
	header.Del("Transfer-Encoding")
	return &answer{status: a.status, header: header, body: b.Bytes()}
}

// rewritten is the answer with another body.
func (a *answer) rewritten(by func([]byte) []byte) *answer {
	whole := a.gathered()
	if whole.status >= http.StatusMultipleChoices {
		return whole
	}
	return &answer{status: a.status, header: whole.header, body: by(whole.body)}
}

// sendRaw writes the answer and something more, which net/http would not.
func (a *answer) sendRaw(w http.ResponseWriter, r *http.Request, surplus string) {
	a = a.gathered()
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "HTTP/1.1 %d X\r\nContent-Length: %d\r\n", a.status, len(a.body))
	_ = a.header.Write(&b)
	_, _ = fmt.Fprintf(&b, "\r\n%s%s", a.body, surplus)
	hijacked(w, r, func(c net.Conn) {
		_, _ = c.Write(b.Bytes())
		_ = c.Close()
	})
}
