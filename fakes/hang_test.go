package fakes_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
)

// A black hole answers nobody, and executes nothing of what it swallowed.
func TestHang(t *testing.T) {
	t.Parallel()
	for name, warm := range map[string]bool{"a new connection": false, "an old connection": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t, fakes.WithoutDemoData())
				w, e := from(t, hosp, "hankou", "his/dc-a")
				create := func() int {
					status, _ := w.send(t.Context(), "POST", e.URL+"/Patient", newcomer, nil)
					return status
				}
				if warm {
					require.Equal(t, 201, create())
				}
				require.NoError(t, hosp.Hang("dc-a", true))
				require.NoError(t, hosp.Hang("dc-a", true), "twice is once")
				start := time.Now()
				w.client.Timeout = 5 * second
				assert.Zero(t, create())
				assert.Equal(t, 5*second, time.Since(start))
				there, peer := from(t, hosp, "hankou", "his/dc-b")
				status, _ := there.send(t.Context(), "GET", peer.URL+"/metadata", "", nil)
				assert.Equal(t, 200, status)
				require.NoError(t, hosp.Hang("dc-a", false))
				synctest.Wait()
				assert.Len(t, hosp.Resources(campus.HIS, "Patient"), map[bool]int{true: 1}[warm])
				assert.Equal(t, 201, create())
			})
		})
	}
}

// A running request finishes inside the black hole, and its answer stays there.
func TestHangKeepsAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithoutDemoData())
		hosp.Break(fakes.Rule{Do: fakes.Action{AnswerDelay: second}})
		time.AfterFunc(second/2, func() { assert.NoError(t, hosp.Hang("dc-a", true)) })
		time.AfterFunc(5*second, func() { assert.NoError(t, hosp.Hang("dc-a", false)) })
		w, e := from(t, hosp, "hankou", "his/dc-a")
		start := time.Now()
		status, _ := w.send(t.Context(), "POST", e.URL+"/Patient", newcomer, nil)
		assert.Zero(t, status, "reset when it ends")
		assert.Equal(t, 5*second, time.Since(start))
		assert.Len(t, hosp.Resources(campus.HIS, "Patient"), 1)
	})
}
