package hospital_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/memnet"
)

// tokenTown is two data centres, each with a token server and a HIS that asks for
// its tokens.
type tokenTown struct {
	network memnet.Network
	mu      sync.Mutex
	forms   []url.Values // of each token request, with its host
	asked   int          // requests to the HIS
	valid   map[string]bool
	// token answers a token request; nil grants a new token of five minutes.
	token func(w http.ResponseWriter, r *http.Request)
	date  func() string // the servers' clock
	lose  bool          // the HIS executes a write and loses its answer

	refuseAt string // a data centre whose HIS refuses everybody
}

func newTokenTown(t *testing.T) *tokenTown {
	t.Helper()
	town := &tokenTown{valid: map[string]bool{}}
	for _, dc := range []string{"dc-a", "dc-b"} {
		town.serve(t, "sso."+dc+".test:443", town.grant)
		town.serve(t, "his."+dc+".test:443", town.his)
	}
	return town
}

func (n *tokenTown) serve(t *testing.T, address string, h http.HandlerFunc) {
	t.Helper()
	l, err := n.network.Listen(address)
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: h}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

func (n *tokenTown) grant(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	n.mu.Lock()
	form := r.PostForm
	form.Set("host", r.Host)
	form.Set("authorization", r.Header.Get("Authorization"))
	if r.Method == http.MethodPost { // and not a probe
		n.forms = append(n.forms, form)
	}
	issue := fmt.Sprintf("token-%d", len(n.forms))
	answer := n.token
	if n.date != nil {
		w.Header().Set("Date", n.date())
	}
	if answer == nil {
		n.valid[issue] = true
	}
	n.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":300}`, issue)
}

func (n *tokenTown) his(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.asked++
	ok := n.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] && (n.refuseAt == "" || !strings.Contains(r.Host, n.refuseAt))
	n.mu.Unlock()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/fhir+json")
	switch {
	case r.Method == http.MethodPost && n.loses():
		panic(http.ErrAbortHandler)
	case strings.HasSuffix(r.URL.Path, "/absent"):
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}`)
	case strings.HasSuffix(r.URL.Path, "/Slot"):
		_, _ = fmt.Fprintf(w, `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://%s/fhir?page=2"}],"entry":[{"resource":{"resourceType":"Slot","id":"1"}}]}`, r.Host)
	default:
		_, _ = io.WriteString(w, `{"resourceType":"Patient","id":"1"}`)
	}
}

func (n *tokenTown) loses() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.lose }

// revoke makes every token invalid.
func (n *tokenTown) revoke() { n.mu.Lock(); defer n.mu.Unlock(); clear(n.valid) }

func (n *tokenTown) counts() (tokens, asked int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.forms), n.asked
}

func (n *tokenTown) config(credential hospital.Credential) hospital.Config {
	d := campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}, {ID: "dc-b", Role: campus.Active}},
		Systems:       []campus.System{{ID: campus.HIS}, {ID: "sso"}},
		Stores:        []campus.Store{{ID: "his"}, {ID: "sso"}},
	}
	dial := map[campus.DataCenterID]failover.DialFunc{}
	for _, dc := range d.DataCenters {
		for _, s := range d.Systems {
			path := map[campus.SystemID]string{campus.HIS: "/fhir", "sso": "/oauth2/token"}[s.ID]
			d.Endpoints = append(d.Endpoints, campus.Endpoint{
				System: s.ID, DataCenter: dc.ID, Store: campus.StoreID(s.ID), AllowPlainHTTP: true,
				URL: fmt.Sprintf("http://%s.%s.test:443%s", s.ID, dc.ID, path),
			})
		}
		dial[dc.ID] = n.network.DialContext
	}
	return hospital.Config{Topology: d, Dial: dial, Credentials: map[campus.SystemID]hospital.Credential{campus.HIS: credential}}
}

func (n *tokenTown) open(t *testing.T, credential hospital.Credential) *hospital.Client {
	t.Helper()
	client, err := hospital.New(n.config(credential))
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func withSecret() hospital.OAuth2 {
	return hospital.OAuth2{
		System: "sso", ClientID: "kiosk", Scopes: []string{"system/*.read", "system/*.write"},
		Secret: func() (string, error) { return "s+cret", nil },
	}
}

// ask reads the one patient.
func ask(ctx context.Context, client *hospital.Client) error {
	op := hospital.Op{Name: "test.Patient", System: campus.HIS}
	_, err := hospital.Read(ctx, client, op, func(ctx context.Context, f *fhir.Client) (*r4.Patient, error) {
		p, _, err := fhir.Read[*r4.Patient](ctx, f, "1")
		return p, err
	})
	return err
}

func TestOneTokenServesEverybody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town := newTokenTown(t)
		client := town.open(t, withSecret())
		everybody := func() {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() { assert.NoError(t, ask(t.Context(), client)) })
			}
			all.Wait()
		}
		everybody()
		tokens, _ := town.counts()
		require.Equal(t, 1, tokens)
		assert.Equal(t, "client_credentials", town.forms[0].Get("grant_type"))
		assert.Equal(t, "system/*.read system/*.write", town.forms[0].Get("scope"))
		assert.Equal(t, "Basic a2lvc2s6cyUyQmNyZXQ=", town.forms[0].Get("authorization"), "RFC 6749: encoded, then joined")
		time.Sleep(4*time.Minute + time.Second) //nolint:forbidigo // synctest bubble
		everybody()
		synctest.Wait()
		tokens, _ = town.counts()
		assert.Equal(t, 2, tokens, "renewed at 80 % of its life, by one, while the old one served")
		time.Sleep(time.Hour) //nolint:forbidigo // synctest bubble
		everybody()
		tokens, _ = town.counts()
		assert.Equal(t, 3, tokens)
	})
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town := newTokenTown(t)
		client := town.open(t, withSecret())
		require.NoError(t, ask(t.Context(), client))
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		town.revoke()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { assert.NoError(t, ask(t.Context(), client)) })
		}
		all.Wait()
		tokens, _ := town.counts()
		assert.Equal(t, 2, tokens, "one renewal for all")

		// A server that refuses every token costs each call a look elsewhere, and the
		// token server nothing.
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		town.mu.Lock()
		town.token = func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"access_token":"useless","token_type":"bearer","expires_in":"300"}`)
		}
		town.mu.Unlock()
		town.revoke()
		for range 20 {
			require.ErrorIs(t, ask(t.Context(), client), hospital.ErrForbidden)
		}
		tokens, asked := town.counts()
		assert.Equal(t, 3, tokens)
		assert.LessOrEqual(t, asked, 41+20*2+2)
		for _, s := range client.Status() {
			assert.Equal(t, failover.Healthy, s.Read, "a refusal is no illness")
		}
	})
}

// One server's refusal, while the token server is away, leaves nobody else without
// the token that is good everywhere else.
func TestOneRefusalDropsNobodysToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town := newTokenTown(t)
		client := town.open(t, withSecret())
		require.NoError(t, ask(t.Context(), client))
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		town.mu.Lock()
		town.token = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
		town.refuseAt = "dc-b"
		town.mu.Unlock()
		client.Drain(failover.Selector{DataCenter: "dc-a", System: campus.HIS})
		require.ErrorIs(t, ask(t.Context(), client), hospital.ErrForbidden)
		client.Restore(failover.Selector{DataCenter: "dc-a"})
		for range 60 {
			require.NoError(t, ask(t.Context(), client))
			time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		}
	})
}

// A clock that a gateway told wrongly is not believed twice.
func TestWrongServerClock(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * 24 * time.Hour) //nolint:forbidigo // a bubble begins in 2000
		town := newTokenTown(t)
		town.date = func() string { return time.Now().Add(8 * time.Hour).UTC().Format(http.TimeFormat) } // local time, called GMT
		town.token = func(w http.ResponseWriter, r *http.Request) {
			claims := checkAssertion(t, r.PostForm.Get("client_assertion"), "ES384", key.Public())
			if off := time.Until(time.Unix(int64(claims["iat"].(float64)), 0)); off.Abs() > time.Minute {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
				return
			}
			town.mu.Lock()
			town.valid["x"] = true
			town.mu.Unlock()
			_, _ = io.WriteString(w, `{"access_token":"x","token_type":"bearer","expires_in":60}`)
		}
		client := town.open(t, hospital.OAuth2{System: "sso", ClientID: "kiosk", Key: key, KeyID: "k1"})
		failed := 0
		for range 30 {
			if ask(t.Context(), client) != nil {
				failed++
			}
			time.Sleep(20 * time.Second) //nolint:forbidigo // synctest bubble
		}
		assert.LessOrEqual(t, failed, 1)
	})
}

// Once is all it takes to keep a write from being sent a third time.
func TestRefusedWriteIsSentOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town := newTokenTown(t)
		client := town.open(t, withSecret())
		require.NoError(t, ask(t.Context(), client))
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		town.revoke()
		_, before := town.counts()
		_, _, err := fhir.Create(t.Context(), client.FHIR(campus.HIS), &r4.Patient{})
		require.NoError(t, err)
		_, after := town.counts()
		assert.Equal(t, 2, after-before)
	})
}

func TestTokenServerFailsOver(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]http.HandlerFunc{
		"500":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>login</html>") },
		"cut":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hang": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				town := newTokenTown(t)
				town.token = func(w http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.Host, "dc-a") {
						bad(w, r)
						return
					}
					town.mu.Lock()
					town.valid["from-b"] = true
					town.mu.Unlock()
					_, _ = io.WriteString(w, `{"access_token":"from-b","token_type":"bearer"}`)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				op := hospital.Op{Name: "test.List", System: campus.HIS, Class: hospital.List} // time enough for the hanging one
				_, err := hospital.Read(ctx, town.open(t, withSecret()), op, func(ctx context.Context, f *fhir.Client) (*r4.Patient, error) {
					p, _, err := fhir.Read[*r4.Patient](ctx, f, "1")
					return p, err
				})
				require.NoError(t, err)
			})
		})
	}
}

// A token server that is down, slow or lying: a typed error in time, that says
// nothing secret, and no storm.
func TestTokenServerThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		reason string
	}{
		"down":                {nil, "cannot be reached"},
		"500":                 {says(500, ""), "cannot be reached"},
		"slow":                {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "too slow"},
		"HTML":                {says(200, "<html>MARKTOKEN</html>"), "no token"},
		"HTML as a refusal":   {says(401, "<html>MARKTOKEN</html>"), "no token"},
		"wrong key":           {says(401, `{"error":"invalid_client","error_description":"MARKTOKEN"}`), "invalid_client"},
		"a reason of its own": {says(400, `{"error":"MARKTOKEN"}`), "without a reason"},
		"no token":            {says(200, `{"token_type":"bearer","expires_in":300}`), "no token"},
		"an empty object":     {says(200, `{}`), "no token"},
		"expires_in -1":       {says(200, `{"access_token":"MARKTOKEN","token_type":"bearer","expires_in":-1}`), "no token"},
		"expires_in 0":        {says(200, `{"access_token":"MARKTOKEN","token_type":"bearer","expires_in":0}`), "no token"},
		"expires_in words":    {says(200, `{"access_token":"MARKTOKEN","token_type":"bearer","expires_in":"soon"}`), "no token"},
		"another type":        {says(200, `{"access_token":"MARKTOKEN","token_type":"mac","expires_in":300}`), "no token"},
		"a token of lines":    {says(200, `{"access_token":"MARK\r\nTOKEN: x","token_type":"bearer","expires_in":300}`), "no token"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.test/", http.StatusFound)
		}, "no token"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				town := newTokenTown(t)
				cfg := town.config(withSecret())
				town.token = c.answer
				if c.answer == nil {
					for i := range cfg.Topology.Endpoints {
						cfg.Topology.Endpoints[i].URL = strings.Replace(cfg.Topology.Endpoints[i].URL, "sso.", "gone.", 1)
					}
				}
				client, err := hospital.New(cfg)
				require.NoError(t, err)
				defer client.Close() //nolint:errcheck // it never fails
				start := time.Now()
				for range 600 { // a minute of ten calls a second
					began := time.Now()
					err := ask(t.Context(), client)
					require.ErrorIs(t, err, hospital.ErrNoToken)
					assert.Contains(t, err.Error(), c.reason)
					assert.NotContains(t, printed(err), "MARK")
					assert.NotContains(t, printed(err), "s+cret")
					assert.LessOrEqual(t, time.Since(began), 5*time.Second+50*time.Millisecond)
					time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest bubble
				}
				tokens, asked := town.counts()
				assert.Zero(t, asked, "nothing is sent without a token")
				assert.LessOrEqual(t, tokens, 10*3+int(time.Since(start)/(20*time.Second))*3, "no storm")
			})
		})
	}
}

func TestHugeLivesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town := newTokenTown(t)
		town.token = func(w http.ResponseWriter, _ *http.Request) {
			town.mu.Lock()
			town.valid["x"] = true
			town.mu.Unlock()
			_, _ = io.WriteString(w, `{"access_token":"x","token_type":"bearer","expires_in":1e300}`)
		}
		client := town.open(t, withSecret())
		require.NoError(t, ask(t.Context(), client))
		time.Sleep(25 * time.Hour) //nolint:forbidigo // synctest bubble
		require.NoError(t, ask(t.Context(), client))
		tokens, _ := town.counts()
		assert.Equal(t, 2, tokens)
	})
}

// SMART Backend Services: a fresh assertion for each attempt, for the endpoint
// that is asked, by the endpoint's clock.
func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for alg, key := range map[string]crypto.Signer{"ES384": p384, "RS384": rsaKey} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(26 * 365 * 24 * time.Hour) //nolint:forbidigo // a bubble begins in 2000
				town := newTokenTown(t)
				ahead := time.Hour
				town.date = func() string { return time.Now().Add(ahead).UTC().Format(http.TimeFormat) }
				town.token = func(w http.ResponseWriter, r *http.Request) {
					claims := checkAssertion(t, r.PostForm.Get("client_assertion"), alg, key.Public())
					assert.Equal(t, "http://"+r.Host+"/oauth2/token", claims["aud"])
					off := time.Until(time.Unix(int64(claims["iat"].(float64)), 0))
					if off.Abs() < 30*time.Minute { // by our clock: the server is an hour ahead
						w.WriteHeader(http.StatusBadRequest)
						_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
						return
					}
					town.mu.Lock()
					town.valid["x"] = true
					town.mu.Unlock()
					_, _ = io.WriteString(w, `{"access_token":"x","token_type":"bearer","expires_in":60}`)
				}
				client := town.open(t, hospital.OAuth2{System: "sso", ClientID: "kiosk", Key: key, KeyID: "k1"})
				require.ErrorIs(t, ask(t.Context(), client), hospital.ErrNoToken)
				for _, s := range client.Status() {
					if s.Endpoint == "sso/dc-a" {
						assert.True(t, s.ClockKnown)
						assert.InDelta(t, ahead.Seconds(), s.ClockOffset.Seconds(), 1)
					}
				}
				time.Sleep(2 * time.Second) //nolint:forbidigo // synctest bubble
				require.NoError(t, ask(t.Context(), client), "the refusal told the server's clock")
				seen := map[string]bool{}
				for _, form := range town.forms {
					claims := checkAssertion(t, form.Get("client_assertion"), alg, key.Public())
					assert.False(t, seen[claims["jti"].(string)], "a jti is good for one use")
					seen[claims["jti"].(string)] = true
					assert.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", form.Get("client_assertion_type"))
				}
			})
		})
	}
}

func checkAssertion(t *testing.T, assertion, alg string, public any) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(assertion, claims, func(token *jwt.Token) (any, error) {
		assert.Equal(t, "k1", token.Header["kid"])
		return public, nil
	}, jwt.WithValidMethods([]string{alg}), jwt.WithoutClaimsValidation())
	if assert.NoError(t, err) {
		assert.True(t, parsed.Valid)
	}
	assert.Equal(t, "kiosk", claims["iss"])
	assert.Equal(t, "kiosk", claims["sub"])
	assert.LessOrEqual(t, claims["exp"].(float64)-claims["iat"].(float64), 300.0)
	return claims
}

func TestOAuth2IsCheckedAtNew(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	town := &tokenTown{}
	for want, change := range map[string]func(*hospital.OAuth2){
		"must be a system":      func(o *hospital.OAuth2) { o.System = "moon" },
		"clientID: must not be": func(o *hospital.OAuth2) { o.ClientID = "" },
		"either secret or key":  func(o *hospital.OAuth2) { o.Key = p256 },
		"ECDSA on P-384":        func(o *hospital.OAuth2) { o.Secret, o.Key = nil, p256 },
	} {
		o := withSecret()
		change(&o)
		_, err := hospital.New(town.config(o))
		require.ErrorContains(t, err, want)
	}
}

// One endpoint may have credentials of its own.
func TestEndpointCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		town := newTokenTown(t)
		town.valid["a"] = true
		cfg := town.config(hospital.BearerToken("wrong"))
		cfg.EndpointCredentials = map[campus.EndpointID]hospital.Credential{"his/dc-b": hospital.BearerToken("a")}
		client, err := hospital.New(cfg)
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // it never fails
		require.NoError(t, ask(t.Context(), client), "dc-a refuses, so the read goes on to dc-b")
	})
}

// identity is a certificate for a name, signed by an authority.
func identity(t *testing.T, name string, parent *x509.Certificate, parentKey crypto.Signer) (tls.Certificate, *x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, cert, key
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	_, ca, caKey := identity(t, "authority", nil, nil)
	_, strangerCA, strangerKey := identity(t, "stranger", nil, nil)
	serverCert, _, _ := identity(t, "his.internal", ca, caKey)
	ours, _, _ := identity(t, "kiosk", ca, caKey)
	theirs, _, _ := identity(t, "kiosk", strangerCA, strangerKey)
	pool := func(c *x509.Certificate) *x509.CertPool { p := x509.NewCertPool(); p.AddCert(c); return p }
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "kiosk", r.TLS.PeerCertificates[0].Subject.CommonName)
		w.Header().Set("Content-Type", "application/fhir+json")
		_, _ = io.WriteString(w, `{"resourceType":"Patient","id":"1"}`)
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(ca)}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	config := func(c *tls.Config) hospital.Config {
		cfg := (&tokenTown{}).config(nil)
		cfg.Dial = nil
		d := &cfg.Topology
		d.Endpoints = d.Endpoints[:1]
		d.Endpoints[0].URL = server.URL
		d.DataCenters, d.Systems, d.Stores = d.DataCenters[:1], d.Systems[:1], d.Stores[:1]
		cfg.TLS = map[campus.EndpointID]*tls.Config{"his/dc-a": c}
		return cfg
	}
	for name, c := range map[string]struct {
		tls  *tls.Config
		want error
	}{
		"as it should be":     {&tls.Config{RootCAs: pool(ca), ServerName: "his.internal", Certificates: []tls.Certificate{ours}}, nil},
		"another authority":   {&tls.Config{RootCAs: pool(strangerCA), ServerName: "his.internal", Certificates: []tls.Certificate{ours}}, hospital.ErrUnavailable},
		"another name":        {&tls.Config{RootCAs: pool(ca), ServerName: "lis.internal", Certificates: []tls.Certificate{ours}}, hospital.ErrUnavailable},
		"no server name":      {&tls.Config{RootCAs: pool(ca), Certificates: []tls.Certificate{ours}}, hospital.ErrUnavailable},
		"a stranger's ours":   {&tls.Config{RootCAs: pool(ca), ServerName: "his.internal", Certificates: []tls.Certificate{theirs}}, hospital.ErrUnavailable},
		"none of ours":        {&tls.Config{RootCAs: pool(ca), ServerName: "his.internal"}, hospital.ErrUnavailable},
		"the machine's trust": {nil, hospital.ErrUnavailable},
	} {
		client, err := hospital.New(config(c.tls))
		require.NoError(t, err)
		err = ask(t.Context(), client)
		if c.want == nil {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, c.want, name)
		}
		require.NoError(t, client.Close())
	}
	_, err := hospital.New(config(&tls.Config{InsecureSkipVerify: true}))
	require.ErrorContains(t, err, "verifies nothing")
}

// TLS 1.1 is refused, whatever a configuration allows.
func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	_, ca, caKey := identity(t, "authority", nil, nil)
	serverCert, _, _ := identity(t, "his.internal", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/fhir+json")
		_, _ = io.WriteString(w, `{"resourceType":"Patient","id":"1"}`)
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, Certificates: []tls.Certificate{serverCert}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	cfg := (&tokenTown{}).config(nil)
	cfg.Dial = nil
	for i := range cfg.Topology.Endpoints[:2] {
		cfg.Topology.Endpoints[i].URL = fmt.Sprintf("%s/%d", server.URL, i)
	}
	cfg.TLS = map[campus.EndpointID]*tls.Config{}
	for _, id := range []campus.EndpointID{"his/dc-a", "his/dc-b"} {
		cfg.TLS[id] = &tls.Config{RootCAs: pool, ServerName: "his.internal", MinVersion: tls.VersionTLS10}
	}
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // it never fails
	require.ErrorIs(t, ask(t.Context(), client), hospital.ErrUnavailable)
}

// A configured proxy is used, by CONNECT; one in the environment is not.
func TestProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://nowhere.test:1")
	t.Setenv("HTTPS_PROXY", "http://nowhere.test:1")
	for name, c := range map[string]struct {
		proxy  string
		answer string
		ok     bool
	}{
		"none":                  {"", "", true},
		"one":                   {"http://user:pass@proxy.test", "HTTP/1.1 200 Connection established\r\n\r\n", true},
		"one that refuses":      {"http://user:pass@proxy.test:80", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", false},
		"one that talks early":  {"http://user:pass@proxy.test:80", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n", false},
		"one that is no proxy":  {"http://user:pass@proxy.test:80", "SSH-2.0-x\r\n", false},
		"one that says nothing": {"http://user:pass@proxy.test:80", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				town := newTokenTown(t)
				town.valid["x"] = true
				seen := make(chan string, 100)
				l, err := town.network.Listen("proxy.test:80")
				require.NoError(t, err)
				t.Cleanup(func() { _ = l.Close() })
				go serveProxy(&town.network, l, c.answer, seen)
				cfg := town.config(hospital.BearerToken("x"))
				if c.proxy != "" {
					cfg.Proxy, err = url.Parse(c.proxy)
					require.NoError(t, err)
				}
				client, err := hospital.New(cfg)
				require.NoError(t, err)
				defer client.Close() //nolint:errcheck // it never fails
				err = ask(t.Context(), client)
				if !c.ok {
					require.ErrorIs(t, err, hospital.ErrUnavailable)
					assert.NotContains(t, printed(err), "pass")
					return
				}
				require.NoError(t, err)
				if c.proxy != "" {
					assert.Equal(t, "CONNECT his.dc-a.test:443 Basic dXNlcjpwYXNz", <-seen)
				}
				assert.Empty(t, seen)
			})
		})
	}
	town := newTokenTown(t)
	cfg := town.config(nil)
	cfg.Proxy = &url.URL{Scheme: "socks5", Host: "proxy.test"}
	_, err := hospital.New(cfg)
	require.ErrorContains(t, err, "must be an http URL")
}

func serveProxy(network *memnet.Network, l net.Listener, answer string, seen chan<- string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close() //nolint:errcheck // nothing to be done
			reader := bufio.NewReader(conn)
			req, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			seen <- req.Method + " " + req.Host + " " + req.Header.Get("Proxy-Authorization")
			if answer == "" {
				_, _ = io.Copy(io.Discard, conn)
				return
			}
			_, _ = io.WriteString(conn, answer)
			if !strings.Contains(answer, "established") {
				return
			}
			far, err := network.DialContext(context.Background(), "tcp", req.Host)
			if err != nil {
				return
			}
			defer far.Close() //nolint:errcheck // nothing to be done
			go func() { _, _ = io.Copy(conn, far) }()
			_, _ = io.Copy(far, reader)
		}()
	}
}

// A hospital that wants each request signed: method, path, date and body under a
// shared secret, by the server's own clock. Signing is a credential like any
// other; it runs once per attempt, so a repeated request is signed anew.
func ExampleCredentialFunc() {
	secret := []byte("shared with the hospital")
	signed := hospital.CredentialFunc(func(ctx context.Context, _ *campus.Endpoint, req *http.Request) error {
		sum := sha256.New()
		if req.GetBody != nil {
			body, err := req.GetBody() // a copy: the body itself is still to be sent
			if err != nil {
				return err
			}
			defer body.Close()
			if _, err := io.Copy(sum, body); err != nil {
				return err
			}
		}
		date := failover.ServerTime(ctx).UTC().Format(http.TimeFormat)
		mac := hmac.New(sha256.New, secret)
		_, _ = fmt.Fprintf(mac, "%s\n%s\n%s\n%x", req.Method, req.URL.RequestURI(), date, sum.Sum(nil))
		req.Header.Set("X-Date", date)
		req.Header.Set("Authorization", "HMAC kiosk:"+hex.EncodeToString(mac.Sum(nil)))
		return nil
	})
	cfg := hospital.Config{Credentials: map[campus.SystemID]hospital.Credential{campus.HIS: signed}}
	fmt.Println(len(cfg.Credentials))
	// Output: 1
}
