package lis

import (
	"context"
	"slices"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// Bounds of one report; beyond them it is hospital.ErrUnexpectedAnswer.
const (
	maxDepth   = 8    // panels within panels
	maxMembers = 5000 // results, counted where they are shown
	maxBatch   = 50   // ids asked for at once
)

// errMember: a report is whole or it is not shown.
var errMember = hospital.Refuse(hospital.ErrUnexpectedAnswer, "a member of the report could not be had, so the report was dropped")

// errTree: results that contain themselves, or far too many of them.
var errTree = hospital.Refuse(hospital.ErrUnexpectedAnswer, "the report's results contain each other without end, or are far too many")

// members is what the reports of a page refer to.
type members struct {
	desk      *desk
	origin    hospital.Origin
	results   map[string]*r4.Observation
	settled   map[string]bool // results whose version may be shown
	specimens map[string]*r4.Specimen
}

func newMembers(d *desk, origin hospital.Origin, included []r4.Resource) *members {
	m := &members{desk: d, origin: origin, results: map[string]*r4.Observation{}, settled: map[string]bool{}, specimens: map[string]*r4.Specimen{}}
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
	var level, tubes []string
	for _, r := range reports {
		level = append(level, m.ids(r.Result, r.Contained, "Observation")...)
		tubes = append(tubes, m.ids(r.Specimen, nil, "Specimen")...)
	}
	if err := fetch(ctx, m, tubes, m.specimens); err != nil {
		return err
	}
	return m.descend(ctx, level)
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
	o, _, err := current(ctx, m.desk, m.origin, o, errorObservation)
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
		if typ, id, ok := m.desk.client.Local(m.origin, refs[i].Reference); ok && typ == want {
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
	for some := range slices.Chunk(slices.Compact(missing), maxBatch) {
		q := fhir.For(anyOf[T]("_id", some))
		for found, err := range verb.Search(ctx, m.desk.f, q, func(r T, _ hospital.Origin) bool { return slices.Contains(some, r.ResourceID()) }) {
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

// report puts a report and its members together.
func (m *members) report(r *r4.DiagnosticReport) (*Report, error) {
	out := &Report{Report: r, Withdrawn: errorReport(r), Recognised: m.desk.marks.on(r.Meta, r.Extension, r.Category), origin: m.origin}
	if out.Withdrawn {
		out.Report = withdrawnReport(r)
		return out, nil
	}
	t := &tree{members: m, contained: r.Contained}
	var err error
	if out.Results, err = t.list(r.Result, 0); err != nil {
		return nil, err
	}
	out.Specimens, err = m.tubes(r)
	return out, err
}

// withdrawnReport is what may be shown of a report that was entered in error.
func withdrawnReport(r *r4.DiagnosticReport) *r4.DiagnosticReport {
	return &r4.DiagnosticReport{
		ID: r.ID, Meta: r.Meta, Identifier: r.Identifier, BasedOn: r.BasedOn, Status: r.Status, Category: r.Category, Code: r.Code,
		Subject: r.Subject, EffectiveDateTime: r.EffectiveDateTime, EffectivePeriod: r.EffectivePeriod, Issued: r.Issued,
	}
}

func (m *members) tubes(r *r4.DiagnosticReport) ([]*r4.Specimen, error) {
	var out []*r4.Specimen
	for i := range r.Specimen {
		s, local := inside[*r4.Specimen](r.Contained, r.Specimen[i].Reference)
		if !local {
			typ, id, ok := m.desk.client.Local(m.origin, r.Specimen[i].Reference)
			if s = m.specimens[id]; !ok || typ != "Specimen" {
				s = nil
			}
		}
		switch {
		case s == nil:
			return nil, errMember
		case !m.mine(s.Subject, local):
			return nil, hospital.ErrWrongPatient
		}
		out = append(out, s)
	}
	return out, nil
}

// mine: is a member this patient's? A contained one may leave that to what contains it.
func (m *members) mine(subject *r4.Reference, contained bool) bool {
	return (subject == nil && contained) || m.desk.mine(m.origin, subject)
}

// inside finds a contained resource; local says that the reference is to one.
func inside[T r4.Resource](contained []r4.Resource, ref string) (found T, local bool) {
	id, local := strings.CutPrefix(ref, "#")
	for _, c := range contained {
		if t, ok := c.(T); local && ok && c.ResourceID() == id {
			return t, true
		}
	}
	return found, local
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
		result := t.desk.result(o, t.origin)
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
	if o, contained := inside[*r4.Observation](t.contained, ref); contained {
		switch {
		case o == nil:
			return nil, true, errMember
		case !t.mine(o.Subject, true):
			return nil, true, hospital.ErrWrongPatient
		}
		return o, true, nil
	}
	typ, id, ok := t.desk.client.Local(t.origin, ref)
	if !ok || typ != "Observation" || !t.settled[id] {
		return nil, false, errMember
	}
	return t.results[id], false, nil
}
