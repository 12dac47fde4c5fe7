package failover

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lingering remembers how it was closed.
type lingering struct {
	net.Conn
	asked  bool
	linger int
	closed bool
}

func (l *lingering) SetLinger(sec int) error     { l.asked, l.linger = true, sec; return nil }
func (l *lingering) Close() error                { l.closed = true; return nil }
func (l *lingering) Write(p []byte) (int, error) { return len(p), nil }
func (l *lingering) Read(p []byte) (int, error) {
	return copy(p, "HTTP/1.1 204 No Content\r\n\r\n"), nil
}

// layered is a connection above another one, as TLS is.
type layered struct{ net.Conn }

func (l layered) NetConn() net.Conn { return l.Conn }

// A request that was given up is dropped with its connection; a connection at rest
// ends as ever.
func TestGivenUpIsNotDelivered(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c }, "encrypted": func(c net.Conn) net.Conn { return layered{c} },
	} {
		for _, answered := range []bool{false, true} {
			raw := &lingering{linger: -1}
			c := &quietConn{Conn: wrap(raw)}
			_, err := c.Write([]byte("POST /x HTTP/1.1\r\n\r\n"))
			assert.NoError(t, err)
			if answered {
				_, err = c.Read(make([]byte, 100))
				require.NoError(t, err)
			}
			assert.NoError(t, c.Close())
			assert.Equal(t, !answered, raw.asked, name)
			assert.True(t, raw.closed)
			if !answered {
				assert.Zero(t, raw.linger, name)
			}
		}
		raw := &lingering{}
		require.NoError(t, (&quietConn{Conn: wrap(raw)}).Close())
		assert.False(t, raw.asked, "nothing was sent")
	}
}
