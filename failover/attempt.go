package failover

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// attempter is the RoundTripper below the retry loop: one attempt of the run in
// the request's context. Every end of an attempt goes through run.finish.
type attempter struct{}

var errAttempt = errors.New("attempt failed") // the reason is in run.err

func (attempter) RoundTrip(req *http.Request) (*http.Response, error) {
	r := runOf(req.Context())
	r.again = false
	s, t := r.next()
	if s == nil {
		return nil, errAttempt
	}
	defer s.release()
	return r.attempt(s, t)
}

// next waits if it must, then chooses an endpoint and takes a place there.
func (r *run) next() (*site, ticket) {
	limit, busy := r.client.options.MaxInFlight, 0
	for {
		now := time.Now()
		s := r.pick(now)
		if s == nil {
			r.nothingLeft(busy)
			return nil, ticket{}
		}
		if !r.wait(s) {
			return nil, ticket{}
		}
		t, ok := s.health[classOf(r.call.Kind)].admit(r.call.Repeat == Safe || r.call.Repeat == Guarded, now)
		if !ok && !r.alone(s) {
			r.tried = append(r.tried, s)
			continue
		}
		if s.acquire(limit) {
			r.tried = append(r.tried, s)
			return s, t
		}
		t.release()
		r.tried = append(r.tried, s)
		if busy++; busy > len(r.route) {
			r.nothingLeft(busy)
			return nil, ticket{}
		}
	}
}

// alone reports whether s is the only endpoint that can serve: then a canary's
// lease is no reason to wait.
func (r *run) alone(s *site) bool {
	for _, hop := range r.route {
		other := r.client.sites[hop.Endpoint.Index()]
		if other != s && r.candidate(other) {
			return false
		}
	}
	return true
}

// wait makes retries cost something: nothing for the first hop to a healthy
// other endpoint, else a token of the budget and, at the same endpoint, a pause.
func (r *run) wait(s *site) bool {
	if r.attempts == 0 {
		return true
	}
	healthy := s.health[classOf(r.call.Kind)].current() <= Returning
	if s != r.last && healthy && !r.freeHop {
		r.freeHop = true
		return true
	}
	if !r.client.budgets[r.call.System].spend() {
		return false
	}
	timer := time.NewTimer(backoff(r.attempts))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ctx.Done():
		if r.err.Context = r.ctx.Err(); errors.Is(r.err.Err, ErrUnavailable) {
			r.err.Err = ErrDeadline
		}
		return false
	}
}

func (r *run) nothingLeft(busy int) {
	if r.err != nil {
		return
	}
	if busy > 0 {
		r.err = &Error{Err: ErrBusy, Outcome: NotSent, Fault: FaultBusy, Attempts: r.attempts}
		return
	}
	r.err = &Error{Err: ErrUnavailable, Outcome: NotSent, Attempts: r.attempts}
}

// attempt sends one request to s.
func (r *run) attempt(s *site, t ticket) (*http.Response, error) {
	r.attempts++
	a := Attempt{Call: r.call, Endpoint: s.endpoint, Method: r.req.Method, N: r.attempts, Reason: r.reason(s)}
	r.last = s
	ctx, cancel := r.attemptContext()
	header := r.req.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if hook := r.client.options.Hooks.AttemptStart; hook != nil {
		ctx = hook(ctx, a, header)
	}
	start := time.Now()
	req, err := r.build(ctx, s, header)
	if err != nil {
		cancel()
		return r.finish(s, t, nil, Verdict{NotSent, FaultBody}, a, ctx, start)
	}
	if authorize := r.client.options.Authorize; authorize != nil {
		if err := authorize(ctx, s.endpoint, req); err != nil {
			cancel()
			return r.finish(s, t, nil, Verdict{NotSent, FaultAuth}, a, ctx, start)
		}
	}
	var wire wire
	req = req.WithContext(httptrace.WithClientTrace(ctx, wire.trace()))
	resp, err := s.transport(r.call).RoundTrip(req)
	if err != nil {
		v := wire.verdict(ctx, err)
		cancel()
		return r.finish(s, t, nil, v, a, ctx, start)
	}
	resp.Request = r.shown(s, req)
	v := r.read(ctx, s, resp)
	if r.call.MaxBody > 0 {
		cancel()
	} else {
		resp.Body = &cancelBody{ReadCloser: resp.Body, cancel: cancel}
	}
	return r.finish(s, t, resp, v, a, ctx, start)
}

func (r *run) reason(s *site) string {
	switch {
	case r.last == nil:
		return "first"
	case r.last == s:
		return "retry"
	}
	return "failover"
}

func (r *run) attemptContext() (context.Context, context.CancelFunc) {
	if r.call.AttemptTimeout > 0 {
		return context.WithTimeout(r.ctx, r.call.AttemptTimeout)
	}
	return context.WithCancel(r.ctx)
}

// build makes the request for the wire: our address, headers of its own.
func (r *run) build(ctx context.Context, s *site, header http.Header) (*http.Request, error) {
	req := r.req.WithContext(ctx)
	req.Header = header
	req.URL = target(s.endpoint.Base(), r.req.URL)
	req.Host, req.RequestURI, req.Response = "", "", nil
	if r.req.Body == nil || r.req.Body == http.NoBody {
		return req, nil
	}
	if r.req.GetBody == nil {
		if r.attempts > 1 {
			return nil, ErrBody
		}
		return req, nil
	}
	body, err := r.req.GetBody()
	req.Body = body
	return req, err
}

// target joins an endpoint's base with the call's path and query.
func target(base, u *url.URL) *url.URL {
	out := *base
	escaped := base.EscapedPath()
	if rest := strings.TrimLeft(u.EscapedPath(), "/"); rest != "" {
		escaped += "/" + rest
	}
	if path, err := url.PathUnescape(escaped); err == nil {
		out.Path, out.RawPath = path, escaped
	}
	out.RawQuery = u.RawQuery
	return &out
}

// shown is the request that callers find in the response: who answered and at
// which address, without the credentials that were sent.
func (r *run) shown(s *site, req *http.Request) *http.Request {
	e := s.endpoint
	o := Origin{
		Campus: r.call.Campus, System: e.System, DataCenter: e.DataCenter, Environment: e.Environment,
		Endpoint: e.ID, Store: e.Store, Role: e.Role(), Epoch: e.StoreOf().Epoch,
		RequestID: req.Header.Get("X-Request-Id"), Attempts: r.attempts,
	}
	if e.StoreOf().ReplicaOf != "" {
		o.Lag = e.StoreOf().Lag
	}
	shown := &http.Request{Method: req.Method, URL: req.URL, Header: http.Header{}}
	return shown.WithContext(withOrigin(context.WithoutCancel(r.ctx), o))
}

// read takes a bounded body into memory, so that a cut is this attempt's
// failure, and judges the answer.
func (r *run) read(ctx context.Context, s *site, resp *http.Response) Verdict {
	classify := r.call.Classify
	if classify == nil {
		classify = ClassifyHTTP
	}
	var body []byte
	if r.call.MaxBody > 0 {
		var err error
		body, err = readAll(resp, r.call.MaxBody)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case errors.Is(err, ErrTooLarge):
			return Verdict{Unknown, FaultTooLarge}
		case err != nil && ctx.Err() != nil:
			return Verdict{Unknown, givenUp(ctx)}
		case err != nil:
			return Verdict{Unknown, FaultCut}
		}
	}
	v := settle(classify(r.call, resp, body), resp.StatusCode, s.endpoint.Contract)
	if v.Outcome == Rejected && r.lagging(s, resp.StatusCode) {
		return Verdict{NotExecuted, FaultStale}
	}
	return v
}

// lagging: "not found" from a copy is no answer.
func (r *run) lagging(s *site, status int) bool {
	return r.call.Kind == campus.ReadAny && s.endpoint.StoreOf().ReplicaOf != "" &&
		(status == http.StatusNotFound || status == http.StatusGone)
}

// readAll reads at most limit bytes; the size the server announced is a hint it
// may lie about, so it buys at most a modest buffer.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= limit {
		buf.Grow(int(min(n, 1<<20)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err == nil && n > limit {
		err = ErrTooLarge
	}
	return buf.Bytes(), err
}

// wire watches what became of the connection.
type wire struct{ gotConn, wrote atomic.Bool }

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { w.gotConn.Store(true) },
		WroteHeaders: func() { w.wrote.Store(true) },
	}
}

// verdict judges an attempt that brought no answer. Giving up between getting a
// connection and hearing that the headers went out is Unknown: the writer may
// have been at work just then.
func (w *wire) verdict(ctx context.Context, err error) Verdict {
	var stated interface{ Outcome() Outcome }
	if errors.As(err, &stated) {
		return Verdict{stated.Outcome(), FaultReset}
	}
	sent := w.wrote.Load() || (w.gotConn.Load() && ctx.Err() != nil)
	switch {
	case ctx.Err() != nil && sent:
		return Verdict{Unknown, givenUp(ctx)}
	case ctx.Err() != nil: // waiting for a connection: dialing has a shorter limit of its own
		return Verdict{NotSent, givenUp(ctx)}
	case sent:
		return Verdict{Unknown, FaultReset}
	}
	return Verdict{NotSent, FaultDial}
}

func givenUp(ctx context.Context) Fault {
	if errors.Is(ctx.Err(), context.Canceled) {
		return FaultCanceled
	}
	return FaultTimeout
}

// finish is every attempt's one way out: health, hooks, what to keep of it, and
// whether to go on.
func (r *run) finish(s *site, t ticket, resp *http.Response, v Verdict, a Attempt, ctx context.Context, start time.Time) (*http.Response, error) { //nolint:revive // ctx is one of the things an attempt leaves behind
	now := time.Now()
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	if hook := r.client.options.Hooks.AttemptDone; hook != nil {
		hook(ctx, a, Result{Outcome: v.Outcome, Fault: v.Fault, Status: status, Duration: now.Sub(start)})
	}
	r.charge(s, t, v, now)
	if v.Outcome == Committed || v.Outcome == Rejected {
		r.err = nil
		r.client.budgets[r.call.System].earn()
		return resp, nil
	}
	err := r.failure(s, v, status)
	if resp != nil {
		err.RetryAfter = retryAfter(resp.Header, now)
		if v.Fault == FaultOverload && err.RetryAfter > 0 {
			s.pausedUntil(now.Add(err.RetryAfter))
		}
	}
	r.keep(err)
	r.again = r.goOn(s, v)
	discard(resp)
	return nil, errAttempt
}

// charge applies the charging rules: local causes at once and to both classes;
// a failure after sending only once the call succeeds elsewhere or another
// operation fails here too; the caller's own doing never.
func (r *run) charge(s *site, t ticket, v Verdict, now time.Time) {
	switch v.Fault {
	case FaultNone:
		t.success(now)
		for _, d := range r.doubts {
			if d.site != s {
				d.ticket.failure(d.fault, now)
			}
		}
	case FaultDial:
		for c := range classes {
			other := t
			if c != classOf(r.call.Kind) {
				other = s.health[c].ticket()
			}
			other.failure(v.Fault, now)
		}
	case FaultTimeout, FaultReset, FaultCut, FaultStatus, FaultForeign:
		if r.outOfPatience(v) {
			t.release()
			return
		}
		if t.canary || t.doubt(r.call.Op, now) {
			t.failure(v.Fault, now)
			return
		}
		r.doubts = append(r.doubts, doubt{s, t, v.Fault})
		r.client.verify(s, t, v.Fault)
	default:
		t.release()
	}
}

// outOfPatience: a timeout counts against a server only when it had the time the operation gives it.
func (r *run) outOfPatience(v Verdict) bool {
	return v.Fault == FaultTimeout && r.ctx.Err() != nil && r.call.AttemptTimeout > 0
}

func (r *run) failure(s *site, v Verdict, status int) *Error {
	e := &Error{Outcome: v.Outcome, Fault: v.Fault, Status: status, Attempts: r.attempts, Err: ErrUnavailable}
	if s != nil {
		e.Endpoint, e.DataCenter = s.endpoint.ID, s.endpoint.DataCenter
	}
	if r.ctx.Err() != nil {
		e.Context = r.ctx.Err()
	}
	switch {
	case v.Fault == FaultTooLarge && r.call.Repeat == Safe:
		e.Err = ErrTooLarge
	case v.Outcome == Unknown && r.call.Repeat != Safe:
		e.Err = ErrOutcomeUnknown
		e.SettledAt = time.Now()
		if s != nil {
			e.SettledAt = e.SettledAt.Add(s.endpoint.Contract.MaxRun())
		}
	case e.Context != nil:
		e.Err = ErrDeadline
	case v.Fault == FaultAuth:
		e.Err = ErrAuthorize
	case v.Fault == FaultBody:
		e.Err = ErrBody
	}
	return e
}

// keep remembers the failure that decides: the first that may have been
// executed, else the first.
func (r *run) keep(err *Error) {
	if r.err == nil || (err.Outcome == Unknown && r.err.Outcome != Unknown) {
		r.err = err
	}
}

func (r *run) goOn(s *site, v Verdict) bool {
	if r.ctx.Err() != nil || v.Fault == FaultBody || v.Fault == FaultCanceled || v.Fault == FaultTooLarge {
		return false
	}
	limit := min(max(len(r.route), minAttempts), maxAttempts)
	again, sameStore := mayRepeat(r.call, s, v.Outcome)
	if sameStore {
		r.store = s.endpoint.Store
	}
	return again && r.attempts < limit
}

// final is the error of a call that brought no answer.
func (r *run) final() error {
	if r.err == nil {
		r.err = r.failure(r.last, Verdict{NotSent, FaultCanceled}, 0)
	}
	r.err.Attempts = r.attempts
	return r.err
}
