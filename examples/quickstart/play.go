package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// record is one call as its caller saw it.
type record struct {
	at, took time.Duration
	campus   campus.ID
	verb     string
	number   string // of a booking that was reported made; "" otherwise
	canceled bool
	from     campus.DataCenterID
	code     hospital.Code
	why      string // the error's text, which names no patient
}

// play is the whole performance.
type play struct {
	options options
	hosp    *fakes.Hospital
	desks   []*desk
	spans   *tracetest.InMemoryExporter
	tracer  *sdktrace.TracerProvider

	start           time.Time
	faultAt, backAt time.Duration

	mu       sync.Mutex
	records  []record
	events   []failover.Event
	switches int
}

// quick brings a site back while one watches; the SDK's own are 5 s and a minute each.
var quick = failover.Rules{FirstEjection: 2 * time.Second, HoldDown: 2 * time.Second, Growth: time.Second}

// desk is one campus's client.
type desk struct {
	play   *play
	campus campus.ID
	client *hospital.Client
	his    *his.Client
}

func open(o options) (*play, error) {
	hosp, err := fakes.New()
	if err != nil {
		return nil, err
	}
	p := &play{options: o, hosp: hosp, spans: tracetest.NewInMemoryExporter()}
	p.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(p.spans))
	for _, c := range hosp.Config().Topology.Campuses {
		cfg := hosp.Config()
		cfg.Campus = c.ID
		cfg.Tracing.TracerProvider = p.tracer
		cfg.OnEvent = p.event
		cfg.Failover = quick
		client, err := hospital.New(cfg)
		if err != nil {
			p.close()
			return nil, err
		}
		p.desks = append(p.desks, &desk{play: p, campus: c.ID, client: client, his: his.New(client)})
	}
	return p, nil
}

func (p *play) close() {
	for _, d := range p.desks {
		_ = d.client.Close()
	}
	_ = p.hosp.Close()
}

// event counts a switch when an endpoint's reads leave, or return to, good health.
func (p *play) event(e failover.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	if e.Class == "read" && (e.From == failover.Healthy || e.To == failover.Healthy) {
		p.switches++
	}
}

// load sends every Bundle in dir as one transaction.
func (p *play) load(ctx context.Context, dir string) (int, error) {
	if dir == "" {
		return 0, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("-data: no *.json in %s", dir)
	}
	f := p.desks[0].client.FHIR(campus.HIS)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		bundle, err := r4.Decode[*r4.Bundle](data)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		if _, _, err := fhir.Transaction(ctx, f, bundle); err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
	return len(files), nil
}

// play runs everybody, and the fault in the second sixth: what is left shows the way back.
func (p *play) play(ctx context.Context, story io.Writer) {
	ctx, cancel := context.WithTimeout(ctx, p.options.duration)
	defer cancel()
	p.start = time.Now()
	var everybody sync.WaitGroup
	for _, d := range p.desks {
		for _, job := range []func(context.Context, *rand.Rand){d.kiosk, d.nurse, d.doctor} {
			everybody.Go(func() { d.work(ctx, job) })
		}
	}
	everybody.Go(func() { p.fault(ctx) })
	p.progress(ctx, story)
	everybody.Wait()
}

func (p *play) fault(ctx context.Context) {
	wait(ctx, p.options.duration/6)
	p.setFault(true)
	p.faultAt = time.Since(p.start)
	wait(ctx, p.options.duration/6)
	p.setFault(false)
	p.backAt = time.Since(p.start)
}

func (p *play) setFault(on bool) {
	switch {
	case p.options.fault == "main-dc":
		p.hosp.StoreDown("his", on)
	case on:
		p.hosp.Stop("dc-a")
	default:
		_ = p.hosp.Start("dc-a") // in memory it cannot fail
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// work repeats a job until the time is over. A call that has begun is finished.
func (d *desk) work(ctx context.Context, job func(context.Context, *rand.Rand)) {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // who comes next
	for ctx.Err() == nil {
		job(context.WithoutCancel(ctx), random)
		wait(ctx, 10*time.Millisecond)
	}
}

// note measures one call. A conflict is an answer: somebody else was first.
func (d *desk) note(verb, number string, canceled bool, start time.Time, from campus.DataCenterID, err error) {
	r := record{
		at: start.Sub(d.play.start), took: time.Since(start), campus: d.campus, verb: verb, number: number, canceled: canceled,
		from: from, code: hospital.CodeOf(err),
	}
	if err != nil {
		r.number, r.why = "", err.Error()
	}
	d.play.mu.Lock()
	defer d.play.mu.Unlock()
	d.play.records = append(d.play.records, r)
}

// freeSlot picks one of the free slots of some doctor.
func (d *desk) freeSlot(ctx context.Context, random *rand.Rand) (hospital.Found[*r4.Slot], bool) {
	start := time.Now()
	var none hospital.Found[*r4.Slot]
	slots, err := d.freeSlots(ctx, random)
	if err != nil || len(slots) == 0 {
		d.note("FreeSlots", "", false, start, "", err)
		return none, false
	}
	d.note("FreeSlots", "", false, start, slots[0].Origin.DataCenter, nil)
	return slots[random.IntN(len(slots))], true
}

// freeSlots walks from department to doctor to schedule to slots.
func (d *desk) freeSlots(ctx context.Context, random *rand.Rand) ([]hospital.Found[*r4.Slot], error) {
	demo := d.play.hosp.Demo()
	departments, err := collect(d.his.Departments(ctx))
	if err != nil || len(departments) == 0 {
		return nil, err
	}
	doctors, err := collect(d.his.Doctors(ctx, departments[random.IntN(len(departments))]))
	if err != nil || len(doctors) == 0 {
		return nil, err
	}
	schedules, err := collect(d.his.Schedules(ctx, doctors[random.IntN(len(doctors))], demo.Start, demo.End))
	if err != nil || len(schedules) == 0 {
		return nil, err
	}
	from := demo.Start.Add(time.Duration(random.IntN(24)) * 10 * time.Minute)
	return collect(d.his.FreeSlots(ctx, schedules[0], from, from.Add(4*time.Hour)))
}

func (d *desk) patient(random *rand.Rand) campus.PatientID {
	patients := d.play.hosp.Demo().Patients
	return patients[random.IntN(len(patients))]
}

// kiosk (自助机): somebody new registers and books.
func (d *desk) kiosk(ctx context.Context, random *rand.Rand) {
	start := time.Now()
	id := campus.PatientID{Issuer: "urn:hospital-go:demo-card", Value: hospital.NewNumber()}
	registered, err := d.his.Register(ctx, his.RegisterRequest{ID: id, Patient: &r4.Patient{
		Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}},
		Name:       []r4.HumanName{{Text: "赵新来"}},
		Gender:     r4.AdministrativeGenderUnknown,
	}})
	d.note("Register", "", false, start, registered.Origin.DataCenter, err)
	if err == nil {
		d.book(ctx, random, id)
	}
}

// book books a free slot, and sometimes cancels again.
func (d *desk) book(ctx context.Context, random *rand.Rand, patient campus.PatientID) {
	slot, ok := d.freeSlot(ctx, random)
	if !ok {
		return
	}
	number := hospital.NewNumber()
	start := time.Now()
	booked, err := d.his.Book(ctx, his.BookRequest{Number: number, Patient: patient, Slot: slot})
	d.note("Book", number, false, start, booked.Origin.DataCenter, err)
	if err != nil || random.IntN(4) == 0 {
		return
	}
	start = time.Now()
	canceled, err := d.his.Cancel(ctx, number, patient)
	d.note("Cancel", number, true, start, canceled.Origin.DataCenter, err)
}

// nurse (护士): holds a slot for a patient, then books or releases it.
func (d *desk) nurse(ctx context.Context, random *rand.Rand) {
	slot, ok := d.freeSlot(ctx, random)
	if !ok {
		return
	}
	patient, hold := d.patient(random), hospital.NewNumber()
	start := time.Now()
	held, err := d.his.Hold(ctx, his.HoldRequest{Number: hold, Patient: patient, Slot: slot, Until: start.Add(5 * time.Minute)})
	d.note("Hold", "", false, start, held.Origin.DataCenter, err)
	if err != nil {
		return
	}
	start = time.Now()
	if random.IntN(2) == 0 {
		released, err := d.his.Release(ctx, hold, patient)
		d.note("Release", "", false, start, released.Origin.DataCenter, err)
		return
	}
	number := hospital.NewNumber()
	booked, err := d.his.Book(ctx, his.BookRequest{Number: number, Patient: patient, Slot: slot, Hold: hold})
	d.note("Book", number, false, start, booked.Origin.DataCenter, err)
}

// doctor (医生): looks patients up.
func (d *desk) doctor(ctx context.Context, random *rand.Rand) {
	start := time.Now()
	found, err := d.his.Patient(ctx, d.patient(random))
	d.note("Patient", "", false, start, found.Origin.DataCenter, err)
}

func collect[T any](seq func(func(hospital.Found[T], error) bool)) ([]hospital.Found[T], error) {
	var out []hospital.Found[T]
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}

// snapshot copies the records.
func (p *play) snapshot() []record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.records)
}
