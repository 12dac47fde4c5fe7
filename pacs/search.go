package pacs

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/verb"
)

// Study is one study as an archive lists it.
type Study struct {
	// UID is the Study Instance UID: the same at every archive that has the study.
	UID string
	// Patient is whose it is; its Issuer is empty where the archive names none and
	// campus.DICOMweb.PatientIssuer is not set.
	Patient campus.PatientID
	// Name, BirthDate (YYYYMMDD) and Sex as the archive has them.
	Name           PersonName
	BirthDate, Sex string
	Accession      Accession
	// Date (YYYYMMDD) and Time (HHMMSS and parts of a second), "" where the study has none.
	Date, Time  string
	Modalities  []string
	Description string
	// Series and Instances are how many there are, 0 where the archive does not say.
	Series, Instances int
	// Dataset is all that was sent.
	Dataset Dataset
}

// StudyQuery finds studies. All fields that are given must match; one of them is
// needed.
type StudyQuery struct {
	// Patient finds by patient ID: of this issuer and no other.
	Patient campus.PatientID
	// Name is a name or a part of it in one of its writings, with the wildcards * and ?:
	// 张三, Zhang^San, Zhang*. Archives may tell capital letters from small ones.
	Name string
	// Accession finds by accession number: of this issuer and no other.
	Accession Accession
	// From and To are days in China (+08:00), both included; zero means open.
	From, To time.Time
	// Modality, such as CT, is one that the study has.
	Modality string
	// UID is a Study Instance UID.
	UID string
	// Description is the study's description, with wildcards.
	Description string
	// Include are attributes wanted beside those that archives always send.
	Include []Tag
}

// Studies (影像检索) yields the studies that match (QIDO-RS, PS3.18 section 10.6). What
// comes is compared with what was asked: an archive that ignores a filter is
// hospital.ErrFilterIgnored; a number without issuer, which could be anybody's,
// hospital.ErrUnexpectedAnswer. With hospital.AcrossCampuses a study that several
// archives have is shown once, by its UID and nothing else, unless they have not equally
// many of its instances: a copy of a few hides no whole one. An accession number is asked
// of every campus: it means one issuer's.
func (c *Client) Studies(ctx context.Context, q StudyQuery, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Study], error] {
	ask := func(ctx context.Context, _ *fhir.Client, patient campus.PatientID) iter.Seq2[hospital.Found[Study], error] {
		q := q
		q.Patient = patient
		if err := q.check(); err != nil {
			return verb.Fail[Study](err)
		}
		return c.studies(ctx, q)
	}
	key := func(s Study) string { return fmt.Sprint(s.UID, " ", s.Instances) }
	return hospital.Across(ctx, c.client, op("Studies", hospital.List), q.Patient, ask, key, opts...)
}

func (c *Client) studies(ctx context.Context, q StudyQuery) iter.Seq2[hospital.Found[Study], error] {
	s := dicomweb.Search{Matches: q.matches(), Include: append([]Tag{
		dicomweb.TagIssuerOfPatientID, dicomweb.TagIssuerOfAccessionNumberSequence, dicomweb.TagStudyDescription,
	}, q.Include...)}
	found := c.search(ctx, "search studies", "/studies", s, dicomweb.TagStudyInstanceUID)
	return func(yield func(hospital.Found[Study], error) bool) {
		shown := map[string]bool{}
		described, bare := false, false
		for d, err := range found {
			if err != nil {
				yield(hospital.Found[Study]{}, err)
				return
			}
			_, sent := d.Resource[dicomweb.TagStudyDescription]
			described, bare = described || sent, bare || !sent
			study := c.studyOf(d)
			meant, err := q.means(study)
			if err != nil {
				yield(hospital.Found[Study]{}, err)
				return
			}
			if !meant {
				continue
			}
			if shown[study.UID] {
				yield(hospital.Found[Study]{}, errTwoPatients)
				return
			}
			shown[study.UID] = true
			hospital.Concerns(ctx, study.Patient)
			if !yield(hospital.Found[Study]{Resource: study, Origin: d.Origin}, nil) {
				return
			}
		}
		if bare && !described && q.describes() { // it sends none, so nothing could be compared
			yield(hospital.Found[Study]{}, hospital.ErrFilterIgnored)
		}
	}
}

func (c *Client) studyOf(d hospital.Found[Dataset]) Study {
	ways, r := c.ways(d.Origin), d.Resource
	s := Study{
		UID: r.Text(dicomweb.TagStudyInstanceUID), Patient: patientOf(r, ways), Name: r.Name(dicomweb.TagPatientName),
		BirthDate: r.Text(dicomweb.TagPatientBirthDate), Sex: r.Text(dicomweb.TagPatientSex), Accession: accessionOf(r, ways),
		Date: r.Text(dicomweb.TagStudyDate), Time: r.Text(dicomweb.TagStudyTime), Modalities: r.Texts(dicomweb.TagModalitiesInStudy),
		Description: r.Text(dicomweb.TagStudyDescription), Dataset: r,
	}
	s.Series, _ = r.Int(dicomweb.TagNumberOfStudyRelatedSeries)
	s.Instances, _ = r.Int(dicomweb.TagNumberOfStudyRelatedInstances)
	return s
}

const dicomDate = "20060102"

func (q StudyQuery) check() error {
	refuse := func(reason string) error { return hospital.Refuse(hospital.ErrInvalidArgument, reason) }
	switch {
	case q.Patient != (campus.PatientID{}) && q.Patient.Validate() != nil:
		return q.Patient.Validate()
	case q.Accession != (Accession{}) && (q.Accession.Issuer == "" || !plain(q.Accession.Value)):
		return refuse("an accession number needs issuer and value, without wildcards")
	case q.UID != "" && !dicomweb.ValidUID(q.UID):
		return refuse("not a UID")
	case !q.From.IsZero() && !q.To.IsZero() && q.To.Before(q.From):
		return refuse("To is before From")
	case q.Modality != "" && !plain(q.Modality):
		return refuse("not a modality")
	case strings.ContainsAny(q.Name+q.Description, `\,`):
		return refuse(`name and description must hold none of \ ,`)
	case len(q.matches()) == 0:
		return refuse("a search for everything; give a patient, a name, an accession number, a date, a modality or a UID")
	}
	return nil
}

// plain: may stand for itself in a query.
func plain(s string) bool {
	return s != "" && !strings.ContainsAny(s, `*?\,`) && !strings.ContainsFunc(s, unicode.IsControl)
}

func (q StudyQuery) matches() []dicomweb.Match {
	var out []dicomweb.Match
	add := func(tag Tag, value string) {
		if value != "" {
			out = append(out, dicomweb.Match{Tag: tag, Value: value})
		}
	}
	add(dicomweb.TagPatientID, q.Patient.Value)
	add(dicomweb.TagPatientName, namePattern(q.Name))
	add(dicomweb.TagAccessionNumber, q.Accession.Value)
	add(dicomweb.TagStudyDate, q.dates())
	add(dicomweb.TagModalitiesInStudy, q.Modality)
	add(dicomweb.TagStudyInstanceUID, q.UID)
	add(dicomweb.TagStudyDescription, q.Description)
	return out
}

// dates is a range (PS3.4 section C.2.2.2.5).
func (q StudyQuery) dates() string {
	if q.From.IsZero() && q.To.IsZero() {
		return ""
	}
	return day(q.From) + "-" + day(q.To)
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(verb.China).Format(dicomDate)
}

// namePattern asks for more than is meant, because archives match the whole of a
// name with its carets: between the parts, and between Chinese characters, of which
// nobody knows which begin the given name, anything may stand.
func namePattern(name string) string {
	if strings.TrimSpace(name) == "" {
		return ""
	}
	var b strings.Builder
	b.WriteByte('*')
	for _, r := range name {
		switch {
		case dicomweb.Gap(r):
			b.WriteByte('*')
		case r > unicode.MaxLatin1:
			b.WriteString("*" + string(r) + "*")
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('*')
	for out := b.String(); ; {
		next := strings.ReplaceAll(out, "**", "*")
		if next == out {
			return out
		}
		out = next
	}
}

// describes: is a description asked for that every archive looks for? A Chinese one is *
// where a query is not decoded.
func (q StudyQuery) describes() bool {
	return strings.Trim(q.Description, "*") != "" && !strings.ContainsFunc(q.Description, func(r rune) bool { return r > unicode.MaxASCII })
}

// means: is it what was asked for? What is not, though nothing was ignored (another
// issuer's, a name that only looks alike, a study without a date), is left out.
func (q StudyQuery) means(s Study) (bool, error) {
	if !dicomweb.ValidUID(s.UID) || (q.UID != "" && s.UID != q.UID) {
		return false, hospital.ErrFilterIgnored
	}
	if p := q.Patient; p.Value != "" {
		if same, err := sameIssued(p.Issuer, p.Value, s.Patient.Issuer, s.Patient.Value); err != nil || !same {
			return false, err
		}
	}
	if a := q.Accession; a.Value != "" {
		if same, err := sameIssued(a.Issuer, a.Value, s.Accession.Issuer, s.Accession.Value); err != nil || !same {
			return false, err
		}
	}
	if q.Modality != "" && !slices.ContainsFunc(s.Modalities, func(m string) bool { return strings.EqualFold(m, q.Modality) }) {
		return false, hospital.ErrFilterIgnored
	}
	if q.dates() != "" {
		if s.Date == "" {
			return false, nil
		}
		if from, to := day(q.From), day(q.To); s.Date < from || (to != "" && s.Date > to) {
			return false, hospital.ErrFilterIgnored
		}
	}
	if q.Name != "" && !dicomweb.MatchText("*"+q.Name+"*", s.Name.Alphabetic, s.Name.Ideographic, s.Name.Phonetic,
		s.Name.Alphabetic+"="+s.Name.Ideographic+"="+s.Name.Phonetic) {
		return false, nil
	}
	return q.Description == "" || dicomweb.MatchText(q.Description, s.Description), nil
}
