package hospital_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/memnet"
)

// archive is a system that speaks plain HTTP: two doors to one store and a copy that
// lags, each a server of the test's own, and a client.
type archive struct {
	client *hospital.Client

	mu       sync.Mutex
	handle   map[campus.DataCenterID]http.HandlerFunc
	came     []string // method, data centre, request URI
	attempts []failover.Attempt
}

func (a *archive) on(dc campus.DataCenterID, h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handle[dc] = h
}

// taken is what came since the last look, but for probes.
func (a *archive) taken() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.came
	a.came = nil
	return out
}

func (a *archive) serve(dc campus.DataCenterID, w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	h := a.handle[dc]
	if !strings.HasSuffix(r.URL.Path, "/metadata") {
		a.came = append(a.came, r.Method+" "+string(dc)+" "+r.RequestURI)
	}
	a.mu.Unlock()
	if h != nil {
		h(w, r)
	}
}

func newArchive(t *testing.T, change func(cfg *hospital.Config)) *archive {
	t.Helper()
	a := &archive{handle: map[campus.DataCenterID]http.HandlerFunc{}}
	var network memnet.Network
	cfg := hospital.Config{Dial: map[campus.DataCenterID]failover.DialFunc{}, OnAttempt: func(x failover.Attempt, _ failover.Result) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.attempts = append(a.attempts, x)
	}}
	d := &cfg.Topology
	d.Organizations = []campus.Organization{{ID: "group"}}
	d.Campuses = []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}}
	d.Systems = []campus.System{{ID: campus.PACS}}
	d.Stores = []campus.Store{{ID: "pacs"}, {ID: "copy", ReplicaOf: "pacs", Lag: time.Minute}}
	for _, dc := range []campus.DataCenterID{"dc-a", "dc-b", "dr"} {
		role, store := campus.Active, campus.StoreID("pacs")
		if dc == "dr" {
			role, store = campus.Standby, "copy"
		}
		d.DataCenters = append(d.DataCenters, campus.DataCenter{ID: dc, Role: role})
		d.Endpoints = append(d.Endpoints, campus.Endpoint{
			System: campus.PACS, DataCenter: dc, Store: store, Readable: true, AllowPlainHTTP: true,
			URL: "http://" + string(dc) + "/dicom-web", Aliases: []string{"https://pacs.group.test/dicom-web"},
			Contract: campus.Contract{ServerTimeout: time.Second},
		})
		cfg.Dial[dc] = network.DialContext
		l, err := network.Listen(string(dc) + ":80")
		require.NoError(t, err)
		srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(dc, w, r) })}
		go func() { _ = srv.Serve(l) }()
		t.Cleanup(func() { _ = srv.Close() })
	}
	if change != nil {
		change(&cfg)
	}
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	a.client = client
	return a
}

// look is a verb of one request.
func (a *archive) look(ctx context.Context, op hospital.Op, x hospital.Exchange, uri string, opts ...hospital.ReadOption) (hospital.Origin, error) {
	op.System = campus.PACS
	return hospital.Read(ctx, a.client, op, func(ctx context.Context, _ *fhir.Client) (hospital.Origin, error) {
		resp, err := a.send(ctx, x, http.MethodGet, uri)
		if err != nil {
			return hospital.Origin{}, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return failover.OriginOf(resp), err
	}, opts...)
}

func (a *archive) send(ctx context.Context, x hospital.Exchange, method, uri string) (*http.Response, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	return a.client.Exchange(ctx, x, &http.Request{Method: method, URL: u, Body: http.NoBody})
}

// keep is a verb that writes once, under a Number, and looks by HEAD.
func (a *archive) keep(ctx context.Context, op hospital.Op, x hospital.Exchange, number string) (hospital.Origin, error) {
	op.System = campus.PACS
	step := func(method string, x hospital.Exchange) hospital.Step[hospital.Origin] {
		return func(ctx context.Context, _ *fhir.Client) (hospital.Origin, error) {
			resp, err := a.send(ctx, x, method, "/act")
			if err != nil {
				return hospital.Origin{}, err
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusNotFound {
				return hospital.Origin{}, hospital.ErrNotFound
			}
			return failover.OriginOf(resp), nil
		}
	}
	return hospital.Write(ctx, a.client, op, number, step(http.MethodPost, x), step(http.MethodHead, hospital.Exchange{Repeat: hospital.Safe}))
}

func TestExchangeBelongsToAVerb(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil)
		_, err := a.send(t.Context(), hospital.Exchange{Template: "retrieve study", Repeat: hospital.Safe}, http.MethodGet, "/studies/1")
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		assert.Contains(t, err.Error(), "retrieve study")
		assert.Empty(t, a.taken())
		assert.Empty(t, hospital.CampusOf(t.Context()))
	})
}

// What a verb declares is what the engine is told.
func TestExchangeIsMapped(t *testing.T) {
	t.Parallel()
	type want struct {
		kind             campus.Kind
		attempt, overall time.Duration
		bounded, hedged  bool
	}
	for name, c := range map[string]struct {
		op   hospital.Op
		x    hospital.Exchange
		want want
	}{
		"any":     {hospital.Op{}, hospital.Exchange{Repeat: hospital.Safe}, want{campus.ReadAny, 2 * time.Second, 5 * time.Second, true, true}},
		"session": {hospital.Op{Consistency: hospital.Session}, hospital.Exchange{Repeat: hospital.Safe, Class: hospital.List}, want{campus.ReadAny, 8 * time.Second, 20 * time.Second, true, true}},
		"strong":  {hospital.Op{Consistency: hospital.Strong}, hospital.Exchange{Repeat: hospital.Safe}, want{campus.ReadStrong, 2 * time.Second, 5 * time.Second, true, true}},
		"stream":  {hospital.Op{}, hospital.Exchange{Repeat: hospital.Safe, Class: hospital.Bulk, Stream: true}, want{campus.ReadAny, 2 * time.Minute, time.Hour, false, false}},
		"unsafe":  {hospital.Op{}, hospital.Exchange{Class: hospital.WriteClass}, want{campus.Write, 0, 15 * time.Second, true, false}},
		"keyed":   {hospital.Op{}, hospital.Exchange{Repeat: hospital.Keyed, Class: hospital.Settle}, want{campus.Write, 0, 150 * time.Second, true, false}},
		"guarded": {hospital.Op{}, hospital.Exchange{Repeat: hospital.Guarded, Creates: true, Class: hospital.Bulk, Upload: true}, want{campus.Write, 2 * time.Minute, time.Hour, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newArchive(t, nil)
				control := ""
				a.on("dc-a", func(_ http.ResponseWriter, r *http.Request) { control = r.Header.Get("Cache-Control") })
				c.op.Name, c.x.Template = "test.Op", "some request"
				var err error
				if c.x.Repeat == hospital.Safe {
					_, err = a.look(t.Context(), c.op, c.x, "/studies")
				} else {
					c.op.Class = hospital.Settle
					_, err = a.keep(t.Context(), c.op, c.x, "")
				}
				require.NoError(t, err)
				require.Len(t, a.attempts, 1)
				call := a.attempts[0].Call
				assert.Equal(t, c.want, want{call.Kind, call.AttemptTimeout, call.Timeout, call.MaxBody == a.client.MaxBody(), call.Hedge})
				assert.Equal(t, c.x.Stream, call.MaxBody == 0)
				assert.Equal(t, c.x.Repeat, call.Repeat)
				assert.Equal(t, []bool{c.x.Creates, c.x.Upload}, []bool{call.Creates, call.Upload})
				assert.Equal(t, []string{"test.Op", "some request", "hankou"}, []string{call.Op, call.Template, string(call.Campus)})
				assert.Equal(t, c.want.kind == campus.ReadStrong, control == "no-cache")
			})
		})
	}
}

func TestExchangeIsNotHedgedWhereThatIsOff(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(cfg *hospital.Config){
		"switched off": func(cfg *hospital.Config) { cfg.DisableHedging = true },
		"audited":      func(cfg *hospital.Config) { cfg.Audit = (&auditLog{}).record },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newArchive(t, change)
				_, err := a.look(t.Context(), hospital.Op{}, hospital.Exchange{Repeat: hospital.Safe}, "/studies")
				require.NoError(t, err)
				assert.False(t, a.attempts[0].Call.Hedge)
			})
		})
	}
}

// A client that has just written is not answered by a copy that cannot have it yet.
func TestExchangeKeepsTheSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil)
		session, x := hospital.Op{Consistency: hospital.Session}, hospital.Exchange{Repeat: hospital.Safe}
		dead := func(on bool) {
			for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
				a.on(dc, nil)
				if on {
					a.on(dc, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
				}
			}
		}
		dead(true)
		origin, err := a.look(t.Context(), session, x, "/studies")
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dr"), origin.DataCenter)
		dead(false)
		pass(2 * time.Minute)
		_, err = a.keep(t.Context(), hospital.Op{Class: hospital.WriteClass}, hospital.Exchange{Class: hospital.WriteClass}, "")
		require.NoError(t, err)
		dead(true)
		_, err = a.look(t.Context(), session, x, "/studies")
		require.ErrorIs(t, err, hospital.ErrUnavailable)
		origin, err = a.look(t.Context(), hospital.Op{}, x, "/studies")
		require.NoError(t, err, "who tolerates the lag is answered")
		assert.Equal(t, campus.DataCenterID("dr"), origin.DataCenter)
		dead(false)
		pass(2 * time.Minute)
		dead(true)
		_, err = a.look(t.Context(), session, x, "/studies")
		require.NoError(t, err, "the copy has it by now")
	})
}

// A write whose connection broke is looked for; when it is not there it is sent again,
// elsewhere.
func TestExchangeWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil)
		a.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			panic(http.ErrAbortHandler)
		})
		op := hospital.Op{Name: "test.Keep", Class: hospital.WriteClass}
		origin, err := a.keep(t.Context(), op, hospital.Exchange{Class: hospital.WriteClass}, hospital.NewNumber())
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), origin.DataCenter)
		posts := 0
		for _, line := range a.taken() {
			if strings.HasPrefix(line, "POST") {
				posts++
			}
		}
		assert.Equal(t, 2, posts)
	})
}

// A stream that breaks off is asked for once more, at another site; a verb that ends
// with it says that not all came.
func TestExchangeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil)
		cut := func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/metadata") {
				_, _ = io.WriteString(w, "part")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		}
		a.on("dc-a", cut)
		a.on("dc-b", cut)
		x := hospital.Exchange{Repeat: hospital.Safe, Class: hospital.Bulk, Stream: true}
		_, err := a.look(t.Context(), hospital.Op{}, x, "/studies/1")
		require.ErrorIs(t, err, hospital.ErrIncomplete)
		require.ErrorIs(t, err, hospital.ErrUnavailable)
		assert.Equal(t, []string{"GET dc-a /dicom-web/studies/1"}, a.taken(), "it is the verb that asks again")

		op := hospital.Op{Name: "test.Retrieve", System: campus.PACS}
		_, err = hospital.Read(t.Context(), a.client, op, func(ctx context.Context, _ *fhir.Client) (string, error) {
			for range 3 {
				resp, err := a.send(ctx, x, http.MethodGet, "/studies/1")
				require.NoError(t, err)
				_, x.Again = io.ReadAll(resp.Body)
				require.NoError(t, resp.Body.Close())
			}
			return "", x.Again
		})
		require.NoError(t, err, "the third site has all of it")
		assert.Equal(t, []string{"GET dc-a /dicom-web/studies/1", "GET dc-b /dicom-web/studies/1", "GET dr /dicom-web/studies/1"}, a.taken())
		x.Again = errors.New("of another kind")
		_, err = a.look(t.Context(), hospital.Op{}, x, "/studies/1")
		require.ErrorIs(t, err, hospital.ErrIncomplete)
	})
}

// The verbs' own headers and query go out, beside what every request has; the
// caller's request is left as it is.
func TestExchangeDressesACopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, func(cfg *hospital.Config) {
			cfg.Credentials = map[campus.SystemID]hospital.Credential{campus.PACS: hospital.BearerToken("secret")}
			cfg.Topology.Systems[0].CampusBy = campus.CampusBy{In: "query", Name: "site"}
		})
		var seen http.Header
		a.on("dc-a", func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
		req, err := newRequest(t.Context(), "/studies?PatientID=1")
		require.NoError(t, err)
		req.Header.Set("Accept", "application/dicom+json")
		before := req.Header.Clone()
		_, err = hospital.Read(t.Context(), a.client, hospital.Op{System: campus.PACS}, func(ctx context.Context, _ *fhir.Client) (int, error) {
			assert.Equal(t, campus.ID("hankou"), hospital.CampusOf(ctx))
			resp, err := a.client.Exchange(ctx, hospital.Exchange{Repeat: hospital.Safe}, req)
			require.NoError(t, err)
			assert.NotContains(t, resp.Request.URL.String(), "secret")
			return resp.StatusCode, resp.Body.Close()
		})
		require.NoError(t, err)
		assert.Equal(t, []string{"GET dc-a /dicom-web/studies?PatientID=1&site=hankou"}, a.taken())
		assert.Equal(t, "Bearer secret", seen.Get("Authorization"))
		assert.Equal(t, "application/dicom+json", seen.Get("Accept"))
		assert.NotEmpty(t, seen.Get("X-Request-Id"))
		assert.Contains(t, seen.Get("User-Agent"), "hospital-go/")
		assert.Equal(t, before, req.Header)
		assert.Equal(t, "/studies?PatientID=1", req.URL.String())
	})
}

// For a server that does not decode its queries: as it is what can be, * what cannot.
func TestPlainQuery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sent, want string }{
		"no query":                  {"/studies", "/studies"},
		"plain":                     {"/studies?PatientID=ZY010101", "/studies?PatientID=ZY010101"},
		"Chinese":                   {"/studies?PatientName=%E5%BC%A0%E4%B8%89%E4%B8%B0", "/studies?PatientName=*"},
		"Chinese amid Latin":        {"/studies?PatientName=Zhang%5ESanfeng%3D%E5%BC%A0%5E%E4%B8%89%E4%B8%B0", "/studies?PatientName=Zhang^Sanfeng=*^*"},
		"a space":                   {"/studies?PatientName=Zhang+San%20Feng", "/studies?PatientName=Zhang*San*Feng"},
		"& # % +":                   {"/studies?StudyDescription=a%26b%23c%25d%2Be", "/studies?StudyDescription=a*b*c*d*e"},
		"runs become one":           {"/studies?PatientName=A%E5%BC%A0%26%20%23%E4%B8%89+B", "/studies?PatientName=A*B"},
		"control characters":        {"/studies?PatientName=A%0D%0AHost:%20b%00", "/studies?PatientName=A*Host:*b*"},
		"no UTF-8":                  {"/studies?PatientName=%C5%C5", "/studies?PatientName=*"},
		"wildcards":                 {"/studies?PatientName=Zh%3Fng*", "/studies?PatientName=Zh?ng*"},
		"dates, lists, UIDs":        {"/studies?StudyDate=20260101-20260131&ModalitiesInStudy=CT%2CDR&StudyInstanceUID=1.2%5C3.4&StudyTime=08%3A00", "/studies?StudyDate=20260101-20260131&ModalitiesInStudy=CT,DR&StudyInstanceUID=1.2\\3.4&StudyTime=08:00"},
		"several of one name":       {"/studies?includefield=00080061&includefield=00081030", "/studies?includefield=00080061&includefield=00081030"},
		"names are left as it is":   {"/studies?%E5%BC%A0=1&00100020=%26", "/studies?%E5%BC%A0=1&00100020=*"},
		"empty values":              {"/studies?PatientID=&fuzzymatching=", "/studies?PatientID=&fuzzymatching="},
		"a name alone":              {"/studies?fuzzymatching", "/studies?fuzzymatching"},
		"what cannot be decoded":    {"/studies?PatientName=%zz", "/studies?PatientName=%zz"},
		"the path is left as it is": {"/studies/1.2%2F3?a=%20", "/studies/1.2%2F3?a=*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newArchive(t, func(cfg *hospital.Config) { cfg.Topology.Endpoints[1].DICOMweb.RawQuery = true })
				_, err := a.look(t.Context(), hospital.Op{}, hospital.Exchange{Repeat: hospital.Safe}, c.sent)
				require.NoError(t, err)
				a.on("dc-a", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
				_, err = a.look(t.Context(), hospital.Op{}, hospital.Exchange{Repeat: hospital.Safe}, c.sent)
				require.NoError(t, err)
				assert.Equal(t, []string{"GET dc-a /dicom-web" + c.sent, "GET dc-a /dicom-web" + c.sent, "GET dc-b /dicom-web" + c.want}, a.taken(),
					"one endpoint's way is not another's")
			})
		})
	}
}

// A URL that a server sent leads to that server, or nowhere; it names its campus as
// often as any other request does.
func TestBelow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, url, want string }{ // want "" is refused
		"its own":                    {"", "http://dc-a/dicom-web/bulk/1?x=2", "/dicom-web/bulk/1?x=2"},
		"by its alias":               {"", "https://pacs.group.test/dicom-web/bulk/1", "/dicom-web/bulk/1"},
		"escaped":                    {"", "http://dc-a/dicom-web/bulk/a%2Fb", "/dicom-web/bulk/a%2Fb"},
		"another host":               {"", "http://evil.test/dicom-web/bulk/1", ""},
		"another site's":             {"", "http://dc-b/dicom-web/bulk/1", ""},
		"another port":               {"", "http://dc-a:8080/dicom-web/bulk/1", ""},
		"another scheme":             {"", "https://dc-a/dicom-web/bulk/1", ""},
		"beside the base":            {"", "http://dc-a/admin", ""},
		"base as a prefix":           {"", "http://dc-a/dicom-webbed/1", ""},
		"one that climbs":            {"", "http://dc-a/dicom-web/../admin", ""},
		"one that climbs, escaped":   {"", "http://dc-a/dicom-web/%2e%2e/admin", ""},
		"with a password":            {"", "http://u:p@dc-a@evil.test/dicom-web/1", ""},
		"a host without scheme":      {"", "//evil.test/dicom-web/1", ""},
		"a file":                     {"", "file:///dicom-web/1", ""},
		"its campus in the path":     {"path", "http://dc-a/dicom-web/hk/bulk/1", "/dicom-web/hk/bulk/1"},
		"another campus in the path": {"path", "http://dc-a/dicom-web/gg/bulk/1", ""},
		"none in the path":           {"path", "http://dc-a/dicom-web/bulk/1", ""},
		"its campus in the query":    {"query", "http://dc-a/dicom-web/bulk/1?a=%20b&site=hk", "/dicom-web/bulk/1?a=%20b&site=hk"},
		"another one in the query":   {"query", "http://dc-a/dicom-web/bulk/1?site=gg", ""},
		"none in the query":          {"query", "http://dc-a/dicom-web/bulk/1", "/dicom-web/bulk/1?site=hk"},
		"by a header":                {"header", "http://dc-a/dicom-web/bulk/1", "/dicom-web/bulk/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newArchive(t, func(cfg *hospital.Config) {
					if c.in != "" {
						cfg.Topology.Systems[0].CampusBy = campus.CampusBy{In: c.in, Name: "site", Values: map[campus.ID]string{"hankou": "hk"}}
					}
				})
				origin, err := a.look(t.Context(), hospital.Op{}, hospital.Exchange{Repeat: hospital.Safe}, "/studies")
				require.NoError(t, err)
				a.taken()
				u, err := url.Parse(c.url)
				require.NoError(t, err)
				below, err := a.client.Below(origin, u)
				if c.want == "" {
					require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
					assert.Nil(t, below)
					return
				}
				require.NoError(t, err)
				_, err = a.look(hospital.SameStore(t.Context(), origin), hospital.Op{}, hospital.Exchange{Repeat: hospital.Safe}, below.String())
				require.NoError(t, err)
				assert.Equal(t, []string{"GET dc-a " + c.want}, a.taken())
			})
		})
	}
}

// Its ids belong to one store; where that is left they are not sent at all.
func TestExchangeStaysInItsStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil)
		x := hospital.Exchange{Repeat: hospital.Safe}
		origin, err := a.look(t.Context(), hospital.Op{}, x, "/studies")
		require.NoError(t, err)
		a.taken()
		for _, dc := range []campus.DataCenterID{"dc-a", "dc-b"} {
			a.on(dc, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		}
		_, err = a.look(hospital.SameStore(t.Context(), origin), hospital.Op{}, x, "/bulk/1")
		require.ErrorIs(t, err, hospital.ErrUnavailable)
		for _, line := range a.taken() {
			assert.NotContains(t, line, "dr")
		}
		origin.Epoch++
		_, err = a.look(hospital.SameStore(t.Context(), origin), hospital.Op{}, x, "/bulk/1")
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		assert.Empty(t, a.taken())
	})
}

// Streams in a verb that yields: the audit's record is of how it ended.
func TestExchangeStreamIsAudited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &auditLog{}
		a := newArchive(t, func(cfg *hospital.Config) { cfg.Audit, cfg.AuditRequired = l.record, []campus.SystemID{campus.PACS} })
		a.on("dc-a", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		op := hospital.Op{Name: "test.Retrieve", System: campus.PACS}
		parts := hospital.Stream(t.Context(), a.client, op, func(ctx context.Context, _ *fhir.Client) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				resp, err := a.send(ctx, hospital.Exchange{Repeat: hospital.Safe, Stream: true}, http.MethodGet, "/studies/1")
				require.NoError(t, err)
				defer resp.Body.Close()
				data, err := io.ReadAll(resp.Body)
				_ = yield(string(data), nil) && yield("", err)
			}
		}, hospital.As(nurse))
		var last error
		for part, err := range parts {
			if last = err; err == nil {
				assert.Equal(t, "part", part)
			}
		}
		require.ErrorIs(t, last, hospital.ErrIncomplete)
		got := l.take()
		require.Len(t, got, 2)
		assert.Equal(t, hospital.ErrIncomplete, got[1].Outcome)
	})
}
