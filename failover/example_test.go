package failover_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// Example asks a system of two doors, the first of which is closed.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "answered "+r.URL.Path)
	}))
	defer server.Close()
	topology, err := campus.New(campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
		Systems:       []campus.System{{ID: "hrp"}},
		Stores:        []campus.Store{{ID: "hrp"}},
		Endpoints: []campus.Endpoint{
			{System: "hrp", DataCenter: "dc-a", Store: "hrp", URL: "http://127.0.0.1:1"},
			{System: "hrp", DataCenter: "dc-b", Store: "hrp", URL: server.URL},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := failover.New(failover.Options{Topology: topology})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // it never fails

	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://hrp/staff", http.NoBody)
	call := &failover.Call{System: "hrp", Campus: "hankou", Op: "hrp.Staff", Repeat: failover.Safe, MaxBody: 1 << 20}
	resp, err := client.Do(context.Background(), call, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body), "by", failover.OriginOf(resp).DataCenter)
	// Output: answered /staff by dc-b
}
