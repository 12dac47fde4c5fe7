package failover_test

import (
	"context"
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

// Trials that tell nothing make room for others.
func TestDoubtedTrialsMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.update(t, func(d *campus.Description) { d.Version, d.Endpoints = 2, d.Endpoints[:1] })
		p.stop("dc-a")
		for range 5 {
			_, err := p.do(t, write(failover.Guarded))
			require.Error(t, err)
		}
		require.Equal(t, failover.Ejected, p.client.Status()[0].Write)
		n := 0
		p.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/probe") {
				return
			}
			if n++; n <= 8 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		p.start(t, "dc-a")
		for range 8 {
			_, err := p.do(t, write(failover.Guarded))
			require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
		}
		start := time.Now()
		_, err := p.do(t, write(failover.Guarded))
		require.NoError(t, err)
		assert.Zero(t, time.Since(start))
	})
}

// A credential, or a hook after the answer, that panics leaves nothing taken: of eight
// calls that did, none keeps a returning endpoint's room.
func TestPanicGivesTrialsBack(t *testing.T) {
	t.Parallel()
	panics := false
	bug := func() {
		if panics {
			panic("the program's own")
		}
	}
	for name, options := range map[string]func(o *failover.Options){
		"credential": func(o *failover.Options) {
			o.Authorize = func(context.Context, *campus.Endpoint, *http.Request) error { bug(); return nil }
		},
		"hook": func(o *failover.Options) {
			o.Hooks.AttemptDone = func(context.Context, failover.Attempt, failover.Result) { bug() }
		},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // they share what panics
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{options: options})
				p.stop("dc-a")
				p.stop("dc-b")
				for range 5 {
					_, _ = p.do(t, read())
				}
				require.Equal(t, failover.Ejected, p.client.Status()[0].Read)
				p.start(t, "dc-a")
				for p.client.Status()[0].Read == failover.Ejected {
					time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
				}
				panics = true
				for range 8 {
					func() {
						defer func() { assert.NotNil(t, recover()) }()
						_, _ = p.do(t, read())
					}()
				}
				panics = false
				_, err := p.do(t, read())
				require.NoError(t, err)
			})
		})
	}
}

// A slow token server is not the endpoint's fault, of a returning one neither.
func TestSlowCredentialsEjectNoCanary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := time.Duration(0)
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Authorize = func(ctx context.Context, e *campus.Endpoint, _ *http.Request) error {
				if e.DataCenter == "dc-a" {
					select {
					case <-time.After(slow):
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				return nil
			}
		}})
		p.stop("dc-a")
		for range 5 {
			_, err := p.do(t, read())
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // synctest bubble: probes fail
		require.Equal(t, failover.Ejected, p.client.Status()[0].Read)
		p.start(t, "dc-a")
		for p.client.Status()[0].Read == failover.Ejected {
			time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		}
		require.Equal(t, failover.Returning, p.client.Status()[0].Read)
		slow = 4500 * time.Millisecond
		var canary sync.WaitGroup
		canary.Go(func() { _, err := p.do(t, read()); assert.NoError(t, err) })
		time.Sleep(4200 * time.Millisecond) //nolint:forbidigo // synctest bubble
		_, err := p.do(t, read())
		require.NoError(t, err)
		canary.Wait()
		assert.NotEqual(t, failover.Ejected, p.client.Status()[0].Read, "%v", p.events)
	})
}

// One panic of a hook does not eject a server that answers: its canary came back.
func TestPanicAfterAnAnswerEjectsNoCanary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var panics atomic.Bool
		p := newPair(t, setup{options: func(o *failover.Options) {
			o.Hooks.AttemptDone = func(_ context.Context, a failover.Attempt, _ failover.Result) {
				if a.Endpoint.DataCenter == "dc-a" && panics.CompareAndSwap(true, false) {
					panic("a bug of the program's")
				}
			}
		}})
		p.stop("dc-a")
		for range 5 {
			_, _ = p.do(t, read())
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // synctest bubble
		require.Equal(t, failover.Ejected, p.client.Status()[0].Read)
		p.start(t, "dc-a")
		for p.client.Status()[0].Read == failover.Ejected {
			time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		}
		require.Equal(t, failover.Returning, p.client.Status()[0].Read)
		panics.Store(true)
		func() {
			defer func() { assert.NotNil(t, recover()) }()
			_, _ = p.do(t, read())
		}()
		for range 20 {
			_, err := p.do(t, read())
			require.NoError(t, err)
			time.Sleep(250 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		assert.NotEqual(t, failover.Ejected, p.client.Status()[0].Read, "%v", p.events)
	})
}
