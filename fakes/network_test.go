package fakes_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// from speaks to one endpoint as a client at a campus does.
func from(t *testing.T, hosp *fakes.Hospital, id campus.ID, to campus.EndpointID) (*wire, campus.Endpoint) {
	t.Helper()
	cfg := hosp.ConfigAt(id)
	e := endpoint(t, hosp, to)
	transport := &http.Transport{DialContext: cfg.Dial[e.DataCenter], TLSClientConfig: cfg.TLS[to], ForceAttemptHTTP2: e.HTTP2}
	t.Cleanup(transport.CloseIdleConnections)
	return &wire{t, &http.Client{Transport: transport}}, e
}

func endpoint(t *testing.T, hosp *fakes.Hospital, id campus.EndpointID) campus.Endpoint {
	t.Helper()
	for _, e := range hosp.Description().Endpoints {
		if e.Name() == id {
			return e
		}
	}
	require.Failf(t, "no endpoint", "%s", id)
	return campus.Endpoint{}
}

// within is a GET of a patient that is given up after d.
func (w *wire) within(d time.Duration, url string) int {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	status, _ := w.send(ctx, http.MethodGet, url+"/Patient/1001", "", nil)
	return status
}

const second = time.Second

// One campus loses its way to one data centre; nobody else notices.
func TestPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		type client struct {
			campus campus.ID
			to     campus.EndpointID
			cut    bool
		}
		for _, warm := range []bool{true, false} {
			for _, c := range []client{{"hankou", "his/dc-a", true}, {"hankou", "his/dc-b", false}, {"guanggu", "his/dc-a", false}} {
				w, e := from(t, hosp, c.campus, c.to)
				if warm {
					require.Equal(t, 200, w.within(second, e.URL))
				}
				hosp.Partition("hankou", "dc-a", true)
				start := time.Now()
				got := w.within(second, e.URL)
				assert.Equal(t, c.cut, got == 0, "%+v warm %v", c, warm)
				if c.cut {
					assert.Equal(t, second, time.Since(start), "it hangs")
				}
				hosp.Partition("hankou", "dc-a", false)
				assert.Equal(t, 200, w.within(second, e.URL))
			}
		}
	})
}

func TestIsolate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		warm, e := from(t, hosp, "hankou", "his/dc-a")
		require.Equal(t, 200, warm.within(second, e.URL))
		hosp.Isolate("hankou", true)
		start := time.Now()
		for _, dc := range []campus.DataCenterID{"dc-a", "dc-b", "dr"} {
			_, err := hosp.ConfigAt("hankou").Dial[dc](t.Context(), "tcp", "his.dc-b.test:80")
			require.ErrorIs(t, err, syscall.ENETUNREACH)
		}
		assert.Zero(t, time.Since(start), "at once")
		assert.Zero(t, warm.within(second, e.URL))
		assert.Equal(t, second, time.Since(start), "what is connected is silent")
		other, e := from(t, hosp, "zhongfa", "his/dc-a")
		assert.Equal(t, 200, other.within(second, e.URL))
		hosp.Isolate("hankou", false)
		assert.Equal(t, 200, warm.within(second, e.URL))
	})
}

// A cut that is mended before anybody gave up delays, and loses nothing.
func TestPartitionDeliversLate(t *testing.T) {
	t.Parallel()
	for name, cutAt := range map[string]time.Duration{
		"before the request": 0,
		"before the answer":  second / 2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t)
				hosp.Break(fakes.Rule{When: fakes.When{Type: "Slot"}, Do: fakes.Action{Delay: second}})
				w, e := from(t, hosp, "hankou", "his/dc-a")
				require.Equal(t, 200, w.within(second, e.URL))
				time.AfterFunc(cutAt, func() { hosp.Partition("hankou", "dc-a", true) })
				time.AfterFunc(5*second, func() { hosp.Partition("hankou", "dc-a", false) })
				time.Sleep(time.Nanosecond) //nolint:forbidigo // synctest bubble
				start := time.Now()
				status, _ := w.send(t.Context(), "GET", e.URL+"/Slot/s1-1", "", nil)
				assert.Equal(t, 200, status)
				assert.GreaterOrEqual(t, time.Since(start), 4*second)
			})
		})
	}
}

// The server does not learn that a client behind a cut has left.
func TestPartitionHidesALeavingClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithoutDemoData())
		hosp.Break(fakes.Rule{Do: fakes.Action{Delay: 2 * second}}) // cut short when the client leaves
		w, e := from(t, hosp, "hankou", "his/dc-a")
		time.AfterFunc(second/2, func() { hosp.Partition("hankou", "dc-a", true) })
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		status, _ := w.send(ctx, "POST", e.URL+"/Patient", `{"resourceType":"Patient"}`, nil)
		assert.Zero(t, status)
		time.Sleep(5 * second) //nolint:forbidigo // synctest bubble
		assert.Len(t, hosp.Resources(campus.HIS, "Patient"), 1)
		assert.Equal(t, 1, hosp.Load("dc-a").OpenConnections, "it is still open at the server")
		hosp.Partition("hankou", "dc-a", false)
		synctest.Wait()
		assert.Zero(t, hosp.Load("dc-a").OpenConnections)
	})
}

// The rules of a silent connection, by the byte.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		conn, err := hosp.Config().Dial["dc-a"](t.Context(), "tcp", "his.dc-a.test:80")
		require.NoError(t, err)
		hosp.Partition("hankou", "dc-a", true)
		require.NoError(t, conn.SetDeadline(time.Now().Add(second)))
		n, err := conn.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a buffer's worth is taken")
		assert.Equal(t, 64<<10, n)
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, conn.SetDeadline(time.Time{}))
		var reader sync.WaitGroup
		reader.Go(func() {
			_, err := conn.Read(make([]byte, 1))
			assert.ErrorIs(t, err, net.ErrClosed)
		})
		synctest.Wait()
		require.NoError(t, conn.Close())
		reader.Wait()
		_, err = conn.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// A reset is not seen through a cut, only after it.
func TestResetsBehindACut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		conn, err := hosp.Config().Dial["dc-a"](t.Context(), "tcp", "his.dc-a.test:80")
		require.NoError(t, err)
		start := time.Now()
		time.AfterFunc(second, func() { hosp.Partition("hankou", "dc-a", true) })
		time.AfterFunc(2*second, func() { hosp.Stop("dc-a") })
		time.AfterFunc(3*second, func() { hosp.Partition("hankou", "dc-a", false) })
		_, err = io.ReadAll(conn)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		assert.Equal(t, 3*second, time.Since(start))
		require.NoError(t, conn.Close())
	})
}

func TestPartitionOnSockets(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithLoopback())
	w, e := from(t, hosp, "hankou", "his/dc-a")
	require.Equal(t, 200, w.within(5*second, e.URL))
	hosp.Partition("hankou", "dc-a", true)
	assert.Zero(t, w.within(second/10, e.URL))
	assert.Zero(t, w.within(second/10, e.URL), "a new dial hangs too")
	other, _ := from(t, hosp, "guanggu", "his/dc-a")
	assert.Equal(t, 200, other.within(5*second, e.URL))
	hosp.Partition("hankou", "dc-a", false)
	assert.Equal(t, 200, w.within(5*second, e.URL))
	hosp.Isolate("hankou", true)
	_, err := hosp.Config().Dial["dc-b"](t.Context(), "tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, syscall.ENETUNREACH)
}

func TestStopAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithEnvironments(), fakes.WithoutDemoData())
		all := hosp.Description().Endpoints
		require.Len(t, all, 30)
		for _, c := range []struct {
			at      failover.Selector
			stopped int
		}{
			{failover.Selector{}, 30},
			{failover.Selector{Endpoint: "his/dc-a/A"}, 1},
			{failover.Selector{System: "lis"}, 6},
			{failover.Selector{DataCenter: "dr"}, 10},
			{failover.Selector{Environment: "B"}, 15},
			{failover.Selector{System: "emr", DataCenter: "dc-b", Environment: "A"}, 1},
			{failover.Selector{Endpoint: "his/dc-a"}, 0},
		} {
			hosp.StopAt(c.at)
			gone := 0
			for _, e := range all {
				w, _ := from(t, hosp, "hankou", e.Name())
				status, _ := w.send(t.Context(), "GET", e.URL+"/metadata", "", nil)
				if status == 0 {
					gone++
				}
			}
			assert.Equal(t, c.stopped, gone, "%+v", c.at)
			require.NoError(t, hosp.StartAt(c.at))
		}
	})
}
