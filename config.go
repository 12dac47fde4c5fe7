package hospital

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"

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
	// Credentials authorize requests, by system. A system without one is called without.
	Credentials map[campus.SystemID]Credential
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

// Credential authorizes one request to one endpoint. It runs once per attempt,
// on a request of that attempt's own, and must not keep it. An error fails the
// attempt before anything is sent.
type Credential func(ctx context.Context, e *campus.Endpoint, req *http.Request) error

// errNoToken is what a token source's failure becomes; its own text may hold a secret.
var errNoToken = errors.New("hospital: no token")

// Bearer sends a token (RFC 6750) that source returns, once per attempt; source
// must be fast and safe for concurrent use.
func Bearer(source func(ctx context.Context) (string, error)) Credential {
	return func(ctx context.Context, _ *campus.Endpoint, req *http.Request) error {
		token, err := source(ctx)
		if err != nil || token == "" {
			return errNoToken
		}
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// BearerToken sends a fixed token (RFC 6750).
func BearerToken(token string) Credential {
	return Bearer(func(context.Context) (string, error) { return token, nil })
}

// Basic sends a user name and password (RFC 7617).
func Basic(user, password string) Credential {
	header := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	return func(_ context.Context, _ *campus.Endpoint, req *http.Request) error {
		req.Header.Set("Authorization", header)
		return nil
	}
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

// authorize finds the system's credential.
func (c *Config) authorize(ctx context.Context, e *campus.Endpoint, req *http.Request) error {
	if credential := c.Credentials[e.System]; credential != nil {
		return credential(ctx, e, req)
	}
	return nil
}
