package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// stream is an answer that is read outside the attempt. It must not fall silent, and
// what breaks it off is charged like an attempt's failure, later.
type stream struct {
	io.ReadCloser
	run     *run
	flight  *flight
	silence time.Duration // allowed next; negative: any
	timer   *time.Timer
	failure *Error
}

func (r *run) stream(f *flight, body io.ReadCloser) io.ReadCloser {
	s := &stream{ReadCloser: body, run: r, flight: f, silence: r.call.stall()}
	if s.silence > 0 { // as long as for the headers: what comes from an archive's shelf begins late
		s.silence = max(s.silence, r.call.AttemptTimeout)
	}
	return s
}

// Read reads. Only the server's silence counts, not the reader's leisure.
func (s *stream) Read(p []byte) (int, error) {
	if s.failure != nil {
		return 0, s.failure
	}
	s.listen()
	n, err := s.ReadCloser.Read(p)
	stalled := s.timer != nil && !s.timer.Stop()
	if n > 0 && s.silence > 0 {
		s.silence = s.run.call.stall()
	}
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, s.brokenOff(stalled)
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
	if s, ok := resp.Body.(interface{ brokenOff(stalled bool) *Error }); ok {
		return s.brokenOff(false)
	}
	return nil
}

// brokenOff says why, and charges whoever is to blame.
func (s *stream) brokenOff(stalled bool) *Error {
	if s.failure != nil {
		return s.failure
	}
	s.failure = s.fail(stalled)
	return s.failure
}

func (s *stream) fail(stalled bool) *Error {
	r, f := s.run, s.flight
	v, kind := Verdict{Outcome: Unknown, Fault: FaultCut}, ErrCut
	switch {
	case stalled:
		v.Fault, kind = FaultTimeout, ErrStalled
	case f.moved.Load():
		v.Fault = FaultMoved
	case r.ctx.Err() != nil:
		v.Fault, kind = FaultCanceled, ErrDeadline
	}
	e := r.failure(f.site, v, f.status)
	e.Err = kind
	if doubtful(v.Fault, 0) {
		f.ticket = ticket{generation: f.ticket.generation} // given back with the headers
		e.doubts = []*doubt{r.doubt(f, v.Fault, time.Now())}
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

func (b *endBody) brokenOff(stalled bool) *Error {
	if s, ok := b.ReadCloser.(interface{ brokenOff(stalled bool) *Error }); ok {
		return s.brokenOff(stalled)
	}
	return nil
}

// feed watches a request's body on its way and gives the attempt up when the server
// takes nothing more of it, or does not answer it.
func (r *run) feed(ctx context.Context, f *flight, req *http.Request) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	u := &upload{ReadCloser: req.Body, stall: r.call.stall(), answer: r.call.AttemptTimeout}
	u.timer = time.AfterFunc(r.call.timeout(), func() { cancel(ErrStalled) })
	f.end = func() {
		u.timer.Stop()
		cancel(nil)
	}
	u.pause(u.stall)
	req.Body, req.GetBody = u, nil // net/http must not take another one, unwatched
	return ctx
}

// upload is a request's body.
type upload struct {
	io.ReadCloser
	stall, answer time.Duration
	timer         *time.Timer
}

// Read reads. How long the source takes is the caller's affair.
func (u *upload) Read(p []byte) (int, error) {
	u.timer.Stop()
	n, err := u.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		u.pause(u.answer)
	} else {
		u.pause(u.stall)
	}
	return n, err
}

// pause allows the server this long; not above zero means any time.
func (u *upload) pause(d time.Duration) {
	u.timer.Stop()
	if d > 0 {
		u.timer.Reset(d)
	}
}
