package report

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Query chooses reports of a patient.
type Query struct {
	// Patient is required.
	Patient campus.PatientID
	// From and To bound the clinically relevant time, [From, To); a zero time does not.
	From, To time.Time
	// Section of the department; the zero Coding is Config.Section.
	Section r4.Coding
	// Codes of the report, any of them; none means every one.
	Codes []r4.Coding
}

// List yields a patient's reports, the latest first of each campus, each whole: a report
// of which a member cannot be had, or is another patient's, is an error and never a
// shorter report. All statuses come and are stated. One that was entered in error is not
// shown; if this desk showed it before, it comes as Withdrawn. An older version is never
// shown after a newer one: hospital.ErrStale when no newer can be had. It may be asked
// across campuses; what two campuses have of one number, status, time, conclusion and
// results comes once. The operation has the name of the client's verb.
func (d *Desk) List(ctx context.Context, name string, q Query, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*Report], error] {
	ask := func(ctx context.Context, f *fhir.Client, patient campus.PatientID) iter.Seq2[hospital.Found[*Report], error] {
		if err := q.Check(); err != nil {
			return verb.Fail[*Report](err)
		}
		c, ctx, err := d.At(ctx, f, patient, opts)
		if err != nil {
			return verb.Fail[*Report](err)
		}
		return c.Reports(ctx, q, nil)
	}
	return hospital.Across(ctx, d.client, d.ops.Read(name, hospital.Session, hospital.List), q.Patient, ask, d.key, opts...)
}

// key names a report across campuses. Two laboratories may have begun to count at one
// number, and one of two copies may have been corrected: shown twice is better than
// not shown.
func (d *Desk) key(r *Report) string {
	p := r.Report
	said, _ := r4.Marshal(&r4.DiagnosticReport{ConclusionCode: p.ConclusionCode, PresentedForm: p.PresentedForm, Media: p.Media})
	name := edition(businessKey(p.Identifier, d.config.Number, r.origin, p.ID), p.Code, p.EffectivePeriod, p.Status, p.EffectiveDateTime, p.Issued, p.Conclusion, string(said), strconv.FormatBool(r.Recognised))
	for _, result := range r.Results {
		name += "\n" + substance(result)
	}
	return name
}

// Check refuses a query of a time that ends before it begins.
func (q Query) Check() error { return q.span().Check() }

func (q Query) span() verb.Span { return verb.Span{From: q.From, To: q.To} }

// Reports yields the reports that q chooses of the call's patient, page by page, each
// with what came along or is fetched. Where orders, ids of ServiceRequests, are given
// only those that are based on one of them.
func (c *Call) Reports(ctx context.Context, q Query, orders []string) iter.Seq2[hospital.Found[*Report], error] {
	if q.Section.Code == "" {
		q.Section = c.config.Section
	}
	return func(yield func(hospital.Found[*Report], error) bool) {
		for page, err := range fhir.Search(ctx, c.f, fhir.For(c.filters(q, orders)...)) {
			if err != nil {
				yield(hospital.Found[*Report]{}, verb.NoRoute(err))
				return
			}
			whole, err := c.page(ctx, page, q, orders)
			if err != nil {
				yield(hospital.Found[*Report]{}, err)
				return
			}
			for _, r := range whole {
				// the version that may be shown may be of another test, time or order
				if !r.Withdrawn && !c.answers(q, orders, r.Report, r.origin) {
					continue
				}
				if !yield(hospital.Found[*Report]{Resource: r, Origin: r.origin}, nil) {
					return
				}
			}
		}
	}
}

func (c *Call) filters(q Query, orders []string) []fhir.Filter[*r4.DiagnosticReport] {
	out := []fhir.Filter[*r4.DiagnosticReport]{
		fhir.DiagnosticReportPatient.In(c.patient...), fhir.DiagnosticReportCategory.Is(q.Section.System, q.Section.Code),
		fhir.DiagnosticReportResult.Include(), fhir.DiagnosticReportSpecimen.Include(), fhir.Newest(fhir.DiagnosticReportDate),
	}
	if len(orders) > 0 {
		out = append(out, basedOn(orders))
	}
	out = append(out, verb.Between(fhir.DiagnosticReportDate, q.span())...)
	return append(out, verb.Coded[*r4.DiagnosticReport](string(fhir.DiagnosticReportCode), q.Codes)...)
}

// basedOn is a filter for reports on one of several ServiceRequests.
func basedOn(orders []string) fhir.Filter[*r4.DiagnosticReport] {
	refs := make([]string, len(orders))
	for i := range orders {
		refs[i] = "ServiceRequest/" + orders[i]
	}
	return verb.AnyOf[*r4.DiagnosticReport](string(fhir.DiagnosticReportOrder), refs)
}

// On reports whether a report is based on the ServiceRequest of this id.
func (d *Desk) On(r *r4.DiagnosticReport, o hospital.Origin, order string) bool {
	return slices.ContainsFunc(r.BasedOn, func(ref r4.Reference) bool { return d.client.Names(o, &ref, "ServiceRequest", order) })
}

// maxOn bounds the reports on the items of one order.
const maxOn = 5000

// OnItems finds the reports on a patient's order items, but for those entered in error.
func (d *Desk) OnItems(ctx context.Context, f *fhir.Client, patient verb.Records, items []hospital.Found[*r4.ServiceRequest]) ([]hospital.Found[*r4.DiagnosticReport], error) {
	ids := verb.IDs(items)
	all, err := verb.Collect(verb.Search(ctx, f, fhir.For(basedOn(ids)), func(r *r4.DiagnosticReport, o hospital.Origin) bool {
		return patient.Own(d.client, o, r.Subject) && slices.ContainsFunc(ids, func(id string) bool { return d.On(r, o, id) })
	}), maxOn)
	return slices.DeleteFunc(all, func(r hospital.Found[*r4.DiagnosticReport]) bool {
		return r.Resource.Status == r4.DiagnosticReportStatusEnteredInError
	}), err
}

// page completes the reports of one page, each of which must be one that was asked for.
func (c *Call) page(ctx context.Context, page *fhir.Page, q Query, orders []string) ([]*Report, error) {
	origin := hospital.OriginOf(page.Response)
	list := make([]*r4.DiagnosticReport, len(page.Matches))
	for i, r := range page.Matches {
		var err error
		if list[i], err = r4.As[*r4.DiagnosticReport](r); err != nil || !c.answers(q, orders, list[i], origin) {
			return nil, hospital.ErrFilterIgnored
		}
	}
	return c.whole(ctx, origin, list, page.Included, onlyShown)
}

// answers: is the report one that was asked for?
func (c *Call) answers(q Query, orders []string, r *r4.DiagnosticReport, o hospital.Origin) bool {
	on := func(order string) bool { return c.On(r, o, order) }
	return c.Mine(o, r.Subject) && verb.InCategory(r.Category, q.Section) && verb.HasAny(r.Code, q.Codes) &&
		q.span().Holds(r.EffectiveDateTime, r.EffectivePeriod) && (len(orders) == 0 || slices.ContainsFunc(orders, on))
}
