package failover_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
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
	"github.com/hospital-go/hospital/internal/memnet"
)

// pair is two doors to one store, each a server of the test's own, and a client.
type pair struct {
	net     memnet.Network
	client  *failover.Client
	d       campus.Description
	servers map[campus.DataCenterID]*http.Server

	mu       sync.Mutex
	handle   map[campus.DataCenterID]http.HandlerFunc
	arrived  []campus.DataCenterID // requests but probes, in order
	attempts []string
	events   []string
}

type setup struct {
	contract campus.Contract
	options  func(o *failover.Options)
	standby  bool
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// hijack breaks the connection after the request was read.
func hijack(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.(*memnet.Conn).Reset()
	}
}

func newPair(t *testing.T, s setup) *pair {
	t.Helper()
	p := &pair{handle: map[campus.DataCenterID]http.HandlerFunc{}, servers: map[campus.DataCenterID]*http.Server{}}
	d := campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		Systems:       []campus.System{{ID: "his"}},
		Stores:        []campus.Store{{ID: "his"}, {ID: "copy", ReplicaOf: "his", Lag: time.Minute}},
	}
	dial := map[campus.DataCenterID]failover.DialFunc{}
	for _, dc := range []campus.DataCenterID{"dc-a", "dc-b", "dr"} {
		role, store := campus.Active, campus.StoreID("his")
		if dc == "dr" {
			if !s.standby {
				continue
			}
			role, store = campus.Standby, "copy"
		}
		d.DataCenters = append(d.DataCenters, campus.DataCenter{ID: dc, Role: role})
		d.Endpoints = append(d.Endpoints, campus.Endpoint{
			System: "his", DataCenter: dc, Store: store, URL: "http://" + string(dc) + "/base", AllowPlainHTTP: true,
			Readable: true, Contract: s.contract,
		})
		dial[dc] = p.net.DialContext
		p.on(dc, answer(http.StatusNoContent))
		p.start(t, dc)
	}
	p.d = d
	topology, err := campus.New(d)
	require.NoError(t, err)
	o := failover.Options{Topology: topology, Dial: dial, ProbePath: "/probe", Hooks: failover.Hooks{
		AttemptStart: func(ctx context.Context, _ failover.Attempt, _ http.Header) context.Context { return ctx },
		AttemptDone: func(_ context.Context, a failover.Attempt, r failover.Result) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.attempts = append(p.attempts, fmt.Sprintf("%s %s %s %s", a.Endpoint.DataCenter, a.Reason, r.Outcome, r.Fault))
		},
		Event: func(e failover.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, fmt.Sprintf("%s %s %s→%s", e.Endpoint, e.Class, e.From, e.To))
		},
	}}
	if s.options != nil {
		s.options(&o)
	}
	p.client, err = failover.New(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = p.client.Close()
		for dc := range p.servers {
			p.stop(dc)
		}
	})
	return p
}

func (p *pair) on(dc campus.DataCenterID, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handle[dc] = h
}

func (p *pair) start(t *testing.T, dc campus.DataCenterID) {
	t.Helper()
	l, err := p.net.Listen(string(dc) + ":80")
	require.NoError(t, err)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		h := p.handle[dc]
		if !strings.HasSuffix(r.URL.Path, "/probe") {
			p.arrived = append(p.arrived, dc)
		}
		p.mu.Unlock()
		h(w, r)
	})}
	p.servers[dc] = srv
	go func() { _ = srv.Serve(l) }()
}

func (p *pair) stop(dc campus.DataCenterID) { _ = p.servers[dc].Close() }

func (p *pair) count(dc campus.DataCenterID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, a := range p.arrived {
		if a == dc {
			n++
		}
	}
	return n
}

func read() *failover.Call {
	return &failover.Call{
		System: "his", Campus: "hankou", Kind: campus.ReadStrong, Op: "test.Read", Repeat: failover.Safe,
		AttemptTimeout: 2 * time.Second, Timeout: 5 * time.Second, MaxBody: 1 << 10,
	}
}

func write(r failover.Repeat) *failover.Call {
	return &failover.Call{System: "his", Campus: "hankou", Kind: campus.Write, Op: "test.Write", Repeat: r, MaxBody: 1 << 10}
}

func (p *pair) do(t *testing.T, call *failover.Call) (*http.Response, error) {
	t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if call.Kind == campus.Write {
		method, body = http.MethodPost, strings.NewReader("order")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://virtual/path?q=1", body)
	require.NoError(t, err)
	resp, err := p.client.Do(t.Context(), call, req)
	if err == nil {
		require.NoError(t, resp.Body.Close())
	}
	return resp, err
}

// The Repeat × Contract table: the home data centre does something to the first
// request; how often is the call sent, and what is the caller told?
func TestRepeatTable(t *testing.T) {
	t.Parallel()
	proved := campus.Contract{ConditionalCreate: campus.Atomic, Versioning: true, UpdateCreate: true}
	weak := campus.Contract{}
	creates := write(failover.Guarded)
	creates.Creates = true
	for name, c := range map[string]struct {
		call     *failover.Call
		contract campus.Contract
		home     http.HandlerFunc
		sent     int // to both together
		err      error
	}{
		"read, reset":                               {read(), weak, hijack, 2, nil},
		"read, 500":                                 {read(), weak, answer(500), 2, nil},
		"read, 503":                                 {read(), weak, answer(503), 2, nil},
		"read, redirect":                            {read(), weak, answer(302), 2, nil},
		"read, 404 is an answer":                    {read(), weak, answer(404), 1, nil},
		"unsafe, reset":                             {write(failover.Unsafe), proved, hijack, 1, failover.ErrOutcomeUnknown},
		"unsafe, 500":                               {write(failover.Unsafe), proved, answer(500), 1, failover.ErrOutcomeUnknown},
		"unsafe, 502":                               {write(failover.Unsafe), proved, answer(502), 1, failover.ErrOutcomeUnknown},
		"unsafe, 429 was not executed":              {write(failover.Unsafe), weak, answer(429), 2, nil},
		"unsafe, 421 was not executed":              {write(failover.Unsafe), weak, answer(421), 2, nil},
		"unsafe, 503 declared as not executed":      {write(failover.Unsafe), campus.Contract{NotExecuted: []int{503}}, answer(503), 2, nil},
		"unsafe, 412 is an answer":                  {write(failover.Unsafe), weak, answer(412), 1, nil},
		"unsafe, 501 is an answer":                  {write(failover.Unsafe), weak, answer(501), 1, nil},
		"keyed on a racy server, reset":             {write(failover.Keyed), weak, hijack, 1, failover.ErrOutcomeUnknown},
		"keyed on an atomic server, reset":          {write(failover.Keyed), proved, hijack, 2, nil},
		"guarded, versioning proved, reset":         {write(failover.Guarded), proved, hijack, 2, nil},
		"guarded, versioning unproved, reset":       {write(failover.Guarded), weak, hijack, 1, failover.ErrOutcomeUnknown},
		"client-made id, update-create proved":      {creates, proved, hijack, 2, nil},
		"client-made id, only versioning proved":    {creates, campus.Contract{Versioning: true}, hijack, 1, failover.ErrOutcomeUnknown},
		"unsafe, HTML from a gateway":               {write(failover.Unsafe), weak, html(200), 1, failover.ErrOutcomeUnknown},
		"read, HTML from a gateway":                 {read(), weak, html(404), 2, nil},
		"unsafe, request time-out of a gateway":     {write(failover.Unsafe), weak, answer(408), 1, failover.ErrOutcomeUnknown},
		"unsafe, redirect is never followed":        {write(failover.Unsafe), weak, answer(307), 1, failover.ErrOutcomeUnknown},
		"read, answer cut":                          {read(), weak, cut, 2, nil},
		"unsafe, answer cut: executed, not lost":    {write(failover.Unsafe), weak, cut, 1, failover.ErrOutcomeUnknown},
		"read, answer larger than the limit":        {read(), weak, large, 1, failover.ErrTooLarge},
		"unsafe, answer larger than the limit":      {write(failover.Unsafe), weak, large, 1, failover.ErrOutcomeUnknown},
		"read, more than the limit after unpacking": {read(), weak, bomb, 1, failover.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{contract: c.contract})
				p.on("dc-a", c.home)
				_, err := p.do(t, c.call)
				require.ErrorIs(t, err, c.err)
				assert.Equal(t, c.sent, p.count("dc-a")+p.count("dc-b"))
				if errors.Is(err, failover.ErrOutcomeUnknown) {
					var e *failover.Error
					require.ErrorAs(t, err, &e)
					assert.Equal(t, failover.Unknown, e.Outcome)
					assert.Equal(t, c.contract.MaxRun(), time.Until(e.SettledAt))
				}
			})
		})
	}
}

// A site that cannot be connected to got nothing: even an unsafe call goes elsewhere.
func TestRefusedConnectionIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.stop("dc-a")
		resp, err := p.do(t, write(failover.Unsafe))
		require.NoError(t, err)
		origin := failover.OriginOf(resp)
		assert.Equal(t, campus.DataCenterID("dc-b"), origin.DataCenter)
		assert.Equal(t, 2, origin.Attempts)
		assert.Equal(t, []string{"dc-a first not_sent dial", "dc-b failover committed "}, p.attempts)
		assert.Contains(t, p.events, "his/dc-a write healthy→suspect")
		assert.Contains(t, p.events, "his/dc-a read healthy→suspect", "what cannot be reached cannot be read either")
	})
}

func TestBlackHoleCostsOneDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.net.Hang("dc-a:80", true)
		start := time.Now()
		_, err := p.do(t, read())
		require.NoError(t, err)
		assert.Equal(t, 500*time.Millisecond, time.Since(start))
		start = time.Now()
		_, err = p.do(t, read())
		require.NoError(t, err)
		assert.Zero(t, time.Since(start), "the second call asks the peer first")
	})
}

func TestEjectionAndReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		from := func(call *failover.Call) campus.DataCenterID {
			resp, err := p.do(t, call)
			require.NoError(t, err)
			return failover.OriginOf(resp).DataCenter
		}
		p.stop("dc-a")
		for range 3 {
			assert.Equal(t, campus.DataCenterID("dc-b"), from(read()))
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble: probes fail
		assert.Equal(t, failover.Ejected, p.client.Status()[0].Read)
		p.start(t, "dc-a")
		time.Sleep(30 * time.Second) //nolint:forbidigo // synctest bubble: the ejection ends, probes succeed
		assert.Equal(t, failover.Ejected, p.client.Status()[0].Read, "the hold-down has not ended")
		time.Sleep(40 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Equal(t, failover.Returning, p.client.Status()[0].Read)
		assert.Equal(t, campus.DataCenterID("dc-b"), from(write(failover.Unsafe)), "what may not be repeated is no canary")
		assert.Equal(t, campus.DataCenterID("dc-a"), from(read()), "the canary")
		share := 0
		for range 100 {
			if from(read()) == "dc-a" {
				share++
			}
		}
		assert.InDelta(t, 10, share, 2, "a tenth at first")
		time.Sleep(30 * time.Second) //nolint:forbidigo // synctest bubble
		for range 100 {
			if from(read()) == "dc-a" {
				share++
			}
		}
		assert.InDelta(t, 10+55, share, 4, "half of it half way")
		time.Sleep(30 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
		assert.Equal(t, campus.DataCenterID("dc-b"), from(write(failover.Unsafe)), "writes wait for reads to be well")
		time.Sleep(61 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Equal(t, campus.DataCenterID("dc-a"), from(write(failover.Unsafe)), "and come back by time")
	})
}

// A server whose writes hang while its probe path answers: after three in a row
// the peer takes over, although the peer never saw those calls.
func TestHangingWriterIsBlamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}
		})
		lost := 0
		for range 10 {
			if _, err := p.do(t, write(failover.Unsafe)); err != nil {
				require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
				lost++
			}
		}
		assert.Equal(t, 3, lost)
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read, "reads are another matter")
	})
}

// An attempt of unknown outcome is not overwritten by what comes after it.
func TestUnknownIsKept(t *testing.T) {
	t.Parallel()
	proved := campus.Contract{Versioning: true, ServerTimeout: 10 * time.Second}
	for name, c := range map[string]struct {
		second  http.HandlerFunc
		settled time.Duration
	}{
		"refused":          {answer(http.StatusUnprocessableEntity), 10 * time.Second},
		"a stale version":  {answer(http.StatusPreconditionFailed), 0},
		"unknown again":    {func(w http.ResponseWriter, r *http.Request) { time.Sleep(3 * time.Second); hijack(w, r) }, 13 * time.Second}, //nolint:forbidigo // synctest bubble
		"not executed":     {answer(http.StatusTooManyRequests), 10 * time.Second},
		"a gateway's page": {html(http.StatusOK), 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{contract: proved})
				p.on("dc-a", hijack)
				p.on("dc-b", c.second)
				start := time.Now()
				_, err := p.do(t, write(failover.Guarded))
				require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
				var e *failover.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, c.settled, e.SettledAt.Sub(start))
				assert.Equal(t, 2, e.Attempts)
			})
		})
	}
}

// A connection was had and the request is just being written: giving up then is
// Unknown, though nobody has heard that the headers are out.
func TestGivingUpWhileWritingIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) {
			dial := o.Dial["dc-a"]
			o.Dial["dc-a"] = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				return &stuckConn{Conn: conn, closed: make(chan struct{})}, err
			}
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://virtual/x", strings.NewReader("order"))
		require.NoError(t, err)
		req.Header.Set("X-Long", strings.Repeat("x", 8<<10)) // more than is buffered
		_, err = p.client.Do(ctx, write(failover.Unsafe), req)
		require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		assert.Zero(t, p.count("dc-b"))
	})
}

// stuckConn takes nothing until it is closed.
type stuckConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *stuckConn) Write([]byte) (int, error) { <-c.closed; return 0, net.ErrClosed }

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestInvalidHeaderBlamesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		for range 5 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://virtual/x", http.NoBody)
			require.NoError(t, err)
			req.Header.Set("X-Name", "a\nb")
			_, err = p.client.Do(t.Context(), read(), req)
			require.ErrorIs(t, err, failover.ErrBody)
		}
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
		assert.Empty(t, p.arrived)
	})
}

// In an outage that lasts, retries are a small share of the calls.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.stop("dc-a")
		p.stop("dc-b")
		const calls = 1000
		for range calls {
			_, err := p.do(t, read())
			require.ErrorIs(t, err, failover.ErrUnavailable)
		}
		assert.LessOrEqual(t, len(p.attempts), calls*11/10+60)
	})
}

// A connection with a surplus is never used again: writes do not meet one that is
// about to close. (Some did: net/http had put it back into its pool.)
func TestSurplusClosesItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokSURPLUS")
			}
		})
		var callers sync.WaitGroup
		var failed atomic.Int32
		for range 16 {
			callers.Go(func() {
				for range 50 {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/x", strings.NewReader("order"))
					if err == nil {
						_, err = p.client.Do(t.Context(), write(failover.Unsafe), req)
					}
					if err != nil {
						failed.Add(1)
					}
				}
			})
		}
		callers.Wait()
		assert.Zero(t, failed.Load())
		assert.Equal(t, 800, p.count("dc-a"))
	})
}

// One request that every server answers with 500 must not take both sites out.
func TestPoisonedRequestEjectsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		poison := func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/path") {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
		p.on("dc-a", poison)
		p.on("dc-b", poison)
		for range 50 {
			_, err := p.do(t, read())
			require.ErrorIs(t, err, failover.ErrUnavailable)
			time.Sleep(200 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		for _, s := range p.client.Status() {
			assert.Equal(t, failover.Healthy, s.Read)
		}
	})
}

func TestDrainAndRestore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		slow := make(chan struct{})
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) { <-slow; w.WriteHeader(http.StatusNoContent) })
		var first *http.Response
		done := make(chan error)
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", http.NoBody)
			if err == nil {
				first, err = p.client.Do(t.Context(), write(failover.Unsafe), req)
			}
			done <- err
		}()
		synctest.Wait()
		assert.Equal(t, 1, p.client.Drain(failover.Selector{DataCenter: "dc-a"}))
		st := p.client.Status()[0]
		assert.True(t, st.Draining)
		assert.False(t, st.Drained)
		assert.Equal(t, 1, st.InFlight)
		require.Len(t, st.Stragglers, 1)
		assert.Equal(t, "test.Write", st.Stragglers[0].Op)
		resp, err := p.do(t, read())
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), failover.OriginOf(resp).DataCenter)
		close(slow)
		require.NoError(t, <-done, "what was in flight finishes")
		assert.Equal(t, campus.DataCenterID("dc-a"), failover.OriginOf(first).DataCenter)
		assert.True(t, p.client.Status()[0].Drained)
		assert.True(t, p.client.Drained(failover.Selector{DataCenter: "dc-a"}))
		assert.False(t, p.client.Drained(failover.Selector{}), "the other one is not")
		assert.Equal(t, 1, p.client.Restore(failover.Selector{DataCenter: "dc-a"}))
		resp, err = p.do(t, read())
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-a"), failover.OriginOf(resp).DataCenter)
	})
}

// Drained is not fenced: what may be repeated is served while somebody can, and
// the answer says so. Nothing else is sent.
func TestEverythingDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		assert.Equal(t, 2, p.client.Drain(failover.Selector{}))
		resp, err := p.do(t, read())
		require.NoError(t, err)
		assert.True(t, failover.OriginOf(resp).Drained)
		_, err = p.do(t, write(failover.Unsafe))
		require.ErrorIs(t, err, failover.ErrWriteUnavailable)
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints[0].Fenced, d.Endpoints[1].Fenced = 2, true, true })
		_, err = p.do(t, read())
		require.ErrorIs(t, err, failover.ErrUnavailable)
	})
}

func TestBoundOfConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) { o.MaxInFlight = 2 }})
		slow := make(chan struct{})
		hold := func(w http.ResponseWriter, _ *http.Request) { <-slow; w.WriteHeader(http.StatusNoContent) }
		p.on("dc-a", hold)
		p.on("dc-b", hold)
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() { _, err := p.do(t, read()); assert.NoError(t, err) })
		}
		synctest.Wait()
		_, err := p.do(t, read())
		require.ErrorIs(t, err, failover.ErrBusy)
		close(slow)
		calls.Wait()
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices a client leave only once it has read the body
		<-r.Context().Done()
	}
	for name, c := range map[string]struct {
		call *failover.Call
		took time.Duration
		err  error
	}{
		"a read tries both within its time":       {read(), 4 * time.Second, failover.ErrUnavailable},
		"an unsafe write uses all its time, once": {write(failover.Unsafe), failover.DefaultTimeout, failover.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", hang)
				p.on("dc-b", hang)
				start := time.Now()
				_, err := p.do(t, c.call)
				require.ErrorIs(t, err, c.err)
				assert.InDelta(t, c.took, time.Since(start), float64(50*time.Millisecond))
			})
		})
	}
}

func TestExpiredDeadlineSendsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://virtual/", http.NoBody)
		require.NoError(t, err)
		_, err = p.client.Do(ctx, read(), req)
		require.ErrorIs(t, err, failover.ErrDeadline)
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, p.arrived)
	})
}

func TestRetryAfterSilencesOneSite(t *testing.T) {
	t.Parallel()
	for header, pause := range map[string]time.Duration{
		"2": 2 * time.Second, "86400": failover.MaxRetryAfter, "9223372036854775807": failover.MaxRetryAfter,
		"-1": 0, "soon": 0, "Mon, 01 Jan 1990 00:00:00 GMT": 0,
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", header)
					w.WriteHeader(http.StatusServiceUnavailable)
				})
				_, err := p.do(t, read())
				require.NoError(t, err, "the peer answers at once")
				if pause > 0 {
					assert.Equal(t, pause, time.Until(p.client.Status()[0].PausedUntil))
					time.Sleep(pause - time.Millisecond) //nolint:forbidigo // synctest bubble
					_, err = p.do(t, read())
					require.NoError(t, err)
					assert.Equal(t, 1, p.count("dc-a"), "silence is kept")
					time.Sleep(time.Millisecond) //nolint:forbidigo // synctest bubble
					_, err = p.do(t, read())
					require.NoError(t, err)
					assert.Equal(t, 2, p.count("dc-a"), "and no longer than asked")
				} else {
					assert.True(t, p.client.Status()[0].PausedUntil.IsZero())
				}
			})
		})
	}
}

func TestStandbyReadsOnlyWhereLagIsTolerated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{standby: true})
		p.stop("dc-a")
		p.stop("dc-b")
		_, err := p.do(t, read())
		require.ErrorIs(t, err, failover.ErrUnavailable)
		tolerant := read()
		tolerant.Kind = campus.ReadAny
		resp, err := p.do(t, tolerant)
		require.NoError(t, err)
		origin := failover.OriginOf(resp)
		assert.Equal(t, campus.DataCenterID("dr"), origin.DataCenter)
		assert.Equal(t, time.Minute, origin.Lag)
		_, err = p.do(t, write(failover.Unsafe))
		require.ErrorIs(t, err, failover.ErrUnavailable)
		p.on("dr", answer(http.StatusNotFound))
		_, err = p.do(t, tolerant)
		var e *failover.Error
		require.ErrorAs(t, err, &e, "not found in a copy is no answer")
		assert.NotEqual(t, failover.Rejected, e.Outcome)
	})
}

func TestAuthorizePerAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var got []string
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Authorize = func(_ context.Context, e *campus.Endpoint, req *http.Request) error {
				n++
				if e.DataCenter == "dc-a" && n > 2 {
					return errors.New("secret")
				}
				req.Header.Set("Authorization", fmt.Sprintf("nonce %d", n))
				return nil
			}
		}})
		p.on("dc-a", answer(http.StatusInternalServerError))
		p.on("dc-b", func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("Authorization")) })
		resp, err := p.do(t, read())
		require.NoError(t, err)
		assert.Equal(t, []string{"nonce 2"}, got)
		assert.Empty(t, resp.Request.Header, "credentials do not come back with the answer")
		_, err = p.do(t, read())
		require.NoError(t, err, "one endpoint without credentials, another with")
	})
}

func TestAdapterStatesTheOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Adapters = map[campus.EndpointID]http.RoundTripper{"his/dc-a": adapter{}}
		}})
		_, err := p.do(t, write(failover.Unsafe))
		require.NoError(t, err, "the adapter says that nothing was executed")
		assert.Equal(t, 1, p.count("dc-b"))
	})
}

type adapter struct{}

func (adapter) RoundTrip(*http.Request) (*http.Response, error) { return nil, notExecuted{} }

type notExecuted struct{}

func (notExecuted) Error() string             { return "AE" }
func (notExecuted) Outcome() failover.Outcome { return failover.NotExecuted }

func TestClosedClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		require.NoError(t, p.client.Close())
		require.NoError(t, p.client.Close(), "twice is fine")
		_, err := p.do(t, read())
		require.ErrorIs(t, err, failover.ErrClosed)
	})
}

// A stream ends with its body, not with its headers.
func TestStreamOutlivesItsHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				_, _ = io.WriteString(w, "part ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
			}
		})
		call := read()
		call.MaxBody, call.AttemptTimeout, call.Timeout = 0, 0, time.Minute
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://virtual/", http.NoBody)
		require.NoError(t, err)
		resp, err := p.client.Do(t.Context(), call, req)
		require.NoError(t, err)
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, "part part part ", string(data))
	})
}

func TestTransportFollowsRFC9110(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", hijack)
		client := &http.Client{Transport: &failover.Transport{Client: p.client, Call: failover.Call{System: "his", Campus: "hankou", Op: "plain"}}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://virtual/x", http.NoBody)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/x", strings.NewReader("once"))
		require.NoError(t, err)
		_, err = client.Do(req)
		require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		assert.Equal(t, 2, p.count("dc-a"))
	})
}

func html(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>")
	}
}

func cut(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, "only this")
	_ = http.NewResponseController(w).Flush()
	hijack(w, r)
}

func large(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<10)) }

// bomb is small on the wire and large in memory.
func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(gzipped(make([]byte, 1<<20)))
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}
