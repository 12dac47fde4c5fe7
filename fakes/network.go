package fakes

import (
	"context"
	"net"
	"syscall"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// way leads from a campus to a data centre.
type way struct {
	campus campus.ID
	center campus.DataCenterID
}

// link is what clients at a campus reach a data centre by.
type link struct {
	line
	cut bool // guarded by the hospital's mu
}

// Dial connects to a server by the address in the description, for tests that
// speak the wire themselves. It belongs to no campus: [Hospital.Partition] and
// [Hospital.Isolate] leave it alone.
func (h *Hospital) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if h.loopback {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return h.network.DialContext(ctx, network, address)
}

// dialer goes by the campus's link.
func (h *Hospital) dialer(id campus.ID, dc campus.DataCenterID) failover.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		l, isolated := h.link(id, dc)
		failed := &net.OpError{Op: "dial", Net: network, Err: syscall.ENETUNREACH}
		if isolated {
			return nil, failed
		}
		if l.isSilent() {
			<-ctx.Done()
			failed.Err = ctx.Err()
			return nil, failed
		}
		conn, err := h.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return l.join(conn, nil), nil
	}
}

// link returns the one link of a campus to a data centre, and whether the campus
// is isolated.
func (h *Hospital) link(id campus.ID, dc campus.DataCenterID) (*link, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := way{id, dc}
	if h.links[key] == nil {
		h.links[key] = &link{}
	}
	return h.links[key], h.isolated[id]
}

// Partition cuts the way between a campus and a data centre, or mends it, for
// clients of [Hospital.ConfigAt] that campus. While it is cut, dials hang until
// their context ends; connections are silent both ways, none is reset, and a close
// is not seen at the other end. What was sent meanwhile arrives late.
func (h *Hospital) Partition(id campus.ID, dc campus.DataCenterID, on bool) {
	l, _ := h.link(id, dc)
	h.mu.Lock()
	defer h.mu.Unlock()
	l.cut = on
	h.hushLinks(id)
}

// Isolate takes a campus's own network away, or gives it back, for clients of
// [Hospital.ConfigAt] that campus: dials fail at once with ENETUNREACH, connections
// are silent as after [Hospital.Partition].
func (h *Hospital) Isolate(id campus.ID, on bool) {
	for i := range h.description.DataCenters {
		h.link(id, h.description.DataCenters[i].ID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.isolated[id] = on
	h.hushLinks(id)
}

// hushLinks makes a campus's links what they should be; it requires the lock.
func (h *Hospital) hushLinks(id campus.ID) {
	for key, l := range h.links {
		if key.campus == id {
			l.hush(l.cut || h.isolated[id])
		}
	}
}

// mendLinks lets every connection go that waits for a link.
func (h *Hospital) mendLinks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.links {
		l.hush(false)
	}
}
