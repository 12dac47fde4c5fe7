package pacs_test

import (
	"bytes"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// peerDoor stands before a server and passes bytes on, until it breaks.
type peerDoor struct {
	base   string
	server string
	listen net.Listener

	mu    sync.Mutex
	next  *breach
	open  map[net.Conn]bool
	stays bool     // closed
	lines []string // of requests, without their version
}

// breach is how the connection of one request ends: after so many bytes of the
// request, or of its answer; negative lets all pass.
type breach struct {
	request  string // method and path
	up, down int
	forGood  bool // nobody is let in afterwards
}

// newDoor opens a door to a base.
func newDoor(t *testing.T, base string) *peerDoor {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &peerDoor{server: u.Host, listen: l, open: map[net.Conn]bool{}}
	u.Host = l.Addr().String()
	d.base = u.String()
	var serving sync.WaitGroup
	serving.Go(func() { d.serve(&serving) })
	t.Cleanup(func() {
		d.shut()
		serving.Wait()
	})
	return d
}

func (d *peerDoor) serve(serving *sync.WaitGroup) {
	for {
		client, err := d.listen.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).Dial("tcp", d.server)
		if err != nil || !d.enter(client, server) {
			_ = client.Close()
			continue
		}
		c := &passage{door: d, client: client, server: server}
		serving.Go(c.up)
		serving.Go(c.down)
	}
}

func (d *peerDoor) enter(conns ...net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range conns {
		d.open[c] = true
	}
	return !d.stays
}

// breakAt breaks the next request that begins so.
func (d *peerDoor) breakAt(b breach) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = &b
}

// broke: has it broken?
func (d *peerDoor) broke() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next == nil
}

// meant takes the breach that is meant for a request.
func (d *peerDoor) meant(request []byte) *breach {
	d.mu.Lock()
	defer d.mu.Unlock()
	if line, _, ok := bytes.Cut(request, []byte(" HTTP/1.1\r\n")); ok {
		d.lines = append(d.lines, string(line))
	}
	b := d.next
	if b == nil {
		return nil
	}
	if rest, ok := bytes.CutPrefix(request, []byte(b.request)); !ok || rest[0] == '/' {
		return nil
	}
	d.next = nil
	return b
}

// asked are the request lines that came.
func (d *peerDoor) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// shut closes the door and everything that is open.
func (d *peerDoor) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stays = true
	_ = d.listen.Close()
	for c := range d.open {
		_ = c.Close()
	}
}

// passage is one connection.
type passage struct {
	door           *peerDoor
	client, server net.Conn

	mu     sync.Mutex
	breach *breach
}

// pass is how much of n bytes may pass, and whether it ends there.
func (p *passage) pass(n int, left func(*breach) *int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.breach == nil || *left(p.breach) < 0 {
		return n, false
	}
	rest := left(p.breach)
	if n < *rest {
		*rest -= n
		return n, false
	}
	return *rest, true
}

func (p *passage) end() {
	_, _ = p.client.Close(), p.server.Close()
	p.mu.Lock()
	forGood := p.breach != nil && p.breach.forGood
	p.mu.Unlock()
	if forGood {
		p.door.shut()
	}
}

func (p *passage) up() {
	p.copy(p.server, p.client, func(b *breach) *int { return &b.up }, func(chunk []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.breach == nil {
			p.breach = p.door.meant(chunk)
		}
	})
}

func (p *passage) down() {
	p.copy(p.client, p.server, func(b *breach) *int { return &b.down }, func([]byte) {})
}

func (p *passage) copy(to, from net.Conn, left func(*breach) *int, see func([]byte)) {
	defer p.end()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		see(buf[:n])
		m, broken := p.pass(n, left)
		if _, err := to.Write(buf[:m]); err != nil || broken {
			return
		}
	}
}
