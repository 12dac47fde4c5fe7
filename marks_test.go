package hospital_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
	"github.com/hospital-go/hospital/pacs"
)

// The mark test: a patient whose every datum is a mark goes through every verb,
// under success and every fault, and no mark may appear in any span, metric, log
// line, error or panic. A new verb is a new line of markedVerbs.

const (
	markName   = "马克名"
	markNumber = "MARKNUM7"
	markBirth  = "1931-11-27"
	markPhone  = "13912344321"
	markText   = "马克自由文本"
	markToken  = "MARKTOKEN"
	markIssuer = "urn:mark:issuer"
	markBook   = "MARKBOOK"
	markHold   = "MARKHOLD"
)

var marks = []string{markName, markNumber, markBirth, markPhone, markText, markToken, markBook, markHold, fmt.Sprintf("%x", markNumber), "马克"}

// markedDesk is a desk with the marked patient and a free slot, read before any fault.
type markedDesk struct {
	*his.Client
	client   *hospital.Client
	id       campus.PatientID
	patient  *r4.Patient
	slots    []hospital.Found[*r4.Slot]
	schedule hospital.Found[*r4.Schedule]
	doctor   hospital.Found[his.Doctor]
	dept     hospital.Found[*r4.Organization]
	demo     fakes.Demo
	record   *r4.Patient // as the server has it
	actor    hospital.Actor
	images   *pacs.Client
	room     hospital.Found[*r4.Schedule] // of the CT
	scans    []hospital.Found[*r4.Slot]
	markedResults
}

// markedVerbs is every verb of every package.
var markedVerbs = map[string]func(ctx context.Context, d *markedDesk) error{
	"his.Register": func(ctx context.Context, d *markedDesk) error {
		_, err := d.Register(ctx, his.RegisterRequest{ID: d.id, Patient: d.patient})
		return err
	},
	"his.Register, another person": func(ctx context.Context, d *markedDesk) error {
		other := *d.patient
		other.BirthDate, other.Name = "1932-01-01", []r4.HumanName{{Text: markName + "二"}}
		_, err := d.Register(ctx, his.RegisterRequest{ID: d.id, Patient: &other})
		return err
	},
	"his.Register, wrong check digit": func(ctx context.Context, d *markedDesk) error {
		_, err := d.Register(ctx, his.RegisterRequest{ID: campus.PatientID{Issuer: campus.ResidentIDIssuer, Value: markNumber}, Patient: d.patient})
		return err
	},
	"his.Patient": func(ctx context.Context, d *markedDesk) error { _, err := d.Patient(ctx, d.id); return err },
	"his.FindPatients": func(ctx context.Context, d *markedDesk) error {
		return drain(d.FindPatients(ctx, his.PatientQuery{Name: markName, Phone: markPhone, BirthDate: markBirth}))
	},
	"his.FindPatients, bad date": func(ctx context.Context, d *markedDesk) error {
		return drain(d.FindPatients(ctx, his.PatientQuery{Name: markName, BirthDate: markText}))
	},
	"his.Departments": func(ctx context.Context, d *markedDesk) error { return drain(d.Departments(ctx)) },
	"his.Doctors":     func(ctx context.Context, d *markedDesk) error { return drain(d.Doctors(ctx, d.dept)) },
	"his.Schedules": func(ctx context.Context, d *markedDesk) error {
		return drain(d.Schedules(ctx, d.doctor, d.demo.Start, d.demo.End))
	},
	"his.FreeSlots": func(ctx context.Context, d *markedDesk) error {
		return drain(d.FreeSlots(ctx, d.schedule, d.demo.Start, d.demo.End))
	},
	"his.Hold": func(ctx context.Context, d *markedDesk) error {
		_, err := d.Hold(ctx, his.HoldRequest{Number: markHold, Patient: d.id, Slot: d.slots[0], Until: time.Now().Add(time.Hour)})
		return err
	},
	"his.HoldAny": func(ctx context.Context, d *markedDesk) error {
		_, err := d.HoldAny(ctx, his.HoldAnyRequest{
			Number: markHold, Patient: d.id, Schedule: d.schedule, From: d.demo.Start, To: d.demo.End, Until: time.Now().Add(time.Hour),
		})
		return err
	},
	"his.Resolve": func(ctx context.Context, d *markedDesk) error { _, err := d.Resolve(ctx, markHold); return err },
	"his.Release": func(ctx context.Context, d *markedDesk) error { _, err := d.Release(ctx, markHold, d.id); return err },
	"his.ReleaseExpired": func(ctx context.Context, d *markedDesk) error {
		_, err := d.ReleaseExpired(ctx, d.schedule, d.demo.Start, d.demo.End)
		return err
	},
	"his.Book": func(ctx context.Context, d *markedDesk) error {
		_, err := d.Book(ctx, his.BookRequest{Number: markBook, Patient: d.id, Slot: d.slots[1]})
		return err
	},
	"his.Book, number with a separator": func(ctx context.Context, d *markedDesk) error {
		_, err := d.Book(ctx, his.BookRequest{Number: markBook + "|", Patient: d.id, Slot: d.slots[1]})
		return err
	},
	"his.Booking": func(ctx context.Context, d *markedDesk) error { _, err := d.Booking(ctx, markBook, d.id); return err },
	"his.Reschedule": func(ctx context.Context, d *markedDesk) error {
		_, err := d.Reschedule(ctx, his.RescheduleRequest{Number: markBook, Patient: d.id, From: d.slots[1], To: d.slots[2]})
		return err
	},
	"his.CheckIn": func(ctx context.Context, d *markedDesk) error { _, err := d.CheckIn(ctx, markBook, d.id); return err },
	"his.Cancel":  func(ctx context.Context, d *markedDesk) error { _, err := d.Cancel(ctx, markBook, d.id); return err },
	"Client.FHIR": func(ctx context.Context, d *markedDesk) error {
		q := fhir.Query{Type: "Patient", Params: url.Values{"name": {markName}}}
		for _, err := range fhir.Search(ctx, d.client.FHIR(campus.HIS), q) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"Client.FHIR, chained, in the body": func(ctx context.Context, d *markedDesk) error {
		q := fhir.For(fhir.AppointmentPatient.Where(fhir.Identifier[*r4.Patient](markIssuer, markNumber)))
		for _, err := range fhir.Search(ctx, d.client.FHIR(campus.HIS, hospital.As(d.actor), hospital.Concerning(d.id)), q) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"Client.FHIR, history": func(ctx context.Context, d *markedDesk) error {
		for _, err := range fhir.History[*r4.Patient](ctx, d.client.FHIR(campus.HIS), d.record.ID) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"Client.FHIR, patch": func(ctx context.Context, d *markedDesk) error {
		declared, err := d.client.Declared(ctx, campus.HIS)
		if err != nil {
			return err
		}
		_, _, err = fhir.Patch(ctx, d.client.FHIR(campus.HIS), declared, d.record, []fhir.PatchStep{{Op: "add", Path: "/language", Value: []byte(`"` + markText + `"`)}})
		return err
	},
	"Client.FHIR, conditional update": func(ctx context.Context, d *markedDesk) error {
		place := &r4.Organization{Identifier: []r4.Identifier{{System: "s", Value: "7"}}, Name: markName}
		_, _, err := fhir.UpdateIf(ctx, d.client.FHIR(campus.HIS), place, place.Identifier[0])
		return err
	},
	"Client.FHIR, batch": func(ctx context.Context, d *markedDesk) error {
		results, _, err := fhir.Batch(ctx, d.client.FHIR(campus.HIS), &r4.Bundle{Type: r4.BundleTypeBatch, Entry: []r4.BundleEntry{
			fhir.Get("Patient/" + d.record.ID), fhir.Get("Patient?name=" + url.QueryEscape(markName)), fhir.Post(d.patient, "", d.patient.Identifier[0]),
		}})
		for _, r := range results {
			err = errors.Join(err, r.Err)
		}
		return err
	},
	"Client.FHIR, operation": func(ctx context.Context, d *markedDesk) error {
		in := &r4.Parameters{Parameter: []r4.ParametersParameter{{Name: "resource", Resource: d.patient}}}
		_, _, err := fhir.Invoke[*r4.Bundle](ctx, d.client.FHIR(campus.HIS), fhir.Operation{Type: "Patient", Name: "match", Parameters: in})
		return err
	},
	"Client.FHIR, delete": func(ctx context.Context, d *markedDesk) error {
		_, err := fhir.Delete(ctx, d.client.FHIR(campus.HIS), d.record)
		return err
	},
	"an actor with a reason": func(ctx context.Context, d *markedDesk) error {
		_, err := d.Patient(ctx, d.id, hospital.As(d.actor))
		return err
	},
	"Client.HTTP": func(ctx context.Context, d *markedDesk) error {
		req, err := newRequest(ctx, "http://his.hospital.invalid/Patient?identifier="+markNumber)
		if err != nil {
			return err
		}
		resp, err := d.client.HTTP(campus.HIS).Do(req)
		if err != nil {
			return errors.Unwrap(err) // net/http's own wrapper prints the URL, as the doc comment says
		}
		return resp.Body.Close()
	},
}

var outcomeWithMarks = `{"resourceType":"OperationOutcome","text":{"status":"generated","div":"<div>` + markName + `</div>"},"issue":[{"severity":"error","code":"` +
	markText + `","diagnostics":"` + markName + " " + markNumber + `","expression":["Patient.where(name='` + markName + `')"],"details":{"text":"` +
	markBirth + `","coding":[{"code":"` + markNumber + `","display":"` + markName + `"}]}}]}`

var markedFaults = map[string]fakes.Action{
	"none":                 {},
	"reset before":         {ResetBefore: true},
	"answer lost":          {ResetAfter: true},
	"cut":                  {CutAfter: 30},
	"400 with marks":       {Status: 400, Body: outcomeWithMarks, ContentType: "application/fhir+json"},
	"409 with marks":       {Status: 409, Body: outcomeWithMarks, ContentType: "application/fhir+json"},
	"401 with marks":       {Status: 401, Body: outcomeWithMarks, ContentType: "application/fhir+json"},
	"500 with marks":       {Status: 500, Body: outcomeWithMarks, ContentType: "application/fhir+json"},
	"200 outcome":          {Status: 200, Body: outcomeWithMarks, ContentType: "application/fhir+json"},
	"HTML with marks":      {Status: 200, Body: "<html>" + markName + markNumber + "</html>"},
	"404 HTML with marks":  {Status: 404, Body: "<html>" + markName + "</html>"},
	"not JSON":             {Status: 200, Body: `{"resourceType":"Patient","` + markName, ContentType: "application/fhir+json"},
	"unknown type":         {Status: 200, Body: `{"resourceType":"` + markName + `"}`, ContentType: "application/fhir+json"},
	"duplicate members":    {Status: 200, Body: `{"resourceType":"Bundle","` + markName + `":1,"` + markName + `":2}`, ContentType: "application/fhir+json"},
	"strange Retry-After":  {Status: 503, RetryAfter: markName},
	"a surplus":            {Surplus: markName + markNumber + strings.Repeat(markText, 100)},
	"strange content type": {Status: 200, Body: "{}", ContentType: "application/" + markNumber},
	"another patient": {Rewrite: func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(markNumber), []byte(markText))
	}},
	"bad next link": {Rewrite: func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"link":[`), []byte(`"link":[{"relation":"next","url":"http://evil.test/`+markNumber+`"},`), 1)
	}},
	"bad references": {Rewrite: func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(`"reference":"`), []byte(`"reference":"http://evil.test/`+markName+`/`))
	}},
}

// standardLog is where net/http complains; TestMain looks for marks there too.
var standardLog lockedBuffer

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func TestMain(m *testing.M) {
	log.SetOutput(&standardLog) //nolint:forbidigo // to see what net/http prints there
	code := m.Run()
	standardLog.mu.Lock()
	text := standardLog.buf.String()
	for _, mark := range marks {
		if strings.Contains(text, mark) {
			fmt.Fprintln(os.Stderr, "FAIL: a mark in the standard logger:", text)
			code = 1
			break
		}
	}
	os.Exit(code) //nolint:forbidigo // a TestMain
}

func TestMarks(t *testing.T) {
	t.Parallel()
	for _, fault := range slices.Sorted(maps.Keys(markedFaults)) {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			for _, verb := range slices.Sorted(maps.Keys(markedVerbs)) {
				synctest.Test(t, func(t *testing.T) { playMarked(t, verb, markedFaults[fault]) })
			}
		})
	}
}

// playMarked runs one verb under one fault at both data centres and searches
// everything that came out.
func playMarked(t *testing.T, verb string, fault fakes.Action) {
	t.Helper()
	hosp := fakes.NewHospital(t, fakes.WithBearer(markToken))
	seen := newObserver()
	cfg := hosp.Config()
	seen.watch(&cfg)
	cfg.Audit = func(_ context.Context, r hospital.AuditRecord) error {
		cfg.Logger.Info("audit", "record", r) // a program may do so: it prints nobody
		return errors.New(markText)           // and what its store says stays there
	}
	d := openMarked(t, hosp, cfg)
	markedArchive(t, hosp, d)
	markedDepartments(t, d, verb)
	if fault.Status != 0 || fault.ResetBefore || fault.ResetAfter || fault.CutAfter > 0 || fault.Surplus != "" || fault.Rewrite != nil {
		hosp.Break(fakes.Rule{Do: fault})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := recovered(func() error { return markedVerbs[verb](ctx, d) })
	text := seen.everything(t) + printed(err)
	for _, mark := range marks {
		require.NotContains(t, strings.ToLower(text), strings.ToLower(mark), "%s leaks", verb)
	}
	assert.NotContains(t, text, "PANIC", verb)
}

func openMarked(t *testing.T, hosp *fakes.Hospital, cfg hospital.Config) *markedDesk {
	t.Helper()
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	d := &markedDesk{Client: his.New(client), client: client, demo: hosp.Demo()}
	d.id = campus.PatientID{Issuer: markIssuer, Value: markNumber}
	d.patient = &r4.Patient{
		Identifier: []r4.Identifier{{System: markIssuer, Value: markNumber}},
		Name:       []r4.HumanName{{Text: markName}}, BirthDate: markBirth,
		Telecom: []r4.ContactPoint{{System: "phone", Value: markPhone}},
	}
	ctx := t.Context()
	d.actor = hospital.Actor{ID: "N1", Organization: "group", Purpose: hospital.BreakGlass, Reason: markText}
	registered, err := d.Register(ctx, his.RegisterRequest{ID: d.id, Patient: d.patient})
	require.NoError(t, err)
	d.record = registered.Resource
	d.dept = first(t, d.Departments(ctx))
	d.doctor = first(t, d.Doctors(ctx, d.dept))
	d.schedule = first(t, d.Schedules(ctx, d.doctor, d.demo.Start, d.demo.End))
	for slot, err := range d.FreeSlots(ctx, d.schedule, d.demo.Start, d.demo.End) {
		require.NoError(t, err)
		d.slots = append(d.slots, slot)
	}
	return d
}

func first[T any](t *testing.T, seq func(func(hospital.Found[T], error) bool)) hospital.Found[T] {
	t.Helper()
	for item, err := range seq {
		require.NoError(t, err)
		return item
	}
	require.Fail(t, "nothing found")
	return hospital.Found[T]{}
}

func drain[T any](seq func(func(hospital.Found[T], error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

func recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("PANIC %v", r)
		}
	}()
	return f()
}

// printed is the error by every route, and of everything it wraps.
func printed(err error) string {
	var b strings.Builder
	for err != nil {
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n%q\n%s\n%x\n%d\n", err, err, err, err, err, err, err)
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n", []error{err}, struct{ E error }{err}, map[string]error{"e": err})
		data, jsonErr := json.Marshal(err)
		fmt.Fprintf(&b, "%s %v\n", data, jsonErr)
		slog.New(slog.NewJSONHandler(&b, nil)).Error("failed", "err", err)
		slog.New(slog.NewTextHandler(&b, nil)).Error("failed", "err", err)
		var e *hospital.Error
		if errors.As(err, &e) {
			fmt.Fprintf(&b, "%v %+v\n%v %+v %#v %q\n", e.Code, e.Reason, *e, *e, *e, *e)
			data, jsonErr = json.Marshal(struct{ E hospital.Error }{*e})
			fmt.Fprintf(&b, "%s %v\n", data, jsonErr)
		}
		err = errors.Unwrap(err)
	}
	return b.String()
}

// observer collects everything the SDK says to the outside.
type observer struct {
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
	mu     sync.Mutex
	log    bytes.Buffer
	events []string
}

func newObserver() *observer {
	return &observer{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
}

func (o *observer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(p)
}

func (o *observer) watch(cfg *hospital.Config) {
	cfg.Tracing.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(o.spans))
	cfg.Tracing.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(o.reader))
	cfg.Logger = slog.New(slog.NewJSONHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.OnAttempt = func(a failover.Attempt, r failover.Result) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.events = append(o.events, fmt.Sprintf("%s %s %d %s %+v %+v", a.Method, a.Reason, a.N, a.Call.Op, a.Call.Template, r))
	}
	cfg.OnEvent = func(e failover.Event) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.events = append(o.events, fmt.Sprintf("%+v", e))
	}
}

func (o *observer) everything(t *testing.T) string {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, o.reader.Collect(t.Context(), &data))
	metrics, err := json.Marshal(data)
	require.NoError(t, err)
	var b strings.Builder
	for _, s := range o.spans.GetSpans() {
		fmt.Fprintf(&b, "%s %+v %+v %+v %+v %+v\n", s.Name, s.Attributes, s.Events, s.Status, s.Links, s.SpanContext.TraceState())
	}
	require.NotEmpty(t, b.String(), "the observer must see something")
	o.mu.Lock()
	defer o.mu.Unlock()
	return b.String() + string(metrics) + o.log.String() + strings.Join(o.events, "\n")
}
