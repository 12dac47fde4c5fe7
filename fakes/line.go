package fakes

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hospital-go/hospital/internal/memnet"
)

// line is what connections share that fall silent together.
type line struct {
	// lossy resets, once it speaks again, the connections on which something came
	// or should have gone meanwhile; otherwise that is delivered late, as TCP does.
	lossy bool

	mu     sync.Mutex
	silent bool
	conns  map[*lineConn]bool
}

// join puts a connection on the line. gone is told once when it is closed.
func (l *line) join(inner net.Conn, gone func(*lineConn)) *lineConn {
	c := &lineConn{Conn: inner, line: l, gone: gone}
	c.changed = sync.NewCond(&c.mu)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = map[*lineConn]bool{}
	}
	l.conns[c], c.silent = true, l.silent
	return c
}

func (l *line) leave(c *lineConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

func (l *line) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent
}

// hush silences every connection, or lets them speak again.
func (l *line) hush(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent == on {
		return
	}
	l.silent = on
	for c := range l.conns {
		if c.hush(on); !on && c.isClosed() {
			delete(l.conns, c)
		}
	}
}

// lineBuffer is what a silent connection takes from its writer before it waits, as
// a socket does whose packets vanish.
const lineBuffer = 64 << 10

// lineConn is a connection on a line. It calls the inner one without a lock.
type lineConn struct {
	net.Conn
	line *line
	gone func(*lineConn)

	mu              sync.Mutex
	changed         *sync.Cond
	silent, closed  bool
	abort           bool
	readBy, writeBy time.Time
	in              []byte // came while silent
	inErr           error
	out             []byte // taken while silent
	flushing        bool
}

// Read keeps back what comes while the line is silent, one read of it: the rest
// stays where it is.
func (c *lineConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.silent && passed(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case c.silent && (len(c.in) > 0 || c.inErr != nil):
			c.wait(c.readBy)
			continue
		case len(c.in) > 0:
			n := copy(p, c.in)
			c.in = c.in[n:]
			return n, nil
		case c.inErr != nil:
			return 0, c.inErr
		}
		c.mu.Unlock()
		n, err := c.Conn.Read(p)
		c.mu.Lock()
		if c.closed {
			return 0, net.ErrClosed
		}
		if !c.silent || errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		c.in, c.inErr = slices.Clone(p[:n]), err
	}
}

// Write takes a buffer's worth while the line is silent.
func (c *lineConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written := 0
	for len(p) > 0 {
		switch room := lineBuffer - len(c.out); {
		case c.closed:
			return written, net.ErrClosed
		case !c.silent && !c.flushing:
			c.mu.Unlock()
			n, err := c.Conn.Write(p)
			c.mu.Lock()
			return written + n, err
		case passed(c.writeBy):
			return written, os.ErrDeadlineExceeded
		case room > 0:
			n := min(room, len(p))
			c.out, p, written = append(c.out, p[:n]...), p[n:], written+n
		default:
			c.wait(c.writeBy)
		}
	}
	return written, nil
}

func passed(by time.Time) bool { return !by.IsZero() && !time.Now().Before(by) }

// wait lasts until something changes or by has come; it requires the lock.
func (c *lineConn) wait(by time.Time) {
	if !by.IsZero() {
		timer := time.AfterFunc(time.Until(by), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.changed.Broadcast()
		})
		defer timer.Stop()
	}
	c.changed.Wait()
}

func (c *lineConn) hush(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = on
	c.changed.Broadcast()
	held := len(c.in)+len(c.out) > 0 || c.inErr != nil
	switch {
	case on:
	case held && c.line.lossy:
		c.in, c.out, c.inErr = nil, nil, syscall.ECONNRESET
		resetConn(c.Conn)
	case !c.flushing && (len(c.out) > 0 || c.closed):
		c.flushing = true
		if c.closed {
			_ = c.Conn.SetDeadline(time.Time{})
		}
		go c.flush()
	}
}

// flush delivers what was taken, and the end that a close meant.
func (c *lineConn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > 0 && !c.silent {
		data := c.out
		c.out = nil
		c.mu.Unlock()
		_, err := c.Conn.Write(data)
		c.mu.Lock()
		if err != nil {
			c.out = nil
			resetConn(c.Conn)
		}
	}
	c.flushing = false
	c.changed.Broadcast()
	if c.closed && !c.silent {
		_ = c.Conn.Close()
	}
}

// SetLinger with 0 makes Close forget what has not been delivered, as TCP does.
func (c *lineConn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abort = sec == 0
	return nil
}

// Close ends it for this side. The other learns of it when the line speaks.
func (c *lineConn) Close() error {
	silent, first := c.end()
	if !first {
		return net.ErrClosed
	}
	if silent {
		return c.Conn.SetDeadline(time.Unix(1, 0)) // who reads in there comes back
	}
	c.line.leave(c)
	return c.Conn.Close()
}

// reset breaks it for both sides, silent or not.
func (c *lineConn) reset() {
	_, _ = c.end()
	c.line.leave(c)
	resetConn(c.Conn)
}

// end marks it closed.
func (c *lineConn) end() (silent, first bool) {
	c.mu.Lock()
	silent, first = c.silent || c.flushing, !c.closed
	if c.closed = true; c.abort {
		c.out = nil
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	if first && c.gone != nil {
		c.gone(c)
	}
	return silent, first
}

func (c *lineConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// CloseWrite ends this side's writing, where that can be told.
func (c *lineConn) CloseWrite() error {
	c.mu.Lock()
	silent := c.silent || c.flushing
	c.mu.Unlock()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if silent || !ok {
		return nil
	}
	return half.CloseWrite()
}

// SetDeadline sets both deadlines.
func (c *lineConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time after which reads fail.
func (c *lineConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.readBy = t
	c.changed.Broadcast()
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the time after which writes fail.
func (c *lineConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.writeBy = t
	c.changed.Broadcast()
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

// resetConn breaks a connection at once, through TLS and lines alike.
func resetConn(c net.Conn) {
	switch c := c.(type) {
	case *lineConn:
		c.reset()
	case *memnet.Conn:
		c.Reset()
	case *net.TCPConn:
		_ = c.SetLinger(0)
		_ = c.Close()
	case interface{ NetConn() net.Conn }:
		resetConn(c.NetConn())
	default:
		_ = c.Close()
	}
}
