package failover

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
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
	return r.attempt(s, t)
}

// next chooses an endpoint, takes a place there, and waits if it must. An
// endpoint that takes nobody just now is passed over, not used up.
func (r *run) next() (*site, ticket) {
	var passed []*site
	busy := false
	for {
		now := time.Now()
		s := r.pick(now, passed)
		if s == nil {
			r.nothingLeft(busy)
			return nil, ticket{}
		}
		t, ok := s.health[classOf(r.call.Kind)].admit(r.mayCanary(), r.lease(), now)
		switch {
		case !ok && r.others(s, passed, now):
			passed = append(passed, s)
			continue
		case !s.acquire(r.client.options.MaxInFlight):
			t.release()
			passed, busy = append(passed, s), true
			continue
		case !r.wait(s):
			t.release()
			s.release()
			return nil, ticket{}
		case s.drained.Load(): // while it waited
			t.release()
			s.release()
			passed = append(passed, s)
			continue
		}
		r.tried = append(r.tried, s)
		return s, t
	}
}

// mayCanary: only what may be repeated tries an endpoint that is coming back.
func (r *run) mayCanary() bool { return r.call.Repeat == Safe || r.call.Repeat == Guarded }

// lease is how long a canary may take.
func (r *run) lease() time.Duration {
	if r.call.AttemptTimeout > 0 {
		return 2 * r.call.AttemptTimeout
	}
	return 2 * r.call.timeout()
}

// others reports whether somebody else can be expected to serve: then a canary's
// lease is a reason to go there.
func (r *run) others(s *site, passed []*site, now time.Time) bool {
	for _, hop := range r.route {
		other := r.plan.sites[hop.Endpoint.Index()]
		if other != s && r.candidate(other, passed) && r.rank(other, now) < behindAllTiers {
			return true
		}
	}
	return false
}

func (r *run) nothingLeft(busy bool) {
	switch {
	case r.err != nil:
	case busy:
		r.err = &Error{Err: ErrBusy, Outcome: NotSent, Fault: FaultBusy}
	default:
		r.err = &Error{Err: ErrUnavailable, Outcome: NotSent}
	}
}

// wait makes retries cost something: nothing for the first hop to a healthy
// other endpoint, else a token of the budget and a pause.
func (r *run) wait(s *site) bool {
	if r.attempts == 0 || r.renew {
		r.renew = false
		return true
	}
	healthy := s.health[classOf(r.call.Kind)].current() <= Returning
	if s != r.last && healthy && !r.freeHop {
		r.freeHop = true
		return true
	}
	if !r.plan.budgets[r.call.System].spend() {
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

// attempt sends one request to s.
func (r *run) attempt(s *site, t ticket) (*http.Response, error) {
	r.attempts++
	f := &flight{
		site: s, ticket: t, start: time.Now(), end: func() {},
		attempt: Attempt{Call: r.call, Endpoint: s.endpoint, Method: r.req.Method, N: r.attempts, Reason: r.reason(s)},
	}
	handed := false
	defer func() { // also when a hook or a credential panics
		if !handed {
			f.end()
			s.release()
		}
	}()
	r.last = s
	header := r.req.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	f.ctx = r.ctx
	if hook := r.client.options.Hooks.AttemptStart; hook != nil {
		f.ctx = hook(f.ctx, f.attempt, header)
	}
	resp, v := r.send(f, header)
	if r.call.MaxBody > 0 || resp == nil {
		handed = true
		f.end()
		s.release()
		return r.finish(f, resp, v)
	}
	handed = true
	resp.Body = &endBody{ReadCloser: resp.Body, end: func() { f.end(); s.release() }}
	kept := false
	defer func() { // a hook may panic here too
		if !kept {
			discard(resp)
		}
	}()
	out, err := r.finish(f, resp, v)
	kept = true
	return out, err
}

// flight is one attempt on its way.
type flight struct {
	site    *site
	ticket  ticket
	attempt Attempt
	ctx     context.Context //nolint:containedctx // the attempt's own, for its time
	start   time.Time
	got     time.Time // when its answer had been read
	end     func()    // its time
	status  int       // of its answer, 0 if none came
	auth    error     // what Authorize said
}

// send builds, authorizes and sends the request and judges what came of it.
func (r *run) send(f *flight, header http.Header) (*http.Response, Verdict) {
	s, w := f.site, &wire{adapter: f.site.adapter}
	req, err := r.build(f.ctx, s, header)
	if err != nil {
		return nil, Verdict{Outcome: NotSent, Fault: FaultBody}
	}
	asked := *req.URL // a credential may sign into the URL
	if authorize := r.client.options.Authorize; authorize != nil {
		if err := authorize(f.ctx, s.endpoint, req); err != nil {
			if req.Body != nil {
				_ = req.Body.Close()
			}
			f.auth = err
			return nil, Verdict{Outcome: NotSent, Fault: FaultAuth}
		}
	}
	// The attempt's time begins now: a slow token server is not this endpoint's fault.
	f.start = time.Now()
	timed := f.ctx
	if r.call.AttemptTimeout > 0 {
		timed, f.end = context.WithTimeout(f.ctx, r.call.AttemptTimeout)
	}
	resp, err := s.transport(r.call).RoundTrip(req.WithContext(w.watch(timed)))
	if err != nil {
		return nil, w.verdict(timed, err)
	}
	resp.Request = r.shown(s, req, &asked)
	f.status = resp.StatusCode
	v := r.read(timed, s, resp)
	f.got = time.Now() // renewing credentials is not the endpoint's time
	// Whoever asks for credentials has let nothing through; else only a read is sent again.
	if resp.StatusCode == http.StatusUnauthorized && (r.call.Repeat == Safe || (v.Outcome == Rejected && resp.Header.Get("WWW-Authenticate") != "")) {
		r.renew = r.mayRenew() && r.client.options.Refused(f.ctx, s.endpoint, req)
	}
	return resp, v
}

// mayRenew: new credentials are worth one more request, if it can be sent again.
func (r *run) mayRenew() bool {
	rewinds := r.req.Body == nil || r.req.Body == http.NoBody || r.req.GetBody != nil
	return r.client.options.Refused != nil && !r.renewed && rewinds && r.ctx.Err() == nil
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
func (r *run) shown(s *site, req *http.Request, asked *url.URL) *http.Request {
	e := s.endpoint
	o := Origin{
		Campus: r.call.Campus, System: e.System, DataCenter: e.DataCenter, Environment: e.Environment,
		Endpoint: e.ID, Store: e.Store, Role: e.Role(), Epoch: e.StoreOf().Epoch,
		RequestID: req.Header.Get("X-Request-Id"), Attempts: r.attempts,
	}
	if e.StoreOf().ReplicaOf != "" {
		o.Lag = e.StoreOf().Lag
	}
	shown := &http.Request{Method: req.Method, URL: asked}
	return shown.WithContext(withOrigin(context.Background(), o))
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
		resp.Body = &memory{Reader: bytes.NewReader(body), data: body}
		switch {
		case errors.Is(err, ErrTooLarge):
			return Verdict{Outcome: Unknown, Fault: FaultTooLarge}
		case err != nil && ctx.Err() != nil:
			return Verdict{Outcome: Unknown, Fault: givenUp(ctx)}
		case err != nil:
			return Verdict{Outcome: Unknown, Fault: FaultCut}
		}
	}
	v := settle(classify(r.call, resp, body), resp.StatusCode, s.endpoint.Contract)
	if r.lagging(s) && (v.Empty || resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone) {
		return Verdict{Outcome: NotExecuted, Fault: FaultStale}
	}
	return v
}

// memory is a body that was read inside the attempt.
type memory struct {
	*bytes.Reader
	data []byte
}

// Close does nothing.
func (*memory) Close() error { return nil }

// Bytes returns all of it; it must not be changed.
func (m *memory) Bytes() []byte { return m.data }

// lagging: "nothing there" from a copy is no answer.
func (r *run) lagging(s *site) bool {
	return r.call.Kind == campus.ReadAny && s.endpoint.StoreOf().ReplicaOf != ""
}

// readAll reads at most limit bytes; the size the server announced is a hint it
// may lie about, so it buys at most a modest buffer.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= limit {
		buf.Grow(int(min(n, 1<<20)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, min(limit, math.MaxInt64-1)+1))
	if err == nil && n > limit {
		err = ErrTooLarge
	}
	return buf.Bytes(), err
}
