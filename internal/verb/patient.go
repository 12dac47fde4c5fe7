package verb

import (
	"context"
	"errors"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// FindPatient finds exactly one record that carries the identifier and stands for
// somebody.
func FindPatient(ctx context.Context, f *fhir.Client, id campus.PatientID) (hospital.Found[*r4.Patient], error) {
	if err := id.Validate(); err != nil {
		return hospital.Found[*r4.Patient]{}, err
	}
	found, err := One(Search(ctx, f, fhir.For(fhir.Identifier[*r4.Patient](id.Issuer, id.Value)),
		func(p *r4.Patient, _ hospital.Origin) bool {
			return r4.HasIdentifier(p.Identifier, id.Issuer, id.Value)
		}),
		hospital.ErrAmbiguousPatient)
	if err != nil {
		return found, err
	}
	return found, inUse(found.Resource, id)
}

// inUse refuses records that stand for nobody any more: merged into another,
// inactive, or with this number withdrawn.
func inUse(p *r4.Patient, id campus.PatientID) error {
	for i := range p.Link {
		if p.Link[i].Type == r4.LinkTypeReplacedBy {
			return hospital.Refuse(hospital.ErrRefused, "the record was merged into another; use that patient's number")
		}
	}
	if p.Active != nil && !*p.Active {
		return hospital.Refuse(hospital.ErrRefused, "the patient's record is inactive")
	}
	for i := range p.Identifier {
		if n := &p.Identifier[i]; n.System == id.Issuer && n.Value == id.Value && n.Use == r4.IdentifierUseOld {
			return hospital.Refuse(hospital.ErrRefused, "the patient's number was withdrawn")
		}
	}
	return nil
}

// Records are the logical ids, in one store, of a patient's record, which comes first,
// and of those that were merged into it: what is filed under one of them is his.
type Records []string

// Current is the id of the record that stands, for what is written now.
func (r Records) Current() string { return r[0] }

// Own reports whether a reference names one of them.
func (r Records) Own(c *hospital.Client, o hospital.Origin, subject *r4.Reference) bool {
	return slices.ContainsFunc(r, func(id string) bool { return c.Names(o, subject, "Patient", id) })
}

// maxRecords bounds the records of one patient.
const maxRecords = 16

// FindRecords is [FindPatient] with what was merged into it (Patient.link replaces),
// through chains and circles.
func FindRecords(ctx context.Context, c *hospital.Client, f *fhir.Client, id campus.PatientID) (hospital.Found[Records], error) {
	patient, err := FindPatient(ctx, f, id)
	out := hospital.Found[Records]{Origin: patient.Origin}
	if err == nil {
		out.Resource, err = gather(hospital.SameStore(ctx, patient.Origin), c, f, patient.Origin, patient.Resource)
	}
	return out, err
}

// RecordsOf are the records of whom the record of an id is of, which may have been merged
// into another since the id was read.
func RecordsOf(ctx context.Context, c *hospital.Client, f *fhir.Client, o hospital.Origin, id string) (Records, error) {
	ctx = hospital.SameStore(ctx, o)
	at := id
	for range maxRecords {
		p, _, err := fhir.Read[*r4.Patient](ctx, f, at)
		if errors.Is(err, fhir.ErrNotFound) || errors.Is(err, fhir.ErrGone) {
			return Records{id}, nil
		}
		if err != nil {
			return nil, err
		}
		into := linked(c, o, p, r4.LinkTypeReplacedBy)
		if len(into) == 0 {
			out, err := gather(ctx, c, f, o, p)
			if !slices.Contains(out, id) { // a server that says it at the old record only
				out = append(out, id)
			}
			return out, err
		}
		at = into[0]
	}
	return nil, errRecords
}

var errRecords = hospital.Refuse(hospital.ErrUnexpectedAnswer, "more merged records than one person has")

// gather are a record and those that were merged into it.
func gather(ctx context.Context, c *hospital.Client, f *fhir.Client, o hospital.Origin, stands *r4.Patient) (Records, error) {
	out := Records{stands.ID}
	for queue := []*r4.Patient{stands}; len(queue) > 0; queue = queue[1:] {
		for _, old := range linked(c, o, queue[0], r4.LinkTypeReplaces) {
			if slices.Contains(out, old) {
				continue
			}
			record, _, err := fhir.Read[*r4.Patient](ctx, f, old)
			switch {
			case err == nil && !out.over(c, o, record):
				continue // it stands for somebody: a link of a merge that was undone, is half done, or was a mistake
			case err == nil:
				queue = append(queue, record)
			case !errors.Is(err, fhir.ErrNotFound) && !errors.Is(err, fhir.ErrGone): // what was filed under one that is deleted may be there
				return out, err
			}
			if out = append(out, old); len(out) > maxRecords {
				return out, errRecords
			}
		}
	}
	return out, nil
}

// over: does a record say itself that it was merged into one of these, or at least that
// it is in use no more?
func (r Records) over(c *hospital.Client, o hospital.Origin, old *r4.Patient) bool {
	into := linked(c, o, old, r4.LinkTypeReplacedBy)
	if len(into) == 0 {
		return old.Active != nil && !*old.Active
	}
	return slices.ContainsFunc(into, func(id string) bool { return slices.Contains(r, id) })
}

// linked are the ids of the records to which p has a link of this type.
func linked(c *hospital.Client, o hospital.Origin, p *r4.Patient, typ string) []string {
	var out []string
	for i := range p.Link {
		if id, ok := PatientOf(c, o, p.Link[i].Other); ok && p.Link[i].Type == typ {
			out = append(out, id)
		}
	}
	return out
}

// NoPatient says of an act whose patient does not exist that it is somebody else's.
func NoPatient(err error) error {
	if hospital.CodeOf(err) == hospital.ErrNotFound {
		return hospital.ErrNumberReused
	}
	return err
}

// Named is a number of the patient's for the audit; one who has none is named by
// the record itself.
func Named(p *r4.Patient, o hospital.Origin) campus.PatientID {
	for i := range p.Identifier {
		if n := &p.Identifier[i]; n.System != "" && n.Value != "" && n.Use != r4.IdentifierUseOld {
			return campus.PatientID{Issuer: n.System, Value: n.Value}
		}
	}
	return ByRecord(o, p.ID)
}

// ByRecord names a patient of whom only the record is known, in one Store.
func ByRecord(o hospital.Origin, id string) campus.PatientID {
	return campus.PatientID{Issuer: "urn:hospital-go:store:" + string(o.Store), Value: id}
}

// PatientOf is the logical id of the patient whom a reference names.
func PatientOf(c *hospital.Client, o hospital.Origin, subject *r4.Reference) (string, bool) {
	if subject == nil {
		return "", false
	}
	typ, id, ok := c.Local(o, subject.Reference)
	return id, ok && typ == "Patient"
}

// Concerns puts the patient whom a reference names, if it names one, into the audit.
func Concerns(ctx context.Context, c *hospital.Client, o hospital.Origin, subject *r4.Reference) {
	if id, ok := PatientOf(c, o, subject); ok {
		hospital.Concerns(ctx, ByRecord(o, id))
	}
}
