package failover_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
