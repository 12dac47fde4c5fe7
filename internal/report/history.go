package report

import (
	"context"
	"iter"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Direction is an order in time.
type Direction bool

// Directions.
const (
	OldestFirst Direction = false
	NewestFirst Direction = true
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

// Versions yields the versions of a report: preliminary, final, amended, corrected,
// withdrawn. hospital.ErrStale when the server knows only versions older than one that
// was shown.
func (d *Desk) Versions(ctx context.Context, report hospital.Found[*Report], dir Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.DiagnosticReport], error] {
	found := header{Origin: report.Origin}
	if report.Resource != nil {
		found.Resource = report.Resource.Report
	}
	return versions(ctx, d, "ReportVersions", found, dir, Headers(), opts)
}

// ResultVersions yields the versions of a single result, as [Desk.Versions] those of a
// report.
func (d *Desk) ResultVersions(ctx context.Context, result hospital.Found[Result], dir Direction, opts ...hospital.ReadOption) iter.Seq2[Version[*r4.Observation], error] {
	found := hospital.Found[*r4.Observation]{Resource: result.Resource.Observation, Origin: result.Origin}
	return versions(ctx, d, "ResultVersions", found, dir, Observations(), opts)
}

func versions[T r4.Resource](ctx context.Context, d *Desk, name string, found hospital.Found[T], dir Direction, k Kind[T], opts []hospital.ReadOption) iter.Seq2[Version[T], error] {
	return hospital.Stream(ctx, d.client, d.ops.Read(name, hospital.Strong, hospital.List), func(ctx context.Context, f *fhir.Client) iter.Seq2[Version[T], error] {
		return func(yield func(Version[T], error) bool) {
			list, err := k.read(ctx, d, f, found)
			if err != nil {
				yield(Version[T]{}, err)
				return
			}
			if dir == OldestFirst {
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
func (k Kind[T]) read(ctx context.Context, d *Desk, f *fhir.Client, found hospital.Found[T]) ([]Version[T], error) {
	if err := verb.Needs(found, d.config.System); err != nil {
		return nil, err
	}
	patient, ok := verb.PatientOf(d.client, found.Origin, k.Subject(found.Resource))
	if !ok {
		return nil, hospital.Refuse(hospital.ErrInvalidArgument, "it names no patient of its store")
	}
	hospital.Concerns(ctx, verb.ByRecord(found.Origin, patient))
	records, err := verb.RecordsOf(ctx, d.client, f, found.Origin, patient)
	if err != nil {
		return nil, err
	}
	var out []Version[T]
	var last *seenVersion
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
			version := versionOf(v.Resource)
			if last != nil && last.before(version) {
				return nil, hospital.Refuse(hospital.ErrUnexpectedAnswer, "the history does not begin with the latest version")
			}
			last = &version
			// Older ones are history, and asked for as such.
			if shown.Current && d.Take(origin, v.Resource, !k.InError(v.Resource)) {
				return nil, hospital.ErrStale
			}
			switch {
			case !records.Own(d.client, origin, k.Subject(v.Resource)):
				shown.Withdrawn = true
			case k.InError(v.Resource):
				shown.Resource, shown.Withdrawn = k.Stripped(v.Resource), true
			default:
				shown.Resource = v.Resource
			}
		}
		out = append(out, shown)
	}
	return out, nil
}
