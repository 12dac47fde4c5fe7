package hospital_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// demoClient is a client of a hospital that lives as long as the example; change may be
// nil.
func demoClient(change func(cfg *hospital.Config), opts ...fakes.Option) (*hospital.Client, *fakes.Hospital, func()) {
	hosp, err := fakes.New(opts...) // in place of a real hospital
	if err != nil {
		panic(err)
	}
	cfg := hosp.Config()
	if change != nil {
		change(&cfg)
	}
	client, err := hospital.New(cfg)
	if err != nil {
		panic(err)
	}
	return client, hosp, func() { _, _ = client.Close(), hosp.Close() }
}

// Example reads a patient, with a data centre lost on the way.
func Example() {
	hosp, err := fakes.New() // in place of a real hospital
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

	desk := his.New(client)
	id := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	for range 2 {
		found, err := desk.Patient(context.Background(), id)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, name := range found.Resource.Name {
			fmt.Println(name.Text, "from", found.Origin.DataCenter)
		}
		hosp.Stop("dc-a")
	}
	// Output:
	// 张三丰 from dc-a
	// 张三丰 from dc-b
}

// What to do with an unknown outcome: never send another one; ask later, or
// repeat the call with the same Number.
func ExampleError_Resolve() {
	client, hosp, end := demoClient(nil, fakes.WithContract(campus.Contract{ServerTimeout: 20 * time.Second}))
	defer end()

	// The answer is lost, and then nobody can be asked.
	hosp.Break(fakes.Rule{When: fakes.When{Interaction: "create"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
	remove := hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type", Skip: 1}, Do: fakes.Action{Status: 500}})
	id := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY888888"}
	_, err := his.New(client).Register(context.Background(), his.RegisterRequest{ID: id, Patient: &r4.Patient{
		Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}}, Name: []r4.HumanName{{Text: "钱多多"}},
	}})
	fmt.Println(errors.Is(err, hospital.ErrOutcomeUnknown))

	remove() // the server is back
	var e *hospital.Error
	if errors.As(err, &e) {
		happened, err := e.Resolve(context.Background())
		if err != nil { // nobody could be asked, or it may still be running: ask later
			fmt.Println(err)
			return
		}
		fmt.Println(happened)
	}
	// Output:
	// true
	// true
}

// A verb for a system of your own: an Op and a function over the FHIR client.
func ExampleRead() {
	client, _, end := demoClient(nil)
	defer end()

	op := hospital.Op{Name: "wards.Doctor", System: campus.HIS, Consistency: hospital.Any, Class: hospital.Quick}
	doctor, err := hospital.Read(context.Background(), client, op,
		func(ctx context.Context, f *fhir.Client) (hospital.Found[*r4.Practitioner], error) {
			p, resp, err := fhir.Read[*r4.Practitioner](ctx, f, "doc1")
			return hospital.Found[*r4.Practitioner]{Resource: p, Origin: hospital.OriginOf(resp)}, err
		}, hospital.AtCampus("guanggu"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range doctor.Resource.Name {
		fmt.Println(name.Text, "from", doctor.Origin.DataCenter)
	}
	// Output: 孙思远 from dc-b
}

// A verb that yields many: page by page, each with who answered.
func ExampleStream() {
	client, _, end := demoClient(nil)
	defer end()
	op := hospital.Op{Name: "wards.Doctors", System: campus.HIS, Consistency: hospital.Any, Class: hospital.List}
	type found = hospital.Found[*r4.Practitioner]
	doctors := hospital.Stream(context.Background(), client, op, func(ctx context.Context, f *fhir.Client) iter.Seq2[found, error] {
		return func(yield func(found, error) bool) {
			for page, err := range fhir.Search(ctx, f, fhir.For[*r4.Practitioner]()) {
				if err != nil {
					yield(found{}, err)
					return
				}
				for _, match := range page.Matches {
					p, err := r4.As[*r4.Practitioner](match)
					if !yield(found{Resource: p, Origin: hospital.OriginOf(page.Response)}, err) || err != nil {
						return
					}
				}
			}
		}
	}, hospital.AtCampus("hankou"))
	for doctor, err := range doctors {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, name := range doctor.Resource.Name {
			fmt.Println(name.Text, "from", doctor.Origin.DataCenter)
		}
	}
	// Output:
	// 孙思远 from dc-a
	// 李时真 from dc-a
	// 华青 from dc-a
	// 扁舟 from dc-a
}
