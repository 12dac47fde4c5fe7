package failover_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// Calls that found no place leave none taken.
func TestBusyLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) { o.MaxInFlight = 1 }})
		slow := make(chan struct{})
		hold := func(w http.ResponseWriter, _ *http.Request) { <-slow; w.WriteHeader(http.StatusNoContent) }
		p.on("dc-a", hold)
		p.on("dc-b", hold)
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() { _, err := p.do(t, read()); assert.NoError(t, err) })
		}
		synctest.Wait()
		for range 10 {
			_, err := p.do(t, read())
			require.ErrorIs(t, err, failover.ErrBusy)
		}
		close(slow)
		calls.Wait()
		for _, s := range p.client.Status() {
			assert.Zero(t, s.InFlight)
		}
		_, err := p.do(t, read())
		require.NoError(t, err)
	})
}

// A health path that nobody answers takes no word back.
func TestSilentHealthPath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		health := newAsked("/ready", 503)
		p.on("dc-a", health.serve)
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints[0].HealthPath = 2, "/health/ready" })
		for i := range 60 {
			p.answeredBy(t)
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest bubble
			if i == 30 {
				require.True(t, p.client.Status()[0].Draining)
				p.stop("dc-a")
			}
		}
		assert.True(t, p.client.Status()[0].Draining)
	})
}

// A role path that nobody answers any more is no writer's.
func TestSilentRolePath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		mute := false
		for dc, status := range map[campus.DataCenterID]int64{"dc-a": 200, "dc-b": 503} {
			role := newAsked("/primary", status)
			p.on(dc, func(w http.ResponseWriter, r *http.Request) {
				if mute && strings.HasSuffix(r.URL.Path, "/primary") {
					hijack(w, r)
					return
				}
				role.serve(w, r)
			})
		}
		p.update(t, func(d *campus.Description) { d.Version, d.Stores[0].RolePath = 2, "/primary" })
		_, err := p.do(t, write(failover.Unsafe))
		require.NoError(t, err)
		mute = true
		for range 20 {
			_, err = p.do(t, write(failover.Unsafe))
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		require.ErrorIs(t, err, failover.ErrWriteUnavailable)
	})
}

// New credentials do not send again what may have been executed.
func TestRenewalOfAnUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Refused = func(_ context.Context, _ *campus.Endpoint, _ *http.Request) bool { return true }
		}})
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
		})
		call := write(failover.Unsafe)
		call.Classify = func(*failover.Call, *http.Response, []byte) failover.Verdict {
			return failover.Verdict{Outcome: failover.Unknown, Fault: failover.FaultForeign}
		}
		_, err := p.do(t, call)
		require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		assert.Len(t, p.arrived, 1)
	})
}

// "Nothing there" from a copy is no answer, however it says so.
func TestNothingFromACopy(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"not found": 404, "gone": 410, "empty": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{standby: true})
				p.stop("dc-a")
				p.stop("dc-b")
				p.on("dr", answer(status))
				call := read()
				call.Kind = campus.ReadAny
				call.Classify = func(c *failover.Call, resp *http.Response, body []byte) failover.Verdict {
					v := failover.ClassifyHTTP(c, resp, body)
					v.Empty = resp.StatusCode == http.StatusOK
					return v
				}
				_, err := p.do(t, call)
				require.ErrorIs(t, err, failover.ErrUnavailable)
			})
		})
	}
}

// It is not drained while something is in flight.
func TestDrainedIsEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		slow := make(chan struct{})
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) { <-slow; w.WriteHeader(http.StatusNoContent) })
		done := make(chan error)
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", http.NoBody)
			if err == nil {
				_, err = p.client.Do(t.Context(), write(failover.Unsafe), req)
			}
			done <- err
		}()
		synctest.Wait()
		p.client.Drain(failover.Selector{DataCenter: "dc-a"})
		assert.False(t, p.client.Drained(failover.Selector{DataCenter: "dc-a"}))
		close(slow)
		require.NoError(t, <-done)
		assert.True(t, p.client.Drained(failover.Selector{DataCenter: "dc-a"}))
	})
}

// One in a crowd of trials waits a little for the others to tell.
func TestWhoIsOnTrialIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.client.Drain(failover.Selector{DataCenter: "dc-b"})
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints = 2, d.Endpoints[:1] })
		p.stop("dc-a")
		for range 5 {
			_, _ = p.do(t, read())
		}
		require.Equal(t, failover.Ejected, p.client.Status()[0].Read)
		p.on("dc-a", after(300*time.Millisecond, http.StatusOK))
		p.start(t, "dc-a")
		var calls sync.WaitGroup
		for range 12 {
			calls.Go(func() { _, err := p.do(t, read()); assert.NoError(t, err) })
		}
		calls.Wait()
	})
}
