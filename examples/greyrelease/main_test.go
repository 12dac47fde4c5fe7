package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Three upgrades under load, by three ways of draining: nothing fails, nothing is
// cut short, and calls were in flight when each began.
func TestNobodyNotices(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, true), out.String())
	var s summary
	require.NoError(t, json.Unmarshal(out.Bytes(), &s))
	assert.Greater(t, s.Calls, 500)
	assert.Greater(t, s.Payments, 50)
	assert.Zero(t, s.Failed+s.Cancelled+s.Duplicated+s.Lost)
	require.Len(t, s.Steps, 3)
	var by []string
	for _, step := range s.Steps {
		by = append(by, step.Environment+" "+step.By)
		assert.Positive(t, step.InFlight, step.By)
	}
	assert.Positive(t, s.Steps[0].Stragglers, "payments are waited for, by name")
	assert.Equal(t, "A call, B description, A balancer", strings.Join(by, ", "))
}
