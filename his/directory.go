package his

import (
	"context"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/booking"
	"github.com/hospital-go/hospital/internal/verb"
)

// The coding that makes an Organization a department.
const (
	// DepartmentSystem is the code system of Organization.type.
	DepartmentSystem = "http://terminology.hl7.org/CodeSystem/organization-type"
	// DepartmentCode is the code in it.
	DepartmentCode = "dept"
)

// Departments (科室) yields the departments that the campus's HIS knows: those of
// the whole group where one HIS serves all and the topology names no campusBy.
func (c *Client) Departments(ctx context.Context, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Organization], error] {
	q := fhir.For(fhir.OrganizationType.Is(DepartmentSystem, DepartmentCode))
	return hospital.Stream(ctx, c.client, op("Departments", hospital.Any, hospital.List),
		func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[*r4.Organization], error] {
			return verb.Search(ctx, f, q, isDepartment)
		}, opts...)
}

func isDepartment(o *r4.Organization, _ hospital.Origin) bool {
	for i := range o.Type {
		for _, coding := range o.Type[i].Coding {
			if coding.System == DepartmentSystem && coding.Code == DepartmentCode {
				return true
			}
		}
	}
	return false
}

// Doctor is a practitioner in a role at a department (医生).
type Doctor struct {
	Role         *r4.PractitionerRole
	Practitioner *r4.Practitioner
}

// Doctors yields the doctors of a department, each with the practitioner the
// role refers to.
func (c *Client) Doctors(ctx context.Context, department hospital.Found[*r4.Organization], opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Doctor], error] {
	return hospital.Stream(ctx, c.client, op("Doctors", hospital.Any, hospital.List),
		func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[Doctor], error] {
			if err := verb.Needs(department, campus.HIS); err != nil {
				return verb.Fail[Doctor](err)
			}
			q := fhir.For(fhir.PractitionerRoleOrganization.Is(department.Resource.ID), fhir.PractitionerRolePractitioner.Include())
			return c.doctors(hospital.SameStore(ctx, department.Origin), f, q, department.Resource.ID)
		}, opts...)
}

func (c *Client) doctors(ctx context.Context, f *fhir.Client, q fhir.Query, department string) iter.Seq2[hospital.Found[Doctor], error] {
	return func(yield func(hospital.Found[Doctor], error) bool) {
		for page, err := range fhir.Search(ctx, f, q) {
			if err != nil {
				yield(hospital.Found[Doctor]{}, verb.NoRoute(err))
				return
			}
			for _, r := range page.Matches {
				doctor, err := c.doctor(ctx, f, page, r, department)
				if !yield(doctor, err) || err != nil {
					return
				}
			}
		}
	}
}

// doctor joins a role with its practitioner, who came along or is read.
func (c *Client) doctor(ctx context.Context, f *fhir.Client, page *fhir.Page, r r4.Resource, department string) (hospital.Found[Doctor], error) {
	origin := hospital.OriginOf(page.Response)
	found := hospital.Found[Doctor]{Origin: origin}
	role, err := r4.As[*r4.PractitionerRole](r)
	if err != nil || !c.client.Names(origin, role.Organization, "Organization", department) {
		return found, hospital.ErrFilterIgnored
	}
	if role.Practitioner == nil {
		return found, hospital.ErrUnexpectedAnswer
	}
	typ, id, ok := c.client.Local(origin, role.Practitioner.Reference)
	if !ok || typ != "Practitioner" {
		return found, hospital.ErrUnexpectedAnswer
	}
	found.Resource.Role = role
	for _, inc := range page.Included {
		if p, ok := inc.(*r4.Practitioner); ok && p.ID == id {
			found.Resource.Practitioner = p
			return found, nil
		}
	}
	found.Resource.Practitioner, _, err = fhir.Read[*r4.Practitioner](ctx, f, id)
	return found, err
}

// Schedules (排班) yields the doctor's schedules whose planning horizon meets
// [from, to); one without a horizon is not left out.
func (c *Client) Schedules(ctx context.Context, doctor hospital.Found[Doctor], from, to time.Time, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Schedule], error] {
	return hospital.Stream(ctx, c.client, op("Schedules", hospital.Any, hospital.List),
		func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[*r4.Schedule], error] {
			if doctor.Resource.Role == nil || !from.Before(to) {
				return verb.Fail[*r4.Schedule](hospital.Refuse(hospital.ErrInvalidArgument, "a doctor from Doctors and a time span"))
			}
			id := doctor.Resource.Role.ID
			return booking.SchedulesOf(hospital.SameStore(ctx, doctor.Origin), f, fhir.ScheduleRole.Is(id), from, to, func(s *r4.Schedule, o hospital.Origin) bool {
				for i := range s.Actor {
					if c.client.Names(o, &s.Actor[i], "PractitionerRole", id) {
						return true
					}
				}
				return false
			})
		}, opts...)
}

// FreeSlots (号源) yields the free slots of a schedule that start in [from, to).
// A slot is free when it was read; Hold or Book decides.
func (c *Client) FreeSlots(ctx context.Context, schedule hospital.Found[*r4.Schedule], from, to time.Time, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Slot], error] {
	return c.desk.FreeSlots(ctx, schedule, from, to, opts...)
}
