package lis

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fhir/r4"
)

func version(id, version, at string) *r4.Observation {
	return &r4.Observation{ID: id, Meta: &r4.Meta{VersionId: version, LastUpdated: at}}
}

func TestPositionIsBounded(t *testing.T) {
	t.Parallel()
	p := place{Type: "Observation", Store: "lis", Since: time.Unix(0, 0), Recent: map[string]int64{}}
	for i := range maxRecent + 5000 {
		p.add(version(fmt.Sprint(i), "1", ""), time.Unix(int64(i), 0))
	}
	got, err := p.position().read("Observation")
	require.NoError(t, err)
	assert.Len(t, got.Recent, maxRecent)
	assert.Len(t, p.Recent, maxRecent+5000, "a poll forgets nothing, or it would never end")
}

func FuzzPosition(f *testing.F) {
	p := place{Type: "Observation", Store: "lis", Epoch: 3, Since: time.Unix(1, 0), Recent: map[string]int64{"x": 1}}
	f.Add(string(p.position()))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"Type":"Observation","Store":"lis","Since":"2026-01-01T00:00:00Z"}`)))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Position(text).read("Observation")
		if err != nil {
			return
		}
		again, err := got.position().read("Observation")
		require.NoError(t, err)
		assert.True(t, got.Since.Equal(again.Since))
		assert.Len(t, again.Recent, min(len(got.Recent), maxRecent))
	})
}

// A migration stamps all rows alike: what is remembered of one moment must fit, or a feed
// refuses its own Position for ever.
func TestPositionOfOneMomentIsTaken(t *testing.T) {
	t.Parallel()
	p := place{Type: "Observation", Store: "lis", Since: time.Now(), Recent: map[string]int64{}}
	for i := range 100_000 {
		p.add(version(fmt.Sprint(i), "1", "2026-01-01T00:00:00Z"), time.Unix(1_767_225_600, 0))
	}
	got, err := p.position().read("Observation")
	require.NoError(t, err)
	assert.Len(t, got.Recent, maxMoment)
}
