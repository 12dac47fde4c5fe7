package failover_test

import (
	"context"
	"errors"
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

// fetch is a call whose answer is read as it comes, such as a study's images from
// an archive that may have to go to its shelves first.
func fetch() *failover.Call {
	c := read()
	c.MaxBody, c.AttemptTimeout, c.Timeout = 0, 90*time.Second, 3*time.Hour
	return c
}

// open sends a call of the test's context.
func (p *pair) open(t *testing.T, call *failover.Call) *http.Response {
	t.Helper()
	return p.openIn(t.Context(), t, call)
}

func (p *pair) openIn(ctx context.Context, t *testing.T, call *failover.Call) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://virtual/path", http.NoBody)
	require.NoError(t, err)
	resp, err := p.client.Do(ctx, call, req)
	require.NoError(t, err)
	return resp
}

// whole reads a stream to its end and closes it.
func whole(t *testing.T, resp *http.Response) (string, error) {
	t.Helper()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, resp.Body.Close())
	return string(data), err
}

// broken reads a stream that breaks off, and returns how.
func broken(t *testing.T, resp *http.Response) *failover.Error {
	t.Helper()
	_, err := whole(t, resp)
	var e *failover.Error
	require.ErrorAs(t, err, &e)
	return e
}

// well answers probes, and everything else by h.
func well(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/probe") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h(w, r)
	}
}

// send streams "part " after each pause, headers at once; a negative pause breaks
// the connection, or ends the answer as if it were whole where it has no length.
func send(pauses ...time.Duration) http.HandlerFunc {
	return well(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		for _, d := range pauses {
			if d < 0 {
				panic(http.ErrAbortHandler)
			}
			select {
			case <-time.After(d):
			case <-r.Context().Done():
				return
			}
			_, _ = io.WriteString(w, "part ")
			_ = http.NewResponseController(w).Flush()
		}
	})
}

// announced is send with a length.
func announced(length string, pauses ...time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/probe") {
			w.Header().Set("Content-Length", length)
		}
		send(pauses...)(w, r)
	}
}

func origin(resp *http.Response) campus.DataCenterID { return failover.OriginOf(resp).DataCenter }

// A stream that breaks off says so, again and again, and its place is given back. The
// next call for the same goes to the other endpoint first.
func TestStreamThatIsCut(t *testing.T) {
	t.Parallel()
	for name, home := range map[string]http.HandlerFunc{
		"with a length":               announced("1000", 0, 0, -1),
		"in chunks":                   send(0, 0, -1),
		"before its first byte":       announced("1000", -1),
		"before its first, in chunks": send(-1),
		"after a while":               send(0, 9*time.Second, -1),
		"connection's end is its end": rawly("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart part "),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", home)
				p.on("dc-b", send(0, 0, 0))
				resp := p.open(t, fetch())
				data, err := io.ReadAll(resp.Body)
				var e *failover.Error
				require.ErrorAs(t, err, &e)
				require.ErrorIs(t, err, failover.ErrCut)
				assert.True(t, strings.HasPrefix("part part ", string(data)), "what came was shown")
				assert.Equal(t, failover.FaultCut, e.Fault)
				assert.Equal(t, failover.Unknown, e.Outcome)
				assert.Equal(t, campus.EndpointID("his/dc-a"), e.Endpoint)
				assert.Equal(t, campus.StoreID("his"), e.Store)
				assert.Equal(t, http.StatusOK, e.Status)
				n, again := resp.Body.Read(make([]byte, 1))
				assert.Zero(t, n)
				assert.Same(t, e, again, "and it stays broken")
				assert.Same(t, e, failover.BrokenOff(resp))
				assert.Equal(t, 1, p.client.Status()[0].InFlight)
				require.NoError(t, resp.Body.Close())
				assert.Zero(t, p.client.Status()[0].InFlight)

				rest := fetch()
				rest.Again = e
				resp = p.open(t, rest)
				assert.Equal(t, campus.DataCenterID("dc-b"), origin(resp))
				text, err := whole(t, resp)
				require.NoError(t, err)
				assert.Equal(t, "part part part ", text)
				synctest.Wait()
				assert.Equal(t, failover.Healthy, p.client.Status()[0].Read, "once is no illness")
				p.on("dc-a", answer(http.StatusNoContent))
				assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t), "other calls go home")
			})
		})
	}
}

// rawly answers with these bytes and closes.
func rawly(text string) http.HandlerFunc {
	return well(func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	})
}

// Who breaks off what the other one sends whole is to blame, and ejected before long.
// What breaks off everywhere, at the same byte, is the study's fault and nobody's.
func TestWhoIsToBlameForACut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		peer       http.HandlerFunc
		home, away failover.State
	}{
		"it works elsewhere":           {send(0, 0, 0), failover.Ejected, failover.Healthy},
		"it is cut elsewhere too":      {send(0, -1), failover.Healthy, failover.Healthy},
		"it is refused elsewhere":      {well(refusal), failover.Healthy, failover.Healthy},
		"500 elsewhere, not begun":     {well(answer(http.StatusInternalServerError)), failover.Healthy, failover.Ejected},
		"it is not even begun to read": {well(answer(http.StatusNoContent)), failover.Healthy, failover.Healthy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", send(0, -1))
				p.on("dc-b", c.peer)
				for range 6 {
					resp := p.open(t, fetch())
					if origin(resp) == "dc-b" && c.home == failover.Ejected { // all has been learnt
						require.NoError(t, resp.Body.Close())
						break
					}
					again := fetch()
					again.Again = broken(t, resp)
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://virtual/path", http.NoBody)
					require.NoError(t, err)
					if resp, err = p.client.Do(t.Context(), again, req); err == nil {
						_, _ = whole(t, resp)
					}
					time.Sleep(200 * time.Millisecond) //nolint:forbidigo // synctest bubble
				}
				assert.Equal(t, c.home, p.client.Status()[0].Read)
				assert.Equal(t, c.away, p.client.Status()[1].Read)
			})
		})
	}
}

func refusal(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "not here")
}

// With three sites the second one that breaks off is remembered beside the first.
func TestEveryoneWhoBrokeOffIsAvoided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{standby: true})
		for _, dc := range []campus.DataCenterID{"dc-a", "dc-b", "dr"} {
			p.on(dc, send(0, -1))
		}
		call := fetch()
		call.Kind = campus.ReadAny
		var asked []campus.DataCenterID
		for range 4 {
			resp := p.open(t, call)
			asked = append(asked, origin(resp))
			next := fetch()
			next.Kind, next.Again = campus.ReadAny, broken(t, resp)
			call = next
		}
		assert.Equal(t, []campus.DataCenterID{"dc-a", "dc-b", "dr", "dc-a"}, asked)
	})
}

// An archive may be long silent before its first byte, but not after it.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		home  http.HandlerFunc
		stall time.Duration
		fails time.Duration // into the stream; 0: it does not
	}{
		"nearline: headers at once, body late": {send(89*time.Second, 0, 0), 0, 0},
		"nearline: headers late":               {after(89*time.Second, http.StatusOK), 0, 0},
		"nearline: both late":                  {late(80*time.Second, send(80*time.Second)), 0, 0},
		"the first byte never":                 {send(time.Hour), 0, 90 * time.Second},
		"the second one never":                 {send(80*time.Second, time.Hour), 0, 90 * time.Second},
		"a word every nine seconds":            {send(times(400, 9*time.Second)...), 0, 0},
		"as long as the call allows":           {send(0, time.Hour), 3 * time.Second, 3 * time.Second},
		"any":                                  {send(time.Hour, time.Hour), -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", c.home)
				call := fetch()
				call.Stall = c.stall
				resp := p.open(t, call)
				assert.Equal(t, campus.DataCenterID("dc-a"), origin(resp))
				start := time.Now()
				if c.fails == 0 {
					_, err := whole(t, resp)
					require.NoError(t, err)
				} else {
					e := broken(t, resp)
					require.ErrorIs(t, e, failover.ErrStalled)
					assert.Equal(t, failover.FaultTimeout, e.Fault)
					assert.Equal(t, c.fails, time.Since(start))
					p.on("dc-b", send(0))
					call.Again = e
					resp = p.open(t, call)
					assert.Equal(t, campus.DataCenterID("dc-b"), origin(resp))
					require.NoError(t, resp.Body.Close())
				}
				assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
				assert.Empty(t, p.events)
			})
		})
	}
}

func times(n int, d time.Duration) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	return out
}

// late is h after a while, but for probes.
func late(d time.Duration, h http.HandlerFunc) http.HandlerFunc {
	return well(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d) //nolint:forbidigo // synctest bubble
		h(w, r)
	})
}

// A reader at leisure, for an hour in all and in the middle of it, is not a server's silence.
func TestReaderAtLeisure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", send(0, 0, 9*time.Second, 0))
		resp := p.open(t, fetch())
		_, err := io.ReadFull(resp.Body, make([]byte, 5))
		require.NoError(t, err)
		time.Sleep(time.Hour) //nolint:forbidigo // synctest bubble
		text, err := whole(t, resp)
		require.NoError(t, err)
		assert.Equal(t, "part part part ", text)
	})
}

// Whoever gives up, or closes and reads on, is nobody's failure: no endpoint is
// doubted, so none is probed and none avoided.
func TestGivingUpAStreamBlamesNobody(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]struct {
		do    func(cancel context.CancelFunc, resp *http.Response)
		cause error
	}{
		"canceled": {func(cancel context.CancelFunc, _ *http.Response) { cancel() }, context.Canceled},
		"out of time": {func(context.CancelFunc, *http.Response) {
			time.Sleep(3*time.Hour + time.Second) //nolint:forbidigo // synctest bubble
		}, context.DeadlineExceeded},
		"closed": {func(_ context.CancelFunc, resp *http.Response) { _ = resp.Body.Close() }, nil},
		"closed by another goroutine": {func(_ context.CancelFunc, resp *http.Response) {
			time.AfterFunc(time.Second, func() { _ = resp.Body.Close() })
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				var probed atomic.Int32
				home := send(0, 8*time.Second, 8*time.Second)
				p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/probe") {
						probed.Add(1)
					}
					home(w, r)
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				resp := p.openIn(ctx, t, fetch())
				_, err := io.ReadFull(resp.Body, make([]byte, 5))
				require.NoError(t, err)
				giveUp.do(cancel, resp)
				e := broken(t, resp)
				assert.Equal(t, failover.FaultCanceled, e.Fault)
				require.ErrorIs(t, e, failover.ErrDeadline)
				if giveUp.cause != nil {
					require.ErrorIs(t, e, giveUp.cause)
				}
				synctest.Wait()
				assert.Zero(t, probed.Load())
				next := fetch()
				next.Again = e
				resp = p.open(t, next)
				assert.Equal(t, campus.DataCenterID("dc-a"), origin(resp))
				require.NoError(t, resp.Body.Close())
				assert.Zero(t, p.client.Status()[0].InFlight)
			})
		})
	}
}

// A stream that a drain would not wait for any longer has moved; nobody is to blame.
func TestDrainMovesStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", send(times(200, 9*time.Second)...))
		p.on("dc-b", send(0))
		resp := p.open(t, fetch())
		time.AfterFunc(time.Minute, func() { p.client.Drain(failover.Selector{DataCenter: "dc-a"}) })
		start := time.Now()
		e := broken(t, resp)
		assert.Equal(t, 6*time.Minute, time.Since(start), "the drain's deadline is five")
		assert.Equal(t, failover.FaultMoved, e.Fault)
		require.ErrorIs(t, e, failover.ErrCut)
		assert.True(t, p.client.Status()[0].Drained)
		next := fetch()
		next.Again = e
		resp = p.open(t, next)
		assert.Equal(t, campus.DataCenterID("dc-b"), origin(resp))
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
	})
}

// A server that dies without having announced a length ends its stream as if it were
// whole; whoever sees that it is not says so.
func TestBrokenOffThoughItEndedWell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", rawly("HTTP/1.0 200 OK\r\n\r\npart "))
		resp := p.open(t, fetch())
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "part ", string(text))
		e := failover.BrokenOff(resp)
		require.ErrorIs(t, e, failover.ErrCut)
		assert.Equal(t, failover.FaultCut, e.Fault)
		assert.Same(t, e, failover.BrokenOff(resp))
		require.NoError(t, resp.Body.Close())
		next := fetch()
		next.Again = e
		resp = p.open(t, next)
		assert.Equal(t, campus.DataCenterID("dc-b"), origin(resp))
		require.NoError(t, resp.Body.Close())

		resp, err = p.do(t, read())
		require.NoError(t, err)
		assert.Nil(t, failover.BrokenOff(resp), "that was no stream")
		assert.Nil(t, failover.BrokenOff(&http.Response{Body: http.NoBody}))
		assert.Nil(t, failover.BrokenOff(&http.Response{}))
	})
}

// A body that nobody reads to its end holds nothing once it is closed.
func TestStreamClosedEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		left := make(chan struct{}, 5)
		p.on("dc-a", well(func(w http.ResponseWriter, r *http.Request) {
			defer func() { left <- struct{}{} }()
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}))
		for range 5 {
			resp := p.open(t, fetch())
			_, err := io.ReadFull(resp.Body, make([]byte, 4<<10))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.NoError(t, resp.Body.Close(), "twice is once")
			<-left // the server is told
			assert.Zero(t, p.client.Status()[0].InFlight)
		}
		assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
	})
}

// A write whose answer breaks off has been executed, or may have been: never does its
// error say that it may be asked again.
func TestCutAnswerOfAWriteIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", send(0, -1))
		call := write(failover.Unsafe)
		call.MaxBody = 0
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", strings.NewReader("order"))
		require.NoError(t, err)
		resp, err := p.client.Do(t.Context(), call, req)
		require.NoError(t, err)
		e := broken(t, resp)
		require.ErrorIs(t, e, failover.ErrOutcomeUnknown)
		require.NotErrorIs(t, e, failover.ErrUnavailable)
		assert.Equal(t, failover.FaultCut, e.Fault)
		assert.False(t, e.SettledAt.IsZero())
	})
}

// source is a request's body of n pieces, each after a pause; then it ends with err.
type source struct {
	n, size int
	pause   time.Duration
	err     error
	closed  atomic.Bool
}

func (s *source) Read(p []byte) (int, error) {
	if s.n == 0 {
		return 0, s.err
	}
	s.n--
	time.Sleep(s.pause) //nolint:forbidigo // synctest bubble
	return min(len(p), s.size), nil
}

func (s *source) Close() error { s.closed.Store(true); return nil }

// store is a call whose request's body is long.
func store() *failover.Call {
	c := write(failover.Unsafe)
	c.Upload, c.AttemptTimeout, c.Timeout = true, 2*time.Minute, 2*time.Hour
	return c
}

func (p *pair) upload(t *testing.T, call *failover.Call, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", body)
	require.NoError(t, err)
	return p.client.Do(t.Context(), call, req)
}

// taking reads a body, so many bytes after each pause.
func taking(size int64, pause time.Duration, then http.HandlerFunc) http.HandlerFunc {
	return well(func(w http.ResponseWriter, r *http.Request) {
		for {
			time.Sleep(pause) //nolint:forbidigo // synctest bubble
			if _, err := io.CopyN(io.Discard, r.Body, size); err != nil {
				break
			}
		}
		then(w, r)
	})
}

func TestUploads(t *testing.T) {
	t.Parallel()
	created := answer(http.StatusCreated)
	files := func(n int, pause time.Duration, err error) *source {
		return &source{n: n, size: 16 << 10, pause: pause, err: err}
	}
	for name, c := range map[string]struct {
		home  http.HandlerFunc
		from  *source
		took  time.Duration
		fault failover.Fault // "": it works
	}{
		"at once":                             {taking(1<<20, 0, created), files(10, 0, io.EOF), 0, ""},
		"slow but steady, for an hour":        {taking(64<<10, 9*time.Second, created), files(1600, 0, io.EOF), 0, ""},
		"a source that takes its time":        {taking(1<<20, 0, created), files(30, time.Minute, io.EOF), 30 * time.Minute, ""},
		"a server that pauses too long":       {taking(64<<10, time.Minute, created), files(100, 0, io.EOF), 0, failover.FaultTimeout},
		"an answer that takes its time":       {taking(1<<20, 0, after(119*time.Second, http.StatusCreated)), files(10, 0, io.EOF), 119 * time.Second, ""},
		"an answer that takes longer":         {taking(1<<20, 0, after(121*time.Second, http.StatusCreated)), files(10, 0, io.EOF), 2 * time.Minute, failover.FaultTimeout},
		"a source that breaks":                {taking(1<<20, 0, created), files(10, 0, errors.New("disk")), 0, failover.FaultBody},
		"a source that breaks after a while":  {taking(1<<20, 0, created), files(10, time.Minute, errors.New("disk")), 10 * time.Minute, failover.FaultBody},
		"a source longer than there is time":  {taking(1<<20, 0, created), files(1, 3*time.Hour, io.EOF), 0, failover.FaultTimeout},
		"a connection that breaks on the way": {brokenAfterBytes(100 << 10), files(100, 0, io.EOF), 0, failover.FaultReset},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", c.home)
				start := time.Now()
				resp, err := p.upload(t, store(), c.from)
				took := time.Since(start)
				if c.took > 0 {
					assert.InDelta(t, c.took, took, float64(100*time.Millisecond))
				}
				if c.fault == "" {
					require.NoError(t, err)
					assert.Equal(t, http.StatusCreated, resp.StatusCode)
					require.NoError(t, resp.Body.Close())
				} else {
					require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
					var e *failover.Error
					require.ErrorAs(t, err, &e)
					assert.Equal(t, c.fault, e.Fault)
				}
				time.Sleep(4 * time.Hour) //nolint:forbidigo // synctest bubble: late sources and servers end
				assert.True(t, c.from.closed.Load(), "net/http closes what it was given")
				assert.Zero(t, p.count("dc-b"), "and nothing is sent twice")
				for _, s := range p.client.Status() {
					assert.Equal(t, failover.Healthy, s.Write)
					assert.Zero(t, s.InFlight)
				}
			})
		})
	}
}

// brokenAfterBytes takes so much of a body and breaks the connection.
func brokenAfterBytes(n int64) http.HandlerFunc {
	return well(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		panic(http.ErrAbortHandler)
	})
}

// Whose source is at fault is the caller's affair, however often: no doubt is left
// that another operation's failure could turn into a charge.
func TestBrokenSourceLeavesNoDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		var probed atomic.Int32
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/probe") {
				probed.Add(1)
			}
			_, _ = io.Copy(io.Discard, r.Body)
		})
		for _, op := range []string{"test.A", "test.B", "test.C", "test.D", "test.E"} {
			call := store()
			call.Op = op
			_, err := p.upload(t, call, &source{n: 3, size: 100, err: errors.New("disk")})
			require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		}
		synctest.Wait()
		assert.Zero(t, probed.Load())
		assert.Empty(t, p.events)
	})
}

// A server that takes nothing is given up after Stall, and after three in a row the
// peer takes over.
func TestUploadThatNobodyTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		hold := make(chan struct{})
		defer close(hold)
		p.on("dc-a", well(func(http.ResponseWriter, *http.Request) { <-hold }))
		p.on("dc-b", taking(1<<20, 0, answer(http.StatusCreated)))
		for i, stall := range []time.Duration{0, time.Minute, time.Second} {
			call := store()
			call.Stall = stall
			start := time.Now()
			_, err := p.upload(t, call, &source{n: 100, size: 16 << 10, err: io.EOF})
			require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
			assert.Equal(t, []time.Duration{failover.DefaultStall, time.Minute, time.Second}[i], time.Since(start))
		}
		assert.Equal(t, failover.Suspect, p.client.Status()[0].Write)
		resp, err := p.upload(t, store(), &source{n: 100, size: 16 << 10, err: io.EOF})
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), origin(resp))
	})
}

// What a server answers before it has taken everything is its answer.
func TestAnswerBeforeTheBodyWasTaken(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]bool{"in memory": false, "as it comes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", well(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.CopyN(io.Discard, r.Body, 1<<10)
					w.WriteHeader(http.StatusRequestEntityTooLarge)
					_, _ = io.WriteString(w, "too large")
				}))
				call := store()
				if stream {
					call.MaxBody = 0
				}
				from := &source{n: 1000, size: 16 << 10, err: io.EOF}
				resp, err := p.upload(t, call, from)
				require.NoError(t, err)
				assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
				text, err := whole(t, resp)
				require.NoError(t, err)
				assert.Equal(t, "too large", text)
				time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
				assert.True(t, from.closed.Load())
				assert.Empty(t, p.events)
				assert.Zero(t, p.client.Status()[0].InFlight)
			})
		})
	}
}

// Once its answer comes an upload has been taken: how long that is read, and that the
// server wants no more of the body, does not end it.
func TestLongAnswerToAnUpload(t *testing.T) {
	t.Parallel()
	for name, home := range map[string]http.HandlerFunc{
		"after all of it": taking(1<<20, 0, send(times(100, 9*time.Second)...)),
		"in its middle": well(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			send(times(100, 9*time.Second)...)(w, r)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", home)
				call := store()
				call.MaxBody = 0
				resp, err := p.upload(t, call, &source{n: 30, size: 16 << 10, err: io.EOF})
				require.NoError(t, err)
				text, err := whole(t, resp)
				require.NoError(t, err)
				assert.Len(t, text, 500)
				time.Sleep(time.Second) //nolint:forbidigo // synctest bubble: the server closes
			})
		})
	}
}

// Upload without a body is a call like any other.
func TestUploadOfNothing(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, setup{})
			call := store()
			if p.on("dc-a", after(time.Hour, http.StatusOK)); stream {
				p.on("dc-a", send(0, time.Hour))
				call.MaxBody = 0
			}
			start := time.Now()
			resp, err := p.upload(t, call, http.NoBody)
			if err == nil {
				_, err = whole(t, resp)
			}
			require.Error(t, err)
			assert.LessOrEqual(t, time.Since(start), 2*time.Minute)
			time.Sleep(time.Hour) //nolint:forbidigo // synctest bubble
		})
	}
}

// The body goes out as the caller described it, whole at each attempt, and is never
// sent again behind our back.
func TestUploadOnTheWire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		var lengths []int64
		var came []int
		note := func(status int) http.HandlerFunc {
			return well(func(w http.ResponseWriter, r *http.Request) {
				data, _ := io.ReadAll(r.Body)
				lengths, came = append(lengths, r.ContentLength), append(came, len(data))
				w.WriteHeader(status)
			})
		}
		p.on("dc-a", note(http.StatusTooManyRequests))
		p.on("dc-b", note(http.StatusCreated))
		var bodies []*source
		body := func() (io.ReadCloser, error) {
			bodies = append(bodies, &source{n: 10, size: 100, err: io.EOF})
			return bodies[len(bodies)-1], nil
		}
		for _, length := range []int64{1000, -1} {
			lengths, came, bodies = nil, nil, nil
			first, err := body()
			require.NoError(t, err)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/path", first)
			require.NoError(t, err)
			req.GetBody, req.ContentLength = body, length
			resp, err := p.client.Do(t.Context(), store(), req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, []int64{length, length}, lengths)
			assert.Equal(t, []int{1000, 1000}, came)
			require.Len(t, bodies, 3, "the caller's, and one for each attempt")
			assert.True(t, bodies[1].closed.Load() && bodies[2].closed.Load())
		}
	})
}

// A kept connection that breaks as a request comes in: net/http would send one that
// looks harmless again, unseen. What may be sent again is, but by us.
func TestUploadIsNotResentUnseen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method   string
		contract campus.Contract
		err      error
		peer     int
	}{
		"POST":                  {http.MethodPost, campus.Contract{}, failover.ErrOutcomeUnknown, 0},
		"PUT":                   {http.MethodPut, campus.Contract{}, failover.ErrOutcomeUnknown, 0},
		"POST, proved harmless": {http.MethodPost, campus.Contract{Versioning: true}, nil, 1},
		"PUT, proved harmless":  {http.MethodPut, campus.Contract{Versioning: true}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{contract: c.contract})
				calls := 0
				p.on("dc-a", well(func(w http.ResponseWriter, r *http.Request) {
					if calls++; calls > 1 {
						hijack(w, r)
					}
				}))
				for _, want := range []error{nil, c.err} {
					req, err := http.NewRequestWithContext(t.Context(), c.method, "http://virtual/path", strings.NewReader("order"))
					require.NoError(t, err)
					req.Header.Set("Idempotency-Key", "1")
					call := store()
					call.Repeat = failover.Guarded // its connections are kept
					resp, err := p.client.Do(t.Context(), call, req)
					require.ErrorIs(t, err, want)
					if err == nil {
						require.NoError(t, resp.Body.Close())
					}
				}
				assert.Equal(t, 2, calls)
				assert.Equal(t, c.peer, p.count("dc-b"))
			})
		})
	}
}
