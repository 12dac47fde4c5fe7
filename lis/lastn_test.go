package lis_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// lastn is a server that has $lastn before one that has not.
type lastn struct {
	patient string // whose results it returns
	asked   atomic.Int32
}

func (l *lastn) RoundTrip(req *http.Request) (*http.Response, error) {
	body := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-supported"}]}`
	status := http.StatusNotImplemented
	switch path := req.URL.Path; {
	case strings.HasSuffix(path, "/metadata"):
		status, body = 200, `{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server","resource":[{"type":"Observation","operation":[{"name":"lastn","definition":"urn:lastn"}]}]}]}`
	case strings.HasSuffix(path, "/Patient/_search"):
		status, body = 200, `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient","id":"1","identifier":[{"system":"`+fakes.IssuerHankou+`","value":"ZY010101"}]}}]}`
	case strings.HasSuffix(path, "/Observation/$lastn"):
		l.asked.Add(1)
		status, body = 200, `{"resourceType":"Bundle","type":"searchset","entry":[`+l.result("4.1", "2026-01-01")+`,`+l.result("4.2", "2026-01-02")+`]}`
	}
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: req,
		Header: http.Header{"Content-Type": {fhir.MediaType}}, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func (l *lastn) result(value, day string) string {
	return `{"resource":{"resourceType":"Observation","id":"o` + value + `","status":"final","subject":{"reference":"Patient/` + l.patient + `"},"effectiveDateTime":"` + day +
		`","code":{"coding":[{"system":"` + loinc + `","code":"2823-3"}]},"valueQuantity":{"value":` + value + `}}}`
}

func TestLastnWhereItIsDeclared(t *testing.T) {
	t.Parallel()
	code := []r4.Coding{{System: loinc, Code: "2823-3"}}
	for name, patient := range map[string]string{"mine": "1", "another's": "2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &lastn{patient: patient}
				cfg := fakes.NewHospital(t).Config()
				cfg.Adapters = map[campus.EndpointID]http.RoundTripper{"lis/dc-a": server}
				client, err := hospital.New(cfg)
				require.NoError(t, err)
				defer client.Close() //nolint:errcheck // it never fails
				last, err := lis.New(client).Last(t.Context(), campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}, code, 2)
				assert.Equal(t, int32(1), server.asked.Load())
				if patient != "1" {
					require.ErrorIs(t, err, hospital.ErrFilterIgnored)
					return
				}
				require.NoError(t, err)
				require.Len(t, last, 2)
				assert.Equal(t, r4.Decimal("4.2"), last[0].Resource.Value().Number, "the latest first")
			})
		})
	}
}
