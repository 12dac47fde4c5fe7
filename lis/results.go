package lis

import (
	"context"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/report"
	"github.com/hospital-go/hospital/internal/verb"
)

// ResultQuery chooses single results of a patient.
type ResultQuery struct {
	// Patient is required.
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
// if this client showed it before, it comes as Withdrawn. hospital.ErrStale when only an
// older version can be had than was shown; hospital.ErrInvalidArgument when From is not
// before To. It may be asked across campuses, and the latest is then first of each campus
// only: sort what comes before the first is taken for the latest.
func (c *Client) Results(ctx context.Context, q ResultQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Result], error] {
	return c.resultSeq(ctx, "Results", q, opts)
}

// Recognised (互认结果) is [Client.Results] of those that carry the mark of mutual
// recognition, usually asked across campuses; see [Marks]. Its order and errors
// (hospital.ErrStale, hospital.ErrPartial) are those of Results. Origin says whose each is.
// A result that two campuses hold comes once only if it carries one business identifier and
// is the same at both. One that is Withdrawn comes whether it carried the mark or not,
// because nothing of it is left to tell.
func (c *Client) Recognised(ctx context.Context, q ResultQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Result], error] {
	return verb.Only(c.resultSeq(ctx, "Recognised", q, opts), func(r Result) bool { return r.Recognised || r.Withdrawn })
}

func (c *Client) resultSeq(ctx context.Context, name string, q ResultQuery, opts []hospital.ReadOption) iter.Seq2[hospital.Found[Result], error] {
	if q.Category.Code == "" {
		q.Category = c.categories.Result
	}
	filters := append(verb.Coded[*r4.Observation](string(fhir.ObservationCode), q.Codes),
		fhir.ObservationCategory.Is(q.Category.System, q.Category.Code), fhir.Newest(fhir.ObservationDate))
	holds := func(o *r4.Observation) bool {
		return verb.InCategory(o.Category, q.Category) && verb.HasAny(o.Code, q.Codes)
	}
	return c.observations(ctx, name, q.Patient, verb.Span{From: q.From, To: q.To}, filters, holds, opts)
}

// observations yields the single results of a patient that pass the filters; holds
// checks that the server used them.
func (c *Client) observations(
	ctx context.Context, name string, patient campus.PatientID, s verb.Span, filters []fhir.Filter[*r4.Observation],
	holds func(*r4.Observation) bool, opts []hospital.ReadOption,
) iter.Seq2[hospital.Found[Result], error] {
	ask := func(ctx context.Context, f *fhir.Client, id campus.PatientID) iter.Seq2[hospital.Found[Result], error] {
		if err := s.Check(); err != nil {
			return verb.Fail[Result](err)
		}
		d, ctx, err := c.reports.At(ctx, f, id, opts)
		if err != nil {
			return verb.Fail[Result](err)
		}
		q := fhir.For(append(append(filters[:len(filters):len(filters)], fhir.ObservationPatient.In(d.Patient()...)), verb.Between(fhir.ObservationDate, s)...)...)
		shown := d.Shown(ctx, verb.Search(ctx, f, q, func(o *r4.Observation, origin hospital.Origin) bool {
			return d.Mine(origin, o.Subject) && holds(o) && s.Holds(observed(o))
		}))
		return verb.Only(shown, func(r Result) bool { // the version that may be shown may be of another test or time
			return r.Withdrawn || (holds(r.Observation) && s.Holds(observed(r.Observation)))
		})
	}
	return hospital.Across(ctx, c.client, ops().Read(name, hospital.Session, hospital.List), patient, ask, report.ResultKey, opts...)
}

// observed is when a result was measured.
func observed(o *r4.Observation) (string, *r4.Period) {
	if o.EffectiveInstant != "" {
		return o.EffectiveInstant, nil
	}
	return o.EffectiveDateTime, o.EffectivePeriod
}
