package hospital

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// maxLinked bounds the records of one person that are followed.
const maxLinked = 16

// linked is what the HIS knows of a patient's numbers: those of the record that
// carries the one given, and of the records linked with it (Patient.link), in
// either direction, of one store.
func (c *Client) linked(ctx context.Context, id campus.PatientID, opts []ReadOption) ([]campus.PatientID, error) {
	op := Op{Name: "hospital.Identities", System: campus.HIS, Consistency: Session}
	opts = append(slices.Clip(opts), readOptionFunc(func(o *options) { o.across = false }))
	return Read(ctx, c, op, func(ctx context.Context, f *fhir.Client) ([]campus.PatientID, error) {
		l := &links{client: c, f: f, seen: map[string]bool{}}
		return l.of(ctx, id)
	}, opts...)
}

var errManyLinked = Refuse(ErrUnexpectedAnswer, "more linked records than one person has")

// links is the way through one person's records.
type links struct {
	client *Client
	f      *fhir.Client
	seen   map[string]bool // logical ids
	out    []campus.PatientID
}

func (l *links) of(ctx context.Context, id campus.PatientID) ([]campus.PatientID, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	var origin Origin
	var start []*r4.Patient
	for page, err := range fhir.Search(ctx, l.f, fhir.For(fhir.Identifier[*r4.Patient](id.Issuer, id.Value))) {
		if err != nil {
			return nil, err
		}
		origin = OriginOf(page.Response)
		for _, r := range page.Matches {
			p, err := r4.As[*r4.Patient](r)
			if err != nil || !r4.HasIdentifier(p.Identifier, id.Issuer, id.Value) {
				return nil, ErrFilterIgnored
			}
			if start = append(start, p); len(start) > maxLinked {
				return nil, errManyLinked
			}
		}
	}
	if len(start) == 0 {
		return nil, ErrNotFound
	}
	ctx = SameStore(ctx, origin)
	if err := l.follow(ctx, origin, start[0]); err != nil {
		return nil, err
	}
	for _, p := range start {
		if !l.seen[p.ID] {
			return nil, ErrAmbiguousPatient // two records of one number that nobody has linked
		}
	}
	return l.out, nil
}

// follow takes the numbers of a record and of those linked with it.
func (l *links) follow(ctx context.Context, origin Origin, first *r4.Patient) error {
	for queue := []*r4.Patient{first}; len(queue) > 0; queue = queue[1:] {
		p := queue[0]
		if l.seen[p.ID] {
			continue
		}
		if l.seen[p.ID] = true; len(l.seen) > maxLinked {
			return errManyLinked
		}
		l.take(p)
		next, err := l.neighbours(ctx, origin, p)
		if err != nil {
			return err
		}
		queue = append(queue, next...)
	}
	return nil
}

// take takes a record's numbers, but for withdrawn ones.
func (l *links) take(p *r4.Patient) {
	for i := range p.Identifier {
		id := campus.PatientID{Issuer: p.Identifier[i].System, Value: p.Identifier[i].Value}
		if p.Identifier[i].Use != r4.IdentifierUseOld && id.Validate() == nil {
			l.out = append(l.out, id)
		}
	}
}

// neighbours are the records that p refers to and those that refer to p.
func (l *links) neighbours(ctx context.Context, origin Origin, p *r4.Patient) ([]*r4.Patient, error) {
	var out []*r4.Patient
	for i := range p.Link {
		if p.Link[i].Other == nil {
			continue
		}
		typ, id, ok := l.client.Local(origin, p.Link[i].Other.Reference)
		if !ok || typ != "Patient" || l.seen[id] || has(out, id) {
			continue
		}
		other, _, err := fhir.Read[*r4.Patient](ctx, l.f, id)
		if codeOf(err) == ErrNotFound {
			continue // deleted, and its numbers with it
		}
		if err != nil {
			return nil, err
		}
		if !l.joined(origin, p, other) {
			continue
		}
		if out = append(out, other); len(out) > maxLinked {
			return nil, errManyLinked
		}
	}
	for page, err := range fhir.Search(ctx, l.f, fhir.For(fhir.PatientLink.Is(p.ID))) {
		if refused := (*fhir.OutcomeError)(nil); errors.Is(err, fhir.ErrFilterIgnored) || (errors.As(err, &refused) && refused.Status == http.StatusBadRequest) {
			break // it cannot be asked who refers to p; linked records name each other
		}
		if err != nil {
			return nil, err
		}
		for _, r := range page.Matches {
			other, err := r4.As[*r4.Patient](r)
			if err != nil || !l.client.linksTo(origin, other, p.ID) {
				return out, nil // a server that ignores the question is like one that refuses it
			}
			if has(out, other.ID) || !l.joined(origin, p, other) {
				continue
			}
			if out = append(out, other); len(out) > maxLinked {
				return nil, errManyLinked
			}
		}
	}
	return out, nil
}

// joined: do their links say that two records are one person's? That one replaces the
// other counts where the other says so too, or is in use no more: a merge may be undone,
// half done, or a mistake.
func (l *links) joined(origin Origin, p, q *r4.Patient) bool {
	return l.says(origin, p, q) || l.says(origin, q, p)
}

func (l *links) says(origin Origin, p, q *r4.Patient) bool {
	return slices.ContainsFunc(p.Link, func(link r4.PatientLink) bool {
		return l.client.Names(origin, link.Other, "Patient", q.ID) && (link.Type != r4.LinkTypeReplaces || ended(q))
	})
}

// ended: is a record in use no more, without a word on what took its place?
func ended(p *r4.Patient) bool {
	return p.Active != nil && !*p.Active &&
		!slices.ContainsFunc(p.Link, func(link r4.PatientLink) bool { return link.Type == r4.LinkTypeReplacedBy })
}

func has(records []*r4.Patient, id string) bool {
	return slices.ContainsFunc(records, func(p *r4.Patient) bool { return p.ID == id })
}

func (c *Client) linksTo(origin Origin, p *r4.Patient, id string) bool {
	return slices.ContainsFunc(p.Link, func(link r4.PatientLink) bool { return c.Names(origin, link.Other, "Patient", id) })
}
