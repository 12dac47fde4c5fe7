package tracing_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/his"
	"github.com/hospital-go/hospital/tracing"
)

func attributes(s tracetest.SpanStub) map[string]string {
	out := map[string]string{}
	for _, a := range s.Attributes {
		out[string(a.Key)] = a.Value.String()
	}
	return out
}

// One call that fails over: a call span, and a client span per attempt below it.
func TestSpansOfACallThatFailsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
		hosp := fakes.NewHospital(t)
		cfg := hosp.Config()
		cfg.Tracing = tracing.Options{
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
			MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		}
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "search-type"}, Do: fakes.Action{Status: 500}, Times: 1})
		_, err = his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
		require.NoError(t, err)

		got := spans.GetSpans()
		require.Len(t, got, 3)
		call := got[2]
		assert.Equal(t, "his.Patient", call.Name)
		assert.Equal(t, trace.SpanKindInternal, call.SpanKind)
		for i, dc := range []string{"dc-a", "dc-b"} {
			assert.Equal(t, "POST search-type Patient", got[i].Name)
			assert.Equal(t, trace.SpanKindClient, got[i].SpanKind)
			assert.Equal(t, call.SpanContext.SpanID(), got[i].Parent.SpanID())
			assert.Equal(t, dc, attributes(got[i])["hospital.datacenter"])
		}
		assert.Equal(t, "status", attributes(got[0])["error.type"])
		assert.Equal(t, "500", attributes(got[0])["http.response.status_code"])
		assert.Equal(t, "failover", attributes(got[1])["hospital.attempt.reason"])
		assert.Equal(t, "1", attributes(got[1])["http.request.resend_count"])

		var data metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &data))
		names := map[string]bool{}
		for _, scope := range data.ScopeMetrics {
			for _, m := range scope.Metrics {
				names[m.Name] = true
			}
		}
		assert.True(t, names["http.client.request.duration"])
		assert.True(t, names["hospital.client.call.duration"])
	})
}

func TestPropagation(t *testing.T) {
	t.Parallel()
	provider := sdktrace.NewTracerProvider()
	member, err := baggage.NewMember("patient", "zhangsan")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	for name, p := range map[string]propagation.TextMapPropagator{
		"none set":     nil,
		"with baggage": propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	} {
		tracer := tracing.New(tracing.Options{TracerProvider: provider, Propagator: p})
		ctx, end := tracer.StartCall(baggage.ContextWithBaggage(t.Context(), bag), "test.Op", campus.HIS, "hankou")
		header := http.Header{}
		hooks := tracer.Hooks()
		ctx = hooks.AttemptStart(ctx, attempt(), header)
		hooks.AttemptDone(ctx, attempt(), result())
		end("")
		assert.NotEmpty(t, header.Get("Traceparent"), name)
		assert.Empty(t, header.Get("Baggage"), "nobody can say what it carries")
	}
}

func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	var tracer *tracing.Tracer
	ctx, end := tracer.StartCall(t.Context(), "x", "his", "hankou")
	end("")
	assert.Equal(t, t.Context(), ctx)
	assert.Nil(t, tracer.Hooks().AttemptStart)
}

// Without an SDK the call must cost next to nothing.
func BenchmarkCallWithoutSDK(b *testing.B) {
	tracer := tracing.New(tracing.Options{})
	hooks, header := tracer.Hooks(), http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		ctx, end := tracer.StartCall(b.Context(), "his.Book", campus.HIS, "hankou")
		ctx = hooks.AttemptStart(ctx, attempt(), header)
		hooks.AttemptDone(ctx, attempt(), result())
		end("")
	}
}

// Example shows what a program does to see traces: install an OpenTelemetry SDK.
// The client finds it by itself.
func Example() {
	spans := tracetest.NewInMemoryExporter()
	before := otel.GetTracerProvider()
	defer otel.SetTracerProvider(before)
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))

	tracer := tracing.New(tracing.Options{})
	_, end := tracer.StartCall(context.Background(), "his.Book", campus.HIS, "hankou")
	end("conflict")

	span := spans.GetSpans()[0]
	fmt.Println(span.Name, span.Attributes[len(span.Attributes)-1] == attribute.String("error.type", "conflict"))
	// Output: his.Book true
}
