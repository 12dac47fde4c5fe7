package hospital

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// A write at one campus, to a store of its own, does not end another campus's session.
func TestSessionsOfTwoCampuses(t *testing.T) {
	t.Parallel()
	d := campus.Description{
		Organizations: []campus.Organization{{ID: "g"}}, DataCenters: []campus.DataCenter{{ID: "dc", Role: campus.Active}},
		Campuses: []campus.Campus{{ID: "one", Organization: "g", Home: "dc"}, {ID: "two", Organization: "g", Home: "dc"}},
		Systems:  []campus.System{{ID: "his"}}, Stores: []campus.Store{{ID: "s1"}, {ID: "s2"}},
		Endpoints: []campus.Endpoint{
			{ID: "e1", System: "his", DataCenter: "dc", Store: "s1", URL: "https://one/", Campuses: []campus.ID{"one"}},
			{ID: "e2", System: "his", DataCenter: "dc", Store: "s2", URL: "https://two/", Campuses: []campus.ID{"two"}},
		},
	}
	top, err := campus.New(d)
	require.NoError(t, err)
	var s sessions
	lost := func(store campus.StoreID, at time.Time) error {
		return &failover.Error{Err: failover.ErrOutcomeUnknown, Store: store, SettledAt: at}
	}
	s.wrote("his", nil, lost("s1", time.Now()))
	s.wrote("his", nil, lost("s2", time.Now()))
	assert.False(t, s.since(top, "his", "one").IsZero(), "the other campus's write ended this campus's session")
}
