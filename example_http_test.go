package hospital_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
)

// hrpAnswer is how the HRP answers everything, under 200.
type hrpAnswer struct {
	Code    *int   `json:"code"`
	Message string `json:"msg"`
}

// classifyHRP reads the HRP's own verdict: 0 is done, 4xxx refused, 5003 "busy,
// nothing was done"; anything else may have been done, and what is not its JSON is
// somebody else's answer.
func classifyHRP(call *failover.Call, resp *http.Response, body []byte) failover.Verdict {
	v := failover.ClassifyHTTP(call, resp, body)
	var a hrpAnswer
	if v.Outcome != failover.Committed {
		return v
	}
	if json.Unmarshal(body, &a) != nil || a.Code == nil {
		return failover.Verdict{Outcome: failover.Unknown, Fault: failover.FaultForeign}
	}
	switch code := *a.Code; {
	case code == 0:
		return v
	case code == 5003:
		return failover.Verdict{Outcome: failover.NotExecuted, Fault: failover.FaultOverload}
	case code >= 4000 && code < 5000:
		return failover.Verdict{Outcome: failover.Rejected, Stated: true}
	}
	return failover.Verdict{Outcome: failover.Unknown, Fault: failover.FaultStatus}
}

// askedByPost: the HRP's queries change nothing, though they are POSTs.
func askedByPost(req *http.Request) hospital.Repeat {
	if strings.Contains(req.URL.Path, "/query/") {
		return hospital.Safe
	}
	return hospital.Unsafe
}

// hrpGroup is an HRP behind two doors.
func hrpGroup(a, b string) hospital.Config {
	return hospital.Config{Topology: campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		Systems:       []campus.System{{ID: "hrp"}},
		Stores:        []campus.Store{{ID: "hrp"}},
		Endpoints: []campus.Endpoint{
			{System: "hrp", DataCenter: "dc-a", Store: "hrp", URL: a}, {System: "hrp", DataCenter: "dc-b", Store: "hrp", URL: b},
		},
	}}
}

// A system with a JSON of its own, which says everything by POST and under 200,
// gets routing, failover and safe retries once it is said how to read its
// answers and which of its requests change nothing.
func ExampleClassify() {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"code":5003,"msg":"busy"}`)
	}))
	defer busy.Close()
	well := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"code":0,"data":{"stock":12}}`)
	}))
	defer well.Close()

	client, err := hospital.New(hrpGroup(busy.URL+"/api", well.URL+"/api"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // it never fails
	hrp := client.HTTP("hrp", hospital.Classify(classifyHRP), hospital.RepeatBy(askedByPost))
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://hrp.hospital.invalid/query/stock", strings.NewReader(`{"item":"mask"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := hrp.Do(req)
	if err != nil {
		fmt.Println(hospital.CodeOf(err))
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(body))
	// Output: {"code":0,"data":{"stock":12}}
}

// A verb for a system that speaks HTTP of its own: the request says what may be sent
// again, and goes to whichever door is well.
func ExampleClient_Exchange() {
	lost := httptest.NewServer(http.NotFoundHandler())
	lost.Close()
	well := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"stock":12}`)
	}))
	defer well.Close()
	client, err := hospital.New(hrpGroup(lost.URL+"/api", well.URL+"/api"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // it never fails

	op := hospital.Op{Name: "hrp.Stock", System: "hrp", Class: hospital.Quick}
	stock, err := hospital.Read(context.Background(), client, op, func(ctx context.Context, _ *fhir.Client) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/stock/mask", http.NoBody)
		if err != nil {
			return 0, err
		}
		resp, err := client.Exchange(ctx, hospital.Exchange{Template: "read stock", Repeat: hospital.Safe}, req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK { // understood and refused; what is broken was an error
			return 0, hospital.ErrRefused
		}
		var answer struct {
			Stock *int `json:"stock"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Stock == nil {
			return 0, hospital.ErrUnexpectedAnswer
		}
		return *answer.Stock, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stock)
	// Output: 12
}

// What the HRP says under 200 decides, for reads and writes alike.
func TestClassify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, first string
		want        hospital.Code
		asked       int // of both servers together
	}{
		"a query, done":              {"/query/x", `{"code":0}`, "", 1},
		"a query, busy":              {"/query/x", `{"code":5003}`, "", 2},
		"a query, broken":            {"/query/x", `{"code":5000}`, "", 2},
		"a query, another's answer":  {"/query/x", `{"error":"gateway"}`, "", 2},
		"a write, done":              {"/pay", `{"code":0}`, "", 1},
		"a write, refused":           {"/pay", `{"code":4001}`, "", 1},
		"a write, busy":              {"/pay", `{"code":5003}`, "", 2},
		"a write, broken":            {"/pay", `{"code":5000}`, hospital.ErrOutcomeUnknown, 1},
		"a write, another's answer":  {"/pay", `<html>`, hospital.ErrOutcomeUnknown, 1},
		"a write, a code of no kind": {"/pay", `{"code":"x"}`, hospital.ErrOutcomeUnknown, 1},
		"a query, too large":         {"/query/x", `{"code":0,"x":"` + strings.Repeat("x", 1<<16) + `"}`, hospital.ErrTooLarge, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 10)
			serve := func(body string) *httptest.Server {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got, _ := io.ReadAll(r.Body)
					if r.Method == http.MethodPost { // and no probe
						asked <- string(got)
					}
					_, _ = io.WriteString(w, body)
				}))
				t.Cleanup(s.Close)
				return s
			}
			cfg := hrpGroup(serve(c.first).URL, serve(`{"code":0}`).URL)
			cfg.MaxBody = 1 << 14
			client, err := hospital.New(cfg)
			require.NoError(t, err)
			defer client.Close() //nolint:errcheck // it never fails
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hrp.hospital.invalid"+c.path, bytes.NewReader([]byte("body")))
			require.NoError(t, err)
			resp, err := client.HTTP("hrp", hospital.Classify(classifyHRP), hospital.RepeatBy(askedByPost)).Do(req)
			assert.Equal(t, c.want, hospital.CodeOf(err))
			if err == nil {
				require.NoError(t, resp.Body.Close())
			}
			require.Len(t, asked, c.asked)
			for range c.asked {
				assert.Equal(t, "body", <-asked, "whole, each time")
			}
		})
	}
}
