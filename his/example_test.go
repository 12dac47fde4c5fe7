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

// Example walks from a department to a booking.
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

	ctx, desk, demo := context.Background(), his.New(client), hosp.Demo()
	slot, err := firstFree(ctx, desk, demo)
	if err != nil {
		fmt.Println(err)
		return
	}
	number := hospital.NewNumber() // store it before the call
	patient := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	booked, err := desk.Book(ctx, his.BookRequest{Number: number, Patient: patient, Slot: slot})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(booked.Resource.Status)

	other := campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "ZY010101"}
	_, err = desk.Book(ctx, his.BookRequest{Number: hospital.NewNumber(), Patient: other, Slot: slot})
	fmt.Println(errors.Is(err, hospital.ErrConflict))
	// Output:
	// booked
	// true
}

func firstFree(ctx context.Context, desk *his.Client, demo fakes.Demo) (hospital.Found[*r4.Slot], error) {
	for department, err := range desk.Departments(ctx) {
		if err != nil {
			return hospital.Found[*r4.Slot]{}, err
		}
		for doctor, err := range desk.Doctors(ctx, department) {
			if err != nil {
				return hospital.Found[*r4.Slot]{}, err
			}
			for schedule, err := range desk.Schedules(ctx, doctor, demo.Start, demo.End) {
				if err != nil {
					return hospital.Found[*r4.Slot]{}, err
				}
				for slot, err := range desk.FreeSlots(ctx, schedule, demo.Start, demo.End) {
					return slot, err
				}
			}
		}
	}
	return hospital.Found[*r4.Slot]{}, hospital.ErrNotFound
}
