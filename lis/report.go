package lis

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Report (检验报告) is a laboratory report with everything it refers to: all its results,
// their members, and its specimens.
type Report struct {
	// Report is the document itself, its presentedForm (PDF) untouched. When Withdrawn is
	// set only what names it is there.
	Report *r4.DiagnosticReport
	// Results in the report's order.
	Results []Result
	// Specimens in the report's order.
	Specimens []*r4.Specimen
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

// Final reports whether the laboratory stands by all of it: final, amended, corrected
// or appended.
func (r *Report) Final() bool {
	switch r.Report.Status {
	case r4.DiagnosticReportStatusFinal, r4.DiagnosticReportStatusAmended, r4.DiagnosticReportStatusCorrected, r4.DiagnosticReportStatusAppended:
		return !r.Withdrawn
	}
	return false
}

// ReportQuery chooses reports of a patient.
type ReportQuery struct {
	Patient campus.PatientID
	// From and To bound the clinically relevant time, [From, To); a zero time does not.
	From, To time.Time
	// Section of the laboratory; the zero Coding is Categories.Section.
	Section r4.Coding
	// Codes of the report, any of them; none means every one.
	Codes []r4.Coding
}

// Reports (检验报告) yields a patient's reports, the latest first, each whole: a report of
// which a member cannot be had, or is another patient's, is an error and never a
// shorter report. All statuses come and are stated. One that was entered in error is
// not shown; if this client showed it before, it comes as Withdrawn. An older version
// is never shown after a newer one: hospital.ErrStale when no newer can be had. It may
// be asked across campuses; one report of two campuses is known by its number only.
func (c *Client) Reports(ctx context.Context, q ReportQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	return c.reportSeq(ctx, "Reports", q, opts)
}

// Microbiology (微生物报告) is [Client.Reports] of Categories.Microbiology, or of the section
// in q. Its results are a tree: culture, organisms, susceptibilities (药敏);
// [Report.Isolates] walks it.
func (c *Client) Microbiology(ctx context.Context, q ReportQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	if q.Section.Code == "" {
		q.Section = c.categories.Microbiology
	}
	return c.reportSeq(ctx, "Microbiology", q, opts)
}

func (c *Client) reportSeq(ctx context.Context, name string, q ReportQuery, opts []hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	if q.Section.Code == "" {
		q.Section = c.categories.Section
	}
	ask := func(ctx context.Context, f *fhir.Client, patient campus.PatientID) iter.Seq2[hospital.Found[*Report], error] {
		return func(yield func(hospital.Found[*Report], error) bool) {
			if err := q.bounds().check(); err != nil {
				yield(hospital.Found[*Report]{}, err)
				return
			}
			d, ctx, err := c.at(ctx, f, patient, opts)
			if err != nil {
				yield(hospital.Found[*Report]{}, err)
				return
			}
			d.reports(ctx, q, yield)
		}
	}
	return hospital.Across(ctx, c.client, op(name, hospital.Session, hospital.List), q.Patient, ask, c.reportKey, opts...)
}

func (c *Client) reportKey(r *Report) string {
	return businessKey(r.Report.Identifier, c.systems.Report, r.origin, r.Report.ID)
}

func (q ReportQuery) bounds() span { return span{q.From, q.To} }

func (q ReportQuery) filters(patient string) []fhir.Filter[*r4.DiagnosticReport] {
	out := []fhir.Filter[*r4.DiagnosticReport]{
		fhir.DiagnosticReportPatient.Is(patient), fhir.DiagnosticReportCategory.Is(q.Section.System, q.Section.Code),
		fhir.DiagnosticReportResult.Include(), fhir.DiagnosticReportSpecimen.Include(), fhir.Newest(fhir.DiagnosticReportDate),
	}
	out = append(out, within(fhir.DiagnosticReportDate, q.bounds())...)
	return append(out, coded[*r4.DiagnosticReport](string(fhir.DiagnosticReportCode), q.Codes)...)
}

// answers: is the report one that was asked for?
func (d *desk) answers(q ReportQuery, r *r4.DiagnosticReport, o hospital.Origin) bool {
	return d.mine(o, r.Subject) && inCategory(r.Category, q.Section) && hasAny(r.Code, q.Codes) && q.bounds().holds(r.EffectiveDateTime, r.EffectivePeriod)
}

// reports yields what a search finds, page by page, each report with what came along
// or is fetched.
func (d *desk) reports(ctx context.Context, q ReportQuery, yield func(hospital.Found[*Report], error) bool) {
	for page, err := range fhir.Search(ctx, d.f, fhir.For(q.filters(d.patient)...)) {
		if err != nil {
			yield(hospital.Found[*Report]{}, verb.NoRoute(err))
			return
		}
		origin := hospital.OriginOf(page.Response)
		list := make([]*r4.DiagnosticReport, len(page.Matches))
		for i, r := range page.Matches {
			var err error
			if list[i], err = r4.As[*r4.DiagnosticReport](r); err != nil || !d.answers(q, list[i], origin) {
				yield(hospital.Found[*Report]{}, hospital.ErrFilterIgnored)
				return
			}
		}
		whole, err := d.whole(ctx, origin, list, page.Included, onlyShown)
		if err != nil {
			yield(hospital.Found[*Report]{}, err)
			return
		}
		for _, r := range whole {
			if !yield(hospital.Found[*Report]{Resource: r, Origin: r.origin}, nil) {
				return
			}
		}
	}
}

// Of reports that were entered in error: only those that were shown before are told,
// or every one.
const (
	onlyShown    = false
	everyMistake = true
)

func errorReport(r *r4.DiagnosticReport) bool {
	return r.Status == r4.DiagnosticReportStatusEnteredInError
}

// whole completes reports: the versions that may be shown, with all they refer to.
func (d *desk) whole(ctx context.Context, origin hospital.Origin, list []*r4.DiagnosticReport, included []r4.Resource, mistakes bool) ([]*Report, error) {
	var shown []*r4.DiagnosticReport
	for _, r := range list {
		r, before, err := current(ctx, d, origin, r, errorReport)
		switch {
		case err != nil:
			return nil, err
		case !d.mine(origin, r.Subject):
			return nil, hospital.ErrWrongPatient
		case errorReport(r) && !before && !mistakes:
			continue
		}
		shown = append(shown, r)
	}
	m := newMembers(d, origin, included)
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

// Report (按报告号查报告) reads the report of this number, for this patient, whole as in
// [Client.Reports]: hospital.ErrNotFound when there is none, hospital.ErrWrongPatient
// when it is somebody else's. One that was entered in error comes as Withdrawn.
func (c *Client) Report(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return hospital.Read(ctx, c.client, op("Report", hospital.Session, hospital.List), func(ctx context.Context, f *fhir.Client) (hospital.Found[*Report], error) {
		var none hospital.Found[*Report]
		found, err := c.numbered(ctx, f, number)
		if err != nil {
			return none, err
		}
		d, ctx, err := c.at(hospital.SameStore(ctx, found.Origin), f, patient, opts)
		switch {
		case hospital.CodeOf(err) == hospital.ErrNotFound:
			return none, hospital.ErrWrongPatient // the report exists, the patient does not
		case err != nil:
			return none, err
		case !d.mine(found.Origin, found.Resource.Subject):
			return none, hospital.ErrWrongPatient
		}
		return d.one(ctx, found)
	}, verb.ReadAbout(opts, patient)...)
}

// numbered finds the report of a number: the one that stands, or, when all were entered
// in error, one of those.
func (c *Client) numbered(ctx context.Context, f *fhir.Client, number string) (header, error) {
	q := fhir.For(fhir.Identifier[*r4.DiagnosticReport](c.systems.Report, number))
	list, err := verb.Collect(verb.Search(ctx, f, q, func(r *r4.DiagnosticReport, _ hospital.Origin) bool {
		return r4.HasIdentifier(r.Identifier, c.systems.Report, number)
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
func (d *desk) one(ctx context.Context, found header) (hospital.Found[*Report], error) {
	whole, err := d.whole(ctx, found.Origin, []*r4.DiagnosticReport{found.Resource}, nil, everyMistake)
	if err != nil {
		return hospital.Found[*Report]{}, err
	}
	return hospital.Found[*Report]{Resource: whole[0], Origin: whole[0].origin}, nil
}

// Complete (取报告全文) reads again a report that a feed told of, and all it refers to. Its
// members must be of the patient the report is of.
func (c *Client) Complete(ctx context.Context, found hospital.Found[*r4.DiagnosticReport], opts ...hospital.ReadOption) (hospital.Found[*Report], error) {
	return hospital.Read(ctx, c.client, op("Complete", hospital.Session, hospital.List), func(ctx context.Context, f *fhir.Client) (hospital.Found[*Report], error) {
		var none hospital.Found[*Report]
		if err := verb.Needs(found, campus.LIS); err != nil {
			return none, err
		}
		ctx = hospital.SameStore(ctx, found.Origin)
		r, resp, err := fhir.Read[*r4.DiagnosticReport](ctx, f, found.Resource.ID)
		if err != nil {
			return none, err
		}
		origin := hospital.OriginOf(resp)
		patient, ok := c.subjectOf(origin, r.Subject)
		if !ok {
			return none, hospital.Refuse(hospital.ErrUnexpectedAnswer, "the report names no patient of its store")
		}
		hospital.Concerns(ctx, verb.ByRecord(origin, patient))
		d := &desk{Client: c, f: f, opts: opts, patient: patient, origin: origin}
		return d.one(ctx, header{Resource: r, Origin: origin})
	}, opts...)
}

// subjectOf is the logical id of the patient whom a reference names.
func (c *Client) subjectOf(o hospital.Origin, subject *r4.Reference) (string, bool) {
	if subject == nil {
		return "", false
	}
	typ, id, ok := c.client.Local(o, subject.Reference)
	return id, ok && typ == "Patient"
}
