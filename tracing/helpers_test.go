package tracing_test

import (
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

var endpoint = func() *campus.Endpoint {
	topology, err := campus.New(campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}},
		Systems:       []campus.System{{ID: campus.HIS}},
		Stores:        []campus.Store{{ID: "his"}},
		Endpoints:     []campus.Endpoint{{System: campus.HIS, DataCenter: "dc-a", Store: "his", URL: "https://a.test"}},
	})
	if err != nil {
		panic(err)
	}
	return topology.Endpoints()[0]
}()

var call = &failover.Call{System: campus.HIS, Campus: "hankou", Op: "test.Op", Template: "read Slot"}

func attempt() failover.Attempt {
	return failover.Attempt{Call: call, Endpoint: endpoint, Method: "GET", N: 1, Reason: "first"}
}

func result() failover.Result { return failover.Result{Outcome: failover.Committed, Status: 200} }
