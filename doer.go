package hospital

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// virtualHost ends the host names that stand for a system; .invalid can belong
// to nobody (RFC 2606).
const virtualHost = ".hospital.invalid"

func virtualBase(system campus.SystemID) string { return "http://" + string(system) + virtualHost }

// doer is the one place where a FHIR interaction becomes a failover call.
type doer struct {
	client *Client
	system campus.SystemID
	fixed  *call // of an escape hatch; nil when the call is in the context
}

func (d *doer) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	i, _ := fhir.InteractionOf(ctx)
	c := callOf(ctx)
	if d.fixed != nil {
		if from, _ := ctx.Value(storeKey{}).(Origin); d.fixed.across && from.System != d.system {
			return nil, errAcross
		}
		c = d.fixed.another()
	}
	if c == nil || c.op.System != d.system { // kept from another call, whose audit it would escape
		return nil, &Error{Code: ErrInvalidArgument, System: d.system, Op: i.Template(), Reason: "a client belongs to the call that got it"}
	}
	if d.client.Topology().System(d.system) == nil {
		return nil, campus.ErrUnknownSystem
	}
	fc := d.describe(c, i, req)
	if err := d.client.confine(ctx, fc); err != nil {
		return nil, err
	}
	u, err := d.locate(fc, i, req)
	if err != nil {
		return nil, err
	}
	out := d.client.dress(ctx, c, fc, req)
	out.URL = u
	d.client.nameCampus(out, d.system, c.campus, i.Previous != nil && !i.Restart)
	resp, err := d.do(ctx, c, fc, out)
	d.client.learn(c, fc, resp, err)
	if err != nil && i.Previous != nil {
		err = fmt.Errorf("%w: %w", fhir.ErrCursorLost, err)
	}
	return resp, err
}

// dress is a copy of the request with the headers of every call.
func (c *Client) dress(ctx context.Context, call *call, fc *failover.Call, req *http.Request) *http.Request {
	out := req.WithContext(ctx)
	if out.Header = req.Header.Clone(); out.Header == nil {
		out.Header = http.Header{}
	}
	c.mark(out.Header, call)
	if fc.Kind == campus.ReadStrong {
		out.Header.Set("Cache-Control", "no-cache") // servers re-use an equal search's result
	}
	return out
}

// learn keeps of a request's outcome what the rest of its call, and its session, need.
func (c *Client) learn(call *call, fc *failover.Call, resp *http.Response, err error) {
	if fc.Kind == campus.Write {
		call.note(err)
		c.sessions.wrote(fc.System, resp, err)
	}
	if err == nil {
		call.heard(resp)
	}
}

// do sends within the verb's span, or, from an escape hatch, in one of its own.
func (d *doer) do(ctx context.Context, c *call, fc *failover.Call, req *http.Request) (*http.Response, error) {
	if d.fixed == nil {
		return d.client.engine.Do(ctx, fc, req)
	}
	if err := d.client.auditStart(ctx, c, fc.Template); err != nil {
		d.client.auditEnd(ctx, c, fc.Template, err)
		return nil, err
	}
	ctx, end := d.client.tracer.StartCall(ctx, c.op.Name, d.system, c.campus)
	resp, err := d.client.engine.Do(ctx, fc, req)
	end(string(codeOf(err)))
	d.client.auditEnd(ctx, c, fc.Template, refusedBy(resp, err))
	return resp, err
}

// refusedBy is what an answer's status makes of a call, for the record.
func refusedBy(resp *http.Response, err error) error {
	if err != nil || resp.StatusCode < 400 {
		return err
	}
	return &fhir.OutcomeError{Status: resp.StatusCode}
}

// describe maps Op and Interaction to a failover.Call.
func (d *doer) describe(c *call, i fhir.Interaction, req *http.Request) *failover.Call {
	attempt, overall := c.op.Class.times()
	fc := &failover.Call{
		System: d.system, Campus: c.campus, Op: c.op.Name, Template: i.Template(),
		AttemptTimeout: attempt, Timeout: overall, MaxBody: d.client.config.MaxBody, Environment: environmentOf(req.Context()),
		Classify: func(_ *failover.Call, resp *http.Response, body []byte) failover.Verdict {
			return classify(i, resp, body)
		},
	}
	switch {
	case i.Reads:
		fc.Repeat, fc.Kind = Safe, readKind(c.op.Consistency)
		fc.Hedge = d.client.hedges()
		if c.op.Consistency == Session {
			fc.After = d.client.sessions.since(d.client.Topology(), d.system, c.campus)
		}
		if attempt == 0 {
			fc.AttemptTimeout, fc.Timeout = Quick.times()
		}
		return fc
	case i.Name == "transaction":
		fc.Repeat = c.op.Repeat
	case i.Creates:
		fc.Repeat, fc.Creates = Guarded, true
	case failover.RepeatOf(req) == Guarded:
		fc.Repeat = Guarded
	case req.Header.Get("If-None-Exist") != "":
		fc.Repeat = Keyed
	}
	fc.Kind, fc.Again = campus.Write, c.failed()
	fc.AttemptTimeout = 0
	if c.op.Class != Settle {
		_, fc.Timeout = WriteClass.times()
	}
	return fc
}

func readKind(c Consistency) campus.Kind {
	if c == Strong {
		return campus.ReadStrong
	}
	return campus.ReadAny
}

// confine keeps a call that uses ids of one Store in that Store.
func (c *Client) confine(ctx context.Context, fc *failover.Call) error {
	from, ok := ctx.Value(storeKey{}).(Origin)
	if !ok || from.System != fc.System {
		return nil
	}
	route, err := c.Topology().Route(fc.System, fc.Campus, fc.Kind)
	if err != nil {
		return err
	}
	for _, hop := range route {
		if s := hop.Endpoint.StoreOf(); s.ID == from.Store && s.Epoch == from.Epoch {
			fc.Store, fc.Epoch = from.Store, from.Epoch
			return nil
		}
	}
	return &Error{Code: ErrInvalidArgument, Reason: "its ids belong to another store or epoch; read it again", cause: errOtherStore}
}

// errOtherStore is what the epoch of a store that rises during a call looks like.
var errOtherStore = errors.New("hospital: another store or epoch")

type storeKey struct{}

// SameStore confines the requests made with the returned context to the Store
// that answered with origin, because the ids a request uses were read there: in
// another Store they name something else. Requests that cannot go there fail
// with [ErrInvalidArgument] before anything is sent.
func SameStore(ctx context.Context, origin Origin) context.Context {
	return context.WithValue(ctx, storeKey{}, origin)
}

type stickyKey struct{}

// Sticky keeps the steps of one workflow (hold, book, pay) in the environment that
// answered with origin, as long as that takes calls: during a release two
// environments run two versions. It is a preference; an environment that is
// drained or lost is left, and the next step's Origin says so.
func Sticky(ctx context.Context, origin Origin) context.Context {
	return context.WithValue(ctx, stickyKey{}, origin.Environment)
}

func environmentOf(ctx context.Context) campus.EnvironmentID {
	id, _ := ctx.Value(stickyKey{}).(campus.EnvironmentID)
	return id
}

// Local reads a literal reference found in an answer from origin and returns
// what it names there. It reports false for a reference to another server, to a
// contained resource, or to nothing.
func (c *Client) Local(origin Origin, reference string) (typ, id string, ok bool) {
	u, err := url.Parse(reference)
	if err != nil || reference == "" {
		return "", "", false
	}
	absolute := u.IsAbs()
	if !absolute && (u.Host != "" || strings.HasPrefix(u.Path, "/")) {
		return "", "", false
	}
	if absolute {
		if u, err = c.relative(origin.Endpoint, u); err != nil {
			return "", "", false
		}
	}
	parts := strings.Split(strings.TrimPrefix(u.Path, "/"), "/")
	if by := c.Topology().System(origin.System); absolute && by != nil && by.CampusBy.In == "path" && parts[0] == by.CampusBy.Word(origin.Campus) {
		parts = parts[1:]
	}
	if len(parts) == 4 && parts[2] == "_history" {
		parts = parts[:2]
	}
	if len(parts) != 2 || u.RawQuery != "" || u.Fragment != "" {
		return "", "", false // another tenant's path, too
	}
	return parts[0], parts[1], fhir.ValidType(parts[0]) && fhir.ValidID(parts[1])
}

// Names reports whether a reference found in an answer from origin is to typ/id.
func (c *Client) Names(origin Origin, ref *r4.Reference, typ, id string) bool {
	if ref == nil {
		return false
	}
	gotType, gotID, ok := c.Local(origin, ref.Reference)
	return ok && gotType == typ && gotID == id
}

// locate turns the request's URL into one relative to an endpoint's base. A URL
// that a server sent must belong to the endpoint that sent it, and goes there.
func (d *doer) locate(fc *failover.Call, i fhir.Interaction, req *http.Request) (*url.URL, error) {
	if i.Previous != nil {
		origin := failover.OriginOf(i.Previous)
		fc.Store, fc.Epoch = origin.Store, origin.Epoch
		if !i.Restart {
			fc.Endpoint = origin.Endpoint
			return d.client.relative(origin.Endpoint, req.URL)
		}
	}
	return req.URL, nil
}

// relative checks a server's URL and cuts the endpoint's base off it.
func (c *Client) relative(id campus.EndpointID, u *url.URL) (*url.URL, error) {
	for _, e := range c.Topology().Endpoints() {
		if e.ID != id {
			continue
		}
		rebased, ok := e.Rebase(u)
		if !ok {
			return nil, fhir.ErrLink
		}
		rest := *rebased
		escaped := strings.TrimPrefix(rebased.EscapedPath(), e.Base().EscapedPath())
		rest.Path, _ = url.PathUnescape(escaped)
		rest.RawPath = escaped
		return &rest, nil
	}
	return nil, fhir.ErrLink
}

// nameCampus puts the campus where the system expects it. Links a server sent
// already carry what it wants.
func (c *Client) nameCampus(req *http.Request, system campus.SystemID, id campus.ID, followed bool) {
	described := c.Topology().System(system)
	if described == nil || described.CampusBy.In == "" {
		return // a system that has just left the topology is refused by the engine
	}
	by := described.CampusBy
	word := by.Word(id)
	switch by.In {
	case "header":
		req.Header.Set(by.Name, word)
	case "path":
		if !followed {
			u := *req.URL
			u.Path, u.RawPath = "/"+word+req.URL.Path, "/"+url.PathEscape(word)+req.URL.EscapedPath()
			req.URL = &u
		}
	case "query":
		if !followed {
			u := *req.URL
			if u.RawQuery != "" { // as it is: what url.Values cannot read must not get lost
				u.RawQuery += "&"
			}
			u.RawQuery += url.QueryEscape(by.Name) + "=" + url.QueryEscape(word)
			req.URL = &u
		}
	}
}

// mark adds who asks: User-Agent, and the id by which both sides' logs can be matched.
func (c *Client) mark(h http.Header, call *call) {
	h.Set("User-Agent", c.agent)
	id := call.requestID
	if id == "" {
		id = uuid.Must(uuid.NewV7()).String()
	}
	h.Set("X-Request-Id", id)
}

// classify judges a FHIR answer by its shape first and its status second.
func classify(i fhir.Interaction, resp *http.Response, body []byte) failover.Verdict {
	v := failover.ClassifyStatus(nil, resp)
	shape, typ := fhir.ShapeOf(resp, body)
	v.Stated = shape == fhir.ShapeOutcome
	v.Empty = i.Name == "search-type" && shape == fhir.ShapeResource && !bytes.Contains(body, []byte(`"entry"`))
	switch {
	case v.Outcome == failover.NotExecuted || v.Fault == failover.FaultOverload:
		return v
	case resp.StatusCode == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") != "":
		return failover.Verdict{Outcome: failover.Rejected} // whoever asks for credentials has let nothing through
	case v.Stated && fhir.Deleted(i, resp.StatusCode, body):
		return failover.Verdict{Outcome: failover.Committed}
	case shape == fhir.ShapeForeign && resp.StatusCode < 500,
		v.Outcome == failover.Rejected && shape != fhir.ShapeOutcome,      // a refusal in FHIR is an OperationOutcome
		v.Outcome == failover.Committed && fhir.Contradicts(i, typ, body): // such as an error dressed as success
		return failover.Verdict{Outcome: failover.Unknown, Fault: failover.FaultForeign}
	}
	return v
}
