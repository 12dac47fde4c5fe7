package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// stream is an answer that is read outside the attempt. It must not fall silent, and
// what breaks it off is charged like an attempt's failure, later.
type stream struct {
	io.ReadCloser
	run     *run
	flight  *flight
	earlier []*doubt      // of what failed before it
	silence time.Duration // allowed next; negative: any
	timer   *time.Timer
	stalled bool
	failure atomic.Pointer[Error]
	came    atomic.Bool // something
	closed  atomic.Bool
}

func (r *run) stream(f *flight, body io.ReadCloser) io.ReadCloser {
	s := &stream{ReadCloser: body, run: r, flight: f, earlier: slices.Clip(r.doubts), silence: r.call.stall()}
	if s.silence > 0 { // as long as for the headers: what comes from an archive's shelf begins late
		s.silence = max(s.silence, r.call.AttemptTimeout)
	}
	return s
}

// Read reads. Only the server's silence counts, not the reader's leisure.
func (s *stream) Read(p []byte) (int, error) {
	if e := s.failure.Load(); e != nil {
		return 0, e
	}
	s.listen()
	n, err := s.ReadCloser.Read(p)
	s.stalled = s.stalled || (s.timer != nil && !s.timer.Stop())
	if n > 0 {
		s.came.Store(true)
		s.silence = min(s.silence, s.run.call.stall())
	}
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, s.brokenOff()
}

// Close closes. A stream that did not break off works here, so who broke it off before
// is to blame.
func (s *stream) Close() error {
	if s.came.Load() && s.failure.Load() == nil && s.flight.status < http.StatusMultipleChoices && s.run.ctx.Err() == nil {
		s.run.blame(s.flight.site, s.earlier, true, time.Now())
	}
	s.closed.Store(true)
	return s.ReadCloser.Close()
}

func (s *stream) listen() {
	switch {
	case s.silence <= 0:
	case s.timer == nil:
		s.timer = time.AfterFunc(s.silence, s.flight.end)
	default:
		s.timer.Reset(s.silence)
	}
}

// BrokenOff says that resp's stream was not whole though it seemed to end well: its
// content lacks its end, as when a server dies that announces no length. The error
// is good for [Call.Again]; it is nil for what is no stream of a [Client].
func BrokenOff(resp *http.Response) *Error {
	if s, ok := resp.Body.(interface{ brokenOff() *Error }); ok {
		return s.brokenOff()
	}
	return nil
}

// brokenOff says why, and charges whoever is to blame.
func (s *stream) brokenOff() *Error {
	if s.failure.Load() == nil {
		s.failure.Store(s.fail())
	}
	return s.failure.Load()
}

func (s *stream) fail() *Error {
	r, f := s.run, s.flight
	v, kind := Verdict{Outcome: Unknown, Fault: FaultCut}, ErrCut
	switch {
	case s.stalled:
		v.Fault, kind = FaultTimeout, ErrStalled
	case f.moved.Load():
		v.Fault = FaultMoved
	case r.ctx.Err() != nil, s.closed.Load():
		v.Fault, kind = FaultCanceled, ErrDeadline
	}
	e := r.failure(f.site, v, f.status)
	if r.call.Repeat == Safe { // a write was executed, or may have been
		e.Err = kind
	}
	e.doubts = s.earlier
	if doubtful(v.Fault, 0) {
		f.ticket = ticket{generation: f.ticket.generation} // given back with the headers
		d := r.doubt(f, v.Fault, time.Now())
		d.begun = true
		e.doubts = append(e.doubts, d)
	}
	return e
}

// endBody ends what a stream holds when its body is closed, not at headers.
type endBody struct {
	io.ReadCloser
	end  func()
	once sync.Once
}

func (b *endBody) Close() error {
	defer b.once.Do(b.end)
	return b.ReadCloser.Close()
}

func (b *endBody) brokenOff() *Error {
	if s, ok := b.ReadCloser.(interface{ brokenOff() *Error }); ok {
		return s.brokenOff()
	}
	return nil
}

// uploads: the request has a body that is watched on its way.
func (r *run) uploads() bool {
	return r.call.Upload && r.req.Body != nil && r.req.Body != http.NoBody
}

// feed watches a request's body on its way and gives the attempt up when the server
// takes nothing more of it, or does not answer it.
func (r *run) feed(ctx context.Context, f *flight, req *http.Request) (fed context.Context, headersCame func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	u := &upload{ReadCloser: req.Body, stall: r.call.stall(), answer: r.call.AttemptTimeout, giveUp: cancel}
	u.timer = time.AfterFunc(r.call.timeout(), func() { cancel(ErrStalled) })
	left := context.AfterFunc(ctx, func() { _ = u.Close() }) // net/http waits for a source that blocks, and only then for its context
	f.end = func() {
		left()
		u.rest()
		cancel(nil)
	}
	u.pause(u.stall)
	req.Body, req.GetBody = u, nil // net/http must not take another one, unwatched
	if r.call.MaxBody > 0 {
		return ctx, func() {} // all of the answer must come in time
	}
	return ctx, u.rest
}

// upload is a request's body.
type upload struct {
	io.ReadCloser
	stall, answer time.Duration
	timer         *time.Timer
	giveUp        context.CancelCauseFunc
	over          atomic.Bool // nobody waits for the server any more
	closed        atomic.Bool
}

// Read reads. How long the source takes, and that it fails, is the caller's affair.
func (u *upload) Read(p []byte) (int, error) {
	u.timer.Stop()
	n, err := u.ReadCloser.Read(p)
	switch {
	case err == nil:
		u.pause(u.stall)
	case errors.Is(err, io.EOF) && u.closed.Load(): // given up: what ends then is not whole
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		u.pause(u.answer)
	case !u.over.Load() && !u.closed.Load():
		u.giveUp(ErrBody)
	}
	return n, err
}

// Close closes; what reading says afterwards is not the source's failure.
func (u *upload) Close() error {
	u.closed.Store(true)
	return u.ReadCloser.Close()
}

// pause allows the server this long; not above zero means any time.
func (u *upload) pause(d time.Duration) {
	u.timer.Stop()
	if d > 0 {
		u.timer.Reset(d)
	}
	if u.over.Load() { // meanwhile
		u.timer.Stop()
	}
}

// rest ends the watch.
func (u *upload) rest() {
	u.over.Store(true)
	u.timer.Stop()
}
