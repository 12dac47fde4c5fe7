package memnet_test

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/memnet"
)

func connect(t *testing.T) (client, server *memnet.Conn) {
	t.Helper()
	var n memnet.Network
	l, err := n.Listen("a:80")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	c, err := n.DialContext(t.Context(), "tcp", "a:80")
	require.NoError(t, err)
	return c.(*memnet.Conn), (<-accepted).(*memnet.Conn)
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		_, err := client.Write([]byte("question"))
		require.NoError(t, err)
		require.NoError(t, client.CloseWrite())
		data, err := io.ReadAll(server)
		require.NoError(t, err)
		assert.Equal(t, "question", string(data))
		_, err = server.Write([]byte("answer"))
		require.NoError(t, err)
		require.NoError(t, server.Close())
		data, err = io.ReadAll(client)
		require.NoError(t, err)
		assert.Equal(t, "answer", string(data))
	})
}

func TestResetLosesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		_, err := server.Write([]byte("answer"))
		require.NoError(t, err)
		server.Reset()
		_, err = client.Read(make([]byte, 9))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = client.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestDeadlinesAndFullBuffers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		require.NoError(t, client.SetDeadline(time.Now().Add(time.Second)))
		start := time.Now()
		_, err := client.Read(make([]byte, 1))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
		assert.Equal(t, time.Second, time.Since(start))
		require.NoError(t, client.SetDeadline(time.Time{}))
		done := make(chan int)
		go func() {
			n, _ := client.Write(make([]byte, 1<<20))
			done <- n
		}()
		synctest.Wait() // the writer waits for a reader
		n, err := io.CopyN(io.Discard, server, 1<<20)
		require.NoError(t, err)
		assert.Equal(t, int64(1<<20), n)
		assert.Equal(t, 1<<20, <-done)
	})
}

func TestDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		_, err := n.DialContext(t.Context(), "tcp", "nobody:80")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		n.Hang("nobody:80", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.DialContext(ctx, "tcp", "nobody:80")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		l, err := n.Listen("a:80")
		require.NoError(t, err)
		_, err = n.Listen("a:80")
		require.Error(t, err, "in use")
		require.NoError(t, l.Close())
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
