package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/tracing"
)

// doFunc makes one call.
type doFunc func(ctx context.Context, c call) (*http.Response, error)

// stack is a way to make a call, over any medium.
type stack struct {
	name    string
	against string // the stack whose added cost ours is a share of
	build   func(m medium) (doFunc, error)
}

// medium is where calls go: memory, or a server of another process.
type medium struct {
	name   string
	hosts  []string
	memory http.RoundTripper // nil for a network
}

// transport is a new one, so that stacks share no connections.
func (m medium) transport() http.RoundTripper {
	if m.memory != nil {
		return m.memory
	}
	return tunedTransport()
}

func stacks(never, sampled trace.TracerProvider) []stack {
	return []stack{
		{name: "bare net/http", build: bareStack},
		{name: "retryablehttp", build: retryStack},
		{name: "home-made", build: homeMadeStack()},
		{name: "home-made + otelhttp, no SDK", build: homeMadeStack(otelhttpOver())},
		{name: "home-made + otelhttp, never sampled", build: homeMadeStack(otelhttpOver(otelhttp.WithTracerProvider(never)))},
		{name: "home-made + otelhttp, sampled", build: homeMadeStack(otelhttpOver(otelhttp.WithTracerProvider(sampled)))},
		{name: "hospital, no tracing", build: ourStack(nil)},
		{name: "hospital + tracing, no SDK", against: "home-made + otelhttp, no SDK", build: ourStack(&tracing.Options{})},
		{
			name: "hospital + tracing, never sampled", against: "home-made + otelhttp, never sampled",
			build: ourStack(&tracing.Options{TracerProvider: never}),
		},
		{
			name: "hospital + tracing, sampled", against: "home-made + otelhttp, sampled",
			build: ourStack(&tracing.Options{TracerProvider: sampled}),
		},
	}
}

func bareStack(m medium) (doFunc, error) {
	client := &http.Client{Transport: m.transport()}
	return func(ctx context.Context, c call) (*http.Response, error) {
		req, err := c.request(ctx, m.hosts[0])
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}, nil
}

func retryStack(m medium) (doFunc, error) {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient = &http.Client{Transport: m.transport()}
	return func(ctx context.Context, c call) (*http.Response, error) {
		req, err := c.retryable(ctx, m.hosts[0])
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}, nil
}

func otelhttpOver(o ...otelhttp.Option) func(http.RoundTripper) http.RoundTripper {
	return func(t http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(t, o...) }
}

// homeMadeStack is the untuned one: fewer timers, so the cheaper of the two.
func homeMadeStack(over ...func(http.RoundTripper) http.RoundTripper) func(medium) (doFunc, error) {
	return func(m medium) (doFunc, error) {
		base := m.transport()
		for _, f := range over {
			base = f(base)
		}
		return newHomeMade(m.hosts, base, gobreaker.Settings{}).do, nil
	}
}

// ourStack is the engine, with a span around the call where there is tracing.
func ourStack(o *tracing.Options) func(medium) (doFunc, error) {
	return func(m medium) (doFunc, error) {
		t, err := topology(m.hosts, false)
		if err != nil {
			return nil, err
		}
		options := failover.Options{Topology: t}
		if m.memory != nil {
			options.Adapters = map[campus.EndpointID]http.RoundTripper{}
			for _, e := range t.Endpoints() {
				options.Adapters[e.Name()] = m.memory
			}
		}
		var tracer *tracing.Tracer // nil records nothing
		if o != nil {
			tracer = tracing.New(*o)
			options.Hooks = tracer.Hooks()
		}
		client, err := failover.New(options)
		if err != nil {
			return nil, err
		}
		return traced(tracer, client), nil
	}
}

func traced(tracer *tracing.Tracer, client *failover.Client) doFunc {
	return func(ctx context.Context, c call) (*http.Response, error) {
		if tracer == nil {
			return ask(ctx, client, c, true)
		}
		ctx, end := tracer.StartCall(ctx, "bench.Call", ourSystem, ourCampus)
		resp, err := ask(ctx, client, c, true)
		if err != nil {
			end("failed")
		} else {
			end("")
		}
		return resp, err
	}
}

// cost is what one call takes.
type cost struct{ ns, cpu, allocs float64 }

// costRow is a stack's costs over one medium.
type costRow struct {
	Medium, Stack string
	Get, Post     costCell
}

// costRepeats is how often each benchmark runs at least.
const costRepeats = 5

// runCost interleaves all benchmarks, repeat by repeat, and prints the medians.
func runCost(ctx context.Context, o options, out, log io.Writer) error {
	testing.Init()
	if err := flag.Set("test.benchtime", o.benchTime.String()); err != nil {
		return err
	}
	server, err := startCostServer(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	never, sampled := tracers()
	all := stacks(never, sampled)
	media := []medium{
		{name: "memory", hosts: []string{"127.0.0.1:1", "127.0.0.1:2"}, memory: memory{}},
		{name: "loopback", hosts: server.addresses},
	}
	benches, err := build(media, all)
	if err != nil {
		return err
	}
	for n := range max(o.repeats, costRepeats) {
		fmt.Fprintf(log, "cost %d/%d\n", n+1, max(o.repeats, costRepeats))
		for _, b := range benches {
			if err := errors.Join(ctx.Err(), b.run(ctx)); err != nil {
				return err
			}
		}
	}
	rows := costRows(media, all, benches)
	if o.json {
		return printJSON(out, rows)
	}
	printCost(out, rows)
	return nil
}

// bench is one stack over one medium by one method.
type bench struct {
	medium, stack string
	do            doFunc
	call          call
	costs         []cost
}

func build(media []medium, all []stack) ([]*bench, error) {
	var out []*bench
	for _, m := range media {
		for _, c := range []call{read(""), write("n", true)} {
			for _, s := range all {
				do, err := s.build(m)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.name, err)
				}
				out = append(out, &bench{medium: m.name, stack: s.name, do: do, call: c})
			}
		}
	}
	return out, nil
}

// run measures once more. CPU time is the process's, so the collector's share is in it.
func (b *bench) run(ctx context.Context) error {
	var failed error
	r := testing.Benchmark(func(t *testing.B) {
		t.ReportAllocs()
		before := cpuTime()
		for t.Loop() {
			resp, err := b.do(ctx, b.call)
			if err == nil {
				err = consume(resp)
			}
			if err != nil {
				failed = fmt.Errorf("%s over %s: %w", b.stack, b.medium, err)
				t.FailNow()
			}
		}
		t.ReportMetric(float64(cpuTime()-before)/float64(t.N), "cpu-ns/op")
	})
	if failed == nil {
		b.costs = append(b.costs, cost{ns: float64(r.T.Nanoseconds()) / float64(r.N), cpu: r.Extra["cpu-ns/op"], allocs: float64(r.AllocsPerOp())})
	}
	return failed
}
