package hospital_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
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
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// open starts a hospital and a client; change may adjust the configuration.
func open(t *testing.T, change func(cfg *hospital.Config), opts ...fakes.Option) (*fakes.Hospital, *hospital.Client) {
	t.Helper()
	hosp := fakes.NewHospital(t, opts...)
	cfg := hosp.Config()
	if change != nil {
		change(&cfg)
	}
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return hosp, client
}

func TestNewWorksWithEverySiteDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		for _, dc := range []campus.DataCenterID{"dc-a", "dc-b", "dr"} {
			hosp.Stop(dc)
		}
		client, err := hospital.New(hosp.Config())
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		require.ErrorIs(t, client.Ready(t.Context()), hospital.ErrUnavailable)
		_, err = his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
		require.ErrorIs(t, err, hospital.ErrUnavailable)
		require.NoError(t, hosp.Start("dc-b"))
		require.NoError(t, client.Ready(t.Context()))
		_, err = his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
		require.NoError(t, err)
	})
}

func TestNewReportsMistakes(t *testing.T) {
	t.Parallel()
	_, err := hospital.New(hospital.Config{})
	require.ErrorIs(t, err, campus.ErrInvalid)
	hosp := fakes.NewHospital(t)
	cfg := hosp.Config()
	cfg.Campus = "moon"
	_, err = hospital.New(cfg)
	require.ErrorIs(t, err, campus.ErrUnknownCampus)
	cfg.Campus = ""
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_, err = his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
	require.ErrorIs(t, err, hospital.ErrInvalidArgument, "three campuses, and none said")
}

// 64 goroutines read different patients while the data centre is lost and comes
// back: nobody ever sees another's record.
func TestParallelReadsThroughASwitch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		desk, patients := his.New(client), hosp.Demo().Patients
		var readers sync.WaitGroup
		for i := range 64 {
			readers.Go(func() {
				id := patients[i%len(patients)]
				for range 50 {
					found, err := desk.Patient(t.Context(), id)
					if assert.NoError(t, err) {
						assert.True(t, r4.HasIdentifier(found.Resource.Identifier, id.Issuer, id.Value))
					}
					time.Sleep(time.Duration(i+1) * time.Millisecond) //nolint:forbidigo // synctest bubble
				}
			})
		}
		time.Sleep(300 * time.Millisecond) //nolint:forbidigo // synctest bubble
		hosp.Stop("dc-a")
		time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		require.NoError(t, hosp.Start("dc-a"))
		readers.Wait()
	})
}

// What hostile or broken servers answer, and what the caller is told.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	patient := func(id string) string {
		return `{"resource":{"resourceType":"Patient","id":"9","identifier":[{"system":"` + fakes.IssuerHankou + `","value":"` + id + `"}]},"search":{"mode":"match"}}`
	}
	bundle := func(entries ...string) string {
		return `{"resourceType":"Bundle","type":"searchset","entry":[` + strings.Join(entries, ",") + `]}`
	}
	for name, c := range map[string]struct {
		do   fakes.Action
		want hospital.Code
	}{
		"HTML at 200":                    {fakes.Action{Status: 200, Body: "<html>"}, hospital.ErrForeignAnswer},
		"HTML at 404":                    {fakes.Action{Status: 404, Body: "<html>"}, hospital.ErrForeignAnswer},
		"HTML at 501":                    {fakes.Action{Status: 501, Body: "<html>"}, hospital.ErrForeignAnswer},
		"a gateway's JSON":               {fakes.Action{Status: 200, Body: `{"error":"down"}`, ContentType: "application/json"}, hospital.ErrForeignAnswer},
		"bare 404":                       {fakes.Action{Status: 404, ContentType: "text/plain"}, hospital.ErrForeignAnswer},
		"a resource at 404":              {fakes.Action{Status: 404, Body: bundle(), ContentType: "application/json"}, hospital.ErrForeignAnswer},
		"an outcome at 200":              {fakes.Action{Status: 200, Body: `{"resourceType":"OperationOutcome"}`, ContentType: "application/json"}, hospital.ErrForeignAnswer},
		"a Patient instead of a Bundle":  {fakes.Action{Status: 200, Body: `{"resourceType":"Patient"}`, ContentType: "application/json"}, hospital.ErrForeignAnswer},
		"a redirect":                     {fakes.Action{Status: 302, Body: "<html>"}, hospital.ErrForeignAnswer},
		"half a document":                {fakes.Action{Status: 200, Body: bundle()[:20], ContentType: "application/json"}, hospital.ErrForeignAnswer},
		"deep nesting":                   {fakes.Action{Status: 200, Body: `{"resourceType":"Bundle","x":` + strings.Repeat("[", 100_000), ContentType: "application/json"}, hospital.ErrForeignAnswer},
		"too large":                      {fakes.Action{Status: 200, Body: strings.Repeat(" ", 2<<20), ContentType: "application/json"}, hospital.ErrTooLarge},
		"another patient":                {fakes.Action{Status: 200, Body: bundle(patient("ZY999999")), ContentType: "application/json"}, hospital.ErrFilterIgnored},
		"the patient and another":        {fakes.Action{Status: 200, Body: bundle(patient("ZY010101"), strings.Replace(patient("ZY999999"), `"9"`, `"8"`, 1)), ContentType: "application/json"}, hospital.ErrFilterIgnored},
		"one id, two people":             {fakes.Action{Status: 200, Body: bundle(patient("ZY010101"), patient("ZY999999")), ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"two records":                    {fakes.Action{Status: 200, Body: bundle(patient("ZY010101"), strings.Replace(patient("ZY010101"), `"9"`, `"8"`, 1)), ContentType: "application/json"}, hospital.ErrAmbiguousPatient},
		"a match of another type":        {fakes.Action{Status: 200, Body: bundle(`{"resource":{"resourceType":"Slot","id":"1"}}`), ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"a match without id":             {fakes.Action{Status: 200, Body: bundle(`{"resource":{"resourceType":"Patient"}}`), ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"an entry without resource":      {fakes.Action{Status: 200, Body: bundle(`{}`), ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"duplicate members":              {fakes.Action{Status: 200, Body: `{"resourceType":"Bundle","type":"searchset","type":"history"}`, ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"fewer than counted":             {fakes.Action{Status: 200, Body: `{"resourceType":"Bundle","type":"searchset","total":3}`, ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"history instead of a searchset": {fakes.Action{Status: 200, Body: `{"resourceType":"Bundle","type":"history"}`, ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"next at another host":           {fakes.Action{Status: 200, Body: `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://evil.test/x"}],"entry":[` + patient("ZY010101") + `]}`, ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"next that climbs":               {fakes.Action{Status: 200, Body: `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://his.group.test/fhir/..;/admin"}],"entry":[` + patient("ZY010101") + `]}`, ContentType: "application/json"}, hospital.ErrUnexpectedAnswer},
		"not permitted":                  {fakes.Action{Status: 403}, hospital.ErrForbidden},
		"503 everywhere":                 {fakes.Action{Status: 503, RetryAfter: "7"}, hospital.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, client := open(t, func(cfg *hospital.Config) { cfg.MaxBody = 1 << 20 })
				hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: c.do})
				_, err := his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
				require.ErrorIs(t, err, c.want)
				var e *hospital.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, "his.Patient", e.Op)
				assert.Equal(t, campus.HIS, e.System)
				assert.Equal(t, campus.ID("hankou"), e.Campus)
				assert.NotEmpty(t, e.RequestID)
			})
		})
	}
}

// A body that is small on the wire and large in memory.
func TestLimitHoldsAfterDecompression(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(make([]byte, 8<<20))
		_ = z.Close()
		cfg := hosp.Config()
		cfg.MaxBody = 1 << 20
		for dc := range cfg.Dial {
			l, err := listenGzip(packed.Bytes())
			require.NoError(t, err)
			t.Cleanup(l.close)
			cfg.Dial[dc] = l.dial
		}
		bomb, err := hospital.New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { _ = bomb.Close() })
		_, err = his.New(bomb).Patient(t.Context(), hosp.Demo().Patients[0])
		require.ErrorIs(t, err, hospital.ErrTooLarge)
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		desk, id := his.New(client), hosp.Demo().Patients[0]
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		_, err := desk.Patient(ctx, id)
		require.ErrorIs(t, err, hospital.ErrDeadline)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = desk.Patient(canceled, id)
		require.ErrorIs(t, err, hospital.ErrCanceled)
		assert.Empty(t, hosp.Ledger().Entries(), "nothing was sent")

		hosp.Break(fakes.Rule{Do: fakes.Action{Hang: true}})
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err = desk.Patient(short, id)
		require.ErrorIs(t, err, hospital.ErrDeadline)
		assert.LessOrEqual(t, time.Since(start), 350*time.Millisecond)
		for _, s := range client.Status() {
			assert.Equal(t, failover.Healthy, s.Read, "a hurried caller says nothing about a server")
		}
	})
}

func TestPagesAcrossALostDataCentre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil, fakes.WithPersonality(fakes.Personality{PageSize: 5}))
		f := client.FHIR(campus.HIS)
		seen := map[string]int{}
		for slot, err := range fhir.Matches[*r4.Slot](fhir.Search(t.Context(), f, fhir.Query{Type: "Slot"})) {
			require.NoError(t, err)
			if seen[slot.ID]++; len(seen) == 23 {
				hosp.Stop("dc-a") // the cursor is lost with the server that holds it
			}
		}
		assert.Len(t, seen, 4*48, "every item")
		for id, n := range seen {
			assert.Equal(t, 1, n, id)
		}
	})
}

func TestPagesWithNobodyLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil, fakes.WithPersonality(fakes.Personality{PageSize: 5}))
		n := 0
		var last error
		for _, err := range fhir.Matches[*r4.Slot](fhir.Search(t.Context(), client.FHIR(campus.HIS), fhir.Query{Type: "Slot"})) {
			if last = err; err != nil {
				break
			}
			if n++; n == 5 {
				hosp.Stop("dc-a")
				hosp.Stop("dc-b")
			}
		}
		require.ErrorIs(t, last, fhir.ErrPageLost)
		assert.Equal(t, hospital.ErrPageLost, hospital.CodeOf(last))
	})
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil, fakes.WithBearer("secret-token"))
		_, err := his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
		require.NoError(t, err)
		for name, credential := range map[string]hospital.Credential{
			"wrong": hospital.BearerToken("wrong-token"),
			"basic": hospital.Basic("user", "secret-token"),
			"none":  nil,
			"a source that fails": hospital.Bearer(func(context.Context) (string, error) {
				return "", fmt.Errorf("token endpoint said: secret-token")
			}),
		} {
			cfg := hosp.Config()
			cfg.Credentials = map[campus.SystemID]hospital.Credential{campus.HIS: credential}
			other, err := hospital.New(cfg)
			require.NoError(t, err)
			_, err = his.New(other).Patient(t.Context(), hosp.Demo().Patients[0])
			want := hospital.ErrForbidden
			if name == "a source that fails" {
				want = hospital.ErrNoToken
			}
			require.ErrorIs(t, err, want, name)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "token\"")
			assert.NotContains(t, err.Error(), "secret")
			require.NoError(t, other.Close())
		}
	})
}

func TestEscapeHatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		_, _, err := fhir.Read[*r4.Patient](t.Context(), client.FHIR("erp"), "1")
		assert.Equal(t, hospital.ErrNoEndpoint, hospital.CodeOf(err))
		hosp.Stop("dc-a")
		f := client.FHIR(campus.HIS, hospital.AtCampus("guanggu"))
		patient, resp, err := fhir.Read[*r4.Patient](t.Context(), f, "1001")
		require.NoError(t, err)
		assert.Equal(t, "1001", patient.ID)
		assert.Equal(t, campus.ID("guanggu"), hospital.OriginOf(resp).Campus)
		_, _, err = fhir.Read[*r4.Patient](t.Context(), f, "404")
		require.ErrorIs(t, err, fhir.ErrNotFound)
		assert.Equal(t, hospital.ErrNotFound, hospital.CodeOf(err))

		req, err := newRequest(t.Context(), "http://erp.hospital.invalid/x")
		require.NoError(t, err)
		_, err = client.HTTP("erp").Do(req)
		require.ErrorIs(t, err, hospital.ErrNoEndpoint)
		plain := client.HTTP(campus.HIS)
		req, err = newRequest(t.Context(), "http://his.hospital.invalid/metadata")
		require.NoError(t, err)
		answer, err := plain.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Contains(t, string(body), "CapabilityStatement")
		req, err = newRequest(t.Context(), "http://10.0.0.1/metadata")
		require.NoError(t, err)
		_, err = plain.Do(req)
		require.ErrorIs(t, err, hospital.ErrInvalidArgument, "a foreign address is refused, not rerouted")
	})
}

func TestCampusBy(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"header": "/fhir/metadata hk", "query": "/fhir/metadata?site=hk ", "path": "/fhir/hk/metadata "} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				seen := ""
				_, client := open(t, func(cfg *hospital.Config) {
					cfg.Topology.Systems[0] = campus.System{ID: campus.HIS, CampusBy: campus.CampusBy{In: in, Name: "site", Values: map[campus.ID]string{"hankou": "hk"}}}
					cfg.Adapters = map[campus.EndpointID]http.RoundTripper{"his/dc-a": adapter(func(req *http.Request) (*http.Response, error) {
						seen = req.URL.RequestURI() + " " + req.Header.Get("site")
						return &http.Response{
							StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/fhir+json"}},
							Body: io.NopCloser(strings.NewReader(`{"resourceType":"CapabilityStatement"}`)),
						}, nil
					})}
				})
				_, _, err := fhir.Capabilities(t.Context(), client.FHIR(campus.HIS))
				require.NoError(t, err)
				assert.Equal(t, want, seen)
			})
		})
	}
}

type adapter func(*http.Request) (*http.Response, error)

func (a adapter) RoundTrip(req *http.Request) (*http.Response, error) { return a(req) }

func TestEveryRequestSaysWhoAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var agents, ids []string
		_, client := open(t, func(cfg *hospital.Config) {
			cfg.UserAgent = "desk/1"
			cfg.Adapters = map[campus.EndpointID]http.RoundTripper{"his/dc-a": adapter(func(req *http.Request) (*http.Response, error) {
				agents, ids = append(agents, req.Header.Get("User-Agent")), append(ids, req.Header.Get("X-Request-Id"))
				return &http.Response{StatusCode: http.StatusInternalServerError, Header: http.Header{}, Body: http.NoBody}, nil
			})}
		})
		_, err := his.New(client).Patient(t.Context(), campus.PatientID{Issuer: "urn:x", Value: "1"})
		require.ErrorIs(t, err, hospital.ErrNotFound)
		assert.Equal(t, []string{"desk/1 hospital-go/" + hospital.Version}, agents)
		var e *hospital.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, []string{e.RequestID}, ids)
	})
}

func TestDrainAndRestore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		desk, id := his.New(client), hosp.Demo().Patients[0]
		assert.Equal(t, 5, client.Drain(failover.Selector{DataCenter: "dc-a"}))
		found, err := desk.Patient(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-b"), found.Origin.DataCenter)
		client.Restore(failover.Selector{DataCenter: "dc-a"})
		found, err = desk.Patient(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dc-a"), found.Origin.DataCenter)
	})
}

func TestClosedClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil)
		require.NoError(t, client.Close())
		_, err := his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
		require.ErrorIs(t, err, hospital.ErrClosed)
	})
}

func TestNewNumber(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	last := ""
	for range 1000 {
		n := hospital.NewNumber()
		assert.Len(t, n, 32)
		assert.False(t, seen[n])
		assert.Greater(t, n, last, "in order of time")
		seen[n], last = true, n
	}
}

// One campus is not all of them: the escape hatch says so, instead of asking one.
func TestFHIRDoesNotAskAcrossCampuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := open(t, nil)
		for _, across := range []hospital.ReadOption{hospital.AcrossCampuses(), hospital.AcrossOrganizations(hospital.Treatment)} {
			_, _, err := fhir.Read[*r4.Patient](t.Context(), client.FHIR(campus.HIS, across), "1001")
			require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		}
	})
}

// What was read in the HIS confines no call to the laboratory: AcrossCampuses is refused there.
func TestAcrossIsConfinedByItsOwnSystemOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := open(t, nil)
		_, resp, err := fhir.Read[*r4.Patient](t.Context(), client.FHIR(campus.HIS), "1001")
		require.NoError(t, err)
		ctx := hospital.SameStore(t.Context(), hospital.OriginOf(resp))
		_, _, err = fhir.Read[*r4.Patient](ctx, client.FHIR(campus.LIS, hospital.AcrossCampuses()), "1001")
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}
