package order

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

// Query chooses orders of a patient.
type Query struct {
	// Patient is required.
	Patient campus.PatientID
	// From and To bound when they were ordered, [From, To); a zero time does not.
	From, To time.Time
}

func (q Query) span() verb.Span { return verb.Span{From: q.From, To: q.To} }

// maxListed bounds the items of one list.
const maxListed = 5000

// List yields a patient's orders, the latest first of each campus. It may be asked across
// campuses. More than 5000 items at one are hospital.ErrUnexpectedAnswer.
func (d *Desk) List(ctx context.Context, q Query, opts ...hospital.ReadOption) iter.Seq2[Placed, error] {
	ask := func(ctx context.Context, f *fhir.Client, patient campus.PatientID) iter.Seq2[Placed, error] {
		return d.list(ctx, f, q, patient)
	}
	return hospital.Across(ctx, d.client, d.ops.Read("Orders", hospital.Session, hospital.List), q.Patient, ask, key, opts...)
}

// key names an order across campuses. Two laboratories may have begun to count at one
// number, so when it was ordered belongs to it: shown twice is better than not shown.
func key(o Order) string {
	if o.Number == "" {
		return ""
	}
	name := o.Number + "|" + o.Items[0].AuthoredOn
	for _, item := range o.Items { // cancelled here and not there is two
		said, _ := r4.Marshal(&r4.ServiceRequest{Status: item.Status, Code: item.Code, BodySite: item.BodySite})
		name += "|" + string(said)
	}
	return name
}

func (d *Desk) list(ctx context.Context, f *fhir.Client, q Query, id campus.PatientID) iter.Seq2[Placed, error] {
	if err := q.span().Check(); err != nil {
		return verb.Fail[Order](err)
	}
	patient, err := verb.FindRecords(ctx, d.client, f, id)
	if err != nil {
		return verb.Fail[Order](err)
	}
	found, err := verb.Collect(d.search(hospital.SameStore(ctx, patient.Origin), f, q, patient.Resource), maxListed)
	if err != nil {
		return verb.Fail[Order](err)
	}
	found = slices.DeleteFunc(found, func(i Item) bool { return i.Resource.Status == r4.RequestStatusEnteredInError })
	return func(yield func(Placed, error) bool) {
		for _, items := range d.requisitions(found) {
			if !yield(d.order(items), nil) {
				return
			}
		}
	}
}

func (d *Desk) search(ctx context.Context, f *fhir.Client, q Query, patient verb.Records) iter.Seq2[Item, error] {
	filters := []fhir.Filter[*r4.ServiceRequest]{fhir.ServiceRequestPatient.In(patient...), fhir.ServiceRequestCategory.Is(d.config.Category.System, d.config.Category.Code)}
	filters = append(filters, verb.Between(fhir.ServiceRequestAuthored, q.span())...)
	return verb.Search(ctx, f, fhir.For(filters...), func(s *r4.ServiceRequest, o hospital.Origin) bool {
		return patient.Own(d.client, o, s.Subject) && verb.InCategory(s.Category, d.config.Category) && q.span().Holds(s.AuthoredOn, nil)
	})
}

// requisitions gathers items by Number, the latest ordered first; what has no Number is
// an order of its own.
func (d *Desk) requisitions(found []Item) [][]Item {
	var out [][]Item
	at := map[string]int{}
	for _, i := range found {
		if r := i.Resource.Requisition; r != nil && r.System == d.config.Requisition {
			if known, ok := at[r.Value]; ok {
				out[known] = append(out[known], i)
				continue
			}
			at[r.Value] = len(out)
		}
		out = append(out, []Item{i})
	}
	slices.SortStableFunc(out, func(a, b []Item) int { return authored(b[0]).Compare(authored(a[0])) })
	return out
}

func authored(i Item) time.Time { return verb.Point(i.Resource.AuthoredOn) }
