package report

import (
	"context"
	"iter"
	"strconv"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
)

// Shown yields of single results the versions that may be shown, each without Members.
// One that was entered in error is left out, unless it was shown before.
func (c *Call) Shown(ctx context.Context, found iter.Seq2[hospital.Found[*r4.Observation], error]) iter.Seq2[hospital.Found[Result], error] {
	return func(yield func(hospital.Found[Result], error) bool) {
		for item, err := range found {
			if err != nil {
				yield(hospital.Found[Result]{}, err)
				return
			}
			o, before, err := Current(ctx, c, item.Origin, item.Resource, errorObservation)
			if err == nil && !c.Mine(item.Origin, o.Subject) {
				err = hospital.ErrWrongPatient
			}
			if err != nil {
				yield(hospital.Found[Result]{}, err)
				return
			}
			if errorObservation(o) && !before {
				continue
			}
			if !yield(hospital.Found[Result]{Resource: c.result(o, item.Origin), Origin: item.Origin}, nil) {
				return
			}
		}
	}
}

// ResultKey names a result that several campuses may hold, as a report is named.
func ResultKey(r Result) string {
	o := r.Observation
	return businessKey(o.Identifier, "", r.origin, o.ID) + "\n" + strconv.FormatBool(r.Recognised) + "\n" + substance(r)
}

// substance is all that a result and its members say, without what differs from store to store.
func substance(r Result) string {
	o := *r.Observation
	o.ID, o.Identifier, o.Meta, o.Text, o.Subject, o.Encounter, o.Specimen, o.Device = "", nil, nil, nil, nil, nil, nil, nil
	o.BasedOn, o.PartOf, o.Focus, o.Performer, o.HasMember, o.DerivedFrom = nil, nil, nil, nil, nil, nil
	data, _ := r4.Marshal(&o)
	out := string(data)
	for _, m := range r.Members {
		out += "\n" + substance(m)
	}
	return out
}
