// Package memnet is a network in memory: listeners, connections with buffers
// and half-close, dials that are refused or hang. Nothing in it touches the
// machine's network, so it works inside a testing/synctest bubble.
package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network is a set of listeners by address. The zero value is ready. It is safe
// for concurrent use.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	hanging   map[string]bool
}

// Listen opens a listener at address, any string such as "his.dc-a:80".
func (n *Network) Listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		return nil, errors.New("memnet: address in use")
	}
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	l := &listener{network: n, address: addr(address), accept: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

// Hang makes dials to address hang until their context ends, as packets that
// vanish do; or stops that.
func (n *Network) Hang(address string, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hanging == nil {
		n.hanging = map[string]bool{}
	}
	n.hanging[address] = on
}

// DialContext connects to a listener. Where there is none it is refused.
func (n *Network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l, hang := n.listeners[address], n.hanging[address]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "mem", Addr: addr(address), Err: syscall.ECONNREFUSED}
	if hang {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: addr(address), Err: ctx.Err()}
	}
	if l == nil {
		return nil, refused
	}
	client, server := Pipe(addr("client"), l.address)
	select {
	case l.accept <- server:
		return client, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: addr(address), Err: ctx.Err()}
	}
}

type addr string

func (addr) Network() string  { return "mem" }
func (a addr) String() string { return string(a) }

type listener struct {
	network *Network
	address addr
	accept  chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.address))
		l.network.mu.Unlock()
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.address }

// Pipe returns both ends of a buffered connection.
func Pipe(a, b net.Addr) (*Conn, *Conn) {
	ab, ba := newStream(), newStream()
	return &Conn{in: ba, out: ab, local: a, remote: b}, &Conn{in: ab, out: ba, local: b, remote: a}
}

// Conn is one end of a connection.
type Conn struct {
	in, out       *stream
	local, remote net.Addr
}

var _ net.Conn = (*Conn)(nil)

func (c *Conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions; the other end reads what was written, then EOF.
func (c *Conn) Close() error {
	c.out.end(io.EOF)
	c.in.stop(net.ErrClosed)
	return nil
}

// CloseWrite ends this end's writing only.
func (c *Conn) CloseWrite() error {
	c.out.end(io.EOF)
	return nil
}

// Reset breaks the connection: the other end's next read or write fails at once,
// and what was under way is lost.
func (c *Conn) Reset() {
	c.out.stop(syscall.ECONNRESET)
	c.in.stop(syscall.ECONNRESET)
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	c.out.writeBy.set(c.out, t)
	return nil
}

// SetReadDeadline sets the time after which reads fail.
func (c *Conn) SetReadDeadline(t time.Time) error { c.in.readBy.set(c.in, t); return nil }

// SetWriteDeadline sets the time after which writes fail.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.out.writeBy.set(c.out, t); return nil }

// bufferSize is how much one direction holds before writes wait, like a socket's.
const bufferSize = 64 << 10

// stream is one direction.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte
	ended   error // what a reader gets once buf is empty
	broken  error // what both sides get at once
	readBy  deadline
	writeBy deadline
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

type deadline struct {
	passed bool
	timer  *time.Timer
}

func (d *deadline) set(s *stream, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = !t.IsZero() && !t.After(time.Now())
	if !t.IsZero() && !d.passed {
		var own *time.Timer
		own = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if d.timer == own {
				d.passed = true
				s.changed.Broadcast()
			}
		})
		d.timer = own
	}
	s.changed.Broadcast()
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken != nil:
			return 0, s.broken
		case s.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			s.changed.Broadcast()
			return n, nil
		case s.ended != nil:
			return 0, s.ended
		case len(p) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.broken != nil:
			return written, s.broken
		case s.ended != nil:
			return written, net.ErrClosed
		case s.writeBy.passed:
			return written, os.ErrDeadlineExceeded
		case len(p) == 0:
			return written, nil
		case len(s.buf) < bufferSize:
			n := min(len(p), bufferSize-len(s.buf))
			s.buf = append(s.buf, p[:n]...)
			p, written = p[n:], written+n
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
}

func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = err
	}
	s.changed.Broadcast()
}

func (s *stream) stop(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
	s.buf = nil
	s.changed.Broadcast()
}
