package fakes_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fakes"
)

// On sockets it is the kernel that gives no answer.
func TestHangOnSockets(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]fakes.Option{"plain": fakes.WithLag(0), "TLS": fakes.WithTLS(), "HTTP/2": fakes.WithHTTP2()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hosp := fakes.NewHospital(t, fakes.WithLoopback(), option)
			w, e := from(t, hosp, "hankou", "his/dc-a")
			require.Equal(t, 200, w.within(5*second, e.URL))
			for range 2 {
				before := hosp.Load("dc-a").Connections
				require.NoError(t, hosp.Hang("dc-a", true))
				assert.Zero(t, w.within(second/5, e.URL), "what is connected stalls")
				hangs(t, e.URL)
				other, peer := from(t, hosp, "hankou", "his/dc-b")
				assert.Equal(t, 200, other.within(5*second, peer.URL))
				assert.Equal(t, before, hosp.Load("dc-a").Connections, "nobody is let in")
				require.NoError(t, hosp.Hang("dc-a", false))
				w.client.CloseIdleConnections()
				assert.Equal(t, 200, w.within(5*second, e.URL))
				assert.Equal(t, before+1, hosp.Load("dc-a").Connections, "fillers are not let in")
			}
		})
	}
}

// hangs dials several times at once; the kernel leaves all of them waiting.
func hangs(t *testing.T, base string) {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), second/5)
			defer cancel()
			_, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
			var timeout net.Error
			assert.True(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
		})
	}
	all.Wait()
}

// A dial that waits when the black hole ends gets through, by a SYN sent again.
func TestHangEndsForThoseWhoWait(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithLoopback())
	w, e := from(t, hosp, "hankou", "his/dc-a")
	require.NoError(t, hosp.Hang("dc-a", true))
	var waiting sync.WaitGroup
	waiting.Go(func() { assert.Equal(t, 200, w.within(20*second, e.URL)) })
	timer := time.NewTimer(second / 5)
	<-timer.C
	require.NoError(t, hosp.Hang("dc-a", false))
	waiting.Wait()
}

// Servers stop and start inside a black hole, and it holds.
func TestHangAcrossARestart(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithLoopback())
	w, e := from(t, hosp, "hankou", "his/dc-a")
	require.NoError(t, hosp.Hang("dc-a", true))
	hosp.Stop("dc-a")
	require.NoError(t, hosp.Start("dc-a"))
	hangs(t, e.URL)
	require.NoError(t, hosp.Hang("dc-a", false))
	assert.Equal(t, 200, w.within(5*second, e.URL))
	require.NoError(t, hosp.Hang("dc-a", true))
	require.NoError(t, hosp.Close())
}
