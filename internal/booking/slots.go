package booking

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

const scheduleService fhir.TokenParam[*r4.Schedule] = "service-type"

// Schedules yields the schedules of a service, a coding of Schedule.serviceType, whose
// planning horizon meets [from, to); one without a horizon is not left out.
// hospital.ErrInvalidArgument unless the service has system and code and from is before to.
func (d *Desk) Schedules(ctx context.Context, service r4.Coding, from, to time.Time, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Schedule], error] {
	return hospital.Stream(ctx, d.client, d.ops.Read("Schedules", hospital.Any, hospital.List),
		func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[*r4.Schedule], error] {
			if fhir.Token(service.System, service.Code) == "" || !from.Before(to) {
				return verb.Fail[*r4.Schedule](hospital.Refuse(hospital.ErrInvalidArgument, "a service's system and code, and a time span"))
			}
			return SchedulesOf(ctx, f, scheduleService.Is(service.System, service.Code), from, to, func(s *r4.Schedule, _ hospital.Origin) bool {
				return slices.ContainsFunc(s.ServiceType, func(c r4.CodeableConcept) bool { return r4.HasCode(&c, service.System, service.Code) })
			})
		}, opts...)
}

// SchedulesOf yields the schedules that by finds, each of which whose must accept, and
// whose planning horizon meets [from, to).
func SchedulesOf(ctx context.Context, f *fhir.Client, by fhir.Filter[*r4.Schedule], from, to time.Time, whose func(*r4.Schedule, hospital.Origin) bool) iter.Seq2[hospital.Found[*r4.Schedule], error] {
	q := fhir.For(by, fhir.ScheduleDate.From(from), fhir.ScheduleDate.Before(to))
	return verb.Search(ctx, f, q, func(s *r4.Schedule, o hospital.Origin) bool {
		return verb.Meets(s.PlanningHorizon, from, to) && whose(s, o)
	})
}

// FreeSlots (号源) yields the free slots of a schedule that start in [from, to).
// A slot is free when it was read; Hold or Book decides. hospital.ErrInvalidArgument for a
// schedule that no verb returned, and unless from is before to.
func (d *Desk) FreeSlots(ctx context.Context, schedule hospital.Found[*r4.Schedule], from, to time.Time, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Slot], error] {
	return hospital.Stream(ctx, d.client, d.ops.Read("FreeSlots", hospital.Session, hospital.List),
		func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[*r4.Slot], error] {
			return d.slots(ctx, f, schedule, from, to, r4.SlotStatusFree)
		}, opts...)
}

func (d *Desk) slots(ctx context.Context, f *fhir.Client, schedule hospital.Found[*r4.Schedule], from, to time.Time, status string) iter.Seq2[hospital.Found[*r4.Slot], error] {
	if err := verb.Needs(schedule, d.system); err != nil {
		return verb.Fail[*r4.Slot](err)
	}
	if !from.Before(to) {
		return verb.Fail[*r4.Slot](hospital.Refuse(hospital.ErrInvalidArgument, "from must be before to"))
	}
	id := schedule.Resource.ID
	q := fhir.For(fhir.SlotSchedule.Is(id), fhir.SlotStart.From(from), fhir.SlotStart.Before(to), fhir.SlotStatus.In(status))
	found := verb.Search(hospital.SameStore(ctx, schedule.Origin), f, q, func(s *r4.Slot, o hospital.Origin) bool {
		return d.client.Names(o, s.Schedule, "Schedule", id) && verb.Within(s.Start, from, to)
	})
	return verb.Only(found, func(s *r4.Slot) bool { return s.Status == status })
}
