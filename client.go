package hospital

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/tracing"
)

// Version of this SDK, as sent in User-Agent.
const Version = "0.1.0"

// Client calls the systems of a hospital group. It is immutable and safe for
// concurrent use; one per process is enough.
type Client struct {
	config      Config
	topology    *campus.Topology
	engine      *failover.Client
	tracer      *tracing.Tracer
	agent       string
	fhir        map[campus.SystemID]*fhir.Client
	credentials []Credential // by campus.Endpoint.Index
	lost        lostWrites
	declared    statements
}

// New checks cfg and returns a Client. It does no I/O, so it works while every
// site is down; [Client.Ready] asks. The error lists every mistake in
// cfg.Topology with its place; errors.Is(err, campus.ErrInvalid) holds, or
// campus.ErrUnknownCampus for cfg.Campus. cfg is copied.
func New(cfg Config) (*Client, error) {
	topology, err := campus.New(cfg.Topology)
	if err != nil {
		return nil, fmt.Errorf("hospital: Config.Topology: %w", err)
	}
	if cfg.Campus == "" && len(cfg.Topology.Campuses) == 1 {
		cfg.Campus = cfg.Topology.Campuses[0].ID
	}
	if cfg.Campus != "" && topology.Campus(cfg.Campus) == nil {
		return nil, fmt.Errorf("hospital: Config.Campus: %w %q", campus.ErrUnknownCampus, cfg.Campus)
	}
	cfg.Adapters, cfg.Dial, cfg.DialTLS, cfg.TLS = maps.Clone(cfg.Adapters), maps.Clone(cfg.Dial), maps.Clone(cfg.DialTLS), maps.Clone(cfg.TLS)
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = fhir.DefaultMaxBody
	}
	cfg.MaxBody = min(cfg.MaxBody, math.MaxInt64-1)
	c := &Client{config: cfg, topology: topology, fhir: map[campus.SystemID]*fhir.Client{}, agent: "hospital-go/" + Version}
	if cfg.UserAgent != "" {
		c.agent = cfg.UserAgent + " " + c.agent
	}
	if c.credentials, err = bindCredentials(c, cfg.Credentials, cfg.EndpointCredentials); err != nil {
		return nil, err
	}
	c.tracer = c.config.tracer()
	c.engine, err = failover.New(failover.Options{
		Topology: topology, Hooks: c.config.hooks(c.tracer), Authorize: c.authorize, Refused: c.refused,
		Adapters: cfg.Adapters, Dial: cfg.Dial, DialTLS: cfg.DialTLS, TLS: cfg.TLS, Proxy: cfg.Proxy, MaxInFlight: cfg.MaxInFlight,
	})
	if err != nil {
		return nil, err
	}
	for _, s := range cfg.Topology.Systems {
		c.fhir[s.ID], err = fhir.New(&doer{client: c, system: s.ID}, virtualBase(s.ID), fhir.WithCheckedLinks(), fhir.WithMaxBody(cfg.MaxBody))
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Ready asks every system that has endpoints and returns nil once each has one
// that answers, else an [ErrUnavailable] naming the first that has none.
func (c *Client) Ready(ctx context.Context) error {
	systems := map[campus.SystemID]bool{}
	for _, e := range c.topology.Endpoints() {
		systems[e.System] = true
	}
	for _, system := range slices.Sorted(maps.Keys(systems)) {
		if err := c.engine.Reachable(ctx, system); err != nil {
			return &Error{Code: ErrUnavailable, System: system, Op: "Ready"}
		}
	}
	return nil
}

// Close ends background work and closes idle connections. Calls in flight
// finish; later ones fail with [ErrClosed].
func (c *Client) Close() error { return c.engine.Close() }

// Topology returns the description in force, checked and immutable.
func (c *Client) Topology() *campus.Topology { return c.topology }

// Status returns what this process knows of every endpoint.
func (c *Client) Status() []failover.EndpointStatus { return c.engine.Status() }

// Drain takes endpoints out in this process, for a release; see failover.Client.Drain.
func (c *Client) Drain(x failover.Selector) int { return c.engine.Drain(x) }

// Restore puts drained endpoints back.
func (c *Client) Restore(x failover.Selector) int { return c.engine.Restore(x) }

// FHIR returns a FHIR client of the system for what has no verb. Routing,
// failover, tracing and classification hold; reads are strong; of the writes
// only those with a version, an id of the client's making or an If-None-Exist are
// ever sent again after an unknown outcome. Its errors are those of packages fhir
// and failover; [CodeOf] maps them. opts choose the campus. For a system the
// topology does not have every call is [ErrNoEndpoint].
func (c *Client) FHIR(system campus.SystemID, opts ...ReadOption) *fhir.Client {
	op := Op{Name: "fhir", System: system, Consistency: Strong, Class: List}
	d := &doer{client: c, system: system, fixed: c.newCall(op, readOptions(opts))}
	base := virtualBase(system)
	if c.topology.System(system) == nil {
		base = virtualBase("unknown") // the doer refuses
	}
	client, _ := fhir.New(d, base, fhir.WithCheckedLinks(), fhir.WithMaxBody(c.config.MaxBody))
	return client
}

// HTTP returns an http.Client of the system for plain HTTP: http://SYSTEM.hospital.invalid/path
// goes to path below the base of whichever endpoint should answer. What may be
// sent again follows RFC 9110. A request, its body included, has 20 s; bodies are
// streamed and not bounded by Config.MaxBody. Errors come wrapped in a *url.Error, which prints
// the URL: unwrap it before logging when URLs may name a patient.
func (c *Client) HTTP(system campus.SystemID, opts ...ReadOption) *http.Client {
	o := readOptions(opts)
	return &http.Client{
		Transport: &plainTransport{client: c, system: system, campus: c.campusOf(o)},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// NewNumber returns a new business number: 32 characters, unique, in order of
// time. Store it before the call it names, so that the call can be repeated.
func NewNumber() string {
	id := uuid.Must(uuid.NewV7())
	const hex = "0123456789abcdef"
	out := make([]byte, 0, 2*len(id))
	for _, b := range id {
		out = append(out, hex[b>>4], hex[b&15])
	}
	return string(out)
}
