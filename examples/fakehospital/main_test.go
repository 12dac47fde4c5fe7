package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// start runs the program and reads its line.
func start(t *testing.T, o options) about {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, w, o); _ = w.Close() }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-ended) })
	line, err := bufio.NewReader(r).ReadBytes('\n')
	require.NoError(t, err)
	var a about
	require.NoError(t, json.Unmarshal(line, &a))
	return a
}

// do is one request as any program would make it.
func do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(data)
}

func (a about) url(id campus.EndpointID) string {
	for _, e := range a.Endpoints {
		if e.ID == id {
			return e.URL
		}
	}
	return ""
}

func TestAnyProgramCanUseIt(t *testing.T) {
	t.Parallel()
	a := start(t, options{addr: "127.0.0.1:0"})
	require.Len(t, a.Endpoints, 15)
	status, page := do(t, "GET", a.url("his/dc-a")+"/Slot?_count=1", "")
	require.Equal(t, 200, status)
	var bundle r4.Bundle
	require.NoError(t, json.Unmarshal([]byte(page), &bundle))
	status, _ = do(t, "GET", bundle.Link[1].URL, "")
	assert.Equal(t, 200, status, "the next link can be followed as it is")

	status, made := do(t, "POST", a.Control+"/faults", `{"when":{"datacenter":"dc-a","interaction":"read"},"do":{"status":503,"retryAfter":"7","delay":"1ms"},"times":1}`)
	require.Equal(t, 201, status, made)
	status, _ = do(t, "GET", a.url("his/dc-a")+"/Patient/1001", "")
	assert.Equal(t, 503, status)
	status, _ = do(t, "GET", a.url("his/dc-a")+"/Patient/1001", "")
	assert.Equal(t, 200, status, "once only")
	_, faults := do(t, "GET", a.Control+"/faults", "")
	assert.Contains(t, faults, `"1":`)
	status, _ = do(t, "DELETE", a.Control+"/faults/1", "")
	assert.Equal(t, 204, status)
	status, _ = do(t, "DELETE", a.Control+"/faults", "")
	assert.Equal(t, 204, status)

	status, _ = do(t, "POST", a.Control+"/datacenters/dc-a/stop", "")
	require.Equal(t, 204, status)
	status, _ = do(t, "GET", a.url("his/dc-a")+"/Patient/1001", "")
	assert.Zero(t, status)
	status, _ = do(t, "POST", a.Control+"/datacenters/dc-a/start", "")
	require.Equal(t, 204, status)
	status, _ = do(t, "GET", a.url("his/dc-a")+"/Patient/1001", "")
	assert.Equal(t, 200, status)
	_, _ = do(t, "POST", a.Control+"/stores/his/down", "")
	status, _ = do(t, "GET", a.url("his/dc-b")+"/Patient/1001", "")
	assert.Equal(t, 500, status)
	_, _ = do(t, "POST", a.Control+"/stores/his/up", "")

	status, _ = do(t, "POST", a.url("his/dc-a")+"/Patient", `{"resourceType":"Patient","identifier":[{"system":"s","value":"N1"}]}`)
	require.Equal(t, 201, status)
	_, ledger := do(t, "GET", a.Control+"/ledger", "")
	assert.Contains(t, ledger, `"Interaction":"create"`)
	for _, bad := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/faults", `{"when":{"colour":"red"}}`, 400},
		{"POST", "/faults", `{"do":{"delay":200}}`, 400},
		{"POST", "/faults", `x`, 400},
		{"DELETE", "/faults/99", "", 404},
		{"POST", "/datacenters/moon/stop", "", 404},
		{"POST", "/datacenters/dc-a/dance", "", 404},
		{"POST", "/stores/moon/down", "", 404},
		{"GET", "/else", "", 404},
	} {
		status, _ := do(t, bad.method, a.Control+bad.path, bad.body)
		assert.Equal(t, bad.status, status, bad.path)
	}
}

// The configuration it prints is one that works: LoadConfig, a client, a booking
// through a lost data centre.
func TestItsConfigurationWorks(t *testing.T) {
	t.Parallel()
	a := start(t, options{addr: "127.0.0.1:0"})
	_, text := do(t, "GET", a.Config, "")
	path := filepath.Join(t.TempDir(), "hospital.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	cfg, err := hospital.LoadConfig(path)
	require.NoError(t, err)
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // it never fails
	_, _ = do(t, "POST", a.Control+"/datacenters/dc-a/stop", "")
	found, err := his.New(client).Patient(t.Context(), campus.PatientID{Issuer: a.Patient.System, Value: a.Patient.Value})
	require.NoError(t, err)
	assert.Equal(t, campus.DataCenterID("dc-b"), found.Origin.DataCenter)
}

func TestData(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("HOSPITAL_SAMPLES")
	if dir == "" {
		t.Skip("skipped: HOSPITAL_SAMPLES names no folder of FHIR samples")
	}
	a := start(t, options{addr: "127.0.0.1:0", data: filepath.Join(dir, "synthea")})
	require.Positive(t, a.Loaded)
	f, err := fhir.New(&http.Client{Timeout: 10 * time.Second}, a.url("lis/dc-b"))
	require.NoError(t, err)
	for page, err := range fhir.Search(t.Context(), f, fhir.Query{Type: "Observation"}) {
		require.NoError(t, err)
		assert.Greater(t, *page.Total, 100)
		break
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]options{
		"another machine's address": {addr: "0.0.0.0:0"}, "no port": {addr: "127.0.0.1"}, "no data": {addr: "127.0.0.1:0", data: t.TempDir()},
	} {
		require.Error(t, run(t.Context(), io.Discard, o), name)
	}
}

// With a port given, addresses are the same from run to run.
func TestFixedPorts(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 10)
	a := start(t, options{addr: fmt.Sprintf("127.0.0.1:%d", port)})
	assert.Equal(t, fmt.Sprintf("http://127.0.0.1:%d", port), a.Control)
	assert.Equal(t, fmt.Sprintf("http://127.0.0.1:%d/fhir", port+1), a.url("his/dc-a"))
	assert.Equal(t, fmt.Sprintf("http://127.0.0.1:%d/fhir", port+9), a.url("lis/dr"))
}

// freePorts finds n ports in a row that nobody listens at just now, below those
// that outgoing connections get.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for first := 21000 + rand.IntN(400)*n; first < 30000; first += n {
		free := 0
		for free < n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+free)) //nolint:noctx // it returns at once
			if err != nil {
				break
			}
			_ = l.Close()
			free++
		}
		if free == n {
			return first
		}
	}
	t.Skip("skipped: no ports are free")
	return 0
}
