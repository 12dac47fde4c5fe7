package r4_test

import (
	"fmt"

	"github.com/hospital-go/hospital/fhir/r4"
)

// A record read, changed and written back keeps what the types do not know.
func Example() {
	patient, err := r4.Decode[*r4.Patient]([]byte(
		`{"resourceType":"Patient","active":true,"birthDate":"1970","_birthDate":{"id":"b"},"vendor":1.50}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	patient.Gender = r4.AdministrativeGenderFemale
	out, err := r4.Marshal(patient)
	fmt.Println(string(out), err)
	// Output: {"resourceType":"Patient","active":true,"gender":"female","birthDate":"1970","_birthDate":{"id":"b"},"vendor":1.50} <nil>
}
