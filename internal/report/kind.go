package report

import (
	"github.com/hospital-go/hospital/fhir/r4"
)

// Kind says of a type whose its resources are, and how they are shown.
type Kind[T r4.Resource] struct {
	Subject func(T) *r4.Reference
	// InError: must its content not be shown?
	InError func(T) bool
	// Stripped is what may be shown of one that was entered in error.
	Stripped func(T) T
}

// Headers are reports without what they refer to.
func Headers() Kind[*r4.DiagnosticReport] {
	return Kind[*r4.DiagnosticReport]{
		Subject: func(r *r4.DiagnosticReport) *r4.Reference { return r.Subject }, InError: errorReport, Stripped: withdrawnReport,
	}
}

// Observations are single results.
func Observations() Kind[*r4.Observation] {
	return Kind[*r4.Observation]{
		Subject: func(o *r4.Observation) *r4.Reference { return o.Subject }, InError: errorObservation, Stripped: withdrawnObservation,
	}
}

func errorReport(r *r4.DiagnosticReport) bool {
	return r.Status == r4.DiagnosticReportStatusEnteredInError
}

// withdrawnReport is what may be shown of a report that was entered in error.
func withdrawnReport(r *r4.DiagnosticReport) *r4.DiagnosticReport {
	return &r4.DiagnosticReport{
		ID: r.ID, Meta: r.Meta, Identifier: r.Identifier, BasedOn: r.BasedOn, Status: r.Status, Category: r.Category, Code: r.Code,
		Subject: r.Subject, EffectiveDateTime: r.EffectiveDateTime, EffectivePeriod: r.EffectivePeriod, Issued: r.Issued,
	}
}

func errorObservation(o *r4.Observation) bool { return o.Status == r4.ObservationStatusEnteredInError }

// withdrawnObservation is what may be shown of a result that was entered in error.
func withdrawnObservation(o *r4.Observation) *r4.Observation {
	return &r4.Observation{
		ID: o.ID, Meta: o.Meta, Identifier: o.Identifier, Status: o.Status, Code: o.Code, Subject: o.Subject,
		EffectiveDateTime: o.EffectiveDateTime, EffectivePeriod: o.EffectivePeriod, EffectiveInstant: o.EffectiveInstant,
	}
}

func errorStudy(s *r4.ImagingStudy) bool { return s.Status == r4.ImagingStudyStatusEnteredInError }
