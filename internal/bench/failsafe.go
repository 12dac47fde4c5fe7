package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

// safeRouter is the transport under failsafe-go's policies: home first, each
// further attempt of a call (retry or hedge) at the next host, one breaker per host.
type safeRouter struct {
	hosts    []string
	breakers []circuitbreaker.CircuitBreaker[*http.Response]
	base     http.RoundTripper
}

func newSafeRouter(hosts []string, base http.RoundTripper) *safeRouter {
	r := &safeRouter{hosts: hosts, base: base}
	for range hosts {
		r.breakers = append(r.breakers, circuitbreaker.NewBuilder[*http.Response]().
			WithFailureThreshold(3).WithSuccessThreshold(1).WithDelay(time.Second).Build())
	}
	return r
}

// RoundTrip sends one attempt.
func (r *safeRouter) RoundTrip(req *http.Request) (*http.Response, error) {
	n := step(req.Context())
	for skipped := range r.hosts {
		i := (n + skipped) % len(r.hosts)
		if r.breakers[i].TryAcquirePermit() {
			return r.send(req, i, n == 0)
		}
	}
	return nil, circuitbreaker.ErrOpen
}

func (r *safeRouter) send(req *http.Request, i int, first bool) (*http.Response, error) {
	resp, err := r.base.RoundTrip(redirect(req, r.hosts[i]))
	breaker := r.breakers[i]
	switch {
	case err == nil && resp.StatusCode < http.StatusInternalServerError:
		breaker.RecordSuccess()
	case errors.Is(err, context.Canceled) && !first && breaker.IsClosed():
		// A hedge that lost says nothing about its host; a first attempt that lost was slow.
	default:
		breaker.RecordFailure()
	}
	return resp, err
}

// failsafePolicies: up to three attempts, a hedge after 50 ms, 1 s for an
// attempt. Writes are hedged too: they carry a key.
func failsafePolicies() []failsafe.Policy[*http.Response] {
	return []failsafe.Policy[*http.Response]{
		failsafehttp.NewRetryPolicyBuilder().WithMaxRetries(3).WithBackoff(time.Millisecond, 50*time.Millisecond).Build(),
		hedgepolicy.NewWithDelay[*http.Response](50 * time.Millisecond),
		timeout.New[*http.Response](time.Second),
	}
}

func startFailsafe(s *sites, _ options) (sender, error) {
	base := tunedTransport()
	client := &http.Client{Transport: failsafehttp.NewRoundTripper(newSafeRouter(s.hosts(), base), failsafePolicies()...)}
	do := func(ctx context.Context, c call) (*http.Response, error) {
		req, err := c.request(withTour(ctx), s.hosts()[0])
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}
	return sender{do: do, close: base.CloseIdleConnections}, nil
}
