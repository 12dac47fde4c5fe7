package hospital

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"

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
	engine      *failover.Client
	tracer      *tracing.Tracer
	agent       string
	credentials credentials
	fhir        sync.Map // campus.SystemID to *fhir.Client
	lost        lostWrites
	sessions    sessions
	declared    statements

	stopFollowing func() // nil without a Source
}

// New checks cfg and returns a Client. It does no I/O, so it works while every
// site is down; [Client.Ready] asks. The error lists every mistake in
// cfg.Topology with its place; errors.Is(err, campus.ErrInvalid) holds, or
// campus.ErrUnknownCampus for cfg.Campus. cfg is copied.
func New(cfg Config) (*Client, error) {
	topology, faults := cfg.check()
	switch {
	case len(faults) == 1 && faults[0].Place == "campus":
		return nil, fmt.Errorf("hospital: Config: %w: %w", campus.ErrUnknownCampus, faults)
	case len(faults) > 0:
		return nil, fmt.Errorf("hospital: Config: %w", faults)
	case topology == nil:
		return nil, errors.New("hospital: Config.Topology is empty; call Config.Fetch first to have it from the Source")
	case len(cfg.AuditRequired) > 0 && cfg.Audit == nil:
		return nil, errors.New("hospital: Config.Audit is missing; AuditRequired names systems that are not called without it")
	}
	if cfg.Campus == "" && len(cfg.Topology.Campuses) == 1 {
		cfg.Campus = cfg.Topology.Campuses[0].ID
	}
	cfg.AuditRequired = slices.Clone(cfg.AuditRequired)
	cfg.Credentials, cfg.EndpointCredentials = maps.Clone(cfg.Credentials), maps.Clone(cfg.EndpointCredentials)
	cfg.Adapters, cfg.Dial, cfg.DialTLS, cfg.TLS = maps.Clone(cfg.Adapters), maps.Clone(cfg.Dial), maps.Clone(cfg.DialTLS), maps.Clone(cfg.TLS)
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = fhir.DefaultMaxBody
	}
	cfg.MaxBody = min(cfg.MaxBody, math.MaxInt64-1)
	c := &Client{config: cfg, agent: "hospital-go/" + Version}
	if cfg.UserAgent != "" {
		c.agent = cfg.UserAgent + " " + c.agent
	}
	c.bindCredentials()
	c.tracer = c.config.tracer()
	var err error
	c.engine, err = failover.New(failover.Options{
		Topology: topology, Hooks: c.config.hooks(c.tracer), Authorize: c.authorize, Refused: c.refused,
		Adapters: cfg.Adapters, Dial: cfg.Dial, DialTLS: cfg.DialTLS, TLS: cfg.TLS, Proxy: cfg.Proxy, MaxInFlight: cfg.MaxInFlight,
		Rules: cfg.Failover,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Source != nil {
		c.follow()
	}
	return c, nil
}

// Ready asks every system that has endpoints and returns nil once each has one
// that answers, else an [ErrUnavailable] naming the first that has none.
func (c *Client) Ready(ctx context.Context) error {
	systems := map[campus.SystemID]bool{}
	for _, e := range c.Topology().Endpoints() {
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
func (c *Client) Close() error {
	if c.stopFollowing != nil {
		c.stopFollowing()
	}
	return c.engine.Close()
}

// Topology returns the description in force, checked and immutable.
func (c *Client) Topology() *campus.Topology { return c.engine.Topology() }

// Status returns what this process knows of every endpoint.
func (c *Client) Status() []failover.EndpointStatus { return c.engine.Status() }

// Drain takes endpoints out in this process, for a release; see failover.Client.Drain.
func (c *Client) Drain(x failover.Selector) int { return c.engine.Drain(x) }

// Drained reports whether endpoints match x, and all of them are taken out and have
// nothing in flight; [Client.Status] names what still is.
func (c *Client) Drained(x failover.Selector) bool { return c.engine.Drained(x) }

// Restore puts drained endpoints back.
func (c *Client) Restore(x failover.Selector) int { return c.engine.Restore(x) }

// FHIR returns a FHIR client of the system for what has no verb. Routing,
// failover, tracing and classification hold; reads are strong; of the writes
// only those with a version, an id of the client's making or an If-None-Exist are
// ever sent again after an unknown outcome. Its errors are those of packages fhir
// and failover; [CodeOf] maps them. opts choose the campus; with [AcrossCampuses] a call
// is [ErrInvalidArgument] unless [SameStore] confines it. For a system the topology does
// not have every call is [ErrNoEndpoint].
func (c *Client) FHIR(system campus.SystemID, opts ...ReadOption) *fhir.Client {
	op := Op{Name: "fhir", System: system, Consistency: Strong, Class: List}
	d := &doer{client: c, system: system, fixed: c.newCall(op, readOptions(opts))}
	base := virtualBase(system)
	if c.Topology().System(system) == nil {
		base = virtualBase("unknown") // the doer refuses
	}
	client, _ := fhir.New(d, base, fhir.WithCheckedLinks(), fhir.WithMaxBody(c.config.MaxBody))
	return client
}

// fhirOf is the FHIR client behind a system's verbs.
func (c *Client) fhirOf(system campus.SystemID) *fhir.Client {
	if known, ok := c.fhir.Load(system); ok {
		return known.(*fhir.Client) //nolint:forcetypeassert // nothing else is stored
	}
	base := virtualBase(system)
	if c.Topology().System(system) == nil {
		base = virtualBase("unknown") // the call is refused before it is used
	}
	f, _ := fhir.New(&doer{client: c, system: system}, base, fhir.WithCheckedLinks(), fhir.WithMaxBody(c.config.MaxBody))
	known, _ := c.fhir.LoadOrStore(system, f)
	return known.(*fhir.Client) //nolint:forcetypeassert // nothing else is stored
}

// String names it, and nothing of what it has done.
func (c *Client) String() string { return "hospital.Client" }

// GoString prints what String does.
func (c *Client) GoString() string { return c.String() }

// Format prints what String does, for every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// NewNumber returns a new business number: 32 characters, unique, in order of
// time. Store it before the call it names, so that the call can be repeated. It is too
// long for an accession number (pacs.OrderRequest), which has 16.
func NewNumber() string {
	id := uuid.Must(uuid.NewV7())
	const hex = "0123456789abcdef"
	out := make([]byte, 0, 2*len(id))
	for _, b := range id {
		out = append(out, hex[b>>4], hex[b&15])
	}
	return string(out)
}
