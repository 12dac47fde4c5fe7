package booking

import (
	"context"
	"errors"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// checkOrder: nothing was ordered, or what a verb returned from the slot's store.
func (a *act) checkOrder() error {
	if a.order.Resource == nil {
		return nil
	}
	if err := verb.Needs(a.order, a.desk.system); err != nil {
		return err
	}
	if !sameIDs(a.order.Origin, a.slot.Origin) {
		return hospital.Refuse(hospital.ErrInvalidArgument, "slot and order were read from two stores or epochs; read them again")
	}
	return nil
}

// guardOrder checks that the order is the patient's, active, and as the caller read
// it, and returns the entry that keeps it so until the booking stands: the order, put
// back unchanged. Where versions are no proved guard there is none: what is put back
// could overwrite a revocation of just now.
func (a *act) guardOrder(ctx context.Context, f *fhir.Client, patient verb.Records) ([]r4.BundleEntry, error) {
	if a.order.Resource == nil {
		return nil, nil
	}
	order, resp, err := fhir.Read[*r4.ServiceRequest](hospital.SameStore(ctx, a.order.Origin), f, a.order.Resource.ID)
	switch {
	case errors.Is(err, fhir.ErrNotFound) || errors.Is(err, fhir.ErrGone):
		return nil, hospital.Refuse(hospital.ErrConflict, "the order does not exist any more")
	case err != nil:
		return nil, err
	case !patient.Own(a.desk.client, hospital.OriginOf(resp), order.Subject):
		return nil, hospital.ErrWrongPatient
	case order.Status != r4.RequestStatusActive:
		return nil, hospital.Refuse(hospital.ErrConflict, "the order is not active")
	case fhir.ETag(order.Meta) == "":
		return nil, verb.ErrUnguarded
	case fhir.ETag(order.Meta) != fhir.ETag(a.order.Resource.Meta):
		return nil, hospital.Refuse(hospital.ErrConflict, "the order changed since it was read; read it again")
	case !a.desk.guards(a.order.Origin.Store):
		return nil, nil
	}
	return []r4.BundleEntry{fhir.Put(order)}, nil
}

// guards: is a version a proved guard at every door of the store that takes writes?
func (d *Desk) guards(store campus.StoreID) bool {
	return !slices.ContainsFunc(d.client.Topology().Endpoints(), func(e *campus.Endpoint) bool {
		return e.System == d.system && e.Store == store && e.Writes() && !e.Contract.Versioning
	})
}

// basedOn is what the Appointment refers to, the order among it if there is one.
func (a *act) basedOn(refs []r4.Reference, o hospital.Origin) []r4.Reference {
	if a.ordered(refs, o) {
		return refs
	}
	return append(slices.Clip(refs), *r4.RefTo("ServiceRequest", a.order.Resource.ID))
}

// ordered: is the order among what an Appointment refers to? Where there is none
// anything is.
func (a *act) ordered(refs []r4.Reference, o hospital.Origin) bool {
	return a.order.Resource == nil || slices.ContainsFunc(refs, func(r r4.Reference) bool {
		return o.Store == a.order.Origin.Store && a.desk.client.Names(o, &r, "ServiceRequest", a.order.Resource.ID)
	})
}
