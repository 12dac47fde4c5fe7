package fakes_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/his"
)

// get returns the protocol of an answer, and the error of none.
func (w *wire) get(url string) (string, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url+"/Patient/1001", http.NoBody)
	require.NoError(w.t, err)
	resp, err := w.client.Do(req)
	if err != nil {
		return "", err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Proto, resp.Body.Close()
}

var protocols = map[string]struct {
	option fakes.Option
	proto  string
}{
	"HTTP/1 over TLS": {fakes.WithTLS(), "HTTP/1.1"},
	"HTTP/2":          {fakes.WithHTTP2(), "HTTP/2.0"},
}

// bubbles skips what needs an HTTP/2 server in a bubble: before Go 1.26 the one of
// net/http shares channels between all servers of the process.
func bubbles(t *testing.T, protocol string) {
	t.Helper()
	if protocol == "HTTP/2" && strings.HasPrefix(runtime.Version(), "go1.25") {
		t.Skip("skipped: net/http's HTTP/2 server cannot live in a bubble before Go 1.26")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	for name, c := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubbles(t, name)
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t, c.option)
				_, err := campus.New(hosp.Description())
				require.NoError(t, err)
				w, e := from(t, hosp, "hankou", "his/dc-a")
				assert.Equal(t, "https://his.dc-a.test/fhir", e.URL)
				assert.Equal(t, c.proto == "HTTP/2.0", e.HTTP2)
				proto, err := w.get(e.URL)
				require.NoError(t, err)
				assert.Equal(t, c.proto, proto)
				stranger := dialed(t, hosp)
				_, err = stranger.get(e.URL)
				var unknown x509.UnknownAuthorityError
				require.ErrorAs(t, err, &unknown)
			})
		})
	}
}

// A client of HTTP/1 gets nothing from a server of HTTP/2.
func TestHTTP2Alone(t *testing.T) {
	t.Parallel()
	bubbles(t, "HTTP/2")
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithHTTP2())
		w, e := from(t, hosp, "hankou", "his/dc-a")
		transport := w.client.Transport.(*http.Transport)
		transport.ForceAttemptHTTP2 = false
		_, err := w.get(e.URL)
		require.Error(t, err)
	})
}

func TestTLSOnSockets(t *testing.T) {
	t.Parallel()
	for name, c := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubbles(t, name)
			hosp := fakes.NewHospital(t, c.option, fakes.WithLoopback())
			w, e := from(t, hosp, "guanggu", "his/dc-b")
			proto, err := w.get(e.URL)
			require.NoError(t, err)
			assert.Equal(t, c.proto, proto)
			assert.Contains(t, e.URL, "https://127.0.0.1:")
		})
	}
}

func TestClientOverTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithTLS())
		client, err := hospital.New(hosp.Config())
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		found, err := his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-a"), found.Origin.DataCenter)
	})
}

func TestCertify(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubbles(t, name)
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t, c.option)
				w, e := from(t, hosp, "hankou", "his/dc-a")
				other, there := from(t, hosp, "hankou", "his/dc-b")
				for _, v := range []struct {
					from, to time.Duration
					good     bool
				}{{-day, day, true}, {-2 * day, -day, false}, {day, 2 * day, false}, {-day, time.Hour, true}} {
					hosp.Certify("dc-a", time.Now().Add(v.from), time.Now().Add(v.to))
					assert.Zero(t, hosp.Load("dc-a").OpenConnections, "reset")
					synctest.Wait()
					_, err := w.get(e.URL)
					if v.good {
						require.NoError(t, err)
						continue
					}
					var invalid *tls.CertificateVerificationError
					require.ErrorAs(t, err, &invalid)
					_, err = other.get(there.URL)
					require.NoError(t, err, "the peer's is good")
				}
				time.Sleep(2 * time.Hour) //nolint:forbidigo // synctest bubble
				w.client.CloseIdleConnections()
				_, err := w.get(e.URL)
				require.Error(t, err, "it expires at run time")
			})
		})
	}
}

// What breaks connections does so through TLS, and with HTTP/2 for all that share one.
func TestFaultsOverTLS(t *testing.T) {
	t.Parallel()
	for name, c := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubbles(t, name)
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t, c.option)
				w, e := from(t, hosp, "hankou", "his/dc-a")
				_, err := w.get(e.URL)
				require.NoError(t, err)
				create := fakes.When{Interaction: "create"}
				hosp.Break(fakes.Rule{When: create, Do: fakes.Action{ResetBefore: true}, Times: 1})
				hosp.Break(fakes.Rule{When: create, Do: fakes.Action{ResetAfter: true}, Times: 1})
				for i := range 2 {
					before := hosp.Load("dc-a").Connections
					status, _ := w.send(t.Context(), "POST", e.URL+"/Patient", newcomer, nil)
					assert.Zero(t, status)
					assert.Zero(t, hosp.Load("dc-a").OpenConnections)
					_, err = w.get(e.URL)
					require.NoError(t, err)
					assert.Equal(t, before+1, hosp.Load("dc-a").Connections, "another connection")
					assert.Len(t, hosp.Resources("his", "Patient"), len(hosp.Demo().Patients)+i)
				}
				hosp.Break(fakes.Rule{Do: fakes.Action{CutAfter: 10}, Times: 1})
				status, body := w.send(t.Context(), "GET", e.URL+"/Patient/1001", "", nil)
				assert.Equal(t, 200, status)
				assert.Len(t, body, 10)
				hosp.Stop("dc-a")
				_, err = w.get(e.URL)
				require.Error(t, err)
				require.NoError(t, hosp.Start("dc-a"))
				_, err = w.get(e.URL)
				require.NoError(t, err)
			})
		})
	}
}

// An existing connection goes silent, and new ones are fine elsewhere.
func TestSilenceOverTLS(t *testing.T) {
	t.Parallel()
	for name, c := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubbles(t, name)
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t, c.option)
				w, e := from(t, hosp, "hankou", "his/dc-a")
				for name, silence := range map[string]func(bool){
					"partition": func(on bool) { hosp.Partition("hankou", "dc-a", on) },
					"isolate":   func(on bool) { hosp.Isolate("hankou", on) },
					"hang":      func(on bool) { require.NoError(t, hosp.Hang("dc-a", on)) },
				} {
					require.Equal(t, 200, w.within(second, e.URL), name)
					silence(true)
					start := time.Now()
					assert.Zero(t, w.within(second, e.URL), name)
					assert.Equal(t, second, time.Since(start), name)
					silence(false)
					synctest.Wait()
					w.client.CloseIdleConnections()
				}
			})
		})
	}
}

func TestConnectionClose(t *testing.T) {
	t.Parallel()
	with := map[string]fakes.Option{"HTTP/1": fakes.WithLag(0), "HTTP/1 over TLS": fakes.WithTLS(), "HTTP/2": fakes.WithHTTP2()}
	for name, option := range with {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubbles(t, name)
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t, option)
				w, e := from(t, hosp, "hankou", "his/dc-a")
				slow := fakes.When{Type: "Slot"}
				hosp.Break(fakes.Rule{When: slow, Do: fakes.Action{AnswerDelay: second}})
				hosp.Break(fakes.Rule{When: fakes.When{Type: "Patient"}, Do: fakes.Action{Close: true}})
				var running sync.WaitGroup
				running.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 5*second)
					defer cancel()
					status, _ := w.send(ctx, "GET", e.URL+"/Slot/s1-1", "", nil)
					assert.Equal(t, 200, status, "what runs is finished")
				})
				synctest.Wait()
				for range 3 {
					status, _ := w.send(t.Context(), "GET", e.URL+"/Patient/1001", "", nil)
					assert.Equal(t, 200, status)
					synctest.Wait()
				}
				running.Wait()
				want := 4 // one each
				if e.HTTP2 {
					want = 3 // the first is shared by what ran
				}
				assert.Equal(t, want, hosp.Load("dc-a").Connections)
			})
		})
	}
}
