package campus_test

import (
	"errors"
	"fmt"

	"github.com/hospital-go/hospital/campus"
)

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
	for _, hop := range route {
		fmt.Println(hop.Endpoint.ID)
	}
	fmt.Println(err)
	// Output:
	// his/dc-a
	// his/dc-b
	// <nil>
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
