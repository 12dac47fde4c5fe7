package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
)

// A data centre is lost while the study comes: all of it comes, from both.
func TestTheStudyArrivesWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	folder := t.TempDir()
	require.NoError(t, run(t.Context(), &out, options{json: true, out: folder}), out.String())
	var s summary
	require.NoError(t, json.Unmarshal(out.Bytes(), &s))
	assert.Positive(t, s.Campuses["hankou"])
	assert.Positive(t, s.Campuses["guanggu"], "found by the number there")
	assert.Empty(t, s.Failed)
	assert.NotContains(t, s.Campuses, campus.ID("zhongfa"), "another legal entity")
	assert.Equal(t, 24, s.Listed)
	assert.Equal(t, 24, s.Instances)
	assert.Zero(t, s.Different)
	assert.Positive(t, s.From["dc-a"], "what came before, or after")
	assert.Positive(t, s.From["dc-b"])
	assert.Positive(t, s.PNG)
	files, err := filepath.Glob(filepath.Join(folder, "*.dcm"))
	require.NoError(t, err)
	assert.Len(t, files, 24)
	parts, err := filepath.Glob(filepath.Join(folder, "*.part"))
	require.NoError(t, err)
	assert.Empty(t, parts)
	image, err := os.ReadFile(mustOne(t, filepath.Join(folder, "*.png")))
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(image, []byte("\x89PNG")))
}

func mustOne(t *testing.T, pattern string) string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]options{
		"a patient of nobody's":      {patient: campus.PatientID{Issuer: "i", Value: "v"}},
		"a hospital without patient": {config: "hospital.yaml", out: "x"},
		"nowhere to write":           {config: "hospital.yaml", patient: campus.PatientID{Issuer: "i", Value: "v"}},
	} {
		require.Error(t, run(t.Context(), &bytes.Buffer{}, o), name)
	}
}
