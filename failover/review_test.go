package failover_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// A doubt that is charged later gave its place back once before: the bound of calls
// to what is ejected must not grow with the length of an outage.
func TestTrialsAreGivenBackOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", answer(500))
		p.on("dc-b", answer(500))
		for range 600 {
			_, _ = p.do(t, read())
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		var in atomic.Int64
		hang := func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/probe") {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			in.Add(1)
			<-r.Context().Done()
			in.Add(-1)
		}
		p.on("dc-a", hang)
		p.on("dc-b", hang)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { _, _ = p.do(t, read()) })
		}
		over := make(chan struct{})
		go func() { wg.Wait(); close(over) }()
		most := int64(0)
		for waiting := true; waiting; {
			select {
			case <-over:
				waiting = false
			case <-time.After(20 * time.Millisecond):
				synctest.Wait() // a server takes a moment to see that its caller has gone
				most = max(most, in.Load())
			}
		}
		assert.Positive(t, most)
		assert.LessOrEqual(t, most, int64(16), "eight per ejected endpoint")
	})
}

func (p *pair) updateWith(t *testing.T, change func(d *campus.Description)) {
	d := p.d
	d.Endpoints = append([]campus.Endpoint{}, p.d.Endpoints...)
	d.Stores = append([]campus.Store{}, p.d.Stores...)
	change(&d)
	if top, err := campus.New(d); assert.NoError(t, err) {
		p.client.Update(top)
	}
}

// While a first attempt is refused, a description takes the peer out: a second
// one must not go there.
func TestRetriesHeedTheNewDescription(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"fenced", "drained", "campus"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", after(100*time.Millisecond, 429))
				go func() {
					time.Sleep(50 * time.Millisecond) //nolint:forbidigo // synctest bubble
					p.updateWith(t, func(d *campus.Description) {
						switch how {
						case "fenced":
							d.Endpoints[1].Fenced = true
						case "drained":
							d.Endpoints[1].Drained = true
						case "campus":
							d.Campuses = append(append([]campus.Campus{}, d.Campuses...), campus.Campus{ID: "other", Organization: "group", Home: "dc-b"})
							d.Endpoints[1].Campuses = []campus.ID{"other"}
						}
					})
				}()
				_, _ = p.do(t, write(failover.Unsafe))
				assert.Zero(t, p.count("dc-b"), how)
			})
		})
	}
}

// The writer moves while a slow token server is asked: the old one gets nothing.
func TestWritersMoveWhileAuthorizing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p *pair
		var once sync.Once
		p = newPair(t, setup{options: func(o *failover.Options) {
			o.Authorize = func(ctx context.Context, e *campus.Endpoint, req *http.Request) error {
				once.Do(func() {
					time.Sleep(3 * time.Second) //nolint:forbidigo // synctest bubble: a slow token server
					p.updateWith(t, func(d *campus.Description) {
						d.Stores[0].Epoch, d.Stores[0].Writers = 1, []campus.DataCenterID{"dc-b"}
					})
				})
				return nil
			}
		}})
		_, _ = p.do(t, write(failover.Unsafe))
		assert.Zero(t, p.count("dc-a"), "no writer any more")
	})
}

// A drain that was taken back cuts nothing later, and the next one moves what it should.
func TestUndrainedByDescription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.updateWith(t, func(d *campus.Description) { d.Endpoints[0].Drained = true })
		time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		p.updateWith(t, func(d *campus.Description) {})
		time.Sleep(298 * time.Second) //nolint:forbidigo // synctest bubble
		p.on("dc-a", after(1900*time.Millisecond, 200))
		_, err := p.do(t, read())
		require.NoError(t, err)
		assert.Equal(t, []string{"dc-a first committed "}, p.attempts)
		// and the next drain never moves anything
		p.attempts = nil
		p.on("dc-a", after(time.Hour, 200))
		c := read()
		c.AttemptTimeout, c.Timeout = 2*time.Hour, 2*time.Hour
		start := time.Now()
		go func() {
			time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
			p.updateWith(t, func(d *campus.Description) { d.Endpoints[0].Drained = true })
		}()
		_, err = p.do(t, c)
		require.NoError(t, err)
		assert.Less(t, time.Since(start), 310*time.Second)
	})
}

// A balancer whose path nobody asks any more holds nothing out for ever.
func TestHealthPathTakenAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.updateWith(t, func(d *campus.Description) { d.Endpoints[0].HealthPath = "/ready" })
		p.on("dc-a", answer(503))
		for range 5 {
			_, _ = p.do(t, read())
			time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		}
		assert.True(t, p.client.Status()[0].Draining)
		p.on("dc-a", answer(204))
		p.updateWith(t, func(d *campus.Description) {})
		for range 100 {
			_, _ = p.do(t, read())
			time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		}
		assert.False(t, p.client.Status()[0].Draining)
	})
}

// The first answer is a login page, and new credentials could be had: the answer of
// the hedge is not thrown away for that.
func TestHedgeBesideALoginPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Refused = func(context.Context, *campus.Endpoint, *http.Request) bool { return true }
		}})
		p.warm(t)
		var n atomic.Int64
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) > 1 {
				hijack(w, r)
				return
			}
			time.Sleep(60 * time.Millisecond) //nolint:forbidigo // synctest bubble
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusUnauthorized)
		})
		p.on("dc-b", after(70*time.Millisecond, 200))
		_, err := p.do(t, hedgedRead())
		require.NoError(t, err)
		assert.Equal(t, 1, p.count("dc-b"))
	})
}

// net/http sends a GET again when a reused connection breaks. One that its caller
// declares Unsafe, because the system does things by GET, must run once.
func TestUnsafeGetIsNotReplayed(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				var executed atomic.Int64
				p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Get("pay") != "" {
						executed.Add(1)
						hijack(w, r)
						return
					}
					w.WriteHeader(http.StatusNoContent)
				})
				for _, query := range []string{"x=1", "pay=1"} { // the second on the connection of the first
					body := io.Reader(http.NoBody)
					if method == http.MethodPost {
						body = strings.NewReader("80.00")
					}
					req, err := http.NewRequestWithContext(t.Context(), method, "http://virtual/path?"+query, body)
					require.NoError(t, err)
					req.Header.Set("Idempotency-Key", "7")
					if resp, err := p.client.Do(t.Context(), write(failover.Unsafe), req); err == nil {
						_ = resp.Body.Close()
					}
				}
				assert.Equal(t, int64(1), executed.Load())
			})
		})
	}
}

type stated struct{}

func (stated) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// Of an adapter nobody can ask whether it is alive; that it was not asked does not
// end an isolation.
func TestAdapterIsNoSignOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) {
			lost := func(ctx context.Context, _, _ string) (c net.Conn, err error) { <-ctx.Done(); return nil, ctx.Err() }
			o.Dial = map[campus.DataCenterID]failover.DialFunc{"dc-a": lost, "dc-b": lost}
			d := campus.Description{
				Organizations: []campus.Organization{{ID: "group"}},
				Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
				Systems:       []campus.System{{ID: "his"}, {ID: "emr"}},
				Stores:        []campus.Store{{ID: "his"}, {ID: "emr"}},
				DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
			}
			for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
				d.Endpoints = append(d.Endpoints, campus.Endpoint{System: "his", DataCenter: dc, Store: "his", URL: "http://" + string(dc) + "/base", AllowPlainHTTP: true})
			}
			d.Endpoints = append(d.Endpoints, campus.Endpoint{System: "emr", DataCenter: "dc-a", Store: "emr", URL: "http://dc-a/emr", AllowPlainHTTP: true})
			var err error
			o.Topology, err = campus.New(d)
			require.NoError(t, err)
			o.Adapters = map[campus.EndpointID]http.RoundTripper{"emr/dc-a": stated{}}
		}})
		for range 40 {
			_, _ = p.do(t, read())
			time.Sleep(250 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		n := 0
		for _, e := range p.events {
			if strings.HasSuffix(e, "isolated→healthy") {
				n++
			}
		}
		assert.Zero(t, n)
	})
}

// The first fails, the hedge beside it works: that is the answer, though a third
// endpoint could be asked.
func TestHedgeAfterTheFirstFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{standby: true})
		p.warm(t)
		p.on("dc-a", after(50*time.Millisecond, 500))
		p.on("dc-b", after(100*time.Millisecond, 200))
		p.on("dr", after(5*time.Millisecond, 500))
		c := hedgedRead()
		c.Kind = campus.ReadAny
		_, err := p.do(t, c)
		require.NoError(t, err)
		assert.Len(t, p.attempts, 2)
	})
}
