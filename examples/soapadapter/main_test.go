package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/his"
)

func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"8 free slots", "the same slot, AE:           hospital: somebody else was first",
		"a rule of the house, AE:     hospital: refused", "AR at the first door:        booked by dc-b", "a gateway's page:            booked",
		"the answer is lost:          booked", "the first door is gone:      booked by dc-b", "cancelled", "5 bookings told, none made more than 1 time",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// What each answer of the service becomes.
func TestOutcomesAreStated(t *testing.T) {
	t.Parallel()
	gb := func(s string) string {
		out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	soap := func(inner string) string {
		return gb(`<?xml version="1.0" encoding="GB18030"?><s:Envelope xmlns:s="` + soapNamespace + `"><s:Body>` + inner + `</s:Body></s:Envelope>`)
	}
	response := func(more string) string {
		return soap(`<Response><InReplyTo>M1</InReplyTo>` + more + `</Response>`)
	}
	for name, c := range map[string]struct {
		status      int
		media, body string
		want        string
	}{
		"AA":                    {200, "text/xml; charset=GB18030", response(`<Ack>AA</Ack><Patients><No>1</No><Name>欧阳𠮷㐂</Name></Patients>`), "欧阳𠮷㐂"},
		"AE":                    {200, "text/xml", response(`<Ack>AE</Ack><Code>QUOTA</Code>`), "refused QUOTA"},
		"AR":                    {200, "text/xml", response(`<Ack>AR</Ack>`), "not_executed"},
		"no acknowledgement":    {200, "text/xml", response(``), "unknown"},
		"another's reply":       {200, "text/xml", strings.Replace(response(`<Ack>AA</Ack>`), "M1", "M2", 1), "unknown"},
		"two acknowledgements":  {200, "text/xml", response(`<Ack>AR</Ack><Ack>AA</Ack>`), "unknown"},
		"two answers":           {200, "text/xml", soap(`<Response><InReplyTo>M1</InReplyTo><Ack>AR</Ack></Response><Response/>`), "unknown"},
		"bytes of no character": {200, "text/xml", strings.Replace(response(`<Ack>AA</Ack><Patients><Name>X</Name></Patients>`), "X", "\xff\xff", 1), "unknown"},
		"a fault":               {200, "text/xml", soap(`<s:Fault><faultcode>x</faultcode></s:Fault>`), "unknown"},
		"a fault under 500":     {500, "text/xml", soap(`<s:Fault/>`), "unknown"},
		"a gateway's page":      {200, "text/html", "<html>", "unknown"},
		"half of it":            {200, "text/xml", response(`<Ack>AA</Ack>`)[:120], "unknown"},
		"nothing":               {200, "text/xml", "", "unknown"},
		"an unknown charset":    {200, "text/xml", `<?xml version="1.0" encoding="x-martian"?><a/>`, "unknown"},
		"a redirect":            {302, "text/xml", response(`<Ack>AA</Ack>`), "unknown"},
		"more than can be read": {200, "text/xml", response(`<Ack>AA</Ack>` + strings.Repeat(" ", maxReply)), "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.media)
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			if got := outcome(t.Context(), newAdapter(server.URL, issuer)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if got := outcome(t.Context(), newAdapter(gone.URL, issuer)); got != "not_sent" {
		t.Errorf("no connection: %s", got)
	}
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	if got := outcome(t.Context(), newAdapter(cut.URL, issuer)); got != "unknown" {
		t.Errorf("a lost answer: %s", got)
	}
}

func outcome(ctx context.Context, a *adapter) string {
	r, err := a.ask(ctx, question{Action: "FindPatient", MessageID: "M1", PatientNo: "1"})
	var stated interface{ Outcome() failover.Outcome }
	var refused *refusal
	switch {
	case errors.As(err, &stated):
		return stated.Outcome().String()
	case errors.As(err, &refused):
		return "refused " + refused.code
	case len(r.Patients) == 1:
		return r.Patients[0].Name
	}
	return fmt.Sprint(err)
}

// The service's rules come through as the verbs' typed refusals, and what the
// adapter does not offer is said plainly.
func TestVerbsOverTheAdapter(t *testing.T) {
	t.Parallel()
	town, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer town.close()
	_, err = town.desk.Book(t.Context(), his.BookRequest{
		Number: hospital.NewNumber(), Patient: campus.PatientID{Issuer: issuer, Value: "ZY010102"}, Slot: town.slots[0],
	})
	var e *hospital.Error
	if !errors.As(err, &e) || e.Reason != string(his.RefusedBlacklisted) {
		t.Errorf("a blacklisted patient: %v", err)
	}
	if _, err := town.desk.Patient(t.Context(), campus.PatientID{Issuer: "urn:other", Value: "ZY010101"}); !errors.Is(err, hospital.ErrNotFound) {
		t.Errorf("another issuer's number is somebody else: %v", err)
	}
	for _, err := range town.desk.Departments(t.Context()) {
		if hospital.CodeOf(err) != hospital.ErrRefused {
			t.Errorf("what is not offered: %v", err)
		}
	}
}

// A search that the service cannot do is refused, not answered with nobody or with
// everybody.
func TestSearchesAreNotGuessed(t *testing.T) {
	t.Parallel()
	town, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer town.close()
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/Patient/_search", "identifier=" + issuer + "|ZY010101", 200},
		{"POST", "/Patient/_search", "name=x", 501},
		{"POST", "/Patient/_search", "identifier=" + issuer + "|ZY010101&name=x", 501},
		{"POST", "/Appointment/_search", "patient=Patient/1", 501},
		{"GET", "/Appointment?slot=Slot/S1", "", 200},
		{"GET", "/Appointment?slot=Slot/S1&patient=Patient/1", "", 501},
		{"GET", "/Slot?schedule=Schedule/K1&status=free,busy&start=ge2026-01-01", "", 200},
		{"GET", "/Slot?schedule=Schedule/K1&service-type=CT", "", 501},
		{"GET", "/Slot?schedule=Schedule/K1&start=gt2026-01-01", "", 501},
		{"POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Slot","id":"S1"}},{"resource":{"resourceType":"Appointment"}}]}`, 501},
	} {
		door := town.client.Topology().Endpoints()[0].URL
		req, err := http.NewRequestWithContext(t.Context(), c.method, door+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := newAdapter(door, issuer).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s %s %s: %d", c.method, c.path, c.body, resp.StatusCode)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0" encoding="GB18030"?><s:Envelope xmlns:s="` + soapNamespace + `"><s:Body><Response><Ack>AA</Ack></Response></s:Body></s:Envelope>`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var r reply
		_ = decode(data, &r)
	})
}
