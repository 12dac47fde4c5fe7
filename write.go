package hospital

import (
	"context"
	"errors"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
)

// Step is one half of a [Write].
type Step[T any] func(ctx context.Context, f *fhir.Client) (T, error)

// Write runs a writing operation that must happen at most once. send makes the
// write; find looks the act up by its Number, on the Store that takes writes,
// and returns it, [ErrNotFound] when it is not there, or another error
// ([ErrNumberReused], say) when what is there is not this act.
//
// find decides whenever send alone cannot: after any error once a write has
// reached a server or may have, and after a conflict, which a repetition of what
// already happened meets too. When find sees nothing and the lost request can no
// longer be running (campus.Contract.ServerTimeout), send runs once more, or up to
// three times more where a gateway's page is all that came back. After the last of
// them the error is [ErrUnavailable], or [ErrOutcomeUnknown] of an act without a
// number, which may have several parts. When a lost request may still be running at the
// deadline, it is [ErrOutcomeUnknown] and its Resolve asks find later.
//
// number names the act: of two calls at once with one number through one Client the second
// waits for the first and looks, as does, for an hour, one that repeats a lost one; what
// is declared [Unsafe] is looked for before it is ever sent. It may be empty for an act
// that has none.
func Write[T any](ctx context.Context, c *Client, op Op, number string, send, find Step[T], opts ...WriteOption) (T, error) {
	op.Consistency = Strong
	ctx, call, f, end := c.begin(ctx, op, writeOptions(opts))
	call.number = number
	var none T
	if err := c.ready(ctx, call, campus.Write); err != nil {
		return none, end(err)
	}
	_, overall := op.Class.times()
	limited, cancel := context.WithTimeout(ctx, overall)
	defer cancel()
	w := &write[T]{client: c, f: f, call: call, number: number, send: send, find: find}
	act := c.actOf(call)
	mine, waited := c.lost.enter(limited, act, true)
	if mine == nil { // another call of this number is still under way
		w.settledAt = time.Now().Add(c.longestRun(op.System))
		err := end(error(ErrOutcomeUnknown))
		w.name(err)
		return none, err
	}
	defer c.lost.leave(mine)
	w.settledAt = c.lost.until(act)
	call.wasLost(c.lost.where(act, op.Name))
	if waited {
		w.settledAt = later(w.settledAt, time.Now())
	}
	if writeOptions(opts).repeated {
		w.settledAt = later(w.settledAt, time.Now().Add(c.unprovedRun(op)))
	}
	end, always := whole(end)
	defer always(ErrOutcomeUnknown)
	told := false
	defer func() {
		if !told { // it panicked, and what it sent may be running
			c.lost.note(act, op.Name, lostWrite{at: later(w.settledAt, time.Now().Add(c.longestRun(op.System))), in: call.lostIn})
		}
	}()
	v, err := w.run(limited)
	err = end(err)
	told = true
	if unknown := w.name(err); unknown || (err != nil && w.settledAt.After(time.Now())) { // it may still be running, whatever a look saw
		c.lost.note(act, op.Name, lostWrite{at: w.settledAt, in: call.lostIn})
	} else {
		c.lost.forget(act, op.Name, c.lost.until(act))
	}
	if err != nil {
		return none, err
	}
	return v, nil
}

// Resolve finds out what became of a write from its Number alone, in whatever
// process: after a crash, or at another desk. It returns the act when it happened,
// [ErrNotFound] when it did not and no longer can, and [ErrOutcomeUnknown] when a
// request that was lost just now may still be running and ctx ends before it must
// have ended. When it was sent is not known here, nor whether the Write still runs at
// another desk and sends again, so that is op's overall time ([Class]) and
// campus.Contract.ServerTimeout from now. op, number and find are those of the
// [Write]; nothing is sent but find's reads.
func Resolve[T any](ctx context.Context, c *Client, op Op, number string, find Step[T], opts ...ReadOption) (T, error) {
	op.Consistency = Strong
	ctx, call, f, end := c.begin(ctx, op, readOptions(opts))
	call.number = number
	var none T
	if err := c.ready(ctx, call, campus.Write); err != nil {
		return none, end(err)
	}
	end, always := whole(end)
	defer always(ErrOutcomeUnknown)
	act := c.actOf(call)
	w, wanted := &write[T]{client: c, f: f, call: call, number: number}, false
	w.find = func(ctx context.Context, f *fhir.Client) (T, error) {
		mine, _ := c.lost.enter(ctx, act, false) // nobody sends while it is looked
		if mine == nil {
			return none, ErrOutcomeUnknown
		}
		defer c.lost.leave(mine)
		call.wasLost(c.lost.where(act, ""))
		v, err := find(ctx, f)
		wanted = c.lost.wanted(mine)
		return v, err
	}
	_, overall := op.Class.times()
	w.settledAt = time.Now().Add(overall + c.longestRun(op.System))
	v, _, err := w.confirm(ctx, ErrNotFound)
	w.find = find // Error.Resolve takes the place itself
	at := c.lost.until(act)
	if err == nil {
		c.lost.forget(act, op.Name, at)
	}
	if wanted { // by a call that may do it now
		at = later(at, time.Now().Add(c.longestRun(op.System)))
	}
	if absent(err) && at.After(w.settledAt) {
		w.settledAt, err = at, ErrOutcomeUnknown
	}
	if err = end(err); err != nil {
		w.name(err)
		return none, err
	}
	return v, nil
}

// unprovedRun is for how long a write of another process may still run where a
// second one beside it could be executed too.
func (c *Client) unprovedRun(op Op) time.Duration {
	for _, e := range c.Topology().Endpoints() {
		proved := (op.Repeat == Keyed && e.Contract.ConditionalCreate == campus.Atomic) || (op.Repeat == Guarded && !op.Anew && e.Contract.Versioning)
		if e.System == op.System && e.Writes() && !proved {
			return c.longestRun(op.System)
		}
	}
	return 0
}

// longestRun is after how long any write to the system has surely ended.
func (c *Client) longestRun(system campus.SystemID) time.Duration {
	longest := time.Duration(0)
	for _, e := range c.Topology().Endpoints() {
		if e.System == system && e.Writes() {
			longest = max(longest, e.Contract.MaxRun())
		}
	}
	return longest
}

// write is the progress of one Write.
type write[T any] struct {
	client     *Client
	f          *fhir.Client
	call       *call
	number     string
	send, find Step[T]
	settledAt  time.Time // zero: nothing of unknown outcome was sent
}

// sends bounds how often send runs: twice, or as often as this where gateways answer with
// pages, as while a server restarts. Each time the request before has surely ended and
// done nothing.
const sends = 4

func (w *write[T]) run(ctx context.Context) (T, error) {
	if w.call.op.Repeat == Unsafe && w.number != "" { // nothing but a look stops a repetition of what was done
		if v, err := w.find(ctx, w.f); !absent(err) {
			if !w.settledAt.IsZero() { // an earlier call of this number may be running, and nobody could look
				err = w.unlessFound(err)
			}
			return v, err
		}
	}
	var v T
	var err error
	if !w.settledAt.IsZero() { // an earlier call of this number may have done it, or may still be running
		if v, again, err := w.confirm(ctx, ErrOutcomeUnknown); !again {
			return v, err
		}
	}
	for n := 1; n <= 2 || (n <= sends && w.call.metAPage()); n++ {
		v, err = w.send(ctx, w.f)
		if err == nil || !w.undecided(err) {
			return v, err
		}
		var again bool
		if v, again, err = w.confirm(ctx, err); !again {
			return v, err
		}
		w.settledAt = time.Time{} // what was lost surely did not happen
		w.call.neverRan()
	}
	if w.number == "" { // an act of parts, such as a batch of images, may be there in part
		return v, err
	}
	return v, w.notExecuted(err)
}

// notExecuted is a loss after which a look has shown that nothing happened.
func (w *write[T]) notExecuted(err error) error {
	err = wrap(err, w.call)
	var e *Error
	if errors.As(err, &e) {
		e.Code = ErrUnavailable
	}
	return err
}

// undecided: does it take a look to know what err means? It notes until when a
// lost request may still run.
func (w *write[T]) undecided(err error) bool {
	wrote, settledAt := w.call.written()
	w.settledAt = later(w.settledAt, settledAt)
	unknown := codeOf(err) == ErrOutcomeUnknown
	if unknown && settledAt.IsZero() { // sent by other means than f
		w.settledAt = later(w.settledAt, time.Now().Add(max(campus.DefaultServerTimeout, w.client.longestRun(w.call.op.System))))
	}
	return wrote || unknown || codeOf(err) == ErrConflict
}

// confirm looks for the act. again means that it surely did not happen and may
// be sent once more.
func (w *write[T]) confirm(ctx context.Context, cause error) (v T, again bool, err error) {
	v, err = w.find(ctx, w.f)
	if !absent(err) {
		return v, false, w.unlessFound(err)
	}
	if w.settledAt.IsZero() {
		return v, false, cause // refused, and never done
	}
	if w.call.askedElsewhere() { // a description that came meanwhile leads to another store
		return v, false, ErrOutcomeUnknown
	}
	if !sleepUntil(ctx, w.settledAt) {
		return v, false, ErrOutcomeUnknown
	}
	v, err = w.find(ctx, w.f)
	if !absent(err) {
		return v, false, w.unlessFound(err)
	}
	if w.call.askedElsewhere() {
		return v, false, ErrOutcomeUnknown
	}
	return v, codeOf(cause) == ErrOutcomeUnknown, cause
}

// unlessFound: a look that failed for want of an answer leaves the outcome
// unknown; a look that saw another act says so.
func (w *write[T]) unlessFound(err error) error {
	if err == nil {
		return nil
	}
	switch codeOf(err) {
	case ErrNumberReused, ErrConflict, ErrIdentityMismatch, ErrWrongPatient:
		return err
	case ErrAmbiguousPatient: // says whose the act is as little as that it is not there, where its Number does not name the patient
		if w.settledAt.IsZero() || w.call.namesPatient(w.number) {
			return err
		}
	default:
	}
	w.settledAt = later(w.settledAt, time.Now())
	return ErrOutcomeUnknown
}

// name completes the error that leaves Write: its Number and, for an unknown
// outcome, when to ask again and how. It reports whether the outcome is unknown.
func (w *write[T]) name(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	e.Number = w.number
	e.resolve = w.resolve(e) // also of one that its verb makes unknown
	if e.Code != ErrOutcomeUnknown {
		return false
	}
	e.RetryAfter = max(e.RetryAfter, time.Until(w.settledAt))
	return true
}

func (w *write[T]) resolve(e *Error) func(ctx context.Context) (bool, error) {
	settledAt := w.settledAt
	return func(ctx context.Context) (bool, error) {
		if err := w.client.auditStart(ctx, w.call, "resolve"); err != nil {
			return false, wrap(err, w.call)
		}
		happened, err := w.look(ctx, e, settledAt)
		w.client.auditEnd(ctx, w.call, "resolve", err)
		return happened, err
	}
}

// look asks what became of the act, at a time of its own.
func (w *write[T]) look(ctx context.Context, e *Error, settledAt time.Time) (bool, error) {
	lost, act, asked, ended := &w.client.lost, w.client.actOf(w.call), time.Now(), settledAt
	mine, other := lost.enterBeside(ctx, act) // nobody else sends while it is looked
	if mine != nil {
		defer lost.leave(mine)
	}
	settledAt = later(settledAt, lost.until(act))
	w.call.wasLost(lost.where(act, w.call.op.Name)) // in another call
	_, err := w.find(context.WithValue(ctx, callKey{}, w.call), w.f)
	if other != nil || (mine != nil && lost.wanted(mine)) { // by a call that may do it now
		settledAt = later(settledAt, time.Now().Add(w.client.longestRun(w.call.op.System)))
	}
	switch {
	case err == nil:
		lost.forget(act, w.call.op.Name, ended)
		return true, nil
	case !absent(err):
		return false, wrap(err, w.call)
	case asked.Before(settledAt), w.call.askedElsewhere():
		again := *e
		again.RetryAfter = max(0, time.Until(settledAt))
		return false, &again
	}
	return false, nil
}

func absent(err error) bool { return err != nil && codeOf(err) == ErrNotFound }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sleepUntil waits and reports whether ctx lasted; it does not wait for what a
// deadline forbids.
func sleepUntil(ctx context.Context, at time.Time) bool {
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(at) {
		return false
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
