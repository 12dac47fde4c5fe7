package fakes_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/hospital-go/hospital/fakes"
)

func TestLimitAndLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithoutDemoData(), fakes.WithHealthPath())
		hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a"}, Do: fakes.Action{AnswerDelay: second}})
		w, e := from(t, hosp, "hankou", "his/dc-a")
		round := func() map[int]int {
			var mu sync.Mutex
			var all sync.WaitGroup
			got := map[int]int{}
			for range 5 {
				all.Go(func() {
					status, body := w.send(t.Context(), "POST", e.URL+"/Patient", newcomer, nil)
					mu.Lock()
					defer mu.Unlock()
					got[status]++
					assert.Equal(t, status == 429, body[:20] == `{"issue":[{"code":"t`)
				})
			}
			all.Wait()
			return got
		}
		hosp.Limit("dc-a", 2)
		assert.Equal(t, map[int]int{201: 2, 429: 3}, round())
		assert.Len(t, hosp.Resources("his", "Patient"), 2, "the rest is not executed")
		hosp.Limit("dc-a", 0)
		assert.Equal(t, map[int]int{201: 5}, round())
		status, _ := w.send(t.Context(), "GET", e.URL+"/health/ready", "", nil)
		assert.Equal(t, 200, status)

		load := hosp.Load("dc-a")
		assert.Equal(t, 10, load.Requests, "health is not one")
		assert.Equal(t, 5, load.Peak)
		assert.LessOrEqual(t, load.OpenConnections, load.Connections)
		assert.Positive(t, load.OpenConnections)
		assert.Equal(t, fakes.Load{}, hosp.Load("dc-b"))
		other, e := from(t, hosp, "hankou", "lis/dc-a")
		status, _ = other.send(t.Context(), "GET", e.URL+"/metadata", "", nil)
		assert.Equal(t, 200, status)
		sum := hosp.Load("dc-a")
		assert.Equal(t, 11, sum.Requests, "of all systems")
		assert.Equal(t, 5, sum.Peak, "of one server")
		w.client.CloseIdleConnections()
		other.client.CloseIdleConnections()
		synctest.Wait()
		assert.Zero(t, hosp.Load("dc-a").OpenConnections)
	})
}
