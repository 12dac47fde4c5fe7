package failover

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// quietConn drops what a server sends beyond the end of its answer. net/http
// writes such a surplus to the standard logger, and where a gateway counts
// characters instead of bytes in Content-Length, the surplus is the end of
// somebody's record. The connection ends with the answer it came after.
type quietConn struct {
	net.Conn
	mu     sync.Mutex
	frame  frame
	ending bool
}

func (c *quietConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.frame.request(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *quietConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	ending := c.ending
	c.mu.Unlock()
	if ending {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if due := c.frame.response(p[:n]); due < n {
		c.ending = true
		return due, io.EOF // with the last bytes, so that net/http never pools the connection
	}
	return n, err
}

// Close ends the connection. A request that was given up must not arrive later: a
// kernel that lingers would send what nobody has acknowledged for minutes, through
// the end of a partition, when its caller has long looked, found nothing and done it
// once more.
func (c *quietConn) Close() error {
	c.mu.Lock()
	waiting := c.frame.state != frameIdle
	c.mu.Unlock()
	if waiting {
		dropUnsent(c.Conn)
	}
	return c.Conn.Close()
}

// dropUnsent makes the connection's Close forget what the other side has not got.
func dropUnsent(conn net.Conn) {
	for conn != nil {
		switch c := conn.(type) {
		case interface{ SetLinger(sec int) error }:
			_ = c.SetLinger(0)
			return
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return
		}
	}
}

// frame follows the framing of answers on one HTTP/1.1 connection (RFC 9112,
// section 6), one request after the other.
type frame struct {
	state  frameState
	head   bool   // the request is a HEAD
	line   []byte // of a header or chunk size, as far as it came
	status string
	length int64 // of the body, -1 for none named
	chunks bool
	left   int64 // bytes of the body or chunk still due
}

type frameState uint8

const (
	frameIdle frameState = iota // no request is waiting: nothing is due
	frameStatus
	frameHeader
	frameBody
	frameChunkSize
	frameChunk
	frameTrailer
	frameEndless // until the connection closes, or beyond what is followed
)

// maxFrameLine is where following a line is given up; net/http refuses it anyway.
const maxFrameLine = maxHeaderBytes

// request begins a new frame. What is no request line is the rest of a body whose
// answer came early; such a connection is not followed any more.
func (f *frame) request(p []byte) {
	if f.state != frameIdle || len(p) == 0 {
		return
	}
	if !requestLine(p) {
		f.state = frameEndless
		return
	}
	*f = frame{state: frameStatus, length: -1, head: bytes.HasPrefix(p, []byte("HEAD "))}
}

// requestLine: a method and a space (RFC 9112, section 3).
func requestLine(p []byte) bool {
	method, _, ok := bytes.Cut(p[:min(len(p), 32)], []byte(" "))
	return ok && len(method) > 0 && !bytes.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' })
}

// response says how many bytes of p are due.
func (f *frame) response(p []byte) int {
	at := 0
	for at < len(p) {
		switch f.state {
		case frameIdle:
			return at
		case frameEndless:
			return len(p)
		case frameBody, frameChunk:
			n := int(min(int64(len(p)-at), f.left))
			at += n
			if f.left -= int64(n); f.left == 0 {
				f.bodyRead()
			}
		default:
			n := bytes.IndexByte(p[at:], '\n')
			if n < 0 {
				f.keep(p[at:])
				return len(p)
			}
			f.keep(p[at : at+n])
			at += n + 1
			f.lineRead(strings.TrimRight(string(f.line), "\r"))
			f.line = f.line[:0]
		}
	}
	return at
}

func (f *frame) keep(part []byte) {
	if f.line = append(f.line, part...); len(f.line) > maxFrameLine {
		f.state = frameEndless
	}
}

func (f *frame) bodyRead() {
	if f.state = frameIdle; f.chunks {
		f.state = frameChunkSize
	}
}

func (f *frame) lineRead(line string) {
	switch f.state {
	case frameStatus:
		_, rest, _ := strings.Cut(line, " ")
		f.status, f.length, f.chunks = rest, -1, false
		f.state = frameHeader
	case frameHeader:
		f.header(line)
	case frameChunkSize:
		f.chunkSize(line)
	case frameTrailer:
		if line == "" {
			f.state = frameIdle
		}
	default:
	}
}

func (f *frame) header(line string) {
	if line == "" {
		f.headersRead()
		return
	}
	name, value, _ := strings.Cut(line, ":")
	switch value = strings.TrimSpace(value); {
	case strings.EqualFold(name, "Content-Length"):
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
			f.length = n
		}
	case strings.EqualFold(name, "Transfer-Encoding"):
		f.chunks = strings.EqualFold(value, "chunked")
	}
}

// headersRead decides what follows (RFC 9112, section 6.3).
func (f *frame) headersRead() {
	switch {
	case strings.HasPrefix(f.status, "101"):
		f.state = frameEndless
	case strings.HasPrefix(f.status, "1"):
		f.state = frameStatus
	case f.head, strings.HasPrefix(f.status, "204"), strings.HasPrefix(f.status, "304"):
		f.state = frameIdle
	case f.chunks:
		f.state = frameChunkSize
	case f.length == 0:
		f.state = frameIdle
	case f.length > 0:
		f.state, f.left = frameBody, f.length
	default:
		f.state = frameEndless
	}
}

// chunkSize reads the line before a chunk; its CRLF belongs to the chunk here.
func (f *frame) chunkSize(line string) {
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 62)
	switch {
	case err != nil || n < 0:
		f.state = frameEndless
	case n == 0:
		f.state = frameTrailer
	default:
		f.state, f.left = frameChunk, n+2
	}
}
