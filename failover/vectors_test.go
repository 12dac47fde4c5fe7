package failover

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
)

// vectorFile is one file of testdata; its README says what everything means.
type vectorFile struct {
	Description campus.Description            `json:"description"`
	Updates     map[string]campus.Description `json:"updates"`
	Rules       map[string]string             `json:"rules"`
	Vectors     []struct {
		Name   string        `json:"name"`
		Phases []vectorPhase `json:"phases"`
	} `json:"vectors"`
}

type vectorPhase struct {
	Do     []string          `json:"do"`
	Expect map[string]string `json:"expect"`
}

// TestVectors runs the state machine without sockets, clocks or chance.
func TestVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	total := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		var file vectorFile
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&file), name)
		total += len(file.Vectors)
		for _, v := range file.Vectors {
			t.Run(strings.TrimSuffix(filepath.Base(name), ".json")+"/"+v.Name, func(t *testing.T) {
				t.Parallel()
				m := newMachine(t, &file)
				require.NotEmpty(t, v.Phases)
				for i, phase := range v.Phases {
					for _, step := range phase.Do {
						m.do(step)
					}
					// state before route before events: looking at a state lets time tell.
					for _, what := range slices.Backward(slices.Sorted(maps.Keys(phase.Expect))) {
						assert.Equal(t, phase.Expect[what], m.see(what), "phase %d: %s", i+1, what)
					}
				}
			})
		}
	}
	assert.GreaterOrEqual(t, total, 100)
}

// machine is the engine with a clock of the test's own and nothing to send on.
type machine struct {
	t      *testing.T
	file   *vectorFile
	client *Client
	now    time.Time
	events []string
	begun  map[string]*begun
}

type begun struct {
	run    *run
	flight *flight
}

func newMachine(t *testing.T, file *vectorFile) *machine {
	t.Helper()
	m := &machine{t: t, file: file, begun: map[string]*begun{}}
	topology, err := campus.New(file.Description)
	require.NoError(t, err)
	m.client, err = New(Options{Topology: topology, MaxInFlight: 64, Rules: rulesOf(t, file.Rules), Hooks: Hooks{Event: m.event}})
	require.NoError(t, err)
	m.client.closed = true // nothing in the background
	m.now = m.client.keeper.start
	return m
}

func rulesOf(t *testing.T, text map[string]string) Rules {
	t.Helper()
	r := Rules{jitter: func() float64 { return 0.5 }}
	for name, value := range text {
		d, err := time.ParseDuration(value)
		require.NoError(t, err)
		switch name {
		case "holdDown":
			r.HoldDown = d
		case "growth":
			r.Growth = d
		case "storeGrowth":
			r.StoreGrowth = d
		default:
			t.Fatalf("rule %q", name)
		}
	}
	return r
}

func (m *machine) event(e Event) {
	who := string(e.Endpoint)
	switch {
	case who == "" && e.Store != "":
		who = "store " + string(e.Store)
	case who == "":
		who = "client"
	case e.Class != "":
		who += " " + e.Class
	}
	m.events = append(m.events, fmt.Sprintf("%s %s>%s %s", who, e.From, e.To, e.Cause))
}

// do carries out one step.
func (m *machine) do(step string) {
	m.t.Helper()
	words := strings.Fields(step)
	times := 1
	if n, ok := strings.CutPrefix(words[len(words)-1], "x"); ok {
		times, _ = strconv.Atoi(n)
		words = words[:len(words)-1]
	}
	require.Positive(m.t, times, step)
	for range times {
		m.once(step, words)
	}
}

func (m *machine) once(step string, words []string) {
	m.t.Helper()
	switch verb, rest := words[0], words[1:]; verb {
	case "advance":
		d, err := time.ParseDuration(rest[0])
		require.NoError(m.t, err, step)
		m.now = m.now.Add(d)
	case "call":
		m.call(step, rest)
	case "share":
		m.share(step, rest)
	case "begin":
		m.begin(step, rest)
	case "end":
		b := m.begun[rest[0]]
		require.NotNil(m.t, b, step)
		m.result(step, b.run, b.flight, rest[1:])
	case "probe":
		fault := Fault(rest[1])
		if fault == "ok" {
			fault = FaultNone
		}
		m.client.keeper.probed(m.site(rest[0]), fault, m.now)
	case "drain":
		require.Equal(m.t, 1, m.client.Drain(Selector{Endpoint: campus.EndpointID(rest[0])}), step)
	case "restore":
		require.Equal(m.t, 1, m.client.Restore(Selector{Endpoint: campus.EndpointID(rest[0])}), step)
	case "balancer":
		s := m.site(rest[0])
		m.client.setOut(s, &s.balancer, rest[1] == "out", "balancer")
	case "role":
		m.site(rest[0]).role.Store(map[string]uint32{"writer": roleWriter, "other": roleOther, "unknown": roleUnknown}[rest[1]])
	case "update":
		m.update(rest[0])
	default:
		m.t.Fatalf("step %q", step)
	}
}

func (m *machine) update(name string) {
	m.t.Helper()
	change, ok := m.file.Updates[name]
	require.True(m.t, ok, name)
	d := m.file.Description
	if change.Stores != nil {
		d.Stores = change.Stores
	}
	if change.Endpoints != nil {
		d.Endpoints = change.Endpoints
	}
	topology, err := campus.New(d)
	require.NoError(m.t, err)
	m.client.Update(topology)
}

func (m *machine) site(id string) *site {
	m.t.Helper()
	sites := m.client.plan.Load().sites
	i := slices.IndexFunc(sites, func(s *site) bool { return string(s.endpoint.ID) == id })
	require.GreaterOrEqual(m.t, i, 0, id)
	return sites[i]
}

// newRun makes a call of a kind: read (strong), any, write (guarded), pay (unsafe).
func (m *machine) newRun(kind string) *run {
	m.t.Helper()
	call := &Call{System: "his", Campus: "hankou", Op: "read", Repeat: Safe, Kind: campus.ReadStrong, MaxBody: 1, AttemptTimeout: 2 * time.Second, Timeout: 5 * time.Second}
	if name, ago, wrote := strings.Cut(kind, "~"); wrote {
		d, err := time.ParseDuration(ago)
		require.NoError(m.t, err, kind)
		kind, call.After = name, m.now.Add(-d)
	}
	if name, env, sticky := strings.Cut(kind, "@"); sticky {
		kind, call.Environment = name, campus.EnvironmentID(env)
	}
	if name, op, named := strings.Cut(kind, ":"); named {
		kind, call.Op = name, op
	}
	switch kind {
	case "read":
	case "any":
		call.Kind = campus.ReadAny
	case "write":
		call.Kind, call.Repeat, call.AttemptTimeout = campus.Write, Guarded, 0
	case "pay":
		call.Kind, call.Repeat, call.AttemptTimeout = campus.Write, Unsafe, 0
	default:
		m.t.Fatalf("kind %q", kind)
	}
	plan := m.client.plan.Load()
	r := &run{client: m.client, plan: plan, call: call, ctx: m.t.Context()}
	r.tried = r.places[:0]
	r.route, _ = plan.topology.Route(call.System, call.Campus, call.Kind)
	return r
}

// call is one call's attempts, one after another.
func (m *machine) call(step string, words []string) {
	m.t.Helper()
	r := m.newRun(words[0])
	var look search
	for _, attempt := range strings.Split(strings.Join(words[1:], " "), ",") {
		words := strings.Fields(attempt)
		f := r.enter(m.site(words[0]), &look, m.now)
		if words[1] == "refused" {
			require.Nil(m.t, f, "%s at %s: was admitted", step, words[0])
			look.passed = append(look.passed, m.site(words[0]))
			continue
		}
		look = search{}
		require.NotNil(m.t, f, "%s at %s: was refused", step, words[0])
		r.attempts++
		r.tried = append(r.tried, f.site)
		m.result(step, r, f, words[1:])
	}
}

// share counts how many of so many calls are let through; those succeed.
func (m *machine) share(step string, words []string) {
	m.t.Helper()
	var want, all, n int
	_, err := fmt.Sscanf(words[2], "%d/%d", &want, &all)
	require.NoError(m.t, err, step)
	for range all {
		r := m.newRun(words[0])
		if f := r.enter(m.site(words[1]), &search{}, m.now); f != nil {
			m.result(step, r, f, []string{"ok"})
			n++
		}
	}
	assert.Equal(m.t, want, n, step)
}

func (m *machine) begin(step string, words []string) {
	m.t.Helper()
	r := m.newRun(words[1])
	var look search
	f := r.enter(m.site(words[2]), &look, m.now)
	if len(words) > 3 && words[3] == "refused" {
		require.Nil(m.t, f, step)
		return
	}
	require.NotNil(m.t, f, step)
	f.start = m.now
	m.begun[words[0]] = &begun{r, f}
}

// result ends an attempt: ok, ok 250ms, or a fault, 500 and 503 among them.
func (m *machine) result(step string, r *run, f *flight, words []string) {
	m.t.Helper()
	f.site.places.leave(&f.place)
	if f.start.IsZero() {
		f.start = m.now
	}
	f.got = m.now
	var v Verdict
	switch word := words[0]; word {
	case "ok":
		v.Outcome, f.status = Committed, 200
		if len(words) > 1 {
			d, err := time.ParseDuration(words[1])
			require.NoError(m.t, err, step)
			f.got = f.start.Add(d)
		}
	case "500", "429":
		f.status, _ = strconv.Atoi(word)
		v = Verdict{Outcome: Unknown, Fault: FaultStatus}
		if word == "429" {
			v = Verdict{Outcome: NotExecuted, Fault: FaultOverload}
		}
	case "503":
		f.status = 503
		v = Verdict{Outcome: Unknown, Fault: FaultOverload}
		d, err := time.ParseDuration(words[1])
		require.NoError(m.t, err, step)
		f.site.pausedUntil(m.now.Add(d).Sub(m.client.keeper.start))
	default:
		v = Verdict{Outcome: Unknown, Fault: Fault(word)}
		require.Contains(m.t, []Fault{FaultDial, FaultDNS, FaultUnreachable, FaultCertificate, FaultTimeout, FaultReset, FaultCut, FaultForeign, FaultCanceled, FaultMoved}, v.Fault, step)
	}
	r.charge(f, v, m.now)
}

// see is what a vector may expect.
func (m *machine) see(what string) string {
	m.t.Helper()
	name, id, _ := strings.Cut(what, " ")
	switch name {
	case "state":
		var both []string
		m.client.keeper.do(func() { m.client.keeper.tick(m.site(id), m.now) })
		for c := range classes {
			both = append(both, m.site(id).health[c].current().String())
		}
		return strings.Join(both, " ")
	case "route":
		return m.route(id)
	case "events":
		out := strings.Join(m.events, "; ")
		m.events = nil
		return out
	case "store":
		if m.client.keeper.stores[campus.StoreID(id)].down() {
			return "down"
		}
		return "up"
	case "isolated":
		return strconv.FormatBool(m.client.Isolated())
	}
	m.t.Fatalf("expect %q", what)
	return ""
}

// route is the order in which a call of a kind would ask, if each failed.
func (m *machine) route(kind string) string {
	m.t.Helper()
	r := m.newRun(kind)
	var out []string
	var passed []*site
	for s := r.best(m.now, passed); s != nil; s = r.best(m.now, passed) {
		out = append(out, string(s.endpoint.ID))
		passed = append(passed, s)
	}
	return strings.Join(out, " ")
}
