package main

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate is a listener that can be killed and revived at its address, or turned
// into a black hole.
type gate struct {
	addr   string
	silent atomic.Bool // swallow what arrives, send nothing

	mu      sync.Mutex
	ln      *net.TCPListener // nil while killed
	paused  bool             // accept nobody
	closed  bool
	changed chan struct{} // closed at the next change
	conns   map[*gatedConn]struct{}
	fill    []net.Conn // what keeps the backlog full
}

// newGate takes a port below those that a kernel gives to connections: one of these would
// be taken while the gate is killed.
func newGate() (*gate, error) {
	var ln *net.TCPListener
	var err error
	for range 100 {
		if ln, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20_000 + rand.IntN(10_000)}); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return &gate{addr: ln.Addr().String(), ln: ln, changed: make(chan struct{}), conns: map[*gatedConn]struct{}{}}, nil
}

// change runs f under the lock and wakes Accept.
func (g *gate) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

// Accept waits through kills and pauses.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		ln, paused, closed, changed := g.ln, g.paused, g.closed, g.changed
		g.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if ln != nil && !paused {
			if c, err := ln.AcceptTCP(); err == nil {
				return g.admit(c), nil
			}
		}
		<-changed
	}
}

func (g *gate) admit(c *net.TCPConn) net.Conn {
	conn := &gatedConn{Conn: c, tcp: c, gate: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[conn] = struct{}{}
	return conn
}

// Addr is the listener's.
func (g *gate) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Close ends the gate for good.
func (g *gate) Close() error {
	g.change(func() {
		g.closed = true
		if g.ln != nil {
			_ = g.ln.Close()
		}
	})
	g.resetAll()
	return nil
}

func (g *gate) resetAll() {
	g.mu.Lock()
	conns := make([]*gatedConn, 0, len(g.conns))
	for c := range g.conns {
		conns = append(conns, c)
	}
	g.mu.Unlock()
	for _, c := range conns {
		c.reset()
	}
}

// kill refuses new connections and resets those there are.
func (g *gate) kill() error {
	g.mu.Lock()
	ln := g.ln
	g.ln = nil
	g.mu.Unlock()
	err := ln.Close()
	g.resetAll()
	return err
}

func (g *gate) revive() error {
	address, err := net.ResolveTCPAddr("tcp", g.addr)
	if err != nil {
		return err
	}
	ln, err := net.ListenTCP("tcp", address)
	if err != nil {
		return err
	}
	g.change(func() { g.ln = ln })
	return nil
}

// blackHole silences established connections and lets new dials hang on a full
// backlog; where that cannot be had they are accepted and silenced too.
func (g *gate) blackHole() error {
	g.silent.Store(true)
	if !backlogHangs() {
		return nil
	}
	g.change(func() { g.paused = true })
	_ = g.ln.SetDeadline(time.Unix(1, 0)) // takes Accept out of its wait
	fill, err := fillBacklog(g.ln)
	g.fill = fill
	return err
}

// open ends the black hole. What was swallowed stays lost: its connections are reset.
func (g *gate) open() error {
	g.resetAll()
	g.silent.Store(false)
	for _, c := range g.fill {
		_ = c.Close()
	}
	g.fill = nil
	err := setBacklog(g.ln, 4096)
	_ = g.ln.SetDeadline(time.Time{})
	g.change(func() { g.paused = false })
	return err
}

// gatedConn is a connection that its gate can silence and reset.
type gatedConn struct {
	net.Conn
	tcp  *net.TCPConn
	gate *gate
}

func (c *gatedConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.gate.silent.Load() {
			return n, err
		}
	}
}

func (c *gatedConn) Write(p []byte) (int, error) {
	if c.gate.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Close forgets the connection.
func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// reset closes with RST instead of FIN.
func (c *gatedConn) reset() {
	_ = c.tcp.SetLinger(0)
	_ = c.Close()
}
