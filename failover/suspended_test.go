package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
)

// A process that was suspended for ten minutes wakes up with every timer overdue: a
// canary's lease, attempts' times, an ejection. That says nothing of the servers. A
// clock that is set back or forward an hour is not even seen: Go's timers and the
// differences taken here are monotonic, so what is played is their jump.
func TestSuspendedProcess(t *testing.T) {
	t.Parallel()
	two := campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
		Systems:       []campus.System{{ID: "his"}},
		Stores:        []campus.Store{{ID: "his"}},
		Endpoints: []campus.Endpoint{
			{ID: "a", System: "his", DataCenter: "dc-a", Store: "his", URL: "http://127.0.0.1:1"},
			{ID: "b", System: "his", DataCenter: "dc-b", Store: "his", URL: "http://127.0.0.1:2"},
		},
	}
	for _, jump := range []time.Duration{10 * time.Minute, time.Hour} {
		m := newMachine(t, &vectorFile{Description: two})
		for range 5 {
			m.do("begin c read a")
			m.now = m.now.Add(jump)
			m.do("end c timeout")
		}
		assert.Equal(t, "healthy healthy", m.see("state a"), "attempts that were overdue by far were not the server's")

		for range 3 {
			m.do("call read a dial, b ok")
		}
		m.do("advance 2m")
		m.do("probe a ok")
		require.Equal(t, "returning returning", m.see("state a"))
		m.do("begin c read a")
		m.now = m.now.Add(jump)
		assert.NotContains(t, m.see("state a"), "ejected", "a lease that ran out while we slept was nobody's")
		m.do("end c ok")
		assert.NotContains(t, m.see("state a"), "ejected")
	}
}
