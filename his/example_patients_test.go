package his_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// clinic is the HIS verbs of a hospital that lives as long as the example.
func clinic() (*his.Client, fakes.Demo, func()) {
	hosp, err := fakes.New() // in place of a real hospital
	if err != nil {
		panic(err)
	}
	client, err := hospital.New(hosp.Config())
	if err != nil {
		panic(err)
	}
	return his.New(client), hosp.Demo(), func() { _, _ = client.Close(), hosp.Close() }
}

// The number of one campus is another person's at the next.
func ExampleClient_Patient() {
	desk, _, end := clinic()
	defer end()
	for _, issuer := range []string{fakes.IssuerHankou, fakes.IssuerGuanggu} {
		found, err := desk.Patient(context.Background(), campus.PatientID{Issuer: issuer, Value: "ZY010101"})
		if err != nil { // hospital.ErrNotFound: nobody has this number
			fmt.Println(err)
			return
		}
		for _, name := range found.Resource.Name {
			fmt.Println(name.Text, found.Resource.BirthDate)
		}
	}
	// Output:
	// 张三丰 1958-04-09
	// 李秀英 1964-11-23
}

func ExampleClient_FindPatients() {
	desk, _, end := clinic()
	defer end()
	for found, err := range desk.FindPatients(context.Background(), his.PatientQuery{Name: "王", BirthDate: "1990-03-07"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, name := range found.Resource.Name {
			fmt.Println(name.Text)
		}
	}
	// Output: 王小明
}

func ExampleClient_Register() {
	ctx := context.Background()
	desk, _, end := clinic()
	defer end()
	id := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY888888"}
	record := &r4.Patient{
		Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}},
		Name:       []r4.HumanName{{Text: "钱多多"}}, BirthDate: "1988-08-08",
	}
	for range 2 { // the second time returns whom the first one registered
		registered, err := desk.Register(ctx, his.RegisterRequest{ID: id, Patient: record})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(registered.Resource.BirthDate)
	}
	record.BirthDate = "1998-08-08"
	_, err := desk.Register(ctx, his.RegisterRequest{ID: id, Patient: record})
	fmt.Println(errors.Is(err, hospital.ErrIdentityMismatch)) // and nothing was changed
	// Output:
	// 1988-08-08
	// 1988-08-08
	// true
}
