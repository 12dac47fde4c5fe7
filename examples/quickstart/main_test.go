package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func summarize(t *testing.T, o options) (summary, error) {
	t.Helper()
	o.json = true
	var out bytes.Buffer
	runErr := run(t.Context(), &out, o)
	var s summary
	require.NoError(t, json.Unmarshal(out.Bytes(), &s), out.String())
	return s, runErr
}

func TestSiteLost(t *testing.T) {
	t.Parallel()
	s, err := summarize(t, options{fault: "site", duration: 3 * time.Second})
	require.NoError(t, err)
	assert.Greater(t, s.Calls, 20)
	assert.Zero(t, s.Failed+s.Duplicated+s.Lost+s.Unknown)
	assert.Positive(t, s.Switches, "the loss must have been noticed")
	assert.Len(t, s.TraceID, 32)
}

func TestStoreLost(t *testing.T) {
	t.Parallel()
	s, err := summarize(t, options{fault: "main-dc", duration: 3 * time.Second})
	require.NoError(t, err)
	assert.Positive(t, s.Failed, "while the store is gone, calls are refused")
	assert.Zero(t, s.Duplicated+s.Lost)
}

func TestData(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("HOSPITAL_SAMPLES")
	if dir == "" {
		t.Skip("skipped: HOSPITAL_SAMPLES names no folder of FHIR samples")
	}
	s, err := summarize(t, options{fault: "site", duration: 2 * time.Second, data: filepath.Join(dir, "synthea")})
	require.NoError(t, err)
	assert.Zero(t, s.Failed+s.Duplicated+s.Lost)
}

func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, options{fault: "site", duration: 2 * time.Second}))
	for _, want := range []string{"hankou", "doubled 0", "lost 0", "Who answered", "One call as a trace", "POST "} {
		assert.Contains(t, out.String(), want)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, o := range []options{
		{fault: "meteor", duration: 2 * time.Second},
		{fault: "site"},
		{fault: "site", duration: time.Hour},
		{fault: "site", duration: 2 * time.Second, data: t.TempDir()},
	} {
		require.Error(t, run(t.Context(), &bytes.Buffer{}, o))
	}
}
