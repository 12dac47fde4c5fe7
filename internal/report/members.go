package report

import (
	"context"
	"slices"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Bounds of one report; beyond them it is hospital.ErrUnexpectedAnswer.
const (
	maxDepth   = 8    // panels within panels
	maxMembers = 5000 // results, counted where they are shown; also what is fetched of one kind
	maxBatch   = 50   // ids asked for at once
)

// errMember: a report is whole or it is not shown.
var errMember = hospital.Refuse(hospital.ErrUnexpectedAnswer, "a member of the report could not be had, so the report was dropped")

// errTree: results that contain themselves, or far too many members.
var errTree = hospital.Refuse(hospital.ErrUnexpectedAnswer, "the report's members contain each other without end, or are far too many")

// members is what the reports of a page refer to.
type members struct {
	call      *Call
	origin    hospital.Origin
	results   map[string]*r4.Observation
	settled   map[string]bool // results whose version may be shown
	specimens map[string]*r4.Specimen
	studies   map[string]*r4.ImagingStudy
}

func newMembers(c *Call, origin hospital.Origin, included []r4.Resource) *members {
	m := &members{
		call: c, origin: origin, results: map[string]*r4.Observation{}, settled: map[string]bool{},
		specimens: map[string]*r4.Specimen{}, studies: map[string]*r4.ImagingStudy{},
	}
	for _, r := range included {
		switch r := r.(type) {
		case *r4.Observation:
			m.results[r.ID] = r
		case *r4.Specimen:
			m.specimens[r.ID] = r
		}
	}
	return m
}

// gather fetches what the reports refer to and did not come along, level by level.
func (m *members) gather(ctx context.Context, reports []*r4.DiagnosticReport) error {
	var level, tubes, studies []string
	for _, r := range reports {
		level = append(level, m.ids(r.Result, r.Contained, "Observation")...)
		tubes = append(tubes, m.ids(r.Specimen, nil, "Specimen")...)
		studies = append(studies, m.ids(r.ImagingStudy, nil, "ImagingStudy")...)
	}
	if err := fetch(ctx, m, tubes, m.specimens); err != nil {
		return err
	}
	if m.call.config.StudyUID != nil {
		if err := m.images(ctx, studies); err != nil {
			return err
		}
	}
	return m.descend(ctx, level)
}

// images fetches what is known of the studies, in the versions that may be shown.
func (m *members) images(ctx context.Context, ids []string) error {
	if err := fetch(ctx, m, ids, m.studies); err != nil {
		return err
	}
	for id, s := range m.studies {
		current, _, err := Current(ctx, m.call, m.origin, s, errorStudy)
		if err != nil {
			return err
		}
		m.studies[id] = current
	}
	return nil
}

// descend settles each level's results before it looks at what belongs to them: a
// newer version may have other members.
func (m *members) descend(ctx context.Context, level []string) error {
	for range maxDepth {
		if len(level) == 0 {
			return nil
		}
		if err := fetch(ctx, m, level, m.results); err != nil {
			return err
		}
		var next []string
		for _, id := range level {
			if m.settled[id] {
				continue
			}
			o, err := m.settle(ctx, m.results[id])
			if err != nil {
				return err
			}
			m.results[id], m.settled[id] = o, true
			next = append(next, m.ids(o.HasMember, o.Contained, "Observation")...)
		}
		level = slices.DeleteFunc(next, func(id string) bool { return m.settled[id] })
		if len(m.settled)+len(level) > maxMembers {
			return errTree
		}
	}
	if len(level) > 0 {
		return errTree
	}
	return nil
}

// settle returns the version of a result that may be shown, which must be the patient's.
func (m *members) settle(ctx context.Context, o *r4.Observation) (*r4.Observation, error) {
	if !m.mine(o.Subject, false) {
		return nil, hospital.ErrWrongPatient
	}
	o, _, err := Current(ctx, m.call, m.origin, o, errorObservation)
	if err == nil && !m.mine(o.Subject, false) {
		err = hospital.ErrWrongPatient
	}
	return o, err
}

// ids are what references name on this server, through contained results too. What
// names nothing here is found out when the tree is built.
func (m *members) ids(refs []r4.Reference, contained []r4.Resource, want string) []string {
	var out []string
	for i := range refs {
		if typ, id, ok := m.call.client.Local(m.origin, refs[i].Reference); ok && typ == want {
			out = append(out, id)
		}
	}
	for _, c := range contained {
		if o, ok := c.(*r4.Observation); ok {
			out = append(out, m.ids(o.HasMember, nil, want)...)
		}
	}
	return out
}

// fetch asks for those of the ids that are not known, some at a time; each must come.
func fetch[T r4.Resource](ctx context.Context, m *members, ids []string, known map[string]T) error {
	missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, ok := known[id]; return ok })
	slices.Sort(missing)
	if missing = slices.Compact(missing); len(missing) > maxMembers {
		return errTree
	}
	for some := range slices.Chunk(missing, maxBatch) {
		q := fhir.For(verb.AnyOf[T]("_id", some))
		for found, err := range verb.Search(ctx, m.call.f, q, func(r T, _ hospital.Origin) bool { return slices.Contains(some, r.ResourceID()) }) {
			if err != nil {
				return err
			}
			known[found.Resource.ResourceID()] = found.Resource
		}
		if slices.ContainsFunc(some, func(id string) bool { _, ok := known[id]; return !ok }) {
			return errMember
		}
	}
	return nil
}

// mine: is a member this patient's? A contained one may leave that to what contains it.
func (m *members) mine(subject *r4.Reference, contained bool) bool {
	return (subject == nil && contained) || m.call.Mine(m.origin, subject)
}
