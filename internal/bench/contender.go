package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/hospital-go/hospital/failover"
)

// call is one operation of the load: a read, or a write under a number of its own.
type call struct {
	number string
	write  bool
	keyed  bool
	body   []byte
}

const (
	keyHeader    = "If-None-Exist" // FHIR's conditional create
	numberHeader = "X-Number"      // lets the servers count, and is no key to them
	mediaType    = "application/json"
	bodyLength   = 1 << 10
)

// read and write are calls under a number; a write sends about 1 KiB, as a small
// resource is. Without a number nothing is counted.
func read(number string) call { return call{number: number} }

func write(number string, keyed bool) call {
	body := fmt.Appendf(nil, `{"number":%q,"note":%q}`, number, strings.Repeat("n", bodyLength))
	return call{number: number, write: true, keyed: keyed, body: body}
}

func (c call) method() string {
	if c.write {
		return http.MethodPost
	}
	return http.MethodGet
}

func (c call) path() string {
	if c.write {
		return "/Appointment"
	}
	return "/Slot/" + c.number
}

// decorate adds the call's headers; every contender sends the same.
func (c call) decorate(h http.Header) {
	if c.number != "" {
		h.Set(numberHeader, c.number)
	}
	if !c.write {
		return
	}
	h.Set("Content-Type", mediaType)
	if c.keyed {
		h.Set(keyHeader, "identifier="+c.number)
	}
}

// request is the call in net/http's terms, to one host.
func (c call) request(ctx context.Context, host string) (*http.Request, error) {
	var body io.Reader // nil for a read
	if c.write {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method(), "http://"+host+c.path(), body)
	if err != nil {
		return nil, err
	}
	c.decorate(req.Header)
	return req, nil
}

// retryable is the call in go-retryablehttp's terms, built natively.
func (c call) retryable(ctx context.Context, host string) (*retryablehttp.Request, error) {
	var body any
	if c.write {
		body = c.body
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, c.method(), "http://"+host+c.path(), body)
	if err != nil {
		return nil, err
	}
	c.decorate(req.Header)
	return req, nil
}

// sender is a contender at work. do returns the answer with its body unread, as
// an HTTP client does: who reads bodies inside an attempt does so in do.
type sender struct {
	do    func(ctx context.Context, c call) (*http.Response, error)
	close func()
}

// contender is one way to reach two replicas.
type contender struct {
	name  string
	proxy string // the program it needs, empty for none
	start func(s *sites, o options) (sender, error)
}

// available reports whether the program it needs is here.
func (c contender) available() bool {
	if c.proxy == "" {
		return true
	}
	_, err := findProgram(c.proxy)
	return err == nil
}

func contenders() []contender {
	return []contender{
		{name: "home-made", start: startHomeMade(homeMadeDefault)},
		{name: "home-made-tuned", start: startHomeMade(homeMadeTuned)},
		{name: "failsafe", start: startFailsafe},
		{name: "haproxy", proxy: "haproxy", start: startHAProxy},
		{name: "nginx", proxy: "nginx", start: startNginx},
		{name: "hospital", start: startHospital(ours{hedge: true})},
		{name: "hospital-unhedged", start: startHospital(ours{})},
		{name: "hospital-at-once", start: startHospital(ours{hedge: true, rules: failover.Rules{HoldDown: -1, Growth: -1}})},
	}
}

// tunedTransport is net/http as someone who measured would set it.
func tunedTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 500 * time.Millisecond}).DialContext,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
	}
}

// tour tells the attempts of one call apart: the first goes home, each further
// one to the next host.
type tour struct {
	mu   sync.Mutex
	next int
}

type tourKey struct{}

func withTour(ctx context.Context) context.Context {
	return context.WithValue(ctx, tourKey{}, &tour{})
}

// step is the attempt's number within its call, from 0.
func step(ctx context.Context) int {
	t, ok := ctx.Value(tourKey{}).(*tour)
	if !ok {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	return t.next - 1
}

// redirect is req to another host, leaving req as it was.
func redirect(req *http.Request, host string) *http.Request {
	u := *req.URL
	u.Host = host
	again := *req
	again.URL, again.Host = &u, host
	return &again
}
