package critical

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/verb"
)

// maxOpen bounds one list.
const maxOpen = 10_000

// openPage is how many are asked for at once, so that a list is mostly one page: one
// whose result shrinks between its pages could skip some.
const openPage = 500

// Open lists all critical values of a ward that are not handled, those with the nearest
// deadline first. It is all of them or an error: also a campus that did not answer,
// where several are asked, is an error (hospital.ErrPartial), beside what the others have.
// The zero Identifier is every ward; one that nobody knows is hospital.ErrInvalidArgument.
func (b *Board) Open(ctx context.Context, ward r4.Identifier, opts ...hospital.ReadOption) ([]Found, error) {
	return b.list(ctx, "OpenCriticals", ward, opts)
}

// Overdue is [Board.Open] of those whose deadline has passed, with its errors.
func (b *Board) Overdue(ctx context.Context, ward r4.Identifier, opts ...hospital.ReadOption) ([]Found, error) {
	all, err := b.list(ctx, "OverdueCriticals", ward, opts)
	now := time.Now()
	return slices.DeleteFunc(all, func(c Found) bool { return !c.Resource.Overdue(now) }), err
}

func (b *Board) list(ctx context.Context, name string, ward r4.Identifier, opts []hospital.ReadOption) ([]Found, error) {
	if (ward.System == "") != (ward.Value == "") {
		return nil, hospital.Refuse(hospital.ErrInvalidArgument, "a ward is named by system and value")
	}
	var known atomic.Bool // somewhere
	ask := func(ctx context.Context, f *fhir.Client, _ campus.PatientID) iter.Seq2[Found, error] {
		return b.open(ctx, f, ward, &known)
	}
	key := func(c *Critical) string { return string(c.origin.Store) + "/" + c.Task.ID }
	var all []Found
	var err error
	for c, missing := range hospital.Across(ctx, b.client, b.ops.Read(name, hospital.Strong, hospital.List), campus.PatientID{}, ask, key, opts...) {
		if err = missing; err == nil {
			all = append(all, c)
		}
	}
	switch {
	case hospital.CodeOf(err) == hospital.ErrNotFound || (err == nil && !known.Load()):
		err = errNoWard // misspelt, it must not look like a ward without any
	case len(all) > maxOpen:
		err = hospital.Refuse(hospital.ErrUnexpectedAnswer, "far more than can be")
	}
	if err != nil && hospital.CodeOf(err) != hospital.ErrPartial { // what others have must be dealt with, whoever is silent
		return nil, err
	}
	slices.SortStableFunc(all, func(x, y Found) int { return x.Resource.Deadline.Compare(y.Resource.Deadline) })
	return all, err
}

// maxLooks bounds the looks at one list until nothing is missing from one that the look
// before has shown.
const maxLooks = 8

// settled collects what a search finds. Of several pages some may be skipped when what
// was on an earlier one is handled meanwhile. If all that one look has shown is still
// there at the next, nothing was handled during the first, so it has skipped nothing.
func settled(ctx context.Context, f *fhir.Client, q fhir.Query, check func(*r4.Task, hospital.Origin) bool) ([]task, error) {
	var before map[string]task
	for range maxLooks {
		list, pages, err := look(ctx, f, q, check)
		gone := before == nil
		for id := range before {
			_, still := list[id]
			gone = gone || !still
		}
		switch {
		case errors.Is(err, fhir.ErrIncomplete) && pages > 0: // less than was counted: something was handled meanwhile
			list = nil
		case err != nil:
			return nil, err
		case pages <= 1, !gone:
			return slices.SortedFunc(maps.Values(list), func(x, y task) int { return strings.Compare(x.Resource.ID, y.Resource.ID) }), nil
		}
		before = list
	}
	return nil, hospital.Refuse(hospital.ErrUnexpectedAnswer, "the list changes too fast to be read whole; ask again")
}

// look reads all pages of a search.
func look(ctx context.Context, f *fhir.Client, q fhir.Query, check func(*r4.Task, hospital.Origin) bool) (list map[string]task, pages int, err error) {
	list = map[string]task{}
	for page, err := range fhir.Search(ctx, f, q) {
		if err != nil {
			return list, pages, verb.NoRoute(err)
		}
		pages++
		origin := hospital.OriginOf(page.Response)
		for _, r := range page.Matches {
			t, err := r4.As[*r4.Task](r)
			if err != nil || !check(t, origin) {
				return list, pages, hospital.ErrFilterIgnored
			}
			list[t.ID] = task{Resource: t, Origin: origin}
		}
	}
	return list, pages, nil
}

// open yields those of one campus.
func (b *Board) open(ctx context.Context, f *fhir.Client, id r4.Identifier, known *atomic.Bool) iter.Seq2[Found, error] {
	filters := []fhir.Filter[*r4.Task]{fhir.TaskCode.Is(CodeSystem, Code), fhir.TaskStatus.In(openStatuses...), fhir.Count[*r4.Task](openPage)}
	owner := ""
	if id.Value != "" {
		ward, err := wardOf(ctx, f, id)
		if err != nil {
			return verb.Fail[*Critical](err)
		}
		owner = ward.Resource.ID
		ctx, filters = hospital.SameStore(ctx, ward.Origin), append(filters, fhir.TaskOwner.Is(owner))
	}
	known.Store(true)
	found, err := settled(ctx, f, fhir.For(filters...), func(t *r4.Task, o hospital.Origin) bool {
		return r4.HasCode(t.Code, CodeSystem, Code) && (owner == "" || b.client.Names(o, t.Owner, "Organization", owner))
	})
	if err != nil {
		return verb.Fail[*Critical](err)
	}
	return func(yield func(Found, error) bool) {
		for _, t := range found {
			verb.Concerns(ctx, b.client, t.Origin, t.Resource.For)
			c := b.read(t.Resource, t.Origin)
			if c.Resource.Open() && !yield(c, nil) { // handled since the search
				return
			}
		}
	}
}
