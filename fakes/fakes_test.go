package fakes_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// wire speaks to one server without the SDK.
type wire struct {
	t      *testing.T
	client *http.Client
}

func dialed(t *testing.T, hosp *fakes.Hospital) *wire {
	t.Helper()
	transport := &http.Transport{DialContext: hosp.Dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &wire{t, &http.Client{Transport: transport}}
}

func (w *wire) send(ctx context.Context, method, url, body string, header map[string]string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", "application/fhir+json")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, ""
	}
	data, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, string(data)
}

const (
	dcA = "http://his.dc-a.test/fhir"
	dr  = "http://his.dr.test/fhir"
)

// What it does not do, it refuses loudly.
func TestRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := dialed(t, fakes.NewHospital(t))
		ctx := t.Context()
		patient := `{"resourceType":"Patient","identifier":[{"system":"s","value":"1"}]}`
		for name, c := range map[string]struct {
			method, path, body string
			header             map[string]string
			status             int
		}{
			"an unknown parameter":             {"GET", "/Slot?colour=red", "", nil, 400},
			"an unknown date prefix":           {"GET", "/Slot?start=sa2030-01-01", "", nil, 400},
			"an empty value":                   {"GET", "/Patient?identifier=", "", nil, 400},
			"an operation":                     {"GET", "/Patient/1001/$everything", "", nil, 501},
			"PATCH of another kind":            {"PATCH", "/Patient/1001", "[]", nil, 415},
			"a word where an id should be":     {"GET", "/Patient/1001/_other", "", nil, 501},
			"a chain without its type":         {"GET", "/Encounter?patient.identifier=s%7C1", "", nil, 400},
			"a forgotten cursor":               {"GET", "?_cursor=x&_type=Slot", "", nil, 410},
			"no JSON":                          {"POST", "/Patient", "{", nil, 400},
			"another media type":               {"POST", "/Patient", patient, map[string]string{"Content-Type": "text/plain"}, 415},
			"another type than the URL":        {"POST", "/Slot", patient, nil, 400},
			"another id than the URL":          {"PUT", "/Patient/7", `{"resourceType":"Patient","id":"8"}`, nil, 400},
			"a batch":                          {"POST", "", `{"resourceType":"Bundle","type":"batch"}`, nil, 400},
			"If-None-Exist without a search":   {"POST", "/Patient", patient, map[string]string{"If-None-Exist": "garbage"}, 400},
			"If-None-Exist for everybody":      {"POST", "/Patient", patient, map[string]string{"If-None-Exist": ""}, 400},
			"an id that must be new":           {"PUT", "/Patient/1001", `{"resourceType":"Patient","id":"1001"}`, map[string]string{"If-None-Match": "*"}, 412},
			"a stale version":                  {"PUT", "/Patient/1001", `{"resourceType":"Patient","id":"1001"}`, map[string]string{"If-Match": `W/"9"`}, 412},
			"a version of what does not exist": {"PUT", "/Patient/7", `{"resourceType":"Patient","id":"7"}`, map[string]string{"If-Match": `W/"1"`}, 412},
		} {
			status, body := w.send(ctx, c.method, dcA+c.path, c.body, c.header)
			assert.Equal(t, c.status, status, name)
			assert.Contains(t, body, "OperationOutcome", name)
		}
		status, _ := w.send(ctx, "PUT", dr+"/Patient/1001", `{"resourceType":"Patient","id":"1001"}`, nil)
		assert.Equal(t, 403, status, "a standby is not written")
	})
}

// The same id is another person in the copy, and the copy is behind.
func TestStandbyIsAnotherStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithLag(time.Minute))
		w := dialed(t, hosp)
		_, here := w.send(t.Context(), "GET", dcA+"/Patient/1001", "", nil)
		assert.Contains(t, here, "张三丰")
		status, _ := w.send(t.Context(), "GET", dr+"/Slot?status=free", "", nil)
		assert.Equal(t, 200, status)
		time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest bubble
		_, there := w.send(t.Context(), "GET", dr+"/Patient/1001", "", nil)
		assert.NotContains(t, there, "张三丰")
		_, roles := w.send(t.Context(), "GET", dr+"/PractitionerRole", "", nil)
		assert.NotContains(t, roles, `"Practitioner/doc1"`, "references are renamed too")
		assert.Contains(t, roles, `"Practitioner/`)
	})
}

// If-None-Exist on a racy server: two in flight can both create, also when the
// first client has left.
func TestRacyAndAtomicCreates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		personality fakes.Personality
		want        int
	}{
		"racy":   {fakes.Personality{RaceWindow: time.Second}, 2},
		"atomic": {fakes.Personality{AtomicCreate: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t, fakes.WithPersonality(c.personality))
				w := dialed(t, hosp)
				var both sync.WaitGroup
				for i := range 2 {
					both.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i*5000)*time.Millisecond)
						defer cancel()
						w.send(ctx, "POST", dcA+"/Patient", `{"resourceType":"Patient","identifier":[{"system":"s","value":"1"}]}`,
							map[string]string{"If-None-Exist": "identifier=s%7C1"})
					})
				}
				both.Wait()
				time.Sleep(10 * time.Second) //nolint:forbidigo // synctest bubble
				assert.Equal(t, c.want, hosp.Count(campus.HIS, "Patient", "s", "1"))
				assert.Equal(t, c.want, hosp.Ledger().Executions("1"))
				assert.Equal(t, c.want > 1, len(hosp.Ledger().Doubled()) > 0)
			})
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		w := dialed(t, hosp)
		get := func() (int, string) { return w.send(t.Context(), "GET", dcA+"/Patient/1001", "", nil) }
		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "read", Type: "Patient", Skip: 1}, Do: fakes.Action{Status: 503, RetryAfter: "9"}, Times: 1})
		for _, want := range []int{200, 503, 200} {
			status, _ := get()
			assert.Equal(t, want, status)
		}
		remove := hosp.Break(fakes.Rule{Do: fakes.Action{CutAfter: 10}})
		_, body := get()
		assert.Len(t, body, 10)
		remove()
		hosp.Break(fakes.Rule{Do: fakes.Action{Rewrite: bytes.ToUpper}, Times: 1})
		_, body = get()
		assert.Contains(t, body, "RESOURCETYPE")
		hosp.Break(fakes.Rule{Do: fakes.Action{Status: 200, Body: "<html>", Execute: true}, Times: 1})
		_, body = get()
		assert.Equal(t, "<html>", body)
		hosp.StoreDown("his", true)
		status, _ := get()
		assert.Equal(t, 500, status)
		hosp.StoreDown("his", false)
		hosp.Stop("dc-a")
		status, _ = get()
		assert.Zero(t, status, "nobody is there")
		require.NoError(t, hosp.Start("dc-a"))
		status, _ = get()
		assert.Equal(t, 200, status)
	})
}

func TestLostAnswerIsInTheLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		hosp.Break(fakes.Rule{Do: fakes.Action{ResetAfter: true}})
		status, _ := dialed(t, hosp).send(t.Context(), "POST", dcA+"/Patient", `{"resourceType":"Patient"}`, nil)
		assert.Zero(t, status)
		last := hosp.Ledger().Entries()[0]
		assert.True(t, last.Executed)
		assert.Zero(t, last.Status, "the client was told nothing")
		assert.Equal(t, "create", last.Interaction)
	})
}

// Stopping at once after starting once left a listener behind.
func TestStopAtOnce(t *testing.T) {
	t.Parallel()
	for range 200 {
		hosp := fakes.NewHospital(t, fakes.WithoutDemoData())
		hosp.Stop("dc-a")
		require.NoError(t, hosp.Start("dc-a"))
		require.NoError(t, hosp.Close())
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithLoopback())
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // it never fails
	desk, id := his.New(client), hosp.Demo().Patients[0]
	for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
		found, err := desk.Patient(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, dc, found.Origin.DataCenter)
		hosp.Stop("dc-a")
	}
}

func TestUnknownTypesAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithoutDemoData())
		client, err := hospital.New(hosp.Config())
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		u, err := r4.NewUnknown([]byte(`{"resourceType":"VisionPrescription","lensSpecification":[{"sphere":7.00}]}`))
		require.NoError(t, err)
		made, _, err := fhir.Create(t.Context(), client.FHIR(campus.LIS), u)
		require.NoError(t, err)
		assert.Contains(t, string(made.Raw), "7.00")
	})
}

// Example is a test of a program that books, while the answer to its booking is lost.
func Example() {
	hosp, err := fakes.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hosp.Close() //nolint:errcheck // it never fails
	client, err := hospital.New(hosp.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // it never fails

	hosp.Break(fakes.Rule{When: fakes.When{Interaction: "create"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
	id := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY777777"}
	_, err = his.New(client).Register(context.Background(), his.RegisterRequest{ID: id, Patient: &r4.Patient{
		Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}}, Name: []r4.HumanName{{Text: "钱多多"}},
	}})
	fmt.Println("told:", err)
	fmt.Println("executed:", hosp.Ledger().Executions(id.Value))
	// Output:
	// told: <nil>
	// executed: 1
}
