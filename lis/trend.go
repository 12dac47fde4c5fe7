package lis

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/report"
	"github.com/hospital-go/hospital/internal/verb"
)

// TrendQuery chooses one test of a patient over time.
type TrendQuery struct {
	// Patient is required.
	Patient campus.PatientID
	// Code of the test, with its System; required.
	Code r4.Coding
	// From and To bound when it was measured, [From, To); a zero time does not.
	From, To time.Time
	// Direction in which the results come; the zero value is [OldestFirst].
	Direction Direction
}

// maxTrend bounds the results of one trend.
const maxTrend = 10_000

// Trend (趋势) yields a patient's results of one test in the order of time, across
// campuses too. Units are kept as they are, and may differ from one result to the next:
// Value.In says of which a curve may be drawn. More than 10,000 are
// hospital.ErrUnexpectedAnswer: ask for less time. hospital.ErrInvalidArgument without a
// Code or its System.
func (c *Client) Trend(ctx context.Context, q TrendQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Result], error] {
	if q.Code.Code == "" || q.Code.System == "" { // the same code of another system is another test
		return verb.Fail[Result](hospital.Refuse(hospital.ErrInvalidArgument, "a trend is of one code of one system"))
	}
	codes := []r4.Coding{q.Code}
	found := c.observations(ctx, "Trend", q.Patient, verb.Span{From: q.From, To: q.To}, verb.Coded[*r4.Observation](string(fhir.ObservationCode), codes),
		func(o *r4.Observation) bool { return verb.HasAny(o.Code, codes) }, opts)
	return inTime(found, q.Direction)
}

// inTime sorts what comes; that some campus did not answer comes behind it.
func inTime(found iter.Seq2[hospital.Found[Result], error], direction Direction) iter.Seq2[hospital.Found[Result], error] {
	return func(yield func(hospital.Found[Result], error) bool) {
		var list []hospital.Found[Result]
		var missing error
		for item, err := range found {
			var partial *hospital.PartialError
			switch {
			case errors.As(err, &partial):
				missing = err
				continue
			case err == nil && len(list) == maxTrend:
				err = hospital.Refuse(hospital.ErrUnexpectedAnswer, "far more results than can be drawn; ask for less time")
			}
			if err != nil {
				yield(hospital.Found[Result]{}, err)
				return
			}
			list = append(list, item)
		}
		slices.SortStableFunc(list, func(a, b hospital.Found[Result]) int {
			if direction == NewestFirst {
				a, b = b, a
			}
			return measured(a.Resource.Observation).Compare(measured(b.Resource.Observation))
		})
		for _, item := range list {
			if !yield(item, nil) {
				return
			}
		}
		if missing != nil {
			yield(hospital.Found[Result]{}, missing)
		}
	}
}

// measured is when a result was measured, as a point in time; the zero time if it does
// not say.
func measured(o *r4.Observation) time.Time {
	at, period := observed(o)
	if period != nil {
		at = period.Start
	}
	return verb.Point(at)
}

// MaxLast is how many results [Client.Last] may be asked for.
const MaxLast = 100

// Last (最近结果) returns a patient's latest n results of each code, in the order of codes,
// each the latest first. Where the server declares $lastn for Observation it is asked that,
// otherwise it is searched. hospital.ErrInvalidArgument unless n is 1 to [MaxLast] and there
// is a code; hospital.ErrUnexpectedAnswer where more than 10,000 would have to be looked at,
// as of a server that does not sort.
func (c *Client) Last(ctx context.Context, patient campus.PatientID, codes []r4.Coding, n int, opts ...hospital.ReadOption) ([]hospital.Found[Result], error) {
	if n < 1 || n > MaxLast || len(codes) == 0 {
		return nil, hospital.Refuse(hospital.ErrInvalidArgument, "1 to 100 results of at least one code")
	}
	declared, err := c.client.Declared(ctx, campus.LIS, opts...)
	if err != nil {
		return nil, err
	}
	lastn := declared.Operation("Observation", "lastn")
	return hospital.Read(ctx, c.client, ops().Read("Last", hospital.Session, hospital.List), func(ctx context.Context, f *fhir.Client) ([]hospital.Found[Result], error) {
		call, ctx, err := c.reports.At(ctx, f, patient, opts)
		if err != nil {
			return nil, err
		}
		var out []hospital.Found[Result]
		for _, code := range codes {
			last := c.lastBySearch
			if lastn && len(call.Patient()) == 1 {
				last = c.lastByOperation
			}
			list, err := last(ctx, f, call, code, n)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
		return out, nil
	}, verb.ReadAbout(opts, patient)...)
}

// sortProof is how many results must have come in the order of time until the server is
// believed to sort; the latest of one that does not may come last.
const sortProof = 20

// lastBySearch leaves a search that comes in the order of time when it has enough.
func (c *Client) lastBySearch(ctx context.Context, f *fhir.Client, call *report.Call, code r4.Coding, n int) ([]hospital.Found[Result], error) {
	filters := append(verb.Coded[*r4.Observation](string(fhir.ObservationCode), []r4.Coding{code}),
		fhir.ObservationPatient.In(call.Patient()...), fhir.Newest(fhir.ObservationDate), fhir.Count[*r4.Observation](max(n, sortProof)))
	found := verb.Search(ctx, f, fhir.For(filters...), func(o *r4.Observation, origin hospital.Origin) bool { return isLast(call, origin, o, code) })
	out, err := verb.Collect(inTime(enough(standing(call.Shown(ctx, found), code), max(n, sortProof)), NewestFirst), maxTrend)
	return out[:min(n, len(out))], err
}

// standing drops what was withdrawn, and versions that are of another test than those that
// the search found.
func standing(shown iter.Seq2[hospital.Found[Result], error], code r4.Coding) iter.Seq2[hospital.Found[Result], error] {
	return verb.Only(shown, func(r Result) bool { return !r.Withdrawn && verb.HasAny(r.Observation.Code, []r4.Coding{code}) })
}

// enough leaves out what comes behind n results in the order of time, the latest first.
func enough(found iter.Seq2[hospital.Found[Result], error], n int) iter.Seq2[hospital.Found[Result], error] {
	return func(yield func(hospital.Found[Result], error) bool) {
		count, sorted, last := 0, true, time.Time{}
		for item, err := range found {
			if !yield(item, err) || err != nil {
				return
			}
			at := measured(item.Resource.Observation)
			sorted = sorted && (count == 0 || !at.After(last))
			if count, last = count+1, at; sorted && count == n {
				return
			}
		}
	}
}

func isLast(call *report.Call, origin hospital.Origin, o *r4.Observation, code r4.Coding) bool {
	return call.Mine(origin, o.Subject) && verb.HasAny(o.Code, []r4.Coding{code})
}

func (c *Client) lastByOperation(ctx context.Context, f *fhir.Client, call *report.Call, code r4.Coding, n int) ([]hospital.Found[Result], error) {
	text := func(name, value string) r4.ParametersParameter {
		return r4.ParametersParameter{Name: name, ValueString: value}
	}
	answer, resp, err := fhir.Invoke[*r4.Bundle](ctx, f, fhir.Operation{Name: "lastn", Type: "Observation", Reads: true, Parameters: &r4.Parameters{
		Parameter: []r4.ParametersParameter{
			{Name: "max", ValuePositiveInt: &n}, text("patient", "Patient/"+call.Patient().Current()), text("code", tokenOf(code)),
		},
	}})
	if err != nil {
		return nil, err
	}
	origin := hospital.OriginOf(resp)
	out, err := verb.Collect(inTime(standing(call.Shown(ctx, func(yield func(hospital.Found[*r4.Observation], error) bool) {
		for i := range answer.Entry {
			o, err := r4.As[*r4.Observation](answer.Entry[i].Resource)
			if err != nil || !isLast(call, origin, o, code) {
				yield(hospital.Found[*r4.Observation]{}, hospital.ErrFilterIgnored)
				return
			}
			if !yield(hospital.Found[*r4.Observation]{Resource: o, Origin: origin}, nil) {
				return
			}
		}
	}), code), NewestFirst), maxTrend)
	goesOn := slices.ContainsFunc(answer.Link, func(l r4.BundleLink) bool { return l.Relation == "next" })
	if err == nil && (len(out) < n || goesOn) { // a page only, or some were entered in error
		return c.lastBySearch(ctx, f, call, code, n)
	}
	return out[:min(n, len(out))], err
}

func tokenOf(c r4.Coding) string {
	if c.System == "" {
		return c.Code
	}
	return fhir.Token(c.System, c.Code)
}
