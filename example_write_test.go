package hospital_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// mealSystem is the identifier system of meals' Numbers.
const mealSystem = "urn:hospital-go:demo-meal"

// mealOp is a create under If-None-Exist, which the Number makes repeatable.
var mealOp = hospital.Op{Name: "kitchen.Order", System: campus.HIS, Repeat: hospital.Keyed, Class: hospital.WriteClass}

type meal = hospital.Found[*r4.ServiceRequest]

// orderMeal is the half of the write that sends.
func orderMeal(number string, patient campus.PatientID) hospital.Step[meal] {
	return func(ctx context.Context, f *fhir.Client) (meal, error) {
		id := r4.Identifier{System: mealSystem, Value: number}
		made, resp, err := fhir.CreateIfNone(ctx, f, &r4.ServiceRequest{
			Identifier: []r4.Identifier{id}, Status: r4.RequestStatusActive, Intent: "order", Code: r4.Text("低盐饮食"),
			Subject: &r4.Reference{Identifier: &r4.Identifier{System: patient.Issuer, Value: patient.Value}},
		}, id)
		if err != nil {
			return meal{}, err
		}
		return meal{Resource: made, Origin: hospital.OriginOf(resp)}, nil
	}
}

// findMeal is the half that looks: the act, ErrNotFound, or ErrNumberReused.
func findMeal(number string, patient campus.PatientID) hospital.Step[meal] {
	return func(ctx context.Context, f *fhir.Client) (meal, error) {
		for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.ServiceRequest](mealSystem, number))) {
			if err != nil {
				return meal{}, err
			}
			if len(page.Matches) == 0 {
				continue
			}
			found, err := r4.As[*r4.ServiceRequest](page.Matches[0])
			switch {
			case err != nil:
				return meal{}, err
			case !r4.HasIdentifier(found.Identifier, mealSystem, number):
				return meal{}, hospital.ErrFilterIgnored
			case !isFor(found, patient):
				return meal{}, hospital.ErrNumberReused
			}
			return meal{Resource: found, Origin: hospital.OriginOf(page.Response)}, nil
		}
		return meal{}, hospital.ErrNotFound
	}
}

func isFor(r *r4.ServiceRequest, patient campus.PatientID) bool {
	if r.Subject == nil || r.Subject.Identifier == nil {
		return false
	}
	return campus.PatientID{Issuer: r.Subject.Identifier.System, Value: r.Subject.Identifier.Value} == patient
}

// A verb that writes is two steps: one sends, one looks the Number up whenever the first
// cannot tell.
func ExampleWrite() {
	client, hosp, end := demoClient(nil)
	defer end()
	hosp.Break(fakes.Rule{When: fakes.When{Interaction: "create"}, Do: fakes.Action{ResetAfter: true}, Times: 1}) // the answer is lost
	number, patient := hospital.NewNumber(), campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	ordered, err := hospital.Write(context.Background(), client, mealOp, number, orderMeal(number, patient), findMeal(number, patient))
	if err != nil { // of hospital.ErrOutcomeUnknown see Error.Resolve
		fmt.Println(err)
		return
	}
	fmt.Println(ordered.Resource.Status, "and done", hosp.Ledger().Executions(number), "time")
	// Output: active and done 1 time
}

// Another process, that has nothing but the Number, finds out what became of a write.
func ExampleResolve() {
	ctx := context.Background()
	client, _, end := demoClient(nil)
	defer end()
	number, patient := hospital.NewNumber(), campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	_, err := hospital.Write(ctx, client, mealOp, number, orderMeal(number, patient), findMeal(number, patient))
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := hospital.Resolve(ctx, client, mealOp, number, findMeal(number, patient))
	switch {
	case errors.Is(err, hospital.ErrNotFound):
		fmt.Println("it did not happen, and no longer can")
	case err != nil: // hospital.ErrOutcomeUnknown: ask again later
		fmt.Println(err)
	default:
		fmt.Println(found.Resource.Status)
	}
	// Output: active
}
