package hospital_test

import (
	"context"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
)

// bothKinds runs a scenario that writes against servers whose conditional creates
// race, and against such as hold a lock.
func bothKinds(t *testing.T, scenario func(t *testing.T, kind fakes.Option)) {
	t.Helper()
	for name, atomic := range map[string]bool{"racy": false, "atomic": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, fakes.WithPersonality(fakes.Personality{AtomicCreate: atomic}))
		})
	}
}

func TestScenario01_RefusedConnections(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			healthy := percentile(s.since(time.Time{}, "read"), 0.99)
			fault := time.Now()
			s.hosp.Stop("dc-a")
			s.load(10 * time.Second)
			reads, writes := s.since(fault, "read"), s.since(fault, "write")
			assert.Empty(t, failures(reads))
			assert.Empty(t, failures(writes))
			assert.LessOrEqual(t, percentile(s.since(fault.Add(time.Second), "read"), 0.99), healthy+5*time.Millisecond)
			peer, ok := firstOf(reads, from("dc-b"))
			require.True(t, ok)
			assert.Less(t, peer.began.Sub(fault), 300*time.Millisecond)
			assert.Positive(t, s.reasons["failover"])
			assert.Equal(t, failover.Ejected, s.status("dc-a").Read)
		}, kind)
	})
}

func TestScenario02_BlackHole(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) {
			s.load(5 * time.Second)
			fault := time.Now()
			require.NoError(t, s.hosp.Hang("dc-a", true))
			s.load(10 * time.Second)
			assert.Empty(t, failures(s.since(fault, "read")))
			for _, r := range s.since(fault.Add(2*time.Second), "read") {
				assert.Less(t, r.took, 100*time.Millisecond, "the site is out after 2 s")
			}
			assert.Less(t, percentile(s.since(fault, "read"), 1), 3*time.Second, "nobody waits for a dial for 30 s")
			require.NoError(t, s.hosp.Hang("dc-a", false))
		}, kind)
	})
}

// An HTTP/2 connection on which everything waits goes silent: nobody stays on it.
func TestScenario03_PooledConnection(t *testing.T) {
	t.Parallel()
	if strings.HasPrefix(runtime.Version(), "go1.25") {
		t.Skip("skipped: net/http's HTTP/2 server cannot live in a bubble before Go 1.26; over sockets it is tested")
	}
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		pool := &flows{}
		play(t, watched("dc-a", pool.watch), func(s *stage) {
			pooledConnection(s, pool, 5*time.Second, 10*time.Second, 100*time.Millisecond)
			assert.Equal(s.t, campus.DataCenterID("dc-a"), s.comesHome(3*time.Minute), "over a new connection")
		}, kind, fakes.WithHTTP2())
	})
}

func TestScenario03_PooledConnectionOnSockets(t *testing.T) { //nolint:paralleltest // it measures time
	skipSockets(t)
	pool := &flows{}
	s := raise(t, watched("dc-a", pool.watch), fakes.WithHTTP2(), fakes.WithLoopback())
	pooledConnection(s, pool, 300*time.Millisecond, 3500*time.Millisecond, 500*time.Millisecond)
	s.always()
}

func pooledConnection(s *stage, pool *flows, warm, rest, well time.Duration) {
	s.t.Helper()
	s.load(warm)
	fault, before := time.Now(), pool.count()
	pool.silence()
	s.load(rest)
	assert.Empty(s.t, failures(s.since(fault, "read")))
	assert.Empty(s.t, failures(s.since(fault, "write")))
	for _, r := range append(s.since(fault.Add(3*time.Second), "read"), s.since(fault.Add(3*time.Second), "write")...) {
		assert.Less(s.t, r.took, well, "recovered after 3 s")
	}
	assert.Greater(s.t, pool.count(), before, "a new connection")
}

// watched puts something before every dial of a data centre.
func watched(dc campus.DataCenterID, watch func(failover.DialFunc) failover.DialFunc) func(cfg *hospital.Config) {
	return func(cfg *hospital.Config) { cfg.Dial[dc] = watch(cfg.Dial[dc]) }
}

// comesHome loads until reads are answered by one data centre only, dc-a say, and
// returns that one.
func (s *stage) comesHome(limit time.Duration) campus.DataCenterID {
	s.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); {
		began := time.Now()
		s.loadAt(s.client, 5*time.Second, 10, 0)
		reads := s.since(began, "read")
		assert.Empty(s.t, failures(reads))
		if counted(reads, from("dc-a")) == len(reads) {
			return "dc-a"
		}
	}
	return s.lastOrigin()
}

func (s *stage) lastOrigin() campus.DataCenterID {
	reads := s.since(time.Time{}, "read")
	return reads[len(reads)-1].origin.DataCenter
}

// A site that is ten times slower than it was steps back, though it never fails.
func TestScenario04_TenTimesSlower(t *testing.T) {
	t.Parallel()
	bothKinds(t, func(t *testing.T, kind fakes.Option) {
		play(t, nil, func(s *stage) { tenTimesSlower(s, 10*time.Second, 5*time.Second, 10*time.Second) }, kind)
	})
}

func TestScenario04_TenTimesSlowerOnSockets(t *testing.T) { //nolint:paralleltest // it measures time
	skipSockets(t)
	s := raise(t, nil, fakes.WithLoopback())
	tenTimesSlower(s, 800*time.Millisecond, 3700*time.Millisecond, 400*time.Millisecond)
	s.always()
}

func tenTimesSlower(s *stage, warm, onset, rest time.Duration) {
	s.t.Helper()
	slow := fakes.Action{Delay: 40 * time.Millisecond}
	s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, DataCenter: "dc-b"}, Do: slow})
	healthy := s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, DataCenter: "dc-a"}, Do: slow})
	s.load(warm)
	slow.Delay *= 10
	s.hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, DataCenter: "dc-a"}, Do: slow})
	healthy()
	fault := time.Now()
	requests := s.hosp.Load("dc-a").Requests + s.hosp.Load("dc-b").Requests
	s.load(onset)
	state := s.status("dc-a").Read
	s.load(rest)
	reads := s.since(fault, "read")
	assert.Empty(s.t, failures(reads))
	assert.Empty(s.t, failures(s.since(fault, "write")))
	peer := slices.DeleteFunc(slices.Clone(reads), func(r result) bool { return r.origin.Attempts > 1 || !from("dc-b")(r) })
	assert.LessOrEqual(s.t, percentile(s.since(fault.Add(onset), "read"), 0.99), 2*percentile(peer, 0.99))
	extra := s.hosp.Load("dc-a").Requests + s.hosp.Load("dc-b").Requests - requests - len(reads) - len(s.since(fault, "write"))
	share := 0.05 * float64(len(reads)+len(s.since(fault, "write")))
	assert.LessOrEqual(s.t, float64(extra), max(share, 50), "extra load; to find out costs the hedges of half a second")
	assert.NotEqual(s.t, failover.Healthy, state, "hedges that win do not hide it")
}

// A name that leads nowhere is one site's trouble, and is asked for anew.
func TestScenario19_DNS(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(ctx context.Context, address string) error{
		"an old address where nobody is": func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
		"an old address that refuses":    func(context.Context, string) error { return syscall.ECONNREFUSED },
		"NXDOMAIN": func(_ context.Context, address string) error {
			return &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
		},
		"resolver time-out": func(ctx context.Context, address string) error {
			<-ctx.Done()
			return &net.DNSError{Err: "i/o timeout", Name: address, IsTimeout: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				resolver := &names{}
				play(t, watched("dc-a", resolver.watch), func(s *stage) {
					s.load(5 * time.Second)
					began := time.Now()
					resolver.set(fault)
					s.hosp.Stop("dc-a") // it has moved: the old connections end
					require.NoError(s.t, s.hosp.Start("dc-a"))
					s.load(30 * time.Second)
					assert.Empty(s.t, failures(s.since(began, "read")))
					assert.Empty(s.t, failures(s.since(began, "write")))
					for _, r := range append(s.since(began.Add(2*time.Second), "read"), s.since(began.Add(2*time.Second), "write")...) {
						assert.Less(s.t, r.took, 100*time.Millisecond)
						assert.Equal(s.t, campus.DataCenterID("dc-b"), r.origin.DataCenter)
					}
					assert.LessOrEqual(s.t, percentile(s.since(began, "read"), 1), 600*time.Millisecond, "one dial is waited for")
					assert.Equal(s.t, failover.Ejected, s.status("dc-a").Read)
					assert.Positive(s.t, resolver.dialed(), "asked again")
					resolver.set(nil)
					assert.Equal(s.t, campus.DataCenterID("dc-a"), s.comesHome(3*time.Minute))
					assert.Zero(s.t, s.happened(failover.Healthy, failover.Isolated))
				}, kind)
			})
		})
	}
}

// A certificate that does not hold takes its site out, by name, and nobody talks on without one.
func TestScenario20_Certificate(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, certify := range map[string]func(s *stage){
		"expires at run time": func(s *stage) {
			s.hosp.Certify("dc-a", time.Now().Add(-day), time.Now().Add(5*time.Second))
			s.load(5 * time.Second)
			assert.Equal(s.t, len(s.since(time.Time{}, "read")), counted(s.since(time.Time{}, "read"), from("dc-a")))
			elapse(2 * time.Second)
			s.hosp.Stop("dc-a") // or nobody would shake hands
			assert.NoError(s.t, s.hosp.Start("dc-a"))
		},
		"clock two days off": func(s *stage) {
			s.load(5 * time.Second)
			s.hosp.Certify("dc-a", time.Now().Add(2*day), time.Now().Add(90*day))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				metrics := sdkmetric.NewManualReader()
				play(t, metered(metrics), func(s *stage) {
					certify(s)
					untrusted(s, metrics, 10*time.Second)
				}, kind, fakes.WithTLS())
			})
		})
	}
}

func TestScenario20_CertificateOnSockets(t *testing.T) { //nolint:paralleltest // it measures time
	skipSockets(t)
	metrics := sdkmetric.NewManualReader()
	s := raise(t, metered(metrics), fakes.WithTLS(), fakes.WithLoopback())
	s.load(500 * time.Millisecond)
	s.hosp.Certify("dc-a", time.Now().Add(48*time.Hour), time.Now().Add(96*time.Hour))
	untrusted(s, metrics, 1500*time.Millisecond)
	s.always()
}

func metered(metrics sdkmetric.Reader) func(cfg *hospital.Config) {
	return func(cfg *hospital.Config) {
		cfg.Tracing.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics))
	}
}

func untrusted(s *stage, metrics sdkmetric.Reader, d time.Duration) {
	s.t.Helper()
	fault, before := time.Now(), s.hosp.Load("dc-a").Requests
	s.load(d)
	assert.Empty(s.t, failures(s.since(fault, "read")))
	assert.Empty(s.t, failures(s.since(fault, "write")))
	assert.Equal(s.t, before, s.hosp.Load("dc-a").Requests, "no insecure fallback")
	assert.Empty(s.t, append(s.moves("dc-b", "read"), s.moves("dc-b", "write")...), "the peer is unaffected")
	events := s.moves("dc-a", "read")
	require.NotEmpty(s.t, events)
	assert.True(s.t, slices.ContainsFunc(events, func(e failover.Event) bool { return e.Cause == "certificate" }), "the event names it") // old connections may be reset first
	assert.NotEqual(s.t, failover.Healthy, s.status("dc-a").Read)
	var data metricdata.ResourceMetrics
	require.NoError(s.t, metrics.Collect(s.t.Context(), &data))
	named := map[string]bool{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, p := range sum.DataPoints {
					endpoint, _ := p.Attributes.Value("hospital.endpoint")
					cause, _ := p.Attributes.Value("hospital.cause")
					named[m.Name+" "+endpoint.AsString()+" "+cause.AsString()] = true
				}
			}
		}
	}
	assert.Contains(s.t, named, "hospital.client.endpoint.changes his/dc-a certificate")
}
