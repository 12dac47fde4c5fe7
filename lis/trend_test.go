package lis_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
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

var potassium = r4.Coding{System: loinc, Code: "2823-3"}

// A result that was corrected into another test is in that one's trend only, also when a
// copy still has it in this one's.
func TestATrendHoldsToItsTest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		put(b, "lab1-3-1", func(o *r4.Observation) { o.Code = r4.Concept(loinc, "2951-2") }) // it was sodium
		_, err := until(b.Results(t.Context(), lis.ResultQuery{Patient: b.patient}))
		require.NoError(t, err)
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type", Type: "Observation"}, Do: fakes.Action{
			Rewrite: edited(func(bundle *r4.Bundle) {
				for _, o := range stored[*r4.Observation](b, "Observation") {
					if o.ID == "lab1-3-1" {
						o.Meta.VersionId, o.Code = "1", r4.Concept(loinc, "2823-3")
						bundle.Entry = append(bundle.Entry, r4.BundleEntry{Resource: o})
					}
				}
				bundle.Total, bundle.Link = nil, nil
			}),
		}})
		list, err := until(b.Trend(t.Context(), lis.TrendQuery{Patient: b.patient, Code: potassium}))
		require.NoError(t, err)
		require.NotEmpty(t, list)
		for _, r := range list {
			assert.True(t, r4.HasCode(r.Resource.Observation.Code, loinc, "2823-3"), "sodium in a trend of potassium")
		}
	})
}

// The same code of two code systems is two tests.
func TestATrendIsOfOneCodeSystem(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		put(b, "lab1-2-2", func(o *r4.Observation) { o.Code = r4.Concept("urn:lab:b", "2823-3") })
		_, err := until(b.Trend(t.Context(), lis.TrendQuery{Patient: b.patient, Code: r4.Coding{Code: "2823-3"}}))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}

// A server that knows no _sort lists the oldest first.
func TestLastOfAServerThatDoesNotSort(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var oldestFirst []r4.BundleEntry
		for _, id := range []string{"lab1-1-1", "lab1-2-1", "lab1-3-1"} {
			o, _, err := fhir.Read[*r4.Observation](t.Context(), b.client.FHIR(campus.LIS), id)
			require.NoError(t, err)
			oldestFirst = append(oldestFirst, r4.BundleEntry{Resource: o})
		}
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type", Type: "Observation"}, Do: fakes.Action{
			Rewrite: edited(func(b *r4.Bundle) { b.Entry, b.Link = oldestFirst, nil }),
		}})
		last, err := b.Last(t.Context(), b.patient, []r4.Coding{potassium}, 1)
		require.NoError(t, err)
		require.Len(t, last, 1)
		assert.Equal(t, r4.Decimal("7.10"), last[0].Resource.Value().Number, "the latest, not the oldest")
	})
}

// lastnServer answers $lastn with what it is told, and a search with all there is.
type lastnServer struct{ answer string }

func (l *lastnServer) RoundTrip(req *http.Request) (*http.Response, error) {
	const searchset = `{"resourceType":"Bundle","type":"searchset","entry":[`
	body, status := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-supported"}]}`, http.StatusNotImplemented
	switch path := req.URL.Path; {
	case strings.HasSuffix(path, "/metadata"):
		status, body = 200, `{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server","resource":[{"type":"Observation","operation":[{"name":"lastn","definition":"urn:lastn"}]}]}]}`
	case strings.HasSuffix(path, "/Patient/_search"):
		status, body = 200, searchset+`{"resource":{"resourceType":"Patient","id":"1","identifier":[{"system":"`+fakes.IssuerHankou+`","value":"ZY010101"}]}}]}`
	case strings.HasSuffix(path, "/Observation/$lastn"):
		status, body = 200, l.answer
	case strings.HasSuffix(path, "/Observation/_search"):
		status, body = 200, searchset+measured("2", "entered-in-error", "9.9", "2026-01-02")+`,`+measured("1", "final", "4.1", "2026-01-01")+`]}`
	}
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: req,
		Header: http.Header{"Content-Type": {fhir.MediaType}}, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func measured(id, status, value, day string) string {
	return `{"resource":{"resourceType":"Observation","id":"` + id + `","status":"` + status + `","subject":{"reference":"Patient/1"},"effectiveDateTime":"` + day +
		`","code":{"coding":[{"system":"` + loinc + `","code":"2823-3"}]},"valueQuantity":{"value":` + value + `}}}`
}

func TestLastnThatIsNotAllThereIs(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"the latest was entered in error": `{"resourceType":"Bundle","type":"searchset","entry":[` + measured("2", "entered-in-error", "9.9", "2026-01-02") + `]}`,
		"the first of several pages":      `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://lis/fhir?page=2"}],"entry":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := fakes.NewHospital(t).Config()
				cfg.Adapters = map[campus.EndpointID]http.RoundTripper{"lis/dc-a": &lastnServer{answer: answer}}
				client, err := hospital.New(cfg)
				require.NoError(t, err)
				defer client.Close() //nolint:errcheck // it never fails
				last, err := lis.New(client).Last(t.Context(), campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}, []r4.Coding{potassium}, 1)
				require.NoError(t, err)
				require.Len(t, last, 1)
				assert.Equal(t, r4.Decimal("4.1"), last[0].Resource.Value().Number)
			})
		})
	}
}
