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
		for _, service := range schedule.Resource.ServiceType {
			fmt.Println(service.Text)
		}
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
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(held.Resource.Status)
	// Output: proposed
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
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(released.Resource.Status, len(freeSlots(ctx, images, demo)))
	// Output: cancelled 16
}

// Where the server does not end holds, a program does, every minute or so.
func ExampleClient_ReleaseExpired() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	_, err := images.Hold(ctx, pacs.HoldRequest{
		Number: hospital.NewNumber(), Patient: demo.Patients[0], Slot: freeSlots(ctx, images, demo)[0], Until: time.Now().Add(10 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for schedule, err := range images.Schedules(ctx, ct, demo.Start, demo.End) {
		if err != nil {
			fmt.Println(err)
			return
		}
		freed, err := images.ReleaseExpired(ctx, schedule, demo.Start, demo.End)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(freed) // none in the first ten minutes
	}
	// Output: 0
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
	if err != nil { // hospital.ErrConflict: somebody else was first
		fmt.Println(err)
		return
	}
	fmt.Println(booked.Resource.Status, len(booked.Resource.BasedOn))
	// Output: booked 1
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
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Status)
	// Output: booked
}

func ExampleClient_Reschedule() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number, from := appointed(ctx, images, demo)
	to := freeSlots(ctx, images, demo)[3]
	moved, err := images.Reschedule(ctx, pacs.RescheduleRequest{Number: number, Patient: demo.Patients[0], From: from, To: to})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(moved.Resource.Start == to.Resource.Start)
	// Output: true
}

func ExampleClient_Cancel() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number, _ := appointed(ctx, images, demo)
	cancelled, err := images.Cancel(ctx, number, demo.Patients[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cancelled.Resource.Status)
	// Output: cancelled
}
