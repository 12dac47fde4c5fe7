package critical

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// DefaultSweep is how often a sweep looks.
const DefaultSweep = 30 * time.Second

// ChangeKind is what has become of a critical value since the last look.
type ChangeKind string

// Kinds of changes.
const (
	IsNew      ChangeKind = "new"      // first seen by this sweep
	IsAdvanced ChangeKind = "advanced" // somebody took a step
	IsOverdue  ChangeKind = "overdue"  // its deadline has passed, told once
	IsGone     ChangeKind = "gone"     // handled, withdrawn, or given to another ward: see Stage and Task.owner
)

// Change is one change.
type Change struct {
	// Kind is what has changed.
	Kind ChangeKind
	// Found is the critical value as it is now.
	Found
}

// Sweep looks again and again and yields what has changed: at first everything that is
// open, as [IsNew]. Each look is complete, as [Board.Open] is. A look that fails is yielded
// as an error, and the sweep goes on: until it succeeds nothing is known of what came
// meanwhile, and the screen must say so. The sequence ends with ctx, without an error, or
// when the loop is left. every is the time from look to look; zero or less means
// [DefaultSweep].
func (b *Board) Sweep(ctx context.Context, ward r4.Identifier, every time.Duration, opts ...hospital.ReadOption) iter.Seq2[Change, error] {
	if every <= 0 {
		every = DefaultSweep
	}
	return func(yield func(Change, error) bool) {
		s := &sweep{board: b, ward: ward, opts: opts, known: map[place]state{}, yield: yield}
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			timer.Reset(every)
			if !s.look(ctx) {
				return
			}
		}
	}
}

// place is where a critical value is.
type place struct {
	store string
	epoch int64
	id    string
}

func placeOf(c Found) place {
	return place{string(c.Origin.Store), c.Origin.Epoch, c.Resource.Task.ID}
}

// state is what was told of one.
type state struct {
	last    Found
	overdue bool
}

type sweep struct {
	board *Board
	ward  r4.Identifier
	opts  []hospital.ReadOption
	known map[place]state
	yield func(Change, error) bool
}

// look reports whether the caller wants more.
func (s *sweep) look(ctx context.Context) bool {
	all, err := s.board.list(ctx, "SweepCriticals", s.ward, s.opts)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil && hospital.CodeOf(err) != hospital.ErrPartial:
		return s.yield(Change{}, err)
	}
	here := map[place]bool{}
	for _, c := range all {
		here[placeOf(c)] = true
	}
	for at, known := range s.known {
		if !here[at] && !silent(err, known.last.Origin.Campus) && !s.missing(ctx, at, known) {
			return false
		}
	}
	for _, c := range all {
		if !s.tell(c) {
			return false
		}
	}
	return err == nil || s.yield(Change{}, err)
}

// silent: is it known of a campus that it did not answer the look that ended with err?
func silent(err error, at campus.ID) bool {
	var partial *hospital.PartialError
	return errors.As(err, &partial) && partial.Failed[at] != nil
}

// tell yields what is new of one that is open.
func (s *sweep) tell(c Found) bool {
	before, known := s.known[placeOf(c)]
	now := state{c, before.overdue || c.Resource.Overdue(time.Now())}
	s.known[placeOf(c)] = now
	switch {
	case !known && !s.yield(Change{IsNew, c}, nil):
		return false
	case known && before.last.Resource.Stage != c.Resource.Stage && !s.yield(Change{IsAdvanced, c}, nil):
		return false
	}
	return !now.overdue || before.overdue || s.yield(Change{IsOverdue, c}, nil)
}

// missing looks what became of one that the list does not show any more. One that
// still belongs there was skipped between pages, and stays.
func (s *sweep) missing(ctx context.Context, at place, known state) bool {
	c, err := s.board.again(ctx, known.last, s.opts)
	switch {
	case ctx.Err() != nil:
		return false
	case hospital.CodeOf(err) == hospital.ErrInvalidArgument: // its store, or epoch, is over; what is open now is new
		c = known.last
	case err != nil:
		return s.yield(Change{}, err)
	case c.Resource.Open() && sameRef(c.Resource.Task.Owner, known.last.Resource.Task.Owner):
		return s.tell(c)
	}
	delete(s.known, at)
	return s.yield(Change{IsGone, c}, nil)
}

// again reads one by its id, in its own store; one that was deleted is what was known
// of it, withdrawn.
func (b *Board) again(ctx context.Context, c Found, opts []hospital.ReadOption) (Found, error) {
	opts = append(opts[:len(opts):len(opts)], hospital.AtCampus(c.Origin.Campus))
	f := b.client.FHIR(b.config.System, opts...)
	t, resp, err := fhir.Read[*r4.Task](hospital.SameStore(ctx, c.Origin), f, c.Resource.Task.ID)
	if errors.Is(err, fhir.ErrNotFound) || errors.Is(err, fhir.ErrGone) {
		gone := *c.Resource
		gone.Stage = Withdrawn
		return Found{Resource: &gone, Origin: c.Origin}, nil
	}
	if err != nil {
		return Found{}, err
	}
	return b.read(t, hospital.OriginOf(resp)), nil
}
