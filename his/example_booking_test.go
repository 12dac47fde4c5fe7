package his_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// held holds the first free slot for ten minutes.
func held(ctx context.Context, desk *his.Client, demo fakes.Demo) (number string, slot hospital.Found[*r4.Slot]) {
	number, slot = hospital.NewNumber(), freeSlots(ctx, desk, demo)[0]
	r := his.HoldRequest{Number: number, Patient: demo.Patients[0], Slot: slot, Until: time.Now().Add(10 * time.Minute)}
	if _, err := desk.Hold(ctx, r); err != nil {
		panic(err)
	}
	return number, slot
}

// booked books the first free slot.
func booked(ctx context.Context, desk *his.Client, demo fakes.Demo) (number string, slot hospital.Found[*r4.Slot]) {
	number, slot = hospital.NewNumber(), freeSlots(ctx, desk, demo)[0]
	if _, err := desk.Book(ctx, his.BookRequest{Number: number, Patient: demo.Patients[0], Slot: slot}); err != nil {
		panic(err)
	}
	return number, slot
}

func ExampleClient_Hold() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	number := hospital.NewNumber() // store it before the call
	hold, err := desk.Hold(ctx, his.HoldRequest{
		Number: number, Patient: demo.Patients[0], Slot: freeSlots(ctx, desk, demo)[0], Until: time.Now().Add(10 * time.Minute),
	})
	if err != nil { // hospital.ErrConflict: somebody else was first
		fmt.Println(err)
		return
	}
	fmt.Println(hold.Resource.Status)
	// Output: proposed
}

// Of many who want any slot each gets another one.
func ExampleClient_HoldAny() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	schedule := firstSchedule(ctx, desk, demo)
	for _, patient := range demo.Patients[:2] {
		hold, err := desk.HoldAny(ctx, his.HoldAnyRequest{
			Number: hospital.NewNumber(), Patient: patient, Schedule: schedule,
			From: demo.Start, To: demo.End, Until: time.Now().Add(10 * time.Minute),
		})
		if err != nil { // hospital.ErrConflict: there is none left
			fmt.Println(err)
			return
		}
		fmt.Println(hold.Resource.Status)
	}
	fmt.Println(len(freeSlots(ctx, desk, demo)), "left")
	// Output:
	// proposed
	// proposed
	// 46 left
}

// A held slot is booked by its hold's number; a free one without.
func ExampleClient_Book() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	hold, slot := held(ctx, desk, demo)
	request := his.BookRequest{Number: hospital.NewNumber(), Patient: demo.Patients[0], Slot: slot, Hold: hold}
	for range 2 { // the second time after a crash, say: it is booked once
		booking, err := desk.Book(ctx, request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(booking.Resource.Status)
	}
	_, err := desk.Book(ctx, his.BookRequest{Number: hospital.NewNumber(), Patient: demo.Patients[1], Slot: slot})
	fmt.Println(errors.Is(err, hospital.ErrConflict)) // it is taken
	// Output:
	// booked
	// booked
	// true
}

func ExampleClient_Booking() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	number, slot := booked(ctx, desk, demo)
	booking, err := desk.Booking(ctx, number, demo.Patients[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(booking.Resource.Status, booking.Resource.Start == slot.Resource.Start)
	_, err = desk.Booking(ctx, number, demo.Patients[1])
	fmt.Println(errors.Is(err, hospital.ErrWrongPatient))
	// Output:
	// booked true
	// true
}

func ExampleClient_Release() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	number, _ := held(ctx, desk, demo)
	released, err := desk.Release(ctx, number, demo.Patients[0])
	if err != nil { // hospital.ErrConflict: it was booked meanwhile
		fmt.Println(err)
		return
	}
	fmt.Println(released.Resource.Status, len(freeSlots(ctx, desk, demo)))
	// Output: cancelled 48
}

func ExampleClient_Cancel() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	number, _ := booked(ctx, desk, demo)
	cancelled, err := desk.Cancel(ctx, number, demo.Patients[0])
	if err != nil { // hospital.ErrConflict: the patient has checked in
		fmt.Println(err)
		return
	}
	fmt.Println(cancelled.Resource.Status, len(freeSlots(ctx, desk, demo)))
	// Output: cancelled 48
}

func ExampleClient_Reschedule() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	number, from := booked(ctx, desk, demo)
	to := freeSlots(ctx, desk, demo)[3]
	moved, err := desk.Reschedule(ctx, his.RescheduleRequest{Number: number, Patient: demo.Patients[0], From: from, To: to})
	if err != nil { // hospital.ErrConflict: To is taken, or it is not at From any more
		fmt.Println(err)
		return
	}
	fmt.Println(moved.Resource.Start == to.Resource.Start, len(freeSlots(ctx, desk, demo)))
	// Output: true 47
}

// Where the server does not end holds, a program does, every minute or so.
func ExampleClient_ReleaseExpired() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	held(ctx, desk, demo)
	freed, err := desk.ReleaseExpired(ctx, firstSchedule(ctx, desk, demo), demo.Start, demo.End)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(freed) // none in the first ten minutes
	// Output: 0
}

func ExampleClient_CheckIn() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	number, _ := booked(ctx, desk, demo)
	encounter, err := desk.CheckIn(ctx, number, demo.Patients[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := desk.CheckIn(ctx, number, demo.Patients[0]) // at another machine
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(encounter.Resource.Status, again.Resource.ID == encounter.Resource.ID)
	// Output: arrived true
}

// A process that has nothing but the Number of an act finds out what became of it.
func ExampleClient_Resolve() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	number, _ := booked(ctx, desk, demo)
	found, err := desk.Resolve(ctx, number)
	switch {
	case errors.Is(err, hospital.ErrNotFound):
		fmt.Println("it did not happen, and no longer can")
	case err != nil: // hospital.ErrOutcomeUnknown: ask again later
		fmt.Println(err)
	default:
		fmt.Println(found.Resource.Status)
	}
	// Output: booked
}
