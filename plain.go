package hospital

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// HTTPOption is for [Client.HTTP]; [AtCampus], [As] and [Concerning] are.
type HTTPOption interface{ applyHTTP(o *httpOptions) }

type httpOptions struct {
	options
	classify failover.Classifier
	repeat   func(*http.Request) Repeat
}

type httpOptionFunc func(*httpOptions)

func (f httpOptionFunc) applyHTTP(o *httpOptions) { f(o) }

func (f optionFunc) applyHTTP(o *httpOptions) { f(&o.options) }

// Classify judges answers by their bodies, for a system that says under 200 that it
// failed; see package failover. Bodies are then read inside the attempt and
// bounded by Config.MaxBody.
func Classify(f failover.Classifier) HTTPOption {
	return httpOptionFunc(func(o *httpOptions) { o.classify = f })
}

// RepeatBy says what may be sent again, for a system whose methods do not tell,
// such as one that asks everything by POST. What is Safe is routed as a read.
func RepeatBy(f func(*http.Request) Repeat) HTTPOption {
	return httpOptionFunc(func(o *httpOptions) { o.repeat = f })
}

// HTTP returns an http.Client of the system for plain HTTP: http://SYSTEM.hospital.invalid/path
// goes to path below the base of whichever endpoint should answer. What may be
// sent again follows RFC 9110, or [RepeatBy]. A request, its body included, has
// 20 s; without [Classify] bodies are streamed and not bounded by Config.MaxBody.
// A request that is to be sent twice needs GetBody, which http.NewRequest sets.
// Errors come wrapped in a *url.Error, which prints the URL: unwrap it before
// logging when URLs may name a patient.
func (c *Client) HTTP(system campus.SystemID, opts ...HTTPOption) *http.Client {
	var o httpOptions
	for _, opt := range opts {
		opt.applyHTTP(&o)
	}
	fixed := c.newCall(Op{Name: "http", System: system}, o.options)
	return &http.Client{
		Transport: &plainTransport{client: c, system: system, fixed: fixed, classify: o.classify, repeat: o.repeat},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// plainTransport is [Client.HTTP]'s.
type plainTransport struct {
	client *Client
	system campus.SystemID
	fixed  *call

	classify failover.Classifier
	repeat   func(*http.Request) Repeat
}

func (t *plainTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if code := t.refuses(req); code != "" {
		return nil, &Error{Code: code, System: t.system, Op: "http"}
	}
	c := t.fixed.another()
	if err := t.client.auditStart(req.Context(), c, req.Method); err != nil {
		t.client.auditEnd(req.Context(), c, req.Method, err)
		return nil, wrap(err, c)
	}
	out := req.WithContext(req.Context())
	out.Header = req.Header.Clone()
	t.client.mark(out.Header, c)
	t.client.nameCampus(out, t.system, c.campus, false)
	ctx, end := t.client.tracer.StartCall(req.Context(), "http", t.system, c.campus)
	_, overall := List.times()
	fc := &failover.Call{
		System: t.system, Campus: c.campus, Op: "http", Timeout: overall, Repeat: failover.RepeatOf(req), Kind: failover.KindOf(req),
		Environment: environmentOf(req.Context()),
	}
	if t.classify != nil {
		fc.Classify, fc.MaxBody = t.classify, t.client.config.MaxBody
	}
	if t.repeat != nil {
		if fc.Repeat, fc.Kind = t.repeat(req), campus.Write; fc.Repeat == Safe {
			fc.Kind = campus.ReadStrong
		}
	}
	resp, err := t.client.engine.Do(ctx, fc, out.WithContext(ctx))
	end(string(codeOf(err)))
	if err != nil {
		t.client.auditEnd(ctx, c, req.Method, err)
		return nil, wrap(err, c)
	}
	cut := ErrUnavailable
	if fc.Repeat != Safe { // executed, or it may have been
		cut = ErrOutcomeUnknown
	}
	resp.Body = &recorded{ReadCloser: resp.Body, outcome: refusedBy(resp, nil), cut: cut, end: func(err error) { t.client.auditEnd(ctx, c, req.Method, err) }}
	return resp, nil
}

// recorded is a body whose call is recorded when it ends: one that was cut was not
// a success.
type recorded struct {
	io.ReadCloser
	outcome error
	cut     Code // what it means that not all came
	end     func(error)
	once    sync.Once
}

// Read reads.
func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		r.once.Do(func() { r.end(r.outcome) })
	default:
		r.once.Do(func() { r.end(cmp.Or(r.outcome, error(r.cut))) })
	}
	return n, err
}

// Close closes.
func (r *recorded) Close() error {
	r.once.Do(func() { r.end(r.outcome) })
	return r.ReadCloser.Close()
}

func (t *plainTransport) refuses(req *http.Request) Code {
	switch {
	case t.client.Topology().System(t.system) == nil:
		return ErrNoEndpoint
	case req.URL.Host != string(t.system)+virtualHost:
		return ErrInvalidArgument
	}
	return ""
}
