package failover_test

import (
	"context"
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

// Giving up in the pause before a repetition does not make a lost write a mere deadline.
func TestGivingUpInABackoffIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{contract: campus.Contract{ConditionalCreate: campus.Atomic}})
		p.on("dc-a", hijack)
		call := write(failover.Keyed)
		call.Endpoint, call.Timeout = "his/dc-a", time.Nanosecond*10
		_, err := p.do(t, call)
		require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 1, p.count("dc-a"))
	})
}

// Who is drained during the pause before a repetition gets nothing new.
func TestDrainedWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
			time.AfterFunc(time.Nanosecond, func() { p.client.Drain(failover.Selector{DataCenter: "dc-a"}) })
			w.WriteHeader(http.StatusTooManyRequests)
		})
		call := write(failover.Unsafe)
		call.Endpoint = "his/dc-a"
		_, err := p.do(t, call)
		require.ErrorIs(t, err, failover.ErrUnavailable)
		assert.Equal(t, 1, p.count("dc-a"))
		assert.True(t, p.client.Drained(failover.Selector{DataCenter: "dc-a"}), "its place was given back")
	})
}

// A repetition at the same endpoint always costs a token, whatever its health.
func TestRetriesAtOneEndpointCost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/probe") {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		call := read()
		call.Endpoint = "his/dc-a"
		const calls = 300
		for range calls {
			_, err := p.do(t, call)
			require.Error(t, err)
		}
		assert.LessOrEqual(t, p.count("dc-a"), calls+50)
	})
}

// Only the first hop to another endpoint is free.
func TestSecondHopCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{standby: true})
		for _, dc := range []campus.DataCenterID{"dc-a", "dc-b", "dr"} {
			p.on(dc, func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/probe") {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
		}
		call := read()
		call.Kind = campus.ReadAny
		const calls = 300
		for range calls {
			_, err := p.do(t, call)
			require.Error(t, err)
		}
		assert.LessOrEqual(t, len(p.arrived), 2*calls+50)
	})
}

// A lost write is repeated only where the contract makes that harmless.
func TestRepetitionNeedsTheSameContract(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{contract: campus.Contract{ConditionalCreate: campus.Atomic}})
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints[1].Contract = 2, campus.Contract{} })
		p.on("dc-a", hijack)
		_, err := p.do(t, write(failover.Keyed))
		require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		assert.Zero(t, p.count("dc-b"), "it could be executed beside the first")
	})
}

// A call confined to one store does not go to its copy.
func TestStoreConfines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{standby: true})
		p.stop("dc-a")
		p.stop("dc-b")
		call := read()
		call.Kind = campus.ReadAny
		_, err := p.do(t, call)
		require.NoError(t, err)
		call.Store = "his"
		_, err = p.do(t, call)
		require.ErrorIs(t, err, failover.ErrUnavailable)
		assert.Equal(t, 1, p.count("dr"))
	})
}

// 412 says something of a lost request only where a version is what guards it.
func TestPreconditionFailedOfAKeyedCreate(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]*failover.Call{"keyed": write(failover.Keyed), "an id of the client's making": {
		System: "his", Campus: "hankou", Kind: campus.Write, Op: "test.Write", Repeat: failover.Guarded, Creates: true, MaxBody: 1 << 10,
	}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{contract: campus.Contract{ConditionalCreate: campus.Atomic, Versioning: true, UpdateCreate: true, ServerTimeout: 10 * time.Second}})
				p.on("dc-a", hijack)
				p.on("dc-b", answer(http.StatusPreconditionFailed))
				start := time.Now()
				_, err := p.do(t, call)
				var e *failover.Error
				require.ErrorAs(t, err, &e)
				require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
				assert.Equal(t, 10*time.Second, e.SettledAt.Sub(start))
			})
		})
	}
}

// Callers in a hurry blame nobody.
func TestHurriedCallersBlameNobody(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func() *failover.Call{"reads": read, "writes": func() *failover.Call { return write(failover.Unsafe) }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", after(time.Second, http.StatusOK))
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://virtual/", http.NoBody)
					require.NoError(t, err)
					_, err = p.client.Do(ctx, call(), req)
					require.Error(t, err)
					cancel()
				}
				assert.Equal(t, failover.Healthy, p.client.Status()[0].Read)
				assert.Equal(t, failover.Healthy, p.client.Status()[0].Write)
				assert.Equal(t, 10, p.count("dc-a"))
				time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble: the server ends
			})
		})
	}
}

// A canary whose caller was in a hurry makes room for the next.
func TestHurriedCanaryGivesItsLeaseBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.stop("dc-a")
		for range 3 {
			p.answeredBy(t)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		p.start(t, "dc-a")
		time.Sleep(75 * time.Second) //nolint:forbidigo // synctest bubble
		require.Equal(t, failover.Returning, p.client.Status()[0].Read)
		p.on("dc-a", after(time.Second, http.StatusOK))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://virtual/", http.NoBody)
		require.NoError(t, err)
		_, err = p.client.Do(ctx, read(), req)
		require.Error(t, err)
		p.on("dc-a", answer(http.StatusOK))
		assert.Equal(t, campus.DataCenterID("dc-a"), p.answeredBy(t), "the next canary")
		time.Sleep(5 * time.Second) //nolint:forbidigo // synctest bubble: longer than the lease
		assert.Equal(t, failover.Returning, p.client.Status()[0].Read)
	})
}

// A write that failed makes the client ask anew who writes.
func TestFailedWriteDoubtsTheRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		roles := map[campus.DataCenterID]*asked{"dc-a": newAsked("/primary", 200), "dc-b": newAsked("/primary", 503)}
		fail := false
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if fail && !strings.HasSuffix(r.URL.Path, "/primary") {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			roles["dc-a"].serve(w, r)
		})
		p.on("dc-b", roles["dc-b"].serve)
		p.update(t, func(d *campus.Description) { d.Version, d.Stores[0].RolePath = 2, "/primary" })
		_, err := p.do(t, write(failover.Unsafe))
		require.NoError(t, err)
		fail = true
		roles["dc-a"].status.Store(503)
		roles["dc-b"].status.Store(200)
		resp, err := p.do(t, write(failover.Unsafe))
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), failover.OriginOf(resp).DataCenter)
		assert.Equal(t, 2, p.count("dc-a")-int(roles["dc-a"].count.Load()), "the old writer is not asked twice")
	})
}

// states is an adapter that says an outcome.
type states failover.Outcome

func (s states) RoundTrip(*http.Request) (*http.Response, error) { return nil, s }
func (s states) Error() string                                   { return "stated" }
func (s states) Outcome() failover.Outcome                       { return failover.Outcome(s) }

type speechless struct{ sent int }

func (s *speechless) RoundTrip(*http.Request) (*http.Response, error) {
	s.sent++
	return nil, io.ErrUnexpectedEOF
}

// An adapter that says "done" without an answer, or nothing, leaves the outcome unknown.
func TestAdapterWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, rt := range map[string]http.RoundTripper{"committed": states(failover.Committed), "nothing": &speechless{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{options: func(o *failover.Options) { o.Adapters = map[campus.EndpointID]http.RoundTripper{"his/dc-a": rt} }})
				_, err := p.do(t, write(failover.Unsafe))
				require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
				var e *failover.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, failover.Unknown, e.Outcome)
				assert.Zero(t, p.count("dc-b"))
			})
		})
	}
}
