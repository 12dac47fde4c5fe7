package hospital

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/tracing"
)

// Config describes the hospital group and how to reach it. The zero value of
// every optional field is its documented default.
type Config struct {
	// Topology is the hospital group; required.
	Topology campus.Description
	// Campus is the campus a call belongs to unless [AtCampus] says otherwise.
	// It may be empty when there is only one.
	Campus campus.ID
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
	// MaxInFlight bounds the calls in flight per endpoint; zero or less means 512.
	MaxInFlight int
	// MaxBody bounds an answer's bytes after decompression; zero or less means 16 MiB.
	MaxBody int64
	// Tracing configures spans and metrics; the zero value uses the global
	// OpenTelemetry providers. DisableTracing switches all of it off.
	Tracing        tracing.Options
	DisableTracing bool
	// Logger receives changes of endpoints' states; nil logs nothing. No log line
	// carries patient data.
	Logger *slog.Logger
	// OnEvent is called at each change of an endpoint's state, with no lock held. It
	// must not call Close.
	OnEvent func(failover.Event)
	// OnAttempt is called after each request on the wire, with no lock held.
	OnAttempt func(failover.Attempt, failover.Result)
	// UserAgent is put before the SDK's own.
	UserAgent string
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
			c.Logger.Info("hospital endpoint changed", "endpoint", string(e.Endpoint), "class", e.Class,
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

