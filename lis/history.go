package lis

import (
	"context"
	"iter"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Version is one version of a report or a result.
type Version[T r4.Resource] struct {
	// Resource is that version, without members: those have versions of their own. It is
	// nil of a deletion and of a version that was another patient's; of one that was
	// entered in error it is only what names it.
	Resource T
	// At is when the server stored it (an instant), "" when it does not say.
	At string
	// Current says that it is the latest there is; all others were superseded.
	Current bool
	// Withdrawn says that this version was entered in error, or was another patient's.
	Withdrawn bool
	// Deleted says that the resource was deleted then.
	Deleted bool
}

// maxVersions bounds the history of one resource.
const maxVersions = 1000

// ReportVersions (报告修改记录) yields the versions of a report: preliminary, final, amended,
// corrected, withdrawn. hospital.ErrStale when the server knows only versions older
// than one that was shown.
func (c *Client) ReportVersions(ctx context.Context, report hospital.Found[*Report], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.DiagnosticReport], error] {
	if report.Resource == nil {
		return func(yield func(Version[*r4.DiagnosticReport], error) bool) {
			yield(Version[*r4.DiagnosticReport]{}, hospital.Refuse(hospital.ErrInvalidArgument, "pass what a verb of this package returned"))
		}
	}
	found := header{Resource: report.Resource.Report, Origin: report.Origin}
	subject := func(r *r4.DiagnosticReport) *r4.Reference { return r.Subject }
	return versions(ctx, c, "ReportVersions", found, d, past[*r4.DiagnosticReport]{subject, errorReport, withdrawnReport}, opts)
}

// ResultVersions (结果修改记录) yields the versions of a single result, as
// [Client.ReportVersions] those of a report.
func (c *Client) ResultVersions(ctx context.Context, result hospital.Found[Result], d Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.Observation], error] {
	found := hospital.Found[*r4.Observation]{Resource: result.Resource.Observation, Origin: result.Origin}
	subject := func(o *r4.Observation) *r4.Reference { return o.Subject }
	return versions(ctx, c, "ResultVersions", found, d, past[*r4.Observation]{subject, errorObservation, withdrawnObservation}, opts)
}

// past is how a type's versions are shown.
type past[T r4.Resource] struct {
	subject  func(T) *r4.Reference
	mistaken func(T) bool
	stripped func(T) T
}

func versions[T r4.Resource](ctx context.Context, c *Client, name string, found hospital.Found[T], d Direction, p past[T], opts []hospital.ReadOption) iter.Seq2[Version[T], error] {
	return hospital.Stream(ctx, c.client, op(name, hospital.Strong, hospital.List), func(ctx context.Context, f *fhir.Client) iter.Seq2[Version[T], error] {
		return func(yield func(Version[T], error) bool) {
			list, err := p.read(ctx, c, f, found)
			if err != nil {
				yield(Version[T]{}, err)
				return
			}
			if d == OldestFirst {
				slices.Reverse(list)
			}
			for _, v := range list {
				if !yield(v, nil) {
					return
				}
			}
		}
	}, opts...)
}

// read collects the versions, the latest first.
func (p past[T]) read(ctx context.Context, c *Client, f *fhir.Client, found hospital.Found[T]) ([]Version[T], error) {
	if err := verb.Needs(found, campus.LIS); err != nil {
		return nil, err
	}
	patient, ok := c.subjectOf(found.Origin, p.subject(found.Resource))
	if !ok {
		return nil, hospital.Refuse(hospital.ErrInvalidArgument, "it names no patient of its store")
	}
	hospital.Concerns(ctx, verb.ByRecord(found.Origin, patient))
	var out []Version[T]
	for v, err := range fhir.History[T](hospital.SameStore(ctx, found.Origin), f, found.Resource.ResourceID()) {
		switch {
		case err != nil:
			return nil, verb.NoRoute(err)
		case len(out) == maxVersions:
			return nil, hospital.Refuse(hospital.ErrUnexpectedAnswer, "far more versions than can be")
		}
		shown := Version[T]{At: v.At, Current: len(out) == 0, Deleted: v.Deleted}
		if !v.Deleted {
			origin := hospital.OriginOf(v.Response)
			if stale, _ := c.takeFirst(origin, v.Resource, len(out) == 0, !p.mistaken(v.Resource)); stale {
				return nil, hospital.ErrStale
			}
			switch {
			case !c.client.Names(origin, p.subject(v.Resource), "Patient", patient):
				shown.Withdrawn = true
			case p.mistaken(v.Resource):
				shown.Resource, shown.Withdrawn = p.stripped(v.Resource), true
			default:
				shown.Resource = v.Resource
			}
		}
		out = append(out, shown)
	}
	return out, nil
}

// takeFirst compares the latest version with what was shown before; older ones are
// history, and asked for as such.
func (c *Client) takeFirst(o hospital.Origin, r r4.Resource, latest, shows bool) (stale, shown bool) {
	if !latest {
		return false, false
	}
	return c.seen.take(o, r, shows)
}
