package failover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
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

// update puts a changed description in force.
func (p *pair) update(t *testing.T, change func(d *campus.Description)) {
	t.Helper()
	change(&p.d)
	topology, err := campus.New(p.d)
	require.NoError(t, err)
	p.client.Update(topology)
}

func (p *pair) answeredBy(t *testing.T) campus.DataCenterID {
	t.Helper()
	resp, err := p.do(t, read())
	require.NoError(t, err)
	return failover.OriginOf(resp).DataCenter
}

// What is known of an address outlives the description it stood in.
func TestUpdateKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.stop("dc-a")
		for range 3 {
			assert.Equal(t, campus.DataCenterID("dc-b"), p.answeredBy(t))
		}
		require.Equal(t, failover.Suspect, p.client.Status()[0].Read)
		p.update(t, func(d *campus.Description) {
			d.Version, d.Stores[0].Epoch = 2, 7
			d.Endpoints[0].Contract.Versioning = true
		})
		assert.Equal(t, int64(2), p.client.Topology().Version())
		assert.Equal(t, failover.Suspect, p.client.Status()[0].Read)
		resp, err := p.do(t, read())
		require.NoError(t, err)
		assert.Equal(t, int64(7), failover.OriginOf(resp).Epoch, "what it says of itself is new")
		p.start(t, "dc-a")
		time.Sleep(10 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t), "and its probe brings it back")
	})
}

// A new address begins without a past; the old one is asked no more, and the
// calls it still has come back.
func TestUpdateMovesAnEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		slow := make(chan struct{})
		var probes sync.Map
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/base/probe" {
				probes.Store(time.Now(), true)
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			<-slow
			w.WriteHeader(http.StatusNoContent)
		})
		done := make(chan *http.Response)
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", http.NoBody)
			if err != nil {
				return
			}
			resp, _ := p.client.Do(t.Context(), write(failover.Unsafe), req)
			done <- resp
		}()
		synctest.Wait()
		p.on("dc-c", answer(http.StatusNoContent))
		p.start(t, "dc-c")
		p.update(t, func(d *campus.Description) { d.Version = 2; d.Endpoints[0].URL = "http://dc-c/base" })
		assert.Equal(t, 0, p.client.Status()[0].InFlight)
		assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t), "the data centre, at its new address")
		assert.Equal(t, 1, p.count("dc-c"))
		close(slow)
		resp := <-done
		require.NotNil(t, resp)
		assert.Equal(t, http.StatusNoContent, resp.StatusCode)
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints = 3, d.Endpoints[1:] })
		assert.Equal(t, campus.DataCenterID("dc-b"), p.answeredBy(t))
	})
}

// A suspect that no description has any more is not probed for ever.
func TestUpdateEndsProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		var mu sync.Mutex
		probed := 0
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/base/probe" {
				mu.Lock()
				probed++
				mu.Unlock()
			}
			w.WriteHeader(http.StatusInternalServerError)
		})
		for range 5 {
			assert.Equal(t, campus.DataCenterID("dc-b"), p.answeredBy(t))
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // synctest bubble
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints = 2, d.Endpoints[1:] })
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		mu.Lock()
		before := probed
		mu.Unlock()
		require.Positive(t, before)
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, before, probed)
	})
}

// The description's word and an operator's word in this process are two: each
// holds until the same voice takes it back.
func TestUpdateAndDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		drain := func(v int64, drained bool) {
			p.update(t, func(d *campus.Description) { d.Version, d.Endpoints[0].Drained = v, drained })
		}
		drain(2, true)
		assert.Equal(t, campus.DataCenterID("dc-b"), p.answeredBy(t))
		drain(3, false)
		assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t))
		p.client.Drain(failover.Selector{DataCenter: "dc-a"})
		drain(4, false)
		assert.Equal(t, campus.DataCenterID("dc-b"), p.answeredBy(t), "an operator drained it here")
		p.client.Restore(failover.Selector{DataCenter: "dc-a"})
		assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t))
	})
}

// 401 and the credentials behind it: who is asked how often, and what stands.
func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	refuse := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	}
	bare := answer(http.StatusUnauthorized)
	once := func() http.HandlerFunc { // refuses the first token only
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.Header.Get("Token") == "old" {
				w.Header().Set("WWW-Authenticate", "Bearer")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}
	}
	for name, c := range map[string]struct {
		a, b   http.HandlerFunc
		call   *failover.Call
		renews bool
		want   string // status, or the error
		sent   [2]int
	}{
		"a read, renewed":                    {once(), answer(204), read(), true, "204", [2]int{2, 0}},
		"a read, nothing new":                {refuse, answer(204), read(), false, "204", [2]int{1, 1}},
		"a read, renewed, refused":           {refuse, answer(204), read(), true, "204", [2]int{2, 1}},
		"a read, refused everywhere":         {refuse, refuse, read(), false, "401", [2]int{1, 1}},
		"a write, renewed":                   {once(), answer(204), write(failover.Unsafe), true, "204", [2]int{2, 0}},
		"a write, nothing new":               {refuse, answer(204), write(failover.Unsafe), false, "401", [2]int{1, 0}},
		"a write, renewed, refused":          {refuse, answer(204), write(failover.Unsafe), true, "401", [2]int{2, 0}},
		"a write, refused by who knows whom": {bare, answer(204), write(failover.Unsafe), true, "401", [2]int{1, 0}},
		"a write, a gateway's page":          {html(http.StatusUnauthorized), answer(204), write(failover.Unsafe), true, "unknown", [2]int{1, 0}},
		"a read, a gateway's page":           {html(http.StatusUnauthorized), answer(204), read(), true, "204", [2]int{2, 1}},
		"a read, renewed, then broken":       {brokenAfter(once()), answer(204), read(), true, "204", [2]int{2, 1}},
		"a write lost, then refused":         {hijack, refuse, write(failover.Guarded), false, "unknown", [2]int{1, 1}},
		"a write lost, then renewed":         {hijack, once(), write(failover.Guarded), true, "204", [2]int{1, 2}},
		"a write lost, renewed and refused":  {hijack, refuse, write(failover.Guarded), true, "unknown", [2]int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				token, renewals := "old", 0
				p := newPair(t, setup{contract: campus.Contract{Versioning: true}, options: func(o *failover.Options) {
					o.Authorize = func(_ context.Context, _ *campus.Endpoint, req *http.Request) error {
						mu.Lock()
						defer mu.Unlock()
						req.Header.Set("Token", token)
						return nil
					}
					o.Refused = func(_ context.Context, _ *campus.Endpoint, req *http.Request) bool {
						mu.Lock()
						defer mu.Unlock()
						renewals++
						assert.Equal(t, token, req.Header.Get("Token"), "it is told what was refused")
						token = "new"
						return c.renews
					}
				}})
				p.on("dc-a", c.a)
				p.on("dc-b", c.b)
				resp, err := p.do(t, c.call)
				switch {
				case c.want == "unknown":
					require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
				case assert.NoError(t, err): //nolint:testifylint // the status is looked at only then
					assert.Equal(t, c.want, strconv.Itoa(resp.StatusCode))
				}
				sent := [2]int{p.count("dc-a"), p.count("dc-b")}
				assert.Equal(t, c.sent, sent)
				for _, s := range p.client.Status() {
					assert.Zero(t, s.InFlight)
				}
			})
		})
	}
}

// brokenAfter breaks with 500 once h would not refuse.
func brokenAfter(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Token") == "old" {
			h(w, r)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// After a renewal the last word explains the failure, not the first refusal.
func TestRenewalDoesNotMaskTheReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		token := "old"
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Authorize = func(_ context.Context, _ *campus.Endpoint, req *http.Request) error {
				mu.Lock()
				defer mu.Unlock()
				req.Header.Set("Token", token)
				return nil
			}
			o.Refused = func(context.Context, *campus.Endpoint, *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				token = "new"
				return true
			}
		}})
		busy := func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Token") == "old" {
				w.Header().Set("WWW-Authenticate", "Bearer")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		p.on("dc-a", busy)
		p.on("dc-b", busy)
		_, err := p.do(t, write(failover.Unsafe))
		var e *failover.Error
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, err, failover.ErrUnavailable)
		assert.Equal(t, 7*time.Second, e.RetryAfter)
		assert.Equal(t, http.StatusTooManyRequests, e.Status)
	})
}

// A poisoned read breaks one site, and the other asks who it is: that is no answer,
// so it says nothing against the first.
func TestRefusalElsewhereChargesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/base/probe" {
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
		})
		p.on("dc-b", answer(http.StatusUnauthorized))
		for range 6 {
			_, _ = p.do(t, read())
		}
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
	})
}

// Credentials that take long are not the endpoint's slowness.
func TestSlowCredentialsBlameNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Authorize = func(context.Context, *campus.Endpoint, *http.Request) error {
				time.Sleep(1950 * time.Millisecond) //nolint:forbidigo // synctest bubble
				return nil
			}
		}})
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest bubble
			w.WriteHeader(http.StatusNoContent)
		})
		for range 10 {
			assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t))
		}
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
	})
}

// A credential that signs into the URL leaves nothing of it with the caller, and
// one that panics leaves its place.
func TestCredentialsLeaveNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := false
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Authorize = func(_ context.Context, _ *campus.Endpoint, req *http.Request) error {
				if bad {
					panic("bad credential")
				}
				req.URL.RawQuery += "&sign=MARK"
				return nil
			}
		}})
		resp, err := p.do(t, read())
		require.NoError(t, err)
		assert.NotContains(t, resp.Request.URL.String(), "MARK")
		bad = true
		for range 3 {
			assert.Panics(t, func() { _, _ = p.do(t, read()) })
		}
		for _, s := range p.client.Status() {
			assert.Zero(t, s.InFlight)
		}
	})
}

// A hook that panics takes no place with it, of a stream neither; and its context
// is alive.
func TestHooksMayPanic(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"read": 1 << 10, "stream": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := true
				p := newPair(t, setup{options: func(o *failover.Options) {
					o.Hooks.AttemptDone = func(ctx context.Context, _ failover.Attempt, _ failover.Result) {
						assert.NoError(t, ctx.Err()) //nolint:testifylint // not the test's own code
						if bad {
							panic("bad hook")
						}
					}
				}})
				call := read()
				call.MaxBody = size
				assert.Panics(t, func() { _, _ = p.do(t, call) })
				for _, s := range p.client.Status() {
					assert.Zero(t, s.InFlight)
				}
				bad = false
				_, err := p.do(t, call)
				require.NoError(t, err)
			})
		})
	}
}

// What a classifier leaves unsettled is no success of the endpoint's.
func TestVerdictWithoutFaultIsNoSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		call := read()
		call.Classify = func(_ *failover.Call, resp *http.Response, _ []byte) failover.Verdict {
			if strings.Contains(resp.Request.URL.Host, "dc-b") {
				return failover.Verdict{Outcome: failover.Committed}
			}
			return failover.Verdict{}
		}
		for range 5 {
			resp, err := p.do(t, call)
			require.NoError(t, err)
			assert.Equal(t, campus.DataCenterID("dc-b"), failover.OriginOf(resp).DataCenter)
		}
		assert.NotEqual(t, failover.Healthy, p.client.Status()[0].Read)
	})
}

// A call that began before a new description sends its next attempt only where
// that leads too.
func TestRetriesFollowTheNewDescription(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(d *campus.Description)
		sentB  int
	}{
		"nothing that matters":  {func(d *campus.Description) { d.Version = 2 }, 1},
		"dc-b is gone":          {func(d *campus.Description) { d.Version, d.Endpoints = 2, d.Endpoints[:1] }, 0},
		"another epoch":         {func(d *campus.Description) { d.Version, d.Stores[0].Epoch = 2, 1 }, 0},
		"dc-b writes no more":   {func(d *campus.Description) { d.Version, d.Stores[0].Writers = 2, []campus.DataCenterID{"dc-a"} }, 0},
		"dc-b is another store": {func(d *campus.Description) { d.Version, d.Endpoints[1].Store = 2, "copy" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
					w.WriteHeader(http.StatusTooManyRequests)
				})
				c.change(&p.d)
				next, err := campus.New(p.d)
				require.NoError(t, err)
				go func() {
					time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
					p.client.Update(next)
				}()
				_, err = p.do(t, write(failover.Unsafe))
				assert.Equal(t, c.sentB == 1, err == nil)
				assert.Equal(t, c.sentB, p.count("dc-b"))
			})
		})
	}
}

// A call that uses ids of one epoch is not sent into the next.
func TestEpochConfines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		call := read()
		call.Store = "his"
		_, err := p.do(t, call)
		require.NoError(t, err)
		p.update(t, func(d *campus.Description) { d.Version, d.Stores[0].Epoch = 2, 1 })
		_, err = p.do(t, call)
		require.ErrorIs(t, err, failover.ErrUnavailable)
		call.Epoch = 1
		_, err = p.do(t, call)
		require.NoError(t, err)
	})
}

// An operator's drain follows an endpoint to its new address.
func TestDrainFollowsTheEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.client.Drain(failover.Selector{DataCenter: "dc-a"})
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints[0].URL = 2, "http://dc-a/other" })
		assert.Equal(t, campus.DataCenterID("dc-b"), p.answeredBy(t))
		p.client.Restore(failover.Selector{DataCenter: "dc-a"})
		assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t))
	})
}

// A body that cannot be read again is not sent again, whatever there is to renew.
func TestRefusedStreamIsNotSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Refused = func(context.Context, *campus.Endpoint, *http.Request) bool { return true }
		}})
		p.on("dc-a", answer(http.StatusUnauthorized))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", io.MultiReader(errReader{}))
		require.NoError(t, err)
		resp, err := p.client.Do(t.Context(), write(failover.Unsafe), req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		assert.Equal(t, 1, p.count("dc-a"))
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.EOF }

// What Authorize says decides, and is kept for whoever may know what it means.
func TestAuthorizeError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		secret := errors.New("MARK")
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Authorize = func(context.Context, *campus.Endpoint, *http.Request) error { return secret }
		}})
		_, err := p.do(t, read())
		require.ErrorIs(t, err, failover.ErrAuthorize)
		var e *failover.Error
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, e.AuthorizeError(), secret)
		data, _ := json.Marshal(e)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %v %+v %#v %s", *e, *e, *e, e, e, e, data), "MARK")
		assert.NotContains(t, err.Error(), "MARK")
		require.NotErrorIs(t, err, secret, "nobody finds it by looking through the chain")
		for _, s := range p.client.Status() {
			assert.Equal(t, failover.Healthy, s.Read)
		}
	})
}

// The servers' clocks, by their Date.
func TestClocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead, slow time.Duration
		date        string
		want        time.Duration
		known       bool
	}{
		"the same":      {0, 0, "", 0, true},
		"an hour on":    {time.Hour, 0, "", time.Hour, true},
		"a day back":    {-24 * time.Hour, 0, "", -24 * time.Hour, true},
		"slow":          {time.Hour, 3 * time.Second, "", 0, false},
		"no date":       {0, 0, "yesterday", 0, false},
		"half a second": {500 * time.Millisecond, 0, "", 0, true},
		"from a cache":  {-time.Hour, 0, "cached", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(26 * 365 * 24 * time.Hour) //nolint:forbidigo // a bubble begins in 2000
				var told time.Time
				p := newPair(t, setup{options: func(o *failover.Options) {
					o.Authorize = func(ctx context.Context, _ *campus.Endpoint, _ *http.Request) error {
						told = failover.ServerTime(ctx)
						return nil
					}
				}})
				p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(c.slow) //nolint:forbidigo // synctest bubble
					date := c.date
					if date == "cached" {
						w.Header().Set("Age", "3600")
					}
					if date == "" || date == "cached" {
						date = time.Now().Add(c.ahead).UTC().Format(http.TimeFormat)
					}
					w.Header().Set("Date", date)
					w.WriteHeader(http.StatusNoContent)
				})
				call := read()
				call.AttemptTimeout = 5 * time.Second
				for range 2 {
					_, err := p.do(t, call)
					require.NoError(t, err)
				}
				s := p.client.Status()[0]
				assert.Equal(t, c.known, s.ClockKnown)
				assert.InDelta(t, c.want.Seconds(), s.ClockOffset.Seconds(), 1)
				assert.InDelta(t, c.want.Seconds(), time.Until(told).Seconds()+c.slow.Seconds(), 1, "and whoever signs is told it")
			})
		})
	}
}
