package campus_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Example describes one campus, two doors to its HIS and a copy that follows behind, and
// asks where each kind of call may go.
func Example() {
	topology, err := campus.New(campus.Description{
		Organizations: []campus.Organization{{ID: "group", Name: "集团总医院"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters: []campus.DataCenter{
			{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}, {ID: "dr", Role: campus.Standby},
		},
		Systems: []campus.System{{ID: campus.HIS}},
		Stores:  []campus.Store{{ID: "his"}, {ID: "his-copy", ReplicaOf: "his", Lag: time.Minute}},
		Endpoints: []campus.Endpoint{
			{System: campus.HIS, DataCenter: "dc-a", Store: "his", URL: "https://a.his.example/fhir"},
			{System: campus.HIS, DataCenter: "dc-b", Store: "his", URL: "https://b.his.example/fhir"},
			{System: campus.HIS, DataCenter: "dr", Store: "his-copy", Readable: true, URL: "https://dr.his.example/fhir"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kind := range []campus.Kind{campus.ReadAny, campus.ReadStrong, campus.Write} {
		route, err := topology.Route(campus.HIS, "hankou", kind)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(len(route), " doors:")
		for _, hop := range route {
			fmt.Print(" ", hop.Endpoint.ID)
		}
		fmt.Println()
	}
	// Output:
	// 3 doors: his/dc-a his/dc-b his/dr
	// 2 doors: his/dc-a his/dc-b
	// 2 doors: his/dc-a his/dc-b
}

func ExampleNew() {
	topology, err := campus.New(campus.Description{
		Organizations: []campus.Organization{{ID: "group", Name: "集团总医院"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
		Systems:       []campus.System{{ID: campus.HIS}},
		Stores:        []campus.Store{{ID: "his"}},
		Endpoints: []campus.Endpoint{
			{System: campus.HIS, DataCenter: "dc-b", Store: "his", URL: "https://b.his.example/fhir"},
			{System: campus.HIS, DataCenter: "dc-a", Store: "his", URL: "https://a.his.example/fhir"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	route, err := topology.Route(campus.HIS, "hankou", campus.Write)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hop := range route {
		fmt.Println(hop.Endpoint.ID)
	}
	// Output:
	// his/dc-a
	// his/dc-b
}

// Every mistake is reported at once, with its place.
func ExampleFaults() {
	_, err := campus.New(campus.Description{
		Campuses: []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
	})
	var faults campus.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			fmt.Println(f.Place)
		}
	}
	// Output:
	// campuses[0].organization
	// campuses[0].home
}
