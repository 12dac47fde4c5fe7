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
	report, number := newest(ctx, lab, patient), hospital.NewNumber()
	potassium := report.Resource.Results[0]
	_, err := lab.NotifyCritical(ctx, lis.CriticalRequest{
		Number: number, Patient: patient, Finding: lis.ResultFinding(hospital.Found[lis.Result]{Resource: potassium, Origin: report.Origin}),
		Value: potassium.Value().Text, Ward: r4.Identifier{System: fakes.WardSystem, Value: "W1"}, Deadline: time.Now().Add(30 * time.Minute), By: "L1",
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
	report := newest(ctx, lab, patient)
	potassium := hospital.Found[lis.Result]{Resource: report.Resource.Results[0], Origin: report.Origin}
	found, err := lab.NotifyCritical(ctx, lis.CriticalRequest{
		Number: hospital.NewNumber(), Patient: patient, Finding: lis.ResultFinding(potassium), Value: potassium.Resource.Value().Text,
		Ward: r4.Identifier{System: fakes.WardSystem, Value: "W1"}, Deadline: time.Now().Add(30 * time.Minute), By: "L1",
	})
	fmt.Println(found.Resource.Stage, found.Resource.Value, err)
	// Output: notified 7.10 mmol/L <nil>
}

func ExampleClient_CriticalOf() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	found, err := lab.CriticalOf(ctx, notified(ctx, lab, patient))
	fmt.Println(found.Resource.Patient == patient, found.Resource.Steps[0].By, err)
	// Output: true L1 <nil>
}

func ExampleClient_ReceiveCritical() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number := notified(ctx, lab, patient)
	_, err := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Terminal: "W1-2", Text: "7.01 mmol/L"})
	fmt.Println(errors.Is(err, hospital.ErrRefused))
	found, err := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Terminal: "W1-2", Text: "7.10 mmol/L"})
	fmt.Println(found.Resource.Stage, err)
	// Output:
	// true
	// received <nil>
}

func ExampleClient_SeeCritical() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number := notified(ctx, lab, patient)
	_, err := lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1"})
	fmt.Println(errors.Is(err, hospital.ErrConflict)) // nobody has received it yet
	_, received := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Text: "7.10 mmol/L"})
	found, err := lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1"})
	fmt.Println(found.Resource.Stage, received, err)
	// Output:
	// true
	// seen <nil> <nil>
}

func ExampleClient_HandleCritical() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number := notified(ctx, lab, patient)
	_, received := lab.ReceiveCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "N1", Text: "7.10 mmol/L"})
	_, seen := lab.SeeCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1"})
	found, err := lab.HandleCritical(ctx, lis.CriticalAcknowledgement{Number: number, By: "D1", Text: "复查并处理"})
	fmt.Println(found.Resource.Stage, len(found.Resource.Steps), received, seen, err)
	// Output: handled 4 <nil> <nil> <nil>
}

func ExampleClient_OpenCriticals() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	notified(ctx, lab, patient)
	ward := r4.Identifier{System: fakes.WardSystem, Value: "W1"}
	open, err := lab.OpenCriticals(ctx, ward)
	fmt.Println(len(open), err)
	// Output: 1 <nil>
}

func ExampleClient_OverdueCriticals() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	notified(ctx, lab, patient)
	overdue, err := lab.OverdueCriticals(ctx, r4.Identifier{System: fakes.WardSystem, Value: "W1"})
	fmt.Println(len(overdue), err) // none in the first half hour
	// Output: 0 <nil>
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
