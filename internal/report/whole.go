package report

import (
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir/r4"
)

// report puts a report and its members together.
func (m *members) report(r *r4.DiagnosticReport) (*Report, error) {
	out := &Report{Report: r, Withdrawn: errorReport(r), Recognised: m.call.config.Marks.on(r.Meta, r.Extension, r.Category), origin: m.origin}
	if out.Withdrawn {
		out.Report = withdrawnReport(r)
		return out, nil
	}
	t := &tree{members: m, contained: r.Contained}
	var err error
	if out.Results, err = t.list(r.Result, 0); err != nil {
		return nil, err
	}
	tubes := func(s *r4.Specimen) *r4.Reference { return s.Subject }
	if out.Specimens, err = named(m, r, r.Specimen, m.specimens, tubes); err != nil {
		return nil, err
	}
	out.Studies, err = m.uids(r)
	return out, err
}

// uids are the Study Instance UIDs of the images that a report is about.
func (m *members) uids(r *r4.DiagnosticReport) ([]string, error) {
	if m.call.config.StudyUID == nil {
		return nil, nil
	}
	studies, err := named(m, r, r.ImagingStudy, m.studies, func(s *r4.ImagingStudy) *r4.Reference { return s.Subject })
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range studies {
		if errorStudy(s) {
			continue
		}
		uid, ok := m.call.config.StudyUID(s)
		if !ok {
			return nil, errStudy
		}
		out = append(out, uid)
	}
	return out, nil
}

// errStudy: whoever goes on from the report must not miss images.
var errStudy = hospital.Refuse(hospital.ErrUnexpectedAnswer, "a study of the report has no Study Instance UID, so the report was dropped")

// named are the members that a report's references name, each of which must be there
// and the patient's.
func named[T r4.Resource](m *members, r *r4.DiagnosticReport, refs []r4.Reference, known map[string]T, subject func(T) *r4.Reference) ([]T, error) {
	var out []T
	for i := range refs {
		found, ok, local := inside[T](r.Contained, refs[i].Reference)
		if !local {
			typ, id, here := m.call.client.Local(m.origin, refs[i].Reference)
			if found, ok = known[id]; !here || typ != found.ResourceType() {
				ok = false
			}
		}
		switch {
		case !ok:
			return nil, errMember
		case !m.mine(subject(found), local):
			return nil, hospital.ErrWrongPatient
		}
		out = append(out, found)
	}
	return out, nil
}

// inside finds a contained resource; local says that the reference is to one.
func inside[T r4.Resource](contained []r4.Resource, ref string) (found T, ok, local bool) {
	id, local := strings.CutPrefix(ref, "#")
	for _, c := range contained {
		if t, is := c.(T); local && is && c.ResourceID() == id {
			return t, true, true
		}
	}
	return found, false, local
}

// tree builds the results of one report.
type tree struct {
	*members
	contained []r4.Resource
	count     int
}

// list builds what references name, at a depth; results that go in a circle are too deep.
func (t *tree) list(refs []r4.Reference, depth int) ([]Result, error) {
	var out []Result
	for i := range refs {
		if t.count++; t.count > maxMembers || depth >= maxDepth {
			return nil, errTree
		}
		o, contained, err := t.observation(refs[i].Reference)
		if err != nil {
			return nil, err
		}
		result := t.call.result(o, t.origin)
		below := t
		if !contained && len(o.Contained) > 0 {
			below = &tree{members: t.members, contained: o.Contained, count: t.count}
		}
		if !result.Withdrawn {
			result.Members, err = below.list(o.HasMember, depth+1)
		}
		if t.count = below.count; err != nil {
			return nil, err
		}
		out = append(out, result)
	}
	return out, nil
}

// observation is the one that a reference names; contained says that it is inside the
// report or the result.
func (t *tree) observation(ref string) (o *r4.Observation, contained bool, err error) {
	if o, ok, contained := inside[*r4.Observation](t.contained, ref); contained {
		switch {
		case !ok:
			return nil, true, errMember
		case !t.mine(o.Subject, true):
			return nil, true, hospital.ErrWrongPatient
		}
		return o, true, nil
	}
	typ, id, ok := t.call.client.Local(t.origin, ref)
	if !ok || typ != "Observation" || !t.settled[id] {
		return nil, false, errMember
	}
	return t.results[id], false, nil
}
