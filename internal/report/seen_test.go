package report

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
)

func version(id, version, at string) *r4.Observation {
	return &r4.Observation{ID: id, Meta: &r4.Meta{VersionId: version, LastUpdated: at}}
}

func TestWhatIsOlder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seen, came *r4.Observation
		stale      bool
	}{
		"by number":           {version("1", "10", ""), version("1", "9", ""), true},
		"newer":               {version("1", "9", ""), version("1", "10", ""), false},
		"the same":            {version("1", "9", "2026-01-02T00:00:00Z"), version("1", "9", "2026-01-01T00:00:00Z"), false},
		"by time":             {version("1", "b", "2026-01-02T00:00:00Z"), version("1", "a", "2026-01-01T00:00:00Z"), true},
		"newer by time":       {version("1", "a", "2026-01-01T00:00:00Z"), version("1", "b", "2026-01-02T00:00:00Z"), false},
		"nothing to tell by":  {version("1", "a", ""), version("1", "b", ""), false},
		"another":             {version("1", "9", ""), version("2", "1", ""), false},
		"number beats time":   {version("1", "2", "2026-01-01T00:00:00Z"), version("1", "1", "2026-01-02T00:00:00Z"), true},
		"no metadata at all":  {version("1", "2", ""), &r4.Observation{ID: "1"}, false},
		"a number too large":  {version("1", "99999999999999999999", ""), version("1", "1", ""), false},
		"a time without zone": {version("1", "b", "2026-01-02"), version("1", "a", "2026-01-01"), false},
	} {
		s := newSeen(10)
		s.take(hospital.Origin{Store: "lis"}, c.seen, true)
		stale, _ := s.take(hospital.Origin{Store: "lis"}, c.came, true)
		assert.Equal(t, c.stale, stale, name)
		stale, shown := s.take(hospital.Origin{Store: "lis", Epoch: 2}, c.came, true)
		assert.False(t, stale || shown, "another epoch")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s, o := newSeen(100), hospital.Origin{Store: "lis"}
	s.take(o, version("kept", "2", ""), true)
	for i := range 1000 {
		s.take(o, version(fmt.Sprint(i), "1", ""), true)
		if i%50 == 0 {
			s.take(o, version("kept", "2", ""), false)
		}
	}
	assert.LessOrEqual(t, len(s.recent)+len(s.before), 200)
	stale, shown := s.take(o, version("kept", "1", ""), true)
	assert.True(t, stale && shown, "what is asked for stays")
}
