package main

import (
	"context"
	"net/http"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// Two data centres, one store behind both doors; home is preferred.
const (
	ourSystem campus.SystemID = "his"
	ourCampus campus.ID       = "hankou"
)

// ours is a way to set the engine: as it comes it hedges reads, and a site that
// failed comes back after a minute's hold-down and by a share that grows for another.
type ours struct {
	hedge bool
	rules failover.Rules
}

func startHospital(set ours) func(*sites, options) (sender, error) {
	return func(s *sites, o options) (sender, error) {
		t, err := topology(s.hosts(), o.racy)
		if err != nil {
			return sender{}, err
		}
		client, err := failover.New(failover.Options{Topology: t, Rules: set.rules})
		if err != nil {
			return sender{}, err
		}
		do := func(ctx context.Context, c call) (*http.Response, error) { return ask(ctx, client, c, set.hedge) }
		return sender{do: do, close: func() { _ = client.Close() }}, nil
	}
}

// topology declares what the servers were built to honour, no more.
func topology(hosts []string, racy bool) (*campus.Topology, error) {
	contract := campus.Contract{ConditionalCreate: campus.Atomic}
	if racy {
		contract.ConditionalCreate = campus.Racy
	}
	return campus.New(campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: ourCampus, Organization: "group", Home: "home"}},
		DataCenters:   []campus.DataCenter{{ID: "home", Role: campus.Active}, {ID: "peer", Role: campus.Active}},
		Systems:       []campus.System{{ID: ourSystem}},
		Stores:        []campus.Store{{ID: "his"}},
		Endpoints: []campus.Endpoint{
			{System: ourSystem, DataCenter: "home", Store: "his", URL: "http://" + hosts[0], Contract: contract},
			{System: ourSystem, DataCenter: "peer", Store: "his", URL: "http://" + hosts[1], Contract: contract},
		},
	})
}

// ask makes the call with the times that the SDK gives quick reads and writes.
func ask(ctx context.Context, client *failover.Client, c call, hedge bool) (*http.Response, error) {
	fc := &failover.Call{
		System: ourSystem, Campus: ourCampus, Op: "bench.Read", Template: "read Slot",
		Repeat: failover.Safe, AttemptTimeout: 2 * time.Second, Timeout: readDeadline, MaxBody: 1 << 20, Hedge: hedge,
	}
	if c.write {
		fc.Op, fc.Template, fc.Kind, fc.Repeat = "bench.Write", "create Appointment", campus.Write, failover.Unsafe
		fc.AttemptTimeout, fc.Timeout = 0, writeDeadline
		if c.keyed {
			fc.Repeat = failover.Keyed
		}
	}
	req, err := c.request(ctx, string(ourSystem)) // whichever host: the engine sets it
	if err != nil {
		return nil, err
	}
	return client.Do(ctx, fc, req)
}
