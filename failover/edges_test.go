package failover_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// Giving up while a connection is being made blames nobody.
func TestGivingUpADial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.net.Hang("dc-a:80", true)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://virtual/", http.NoBody)
			require.NoError(t, err)
			_, err = p.client.Do(ctx, write(failover.Unsafe), req)
			require.ErrorIs(t, err, failover.ErrDeadline)
			cancel()
		}
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Write)
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
	})
}

// What may run once only does not meet a connection that has rested.
func TestRestedConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		repeat   failover.Repeat
		contract campus.Contract
		again    bool
	}{
		"unsafe":                  {failover.Unsafe, campus.Contract{}, false},
		"keyed, racy":             {failover.Keyed, campus.Contract{}, false},
		"keyed, atomic":           {failover.Keyed, campus.Contract{ConditionalCreate: campus.Atomic}, true},
		"unsafe, well contracted": {failover.Unsafe, campus.Contract{ConditionalCreate: campus.Atomic}, false},
		"guarded":                 {failover.Guarded, campus.Contract{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dials := 0
				p := newPair(t, setup{contract: c.contract, options: func(o *failover.Options) {
					dial := o.Dial["dc-a"]
					o.Dial["dc-a"] = func(ctx context.Context, network, address string) (net.Conn, error) {
						dials++
						return dial(ctx, network, address)
					}
				}})
				for range 2 {
					_, err := p.do(t, write(c.repeat))
					require.NoError(t, err)
					time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
				}
				assert.Equal(t, c.again, dials == 1)
			})
		})
	}
}

// An attempt that follows another goes neither to an address nor to a store that a
// description has moved meanwhile.
func TestRetriesFollowRows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *campus.Description){
		"dc-b moves": func(d *campus.Description) { d.Version, d.Endpoints[1].URL = 2, "http://dc-b/other" },
		"dc-b is another original": func(d *campus.Description) {
			d.Version, d.Stores = 2, append(d.Stores, campus.Store{ID: "third"})
			d.Endpoints[0].Campuses = []campus.ID{"x"}
			d.Campuses = append(d.Campuses, campus.Campus{ID: "x", Organization: "group", Home: "dc-a"})
			d.Endpoints[1].Store, d.Endpoints[1].Campuses = "third", []campus.ID{"hankou"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
					w.WriteHeader(http.StatusTooManyRequests)
				})
				change(&p.d)
				next, err := campus.New(p.d)
				require.NoError(t, err)
				go func() {
					time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
					p.client.Update(next)
				}()
				_, err = p.do(t, write(failover.Unsafe))
				require.Error(t, err)
				assert.Zero(t, p.count("dc-b"))
			})
		})
	}
}

// An operator's drain of one endpoint says nothing of another that moves.
func TestDrainIsOnesOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.client.Drain(failover.Selector{DataCenter: "dc-a"})
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints[1].URL = 2, "http://dc-b/other" })
		assert.True(t, p.client.Status()[0].Draining)
		assert.False(t, p.client.Status()[1].Draining)
	})
}

// A description that fences or drains a site moves its reads by the deadline too.
func TestDescriptionMovesReads(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *campus.Description){
		"fenced":  func(d *campus.Description) { d.Version, d.Endpoints[0].Fenced = 2, true },
		"drained": func(d *campus.Description) { d.Version, d.Endpoints[0].Drained = 2, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				long := read()
				long.AttemptTimeout, long.Timeout = time.Hour, time.Hour
				time.AfterFunc(time.Second, func() { p.update(t, change) })
				start := time.Now()
				resp, err := p.do(t, long)
				require.NoError(t, err)
				assert.Equal(t, campus.DataCenterID("dc-b"), failover.OriginOf(resp).DataCenter)
				assert.Equal(t, 301*time.Second, time.Since(start))
			})
		})
	}
}

// A caller that gives a little less time than the operation has is no reason to spare a server.
func TestALittleLessTimeStillBlames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.Method == http.MethodPost {
				<-r.Context().Done()
			}
		})
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://virtual/", http.NoBody)
			require.NoError(t, err)
			_, _ = p.client.Do(ctx, write(failover.Unsafe), req)
			cancel()
		}
		assert.NotEqual(t, failover.Healthy, p.client.Status()[0].Write)
	})
}
