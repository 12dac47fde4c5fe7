package hospital

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/tracing"
)

// Config describes the hospital group and how to reach it. The zero value of
// every optional field is its documented default.
type Config struct { //nolint:recvcheck // printing has value receivers, so that a copy prints no more than the pointer
	// Topology is the hospital group; required. With a Source it is what holds
	// until the Source brings another.
	Topology campus.Description
	// Source brings descriptions of the group while the program runs; see [Source].
	// nil means that Topology stays. [Config.Fetch] asks it before the start.
	Source Source
	// SourceEvery is how often Source is asked; zero or less means what it says
	// itself: 5 s a file, 30 s a URL.
	SourceEvery time.Duration
	// StateDir is a folder for the last good description, ours alone; empty keeps none.
	StateDir string
	// OnTopology is told of each description that was taken or refused, with no lock
	// held. It must not call Close.
	OnTopology func(TopologyEvent)
	// DisableHedging asks no second site while the first is late. Without it quick reads
	// are, within 2 % of the traffic; with an Audit they never are, because each
	// request shows somebody's record once more.
	DisableHedging bool
	// Campus is the campus a call belongs to unless [AtCampus] says otherwise.
	// It may be empty when there is only one.
	Campus campus.ID
	// Identities finds all numbers of a patient, for calls across campuses: an EMPI's
	// (患者主索引) answer, say. nil asks the calling campus's HIS: the numbers of the record
	// that carries this one, and of those linked with it. [ErrNotFound] means that no more
	// is known. After any other error only the campuses that know the number given are
	// asked; the others stand with that error in [PartialError].Failed. It must be safe for
	// concurrent use.
	Identities func(ctx context.Context, patient campus.PatientID) ([]campus.PatientID, error)
	// Credentials authorize requests, by system, and EndpointCredentials those to
	// single endpoints instead. What has none is called without.
	Credentials         map[campus.SystemID]Credential
	EndpointCredentials map[campus.EndpointID]Credential
	// TLS configures the connections to single endpoints: our own certificate (mTLS),
	// authorities, the server's name; see failover.Options.
	TLS map[campus.EndpointID]*tls.Config
	// Proxy is an HTTP proxy for all endpoints; nil means none, whatever the
	// environment says.
	Proxy *url.URL
	// Adapters replace HTTP for single endpoints; see failover.Options.
	Adapters map[campus.EndpointID]http.RoundTripper
	// Dial and DialTLS replace the network of a data centre; nil uses the machine's.
	Dial, DialTLS map[campus.DataCenterID]failover.DialFunc
	// MaxInFlight bounds the calls in flight per endpoint; zero means 512.
	MaxInFlight int
	// Failover are the constants of failover: how long a site that failed stays out,
	// how its share grows again; the zero value has the defaults.
	Failover failover.Rules
	// MaxBody bounds an answer's bytes after decompression; zero means 16 MiB.
	MaxBody int64
	// Audit receives a record of every call, apart from logs; see [AuditRecord]. nil
	// records nothing.
	Audit Auditor
	// AuditRequired are systems that are not called without an Audit and an [Actor].
	AuditRequired []campus.SystemID
	// Tracing configures spans and metrics; the zero value uses the global
	// OpenTelemetry providers. DisableTracing switches all of it off.
	Tracing        tracing.Options
	DisableTracing bool
	// Logger receives changes of endpoints' and stores' states; nil logs nothing. No log line
	// carries patient data.
	Logger *slog.Logger
	// OnEvent is called at each change of the state of an endpoint, a store or this client,
	// with no lock held, possibly in several goroutines at once. It must return quickly and
	// must not call Close.
	OnEvent func(failover.Event)
	// OnAttempt is called after each request on the wire, repetitions included, with no
	// lock held, possibly in several goroutines at once. It must return quickly.
	OnAttempt func(failover.Attempt, failover.Result)
	// UserAgent is put before the SDK's own.
	UserAgent string

	refusal error // of the document that Fetch had last
}

// tracer makes the tracer, nil when tracing is off.
func (c *Config) tracer() *tracing.Tracer {
	if c.DisableTracing {
		return nil
	}
	return tracing.New(c.Tracing)
}

// hooks joins tracing with the configuration's own observers.
func (c *Config) hooks(t *tracing.Tracer) failover.Hooks {
	h := t.Hooks()
	traceEvent, traceDone := h.Event, h.AttemptDone
	h.Event = func(e failover.Event) {
		if traceEvent != nil {
			traceEvent(e)
		}
		if c.OnEvent != nil {
			c.OnEvent(e)
		}
		if c.Logger != nil {
			c.Logger.Info("hospital changed", "endpoint", string(e.Endpoint), "store", string(e.Store), "class", e.Class,
				"from", e.From.String(), "to", e.To.String(), "cause", e.Cause)
		}
	}
	if c.OnAttempt != nil {
		h.AttemptDone = func(ctx context.Context, a failover.Attempt, r failover.Result) {
			if traceDone != nil {
				traceDone(ctx, a, r)
			}
			c.OnAttempt(a, r)
		}
	}
	return h
}

// check builds the topology and finds everything that is wrong, each with its
// place: the same for a struct and for a file. Without a description, which a
// Source may bring later, the topology is nil.
func (c *Config) check() (*campus.Topology, campus.Faults) {
	var topology *campus.Topology
	var faults campus.Faults
	described := c.Source == nil || !reflect.ValueOf(c.Topology).IsZero()
	if described {
		var err error
		topology, err = campus.New(c.Topology)
		errors.As(err, &faults)
	}
	return topology, append(faults, c.checkBeside(topology, described)...)
}

// faults is what check finds.
func (c *Config) faults() campus.Faults {
	_, faults := c.check()
	return faults
}

// sound: could this description be in force here?
func (c *Config) sound(next *campus.Description) error {
	candidate := *c
	candidate.Topology = *next
	if faults := candidate.faults(); len(faults) > 0 {
		return fmt.Errorf("%w: it does not fit this program: %w", ErrTopology, faults)
	}
	return nil
}

// Format prints which hospital it describes, and none of its secrets.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String is what Format prints.
func (c Config) String() string {
	return fmt.Sprintf("hospital.Config(version %d, %d endpoints, campus %s)", c.Topology.Version, len(c.Topology.Endpoints), c.Campus)
}

// GoString prints what String does.
func (c Config) GoString() string { return c.String() }

// LogValue prints what String does.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// checkBeside checks what stands beside the topology.
func (c *Config) checkBeside(t *campus.Topology, described bool) campus.Faults {
	var out campus.Faults
	fault := func(place, problem string) { out = append(out, campus.Fault{Place: place, Problem: problem}) }
	for id, credential := range c.Credentials {
		checkCredential("credentials."+string(id), credential, t, fault)
	}
	for id, credential := range c.EndpointCredentials {
		checkCredential("endpointCredentials."+string(id), credential, t, fault)
	}
	for id, config := range c.TLS {
		if config != nil && config.InsecureSkipVerify {
			fault("tls."+string(id), "verifies nothing; name the authority in RootCAs instead")
		}
	}
	if c.MaxInFlight < 0 {
		fault("maxInFlight", "must not be negative; 0 means 512")
	}
	if c.MaxBody < 0 {
		fault("maxBody", "must not be negative; 0 means 16 MiB")
	}
	if strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		fault("userAgent", "must be one line of plain letters, as a header holds it")
	}
	if described {
		c.checkNames(fault)
	}
	slices.SortFunc(out, func(a, b campus.Fault) int { return strings.Compare(a.Place, b.Place) })
	return out
}

func checkCredential(place string, credential Credential, t *campus.Topology, fault func(place, problem string)) {
	b, ok := credential.(bindable)
	if !ok {
		return
	}
	if key, text := b.problem(t); text != "" {
		fault(strings.TrimRight(place+".oauth2."+key, "."), text)
	}
}

// checkNames checks that what is configured for something is for something there is.
func (c *Config) checkNames(fault func(place, problem string)) {
	d := c.Topology
	campuses, systems, endpoints, centers := map[campus.ID]bool{}, map[campus.SystemID]bool{}, map[campus.EndpointID]bool{}, map[campus.DataCenterID]bool{}
	for _, x := range d.Campuses {
		campuses[x.ID] = true
	}
	for _, x := range d.Systems {
		systems[x.ID] = true
	}
	for _, x := range d.DataCenters {
		centers[x.ID] = true
	}
	for i := range d.Endpoints {
		endpoints[d.Endpoints[i].Name()] = true
	}
	if c.Campus != "" && !campuses[c.Campus] {
		fault("campus", fmt.Sprintf("%q is no campus; known: %s", c.Campus, list(campuses)))
	}
	if c.Source != nil {
		return // a description that comes later may have what this one lacks, and the other way round
	}
	checkKeys("credentials.", c.Credentials, systems, "is no system; known: "+list(systems), fault)
	checkKeys("endpointCredentials.", c.EndpointCredentials, endpoints, "is no endpoint; known: "+list(endpoints), fault)
	checkKeys("tls.", c.TLS, endpoints, "is no endpoint; known: "+list(endpoints), fault)
	checkKeys("adapters.", c.Adapters, endpoints, "is no endpoint; known: "+list(endpoints), fault)
	checkKeys("dial.", c.Dial, centers, "is no data centre; known: "+list(centers), fault)
	checkKeys("dialTLS.", c.DialTLS, centers, "is no data centre; known: "+list(centers), fault)
	for i, id := range c.AuditRequired {
		if !systems[id] {
			fault(fmt.Sprintf("auditRequired[%d]", i), fmt.Sprintf("%q is no system; known: %s", id, list(systems)))
		}
	}
}

func checkKeys[K ~string, V any](place string, configured map[K]V, known map[K]bool, problem string, fault func(place, problem string)) {
	for key := range configured {
		if !known[key] {
			fault(place+string(key), problem)
		}
	}
}

func list[K ~string](known map[K]bool) string {
	var names []string
	for k := range known {
		names = append(names, string(k))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
