package failover_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// asked answers a path below the base with a status that may change, and the rest
// with 204.
type asked struct {
	path   string
	status atomic.Int64
	count  atomic.Int64
}

func (a *asked) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, a.path) {
		a.count.Add(1)
		w.WriteHeader(int(a.status.Load()))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func newAsked(path string, status int64) *asked {
	a := &asked{path: path}
	a.status.Store(status)
	return a
}

// A balancer takes a site out by its health path and puts it back; nobody asks that
// path while there is no traffic, and other answers than 503 and success say nothing.
func TestHealthPath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		health := newAsked("/ready", 200)
		p.on("dc-a", health.serve)
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints[0].HealthPath = 2, "/health/ready" })
		traffic := func(d time.Duration) (last campus.DataCenterID) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				last = p.answeredBy(t)
				time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest bubble
			}
			return last
		}
		assert.Equal(t, campus.DataCenterID("dc-a"), traffic(3*time.Second))
		assert.InDelta(t, 3, health.count.Load(), 1, "once a second, under traffic")
		idle := health.count.Load()
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		assert.Equal(t, idle, health.count.Load(), "and never without")
		for _, step := range []struct {
			status int64
			want   campus.DataCenterID
		}{{503, "dc-b"}, {500, "dc-b"}, {200, "dc-a"}, {404, "dc-a"}, {500, "dc-a"}} {
			health.status.Store(step.status)
			assert.Equal(t, step.want, traffic(3*time.Second), "after %d", step.status)
		}
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read, "that is no illness")
	})
}

// One of two doors writes, and its store says which. While it moves, writes wait a
// little; when nobody is it, or two say so, none is sent.
func TestRolePath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		roles := map[campus.DataCenterID]*asked{"dc-a": newAsked("/primary", 503), "dc-b": newAsked("/primary", 200)}
		for dc, role := range roles {
			p.on(dc, role.serve)
		}
		p.update(t, func(d *campus.Description) { d.Version, d.Stores[0].RolePath = 2, "/primary" })
		writes := func() (campus.DataCenterID, error) {
			resp, err := p.do(t, write(failover.Unsafe))
			return failover.OriginOf(resp).DataCenter, err
		}
		dc, err := writes()
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), dc, "also the first one knows")
		assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t), "reads go home")

		roles["dc-b"].status.Store(503) // the role moves; for a while nobody has it
		time.Sleep(2 * time.Second)     //nolint:forbidigo // synctest bubble
		time.AfterFunc(1500*time.Millisecond, func() { roles["dc-a"].status.Store(200) })
		start := time.Now()
		dc, err = writes()
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-a"), dc)
		assert.Greater(t, time.Since(start), time.Second, "it was held")

		roles["dc-a"].status.Store(503)
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		start = time.Now()
		_, err = writes()
		require.ErrorIs(t, err, failover.ErrWriteUnavailable)
		require.ErrorIs(t, err, failover.ErrUnavailable)
		assert.InDelta(t, 2*time.Second, time.Since(start), float64(100*time.Millisecond))

		roles["dc-a"].status.Store(200)
		roles["dc-b"].status.Store(200) // a split brain
		time.Sleep(2 * time.Second)     //nolint:forbidigo // synctest bubble
		_, err = writes()
		require.ErrorIs(t, err, failover.ErrWriteUnavailable, "where two say they write nobody is believed")
	})
}

// A read that a drained site does not finish is moved after the drain's deadline; a
// write is not, and is named until it ends.
func TestDrainDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		hold := make(chan struct{})
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-hold:
			case <-r.Context().Done():
			}
			w.WriteHeader(http.StatusOK)
		})
		answers := make(chan failover.Origin, 2)
		long := read()
		long.AttemptTimeout, long.Timeout = time.Hour, time.Hour
		pay := write(failover.Unsafe)
		pay.Op, pay.Timeout = "test.Pay", time.Hour
		for _, call := range []*failover.Call{long, pay} {
			go func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", http.NoBody)
				assert.NoError(t, err)
				resp, err := p.client.Do(t.Context(), call, req)
				assert.NoError(t, err)
				answers <- failover.OriginOf(resp)
			}()
		}
		synctest.Wait()
		p.client.Drain(failover.Selector{DataCenter: "dc-a"})
		time.Sleep(299 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Empty(t, answers)
		assert.Len(t, p.client.Status()[0].Stragglers, 2)
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Equal(t, campus.DataCenterID("dc-b"), (<-answers).DataCenter, "the read was moved")
		time.Sleep(50 * time.Minute) //nolint:forbidigo // synctest bubble
		left := p.client.Status()[0]
		require.Len(t, left.Stragglers, 1)
		assert.Equal(t, "test.Pay", left.Stragglers[0].Op)
		assert.False(t, left.Drained)
		close(hold)
		assert.Equal(t, campus.DataCenterID("dc-a"), (<-answers).DataCenter, "the payment ended where it began")
		assert.True(t, p.client.Status()[0].Drained)
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read, "being moved blames nobody")
	})
}

// Behind a balancer's name there is no site to choose: what is sent again goes over
// a connection of its own, so that the balancer can.
func TestVIP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.update(t, func(d *campus.Description) {
			d.Version, d.Endpoints = 2, d.Endpoints[:1]
			d.Endpoints[0].Front = campus.VIP
		})
		var asked []string
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/probe") {
				return
			}
			if asked = append(asked, r.Header.Get("Connection")); len(asked) == 1 {
				w.WriteHeader(http.StatusBadGateway)
			}
		})
		_, err := p.do(t, read())
		require.NoError(t, err)
		assert.Equal(t, []string{"", "close"}, asked)
	})
}

// A stream's headers must come in time, and it must not fall silent; how long its
// reader takes is the reader's own affair.
func TestStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		stream := func() (*http.Response, error) {
			call := read()
			call.MaxBody, call.AttemptTimeout, call.Timeout, call.Stall = 0, time.Second, time.Hour, 3*time.Second
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://virtual/", http.NoBody)
			require.NoError(t, err)
			return p.client.Do(t.Context(), call, req)
		}
		silence := func(pauses ...time.Duration) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for _, d := range pauses {
					select {
					case <-time.After(d):
					case <-r.Context().Done():
						return
					}
					_, _ = io.WriteString(w, "part ")
					_ = http.NewResponseController(w).Flush()
				}
			}
		}
		p.on("dc-a", silence(2*time.Second))
		resp, err := stream()
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), failover.OriginOf(resp).DataCenter, "headers that did not come are asked for elsewhere")
		require.NoError(t, resp.Body.Close())

		p.on("dc-a", silence(0, 2*time.Second, 2*time.Second))
		resp, err = stream()
		require.NoError(t, err)
		buf := make([]byte, 5)
		_, err = io.ReadFull(resp.Body, buf)
		require.NoError(t, err)
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble: a reader at leisure
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "part part ", string(data))
		require.NoError(t, resp.Body.Close())

		p.on("dc-a", silence(0, time.Hour))
		resp, err = stream()
		require.NoError(t, err)
		start := time.Now()
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, failover.ErrStalled)
		assert.Equal(t, 3*time.Second, time.Since(start))
		require.NoError(t, resp.Body.Close())
		assert.Zero(t, p.client.Status()[0].InFlight)
	})
}

func TestReachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.stop("dc-a")
		require.NoError(t, p.client.Reachable(t.Context(), "his"))
		p.on("dc-b", answer(http.StatusInternalServerError))
		require.ErrorIs(t, p.client.Reachable(t.Context(), "his"), failover.ErrUnavailable)
	})
}
