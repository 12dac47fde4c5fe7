package failover_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/failover"
)

// One kind of question that servers ration says nothing of orders.
func TestRationedReadsDoNotSilenceWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		ration := well(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Retry-After", "300")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		p.on("dc-a", ration)
		p.on("dc-b", ration)
		_, err := p.do(t, read())
		require.ErrorIs(t, err, failover.ErrUnavailable)
		for range 10 {
			_, err = p.do(t, write(failover.Unsafe))
			require.NoError(t, err)
			time.Sleep(20 * time.Second) //nolint:forbidigo // synctest bubble
		}
	})
}

// What no server means is no wish.
func TestRetryAfterOfNonsense(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, setup{})
		p.on("dc-a", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "-13835058055")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := p.do(t, read())
		require.NoError(t, err)
		assert.True(t, p.client.Status()[0].PausedUntil.IsZero(), "%s", p.client.Status()[0].PausedUntil)
	})
}
