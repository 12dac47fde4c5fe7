package failover

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/hospital-go/hospital/campus"
)

// Options configure a [Client].
type Options struct {
	// Topology is required.
	Topology *campus.Topology
	// Hooks observe; the zero value observes nothing.
	Hooks Hooks
	// Authorize adds credentials to a request, once per attempt; nil adds none.
	// Its error fails the attempt as NotSent.
	// [ServerTime] of its context is the endpoint's clock.
	Authorize func(ctx context.Context, e *campus.Endpoint, req *http.Request) error
	// Refused is told that an endpoint answered 401 to req, as authorized. True
	// means that there are new credentials: the request is authorized and sent there
	// once more, once per call. A read that is still refused asks another endpoint.
	Refused func(ctx context.Context, e *campus.Endpoint, req *http.Request) bool
	// Adapters replace HTTP for single endpoints: routing, health and hooks stay.
	// An error that has a method Outcome() Outcome states what happened; any other
	// counts as Unknown. An adapter must end when the request's context does. It is
	// never probed: after an ejection its next call finds out.
	Adapters map[campus.EndpointID]http.RoundTripper
	// Dial and DialTLS replace the network of a data centre; nil uses the machine's.
	Dial, DialTLS map[campus.DataCenterID]DialFunc
	// TLS configures single endpoints: certificates of our own, authorities, the
	// server's name. nil and what is missing mean the machine's authorities and the
	// host of the endpoint's URL; TLS 1.2 is the least. One that verifies nothing is
	// refused. Where DialTLS is set for the data centre it is not used.
	TLS map[campus.EndpointID]*tls.Config
	// Proxy is an HTTP proxy through which every endpoint is reached, by CONNECT
	// (RFC 9110, section 9.3.6); nil means none, whatever the environment says.
	Proxy *url.URL
	// MaxInFlight bounds the calls in flight per endpoint; zero means 512.
	MaxInFlight int
	// ProbePath is asked of endpoints that are not healthy; empty means "/metadata".
	ProbePath string
	// Rules are the state machine's constants; the zero value has the defaults.
	Rules Rules

	network func(*campus.Endpoint) http.RoundTripper // of tests, instead of one
}

// Client sends calls over a [campus.Topology], which may be replaced while calls
// are in flight. It is safe for concurrent use.
type Client struct {
	options Options
	plan    atomic.Pointer[plan]
	keeper  *keeper
	loop    *retryablehttp.Client
	turn    atomic.Uint64 // whose turn it is among those that nobody knows to be well

	stop   context.CancelFunc
	life   context.Context //nolint:containedctx // the probes' lifetime is the client's
	mu     sync.Mutex      // guards closed together with probes.Add, and changes of plan
	closed bool
	probes sync.WaitGroup
}

// New returns a Client. It does no I/O.
func New(o Options) (*Client, error) {
	if o.Topology == nil {
		return nil, errors.New("failover: Options.Topology is required")
	}
	if err := o.checkNetwork(); err != nil {
		return nil, err
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultInFlight
	}
	if o.ProbePath == "" {
		o.ProbePath = "/metadata"
	}
	c := &Client{options: o}
	c.life, c.stop = context.WithCancel(context.Background())
	c.keeper = newKeeper(o.Rules, func() []*site { return c.plan.Load().sites }, c.changed)
	c.plan.Store(c.planFor(o.Topology, &plan{}))
	c.loop = &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     attempter{},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:     maxAttempts,
		CheckRetry:   func(ctx context.Context, _ *http.Response, _ error) (bool, error) { return runOf(ctx).again, nil },
		Backoff:      func(time.Duration, time.Duration, int, *http.Response) time.Duration { return 0 },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return c, nil
}

// plan is one topology and the way to its endpoints. It is immutable; a call keeps
// the one it began with.
type plan struct {
	topology *campus.Topology
	sites    []*site // by campus.Endpoint.Index
	budgets  map[campus.SystemID]*budget
	hedges   map[campus.SystemID]*budget
}

// planFor keeps what is known of the addresses that old has too.
func (c *Client) planFor(t *campus.Topology, old *plan) *plan {
	p := &plan{topology: t, budgets: map[campus.SystemID]*budget{}, hedges: map[campus.SystemID]*budget{}}
	for _, e := range t.Endpoints() {
		p.sites = append(p.sites, c.siteFor(e, old))
		if p.budgets[e.System] = old.budgets[e.System]; p.budgets[e.System] == nil {
			p.budgets[e.System] = newBudget(retryTokens, retryShare)
		}
		if p.hedges[e.System] = old.hedges[e.System]; p.hedges[e.System] == nil {
			p.hedges[e.System] = newBudget(hedgeTokens, hedgeShare)
		}
	}
	return p
}

// leadsTo: does this plan still have the endpoint as s, of an earlier one, knew it?
// A new attempt must not go where nobody is sent any more.
func (p *plan) leadsTo(s *site, call *Call) bool {
	route, _ := p.topology.Route(call.System, call.Campus, call.Kind)
	for _, hop := range route {
		if n := p.sites[hop.Endpoint.Index()]; n.door == s.door {
			e := n.endpoint
			return !e.Fenced && (!e.Drained || proved(call, e.Contract)) &&
				e.Store == s.endpoint.Store && e.StoreOf().Epoch == s.endpoint.StoreOf().Epoch
		}
	}
	return false
}

// led: the topology in force still leads this call to s.
func (r *run) led(s *site) bool {
	now := r.client.plan.Load()
	return now == r.plan || now.leadsTo(s, r.call)
}

func (c *Client) siteFor(e *campus.Endpoint, old *plan) *site {
	operator := false // an operator's word of this process holds, wherever the endpoint moves
	for _, s := range old.sites {
		if s.same(e) {
			if s.endpoint.HealthPath != e.HealthPath { // what was heard there says nothing any more
				s.balancer.Store(false)
			}
			return c.keeper.adopt(&site{endpoint: e, door: s.door})
		}
		operator = operator || (s.endpoint.ID == e.ID && s.operator.Load())
	}
	s := newSite(e, &c.options)
	s.operator.Store(operator)
	return c.keeper.adopt(s)
}

// Update puts another topology in force. Attempts in flight end as they began; new
// ones go only where the new topology leads too. Health, connections and bounds of
// the addresses that stay are kept, and so is an operator's drain.
func (c *Client) Update(t *campus.Topology) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.plan.Load()
	fresh := c.planFor(t, old)
	c.plan.Store(fresh)
	for _, s := range fresh.sites {
		c.moveReadsLater(s)
	}
	for _, s := range old.sites {
		if !slices.ContainsFunc(fresh.sites, func(n *site) bool { return n.door == s.door }) {
			s.gone.Store(true)
			s.closeIdle()
		}
	}
}

// Topology returns the one in force.
func (c *Client) Topology() *campus.Topology { return c.plan.Load().topology }

// Close ends the probes and closes idle connections. Calls in flight finish;
// later ones fail with [ErrClosed]. It must not be called from a hook.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.probes.Wait()
	for _, s := range c.plan.Load().sites {
		s.closeIdle()
		if timer := s.moving.Swap(nil); timer != nil {
			timer.Stop()
		}
	}
	return nil
}

// run is the progress of one call through its attempts.
type run struct {
	client *Client
	plan   *plan
	call   *Call
	route  campus.Route
	req    *http.Request
	ctx    context.Context //nolint:containedctx // the call's own, for the time of the call

	attempts int
	tried    []*site
	places   [maxAttempts]*site // tried's first memory
	store    campus.StoreID
	proof    bool // only endpoints whose contract makes a repetition harmless
	crowded  bool // some endpoint had no place left
	hurried  bool // the caller's deadline is sooner than the operation's
	last     *site
	freeHop  bool // the hop without budget and backoff has been used
	again    bool
	renew    bool     // the endpoint refused the credentials, and there are new ones
	renewed  bool     // that has happened
	doubts   []*doubt // failures to be charged if the call succeeds elsewhere
	err      *Error   // the deciding failure so far
}

// avoid asks elsewhere first: who failed this act before has had his turn.
func (r *run) avoid(again *Error) {
	if again == nil {
		return
	}
	r.doubts = slices.Clone(again.doubts)
	for _, s := range r.plan.sites {
		if slices.ContainsFunc(r.doubts, func(d *doubt) bool { return d.site.door == s.door }) {
			r.tried = append(r.tried, s)
		}
	}
}

type runKey struct{}

func runOf(ctx context.Context) *run {
	r, _ := ctx.Value(runKey{}).(*run)
	return r
}

// placeholder is what the retry loop sees in place of a URL; attempts build their own.
var placeholder = &url.URL{Scheme: "http", Host: "hospital.invalid"}

// Do sends req for call and returns the first answer that settles it: one the
// call's [Classifier] holds for Committed or Rejected. req's URL is relative to
// an endpoint's base: its path (or opaque escaped path) and query are used. A
// body needs req.GetBody to be sent more than once. The error is an [*Error] or
// one of package campus. [OriginOf] tells who answered.
func (c *Client) Do(ctx context.Context, call *Call, req *http.Request) (*http.Response, error) {
	plan := c.plan.Load()
	route, err := plan.topology.Route(call.System, call.Campus, call.Kind)
	if err != nil {
		return nil, err
	}
	if c.isClosed() {
		return nil, &Error{Err: ErrClosed, Outcome: NotSent}
	}
	timeout := call.timeout()
	deadline, has := ctx.Deadline()
	r := &run{client: c, plan: plan, call: call, route: route, req: req, store: call.Store}
	r.tried = r.places[:0]
	r.avoid(call.Again)
	r.hurried = has && time.Until(deadline) < timeout/2 // a little less is still time enough to blame a server
	ctx, cancel := context.WithTimeout(ctx, timeout)
	r.ctx = context.WithValue(ctx, runKey{}, r)
	if ctx.Err() != nil {
		cancel()
		return nil, r.failure(nil, Verdict{Outcome: NotSent, Fault: FaultTimeout}, 0)
	}
	outer := &http.Request{Method: req.Method, URL: placeholder, Header: http.Header{}}
	resp, err := c.loop.Do(&retryablehttp.Request{Request: outer.WithContext(r.ctx)})
	if err != nil || resp == nil || r.err != nil {
		discard(resp)
		err := r.final()
		cancel()
		return nil, err
	}
	if call.MaxBody > 0 {
		cancel()
		return resp, nil
	}
	resp.Body = &endBody{ReadCloser: resp.Body, end: cancel}
	return resp, nil
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func discard(resp *http.Response) {
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
}

// changed tells of an event and begins to probe where that helps.
func (c *Client) changed(e Event) {
	c.tell(e)
	for _, s := range c.plan.Load().sites {
		if (s.endpoint.ID == e.Endpoint && (e.To == Suspect || e.To == Ejected)) || (e.To == Isolated && s.center.stirred.Load()) {
			c.probe(s)
		}
	}
}

func (c *Client) tell(e Event) {
	if c.options.Hooks.Event != nil {
		c.options.Hooks.Event(e)
	}
}
