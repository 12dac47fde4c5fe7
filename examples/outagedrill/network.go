package main

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// What the client's own network can play.
const (
	refuse   = "refuse"
	hang     = "hang"
	slow     = "slow"
	flapping = "flapping"
	cut      = "cut"
	isolate  = "isolate"
	drained  = "drained" // needs no network
)

// network stands between a client and a real hospital's data centres. It breaks
// nothing but its own connections.
type network struct {
	mu    sync.Mutex
	fault string
	home  campus.DataCenterID
	since time.Time
	conns map[*conn]bool
}

// between wraps the ways to all data centres.
func (n *network) between(cfg *hospital.Config) map[campus.DataCenterID]failover.DialFunc {
	out := map[campus.DataCenterID]failover.DialFunc{}
	for _, dc := range cfg.Topology.DataCenters {
		dial := cfg.Dial[dc.ID]
		if dial == nil {
			dial = (&net.Dialer{}).DialContext
		}
		out[dc.ID] = n.dialer(dc.ID, dial)
	}
	return out
}

func (n *network) dialer(dc campus.DataCenterID, dial failover.DialFunc) failover.DialFunc {
	return func(ctx context.Context, kind, address string) (net.Conn, error) {
		switch n.playing(dc) {
		case refuse:
			return nil, &net.OpError{Op: "dial", Net: kind, Err: syscall.ECONNREFUSED}
		case isolate:
			return nil, &net.OpError{Op: "dial", Net: kind, Err: syscall.ENETUNREACH}
		case hang:
			<-ctx.Done()
			return nil, ctx.Err()
		}
		inner, err := dial(ctx, kind, address)
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: inner, network: n, center: dc}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.conns == nil {
			n.conns = map[*conn]bool{}
		}
		n.conns[c] = true
		return c, nil
	}
}

// playing is the fault of the way to a data centre just now.
func (n *network) playing(dc campus.DataCenterID) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.fault == isolate:
		return isolate
	case dc != n.home:
		return ""
	case n.fault == flapping && time.Since(n.since)/(400*time.Millisecond)%2 == 0:
		return refuse
	case n.fault == flapping:
		return ""
	}
	return n.fault
}

// play begins a fault, or ends it; connections that are there meet it as well.
func (n *network) play(fault string, home campus.DataCenterID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault, n.home, n.since = fault, home, time.Now()
	for c := range n.conns {
		if fault == isolate || (c.center == home && (fault == refuse || fault == flapping)) {
			_ = c.Conn.Close()
			delete(n.conns, c)
		}
	}
}

// conn is one connection of the drill.
type conn struct {
	net.Conn
	network *network
	center  campus.DataCenterID
}

// Read brings what the fault lets through.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch c.network.playing(c.center) {
	case slow:
		time.Sleep(500 * time.Millisecond) //nolint:forbidigo // that is the fault
	case cut:
		_ = c.Conn.Close()
		return n / 2, syscall.ECONNRESET
	case hang:
		for c.network.playing(c.center) == hang {
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // silence is the fault
		}
		_ = c.Conn.Close()
		return 0, syscall.ECONNRESET
	}
	return n, err
}

// Close forgets it.
func (c *conn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}
