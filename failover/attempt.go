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
	f := r.next()
	if f == nil {
		return nil, errAttempt
	}
	if delay := r.hedgeDelay(f); delay > 0 {
		return r.hedged(f, delay)
	}
	resp, v := r.fly(f)
	return r.land(f, resp, v)
}

// flight is one attempt on its way.
type flight struct {
	place
	site    *site
	ticket  ticket
	attempt Attempt
	ctx     context.Context //nolint:containedctx // the attempt's own, for its time
	hedge   bool            // the second of two at once
	start   time.Time
	got     time.Time // when its answer had been read
	end     func()    // its time
	status  int       // of its answer, 0 if none came
	auth    error     // what Authorize said
}

// fly sends one request to f's site and judges what came of it. The place of one
// whose body is a stream is given back when that is closed.
func (r *run) fly(f *flight) (*http.Response, Verdict) {
	f.start, f.end = time.Now(), func() {}
	handed, back := false, false
	defer func() { // also when a hook or a credential panics
		if !handed {
			f.leave()
		}
		if !back {
			r.client.keeper.release(f.site, classOf(r.call.Kind), f.ticket)
		}
	}()
	header := r.req.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if hook := r.client.options.Hooks.AttemptStart; hook != nil {
		f.ctx = hook(f.ctx, f.attempt, header)
	}
	resp, v := r.send(f, header)
	back = true
	if r.call.MaxBody == 0 && resp != nil {
		handed = true
		resp.Body = &endBody{ReadCloser: resp.Body, end: f.leave}
	}
	return resp, v
}

// land finishes an attempt. A hook may panic here too, and a stream be left open.
func (r *run) land(f *flight, resp *http.Response, v Verdict) (*http.Response, error) {
	kept := false
	defer func() {
		if !kept {
			discard(resp)
		}
	}()
	out, err := r.finish(f, resp, v)
	kept = true
	return out, err
}

// leave ends the attempt's time and gives its place back.
func (f *flight) leave() {
	f.end()
	f.site.places.leave(&f.place)
}

// send builds, authorizes and sends the request and judges what came of it.
func (r *run) send(f *flight, header http.Header) (*http.Response, Verdict) {
	s, w := f.site, &wire{adapter: f.site.adapter}
	req, err := r.build(f, header)
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
	if !r.led(s) { // a topology came while the credentials were had
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, Verdict{Outcome: NotSent, Fault: FaultMoved}
	}
	// The attempt's time begins now: a slow token server is not this endpoint's fault.
	f.start = time.Now()
	timed, headersCame := r.limit(f)
	if r.uploads() {
		timed, headersCame = r.feed(timed, f, req)
	}
	resp, err := s.transport(r.call, f.attempt.N).RoundTrip(req.WithContext(w.watch(timed)))
	headersCame()
	if err != nil {
		return nil, f.unlessMoved(w.verdict(timed, err))
	}
	resp.Request = r.shown(f, req, &asked)
	f.status = resp.StatusCode
	v := f.unlessMoved(r.read(timed, f, resp))
	f.got = time.Now() // renewing credentials is not the endpoint's time
	// Whoever asks for credentials has let nothing through; else only a read is sent again.
	if resp.StatusCode == http.StatusUnauthorized && !f.hedge && (r.call.Repeat == Safe || (v.Outcome == Rejected && resp.Header.Get("WWW-Authenticate") != "")) {
		r.renew = r.mayRenew() && r.client.options.Refused(f.ctx, s.endpoint, req)
	}
	return resp, v
}

// limit gives the attempt its time. That of a stream ends with its headers; from
// there on only its silence is bounded.
func (r *run) limit(f *flight) (ctx context.Context, headersCame func()) {
	headersCame = func() {}
	switch {
	case r.uploads():
		return f.ctx, headersCame // see feed
	case r.call.MaxBody == 0:
		stream, cancel := context.WithCancelCause(f.ctx)
		ctx, f.end = stream, func() { cancel(nil) }
		if r.call.AttemptTimeout > 0 {
			timer := time.AfterFunc(r.call.AttemptTimeout, func() { cancel(ErrStalled) })
			headersCame = func() { timer.Stop() }
		}
	case r.call.AttemptTimeout > 0:
		ctx, f.end = context.WithTimeout(f.ctx, r.call.AttemptTimeout)
	case r.call.Repeat == Safe:
		ctx, f.end = context.WithCancel(f.ctx)
	default:
		return f.ctx, headersCame
	}
	if end := context.CancelFunc(f.end); r.call.Repeat == Safe {
		f.cancel.Store(&end)
	}
	return ctx, headersCame
}

// unlessMoved: what a drain has ended was nobody's failure.
func (f *flight) unlessMoved(v Verdict) Verdict {
	if f.moved.Load() && v.Outcome < Rejected {
		return Verdict{Outcome: v.Outcome, Fault: FaultMoved}
	}
	return v
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
func (r *run) build(f *flight, header http.Header) (*http.Request, error) {
	req := r.req.WithContext(f.ctx)
	req.Header = header
	req.URL = target(f.site.endpoint.Base(), r.req.URL)
	req.Host, req.RequestURI, req.Response = "", "", nil
	if r.req.Body == nil || r.req.Body == http.NoBody {
		if r.mustNotReplay(f) {
			req.Body = once{http.NoBody}
		}
		return req, nil
	}
	if r.req.GetBody == nil {
		if f.attempt.N > 1 {
			return nil, ErrBody
		}
		return req, nil
	}
	body, err := r.req.GetBody()
	req.Body = body
	if r.mustNotReplay(f) {
		req.GetBody = nil
	}
	return req, err
}

// mustNotReplay: net/http sends a request again, unseen, when a reused connection
// closes and the method or an Idempotency-Key looks harmless, and over HTTP/2 without
// end when a server resets its stream with PROTOCOL_ERROR. It cannot where there is a
// body that it cannot have anew.
func (r *run) mustNotReplay(f *flight) bool {
	return f.site.endpoint.HTTP2 || !r.harmless(f.site.endpoint.Contract)
}

// once is an empty body that net/http does not know to be one.
type once struct{ io.ReadCloser }

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
func (r *run) shown(f *flight, req *http.Request, asked *url.URL) *http.Request {
	e := f.site.endpoint
	o := Origin{
		Campus: r.call.Campus, System: e.System, DataCenter: e.DataCenter, Environment: e.Environment,
		Endpoint: e.ID, Store: e.Store, Role: e.Role(), Epoch: e.StoreOf().Epoch, Drained: f.site.out(),
		RequestID: req.Header.Get("X-Request-Id"), Attempts: f.attempt.N,
	}
	if o.ReplicaOf = e.StoreOf().ReplicaOf; o.ReplicaOf != "" {
		o.Lag = e.StoreOf().Lag
	}
	shown := &http.Request{Method: req.Method, URL: asked}
	return shown.WithContext(withOrigin(context.Background(), o))
}

// read takes a bounded body into memory, so that a cut is this attempt's
// failure, and judges the answer.
func (r *run) read(ctx context.Context, f *flight, resp *http.Response) Verdict {
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
	} else {
		resp.Body = r.stream(f, resp.Body)
	}
	v := settle(classify(r.call, resp, body), resp.StatusCode, f.site.endpoint.Contract)
	if r.lagging(f.site) && (v.Empty || resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone) {
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
