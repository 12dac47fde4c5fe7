package his

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Patient (患者查询) reads the one patient with this PatientID. hospital.ErrNotFound
// when there is none, hospital.ErrAmbiguousPatient when several records carry
// it, hospital.ErrFilterIgnored when the server answered with somebody else.
func (c *Client) Patient(ctx context.Context, id campus.PatientID, opts ...hospital.ReadOption) (hospital.Found[*r4.Patient], error) {
	return hospital.Read(ctx, c.client, op("Patient", hospital.Session, hospital.Quick),
		func(ctx context.Context, f *fhir.Client) (hospital.Found[*r4.Patient], error) {
			return verb.FindPatient(ctx, f, id)
		}, append(slices.Clip(opts), hospital.Concerning(id))...)
}

// PatientQuery finds patients by what people know. At least one field is needed;
// all given must match. It is sent in a request's body, never in a URL.
type PatientQuery struct {
	// Name or a part of it, as the HIS spells it.
	Name string
	// Phone exactly.
	Phone string
	// BirthDate as YYYY-MM-DD.
	BirthDate string
}

// FindPatients (患者查询) yields the patients that match. The sequence ends after
// its first error; a server that returns others than asked for is
// hospital.ErrFilterIgnored.
func (c *Client) FindPatients(ctx context.Context, q PatientQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[*r4.Patient], error] {
	return hospital.Stream(ctx, c.client, op("FindPatients", hospital.Session, hospital.List),
		func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[*r4.Patient], error] {
			if err := q.check(); err != nil {
				return verb.Fail[*r4.Patient](err)
			}
			return verb.Search(ctx, f, fhir.For(q.filters()...), func(p *r4.Patient, o hospital.Origin) bool {
				hospital.Concerns(ctx, verb.Named(p, o)) // whoever was shown is in the audit
				return q.matches(p, o)
			})
		}, opts...)
}

func (q PatientQuery) filters() []fhir.Filter[*r4.Patient] {
	var out []fhir.Filter[*r4.Patient]
	if q.Name != "" {
		out = append(out, fhir.PatientName.Is(q.Name))
	}
	if q.Phone != "" {
		out = append(out, fhir.PatientPhone.Is(q.Phone))
	}
	if q.BirthDate != "" {
		out = append(out, fhir.PatientBirthDate.Is(q.BirthDate))
	}
	return out
}

func (q PatientQuery) check() error {
	if q == (PatientQuery{}) {
		return hospital.Refuse(hospital.ErrInvalidArgument, "a search for everyone; give a name, phone or birth date")
	}
	if q.Name != "" && normalized(q.Name) == "" {
		return hospital.Refuse(hospital.ErrInvalidArgument, "a name without letters is everybody's")
	}
	if _, err := time.Parse(time.DateOnly, q.BirthDate); q.BirthDate != "" && err != nil {
		return hospital.Refuse(hospital.ErrInvalidArgument, "birth date must be YYYY-MM-DD")
	}
	if strings.ContainsAny(q.Name+q.Phone, "|,\\$") {
		return hospital.Refuse(hospital.ErrInvalidArgument, "name and phone must hold none of | , \\ $")
	}
	return nil
}

func (q PatientQuery) matches(p *r4.Patient, _ hospital.Origin) bool {
	if q.BirthDate != "" && p.BirthDate != q.BirthDate {
		return false
	}
	if q.Phone != "" && !hasPhone(p, q.Phone) {
		return false
	}
	if q.Name == "" {
		return true
	}
	for i := range p.Name {
		whole := normalized(p.Name[i].Text + " " + p.Name[i].Family + " " + strings.Join(p.Name[i].Given, " "))
		if strings.Contains(whole, normalized(q.Name)) || containsParts(whole, q.Name) {
			return true
		}
	}
	return false
}

// containsParts: every word of the question is somewhere in the name.
func containsParts(whole, asked string) bool {
	for part := range strings.FieldsSeq(asked) {
		if !strings.Contains(whole, normalized(part)) {
			return false
		}
	}
	return true
}

func hasPhone(p *r4.Patient, phone string) bool {
	for i := range p.Telecom {
		if p.Telecom[i].Value == phone {
			return true
		}
	}
	return false
}

// RegisterRequest registers a patient.
type RegisterRequest struct {
	// Patient is the record; it must carry ID among its identifiers, and a name.
	Patient *r4.Patient
	// ID is the identity or campus number that names this person and makes the
	// call repeatable: the Number of this act.
	ID campus.PatientID
}

// Register (患者建档) creates the patient, or returns the one who is already
// registered under ID after comparing name, birth date and sex: a difference is
// hospital.ErrIdentityMismatch and changes nothing. It may be repeated.
func (c *Client) Register(ctx context.Context, r RegisterRequest, opts ...hospital.WriteOption) (hospital.Found[*r4.Patient], error) {
	find := func(ctx context.Context, f *fhir.Client) (hospital.Found[*r4.Patient], error) {
		if err := r.check(); err != nil {
			return hospital.Found[*r4.Patient]{}, err
		}
		found, err := verb.FindPatient(ctx, f, r.ID)
		if err == nil && !samePerson(r.Patient, found.Resource) {
			return hospital.Found[*r4.Patient]{}, hospital.ErrIdentityMismatch
		}
		return found, err
	}
	send := func(ctx context.Context, f *fhir.Client) (hospital.Found[*r4.Patient], error) {
		var none hospital.Found[*r4.Patient]
		if found, err := find(ctx, f); hospital.CodeOf(err) != hospital.ErrNotFound {
			return found, err
		}
		identifier := r4.Identifier{System: r.ID.Issuer, Value: r.ID.Value}
		if _, _, err := fhir.CreateIfNone(ctx, f, r.Patient, identifier); err != nil {
			return none, c.desk.Refused(err)
		}
		// Two desks at once may both create on a server that looks, then inserts:
		// the look afterwards finds both.
		return find(ctx, f)
	}
	register := op("Register", hospital.Strong, hospital.WriteClass)
	register.Repeat = hospital.Keyed
	return hospital.Write(ctx, c.client, register, r.ID.Issuer+"|"+r.ID.Value, send, find, verb.About(opts, r.ID)...)
}

func (r RegisterRequest) check() error {
	if err := r.ID.Validate(); err != nil {
		return err
	}
	switch p := r.Patient; {
	case p == nil || !r4.HasIdentifier(p.Identifier, r.ID.Issuer, r.ID.Value):
		return hospital.Refuse(hospital.ErrInvalidArgument, "the patient's record must carry the ID it is registered under")
	case p.ID != "":
		return hospital.Refuse(hospital.ErrInvalidArgument, "a new record must have no logical id")
	case len(names(p)) == 0:
		return hospital.Refuse(hospital.ErrInvalidArgument, "a patient needs a name")
	}
	return nil
}

// samePerson compares what identifies a person: one name in common, birth date,
// sex. What one side does not know does not speak against it, except the name.
func samePerson(a, b *r4.Patient) bool {
	if a.BirthDate != "" && b.BirthDate != "" && !sameDate(a.BirthDate, b.BirthDate) {
		return false
	}
	if a.Gender != "" && b.Gender != "" && a.Gender != b.Gender {
		return false
	}
	known := names(b)
	for name := range names(a) {
		if known[name] {
			return true
		}
	}
	return false
}

// sameDate compares dates of different precision by what both know.
func sameDate(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// names is every way the record writes the person's name, normalized.
func names(p *r4.Patient) map[string]bool {
	out := map[string]bool{}
	for i := range p.Name {
		n := &p.Name[i]
		given := strings.Join(n.Given, "")
		for _, s := range []string{n.Text, n.Family + given, given + n.Family} {
			if s = normalized(s); s != "" {
				out[s] = true
			}
		}
	}
	return out
}

// normalized folds case and drops what writings of one name differ in: spaces
// and the middle dots of transcribed names (阿卜杜拉·买买提).
func normalized(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '·', '•', '・', '･', '‧', '∙', '⋅', '．', '.':
			return -1
		}
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}
