package lis

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Specimen (查标本) reads the specimen of a barcode, whoever's it is: the caller compares
// its subject. hospital.ErrNotFound when there is none, hospital.ErrConflict when two carry
// the barcode. One that was rejected has the status unsatisfactory.
func (c *Client) Specimen(ctx context.Context, barcode string, opts ...hospital.ReadOption) (hospital.Found[*r4.Specimen], error) {
	return hospital.Read(ctx, c.client, ops().Read("Specimen", hospital.Session, hospital.Quick), func(ctx context.Context, f *fhir.Client) (tube, error) {
		return c.concerning(ctx)(c.byBarcode(ctx, f, barcode, verb.OnlyReads))
	}, opts...)
}

// stands: is it in use? A rejected one, or one entered in error, is not.
func stands(s *r4.Specimen) bool {
	return s.Status != r4.SpecimenStatusUnsatisfactory && s.Status != r4.SpecimenStatusEnteredInError
}

// byBarcode finds the specimen that carries the barcode and was not entered in error.
func (c *Client) byBarcode(ctx context.Context, f *fhir.Client, barcode string, settle bool) (tube, error) {
	if err := verb.CheckNumber(barcode); err != nil {
		return tube{}, err
	}
	q := fhir.For(fhir.Raw[*r4.Specimen](c.barcodeParam(), fhir.Token(c.systems.Barcode, barcode), true))
	list, err := verb.Collect(verb.Search(ctx, f, q, func(s *r4.Specimen, _ hospital.Origin) bool { return c.carries(s, barcode) }), verb.MaxSame)
	if err != nil {
		return tube{}, err
	}
	list = slices.DeleteFunc(list, func(s tube) bool { return s.Resource.Status == r4.SpecimenStatusEnteredInError })
	switch {
	case len(list) == 0:
		return tube{}, hospital.ErrNotFound
	case len(list) == 1:
		return list[0], nil
	case !settle:
		return tube{}, errTwoTubes
	}
	return c.settle(ctx, f, list)
}

func (c *Client) barcodeParam() string {
	if c.container {
		return "container-id"
	}
	return "identifier"
}

func (c *Client) carries(s *r4.Specimen, barcode string) bool {
	if !c.container {
		return r4.HasIdentifier(s.Identifier, c.systems.Barcode, barcode)
	}
	return slices.ContainsFunc(s.Container, func(k r4.SpecimenContainer) bool {
		return r4.HasIdentifier(k.Identifier, c.systems.Barcode, barcode)
	})
}

var errTwoTubes = hospital.Refuse(hospital.ErrConflict, "two specimens carry the barcode; have one of them withdrawn")

// settle keeps one of several specimens of one barcode, which a server that looks, then
// inserts can make of one collection, and withdraws the others, guarded by their
// versions. The earliest stays. Nothing is withdrawn that the laboratory has received,
// or that is not of the same moment, patient and items.
func (c *Client) settle(ctx context.Context, f *fhir.Client, list []tube) (tube, error) {
	slices.SortStableFunc(list, func(a, b tube) int { return verb.Updated(a.Resource).Compare(verb.Updated(b.Resource)) })
	first := list[0]
	window := verb.Contract(c.client, first.Origin).MaxRun() + verb.ClockMargin
	for _, s := range list[1:] {
		apart := verb.Updated(s.Resource).Sub(verb.Updated(first.Resource))
		if s.Resource.ReceivedTime != "" || !stands(s.Resource) || verb.Updated(first.Resource).IsZero() || apart == 0 || apart > window || !sameRefs(first.Resource, s.Resource) {
			return tube{}, errTwoTubes
		}
	}
	for _, s := range list[1:] {
		withdrawn := *s.Resource
		withdrawn.Status = r4.SpecimenStatusEnteredInError
		if _, _, err := fhir.Update(hospital.SameStore(ctx, s.Origin), f, &withdrawn); err != nil {
			return tube{}, err
		}
	}
	return first, nil
}

func sameRefs(a, b *r4.Specimen) bool {
	equal := func(x, y r4.Reference) bool { return x.Reference == y.Reference }
	return a.Subject != nil && b.Subject != nil && equal(*a.Subject, *b.Subject) && slices.EqualFunc(a.Request, b.Request, equal)
}

// concerning puts whoever a specimen is of into the audit.
func (c *Client) concerning(ctx context.Context) func(tube, error) (tube, error) {
	return func(s tube, err error) (tube, error) {
		if err == nil {
			verb.Concerns(ctx, c.client, s.Origin, s.Resource.Subject)
		}
		return s, err
	}
}

// newTube is the transaction's entry that makes a specimen unless its barcode exists.
func (c *Client) newTube(s *r4.Specimen, barcode string) r4.BundleEntry {
	id := []r4.Identifier{{System: c.systems.Barcode, Value: barcode}}
	if c.container {
		s.Container = []r4.SpecimenContainer{{Identifier: id}}
	} else {
		s.Identifier = id
	}
	query := url.Values{c.barcodeParam(): {fhir.Token(c.systems.Barcode, barcode)}}.Encode()
	return r4.BundleEntry{
		FullUrl: tubeURL, Resource: s, Request: &r4.BundleEntryRequest{Method: http.MethodPost, URL: "Specimen", IfNoneExist: query},
	}
}

// tubeURL stands for the new specimen within its transaction.
const tubeURL = "urn:uuid:5f1c0b52-6e0e-4b5e-9a55-7c3f0e1d2a10"

// ReceiveRequest is a specimen that arrived at the laboratory.
type ReceiveRequest struct {
	// Barcode of the tube; required.
	Barcode string
	// At is when it arrived; the zero time is now.
	At time.Time
	// Accession is the laboratory's own number for it; "" is none.
	Accession string
}

// Receive (标本接收) marks a specimen as received by the laboratory, guarded by its
// version. Receiving again is success and keeps the first time; a specimen that was
// rejected, or that has another accession number, is hospital.ErrConflict; a barcode that no
// specimen has is hospital.ErrNotFound.
func (c *Client) Receive(ctx context.Context, r ReceiveRequest, opts ...hospital.WriteOption) (hospital.Found[*r4.Specimen], error) {
	if r.At.IsZero() {
		r.At = time.Now()
	}
	return c.change(ctx, "Receive", r.Barcode, func(s *r4.Specimen) (done bool, err error) {
		switch {
		case !stands(s):
			return false, hospital.Refuse(hospital.ErrConflict, "the specimen was rejected")
		case s.AccessionIdentifier != nil && r.Accession != "" && s.AccessionIdentifier.Value != r.Accession:
			return false, hospital.Refuse(hospital.ErrConflict, "the specimen has another accession number")
		case s.ReceivedTime != "" && (r.Accession == "" || s.AccessionIdentifier != nil):
			return true, nil
		}
		s.ReceivedTime = cmp.Or(s.ReceivedTime, verb.Instant(r.At))
		if r.Accession != "" {
			s.AccessionIdentifier = &r4.Identifier{System: c.systems.Accession, Value: r.Accession}
		}
		return false, nil
	}, opts)
}

// RejectRequest is a specimen that cannot be used.
type RejectRequest struct {
	// Barcode of the tube; required.
	Barcode string
	// Reason is why: haemolysed, clotted, too little. Required.
	Reason r4.CodeableConcept
}

// Reject (标本拒收) marks a specimen as unsatisfactory, with the reason as its condition,
// guarded by its version. Its items stand and can be collected again, with a new
// barcode. Rejecting again is success and keeps the first reason. hospital.ErrNotFound when
// no specimen has the barcode, hospital.ErrInvalidArgument without a reason.
func (c *Client) Reject(ctx context.Context, r RejectRequest, opts ...hospital.WriteOption) (hospital.Found[*r4.Specimen], error) {
	if r.Reason.Text == "" && len(r.Reason.Coding) == 0 {
		return tube{}, hospital.Refuse(hospital.ErrInvalidArgument, "a rejection needs a reason")
	}
	return c.change(ctx, "Reject", r.Barcode, func(s *r4.Specimen) (done bool, err error) {
		if !stands(s) {
			return true, nil
		}
		s.Status = r4.SpecimenStatusUnsatisfactory
		s.Condition = append(s.Condition, r.Reason)
		return false, nil
	}, opts)
}

// change makes a change to the specimen of a barcode, guarded by its version; step says
// that it was made already, or makes it.
func (c *Client) change(ctx context.Context, name, barcode string, step func(*r4.Specimen) (bool, error), opts []hospital.WriteOption) (tube, error) {
	send := func(ctx context.Context, f *fhir.Client) (tube, error) {
		found, err := c.concerning(ctx)(c.byBarcode(ctx, f, barcode, verb.MaySettle))
		if err != nil {
			return tube{}, err
		}
		if done, err := step(found.Resource); done || err != nil {
			return found, err
		}
		changed, resp, err := fhir.Update(hospital.SameStore(ctx, found.Origin), f, found.Resource)
		switch {
		case err != nil:
			return tube{}, unguarded(err, found.Resource)
		case changed == nil || !c.carries(changed, barcode):
			return tube{}, fhir.ErrUnexpected // Write looks it up
		}
		return tube{Resource: changed, Origin: hospital.OriginOf(resp)}, nil
	}
	find := func(ctx context.Context, f *fhir.Client) (tube, error) {
		found, err := c.byBarcode(ctx, f, barcode, verb.MaySettle)
		if err != nil {
			return tube{}, err
		}
		done, err := step(found.Resource)
		if err == nil && !done {
			err = hospital.ErrNotFound
		}
		return found, err
	}
	return hospital.Write(ctx, c.client, ops().Guarded(name), barcode, send, find, opts...)
}

func unguarded(err error, r r4.Resource) error {
	if fhir.ETag(r.ResourceMeta()) == "" {
		return verb.ErrUnguarded
	}
	return err
}
