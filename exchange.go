package hospital

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// Exchange is what one HTTP request of a verb is, for a system that does not speak
// FHIR: what [fhir.Interaction] is for one that does.
type Exchange struct {
	// Template names the request without data: "retrieve study".
	Template string
	// Repeat declares what may be sent again; zero is [Unsafe], never. What is Safe is a read.
	Repeat Repeat
	// Creates marks a Guarded write whose guard is an id of the client's making: sent
	// again at once where campus.Contract.UpdateCreate is proved.
	Creates bool
	// Class chooses the request's times; zero is [Quick]. A write of a class for reads has
	// those of [WriteClass].
	Class Class
	// Stream hands the answer's body over as it comes; the caller must close it. Otherwise
	// it is read within the attempt and bounded by Config.MaxBody. A stream that breaks
	// off fails with an error that is good for Again.
	Stream bool
	// Upload says that the request's body is long: only its pauses are bounded.
	Upload bool
	// Classify judges answers; nil judges by the status alone.
	Classify failover.Classifier
	// Again is how an earlier request for the same, which is surely over, failed: another
	// endpoint is asked first. nil for none.
	Again error
}

// Exchange sends an HTTP request within a verb: ctx is what [Read], [Stream] or
// [Write] handed to it. req's URL is relative to whichever endpoint answers: its
// path and query are used. What the system's endpoints need (credentials, the campus,
// the way queries are written) is added. Its errors are those of package failover,
// which the verb's end maps; [ErrInvalidArgument] outside a verb.
func (c *Client) Exchange(ctx context.Context, x Exchange, req *http.Request) (*http.Response, error) {
	call := callOf(ctx)
	if call == nil {
		return nil, &Error{Code: ErrInvalidArgument, Op: x.Template, Reason: "an exchange belongs to a verb"}
	}
	fc := c.exchange(ctx, call, x)
	if err := c.confine(ctx, fc); err != nil {
		return nil, err
	}
	out := c.dress(ctx, call, fc, req)
	c.nameCampus(out, fc.System, call.campus, false)
	resp, err := c.engine.Do(ctx, fc, out)
	c.learn(call, fc, resp, err)
	return resp, err
}

// exchange maps Op and Exchange to a failover.Call.
func (c *Client) exchange(ctx context.Context, call *call, x Exchange) *failover.Call {
	if x.Repeat != Safe && x.Class < WriteClass {
		x.Class = WriteClass
	}
	attempt, overall := x.Class.times()
	fc := &failover.Call{
		System: call.op.System, Campus: call.campus, Op: call.op.Name, Template: x.Template, Classify: x.Classify,
		Repeat: x.Repeat, Creates: x.Creates, AttemptTimeout: attempt, Timeout: overall, Upload: x.Upload, Environment: environmentOf(ctx),
	}
	if !x.Stream {
		fc.MaxBody = c.config.MaxBody
	}
	if x.Repeat != Safe {
		fc.Kind, fc.Again = campus.Write, call.failed()
		return fc
	}
	fc.Kind = readKind(call.op.Consistency)
	fc.Hedge = c.hedges() && !x.Stream
	if call.op.Consistency == Session {
		fc.After = c.sessions.since(c.Topology(), fc.System, fc.Campus)
	}
	_ = errors.As(x.Again, &fc.Again)
	return fc
}

// hedges: an audited read shows somebody's record once per request.
func (c *Client) hedges() bool { return !c.config.DisableHedging && c.config.Audit == nil }

// CampusOf is the campus of the call in ctx, "" outside of one.
func CampusOf(ctx context.Context) campus.ID {
	if c := callOf(ctx); c != nil {
		return c.campus
	}
	return ""
}

// MaxBody is how many bytes of an answer are read within an attempt: Config.MaxBody
// with its default.
func (c *Client) MaxBody() int64 { return c.config.MaxBody }

// Below takes a URL that came from origin's server and returns it relative to the
// endpoint's base, good for [Client.Exchange] with [SameStore]. A URL that leads
// elsewhere, or to another campus, is [ErrUnexpectedAnswer]: a server must not send a
// client, and its credentials, to another.
func (c *Client) Below(origin Origin, u *url.URL) (*url.URL, error) {
	rest, err := c.relative(origin.Endpoint, u)
	if err != nil || !c.unname(rest, origin) {
		return nil, ErrUnexpectedAnswer
	}
	return rest, nil
}

// unname takes the campus out of a server's URL, where every request gets it again. It
// reports false where that is another one.
func (c *Client) unname(u *url.URL, origin Origin) bool {
	described := c.Topology().System(origin.System)
	if described == nil {
		return false
	}
	by := described.CampusBy
	word := by.Word(origin.Campus)
	switch by.In {
	case "path":
		segment, rest, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
		u.RawPath = "/" + rest
		u.Path, _ = url.PathUnescape(u.RawPath)
		named, err := url.PathUnescape(segment)
		return err == nil && named == word
	case "query":
		own := url.QueryEscape(by.Name) + "=" + url.QueryEscape(word)
		u.RawQuery = strings.Join(slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(pair string) bool { return pair == own }), "&")
		return !u.Query().Has(by.Name)
	default:
		return true
	}
}

// plainQuery writes a query's values as they are, for a server that does not decode
// them. What cannot stand there as it is becomes the wildcard *, which finds it too;
// the verbs compare what comes with what was asked.
func plainQuery(u *url.URL) {
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		name, value, valued := strings.Cut(pair, "=")
		if text, err := url.QueryUnescape(value); valued && err == nil {
			pairs[i] = name + "=" + unsendable.ReplaceAllLiteralString(text, "*")
		}
	}
	u.RawQuery = strings.Join(pairs, "&")
}

// unsendable are runs of what is neither printable ASCII nor means itself in a query.
var unsendable = regexp.MustCompile(`[^!"$'-*,-~]+`)
