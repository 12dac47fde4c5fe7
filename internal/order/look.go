package order

import (
	"cmp"
	"context"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Find reads the order of a Number, for this patient: hospital.ErrNotFound when there is
// none, hospital.ErrWrongPatient when it is somebody else's.
func (d *Desk) Find(ctx context.Context, number string, patient campus.PatientID, opts ...hospital.ReadOption) (Placed, error) {
	return hospital.Read(ctx, d.client, d.ops.Read("OrderOf", hospital.Session, hospital.Quick), func(ctx context.Context, f *fhir.Client) (Placed, error) {
		placed, _, err := d.Owned(ctx, f, number, patient)
		return placed, err
	}, verb.ReadAbout(opts, patient)...)
}

// Owned finds an order by Number, checks whose it is, and returns the patient's records
// in the Store that answered. An item that was made twice is hospital.ErrConflict.
func (d *Desk) Owned(ctx context.Context, f *fhir.Client, number string, id campus.PatientID) (Placed, verb.Records, error) {
	items, patient, err := d.owned(ctx, f, number, id)
	if err != nil {
		return Placed{}, nil, err
	}
	if len(doubled(d.lines(items))) > 0 {
		return Placed{}, nil, errTwoLive
	}
	return d.order(items), patient, nil
}

// Settled is [Desk.Owned] for a writing verb: what was made twice in one moment is
// ended once.
func (d *Desk) Settled(ctx context.Context, f *fhir.Client, number string, id campus.PatientID) (Placed, verb.Records, error) {
	items, patient, err := d.owned(ctx, f, number, id)
	if err != nil {
		return Placed{}, nil, err
	}
	if items, err = d.settle(hospital.SameStore(ctx, items[0].Origin), f, patient, items, nil); err != nil {
		return Placed{}, nil, err
	}
	return d.order(items), patient, nil
}

func (d *Desk) owned(ctx context.Context, f *fhir.Client, number string, id campus.PatientID) ([]Item, verb.Records, error) {
	if err := verb.CheckNumber(number); err != nil {
		return nil, nil, err
	}
	items, err := d.items(ctx, f, number, nil)
	if err != nil {
		return nil, nil, err
	}
	patient, err := verb.FindRecords(hospital.SameStore(ctx, items[0].Origin), d.client, f, id)
	switch {
	case hospital.CodeOf(err) == hospital.ErrNotFound:
		return nil, nil, hospital.ErrWrongPatient // the order exists, the patient does not
	case err != nil:
		return nil, nil, err
	case !d.allOf(items, patient.Resource):
		return nil, nil, hospital.ErrWrongPatient
	}
	return items, patient.Resource, nil
}

// maxFound bounds the items that are looked at for one Number.
const maxFound = 4 * MaxItems

// items finds what carries the Number and was not entered in error, and adds those
// that were made just now where the search does not show them yet. None is
// hospital.ErrNotFound.
func (d *Desk) items(ctx context.Context, f *fhir.Client, number string, mine []Item) ([]Item, error) {
	q := fhir.For(fhir.Raw[*r4.ServiceRequest]("requisition", fhir.Token(d.config.Requisition, number), true))
	found, err := verb.Collect(verb.Search(ctx, f, q, func(s *r4.ServiceRequest, _ hospital.Origin) bool {
		return s.Requisition != nil && s.Requisition.System == d.config.Requisition && s.Requisition.Value == number
	}), maxFound)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(i Item) bool { return i.Resource.Status == r4.RequestStatusEnteredInError })
	for _, m := range mine {
		if !slices.ContainsFunc(found, func(i Item) bool { return i.Resource.ID == m.Resource.ID }) {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return nil, hospital.ErrNotFound
	}
	return found, nil
}

// allOf: are all of them this patient's?
func (d *Desk) allOf(items []Item, patient verb.Records) bool {
	return !slices.ContainsFunc(items, func(i Item) bool { return !patient.Own(d.client, i.Origin, i.Resource.Subject) })
}

// lines gathers items by line; what has none is a line of its own.
func (d *Desk) lines(items []Item) [][]Item {
	var out [][]Item
	at := map[int]int{}
	for _, i := range items {
		line := d.LineOf(i.Resource)
		if known, ok := at[line]; ok && line > 0 {
			out[known] = append(out[known], i)
			continue
		}
		at[line] = len(out)
		out = append(out, []Item{i})
	}
	slices.SortStableFunc(out, func(a, b []Item) int { return cmp.Compare(d.lineRank(a[0]), d.lineRank(b[0])) })
	return out
}

func (d *Desk) lineRank(i Item) int {
	if line := d.LineOf(i.Resource); line > 0 {
		return line
	}
	return maxFound + 1 // behind those that have one
}

// doubled are the lines of which more than one item stands, without those that do not.
func doubled(lines [][]Item) [][]Item {
	var out [][]Item
	for _, l := range lines {
		if l = live(l); len(l) > 1 {
			out = append(out, l)
		}
	}
	return out
}

func live(items []Item) []Item {
	return slices.DeleteFunc(slices.Clone(items), func(i Item) bool { return !Live(i.Resource) })
}

// order is what is shown: of each line the item that stands, else the one that was
// cancelled last.
func (d *Desk) order(items []Item) Placed {
	out := Placed{Origin: items[0].Origin}
	if r := items[0].Resource.Requisition; r != nil && r.System == d.config.Requisition {
		out.Resource.Number = r.Value
	}
	for _, l := range d.lines(items) {
		shown := l
		if stands := live(l); len(stands) > 0 {
			shown = stands
		}
		last := slices.MaxFunc(shown, func(a, b Item) int { return verb.Updated(a.Resource).Compare(verb.Updated(b.Resource)) })
		out.Resource.Items = append(out.Resource.Items, last.Resource)
	}
	return out
}

var errTwoLive = hospital.Refuse(hospital.ErrConflict, "two live items carry one line of the Number; have one of them cancelled")

// settle keeps one of several items of one line, which a server that looks, then
// inserts can make, and cancels the others, guarded by their versions: the earliest
// stays. Nothing is ended that somebody has begun with, nor where it cannot be told
// that all are of one moment, as a repetition makes them. Of equal times mine go: who
// wrote later must not stay when the earlier one has been told that it is alone.
func (d *Desk) settle(ctx context.Context, f *fhir.Client, patient verb.Records, items, mine []Item) ([]Item, error) {
	window := verb.Contract(d.client, items[0].Origin).MaxRun() + verb.ClockMargin
	var over []Item
	for _, l := range doubled(d.lines(items)) {
		slices.SortStableFunc(l, func(a, b Item) int {
			return cmp.Or(verb.Updated(a.Resource).Compare(verb.Updated(b.Resource)), cmp.Compare(rank(a, mine), rank(b, mine)))
		})
		first := verb.Updated(l[0].Resource)
		for _, i := range l[1:] {
			apart := verb.Updated(i.Resource).Sub(first)
			tied := apart == 0 && rank(i, mine) == 0
			if i.Resource.Status != r4.RequestStatusActive || first.IsZero() || apart > window || tied {
				return nil, errTwoLive
			}
			over = append(over, i)
		}
	}
	if len(over) == 0 {
		return items, nil
	}
	if err := d.begun(ctx, f, patient, over); err != nil {
		if hospital.CodeOf(err) == hospital.ErrRefused {
			err = errTwoLive
		}
		return nil, err
	}
	ended, err := d.revoke(ctx, f, over)
	if err != nil {
		return nil, err
	}
	for i := range items {
		if at := slices.IndexFunc(ended, func(e Item) bool { return e.Resource.ID == items[i].Resource.ID }); at >= 0 {
			items[i] = ended[at]
		}
	}
	return items, nil
}

func rank(i Item, mine []Item) int {
	if slices.ContainsFunc(mine, func(m Item) bool { return m.Resource.ID == i.Resource.ID }) {
		return 1
	}
	return 0
}

func (d *Desk) begun(ctx context.Context, f *fhir.Client, patient verb.Records, items []Item) error {
	if d.config.Begun == nil {
		return nil
	}
	return d.config.Begun(ctx, f, patient, items)
}
