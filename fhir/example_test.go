package fhir_test

import (
	"context"
	"fmt"

	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// Example searches by identifier, in the request's body, and reads every match.
func Example() {
	// Any *http.Client is a Doer; this one answers from memory.
	server := &script{answers: []string{
		`{"resourceType":"Bundle","type":"searchset","total":1,"entry":[{"resource":{"resourceType":"Patient","id":"1001","birthDate":"1990"}}]}`,
	}}
	client, err := fhir.New(server, "https://his.example/fhir")
	if err != nil {
		fmt.Println(err)
		return
	}
	query := fhir.For(fhir.Identifier[*r4.Patient]("urn:oid:1.2.3", "ZY010101"))
	for patient, err := range fhir.Matches[*r4.Patient](fhir.Search(context.Background(), client, query)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(patient.ID, patient.BirthDate)
	}
	// Output: 1001 1990
}
