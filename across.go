package hospital

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
)

type readOptionFunc func(*options)

func (f readOptionFunc) applyRead(o *options) { f(o) }

// AcrossCampuses asks every campus of the calling campus's legal entity, where a
// verb says that it can; other verbs refuse it with [ErrInvalidArgument]. Items come in
// the order in which the campuses answer: sort them before the first is taken for the
// latest. Each has its Origin; one that several campuses have comes once. By which
// numbers a campus knows a patient is told by campus.Campus.PatientIssuer, and which
// those are by Config.Identities.
//
// The last pair is a [*PartialError] unless every campus was asked and answered. An
// [ErrInvalidArgument] of one ends it at once: it would be one at all of them.
func AcrossCampuses() ReadOption { return readOptionFunc(func(o *options) { o.across = true }) }

// AcrossOrganizations is [AcrossCampuses] beyond the calling campus's legal entity,
// for this purpose, which takes the place of the Actor's in the audit. An empty
// purpose is [ErrInvalidArgument].
func AcrossOrganizations(purpose Purpose) ReadOption {
	return readOptionFunc(func(o *options) { o.across, o.beyond, o.purpose = true, true, purpose })
}

// PartialError ends what was read across campuses when it is not whole: nothing
// from a campus that is named here means nothing. errors.Is finds the campuses'
// own errors in it, and [ErrPartial]; [CodeOf] is ErrPartial. errors.As finds any one of
// the campuses' errors, so look into Failed instead.
type PartialError struct {
	// Failed are the campuses that did not answer, and why. What one of them yielded
	// before it failed has been shown.
	Failed map[campus.ID]error
	// NotAsked are the campuses at which no number of the patient's is known, in order.
	NotAsked []campus.ID
}

// Error names the campuses.
func (e *PartialError) Error() string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(e.Failed)) {
		parts = append(parts, fmt.Sprintf("%s did not answer (%s)", id, codeOf(e.Failed[id])))
	}
	for _, id := range e.NotAsked {
		parts = append(parts, string(id)+" was not asked: no number of the patient's is known there")
	}
	return ErrPartial.Error() + ": " + strings.Join(parts, "; ")
}

// Is reports whether target is [ErrPartial].
func (e *PartialError) Is(target error) bool { return target == error(ErrPartial) }

// Unwrap returns the campuses' errors.
func (e *PartialError) Unwrap() []error { return slices.Collect(maps.Values(e.Failed)) }

// Ask is one campus's part of a reading: f and patient are that campus's. Several
// campuses are asked at once, at most four at a time, each in a goroutine of its own, so
// it must be safe for concurrent use.
type Ask[T any] func(ctx context.Context, f *fhir.Client, patient campus.PatientID) iter.Seq2[Found[T], error]

// Across is [Stream] for a verb that can ask several campuses: ask is called once per
// campus and number of the patient there. Without [AcrossCampuses] that is the
// calling campus and the number given. A patient whom a campus's system does not
// know ([ErrNotFound]) has nothing there. key names an item as people do, by a
// business identifier, so that one item of two campuses is shown once, and two of one
// campus twice; "" is shown always. key is called in the goroutine that ranges. The zero patient is for what
// concerns nobody in particular. Each campus has a span and an audit record of its own.
func Across[T any](ctx context.Context, c *Client, op Op, patient campus.PatientID, ask Ask[T], key func(T) string, opts ...ReadOption) iter.Seq2[Found[T], error] {
	o := readOptions(opts)
	if patient != (campus.PatientID{}) {
		opts = append(slices.Clip(opts), Concerning(patient))
	}
	if !o.across {
		return Stream(ctx, c, op, func(ctx context.Context, f *fhir.Client) iter.Seq2[Found[T], error] { return ask(ctx, f, patient) }, opts...)
	}
	return func(yield func(Found[T], error) bool) {
		targets, missing, err := c.targets(ctx, op, patient, o, opts)
		if err != nil {
			yield(Found[T]{}, err)
			return
		}
		f := &fan[T]{client: c, op: op, ask: ask, opts: opts, missing: missing}
		f.run(ctx, targets, key, yield)
	}
}

// target is one campus and the patient's numbers there.
type target struct {
	campus   campus.ID
	patients []campus.PatientID
}

// fan asks several campuses.
type fan[T any] struct {
	client  *Client
	op      Op
	ask     Ask[T]
	opts    []ReadOption
	missing *PartialError // guarded by the goroutine that runs run

	panicked atomic.Pointer[any] // by a verb or a callback
}

// maxFan bounds how many campuses are asked at once.
const maxFan = 4

// asked is one campus and one of the patient's numbers there.
type asked struct {
	campus  campus.ID
	patient campus.PatientID
}

// sighting is an item's name, and who had it: what one has twice is two.
type sighting struct {
	name string
	from asked
}

// piece is an item of one campus, or why that has no more.
type piece[T any] struct {
	from asked
	item Found[T]
	err  error
}

func (f *fan[T]) run(ctx context.Context, targets []target, key func(T) string, yield func(Found[T], error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	pieces, places := make(chan piece[T]), make(chan struct{}, maxFan)
	var asking sync.WaitGroup
	for _, t := range targets {
		asking.Go(func() {
			done := false
			defer func() { // the caller's loop panics instead
				p := recover()
				if p == nil && !done { // runtime.Goexit, as by require in a test
					p = "hospital: a verb ended its goroutine"
				}
				if p != nil {
					f.panicked.CompareAndSwap(nil, &p)
					cancel()
				}
			}()
			select {
			case places <- struct{}{}:
				f.one(ctx, t, pieces)
				<-places
			case <-ctx.Done():
				f.hand(ctx, pieces, f.outOfTime(ctx, t))
			}
			done = true
		})
	}
	go func() {
		asking.Wait()
		close(pieces)
	}()
	defer func() { // also when the loop is left, or panics
		cancel()
		for range pieces { // until nobody asks any more
		}
		if p := f.panicked.Load(); p != nil {
			panic(*p)
		}
	}()
	f.merge(pieces, key, yield)
}

// merge yields what comes, each thing once, and at last what did not come.
func (f *fan[T]) merge(pieces <-chan piece[T], key func(T) string, yield func(Found[T], error) bool) {
	shown, had := map[string]int{}, map[sighting]int{}
	for p := range pieces {
		if p.err != nil {
			if codeOf(p.err) == ErrInvalidArgument && !errors.Is(p.err, errOtherStore) { // everywhere
				yield(Found[T]{}, p.err)
				return
			}
			f.missing.Failed[p.from.campus] = p.err
			continue
		}
		seen := sighting{key(p.item.Resource), p.from}
		if had[seen]++; seen.name != "" && had[seen] <= shown[seen.name] {
			continue
		}
		shown[seen.name]++
		if !yield(p.item, nil) {
			return
		}
	}
	if len(f.missing.Failed)+len(f.missing.NotAsked) > 0 {
		yield(Found[T]{}, f.missing)
	}
}

// one asks one campus, by each of the patient's numbers there.
func (f *fan[T]) one(ctx context.Context, t target, pieces chan<- piece[T]) {
	for _, patient := range t.patients {
		opts := append(slices.Clip(f.opts), AtCampus(t.campus), readOptionFunc(func(o *options) { o.across = false }))
		if patient != (campus.PatientID{}) {
			opts = append(opts, Concerning(patient))
		}
		items := Stream(ctx, f.client, f.op, func(ctx context.Context, c *fhir.Client) iter.Seq2[Found[T], error] {
			return f.ask(ctx, c, patient)
		}, opts...)
		shown := false
		for item, err := range items {
			if codeOf(err) == ErrNotFound && !shown {
				break
			}
			shown = true
			if !f.hand(ctx, pieces, piece[T]{asked{t.campus, patient}, item, err}) {
				f.hand(ctx, pieces, f.outOfTime(ctx, t)) // what was not handed on is missing
				return
			}
			if err != nil {
				return
			}
		}
	}
}

func (f *fan[T]) outOfTime(ctx context.Context, t target) piece[T] {
	return piece[T]{from: asked{campus: t.campus}, err: wrap(Because(codeOf(ctx.Err()), ctx.Err()), &call{op: f.op, campus: t.campus})}
}

// hand passes a piece on unless nobody wants it any more.
func (f *fan[T]) hand(ctx context.Context, pieces chan<- piece[T], p piece[T]) bool {
	if p.err != nil { // that it is missing must be told, even when time is up
		pieces <- p
		return true
	}
	select {
	case pieces <- p:
		return true
	case <-ctx.Done():
		return false
	}
}

// targets are the campuses to ask, the calling one first, and those that cannot be.
func (c *Client) targets(ctx context.Context, op Op, patient campus.PatientID, o options, opts []ReadOption) ([]target, *PartialError, error) {
	refusal := &call{op: op, campus: c.campusOf(o)}
	t := c.Topology()
	home := t.Campus(refusal.campus)
	switch {
	case refusal.campus == "":
		return nil, nil, wrap(errNoCampus, refusal)
	case home == nil:
		return nil, nil, wrap(campus.ErrUnknownCampus, refusal)
	case o.beyond && strings.TrimSpace(string(o.purpose)) == "":
		return nil, nil, wrap(Refuse(ErrInvalidArgument, "say for what purpose other legal entities are asked"), refusal)
	}
	ids := slices.DeleteFunc(t.Campuses(), func(id campus.ID) bool {
		return id == home.ID || (!o.beyond && t.Campus(id).Organization != home.Organization)
	})
	ids = append([]campus.ID{home.ID}, ids...)
	numbers, failure := []campus.PatientID{patient}, error(nil)
	if patient != (campus.PatientID{}) && slices.ContainsFunc(ids, func(id campus.ID) bool { return elsewhere(t.Campus(id), patient) }) {
		numbers, failure = c.numbers(ctx, patient, opts)
	}
	missing := &PartialError{Failed: map[campus.ID]error{}}
	var out []target
	for _, id := range ids {
		switch known := numbersAt(t.Campus(id), patient, numbers); {
		case len(known) > 0:
			out = append(out, target{id, known})
		case failure != nil:
			missing.Failed[id] = wrap(failure, &call{op: op, campus: id})
		default:
			missing.NotAsked = append(missing.NotAsked, id)
		}
	}
	return out, missing, nil
}

// elsewhere: the campus issues numbers of its own, and this is none of them.
func elsewhere(c *campus.Campus, patient campus.PatientID) bool {
	return c.PatientIssuer != "" && c.PatientIssuer != patient.Issuer
}

// numbersAt are the patient's numbers at a campus.
func numbersAt(c *campus.Campus, patient campus.PatientID, numbers []campus.PatientID) []campus.PatientID {
	if c.PatientIssuer == "" || patient == (campus.PatientID{}) {
		return []campus.PatientID{patient}
	}
	return slices.DeleteFunc(slices.Clone(numbers), func(p campus.PatientID) bool { return p.Issuer != c.PatientIssuer })
}

// numbers are all numbers that are known of the patient; the one given is always
// among them.
func (c *Client) numbers(ctx context.Context, patient campus.PatientID, opts []ReadOption) ([]campus.PatientID, error) {
	find := c.config.Identities
	if find == nil {
		find = func(ctx context.Context, id campus.PatientID) ([]campus.PatientID, error) {
			return c.linked(ctx, id, opts)
		}
	}
	others, err := find(ctx, patient)
	out := []campus.PatientID{patient}
	if err != nil {
		if codeOf(err) == ErrNotFound { // nobody knows more
			return out, nil
		}
		if own := (*Error)(nil); !errors.As(err, &own) { // the program's own, whose text may name somebody
			err = Because(codeOf(err), err)
		}
		return out, err
	}
	for _, p := range others {
		if !slices.Contains(out, p) && p.Validate() == nil {
			out = append(out, p)
		}
	}
	return out, nil
}
