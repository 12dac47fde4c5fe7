package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// The load: reads and, where the drill owns the hospital, writes a second.
const (
	readsPerSecond  = 40
	writesPerSecond = 10
)

// play runs the load through the three parts of a row: steady, broken, mended.
func (s *stage) play(ctx context.Context, r row, o options) (brokenAt, mendedAt time.Time, err error) {
	loadCtx, stop := context.WithCancel(ctx)
	var load sync.WaitGroup
	load.Go(func() { s.repeat(loadCtx, time.Second/readsPerSecond, s.read) })
	if s.hosp != nil {
		load.Go(func() { s.repeat(loadCtx, time.Second/writesPerSecond, s.write) })
		load.Go(func() { s.repeat(loadCtx, time.Second/readsPerSecond, s.readElsewhere) })
	}
	defer func() { stop(); load.Wait() }()
	wait(ctx, time.Second)
	brokenAt = time.Now()
	if err := s.breaks(ctx, r); err != nil {
		return brokenAt, brokenAt, err
	}
	wait(ctx, o.fault-time.Since(brokenAt))
	mendedAt = time.Now()
	if err := s.mends(ctx, r); err != nil {
		return brokenAt, mendedAt, err
	}
	wait(ctx, 2*time.Second+2*o.rules().HoldDown+2*o.rules().Growth)
	for end := mendedAt.Add(time.Minute); !s.isHome(mendedAt) && time.Now().Before(end) && ctx.Err() == nil; {
		wait(ctx, 50*time.Millisecond) // a machine may be slower than the clock
	}
	return brokenAt, mendedAt, nil
}

// isHome: has home answered a call that began since? After a promotion it never does.
func (s *stage) isHome(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.promotedAt.IsZero() || slices.ContainsFunc(s.records, func(r record) bool {
		return !r.others && r.err == nil && r.from == s.home && !r.at.Before(since)
	})
}

func (s *stage) breaks(ctx context.Context, r row) error {
	if s.network != nil && r.fromClient != drained {
		s.network.play(r.fromClient, s.home)
		return nil
	}
	return r.breaks(ctx, s)
}

func (s *stage) mends(ctx context.Context, r row) error {
	if s.network != nil && r.fromClient != drained {
		s.network.play("", s.home)
		return nil
	}
	return r.mends(ctx, s)
}

// repeat begins a call in each interval; every call that has begun is finished.
func (s *stage) repeat(ctx context.Context, every time.Duration, call func(context.Context)) {
	var calls sync.WaitGroup
	for ctx.Err() == nil {
		calls.Go(func() { call(context.WithoutCancel(ctx)) })
		wait(ctx, every)
	}
	calls.Wait()
}

func (s *stage) read(ctx context.Context) {
	r := record{at: time.Now()}
	if s.patient == (campus.PatientID{}) {
		var resp *fhir.Response
		_, resp, r.err = fhir.Capabilities(ctx, s.client.FHIR(s.system))
		r.from = hospital.OriginOf(resp).DataCenter
	} else {
		var found hospital.Found[*r4.Patient]
		found, r.err = his.New(s.client).Patient(ctx, s.patient)
		r.from = found.Origin.DataCenter
	}
	r.end = time.Now()
	s.add(r)
}

func (s *stage) readElsewhere(ctx context.Context) {
	r := record{at: time.Now(), others: true}
	_, r.err = his.New(s.other).Patient(ctx, s.patient)
	r.end = time.Now()
	s.add(r)
}

const numberSystem = "urn:hospital-go:drill-order"

var orderOp = hospital.Op{Name: "drill.Order", System: campus.HIS, Class: hospital.WriteClass, Repeat: hospital.Keyed}

// write places an order that carries a number.
func (s *stage) write(ctx context.Context) {
	r := record{at: time.Now(), number: hospital.NewNumber()}
	id := r4.Identifier{System: numberSystem, Value: r.number}
	var origin hospital.Origin
	origin, r.err = hospital.Write(ctx, s.client, orderOp, r.number, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		_, resp, err := fhir.CreateIfNone(ctx, f, &r4.ServiceRequest{
			Identifier: []r4.Identifier{id}, Status: "active", Intent: "order", Subject: r4.RefTo("Patient", "1001"),
		}, id)
		return hospital.OriginOf(resp), err
	}, find(r.number))
	r.from, r.end = origin.DataCenter, time.Now()
	s.add(r)
}

// find looks an order up.
func find(number string) hospital.Step[hospital.Origin] {
	return func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
		for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.ServiceRequest](numberSystem, number))) {
			if err != nil {
				return hospital.Origin{}, err
			}
			for _, found := range page.Matches {
				if o, ok := found.(*r4.ServiceRequest); !ok || !r4.HasIdentifier(o.Identifier, numberSystem, number) {
					return hospital.Origin{}, hospital.ErrFilterIgnored // a server that ignores the filter returns everybody's
				}
			}
			if len(page.Matches) > 0 {
				return hospital.OriginOf(page.Response), nil
			}
		}
		return hospital.Origin{}, hospital.ErrNotFound
	}
}
