package hospital_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/memnet"
)

// town is the token town's description as a document: the HIS prefers home.
func townDocument(version int, home string, epoch int, more string) string {
	return fmt.Sprintf(`version: %d
organizations: [{id: group}]
campuses: [{id: hankou, organization: group, home: %s}]
datacenters: [{id: dc-a, role: active}, {id: dc-b, role: active}]
systems: [{id: his}]
stores: [{id: his, epoch: %d}]
endpoints:
  - {system: his, datacenter: dc-a, store: his, url: "http://his.dc-a.test:443/fhir", allowPlainHTTP: true%s}
  - {system: his, datacenter: dc-b, store: his, url: "http://his.dc-b.test:443/fhir", allowPlainHTTP: true}
`, version, home, epoch, more)
}

// documents is a source whose document a test changes.
type documents struct {
	mu   sync.Mutex
	text string
	err  error
	last string
}

func (d *documents) set(text string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text, d.err = text, err
}

func (d *documents) Fetch(context.Context) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.err != nil:
		return nil, d.err
	case d.text == d.last:
		return nil, hospital.ErrUnchanged
	}
	d.last = d.text
	return []byte(d.text), nil
}

var errDown = errors.New("down")

// events collects what happened to documents.
type events struct {
	mu  sync.Mutex
	all []hospital.TopologyEvent
}

func (e *events) add(x hospital.TopologyEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, x)
}

func (e *events) take() []hospital.TopologyEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.all
	e.all = nil
	return out
}

func whoAnswers(t *testing.T, client *hospital.Client) campus.DataCenterID {
	t.Helper()
	req, err := newRequest(t.Context(), "http://his.hospital.invalid/Patient/1")
	require.NoError(t, err)
	resp, err := client.HTTP(campus.HIS).Do(req)
	require.NoError(t, err)
	_ = resp.Body.Close()
	host, _, _ := strings.Cut(resp.Request.URL.Host, ":")
	return campus.DataCenterID(strings.Split(host, ".")[1])
}

// A running client takes what may follow and refuses the rest, with a reason.
func TestSourceIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town, docs, seen := newTokenTown(t), &documents{text: townDocument(1, "dc-a", 1, "")}, &events{}
		town.valid["x"] = true
		state := t.TempDir()
		cfg := hospital.Config{Source: docs, SourceEvery: time.Second, StateDir: state, OnTopology: seen.add}
		cfg.Credentials = map[campus.SystemID]hospital.Credential{campus.HIS: hospital.BearerToken("x")}
		cfg.Dial = town.config(nil).Dial
		_, err := hospital.New(cfg)
		require.ErrorContains(t, err, "call Config.Fetch first")
		require.NoError(t, cfg.Fetch(t.Context()))
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close()                                        //nolint:errcheck // it never fails
		tick := func() { time.Sleep(time.Second); synctest.Wait() } //nolint:forbidigo // synctest bubble
		synctest.Wait()
		assert.Equal(t, campus.DataCenterID("dc-a"), whoAnswers(t, client))
		tick()
		require.Empty(t, seen.take(), "an unchanged document is no event")

		docs.set(townDocument(2, "dc-b", 1, ""), nil)
		tick()
		got := seen.take()
		require.Len(t, got, 1)
		assert.True(t, got[0].Taken)
		assert.Equal(t, int64(2), client.Topology().Version())
		assert.Equal(t, campus.DataCenterID("dc-b"), whoAnswers(t, client))

		for name, c := range map[string]struct {
			text string
			err  error
			want error
		}{
			"older":              {townDocument(1, "dc-a", 1, ""), nil, hospital.ErrTopology},
			"the same, other":    {townDocument(2, "dc-a", 1, ""), nil, hospital.ErrTopology},
			"an epoch goes back": {townDocument(3, "dc-a", 0, ""), nil, hospital.ErrTopology},
			"unsound":            {townDocument(3, "dc-c", 1, ""), nil, hospital.ErrConfig},
			"half of it":         {townDocument(3, "dc-a", 1, "")[:200], nil, hospital.ErrConfig},
			"none of its":        {"<html>", nil, hospital.ErrConfig},
			"our campus is gone": {strings.Replace(townDocument(3, "dc-a", 1, ""), "id: hankou", "id: guanggu", 1), nil, hospital.ErrTopology},
			"down":               {"", errDown, errDown},
		} {
			docs.set(c.text, c.err)
			tick()
			got := seen.take()
			require.Len(t, got, 1, name)
			assert.False(t, got[0].Taken, name)
			require.ErrorIs(t, got[0].Err, c.want, name)
			assert.Equal(t, campus.DataCenterID("dc-b"), whoAnswers(t, client), "%s: the one in force stays", name)
		}
	})
}

// Restarted while its source is down, a program begins with the last good
// description, and refuses an older one afterwards.
func TestColdStart(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	fetch := func(s hospital.Source) (hospital.Config, error) {
		cfg := hospital.Config{Source: s, StateDir: state}
		err := cfg.Fetch(t.Context())
		return cfg, err
	}
	_, err := fetch(&documents{err: errDown})
	require.ErrorIs(t, err, errDown, "nothing to begin with")
	_, err = fetch(&documents{text: "campuses: 1"})
	require.ErrorIs(t, err, hospital.ErrConfig)
	cfg, err := fetch(&documents{text: townDocument(5, "dc-a", 1, "")})
	require.NoError(t, err)
	assert.Equal(t, int64(5), cfg.Topology.Version)
	for name, s := range map[string]*documents{
		"down": {err: errDown}, "older": {text: townDocument(4, "dc-b", 1, "")}, "broken": {text: "x"}, "an epoch back": {text: townDocument(6, "dc-b", 0, "")},
	} {
		cfg, err = fetch(s)
		require.NoError(t, err, name)
		assert.Equal(t, int64(5), cfg.Topology.Version, name)
		assert.Equal(t, campus.DataCenterID("dc-a"), cfg.Topology.Campuses[0].Home, name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(state, "topology.yaml"), []byte("version: 9\nhalf"), 0o600))
	_, err = fetch(&documents{err: errDown})
	require.ErrorIs(t, err, errDown, "a broken memory is no description")
	cfg = hospital.Config{}
	require.NoError(t, cfg.Fetch(t.Context()), "nothing to fetch")
}

// What New would refuse is neither taken nor kept: a program that starts again
// begins where it was.
func TestFetchTakesOnlyWhatFits(t *testing.T) {
	t.Parallel()
	state, seen := t.TempDir(), &events{}
	fetch := func(s hospital.Source) (hospital.Config, error) {
		cfg := hospital.Config{Campus: "hankou", Source: s, StateDir: state, OnTopology: seen.add}
		cfg.TLS = map[campus.EndpointID]*tls.Config{"his/dc-b": {MinVersion: tls.VersionTLS12}}
		err := cfg.Fetch(t.Context())
		return cfg, err
	}
	_, err := fetch(&documents{text: townDocument(5, "dc-a", 9, "")})
	require.NoError(t, err)
	require.Empty(t, seen.take())
	moved := strings.Replace(townDocument(6, "dc-a", 9, ""), "id: hankou", "id: guanggu", 1)
	for name, s := range map[string]hospital.Source{"our campus is gone": &documents{text: moved}, "rolled back": &documents{text: townDocument(5, "dc-a", 9, "")}, "down": &documents{err: errDown}} {
		cfg, err := fetch(s)
		require.NoError(t, err, name)
		assert.Equal(t, int64(5), cfg.Topology.Version, name)
		client, err := hospital.New(cfg)
		require.NoError(t, err, name)
		require.NoError(t, client.Close())
		if name != "rolled back" {
			require.NotEmpty(t, seen.take(), "%s: what was refused is told", name)
		}
	}
	// An endpoint that goes takes its TLS settings with it, now and at the next start.
	fewer := townDocument(6, "dc-a", 9, "")
	fewer = fewer[:strings.Index(fewer, "  - {system: his, datacenter: dc-b")]
	cfg, err := fetch(&documents{text: fewer})
	require.NoError(t, err)
	assert.Equal(t, int64(6), cfg.Topology.Version)
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	// A store that was away does not come back younger.
	away := strings.ReplaceAll(strings.Replace(fewer, "version: 6", "version: 7", 1), "stores: [{id: his, epoch: 9}]", "stores: [{id: other}]")
	away = strings.ReplaceAll(away, "store: his", "store: other")
	_, err = fetch(&documents{text: away})
	require.NoError(t, err)
	seen.take()
	_, err = fetch(&documents{text: townDocument(8, "dc-a", 1, "")})
	require.NoError(t, err)
	got := seen.take()
	require.Len(t, got, 1)
	require.ErrorIs(t, got[0].Err, hospital.ErrTopology)
	// Nor one that only the program's own description had.
	own, err := fetch(&documents{text: townDocument(9, "dc-a", 9, "")})
	require.NoError(t, err)
	var seenIt []hospital.TopologyEvent
	bare := hospital.Config{Topology: own.Topology, Source: &documents{text: strings.Replace(away, "version: 7", "version: 10", 1)}, StateDir: t.TempDir()}
	require.NoError(t, bare.Fetch(t.Context()))
	assert.Equal(t, int64(10), bare.Topology.Version)
	back := hospital.Config{Source: &documents{text: townDocument(11, "dc-a", 1, "")}, StateDir: bare.StateDir}
	back.OnTopology = func(e hospital.TopologyEvent) { seenIt = append(seenIt, e) }
	require.NoError(t, back.Fetch(t.Context()))
	assert.Equal(t, int64(10), back.Topology.Version)
	require.Len(t, seenIt, 1)
	require.ErrorIs(t, seenIt[0].Err, hospital.ErrTopology)
	// Asked again with nothing new, the fault is still the fault.
	bad := &documents{text: "x"}
	fresh := hospital.Config{Source: bad}
	require.ErrorIs(t, fresh.Fetch(t.Context()), hospital.ErrConfig)
	require.ErrorIs(t, fresh.Fetch(t.Context()), hospital.ErrConfig)
}

// A process that lags behind does not overwrite what another has kept, and a
// folder that could not be written is tried again.
func TestKeeping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "state")
		start := func(docs *documents) *hospital.Client {
			cfg := hospital.Config{Source: docs, SourceEvery: time.Second, StateDir: state}
			require.NoError(t, cfg.Fetch(t.Context()))
			client, err := hospital.New(cfg)
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			return client
		}
		kept := func() string {
			data, err := os.ReadFile(filepath.Join(state, "topology.yaml"))
			if err != nil {
				return ""
			}
			return string(data[:10])
		}
		ahead, behind := &documents{text: townDocument(5, "dc-a", 1, "")}, &documents{text: townDocument(5, "dc-a", 1, "")}
		start(ahead)
		start(behind)
		ahead.set(townDocument(7, "dc-a", 1, ""), nil)
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		behind.set(townDocument(6, "dc-a", 1, ""), nil)
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Equal(t, "version: 7", kept())

		require.NoError(t, os.RemoveAll(state))
		require.NoError(t, os.WriteFile(state, []byte("in the way"), 0o600))
		ahead.set(townDocument(8, "dc-a", 1, ""), nil)
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		require.NoError(t, os.Remove(state))
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
		assert.Equal(t, "version: 8", kept())
	})
}

// A lost write is looked for where it was sent: that another store, which a new
// description leads to meanwhile, knows nothing of it says nothing.
func TestLostWriteIsNotSoughtElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town, docs := newTokenTown(t), &documents{text: townDocument(1, "dc-a", 1, "")}
		town.valid["x"] = true
		cfg := hospital.Config{Source: docs, SourceEvery: 10 * time.Millisecond, Dial: town.config(nil).Dial}
		cfg.Credentials = map[campus.SystemID]hospital.Credential{campus.HIS: hospital.BearerToken("x")}
		require.NoError(t, cfg.Fetch(t.Context()))
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		op := hospital.Op{Name: "test.Order", System: campus.HIS, Class: hospital.Settle}
		sent := 0
		_, err = hospital.Write(t.Context(), client, op, "N1",
			func(ctx context.Context, f *fhir.Client) (int, error) {
				sent++
				town.mu.Lock()
				town.lose = true
				town.mu.Unlock()
				_, _, err := fhir.Create(ctx, f, &r4.Patient{})
				other := strings.ReplaceAll(townDocument(2, "dc-a", 1, ""), "stores: [{id: his, epoch: 1}]", "stores: [{id: other}]")
				docs.set(strings.ReplaceAll(other, "store: his", "store: other"), nil)
				time.Sleep(50 * time.Millisecond) //nolint:forbidigo // synctest bubble
				return 0, err
			},
			func(ctx context.Context, f *fhir.Client) (int, error) {
				_, _, err := fhir.Read[*r4.Patient](ctx, f, "absent")
				return 0, err
			})
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
		assert.Equal(t, 1, sent)
		time.Sleep(time.Hour) //nolint:forbidigo // synctest bubble
		var e *hospital.Error
		require.ErrorAs(t, err, &e)
		_, err = e.Resolve(t.Context())
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown, "nor does it become an answer with time")
	})
}

// A system that leaves while a call is on its way ends in a typed error; ids of an
// epoch that ends while the audit is written are not used in the next.
func TestDescriptionChangesUnderACall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next string
		want hospital.Code
	}{
		"the system leaves": {strings.ReplaceAll(strings.Replace(townDocument(2, "dc-a", 1, ""), "systems: [{id: his}]", "systems: [{id: other}]", 1), "system: his", "system: other"), hospital.ErrNoEndpoint},
		"the epoch rises":   {townDocument(2, "dc-a", 2, ""), hospital.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				town, docs := newTokenTown(t), &documents{text: townDocument(1, "dc-a", 1, "")}
				town.valid["x"] = true
				slow := false
				cfg := hospital.Config{Source: docs, SourceEvery: time.Second, Dial: town.config(nil).Dial, AuditRequired: []campus.SystemID{campus.HIS}}
				cfg.Credentials = map[campus.SystemID]hospital.Credential{campus.HIS: hospital.BearerToken("x")}
				cfg.Audit = func(context.Context, hospital.AuditRecord) error {
					if slow {
						time.Sleep(3 * time.Second) //nolint:forbidigo // synctest bubble
					}
					return nil
				}
				require.NoError(t, cfg.Fetch(t.Context()))
				client, err := hospital.New(cfg)
				require.NoError(t, err)
				defer client.Close() //nolint:errcheck // it never fails
				f := client.FHIR(campus.HIS, hospital.As(nurse))
				_, resp, err := fhir.Read[*r4.Patient](t.Context(), f, "1")
				require.NoError(t, err)
				docs.set(c.next, nil)
				slow = true
				_, before := town.counts()
				_, _, err = fhir.Read[*r4.Patient](hospital.SameStore(t.Context(), hospital.OriginOf(resp)), f, "1")
				assert.Equal(t, c.want, hospital.CodeOf(err))
				_, after := town.counts()
				assert.Equal(t, before, after, "nothing is sent")
				slow = false
				req, err := newRequest(t.Context(), "http://his.hospital.invalid/Patient/1")
				require.NoError(t, err)
				if c.want == hospital.ErrNoEndpoint {
					_, err = client.HTTP(campus.HIS, hospital.As(nurse)).Do(req)
					require.ErrorIs(t, err, hospital.ErrNoEndpoint)
				}
			})
		})
	}
}

// A page's cursor belongs to its epoch.
func TestPagesEndWithTheirEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town, docs := newTokenTown(t), &documents{text: townDocument(1, "dc-a", 1, "")}
		town.valid["x"] = true
		cfg := hospital.Config{Source: docs, SourceEvery: time.Second, Dial: town.config(nil).Dial}
		cfg.Credentials = map[campus.SystemID]hospital.Credential{campus.HIS: hospital.BearerToken("x")}
		require.NoError(t, cfg.Fetch(t.Context()))
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		pages := 0
		for _, err = range fhir.Search(t.Context(), client.FHIR(campus.HIS), fhir.For(fhir.SlotStatus.In("free"))) {
			if err != nil {
				break
			}
			pages++
			docs.set(townDocument(2, "dc-a", 2, ""), nil)
			time.Sleep(3 * time.Second) //nolint:forbidigo // synctest bubble
		}
		require.ErrorIs(t, err, fhir.ErrPageLost)
		assert.Equal(t, 1, pages)
	})
}

// A file may be rewritten, replaced by another, or be a link that moves.
func TestFileSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "hospital.yaml")
	s := &hospital.FileSource{Path: path}
	is := func(want string) {
		t.Helper()
		got, err := s.Fetch(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
		_, err = s.Fetch(t.Context())
		require.ErrorIs(t, err, hospital.ErrUnchanged)
	}
	_, err := s.Fetch(t.Context())
	require.Error(t, err)
	assert.NotContains(t, err.Error(), dir)
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o600))
	is("one")
	require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
	is("two")
	other := filepath.Join(dir, ".hospital.yaml.swp")
	require.NoError(t, os.WriteFile(other, []byte("three"), 0o600))
	require.NoError(t, os.Rename(other, path))
	is("three")
	// Kubernetes: the file is a link through ..data, which is renamed over.
	for i, text := range []string{"four", "five"} {
		version := filepath.Join(dir, fmt.Sprintf("..v%d", i))
		require.NoError(t, os.Mkdir(version, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(version, "hospital.yaml"), []byte(text), 0o600))
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if i == 0 {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink(filepath.Join("..data", "hospital.yaml"), path))
		}
		is(text)
	}
	require.NoError(t, os.WriteFile(path, make([]byte, 5<<20), 0o600))
	_, err = s.Fetch(t.Context())
	require.ErrorContains(t, err, "too large")
}

// Half of a document can be sound. A file that is still being written is not taken.
func TestFileThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hospital.yaml")
	require.NoError(t, os.WriteFile(path, []byte("half"), 0o600))
	written := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { written <- os.WriteFile(path, []byte("half and half"), 0o600) })
	s := &hospital.FileSource{Path: path}
	_, err := s.Fetch(t.Context())
	require.ErrorContains(t, err, "being written")
	require.NoError(t, <-written)
	got, err := s.Fetch(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "half and half", string(got))
}

func TestHTTPSource(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	sign := func(text string) string {
		return base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(text)))
	}
	var network memnet.Network
	l, err := network.Listen("localhost:80")
	require.NoError(t, err)
	var mu sync.Mutex
	answer := func(http.ResponseWriter, *http.Request) {}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answer(w, r)
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close() //nolint:errcheck // nothing to be done
	transport := &http.Transport{DialContext: func(ctx context.Context, n, address string) (net.Conn, error) {
		return network.DialContext(ctx, n, address)
	}}
	s := &hospital.HTTPSource{
		URL: "http://localhost/hospital.yaml", Client: &http.Client{Transport: transport}, PublicKey: public,
		Authorize: func(req *http.Request) error { req.Header.Set("Authorization", "Bearer MARK"); return nil },
	}
	fetch := func(h func(w http.ResponseWriter, r *http.Request)) (string, error) {
		mu.Lock()
		answer = h
		mu.Unlock()
		got, err := s.Fetch(t.Context())
		if err != nil {
			assert.NotContains(t, err.Error(), "MARK")
			assert.NotContains(t, err.Error(), "localhost")
		}
		return string(got), err
	}
	got, err := fetch(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer MARK", r.Header.Get("Authorization"))
		assert.Empty(t, r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"1"`)
		w.Header().Set(hospital.SignatureHeader, sign("one"))
		_, _ = io.WriteString(w, "one")
	})
	require.NoError(t, err)
	assert.Equal(t, "one", got)
	_, err = fetch(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, `"1"`, r.Header.Get("If-None-Match"))
		w.WriteHeader(http.StatusNotModified)
	})
	require.ErrorIs(t, err, hospital.ErrUnchanged)
	for name, h := range map[string]func(w http.ResponseWriter, r *http.Request){
		"not signed": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "two") },
		"signed otherwise": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(hospital.SignatureHeader, sign("three"))
			_, _ = io.WriteString(w, "two")
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(hospital.SignatureHeader, "?")
			_, _ = io.WriteString(w, "two")
		},
		"a refusal": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.test/", http.StatusFound)
		},
		"too large": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) },
		"cut":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		_, err = fetch(h)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, hospital.ErrUnchanged, name)
	}
	for _, bad := range []string{"http://config.test/x", "ftp://localhost/x", "://", ""} {
		_, err = (&hospital.HTTPSource{URL: bad}).Fetch(t.Context())
		require.ErrorContains(t, err, "must be https")
	}
}

// A thousand descriptions under load: no call is lost, misrouted or raced.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town, docs := newTokenTown(t), &documents{text: townDocument(1, "dc-a", 1, "")}
		town.valid["x"] = true
		cfg := hospital.Config{Source: docs, SourceEvery: 10 * time.Millisecond, Dial: town.config(nil).Dial}
		cfg.Credentials = map[campus.SystemID]hospital.Credential{campus.HIS: hospital.BearerToken("x")}
		require.NoError(t, cfg.Fetch(t.Context()))
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for ctx.Err() == nil {
					assert.NoError(t, ask(t.Context(), client)) //nolint:testifylint // not the test's goroutine
					time.Sleep(3 * time.Millisecond)            //nolint:forbidigo // synctest bubble
				}
			})
		}
		for v := 2; v <= 1000; v++ {
			home, drained := "dc-a", ""
			if v%2 == 0 {
				home = "dc-b"
			}
			if v%3 == 0 {
				drained = ", drained: true"
			}
			docs.set(townDocument(v, home, v/100+1, drained), nil)
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // synctest bubble
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // synctest bubble
		assert.Equal(t, int64(1000), client.Topology().Version())
		stop()
		all.Wait()
	})
}
