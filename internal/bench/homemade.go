package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/sony/gobreaker/v2"
)

// homeMade is what a careful developer would write in an afternoon: retries
// around a transport that asks the first host whose breaker lets it.
type homeMade struct {
	hosts    []string
	breakers []*gobreaker.CircuitBreaker[*http.Response]
	base     http.RoundTripper
	attempt  time.Duration // of one attempt, zero for the client's only
	tour     bool          // a retry goes to the other host
	retry    *retryablehttp.Client
}

var errStatus = errors.New("5xx") // for the breaker's count; never shown

// homeMadeDefault leaves both libraries at their defaults, but for the time a
// careful developer gives every client.
func homeMadeDefault(hosts []string) *homeMade {
	h := newHomeMade(hosts, cleanhttp.DefaultPooledTransport(), gobreaker.Settings{})
	h.retry.HTTPClient.Timeout = 5 * time.Second
	return h
}

// homeMadeTuned has short attempts, no long waits, and breakers that switch hosts.
func homeMadeTuned(hosts []string) *homeMade {
	h := newHomeMade(hosts, tunedTransport(), gobreaker.Settings{
		Timeout:     time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 3 },
	})
	h.attempt, h.tour = time.Second, true
	h.retry.RetryMax, h.retry.RetryWaitMin, h.retry.RetryWaitMax = 3, time.Millisecond, 50*time.Millisecond
	return h
}

func newHomeMade(hosts []string, base http.RoundTripper, s gobreaker.Settings) *homeMade {
	h := &homeMade{hosts: hosts, base: base, retry: retryablehttp.NewClient()}
	for _, host := range hosts {
		s.Name = host
		h.breakers = append(h.breakers, gobreaker.NewCircuitBreaker[*http.Response](s))
	}
	h.retry.Logger = nil
	h.retry.HTTPClient = &http.Client{Transport: h}
	return h
}

// RoundTrip sends one attempt to the host it falls to.
func (h *homeMade) RoundTrip(req *http.Request) (*http.Response, error) {
	i := h.choose(req.Context())
	resp, err := h.breakers[i].Execute(func() (*http.Response, error) {
		resp, err := h.send(redirect(req, h.hosts[i]))
		if err == nil && resp.StatusCode >= http.StatusInternalServerError {
			err = errStatus
		}
		return resp, err
	})
	if errors.Is(err, errStatus) {
		err = nil // the retry policy looks at the status itself
	}
	return resp, err
}

func (h *homeMade) choose(ctx context.Context) int {
	first := 0
	if h.tour {
		first = step(ctx)
	}
	for n := range h.hosts {
		i := (first + n) % len(h.hosts)
		if h.breakers[i].State() != gobreaker.StateOpen {
			return i
		}
	}
	return first % len(h.hosts)
}

// send bounds an attempt up to its headers; the body has what the call has left.
func (h *homeMade) send(req *http.Request) (*http.Response, error) {
	if h.attempt == 0 {
		return h.base.RoundTrip(req)
	}
	ctx, cancel := context.WithCancel(req.Context())
	timer := time.AfterFunc(h.attempt, cancel)
	resp, err := h.base.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		cancel()
		if req.Context().Err() == nil && ctx.Err() != nil {
			err = errAttemptTimeout // a plain cancellation would not be retried
		}
		return nil, err
	}
	resp.Body = bodyWithCancel{resp.Body, cancel}
	return resp, nil
}

func (h *homeMade) do(ctx context.Context, c call) (*http.Response, error) {
	if h.tour {
		ctx = withTour(ctx)
	}
	req, err := c.retryable(ctx, h.hosts[0])
	if err != nil {
		return nil, err
	}
	return h.retry.Do(req)
}

func startHomeMade(make func(hosts []string) *homeMade) func(*sites, options) (sender, error) {
	return func(s *sites, _ options) (sender, error) {
		h := make(s.hosts())
		return sender{do: h.do, close: h.retry.HTTPClient.CloseIdleConnections}, nil
	}
}

// CloseIdleConnections lets the client reach the transport below.
func (h *homeMade) CloseIdleConnections() { closeIdle(h.base) }
