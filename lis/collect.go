package lis

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/order"
	"github.com/hospital-go/hospital/internal/verb"
)

// CollectRequest is a tube that was filled.
type CollectRequest struct {
	// Barcode of the tube (条码号), the Number of this act; at most 32 characters. Required.
	Barcode string
	// Order is the requisition number of the order it was taken for. Required.
	Order string
	// Patient whose order it is. Required.
	Patient campus.PatientID
	// Lines of the order's items that this tube is for, counted from 1; empty means all
	// that stand.
	Lines []int
	// Type of the material; nil takes what the order says, where all its items agree.
	Type *r4.CodeableConcept
	// At is when it was taken; the zero time is now.
	At time.Time
	// Collector is who took it: a staff number. The zero Identifier is nobody.
	Collector r4.Identifier
}

// Collect (标本采集) records that a specimen was taken: the Specimen, which carries the
// barcode, and the items it is for, guarded by their versions, in one transaction. An
// order that is being cancelled and collected at the same moment is one of both, where
// versions are a proved guard (campus.Contract.Versioning); elsewhere it may be both.
// Collecting again with the same barcode is success; a barcode of another patient,
// order or items, or of a specimen that was rejected, is hospital.ErrNumberReused; an
// item that was cancelled is hospital.ErrConflict.
func (c *Client) Collect(ctx context.Context, r CollectRequest, opts ...hospital.WriteOption) (hospital.Found[*r4.Specimen], error) {
	k := &collecting{client: c, CollectRequest: r}
	return hospital.Write(ctx, c.client, ops().Guarded("Collect"), r.Barcode, k.send, k.find, verb.About(opts, r.Patient)...)
}

type collecting struct {
	CollectRequest
	client *Client
}

func (k *collecting) check() error {
	if err := verb.CheckNumber(k.Barcode); err != nil {
		return err
	}
	if err := verb.CheckNumber(k.Order); err != nil {
		return err
	}
	return k.Patient.Validate()
}

func (k *collecting) send(ctx context.Context, f *fhir.Client) (tube, error) {
	if done, err := k.find(ctx, f); hospital.CodeOf(err) != hospital.ErrNotFound {
		return done, err
	}
	placed, patient, err := k.client.orders.Settled(ctx, f, k.Order, k.Patient)
	if err != nil {
		return tube{}, err
	}
	items, err := k.items(placed)
	if err != nil {
		return tube{}, err
	}
	ctx = hospital.SameStore(ctx, placed.Origin)
	bundle := &r4.Bundle{Type: r4.BundleTypeTransaction, Entry: []r4.BundleEntry{k.client.newTube(k.specimen(patient.Current(), items), k.Barcode)}}
	for _, i := range items {
		changed := *i.Resource
		changed.Specimen = append(slices.Clone(changed.Specimen), r4.Reference{Reference: tubeURL})
		entry := fhir.Put(&changed)
		if entry.Request == nil {
			return tube{}, verb.ErrUnguarded
		}
		bundle.Entry = append(bundle.Entry, entry)
	}
	answer, resp, err := fhir.Transaction(ctx, f, bundle)
	if err != nil {
		return tube{}, err
	}
	made, ok := answer.Entry[0].Resource.(*r4.Specimen)
	if !ok || !k.client.carries(made, k.Barcode) {
		return tube{}, fhir.ErrUnexpected // Write looks it up
	}
	found, err := k.alone(ctx, f, tube{Resource: made, Origin: hospital.OriginOf(resp)})
	if hospital.CodeOf(err) == hospital.ErrNumberReused && !strings.HasPrefix(answer.Entry[0].Response.Status, "201") {
		k.undo(ctx, f, answer.Entry[1:])
	}
	return found, err
}

// undo takes the tube off the items again when the server, asked to create it unless
// its barcode exists, found somebody else's, and changed the items all the same.
func (k *collecting) undo(ctx context.Context, f *fhir.Client, entries []r4.BundleEntry) {
	for i := range entries {
		if s, ok := entries[i].Resource.(*r4.ServiceRequest); ok && len(s.Specimen) > 0 {
			s.Specimen = s.Specimen[:len(s.Specimen)-1]
			_, _, _ = fhir.Update(ctx, f, s) // guarded; whoever came between decides
		}
	}
}

// alone looks whether somebody recorded the same tube at the same moment, which only a
// server without proved versions lets happen; the later one is withdrawn.
func (k *collecting) alone(ctx context.Context, f *fhir.Client, mine tube) (tube, error) {
	if verb.Contract(k.client.client, mine.Origin).Versioning {
		return mine, k.compare(ctx, f, mine)
	}
	return k.find(ctx, f)
}

// items are those the tube is for; each must stand.
func (k *collecting) items(placed order.Placed) ([]order.Item, error) {
	var out []order.Item
	for _, s := range placed.Resource.Items {
		chosen := slices.Contains(k.Lines, k.client.orders.LineOf(s))
		switch {
		case len(k.Lines) == 0 && !order.Live(s), len(k.Lines) > 0 && !chosen:
			continue
		case s.Status != r4.RequestStatusActive:
			return nil, hospital.Refuse(hospital.ErrConflict, "an item of the order was cancelled, or is done")
		}
		out = append(out, order.Item{Resource: s, Origin: placed.Origin})
	}
	if len(out) == 0 || (len(k.Lines) > 0 && len(out) != len(k.Lines)) {
		return nil, hospital.Refuse(hospital.ErrConflict, "the order has no such item to collect for")
	}
	return out, nil
}

// find looks the tube up by its barcode and compares whose it is and what for.
func (k *collecting) find(ctx context.Context, f *fhir.Client) (tube, error) {
	if err := k.check(); err != nil {
		return tube{}, err
	}
	found, err := k.client.byBarcode(ctx, f, k.Barcode, verb.MaySettle)
	if err != nil {
		return tube{}, err
	}
	return found, k.compare(hospital.SameStore(ctx, found.Origin), f, found)
}

func (k *collecting) compare(ctx context.Context, f *fhir.Client, found tube) error {
	placed, patient, err := k.client.orders.Owned(ctx, f, k.Order, k.Patient)
	switch {
	case hospital.CodeOf(err) == hospital.ErrNotFound || hospital.CodeOf(err) == hospital.ErrWrongPatient:
		return hospital.Refuse(hospital.ErrNumberReused, "the barcode is of another order or patient")
	case err != nil:
		return err
	case !patient.Own(k.client.client, found.Origin, found.Resource.Subject):
		return hospital.Refuse(hospital.ErrNumberReused, "the barcode is of another order or patient")
	case !k.isFor(found, placed):
		return hospital.Refuse(hospital.ErrNumberReused, "the barcode is of other items")
	case !stands(found.Resource):
		return hospital.Refuse(hospital.ErrNumberReused, "the specimen was rejected; take a new one with a new barcode")
	}
	return nil
}

// isFor: is the tube for exactly the items that were named, or, when none were, for
// items of the order only?
func (k *collecting) isFor(found tube, placed order.Placed) bool {
	var lines []int
	for i := range found.Resource.Request {
		at := slices.IndexFunc(placed.Resource.Items, func(s *r4.ServiceRequest) bool {
			return k.client.client.Names(found.Origin, &found.Resource.Request[i], "ServiceRequest", s.ID)
		})
		if at < 0 {
			return false
		}
		lines = append(lines, k.client.orders.LineOf(placed.Resource.Items[at]))
	}
	if len(k.Lines) == 0 {
		return len(lines) > 0
	}
	wanted := slices.Clone(k.Lines)
	slices.Sort(lines)
	slices.Sort(wanted)
	return slices.Equal(lines, wanted)
}

// specimen is the new resource; collection makes it what it is, so it is available.
func (k *collecting) specimen(patient string, items []order.Item) *r4.Specimen {
	at := k.At
	if at.IsZero() {
		at = time.Now()
	}
	s := &r4.Specimen{
		Status:     r4.SpecimenStatusAvailable,
		Type:       k.material(items),
		Subject:    r4.RefTo("Patient", patient),
		Collection: &r4.SpecimenCollection{CollectedDateTime: verb.Instant(at)},
	}
	if k.Collector.Value != "" {
		s.Collection.Collector = &r4.Reference{Identifier: &k.Collector}
	}
	for _, i := range items {
		s.Request = append(s.Request, *r4.RefTo("ServiceRequest", i.Resource.ID))
	}
	return s
}

// material is what the request says, else what all the items agree on.
func (k *collecting) material(items []order.Item) *r4.CodeableConcept {
	if k.Type != nil {
		return k.Type
	}
	var out *r4.CodeableConcept
	for _, i := range items {
		wanted := order.Material(i.Resource)
		if wanted == nil || (out != nil && !sameConcept(out, wanted)) {
			return nil
		}
		out = wanted
	}
	return out
}

func sameConcept(a, b *r4.CodeableConcept) bool {
	return a.Text == b.Text && slices.EqualFunc(a.Coding, b.Coding, func(x, y r4.Coding) bool { return x.System == y.System && x.Code == y.Code })
}
