package failover_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

func hedgedRead() *failover.Call {
	call := read()
	call.Hedge = true
	return call
}

// after answers with a status once some time has passed.
func after(d time.Duration, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/probe") {
			return
		}
		select {
		case <-time.After(d):
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	}
}

// warm lets the client learn how fast the home site usually is: 5 ms.
func (p *pair) warm(t *testing.T) {
	t.Helper()
	p.on("dc-a", after(5*time.Millisecond, http.StatusOK))
	for range 40 {
		_, err := p.do(t, hedgedRead())
		require.NoError(t, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts = nil
}

// Who wins, what the caller gets and how long it takes, when the first is late.
func TestHedge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		home, peer http.HandlerFunc
		call       *failover.Call
		status     int
		took       time.Duration
		attempts   []string
	}{
		"the first is in time": {
			after(20*time.Millisecond, 200), after(5*time.Millisecond, 204), hedgedRead(), 200, 20 * time.Millisecond,
			[]string{"dc-a first committed "},
		},
		"the second wins": {
			after(time.Second, 200), after(5*time.Millisecond, 204), hedgedRead(), 204, 35 * time.Millisecond,
			[]string{"dc-a first unknown slow", "dc-b hedge committed "},
		},
		"the first wins all the same": {
			after(40*time.Millisecond, 200), after(time.Second, 204), hedgedRead(), 200, 40 * time.Millisecond,
			[]string{"dc-a first committed ", "dc-b hedge unknown canceled"},
		},
		"a refusal never beats a first that is under way": {
			after(100*time.Millisecond, 200), after(5*time.Millisecond, 404), hedgedRead(), 200, 100 * time.Millisecond,
			[]string{"dc-a first committed ", "dc-b hedge rejected "},
		},
		"but answers when the first fails": {
			after(100*time.Millisecond, 500), after(5*time.Millisecond, 404), hedgedRead(), 404, 100 * time.Millisecond,
			[]string{"dc-a first unknown status", "dc-b hedge rejected "},
		},
		"the first fails, the second is waited for": {
			after(50*time.Millisecond, 500), after(100*time.Millisecond, 204), hedgedRead(), 204, 130 * time.Millisecond,
			[]string{"dc-a first unknown status", "dc-b hedge committed "},
		},
		"what does not ask for it is not hedged": {
			after(100*time.Millisecond, 200), after(5*time.Millisecond, 204), read(), 200, 100 * time.Millisecond,
			[]string{"dc-a first committed "},
		},
		"a write never is": {
			after(100*time.Millisecond, 200), after(5*time.Millisecond, 204),
			func() *failover.Call { c := write(failover.Guarded); c.Hedge = true; return c }(), 200, 100 * time.Millisecond,
			[]string{"dc-a first committed "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{contract: campus.Contract{Versioning: true}})
				p.warm(t)
				p.on("dc-a", c.home)
				p.on("dc-b", c.peer)
				start := time.Now()
				resp, err := p.do(t, c.call)
				require.NoError(t, err)
				assert.Equal(t, c.status, resp.StatusCode)
				assert.Equal(t, c.took, time.Since(start))
				synctest.Wait()
				p.mu.Lock()
				assert.ElementsMatch(t, c.attempts, p.attempts)
				p.mu.Unlock()
				for _, s := range p.client.Status() {
					assert.Zero(t, s.InFlight)
					assert.Equal(t, failover.Healthy, s.Read)
				}
			})
		})
	}
}

// A winning hedge must not hide that the home site is slow: it steps back although
// nobody but the hedges noticed.
func TestHedgesDoNotHideASlowSite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.warm(t)
		p.on("dc-a", after(time.Second, http.StatusOK))
		p.on("dc-b", after(5*time.Millisecond, http.StatusOK))
		start := time.Now()
		for time.Since(start) < 5*time.Second {
			before := time.Now()
			_, err := p.do(t, hedgedRead())
			require.NoError(t, err)
			assert.LessOrEqual(t, time.Since(before), 40*time.Millisecond)
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		assert.Equal(t, failover.Suspect, p.client.Status()[0].Read)
	})
}

// Where packets vanish nobody waits for a dial, and the site is out within seconds.
func TestHedgesThroughABlackHole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.warm(t)
		p.on("dc-b", after(5*time.Millisecond, http.StatusOK))
		p.net.Hang("dc-a:80", true)
		p.stop("dc-a") // its connections are gone as well
		slow := 0
		for range 300 {
			before := time.Now()
			_, err := p.do(t, hedgedRead())
			require.NoError(t, err)
			if time.Since(before) > 100*time.Millisecond {
				slow++
			}
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		assert.Zero(t, slow)
		assert.Equal(t, failover.Ejected, p.client.Status()[0].Read)
	})
}

// Hedges cost at most two requests in a hundred, once what was saved up is spent.
func TestHedgeBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.warm(t)
		p.on("dc-a", after(40*time.Millisecond, http.StatusOK)) // later than ever, and not too slow
		p.on("dc-b", after(time.Second, http.StatusOK))
		for range 3000 {
			_, err := p.do(t, hedgedRead())
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, p.count("dc-b"), 500+3040*2/100+1)
		assert.Greater(t, p.count("dc-b"), 10, "late at first; then that is what is usual")
	})
}

// Scenario 31, below the verbs: giving up before a hedge is sent, and in the moment
// it wins, leaves nothing behind and blames nobody.
func TestGivingUpARace(t *testing.T) {
	t.Parallel()
	for _, ms := range []int{10, 29, 30, 31, 34, 35, 36, 50} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, setup{})
			p.warm(t)
			p.on("dc-a", after(time.Second, http.StatusOK))
			p.on("dc-b", after(5*time.Millisecond, http.StatusOK))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(ms)*time.Millisecond, cancel)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://virtual/path", http.NoBody)
			require.NoError(t, err)
			if _, err := p.client.Do(ctx, hedgedRead(), req); err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
			synctest.Wait()
			for _, s := range p.client.Status() {
				assert.Equal(t, failover.Healthy, s.Read)
				assert.Zero(t, s.InFlight)
			}
		})
	}
}
