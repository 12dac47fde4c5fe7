package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/hospital-go/hospital/failover"
)

// Deadlines of a whole call, the same for every contender.
const (
	readDeadline  = 5 * time.Second
	writeDeadline = 15 * time.Second
)

// sample is one call as its caller saw it; times count from the run's start.
type sample struct {
	start, end  time.Duration
	write       bool
	ok, unknown bool
	from        string // the replica that answered
}

// run is one contender through one fault.
type run struct {
	sites   *sites
	sender  sender
	options options
	start   time.Time

	mu      sync.Mutex
	samples []sample

	onset, end time.Duration // of the fault, as it came
}

// measure runs c through f on fresh servers.
func measure(ctx context.Context, c contender, f fault, o options) (*result, error) {
	s, err := newSites(o.racy)
	if err != nil {
		return nil, err
	}
	defer s.close()
	sender, err := c.start(s, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	defer sender.close()
	runtime.GC() // the last run's garbage is not this one's
	r := &run{sites: s, sender: sender, options: o, start: time.Now()}
	var faulty error
	var wg sync.WaitGroup
	wg.Go(func() { faulty = r.breakHome(ctx, f) })
	wg.Go(func() { r.generate(ctx, o.reads, func(i int) call { return read("r" + strconv.Itoa(i)) }) })
	wg.Go(func() { r.generate(ctx, o.writes, func(i int) call { return write("w"+strconv.Itoa(i), o.keyed) }) })
	wg.Wait()
	if err := errors.Join(ctx.Err(), faulty); err != nil {
		return nil, fmt.Errorf("%s, %s: %w", c.name, f.name, err)
	}
	return r.result(c.name, f.name), nil
}

// breakHome begins and ends the fault on time.
func (r *run) breakHome(ctx context.Context, f fault) error {
	r.sleepUntil(ctx, r.options.onset)
	r.sites.store.freeze()
	r.onset = time.Since(r.start)
	if err := f.begin(r.sites.home); err != nil {
		return err
	}
	r.sleepUntil(ctx, r.options.onset+r.options.outage)
	err := f.end(r.sites.home)
	r.end = time.Since(r.start)
	return err
}

func (r *run) sleepUntil(ctx context.Context, at time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(at - time.Since(r.start)):
	}
}

// generate starts calls at a steady rate whatever becomes of them, as patients
// do, and returns when all have ended.
func (r *run) generate(ctx context.Context, rate int, next func(i int) call) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := 0; ctx.Err() == nil; i++ {
		at := time.Duration(i) * time.Second / time.Duration(rate)
		if at >= r.options.length {
			return
		}
		r.sleepUntil(ctx, at)
		c := next(i)
		wg.Go(func() { r.one(ctx, c) })
	}
}

func (r *run) one(ctx context.Context, c call) {
	deadline := readDeadline
	if c.write {
		deadline = writeDeadline
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	s := sample{write: c.write, start: time.Since(r.start)}
	resp, err := r.sender.do(ctx, c)
	if err == nil {
		s.from = resp.Header.Get("X-Replica")
		err = consume(resp)
	}
	s.end = time.Since(r.start)
	s.ok, s.unknown = err == nil, errors.Is(err, failover.ErrOutcomeUnknown)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, s)
}

// consume reads an answer to its end: less than all of it is a failure.
func consume(resp *http.Response) error {
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
