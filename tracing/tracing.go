// Package tracing gives every call a span, every attempt a client span below it,
// and both their metrics, through the OpenTelemetry API.
//
// It is on by default and costs next to nothing until a program installs an
// OpenTelemetry SDK. Names and attributes are templates and names from the
// topology (the operation, system, campus, data centre); no URL, header, number
// or text of a patient's record is ever recorded. Trace context is propagated
// with the global propagator, W3C Trace Context when none is set; Baggage never,
// because nobody can say what it carries.
//
// Spans:
//
//	his.Book                      one call, kind internal
//	├── POST transaction          one attempt, kind client
//	└── POST search-type Appointment
//
// Metrics: http.client.request.duration (per attempt),
// hospital.client.call.duration (per call), hospital.client.endpoint.changes.
package tracing

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

const scope = "github.com/hospital-go/hospital/tracing"

// Options choose providers; a nil field means the global one.
type Options struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Propagator     propagation.TextMapPropagator
}

// Tracer records calls and attempts. It is safe for concurrent use. A nil
// *Tracer records nothing.
type Tracer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	attempts   metric.Float64Histogram
	calls      metric.Float64Histogram
	changes    metric.Int64Counter
}

// buckets are OpenTelemetry's advice for HTTP durations, in seconds.
var buckets = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10)

// New returns a Tracer.
func New(o Options) *Tracer {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	meter := o.MeterProvider.Meter(scope)
	t := &Tracer{tracer: o.TracerProvider.Tracer(scope), propagator: o.Propagator}
	// An instrument that cannot be made comes back as one that does nothing.
	t.attempts, _ = meter.Float64Histogram("http.client.request.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of one attempt."))
	t.calls, _ = meter.Float64Histogram("hospital.client.call.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of one call with all its attempts."))
	t.changes, _ = meter.Int64Counter("hospital.client.endpoint.changes",
		metric.WithDescription("Changes of an endpoint's state."))
	return t
}

// StartCall begins the span of one call. end must be called once, with the
// error's code ("" for success).
func (t *Tracer) StartCall(ctx context.Context, op string, system campus.SystemID, at campus.ID) (_ context.Context, end func(code string)) {
	if t == nil {
		return ctx, func(string) {}
	}
	start := time.Now()
	ctx, span := t.tracer.Start(ctx, op)
	if span.IsRecording() {
		span.SetAttributes(callAttributes(op, system, at)...)
	}
	return ctx, func(code string) {
		if span.IsRecording() && code != "" {
			span.SetAttributes(attribute.String("error.type", code))
			span.SetStatus(codes.Error, code)
		}
		span.End()
		if t.calls.Enabled(ctx) {
			t.calls.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(withError(callAttributes(op, system, at), code)...))
		}
	}
}

func callAttributes(op string, system campus.SystemID, at campus.ID) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("hospital.operation", op),
		attribute.String("hospital.system", string(system)),
		attribute.String("hospital.campus", string(at)),
	}
}

func withError(list []attribute.KeyValue, code string) []attribute.KeyValue {
	if code != "" {
		list = append(list, attribute.String("error.type", code))
	}
	return list
}

// Hooks returns what a failover.Client calls.
func (t *Tracer) Hooks() failover.Hooks {
	if t == nil {
		return failover.Hooks{}
	}
	return failover.Hooks{AttemptStart: t.attemptStart, AttemptDone: t.attemptDone, Event: t.event}
}

var clientKind = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}

func (t *Tracer) attemptStart(ctx context.Context, a failover.Attempt, header http.Header) context.Context {
	name := strings.TrimSpace(a.Method + " " + a.Call.Template)
	ctx, span := t.tracer.Start(ctx, name, clientKind...)
	if span.IsRecording() {
		span.SetAttributes(attemptAttributes(a)...)
		span.SetAttributes(
			attribute.String("server.address", a.Endpoint.Base().Hostname()),
			attribute.String("hospital.endpoint", string(a.Endpoint.ID)),
			attribute.String("hospital.campus", string(a.Call.Campus)),
			attribute.String("hospital.attempt.reason", a.Reason),
		)
		if a.N > 1 {
			span.SetAttributes(attribute.Int("http.request.resend_count", a.N-1))
		}
	}
	t.inject(ctx, header)
	return ctx
}

// inject writes trace headers, and no baggage whatever the propagator does.
func (t *Tracer) inject(ctx context.Context, header http.Header) {
	p := t.propagator
	if p == nil {
		p = otel.GetTextMapPropagator()
	}
	if len(p.Fields()) == 0 {
		p = propagation.TraceContext{}
	}
	p.Inject(ctx, noBaggage{propagation.HeaderCarrier(header)})
}

type noBaggage struct{ propagation.HeaderCarrier }

func (c noBaggage) Set(key, value string) {
	if !strings.EqualFold(key, "baggage") {
		c.HeaderCarrier.Set(key, value)
	}
}

func attemptAttributes(a failover.Attempt) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("http.request.method", a.Method),
		attribute.String("hospital.operation", a.Call.Op),
		attribute.String("hospital.system", string(a.Endpoint.System)),
		attribute.String("hospital.datacenter", string(a.Endpoint.DataCenter)),
		attribute.String("hospital.environment", string(a.Endpoint.Environment)),
	}
}

func (t *Tracer) attemptDone(ctx context.Context, a failover.Attempt, r failover.Result) {
	span := trace.SpanFromContext(ctx)
	var result []attribute.KeyValue
	if span.IsRecording() || t.attempts.Enabled(ctx) {
		result = resultAttributes(r)
	}
	if span.IsRecording() {
		span.SetAttributes(result...)
		span.SetAttributes(attribute.String("hospital.attempt.outcome", r.Outcome.String()))
		if r.Fault != failover.FaultNone {
			span.SetStatus(codes.Error, string(r.Fault))
		}
	}
	span.End()
	if t.attempts.Enabled(ctx) {
		t.attempts.Record(ctx, r.Duration.Seconds(), metric.WithAttributes(append(attemptAttributes(a), result...)...))
	}
}

func resultAttributes(r failover.Result) []attribute.KeyValue {
	var list []attribute.KeyValue
	if r.Status != 0 {
		list = append(list, attribute.Int("http.response.status_code", r.Status))
	}
	return withError(list, string(r.Fault))
}

func (t *Tracer) event(e failover.Event) {
	ctx := context.Background()
	if t.changes.Enabled(ctx) {
		t.changes.Add(ctx, 1, metric.WithAttributes(
			attribute.String("hospital.endpoint", string(e.Endpoint)),
			attribute.String("hospital.datacenter", string(e.DataCenter)),
			attribute.String("hospital.store", string(e.Store)),
			attribute.String("hospital.class", e.Class),
			attribute.String("hospital.state", e.To.String()),
			attribute.String("hospital.cause", e.Cause),
		))
	}
}
