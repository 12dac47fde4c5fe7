package failover_test

import (
	"fmt"
	"io"
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

// A body that never ends, or never says that it has: the attempt's time ends it, and
// the peer answers.
func TestBodiesWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, home := range map[string]http.HandlerFunc{
		"a drop each second, for ever": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
				}
			}
		},
		"all there, and never closed": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "{}")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", home)
				start := time.Now()
				resp, err := p.do(t, read())
				require.NoError(t, err)
				assert.Equal(t, campus.DataCenterID("dc-b"), failover.OriginOf(resp).DataCenter)
				assert.Equal(t, 2*time.Second, time.Since(start))
			})
		})
	}
}

// A probe path that answers HTML, asks who we are, or does not know the path, is
// somebody; only 5xx and silence are nobody.
func TestWhatProbesTakeForAlive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		probe http.HandlerFunc
		back  bool
	}{
		"HTML":           {html(http.StatusOK), true},
		"404 HTML":       {html(http.StatusNotFound), true},
		"401":            {answer(http.StatusUnauthorized), true},
		"a redirect":     {answer(http.StatusFound), true},
		"500":            {answer(http.StatusInternalServerError), false},
		"nothing at all": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.stop("dc-a")
				_, err := p.do(t, read())
				require.NoError(t, err)
				require.Equal(t, failover.Suspect, p.client.Status()[0].Read)
				p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/probe") {
						c.probe(w, r)
						return
					}
					w.WriteHeader(http.StatusOK)
				})
				p.start(t, "dc-a")
				time.Sleep(4 * time.Second) //nolint:forbidigo // synctest bubble
				assert.Equal(t, c.back, p.client.Status()[0].Read == failover.Healthy)
			})
		})
	}
}

// Redirects to wherever are never followed: a read asks elsewhere, a write may have
// been executed.
func TestRedirectsAreNoAnswers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, setup{})
			p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://elsewhere/steal")
				w.WriteHeader(status)
			})
			resp, err := p.do(t, read())
			require.NoError(t, err)
			assert.Equal(t, campus.DataCenterID("dc-b"), failover.OriginOf(resp).DataCenter)
			_, err = p.do(t, write(failover.Unsafe))
			require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		})
	}
}

// Two writes to servers that ask for silence in every possible way: no storm, a
// bounded wait, and the wish comes back with the error.
func TestRetryAfterOnWrites(t *testing.T) {
	t.Parallel()
	for header, c := range map[string]struct {
		again time.Duration // after how long the second write was answered, or refused
		wish  time.Duration // RetryAfter of the first
	}{
		"2":                             {2 * time.Second, 2 * time.Second},
		"86400":                         {0, failover.MaxRetryAfter},
		"9223372037":                    {0, failover.MaxRetryAfter},
		"-1":                            {0, 0},
		"soon":                          {0, 0},
		"Mon, 01 Jan 1990 00:00:00 GMT": {0, 0},
		"Fri, 01 Jan 2100 00:00:00 GMT": {0, failover.MaxRetryAfter},
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{contract: campus.Contract{NotExecuted: []int{503}}})
				quiet := func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Retry-After", header)
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				p.on("dc-a", quiet)
				p.on("dc-b", quiet)
				call := write(failover.Unsafe)
				call.Timeout = 5 * time.Second
				start := time.Now()
				_, err := p.do(t, call)
				require.ErrorIs(t, err, failover.ErrUnavailable)
				var e *failover.Error
				require.ErrorAs(t, err, &e)
				assert.InDelta(t, c.wish, e.RetryAfter, float64(time.Second))
				assert.LessOrEqual(t, time.Since(start), 5*time.Second+50*time.Millisecond)
				assert.LessOrEqual(t, p.count("dc-a")+p.count("dc-b"), 2)
				p.on("dc-a", answer(http.StatusNoContent))
				p.on("dc-b", answer(http.StatusNoContent))
				start = time.Now()
				_, err = p.do(t, call)
				if c.wish == failover.MaxRetryAfter {
					require.ErrorIs(t, err, failover.ErrUnavailable, "it does not fit the deadline")
					require.ErrorAs(t, err, &e)
					assert.Positive(t, e.RetryAfter)
					assert.Zero(t, time.Since(start), "and nobody waits for nothing")
					return
				}
				require.NoError(t, err)
				assert.LessOrEqual(t, time.Since(start), c.again+c.again/4)
			})
		})
	}
}

// Servers whose clocks jump an hour to and fro change nothing but what Status says
// of them: timers follow our own monotonic clock.
func TestServersClocksJump(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		offset := time.Duration(0)
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(offset).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusOK)
		})
		for _, jump := range []time.Duration{0, time.Hour, -time.Hour, 48 * time.Hour, 0} {
			offset = jump
			for range 5 {
				assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t))
			}
			assert.InDelta(t, jump, p.client.Status()[0].ClockOffset, float64(time.Second), fmt.Sprint(jump))
			assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
		}
	})
}
