package failover_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// An upload whose source says nothing more ends with its caller, or its time.
func TestUploadFromASourceThatBlocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		patience, timeout time.Duration
	}{
		"the caller leaves": {time.Minute, 2 * time.Hour},
		"its time is over":  {24 * time.Hour, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, setup{})
				p.on("dc-a", taking(1<<20, 0, answer(http.StatusCreated)))
				from, to := io.Pipe()
				go func() { _, _ = to.Write(make([]byte, 1<<10)) }()
				stop := time.AfterFunc(10*time.Hour, func() { _ = to.Close() })
				defer stop.Stop()
				ctx, cancel := context.WithTimeout(t.Context(), c.patience)
				defer cancel()
				call := store()
				call.Timeout = c.timeout
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://virtual/path", from)
				require.NoError(t, err)
				start := time.Now()
				_, err = p.client.Do(ctx, call, req)
				require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
				assert.Equal(t, time.Minute, time.Since(start))
				assert.Zero(t, p.client.Status()[0].InFlight)
			})
		})
	}
}

// feeding ends when it is closed, as what is fed by a channel does.
type feeding struct {
	first  sync.Once
	closed chan struct{}
	once   sync.Once
}

func (f *feeding) Read(p []byte) (n int, err error) {
	f.first.Do(func() { n = copy(p, "half a study") })
	if n > 0 {
		return n, nil
	}
	<-f.closed
	return 0, io.EOF
}

func (f *feeding) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// An upload that was given up is never whole to the server.
func TestUploadGivenUpIsNotWhole(t *testing.T) {
	t.Parallel()
	var whole, begun atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer srv.Close()
	p := newPair(t, setup{options: func(o *failover.Options) {
		for dc := range o.Dial {
			o.Dial[dc] = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
			}
		}
	}})
	for range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://virtual/path", &feeding{closed: make(chan struct{})})
		require.NoError(t, err)
		stop := time.AfterFunc(5*time.Millisecond, cancel)
		_, err = p.client.Do(ctx, &failover.Call{System: "his", Campus: "hankou", Op: "store", Kind: campus.Write, MaxBody: 1 << 20, Timeout: time.Minute, Upload: true}, req)
		require.Error(t, err)
		stop.Stop()
		cancel()
	}
	assert.Zero(t, whole.Load(), "of %d", begun.Load())
}
