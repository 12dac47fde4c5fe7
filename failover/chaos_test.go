package failover

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
)

var (
	chaosSchedules = flag.Int("chaos", 200, "how many schedules TestChaos plays")
	chaosSeed      = flag.Uint64("chaos.seed", 0, "play only this schedule of TestChaos")
)

// TestChaos plays schedules of random faults, drains and descriptions, in virtual
// time, over servers that are scripts, and then compares what the servers did with
// what callers were told. A failing schedule is played again by -chaos.seed.
func TestChaos(t *testing.T) {
	t.Parallel()
	if *chaosSeed != 0 {
		playChaos(t, *chaosSeed)
		return
	}
	for seed := uint64(1); seed <= uint64(*chaosSchedules) && !t.Failed(); seed++ {
		playChaos(t, seed)
	}
}

func playChaos(t *testing.T, seed uint64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		w.play()
		w.judge()
		if t.Failed() {
			if testing.Verbose() {
				t.Log(strings.Join(w.story, "\n"))
			}
			t.Logf("play it again: go test ./failover -run TestChaos -chaos.seed %d", seed)
		}
	})
}

// world is two doors to one store and a readable copy of it, all of them scripts.
type world struct {
	t      *testing.T
	random *rand.Rand
	client *Client

	mu       sync.Mutex
	faults   map[campus.EndpointID]string
	changed  map[campus.EndpointID]time.Time
	version  int64
	epoch    int64
	executed map[string]int
	astray   []string // writes to whom nobody may write
	told     []told
	story    []string
}

// log keeps what happened, for a schedule that fails.
func (w *world) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

// told is what one caller was told.
type told struct {
	kind       string
	number     string
	began      time.Time
	took       time.Duration
	limit      time.Duration
	peerWell   bool // the peer answered well all the time, and some time before
	attempts   int
	sites      int
	err        error
	cancelled  bool
	answeredBy Origin
}

var chaosFaults = []string{"", "", "", "", "refuse", "blackhole", "hang", "drop", "reset", "500", "503", "html", "cut", "slow", "429"}

func chaosTopology(t *testing.T, version, epoch int64, drained bool) *campus.Topology {
	t.Helper()
	proved := campus.Contract{Versioning: true, ConditionalCreate: campus.Atomic, ServerTimeout: 10 * time.Second}
	d := campus.Description{
		Version:       version,
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		Systems:       []campus.System{{ID: "his"}},
		Stores:        []campus.Store{{ID: "his", Epoch: epoch}, {ID: "copy", ReplicaOf: "his", Lag: time.Minute}},
	}
	for i, dc := range []campus.DataCenterID{"dc-a", "dc-b", "dr"} {
		e := campus.Endpoint{ID: campus.EndpointID(dc), System: "his", DataCenter: dc, Store: "his", URL: fmt.Sprintf("http://127.0.0.1:%d/%s", i+1, dc), Contract: proved}
		role := campus.Active
		if dc == "dr" {
			role, e.Store, e.Readable = campus.Standby, "copy", true
		}
		e.Drained = drained && dc == "dc-a"
		d.DataCenters = append(d.DataCenters, campus.DataCenter{ID: dc, Role: role})
		d.Endpoints = append(d.Endpoints, e)
	}
	topology, err := campus.New(d)
	require.NoError(t, err)
	return topology
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, version: 1, epoch: 1, random: rand.New(rand.NewPCG(seed, seed)),
		faults: map[campus.EndpointID]string{}, changed: map[campus.EndpointID]time.Time{}, executed: map[string]int{},
	}
	var err error
	w.client, err = New(Options{
		Topology: chaosTopology(t, 1, 1, false),
		network:  func(e *campus.Endpoint) http.RoundTripper { return &script{w, e} },
		Hooks: Hooks{
			Event: func(e Event) { w.log("%s %s %s>%s %s", e.Endpoint, e.Class, e.From, e.To, e.Cause) },
			AttemptDone: func(_ context.Context, a Attempt, r Result) {
				w.log("%s %s %d at %s: %s %s", a.Call.Op, a.Reason, a.N, a.Endpoint.ID, r.Outcome, r.Fault)
			},
		},
	})
	require.NoError(t, err)
	return w
}

// play lets faults and calls happen for half a minute, then everything mends.
func (w *world) play() {
	var calls sync.WaitGroup
	for i := range 120 {
		time.Sleep(time.Duration(w.random.IntN(500)) * time.Millisecond) //nolint:forbidigo // synctest bubble
		if w.random.IntN(4) == 0 {
			w.disturb()
		}
		kind := []string{"read", "read", "read", "any", "guarded", "keyed", "unsafe"}[w.random.IntN(7)]
		cancel := time.Duration(0)
		if w.random.IntN(12) == 0 {
			cancel = time.Duration(1+w.random.IntN(1500)) * time.Millisecond
		}
		for range 1 + w.random.IntN(3)/2*w.random.IntN(6) {
			number := fmt.Sprintf("%d-%d", i, w.random.Uint32())
			calls.Go(func() { w.call(kind, number, cancel) })
		}
	}
	calls.Wait()
	w.mend()
}

// disturb changes one thing.
func (w *world) disturb() {
	id := []campus.EndpointID{"dc-a", "dc-a", "dc-b", "dr"}[w.random.IntN(4)]
	switch n := w.random.IntN(20); {
	case n == 0:
		w.client.Drain(Selector{Endpoint: id})
	case n <= 2:
		w.client.Restore(Selector{})
	case n == 3:
		w.describe(w.random.IntN(4) == 0, w.random.IntN(4) == 0)
	case n <= 6: // the whole store, or the network
		fault := []string{"500", "blackhole", "refuse"}[w.random.IntN(3)]
		w.set("dc-a", fault)
		w.set("dc-b", fault)
	default:
		w.set(id, chaosFaults[w.random.IntN(len(chaosFaults))])
	}
}

// describe brings another description; a new epoch ends what used the old one.
func (w *world) describe(restored, drained bool) {
	w.mu.Lock()
	w.version++
	if restored {
		w.epoch++
		w.changed["dc-b"] = time.Now()
	}
	topology := chaosTopology(w.t, w.version, w.epoch, drained)
	w.mu.Unlock()
	w.client.Update(topology)
}

func (w *world) set(id campus.EndpointID, fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.faults[id] != fault {
		w.faults[id], w.changed[id] = fault, time.Now()
		w.story = append(w.story, fmt.Sprintf("%s %s: %q", time.Now().Format("05.000"), id, fault))
	}
}

// mend ends everything; after two ejections, hold-down and growth all is as it was.
func (w *world) mend() {
	for _, id := range []campus.EndpointID{"dc-a", "dc-b", "dr"} {
		w.set(id, "")
	}
	w.describe(false, false)
	w.client.Restore(Selector{})
	for range 60 {
		time.Sleep(5 * time.Second) //nolint:forbidigo // synctest bubble
		w.call("read", "", 0)
		w.call("guarded", fmt.Sprint(time.Now().UnixNano()), 0)
	}
}

func (w *world) call(kind, number string, cancelAfter time.Duration) {
	call := &Call{System: "his", Campus: "hankou", Op: "chaos." + kind, Kind: campus.ReadStrong, Repeat: Safe, AttemptTimeout: 2 * time.Second, Timeout: 5 * time.Second, MaxBody: 1 << 10}
	switch kind {
	case "any":
		call.Kind = campus.ReadAny
	case "guarded", "keyed", "unsafe":
		call.Kind, call.AttemptTimeout, call.Timeout = campus.Write, 0, 0
		call.Repeat = map[string]Repeat{"guarded": Guarded, "keyed": Keyed, "unsafe": Unsafe}[kind]
	}
	ctx := w.t.Context()
	one := told{kind: kind, number: number, began: time.Now(), limit: call.timeout(), sites: 2}
	if kind == "any" {
		one.sites = 3
	}
	if cancelAfter > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cancelAfter)
		defer cancel()
		one.limit, one.cancelled = min(one.limit, cancelAfter), true
	}
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if call.Kind == campus.Write {
		method, body = http.MethodPut, strings.NewReader(number)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://virtual/x", body)
	if err != nil {
		one.err = err
	} else {
		req.Header.Set("X-Number", number)
		req.Header.Set("X-Kind", kind)
		var resp *http.Response
		if resp, one.err = w.client.Do(ctx, call, req); one.err == nil {
			one.answeredBy = OriginOf(resp)
			one.attempts = one.answeredBy.Attempts
		}
	}
	var e *Error
	if errors.As(one.err, &e) {
		one.attempts = e.Attempts
	}
	one.took = time.Since(one.began)
	w.mu.Lock()
	defer w.mu.Unlock()
	one.peerWell = w.faults["dc-b"] == "" && one.began.Sub(w.changed["dc-b"]) > 3*time.Second
	w.told = append(w.told, one)
}

// judge compares.
func (w *world) judge() {
	defer func() { _ = w.client.Close() }()
	status := w.client.Status()
	w.mu.Lock()
	defer w.mu.Unlock()
	fail := func(one told, why string) {
		w.t.Errorf("%s %s at %s: %s (error %v, %d attempts)", one.kind, one.number, one.began.Format("05.000"), why, one.err, one.attempts)
	}
	for _, one := range w.told {
		ran := w.executed[one.number]
		var e *Error
		known := errors.As(one.err, &e)
		switch {
		case one.err != nil && !known:
			fail(one, "an error that is not typed")
		case one.took > one.limit+50*time.Millisecond:
			fail(one, "came back "+(one.took-one.limit).String()+" late")
		case one.attempts > one.sites:
			fail(one, "too many attempts")
		case one.number != "" && ran > 1:
			fail(one, "executed twice")
		case one.err == nil && one.number != "" && one.kind != "read" && one.kind != "any" && ran != 1:
			fail(one, "a success that was not executed")
		case known && e.Outcome != Unknown && ran > 0:
			fail(one, "executed, and its caller told that it was not: "+e.Outcome.String())
		case one.err != nil && one.kind == "read" && one.peerWell && !one.cancelled && !errors.Is(one.err, ErrStoreUnavailable) && !errors.Is(one.err, ErrDeadline):
			fail(one, "failed though the peer was well")
		case one.err == nil && one.kind != "any" && one.answeredBy.DataCenter == "dr":
			fail(one, "answered by a copy")
		}
	}
	for _, number := range w.astray {
		w.t.Errorf("%s was written where nobody may write", number)
	}
	for _, s := range status {
		if s.DataCenter != "dr" && (s.Read != Healthy || s.Write != Healthy || s.InFlight != 0) {
			w.t.Errorf("%s is %s and %s with %d in flight long after everything mended", s.Endpoint, s.Read, s.Write, s.InFlight)
		}
	}
	if last := w.told[len(w.told)-1]; last.err != nil || last.answeredBy.DataCenter != "dc-a" {
		fail(last, "not back home")
	}
}

// script is one endpoint's server: what it does is what the world says.
type script struct {
	world    *world
	endpoint *campus.Endpoint
}

var errScript = errors.New("broken")

// RoundTrip answers after a while, or does not.
func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	w := s.world
	w.mu.Lock()
	fault := w.faults[s.endpoint.ID]
	w.mu.Unlock()
	number := req.Header.Get("X-Number")
	late := len(number) > 0 && number[len(number)-1]%2 == 0 // by chance, and the same when it is played again
	ctx := req.Context()
	if fault == "refuse" || fault == "blackhole" {
		why := FaultDial
		if fault == "blackhole" {
			why = FaultUnreachable
			if !sleepIn(ctx, dialTimeout) {
				return nil, ctx.Err()
			}
		}
		if w, ok := ctx.Value(wireKey{}).(*wire); ok {
			w.refused.Store(&why)
		}
		return nil, errScript
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
		trace.WroteHeaders()
	}
	delay := 5 * time.Millisecond
	if fault == "slow" {
		delay = 1500 * time.Millisecond
	}
	switch alive := sleepIn(ctx, delay); {
	case !alive:
		return nil, ctx.Err()
	case fault == "reset":
		return nil, errScript
	case fault == "hang":
		if late {
			w.execute(req, s.endpoint)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if strings.HasSuffix(req.URL.Path, "/metadata") && fault != "500" {
		return respond(http.StatusOK, "application/json", "{}"), nil
	}
	return s.answer(req, fault, late)
}

func (s *script) answer(req *http.Request, fault string, late bool) (*http.Response, error) {
	w := s.world
	switch fault {
	case "500", "html", "503":
		if late && fault != "503" {
			w.execute(req, s.endpoint)
		}
		if fault == "html" {
			return respond(http.StatusOK, "text/html", "<html>"), nil
		}
		resp := respond(http.StatusInternalServerError, "application/json", "{}")
		if fault == "503" {
			resp.StatusCode = http.StatusServiceUnavailable
			resp.Header.Set("Retry-After", "2")
		}
		return resp, nil
	case "429":
		return respond(http.StatusTooManyRequests, "application/json", "{}"), nil
	}
	resp := respond(w.execute(req, s.endpoint), "application/json", "{}")
	switch fault {
	case "drop":
		return nil, errScript
	case "cut":
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), errReader{}))
	}
	return resp, nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func respond(status int, media, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body))}
}

// execute does what a server of the contract does: a version or an atomic key lets
// a Number through once.
func (w *world) execute(req *http.Request, e *campus.Endpoint) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, kind := req.Header.Get("X-Number"), req.Header.Get("X-Kind")
	if req.Method != http.MethodPut {
		return http.StatusOK
	}
	if !e.Writes() {
		w.astray = append(w.astray, number)
	}
	switch {
	case kind == "guarded" && w.executed[number] > 0:
		return http.StatusPreconditionFailed
	case kind == "keyed" && w.executed[number] > 0:
		return http.StatusOK
	}
	w.executed[number]++
	return http.StatusOK
}

func sleepIn(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
