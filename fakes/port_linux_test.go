package fakes_test

import (
	"net"
	"net/url"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fakes"
)

// While a server was stopped, the kernel gave its port to a connection as that
// one's own end, and the server could not start again.
func TestPortIsKept(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithLoopback())
	w, e := from(t, hosp, "hankou", "his/dc-a")
	_, other := from(t, hosp, "hankou", "his/dc-b")
	hosp.Stop("dc-a")
	own, err := net.ResolveTCPAddr("tcp", hostPort(t, e.URL))
	require.NoError(t, err)
	_, err = hosp.Dial(t.Context(), "tcp", own.String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	conn, err := (&net.Dialer{LocalAddr: own}).DialContext(t.Context(), "tcp", hostPort(t, other.URL))
	if assert.ErrorIs(t, err, syscall.EADDRINUSE) {
		require.NoError(t, hosp.Start("dc-a"))
		assert.Equal(t, 200, w.within(5*second, e.URL))
		return
	}
	_ = conn.Close()
}

func hostPort(t *testing.T, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	return u.Host
}
