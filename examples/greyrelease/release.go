package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// release is the hospital, its programs and their load.
type release struct {
	story   io.Writer
	hosp    *fakes.Hospital
	desks   []*desk
	version description
}

// description is the document that all programs follow.
type description struct {
	mu      sync.Mutex
	current campus.Description
}

// source is one program's way to it.
type source struct {
	description *description
	seen        int64
}

// Fetch makes it a hospital.Source.
func (s *source) Fetch(context.Context) ([]byte, error) {
	s.description.mu.Lock()
	defer s.description.mu.Unlock()
	d := s.description.current
	if s.seen == d.Version {
		return nil, hospital.ErrUnchanged
	}
	s.seen = d.Version
	return hospital.Document(d)
}

// drain changes the document: an environment is drained for everybody.
func (d *description) drain(env campus.EnvironmentID, drained bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current.Version++
	for i := range d.current.Endpoints {
		if e := &d.current.Endpoints[i]; e.Environment == env {
			e.Drained = drained
		}
	}
}

func begin(story io.Writer) (*release, error) {
	hosp, err := fakes.New(fakes.WithEnvironments(), fakes.WithHealthPath())
	if err != nil {
		return nil, err
	}
	hosp.Break(fakes.Rule{ // a payment takes a while, as at a real terminal
		When: fakes.When{Interaction: "create", Type: "PaymentReconciliation"},
		Do:   fakes.Action{Delay: 400 * time.Millisecond, Jitter: 600 * time.Millisecond, Late: true},
	})
	r := &release{story: story, hosp: hosp}
	r.version.current = hosp.Description()
	for _, c := range hosp.Description().Campuses {
		cfg := hosp.ConfigAt(c.ID)
		cfg.Source, cfg.SourceEvery = &source{description: &r.version}, 50*time.Millisecond
		client, err := hospital.New(cfg)
		if err != nil {
			return nil, errors.Join(err, hosp.Close())
		}
		r.desks = append(r.desks, newDesk(hosp, c, client))
	}
	return r, nil
}

func (r *release) close() {
	for _, d := range r.desks {
		_ = d.client.Close()
	}
	_ = r.hosp.Close()
}

// run upgrades A, B and A again under load.
func (r *release) run(ctx context.Context) (*summary, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	fmt.Fprintf(r.story, "Three campuses, environments A and B in two data centres; reads, orders and payments all the time.\n\n")
	var load sync.WaitGroup
	for _, d := range r.desks {
		load.Go(func() { d.work(ctx) })
	}
	s := &summary{}
	wait(ctx, 500*time.Millisecond)
	for _, up := range []struct {
		env campus.EnvironmentID
		by  string
		out func(ctx context.Context, env campus.EnvironmentID, out bool)
	}{
		{"A", "call", r.byCall}, {"B", "description", r.byDescription}, {"A", "balancer", r.byBalancer},
	} {
		done, err := r.upgrade(ctx, up.env, up.by, up.out)
		if err != nil {
			return nil, err
		}
		s.Steps = append(s.Steps, done)
	}
	stop()
	load.Wait()
	r.audit(s)
	return s, nil
}

// upgrade drains an environment, replaces its servers and puts it back.
func (r *release) upgrade(ctx context.Context, env campus.EnvironmentID, by string, out func(context.Context, campus.EnvironmentID, bool)) (step, error) {
	x := failover.Selector{Environment: env}
	s := step{Environment: string(env), By: by, InFlight: r.inFlight(x)}
	calls, failed := r.counts()
	begun := time.Now()
	out(ctx, env, true)
	for !r.drained(x, by) {
		if s.Stragglers = max(s.Stragglers, r.stragglers(x)); time.Since(begun) > time.Minute {
			return s, errors.New("the drain does not end")
		}
		wait(ctx, 10*time.Millisecond)
	}
	s.DrainMS = time.Since(begun).Milliseconds()
	r.hosp.StopAt(x)
	wait(ctx, 300*time.Millisecond)
	starting := r.hosp.Break(fakes.Rule{ // a server that is half there answers for the application
		When: fakes.When{Environment: env}, Do: fakes.Action{Status: 404, Body: "<html>starting"},
	})
	if err := r.hosp.StartAt(x); err != nil {
		return s, err
	}
	wait(ctx, 200*time.Millisecond)
	starting()
	out(ctx, env, false)
	wait(ctx, 700*time.Millisecond)
	after, failedAfter := r.counts()
	s.Calls, s.Failed = after-calls, failedAfter-failed
	fmt.Fprintf(r.story, "  %s by %-12s %3d in flight, empty after %4d ms, %2d stragglers named; %4d calls meanwhile, %d failed\n",
		env, by+":", s.InFlight, s.DrainMS, s.Stragglers, s.Calls, s.Failed)
	return s, nil
}

// byCall drains in each program, campus by campus.
func (r *release) byCall(ctx context.Context, env campus.EnvironmentID, out bool) {
	for _, d := range r.desks {
		if out {
			d.client.Drain(failover.Selector{Environment: env})
		} else {
			d.client.Restore(failover.Selector{Environment: env})
		}
		wait(ctx, 150*time.Millisecond)
	}
}

// byDescription changes the document that all programs follow.
func (r *release) byDescription(ctx context.Context, env campus.EnvironmentID, out bool) {
	r.version.drain(env, out)
	wait(ctx, 150*time.Millisecond)
}

// byBalancer lets the health paths say so; programs ask them while there is traffic.
func (r *release) byBalancer(ctx context.Context, env campus.EnvironmentID, out bool) {
	r.hosp.SetReady(failover.Selector{Environment: env}, !out)
	wait(ctx, 1500*time.Millisecond)
}

// drained: a balancer's word is known only of servers that were in use.
func (r *release) drained(x failover.Selector, by string) bool {
	for _, d := range r.desks {
		if by != "balancer" && !d.client.Drained(x) {
			return false
		}
	}
	return r.inFlight(x) == 0
}

func (r *release) inFlight(x failover.Selector) int {
	return r.sum(x, func(st failover.EndpointStatus) int { return st.InFlight })
}

func (r *release) stragglers(x failover.Selector) int {
	return r.sum(x, func(st failover.EndpointStatus) int { return len(st.Stragglers) })
}

func (r *release) sum(x failover.Selector, of func(failover.EndpointStatus) int) int {
	n := 0
	for _, d := range r.desks {
		for _, st := range d.client.Status() {
			if st.Environment == x.Environment {
				n += of(st)
			}
		}
	}
	return n
}

func (r *release) counts() (calls, failed int) {
	for _, d := range r.desks {
		c, f := d.counts()
		calls, failed = calls+c, failed+f
	}
	return calls, failed
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
