package hospital_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// bothKinds runs a scenario that writes against servers whose conditional creates
// race, and against such as hold a lock.
func bothKinds(t *testing.T, scenario func(t *testing.T, kind fakes.Option)) {
	t.Helper()
	for name, atomic := range map[string]bool{"racy": false, "atomic": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, fakes.WithPersonality(fakes.Personality{AtomicCreate: atomic}))
		})
	}
}

func TestScenario01_RefusedConnections(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			healthy := percentile(s.since(time.Time{}, "read"), 0.99)
			fault := time.Now()
			s.hosp.Stop("dc-a")
			s.load(10 * time.Second)
			reads, writes := s.since(fault, "read"), s.since(fault, "write")
			assert.Empty(t, failures(reads))
			assert.Empty(t, failures(writes))
			assert.LessOrEqual(t, percentile(s.since(fault.Add(time.Second), "read"), 0.99), healthy+5*time.Millisecond)
			peer, ok := firstOf(reads, from("dc-b"))
			require.True(t, ok)
			assert.Less(t, peer.began.Sub(fault), 300*time.Millisecond)
			assert.Positive(t, s.reasons["failover"])
			assert.Equal(t, failover.Ejected, s.status("dc-a").Read)
		}, kind)
	})
}

func TestScenario02_BlackHole(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			fault := time.Now()
			require.NoError(t, s.hosp.Hang("dc-a", true))
			s.load(10 * time.Second)
			assert.Empty(t, failures(s.since(fault, "read")))
			for _, r := range s.since(fault.Add(2*time.Second), "read") {
				assert.Less(t, r.took, 100*time.Millisecond, "the site is out after 2 s")
			}
			assert.Less(t, percentile(s.since(fault, "read"), 1), 3*time.Second, "nobody waits for a dial for 30 s")
			require.NoError(t, s.hosp.Hang("dc-a", false))
		}, kind)
	})
}
