package report

import (
	"context"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Report is a report with everything it refers to: all its results, their members, its
// specimens and, where Config.StudyUID is set, its images.
type Report struct {
	// Report is the document itself, its conclusion and presentedForm (PDF) untouched.
	// When Withdrawn is set only what names it is there.
	Report *r4.DiagnosticReport
	// Results in the report's order.
	Results []Result
	// Specimens in the report's order.
	Specimens []*r4.Specimen
	// Studies are the Study Instance UIDs of the images it is about, in its order; those
	// that were entered in error are left out. A laboratory's report has none.
	Studies []string
	// Withdrawn says that the report was entered in error: nothing of it is shown, and
	// whatever was shown of it before must not be used.
	Withdrawn bool
	// Recognised says that the report carries the mark of mutual recognition; see [Marks].
	Recognised bool

	origin hospital.Origin
}

// Status is how far the report is, in the standard's words: registered, partial,
// preliminary, final, amended, corrected, appended, cancelled, entered-in-error or
// unknown.
func (r *Report) Status() string { return r.Report.Status }

// Final reports whether whoever made it stands by all of it: final, amended, corrected
// or appended.
func (r *Report) Final() bool {
	switch r.Report.Status {
	case r4.DiagnosticReportStatusFinal, r4.DiagnosticReportStatusAmended, r4.DiagnosticReportStatusCorrected, r4.DiagnosticReportStatusAppended:
		return !r.Withdrawn
	}
	return false
}

type header = hospital.Found[*r4.DiagnosticReport]

// Of reports that were entered in error: only those that were shown before are told,
// or every one.
const (
	onlyShown    = false
	everyMistake = true
)

// whole completes reports: the versions that may be shown, with all they refer to.
func (c *Call) whole(ctx context.Context, origin hospital.Origin, list []*r4.DiagnosticReport, included []r4.Resource, mistakes bool) ([]*Report, error) {
	var shown []*r4.DiagnosticReport
	for _, r := range list {
		r, before, err := Current(ctx, c, origin, r, errorReport)
		switch {
		case err != nil:
			return nil, err
		case !c.Mine(origin, r.Subject):
			return nil, hospital.ErrWrongPatient
		case errorReport(r) && !before && !mistakes:
			continue
		}
		shown = append(shown, r)
	}
	m := newMembers(c, origin, included)
	if err := m.gather(ctx, slices.DeleteFunc(slices.Clone(shown), errorReport)); err != nil {
		return nil, err
	}
	out := make([]*Report, len(shown))
	for i, r := range shown {
		var err error
		if out[i], err = m.report(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Find reads the report of this number, for this patient, whole as in [Desk.List]:
// hospital.ErrNotFound when there is none, hospital.ErrWrongPatient when it is somebody
// else's. One that was entered in error comes as Withdrawn.
func (d *Desk) Find(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return hospital.Read(ctx, d.client, d.ops.Read("Report", hospital.Session, hospital.List), func(ctx context.Context, f *fhir.Client) (hospital.Found[*Report], error) {
		var none hospital.Found[*Report]
		found, err := d.numbered(ctx, f, number)
		if err != nil {
			return none, err
		}
		c, ctx, err := d.At(hospital.SameStore(ctx, found.Origin), f, patient, opts)
		switch {
		case hospital.CodeOf(err) == hospital.ErrNotFound:
			return none, hospital.ErrWrongPatient // the report exists, the patient does not
		case err != nil:
			return none, err
		case !c.Mine(found.Origin, found.Resource.Subject):
			return none, hospital.ErrWrongPatient
		}
		return c.one(ctx, found)
	}, verb.ReadAbout(opts, patient)...)
}

// numbered finds the report of a number: the one that stands, or, when all were entered
// in error, one of those.
func (d *Desk) numbered(ctx context.Context, f *fhir.Client, number string) (header, error) {
	q := fhir.For(fhir.Identifier[*r4.DiagnosticReport](d.config.Number, number))
	list, err := verb.Collect(verb.Search(ctx, f, q, func(r *r4.DiagnosticReport, _ hospital.Origin) bool {
		return r4.HasIdentifier(r.Identifier, d.config.Number, number)
	}), verb.MaxSame)
	if err != nil {
		return header{}, err
	}
	stand := slices.DeleteFunc(slices.Clone(list), func(r header) bool { return errorReport(r.Resource) })
	switch {
	case len(list) == 0:
		return header{}, hospital.ErrNotFound
	case len(stand) == 0:
		return list[0], nil
	case len(stand) > 1:
		return header{}, hospital.Refuse(hospital.ErrUnexpectedAnswer, "several reports carry the number")
	}
	return stand[0], nil
}

// one completes a single report.
func (c *Call) one(ctx context.Context, found header) (hospital.Found[*Report], error) {
	whole, err := c.whole(ctx, found.Origin, []*r4.DiagnosticReport{found.Resource}, nil, everyMistake)
	if err != nil {
		return hospital.Found[*Report]{}, err
	}
	return hospital.Found[*Report]{Resource: whole[0], Origin: whole[0].origin}, nil
}

// Complete reads again a report that a feed told of, and all it refers to. Its members
// must be of the patient the report is of, or it is hospital.ErrWrongPatient;
// hospital.ErrNotFound when it was deleted.
func (d *Desk) Complete(ctx context.Context, found hospital.Found[*r4.DiagnosticReport], opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return hospital.Read(ctx, d.client, d.ops.Read("Complete", hospital.Session, hospital.List), func(ctx context.Context, f *fhir.Client) (hospital.Found[*Report], error) {
		var none hospital.Found[*Report]
		if err := verb.Needs(found, d.config.System); err != nil {
			return none, err
		}
		ctx = hospital.SameStore(ctx, found.Origin)
		r, resp, err := fhir.Read[*r4.DiagnosticReport](ctx, f, found.Resource.ID)
		if err != nil {
			return none, err
		}
		origin := hospital.OriginOf(resp)
		patient, ok := verb.PatientOf(d.client, origin, r.Subject)
		if !ok {
			return none, hospital.Refuse(hospital.ErrUnexpectedAnswer, "the report names no patient of its store")
		}
		hospital.Concerns(ctx, verb.ByRecord(origin, patient))
		records, err := verb.RecordsOf(ctx, d.client, f, origin, patient)
		if err != nil {
			return none, err
		}
		return d.Of(f, records, opts).one(ctx, header{Resource: r, Origin: origin})
	}, opts...)
}
