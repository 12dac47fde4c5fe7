package failover_test

import (
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
