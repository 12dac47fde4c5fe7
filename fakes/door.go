package fakes

import (
	"net"
	"sync"
	"time"
)

// door is a listener that the server's connections come through, below TLS.
type door struct {
	net.Listener
	server *server

	mu        sync.Mutex
	changed   *sync.Cond
	accepting bool
	hole      *hole // not nil: dials on loopback sockets hang
}

func newDoor(s *server, l net.Listener) *door {
	d := &door{Listener: l, server: s}
	d.changed = sync.NewCond(&d.mu)
	return d
}

// hole is what makes a listener deaf.
type hole struct {
	fillers []net.Conn
	done    chan struct{}
}

// Accept waits out a hole.
func (d *door) Accept() (net.Conn, error) {
	for {
		if h := d.begin(); h != nil {
			<-h.done
			continue
		}
		inner, err := d.Listener.Accept()
		d.end()
		if err != nil && !timedOut(err) {
			return nil, err
		}
		if err != nil {
			continue
		}
		if c := d.server.adopt(d, inner); c != nil {
			return c, nil
		}
	}
}

// begin returns the hole there is, or else notes that somebody accepts.
func (d *door) begin() *hole {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepting = d.hole == nil
	return d.hole
}

func (d *door) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepting = false
	d.changed.Broadcast()
}

func timedOut(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // net's own, not wrapped
	return ok && e.Timeout()
}

// Close ends the hole too.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.Listener.Close()
	if d.hole != nil {
		d.hole.end()
		d.hole = nil
	}
	return err
}

func (h *hole) end() {
	for _, c := range h.fillers {
		resetConn(c)
	}
	close(h.done)
}

// shut makes dials hang in the kernel. Those in memory hang without it.
func (d *door) shut() error {
	l, ok := d.Listener.(*net.TCPListener)
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hole = &hole{done: make(chan struct{})}
	err := l.SetDeadline(time.Unix(1, 0))
	for d.accepting && err == nil {
		d.changed.Wait() // or the first to fill the queue is taken from it
	}
	if err == nil {
		err = dig(l, d.hole)
	}
	if err != nil {
		d.refill(l)
	}
	return err
}

// open ends what shut began.
func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.Listener.(*net.TCPListener); ok && d.hole != nil {
		d.refill(l)
	}
}

// refill requires the lock.
func (d *door) refill(l *net.TCPListener) {
	undig(l)
	_ = l.SetDeadline(time.Time{})
	d.hole.end()
	d.hole = nil
}
