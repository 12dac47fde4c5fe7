package hospital_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// memory answers without a network: what remains is the client's own cost.
type memory struct{ body []byte }

func (m memory) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Request: req, ContentLength: int64(len(m.body)),
		Header: http.Header{"Content-Type": {"application/fhir+json"}}, Body: io.NopCloser(bytes.NewReader(m.body)),
	}, nil
}

var slotBody = []byte(`{"resourceType":"Slot","id":"1","meta":{"versionId":"1"},"schedule":{"reference":"Schedule/1"},"status":"free"}`)

// BenchmarkBareHTTP is net/http alone, for comparison.
func BenchmarkBareHTTP(b *testing.B) {
	client := &http.Client{Transport: memory{slotBody}}
	b.ReportAllocs()
	for b.Loop() {
		req, _ := newRequest(b.Context(), "http://h/Slot/1")
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

func benchClient(b *testing.B) *hospital.Client {
	b.Helper()
	hosp := fakes.NewHospital(b)
	cfg := hosp.Config()
	cfg.Adapters = map[campus.EndpointID]http.RoundTripper{"his/dc-a": memory{slotBody}}
	client, err := hospital.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })
	return client
}

// BenchmarkHTTP is a whole SDK call of raw bytes: routing, health, hooks, no OpenTelemetry SDK.
func BenchmarkHTTP(b *testing.B) {
	client := benchClient(b).HTTP(campus.HIS)
	b.ReportAllocs()
	for b.Loop() {
		req, _ := newRequest(b.Context(), "http://his.hospital.invalid/Slot/1")
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// BenchmarkFHIRRead adds FHIR: checks and decoding.
func BenchmarkFHIRRead(b *testing.B) {
	f := benchClient(b).FHIR(campus.HIS)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := fhir.Read[*r4.Slot](b.Context(), f, "1"); err != nil {
			b.Fatal(err)
		}
	}
}
