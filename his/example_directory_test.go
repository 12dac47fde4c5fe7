package his_test

import (
	"context"
	"fmt"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// firstDoctor is the first doctor of the first department.
func firstDoctor(ctx context.Context, desk *his.Client) hospital.Found[his.Doctor] {
	for department, err := range desk.Departments(ctx) {
		if err != nil {
			panic(err)
		}
		for doctor, err := range desk.Doctors(ctx, department) {
			if err != nil {
				panic(err)
			}
			return doctor
		}
	}
	panic("no doctor")
}

// firstSchedule is that doctor's.
func firstSchedule(ctx context.Context, desk *his.Client, demo fakes.Demo) hospital.Found[*r4.Schedule] {
	for schedule, err := range desk.Schedules(ctx, firstDoctor(ctx, desk), demo.Start, demo.End) {
		if err != nil {
			panic(err)
		}
		return schedule
	}
	panic("no schedule")
}

// freeSlots are those of that schedule.
func freeSlots(ctx context.Context, desk *his.Client, demo fakes.Demo) []hospital.Found[*r4.Slot] {
	var out []hospital.Found[*r4.Slot]
	for slot, err := range desk.FreeSlots(ctx, firstSchedule(ctx, desk, demo), demo.Start, demo.End) {
		if err != nil {
			panic(err)
		}
		out = append(out, slot)
	}
	return out
}

func ExampleClient_Departments() {
	desk, _, end := clinic()
	defer end()
	for department, err := range desk.Departments(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(department.Resource.Name)
	}
	// Output:
	// 心血管内科
	// 儿科
}

func ExampleClient_Doctors() {
	ctx := context.Background()
	desk, _, end := clinic()
	defer end()
	for department, err := range desk.Departments(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for doctor, err := range desk.Doctors(ctx, department) {
			if err != nil {
				fmt.Println(err)
				return
			}
			for _, name := range doctor.Resource.Practitioner.Name {
				fmt.Println(department.Resource.Name, name.Text)
			}
		}
	}
	// Output:
	// 心血管内科 孙思远
	// 心血管内科 华青
	// 儿科 李时真
	// 儿科 扁舟
}

func ExampleClient_Schedules() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	for schedule, err := range desk.Schedules(ctx, firstDoctor(ctx, desk), demo.Start, demo.Start.AddDate(0, 0, 7)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if horizon := schedule.Resource.PlanningHorizon; horizon != nil { // some are open-ended
			fmt.Println(horizon.Start == demo.Start.Format(time.RFC3339))
		}
	}
	// Output: true
}

func ExampleClient_FreeSlots() {
	ctx := context.Background()
	desk, demo, end := clinic()
	defer end()
	n := 0
	for slot, err := range desk.FreeSlots(ctx, firstSchedule(ctx, desk, demo), demo.Start, demo.Start.Add(time.Hour)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if slot.Resource.Status == r4.SlotStatusFree { // when it was read; Hold or Book decides
			n++
		}
	}
	fmt.Println(n)
	// Output: 6
}
