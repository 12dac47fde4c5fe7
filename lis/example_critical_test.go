package lis_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// notified tells ward W1 of the patient's potassium.
func notified(ctx context.Context, lab *lis.Client, patient campus.PatientID) string {
	last, err := lab.Last(ctx, patient, []r4.Coding{{System: "http://loinc.org", Code: "2823-3"}}, 1)
	if err != nil {
		panic(err)
	}
	number := hospital.NewNumber() // store it before the call
	_, err = lab.NotifyCritical(ctx, lis.CriticalRequest{
		Number: number, Patient: patient, Finding: lis.ResultFinding(last[0]), Value: last[0].Resource.Value().Text,
		Ward: r4.Identifier{System: fakes.WardSystem, Value: "W1"}, Deadline: time.Now().Add(30 * time.Minute), By: "L1",
	})
	if err != nil {
		panic(err)
	}
	return number
}

func ExampleClient_NotifyCritical() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	last, err := lab.Last(ctx, patient, []r4.Coding{{System: "http://loinc.org", Code: "2823-3"}}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, result := range last {
		found, err := lab.NotifyCritical(ctx, lis.CriticalRequest{
			Number: hospital.NewNumber(), Patient: patient, Finding: lis.ResultFinding(result), Value: result.Resource.Value().Text,
			Ward: r4.Identifier{System: fakes.WardSystem, Value: "W1"}, Deadline: time.Now().Add(30 * time.Minute), By: "L1",
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(found.Resource.Stage, found.Resource.Value)
	}
	// Output: notified 7.10 mmol/L
}

func ExampleClient_CriticalOf() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	found, err := lab.CriticalOf(ctx, notified(ctx, lab, patient))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range found.Resource.Steps {
		fmt.Println(found.Resource.Patient == patient, step.Stage, step.By)
	}
	// Output: true notified L1
}

func ExampleClient_ReceiveCritical() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number := notified(ctx, lab, patient)
	_, err := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Terminal: "W1-2", Text: "7.01 mmol/L"})
	fmt.Println(errors.Is(err, hospital.ErrRefused))
	found, err := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Terminal: "W1-2", Text: "7.10 mmol/L"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Stage)
	// Output:
	// true
	// received
}

func ExampleClient_SeeCritical() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number := notified(ctx, lab, patient)
	_, err := lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1"})
	fmt.Println(errors.Is(err, hospital.ErrConflict)) // nobody has received it yet
	if _, err := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Text: "7.10 mmol/L"}); err != nil {
		fmt.Println(err)
		return
	}
	found, err := lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Stage)
	// Output:
	// true
	// seen
}

func ExampleClient_HandleCritical() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number := notified(ctx, lab, patient)
	if _, err := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Text: "7.10 mmol/L"}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1"}); err != nil {
		fmt.Println(err)
		return
	}
	found, err := lab.HandleCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1", Text: "复查并处理"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Stage, len(found.Resource.Steps))
	// Output: handled 4
}

func ExampleClient_OpenCriticals() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	notified(ctx, lab, patient)
	ward := r4.Identifier{System: fakes.WardSystem, Value: "W1"}
	open, err := lab.OpenCriticals(ctx, ward)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, found := range open {
		fmt.Println(found.Resource.Stage, found.Resource.Value)
	}
	// Output: notified 7.10 mmol/L
}

func ExampleClient_OverdueCriticals() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	notified(ctx, lab, patient)
	overdue, err := lab.OverdueCriticals(ctx, r4.Identifier{System: fakes.WardSystem, Value: "W1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(overdue)) // none in the first half hour
	// Output: 0
}

func ExampleClient_SweepCriticals() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	notified(ctx, lab, patient)
	for change, err := range lab.SweepCriticals(ctx, r4.Identifier{System: fakes.WardSystem, Value: "W1"}, 0) {
		if err != nil {
			fmt.Println("nothing is known now:", err) // and the sweep goes on
			continue
		}
		fmt.Println(change.Kind, change.Resource.Value)
		break
	}
	// Output: new 7.10 mmol/L
}
