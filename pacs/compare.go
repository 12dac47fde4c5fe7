package pacs

import (
	"context"
	"io"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

// settle looks at those of which the archive said no good: one that is there already is
// compared, one that it forgot to name may be there.
func (b *batching) settle(ctx context.Context) error {
	for _, it := range b.items {
		if !it.doubtful() || it.Outcome != NotStored {
			continue
		}
		was := it.Err
		it.done = false // should the look fail
		switch err := b.compare(ctx, it, it.same()); {
		case hospital.CodeOf(err) == hospital.ErrNotFound, hospital.CodeOf(it.Err) == hospital.ErrInvalidArgument: // a broken file was sent
			it.fail(was)
		case err != nil:
			return err
		}
	}
	return nil
}

// verify reads back what was stored now.
func (b *batching) verify(ctx context.Context) error {
	for _, it := range b.items {
		if !b.Verify || (it.Outcome != StoredNew && it.Outcome != StoredCoerced) {
			continue
		}
		switch err := b.compare(ctx, it, it.Outcome); {
		case hospital.CodeOf(err) == hospital.ErrNotFound:
			it.fail(hospital.Refuse(hospital.ErrRefused, "the archive said that it stored the instance, and does not have it"))
		case err != nil:
			return err
		case hospital.CodeOf(it.Err) == hospital.ErrInvalidArgument: // it is stored
			it.fail(hospital.Refuse(hospital.ErrOutcomeUnknown, "the archive says that it stored the instance, and the file cannot be read once more to compare it"))
		}
	}
	return nil
}

// compare reads an instance back: the same bytes are same, the same pixels were coerced,
// anything else is another's.
func (b *batching) compare(ctx context.Context, it *item, same StoreOutcome) error {
	ours, err := it.digest(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		it.fail(err)
		return nil // it is told with the file
	}
	theirs, err := b.client.digest(ctx, it.Stored)
	switch {
	case err != nil:
		return err
	case theirs.File == ours.File:
		it.succeed(same)
	case theirs.HasPixels && ours.HasPixels && theirs.Pixels == ours.Pixels && theirs.Head.TransferSyntax == ours.Head.TransferSyntax &&
		(same == StoredCoerced || samePatient(theirs.Head, ours.Head)): // who it is of changes only by the archive's own word
		it.succeed(StoredCoerced)
	default:
		it.fail(hospital.Refuse(hospital.ErrConflict, "the archive has another file with this SOP Instance UID"))
	}
	return nil
}

// samePatient: an archive may add an issuer, and not change it.
func samePatient(a, b dicomweb.Head) bool {
	return a.PatientID == b.PatientID && (a.IssuerOfPatientID == b.IssuerOfPatientID || a.IssuerOfPatientID == "" || b.IssuerOfPatientID == "")
}

// person is the one patient of a study, as far as what came says who it is.
type person struct{ known dicomweb.Head }

// same: is it the patient of what came before? A server may leave out who it is, or who
// has issued the number: it lists what stands in each file.
func (p *person) same(h dicomweb.Head) bool {
	switch {
	case h.PatientID == "" && h.IssuerOfPatientID == "":
		return true
	case p.known != (dicomweb.Head{}) && !samePatient(p.known, h):
		return false
	case p.known.IssuerOfPatientID == "":
		p.known = dicomweb.Head{PatientID: h.PatientID, IssuerOfPatientID: h.IssuerOfPatientID}
	}
	return true
}

// whoseIs is the patient that a data set names.
func whoseIs(d Dataset) dicomweb.Head {
	return dicomweb.Head{PatientID: d.Text(dicomweb.TagPatientID), IssuerOfPatientID: d.Text(dicomweb.TagIssuerOfPatientID)}
}

func (it *item) digest(ctx context.Context) (d dicomweb.Digest, err error) {
	err = it.read(ctx, func(r io.Reader) error {
		if d, err = dicomweb.Sum(r); err != nil {
			err = hospital.Refuse(hospital.ErrInvalidArgument, "not a whole DICOM file")
		}
		return err
	})
	return d, err
}

// digest reads an instance as the archive has it.
func (c *Client) digest(ctx context.Context, s Stored) (dicomweb.Digest, error) {
	var sum dicomweb.Digest
	d := &download{
		client: c, left: map[string]ref{}, came: map[string]bool{},
		Retrieval: Retrieval{Study: s.Study, Series: s.Series, Instance: s.UID, MaxInstance: defaultMaxInstance},
	}
	var failure error
	d.yield = func(found hospital.Found[*Instance], _ error) bool {
		if sum, failure = dicomweb.Sum(found.Resource); failure != nil && found.Resource.failure == nil {
			failure = nil // it is the archive's file that is broken: sum is that of no other
		}
		return failure == nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer d.end(cancel)
	if err := d.run(ctx); err != nil {
		return sum, err
	}
	return sum, settled(failure)
}
