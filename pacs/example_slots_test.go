package pacs_test

import (
	"context"
	"fmt"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/pacs"
)

// freeSlots are the free slots of the demo's CT.
func freeSlots(ctx context.Context, images *pacs.Client, demo fakes.Demo) []hospital.Found[*r4.Slot] {
	var out []hospital.Found[*r4.Slot]
	for schedule, err := range images.Schedules(ctx, ct, demo.Start, demo.End) {
		if err != nil {
			panic(err)
		}
		for slot, err := range images.FreeSlots(ctx, schedule, demo.Start, demo.End) {
			if err != nil {
				panic(err)
			}
			out = append(out, slot)
		}
	}
	return out
}

func ExampleClient_Schedules() {
	images, demo, end := desk()
	defer end()
	for schedule, err := range images.Schedules(context.Background(), ct, demo.Start, demo.End) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(schedule.Resource.ServiceType[0].Text)
	}
	// Output: CT一室
}

func ExampleClient_FreeSlots() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	for schedule, err := range images.Schedules(ctx, ct, demo.Start, demo.End) {
		if err != nil {
			fmt.Println(err)
			return
		}
		n := 0
		for _, err := range images.FreeSlots(ctx, schedule, demo.Start, demo.Start.Add(2*time.Hour)) {
			if err != nil {
				fmt.Println(err)
				return
			}
			n++
		}
		fmt.Println(n)
	}
	// Output: 4
}

func ExampleClient_Hold() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	held, err := images.Hold(ctx, pacs.HoldRequest{
		Number: hospital.NewNumber(), Patient: demo.Patients[0], Slot: freeSlots(ctx, images, demo)[0], Until: time.Now().Add(10 * time.Minute),
	})
	fmt.Println(held.Resource.Status, err)
	// Output: proposed <nil>
}

func ExampleClient_Release() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	patient, number := demo.Patients[0], hospital.NewNumber()
	_, err := images.Hold(ctx, pacs.HoldRequest{
		Number: number, Patient: patient, Slot: freeSlots(ctx, images, demo)[0], Until: time.Now().Add(10 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	released, err := images.Release(ctx, number, patient)
	fmt.Println(released.Resource.Status, len(freeSlots(ctx, images, demo)), err)
	// Output: cancelled 16 <nil>
}

// An appointment is for what was ordered.
func ExampleClient_Book() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	patient := demo.Patients[0]
	placed, err := images.Order(ctx, pacs.OrderRequest{
		Number: "CT20260002", Patient: patient, Items: []pacs.OrderItem{{Code: r4.CodeableConcept{Text: "头颅CT平扫"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	booked, err := images.Book(ctx, pacs.BookRequest{
		Number: hospital.NewNumber(), Patient: patient, Slot: freeSlots(ctx, images, demo)[0],
		Order: hospital.Found[*r4.ServiceRequest]{Resource: placed.Resource.Items[0], Origin: placed.Origin},
	})
	fmt.Println(booked.Resource.Status, len(booked.Resource.BasedOn), err)
	// Output: booked 1 <nil>
}

// appointed books the first slot.
func appointed(ctx context.Context, images *pacs.Client, demo fakes.Demo) (number string, slot hospital.Found[*r4.Slot]) {
	number, slot = hospital.NewNumber(), freeSlots(ctx, images, demo)[0]
	if _, err := images.Book(ctx, pacs.BookRequest{Number: number, Patient: demo.Patients[0], Slot: slot}); err != nil {
		panic(err)
	}
	return number, slot
}

func ExampleClient_Appointment() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number, _ := appointed(ctx, images, demo)
	found, err := images.Appointment(ctx, number, demo.Patients[0])
	fmt.Println(found.Resource.Status, err)
	// Output: booked <nil>
}

func ExampleClient_Reschedule() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number, from := appointed(ctx, images, demo)
	to := freeSlots(ctx, images, demo)[3]
	moved, err := images.Reschedule(ctx, pacs.RescheduleRequest{Number: number, Patient: demo.Patients[0], From: from, To: to})
	fmt.Println(moved.Resource.Start == to.Resource.Start, err)
	// Output: true <nil>
}

func ExampleClient_Cancel() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number, _ := appointed(ctx, images, demo)
	cancelled, err := images.Cancel(ctx, number, demo.Patients[0])
	fmt.Println(cancelled.Resource.Status, err)
	// Output: cancelled <nil>
}
