package fhir

import "github.com/hospital-go/hospital/fhir/r4"

// The search parameters of the standard that the verbs use, by type.
const (
	PatientName      PersonParam[*r4.Patient] = "name"
	PatientPhone     PersonParam[*r4.Patient] = "phone"
	PatientBirthDate PersonParam[*r4.Patient] = "birthdate"

	PatientLink RefParam[*r4.Patient, *r4.Patient] = "link"

	OrganizationType TokenParam[*r4.Organization] = "type"
	OrganizationName TextParam[*r4.Organization]  = "name"

	LocationPartOf            RefParam[*r4.Location, *r4.Location]     = "partof"
	LocationOrganization      RefParam[*r4.Location, *r4.Organization] = "organization"
	LocationOperationalStatus TokenParam[*r4.Location]                 = "operational-status"

	PractitionerRolePractitioner RefParam[*r4.PractitionerRole, *r4.Practitioner] = "practitioner"
	PractitionerRoleOrganization RefParam[*r4.PractitionerRole, *r4.Organization] = "organization"

	ScheduleRole         RefParam[*r4.Schedule, *r4.PractitionerRole] = "actor"
	SchedulePractitioner RefParam[*r4.Schedule, *r4.Practitioner]     = "actor"
	ScheduleLocation     RefParam[*r4.Schedule, *r4.Location]         = "actor"
	ScheduleDate         TimeParam[*r4.Schedule]                      = "date"

	SlotSchedule RefParam[*r4.Slot, *r4.Schedule] = "schedule"
	SlotStart    TimeParam[*r4.Slot]              = "start"
	SlotStatus   TokenParam[*r4.Slot]             = "status"

	AppointmentSlot    RefParam[*r4.Appointment, *r4.Slot]    = "slot"
	AppointmentPatient RefParam[*r4.Appointment, *r4.Patient] = "patient"
	AppointmentStatus  TokenParam[*r4.Appointment]            = "status"
	AppointmentDate    TimeParam[*r4.Appointment]             = "date"

	EncounterAppointment RefParam[*r4.Encounter, *r4.Appointment] = "appointment"
	EncounterPatient     RefParam[*r4.Encounter, *r4.Patient]     = "patient"
	EncounterLocation    RefParam[*r4.Encounter, *r4.Location]    = "location"
	EncounterStatus      TokenParam[*r4.Encounter]                = "status"
	EncounterDate        TimeParam[*r4.Encounter]                 = "date"

	InvoicePatient RefParam[*r4.Invoice, *r4.Patient] = "patient"
	InvoiceStatus  TokenParam[*r4.Invoice]            = "status"

	ChargeItemAccount    RefParam[*r4.ChargeItem, *r4.Account] = "account"
	ChargeItemOccurrence TimeParam[*r4.ChargeItem]             = "occurrence"

	ServiceRequestPatient     RefParam[*r4.ServiceRequest, *r4.Patient]   = "patient"
	ServiceRequestEncounter   RefParam[*r4.ServiceRequest, *r4.Encounter] = "encounter"
	ServiceRequestRequisition TokenParam[*r4.ServiceRequest]              = "requisition"
	ServiceRequestStatus      TokenParam[*r4.ServiceRequest]              = "status"
	ServiceRequestCategory    TokenParam[*r4.ServiceRequest]              = "category"
	ServiceRequestCode        TokenParam[*r4.ServiceRequest]              = "code"
	ServiceRequestAuthored    TimeParam[*r4.ServiceRequest]               = "authored"

	MedicationRequestPatient RefParam[*r4.MedicationRequest, *r4.Patient] = "patient"
	MedicationRequestStatus  TokenParam[*r4.MedicationRequest]            = "status"

	TaskPatient RefParam[*r4.Task, *r4.Patient]        = "patient"
	TaskOwner   RefParam[*r4.Task, *r4.Organization]   = "owner"
	TaskFocus   RefParam[*r4.Task, *r4.ServiceRequest] = "focus"
	TaskStatus  TokenParam[*r4.Task]                   = "status"
	TaskCode    TokenParam[*r4.Task]                   = "code"

	DocumentReferencePatient RefParam[*r4.DocumentReference, *r4.Patient] = "patient"
	DocumentReferenceType    TokenParam[*r4.DocumentReference]            = "type"
	DocumentReferenceDate    TimeParam[*r4.DocumentReference]             = "date"

	ConditionPatient   RefParam[*r4.Condition, *r4.Patient]   = "patient"
	ConditionEncounter RefParam[*r4.Condition, *r4.Encounter] = "encounter"

	AllergyIntolerancePatient  RefParam[*r4.AllergyIntolerance, *r4.Patient]  = "patient"
	MedicationStatementPatient RefParam[*r4.MedicationStatement, *r4.Patient] = "patient"

	ObservationPatient  RefParam[*r4.Observation, *r4.Patient] = "patient"
	ObservationCode     TokenParam[*r4.Observation]            = "code"
	ObservationCategory TokenParam[*r4.Observation]            = "category"
	ObservationDate     TimeParam[*r4.Observation]             = "date"

	DiagnosticReportPatient  RefParam[*r4.DiagnosticReport, *r4.Patient]        = "patient"
	DiagnosticReportCategory TokenParam[*r4.DiagnosticReport]                   = "category"
	DiagnosticReportDate     TimeParam[*r4.DiagnosticReport]                    = "date"
	DiagnosticReportResult   RefParam[*r4.DiagnosticReport, *r4.Observation]    = "result"
	DiagnosticReportOrder    RefParam[*r4.DiagnosticReport, *r4.ServiceRequest] = "based-on"
	DiagnosticReportSpecimen RefParam[*r4.DiagnosticReport, *r4.Specimen]       = "specimen"
	DiagnosticReportCode     TokenParam[*r4.DiagnosticReport]                   = "code"
	DiagnosticReportStatus   TokenParam[*r4.DiagnosticReport]                   = "status"

	SpecimenPatient     RefParam[*r4.Specimen, *r4.Patient]     = "patient"
	SpecimenCollected   TimeParam[*r4.Specimen]                 = "collected"
	ImagingStudyPatient RefParam[*r4.ImagingStudy, *r4.Patient] = "patient"
)

// LastUpdated is the search parameter of every type for when the server wrote the
// current version (_lastUpdated, section 3.1.1.4.2).
func LastUpdated[T r4.Resource]() TimeParam[T] { return "_lastUpdated" }

// Oldest sorts by a time, the earliest first.
func Oldest[T r4.Resource](p TimeParam[T]) Filter[T] {
	return Filter[T]{name: "_sort", value: string(p)}
}
