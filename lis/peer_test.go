package lis_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// The verbs against a FHIR server that no one here wrote: HOSPITAL_FHIR_PEER names its
// base URL, and HOSPITAL_FHIR_PEER_2 that of a second one, for the second campus
// (internal/peers/medplum starts them). Every test makes what it needs under fresh
// numbers, so that a server may be used again, and by others meanwhile. Time is real.

// peerBases are the servers of two campuses; one server is both where there is no second.
func peerBases(t *testing.T) [2]string {
	t.Helper()
	base := os.Getenv("HOSPITAL_FHIR_PEER")
	if base == "" {
		t.Skip("HOSPITAL_FHIR_PEER names no FHIR server")
	}
	second := os.Getenv("HOSPITAL_FHIR_PEER_2")
	if second == "" {
		second = base
	}
	return [2]string{base, second}
}

// door is an address of ours at which a server is reached, so that what goes wrong on
// the way goes wrong for nobody else.
type door struct {
	*httptest.Server
	proxy *httputil.ReverseProxy
	url   string // what an Endpoint has

	mu    sync.Mutex
	rules []doorRule
	sent  map[string]int // requests by interaction
}

type doorRule struct {
	interaction string
	do          fakes.Action
}

func newDoor(t *testing.T, base string) *door {
	t.Helper()
	target, err := url.Parse(base)
	require.NoError(t, err)
	root := url.URL{Scheme: target.Scheme, Host: target.Host}
	d := &door{sent: map[string]int{}, proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&root) }, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	d.url = d.URL + target.Path
	return d
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, broken := d.take(r)
	if broken && a.ResetBefore {
		panic(http.ErrAbortHandler)
	}
	if !broken || a.Status != 0 && !a.Execute {
		d.answer(w, r, a)
		return
	}
	executed := httptest.NewRecorder()
	d.proxy.ServeHTTP(executed, r)
	switch {
	case a.ResetAfter:
		panic(http.ErrAbortHandler)
	case a.CutAfter > 0:
		w.Header().Set("Content-Type", executed.Header().Get("Content-Type"))
		w.Header().Set("Content-Length", executed.Header().Get("Content-Length"))
		w.WriteHeader(executed.Code)
		_, _ = w.Write(executed.Body.Bytes()[:a.CutAfter])
		panic(http.ErrAbortHandler)
	}
	d.answer(w, r, a)
}

// answer is what a rule says, else the server's.
func (d *door) answer(w http.ResponseWriter, r *http.Request, a fakes.Action) {
	if a.Status == 0 {
		d.proxy.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", a.ContentType)
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

// take finds what becomes of a request.
func (d *door) take(r *http.Request) (fakes.Action, bool) {
	what := interactionOf(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[what]++
	at := slices.IndexFunc(d.rules, func(rule doorRule) bool { return rule.interaction == what })
	if at < 0 {
		return fakes.Action{}, false
	}
	do := d.rules[at].do
	d.rules = slices.Delete(d.rules, at, at+1)
	return do, true
}

// spoil makes the next request of an interaction go wrong.
func (d *door) spoil(interaction string, do fakes.Action) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = append(d.rules, doorRule{interaction, do})
}

// spoilt reports whether everything that should go wrong has.
func (d *door) spoilt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.rules) == 0
}

func interactionOf(r *http.Request) string {
	switch {
	case r.Method == http.MethodPut:
		return "update"
	case r.Method != http.MethodPost || strings.HasSuffix(r.URL.Path, "/_search"):
		return "read"
	case strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/R4"):
		return "transaction"
	}
	return "create"
}

const peerIssuer = "urn:hospital-go:conformance"

// peerContract is what the server keeps. A lost request has ended soon: it is on this
// machine.
var peerContract = campus.Contract{Versioning: true, ServerTimeout: 200 * time.Millisecond}

// peerBench is a bench at a peer, with two patients and a ward of its own.
type peerBench struct {
	*bench
	base string
	door *door
	ward r4.Identifier
}

func newPeer(t *testing.T, opts ...lis.Option) *peerBench {
	t.Helper()
	return newPeerOf(t, peerContract, opts...)
}

func newPeerOf(t *testing.T, contract campus.Contract, opts ...lis.Option) *peerBench {
	t.Helper()
	p := &peerBench{base: peerBases(t)[0]}
	p.door = newDoor(t, p.base)
	p.bench = benchOf(t, p.config(contract), opts...)
	p.patient, p.other = p.person(peerIssuer), p.person(peerIssuer)
	p.ward = r4.Identifier{System: fakes.WardSystem, Value: hospital.NewNumber()}
	create(p.bench, &r4.Organization{Identifier: []r4.Identifier{p.ward}, Name: "心血管内科病区"})
	return p
}

// config is a hospital of one campus.
func (p *peerBench) config(contract campus.Contract) hospital.Config {
	return hospital.Config{DisableTracing: true, Topology: campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}},
		Systems:       []campus.System{{ID: campus.LIS}},
		Stores:        []campus.Store{{ID: "lis"}},
		Endpoints:     []campus.Endpoint{{System: campus.LIS, DataCenter: "dc-a", Store: "lis", URL: p.door.url, Aliases: []string{p.base}, Contract: contract}},
	}}
}

func benchOf(t *testing.T, cfg hospital.Config, opts ...lis.Option) *bench {
	t.Helper()
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return &bench{t: t, client: client, Client: lis.New(client, opts...)}
}

// again is another process.
func (p *peerBench) again(opts ...lis.Option) *peerBench {
	p.t.Helper()
	return p.with(p.config(peerContract), opts...)
}

// with is another process that is configured so.
func (p *peerBench) with(cfg hospital.Config, opts ...lis.Option) *peerBench {
	p.t.Helper()
	out := *p
	out.bench = benchOf(p.t, cfg, opts...)
	out.patient, out.other = p.patient, p.other
	return &out
}

func (b *bench) person(issuer string) campus.PatientID {
	b.t.Helper()
	id := campus.PatientID{Issuer: issuer, Value: hospital.NewNumber()}
	create(b, &r4.Patient{Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}}, Name: []r4.HumanName{{Family: "钱", Given: []string{"多多"}}}})
	return id
}

// found is what a search of the server finds.
func found[T r4.Resource](b *bench, filters ...fhir.Filter[T]) []T {
	b.t.Helper()
	var out []T
	for r, err := range fhir.Matches[T](fhir.Search(b.t.Context(), b.client.FHIR(campus.LIS), fhir.For(filters...))) {
		require.NoError(b.t, err)
		out = append(out, r)
	}
	return out
}

// createAll makes many at once, in requests of a hundred.
func createAll[T r4.Resource](b *bench, list []T) []T {
	b.t.Helper()
	var out []T
	for some := range slices.Chunk(list, 100) {
		bundle := &r4.Bundle{Type: r4.BundleTypeTransaction}
		for _, r := range some {
			bundle.Entry = append(bundle.Entry, r4.BundleEntry{Resource: r, Request: &r4.BundleEntryRequest{Method: http.MethodPost, URL: r.ResourceType()}})
		}
		answer, _, err := fhir.Transaction(b.t.Context(), b.client.FHIR(campus.LIS), bundle)
		require.NoError(b.t, err)
		for i := range answer.Entry {
			made, err := r4.As[T](answer.Entry[i].Resource)
			require.NoError(b.t, err)
			out = append(out, made)
		}
	}
	return out
}

// serverFault makes the server itself refuse or drop the next request to a path.
func (p *peerBench) serverFault(path string, status int, drop bool) {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"match": path, "status": status, "drop": drop, "times": 1})
	require.NoError(p.t, err)
	u, err := url.Parse(p.base)
	require.NoError(p.t, err)
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, u.Scheme+"://"+u.Host+"/_fault", strings.NewReader(string(body)))
	require.NoError(p.t, err)
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	require.NoError(p.t, err)
	defer answer.Body.Close()
	require.Equal(p.t, http.StatusNoContent, answer.StatusCode)
}

// peerGaps are what the server is known not to do. What asks for it gets a typed error,
// and nothing of it is done; a change of the list fails.
var peerGaps = map[string]struct {
	ask func(p *peerBench) error
	err hospital.Code
}{
	"a transaction of more than 8 entries that creates conditionally: Order": {func(p *peerBench) error {
		r := p.ofItems(hospital.NewNumber(), 9)
		_, err := p.Order(p.t.Context(), r)
		assert.Empty(p.t, p.items(r.Number))
		return err
	}, hospital.ErrRefused},
	"a transaction of more than 8 entries that creates conditionally: Collect": {func(p *peerBench) error {
		r := p.placedElsewhere(8)
		barcode := hospital.NewNumber()
		_, err := p.Collect(p.t.Context(), lis.CollectRequest{Barcode: barcode, Order: r.Number, Patient: p.patient})
		assert.Empty(p.t, p.tubesOf(barcode))
		return err
	}, hospital.ErrRefused},
	"a transaction of more than 50 updates: CancelOrder": {func(p *peerBench) error {
		r := p.placedElsewhere(51)
		_, err := p.CancelOrder(p.t.Context(), r.Number, p.patient)
		assert.Equal(p.t, 51, p.standing(r.Number))
		return err
	}, hospital.ErrRefused},
}

func TestPeerGaps(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	for what, gap := range peerGaps {
		require.ErrorIs(t, gap.ask(p), gap.err, what)
		t.Logf("the peer has no %s is %s", what, gap.err)
	}
	declared, err := p.client.Declared(t.Context(), campus.LIS)
	require.NoError(t, err)
	assert.False(t, declared.Operation("Observation", "lastn"), "Last searches instead")
	t.Log("the peer has no Observation/$lastn: Last searches")
}
