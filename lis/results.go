package lis

import (
	"context"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// ResultQuery chooses single results of a patient.
type ResultQuery struct {
	Patient campus.PatientID
	// From and To bound when they were measured, [From, To); a zero time does not.
	From, To time.Time
	// Category of the results; the zero Coding is Categories.Result.
	Category r4.Coding
	// Codes of the tests, any of them; none means every one.
	Codes []r4.Coding
}

// Results (检验结果) yields a patient's single results, the latest first, panels beside
// their members and each without Members. One that was entered in error is not shown;
// if this client showed it before, it comes as Withdrawn. It may be asked across
// campuses.
func (c *Client) Results(ctx context.Context, q ResultQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Result], error] {
	return c.resultSeq(ctx, "Results", q, opts)
}

// Recognised (互认结果) is [Client.Results] of those that carry the mark of mutual
// recognition, usually asked across campuses; see [Marks]. Origin says whose each is. A
// result that two campuses hold comes once only if it carries one business identifier at both.
func (c *Client) Recognised(ctx context.Context, q ResultQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Result], error] {
	return verb.Only(c.resultSeq(ctx, "Recognised", q, opts), func(r Result) bool { return r.Recognised || r.Withdrawn })
}

func (c *Client) resultSeq(ctx context.Context, name string, q ResultQuery, opts []hospital.ReadOption) iter.Seq2[hospital.Found[Result], error] {
	if q.Category.Code == "" {
		q.Category = c.categories.Result
	}
	filters := append(coded[*r4.Observation](string(fhir.ObservationCode), q.Codes),
		fhir.ObservationCategory.Is(q.Category.System, q.Category.Code), fhir.Newest(fhir.ObservationDate))
	holds := func(o *r4.Observation) bool { return inCategory(o.Category, q.Category) && hasAny(o.Code, q.Codes) }
	return c.observations(ctx, name, q.Patient, span{q.From, q.To}, filters, holds, opts)
}

// observations yields the single results of a patient that pass the filters; holds
// checks that the server used them.
func (c *Client) observations(
	ctx context.Context, name string, patient campus.PatientID, s span, filters []fhir.Filter[*r4.Observation],
	holds func(*r4.Observation) bool, opts []hospital.ReadOption,
) iter.Seq2[hospital.Found[Result], error] {
	ask := func(ctx context.Context, f *fhir.Client, id campus.PatientID) iter.Seq2[hospital.Found[Result], error] {
		if err := s.check(); err != nil {
			return verb.Fail[Result](err)
		}
		d, ctx, err := c.at(ctx, f, id, opts)
		if err != nil {
			return verb.Fail[Result](err)
		}
		q := fhir.For(append(append(filters[:len(filters):len(filters)], fhir.ObservationPatient.Is(d.patient)), within(fhir.ObservationDate, s)...)...)
		return d.shown(ctx, verb.Search(ctx, f, q, func(o *r4.Observation, origin hospital.Origin) bool {
			return d.mine(origin, o.Subject) && holds(o) && s.holds(observed(o))
		}))
	}
	return hospital.Across(ctx, c.client, op(name, hospital.Session, hospital.List), patient, ask, resultKey, opts...)
}

func resultKey(r Result) string {
	return businessKey(r.Observation.Identifier, "", r.origin, r.Observation.ID)
}

// observed is when a result was measured.
func observed(o *r4.Observation) (string, *r4.Period) {
	if o.EffectiveInstant != "" {
		return o.EffectiveInstant, nil
	}
	return o.EffectiveDateTime, o.EffectivePeriod
}

// shown yields of results the versions that may be shown.
func (d *desk) shown(ctx context.Context, found iter.Seq2[hospital.Found[*r4.Observation], error]) iter.Seq2[hospital.Found[Result], error] {
	return func(yield func(hospital.Found[Result], error) bool) {
		for item, err := range found {
			if err != nil {
				yield(hospital.Found[Result]{}, err)
				return
			}
			o, before, err := current(ctx, d, item.Origin, item.Resource, errorObservation)
			if err == nil && !d.mine(item.Origin, o.Subject) {
				err = hospital.ErrWrongPatient
			}
			if err != nil {
				yield(hospital.Found[Result]{}, err)
				return
			}
			if errorObservation(o) && !before {
				continue
			}
			if !yield(hospital.Found[Result]{Resource: d.result(o, item.Origin), Origin: item.Origin}, nil) {
				return
			}
		}
	}
}
