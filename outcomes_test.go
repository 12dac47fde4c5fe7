package hospital_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// fetched is what Config.Fetch makes of a second document after a first, and why not.
func fetched(t *testing.T, first, second string) (version int64, err error) {
	t.Helper()
	state := t.TempDir()
	cfg := hospital.Config{Source: &documents{text: first}, StateDir: state}
	require.NoError(t, cfg.Fetch(t.Context()))
	cfg = hospital.Config{Source: &documents{text: second}, StateDir: state, OnTopology: func(e hospital.TopologyEvent) { err = e.Err }}
	require.NoError(t, cfg.Fetch(t.Context()))
	return cfg.Topology.Version, err
}

// stores is the town with other stores; the second endpoint belongs to the second store.
func townStores(version int, stores, second string) string {
	text := strings.Replace(townDocument(version, "dc-a", 1, ""), "stores: [{id: his, epoch: 1}]", "stores: ["+stores+"]", 1)
	at := strings.LastIndex(text, "store: his")
	return text[:at] + "store: " + second + text[at+len("store: his"):]
}

// What may follow: epochs never back, by a hundred at most, and a new writer only with a higher one.
func TestWhatMayFollow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second string
		taken         bool
	}{
		"a hundred epochs":          {townDocument(1, "dc-a", 1, ""), townDocument(2, "dc-a", 101, ""), true},
		"a hundred and one":         {townDocument(1, "dc-a", 1, ""), townDocument(2, "dc-a", 102, ""), false},
		"a new store, any epoch":    {townDocument(1, "dc-a", 1, ""), townStores(2, "{id: his, epoch: 1}, {id: new, epoch: 5000, replicaOf: his, lag: 1s}", "new"), true},
		"writers, no epoch":         {townStores(1, "{id: his, epoch: 1, writers: [dc-a]}", "his"), townStores(2, "{id: his, epoch: 1, writers: [dc-b]}", "his"), false},
		"writers, an epoch":         {townStores(1, "{id: his, epoch: 1, writers: [dc-a]}", "his"), townStores(2, "{id: his, epoch: 2, writers: [dc-b]}", "his"), true},
		"all active, no epoch":      {townStores(1, "{id: his, epoch: 1, writers: [dc-a]}", "his"), townStores(2, "{id: his, epoch: 1}", "his"), false},
		"the same, in other order":  {townStores(1, "{id: his, epoch: 1, writers: [dc-a, dc-b]}", "his"), townStores(2, "{id: his, epoch: 1, writers: [dc-b, dc-a]}", "his"), true},
		"the copy becomes original": {townStores(1, "{id: his, epoch: 1}, {id: z, replicaOf: his, lag: 1s}", "his"), townStores(2, "{id: z, epoch: 1}, {id: his, epoch: 1, replicaOf: z, lag: 1s}", "z"), false},
		"... with a higher epoch":   {townStores(1, "{id: his, epoch: 1}, {id: z, replicaOf: his, lag: 1s}", "his"), townStores(2, "{id: z, epoch: 2}, {id: his, epoch: 2, replicaOf: z, lag: 1s}", "z"), true},
		"the same version, other":   {townDocument(1, "dc-a", 1, ""), townDocument(1, "dc-b", 1, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version, err := fetched(t, c.first, c.second)
			if c.taken {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, hospital.ErrTopology)
			assert.Equal(t, int64(1), version)
		})
	}
}

var sessionOp = hospital.Op{Name: "test.Session", System: campus.HIS, Consistency: hospital.Session}

// A write of unknown outcome may still come: a session waits for that, too.
func TestSessionAfterALostWrite(t *testing.T) {
	t.Parallel()
	const lag, run = 3 * time.Second, 10 * time.Second
	play(t, nil, func(s *stage) {
		ctx := s.t.Context()
		number := hospital.NewNumber()
		_, err := order(ctx, s.client, number)
		require.NoError(s.t, err)
		pass(2 * lag)
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{ResetBefore: true}, Times: 1})
		lost := time.Now()
		_, _, err = fhir.Create(ctx, s.client.FHIR(campus.HIS), serviceRequest(hospital.NewNumber()))
		require.Equal(s.t, hospital.ErrOutcomeUnknown, hospital.CodeOf(err))
		s.hosp.Stop("dc-a")
		s.hosp.Stop("dc-b")
		for time.Since(lost) < run+lag {
			_, err = hospital.Read(ctx, s.client, sessionOp, findOrder(number))
			require.ErrorIs(s.t, err, hospital.ErrUnavailable, "%s", time.Since(lost))
			pass(4 * time.Second)
		}
		o, err := hospital.Read(ctx, s.client, sessionOp, findOrder(number))
		require.NoError(s.t, err)
		assert.Equal(s.t, campus.DataCenterID("dr"), o.DataCenter)
	}, fakes.WithLag(lag), fakes.WithReadableStandby(), fakes.WithContract(campus.Contract{ServerTimeout: run}))
}

// Where nobody writes any more the copy may still be behind what was written.
func TestSessionWithoutAWriter(t *testing.T) {
	t.Parallel()
	const lag = 5 * time.Second
	docs, seen := &documents{}, &events{}
	play(t, following(docs, seen, ""), func(s *stage) {
		ctx := s.t.Context()
		old := hospital.NewNumber()
		_, err := order(ctx, s.client, old)
		require.NoError(s.t, err)
		pass(2 * lag)
		d := s.hosp.Description()
		d.Version++
		d.Endpoints = slices.DeleteFunc(slices.Clone(d.Endpoints), func(e campus.Endpoint) bool { return e.System == campus.HIS && e.DataCenter != "dr" })
		docs.set(document(d), nil)
		_, err = order(ctx, s.client, hospital.NewNumber())
		require.NoError(s.t, err)
		wrote := time.Now()
		pass(1100 * time.Millisecond)
		got := seen.take()
		require.Len(s.t, got, 1)
		require.NoError(s.t, got[0].Err)
		_, err = hospital.Read(ctx, s.client, sessionOp, findOrder(old))
		require.ErrorIs(s.t, err, hospital.ErrUnavailable)
		pass(lag - time.Since(wrote) + time.Second)
		o, err := hospital.Read(ctx, s.client, sessionOp, findOrder(old))
		require.NoError(s.t, err)
		assert.Equal(s.t, campus.DataCenterID("dr"), o.DataCenter)
	}, fakes.WithLag(lag), fakes.WithReadableStandby())
}

// Nor does a caller who repeats at once put a second one into the other store, and who
// asks is not answered by it.
func TestRepeatedLostWriteIsNotSoughtElsewhere(t *testing.T) {
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
		find := func(ctx context.Context, f *fhir.Client) (int, error) {
			_, _, err := fhir.Read[*r4.Patient](ctx, f, "absent")
			return 0, err
		}
		once := func(ctx context.Context) error {
			_, err := hospital.Write(ctx, client, op, "N1",
				func(ctx context.Context, f *fhir.Client) (int, error) {
					sent++
					town.mu.Lock()
					town.lose = sent == 1
					town.mu.Unlock()
					_, _, err := fhir.Create(ctx, f, &r4.Patient{})
					return 0, err
				}, find)
			return err
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, once(hurried), hospital.ErrOutcomeUnknown)
		other := strings.ReplaceAll(townDocument(2, "dc-a", 1, ""), "stores: [{id: his, epoch: 1}]", "stores: [{id: other}]")
		docs.set(strings.ReplaceAll(other, "store: his", "store: other"), nil)
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // synctest bubble
		_, err = hospital.Resolve(t.Context(), client, op, "N1", find)
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
		require.ErrorIs(t, once(t.Context()), hospital.ErrOutcomeUnknown)
		assert.Equal(t, 1, sent, "the first may have been executed where nobody looks now")
	})
}

// A process asks at once what became of an act whose request still runs: it is told
// when that is known, or that it is not.
func TestResolveWaitsForWhatMayRun(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"it waits": time.Minute, "it cannot": 150 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothKinds(t, func(t *testing.T, kind fakes.Option) {
				play(t, nil, func(s *stage) {
					s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{Delay: 400 * time.Millisecond, Late: true}, Times: 1})
					ctx, kill := context.WithTimeout(s.t.Context(), 100*time.Millisecond)
					defer kill()
					number := hospital.NewNumber()
					_, err := order(ctx, s.another("hankou", nil), number)
					require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
					ctx, stop := context.WithTimeout(s.t.Context(), patience)
					defer stop()
					_, err = hospital.Resolve(ctx, s.client, orderOp, number, findOrder(number))
					if patience == time.Minute {
						require.NoError(s.t, err)
						return
					}
					require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
				}, kind)
			})
		})
	}
}

// Repeated waits wherever a second one beside the first could be executed too.
func TestRepeatedWaitsWhereNothingIsProved(t *testing.T) {
	t.Parallel()
	const run = 2 * time.Second
	for name, c := range map[string]struct {
		contract campus.Contract
		op       hospital.Op
		waits    bool
	}{
		"keyed, atomic":             {campus.Contract{ConditionalCreate: campus.Atomic}, orderOp, false},
		"keyed, racy":               {campus.Contract{ConditionalCreate: campus.Racy, Versioning: true}, orderOp, true},
		"keyed, nothing said":       {campus.Contract{Versioning: true}, orderOp, true},
		"unsafe, everything proved": {campus.Contract{ConditionalCreate: campus.Atomic, Versioning: true, UpdateCreate: true}, opaqueOp, true},
		"guarded, versioned":        {campus.Contract{Versioning: true}, amendOp, false},
		"guarded, not versioned":    {campus.Contract{ConditionalCreate: campus.Atomic}, amendOp, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.contract.ServerTimeout = run
			play(t, nil, func(s *stage) {
				start, number := time.Now(), hospital.NewNumber()
				_, err := hospital.Write(s.t.Context(), s.client, c.op, number, func(ctx context.Context, f *fhir.Client) (hospital.Origin, error) {
					_, resp, err := fhir.Create(ctx, f, serviceRequest(number))
					return hospital.OriginOf(resp), err
				}, findOrder(number), hospital.Repeated())
				require.NoError(s.t, err)
				assert.Equal(s.t, c.waits, time.Since(start) >= run)
				assert.Equal(s.t, 1, s.orders(number))
			}, fakes.WithContract(c.contract))
		})
	}
}

// While Write waits for a lost request to end, a description comes that leads to
// another store: that nothing is there says nothing.
func TestDescriptionChangesWhileWriteWaits(t *testing.T) {
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
		sent, moved := 0, false
		_, err = hospital.Write(t.Context(), client, op, "N1",
			func(ctx context.Context, f *fhir.Client) (int, error) {
				sent++
				town.mu.Lock()
				town.lose = sent == 1
				town.mu.Unlock()
				_, _, err := fhir.Create(ctx, f, &r4.Patient{})
				return 0, err
			},
			func(ctx context.Context, f *fhir.Client) (int, error) {
				_, _, err := fhir.Read[*r4.Patient](ctx, f, "absent")
				if sent == 1 && !moved {
					moved = true
					other := strings.ReplaceAll(townDocument(2, "dc-a", 1, ""), "stores: [{id: his, epoch: 1}]", "stores: [{id: other}]")
					docs.set(strings.ReplaceAll(other, "store: his", "store: other"), nil)
				}
				return 0, err
			})
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
		assert.Equal(t, 1, sent)
	})
}

// What was sent by other means than f may run for as long as any server lets it.
func TestUnknownByOtherMeans(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		_, err := hospital.Write(ctx, s.client, opaqueOp, number, func(ctx context.Context, _ *fhir.Client) (hospital.Origin, error) {
			return hospital.Origin{}, hospital.Refuse(hospital.ErrOutcomeUnknown, "lost")
		}, findOrder(number))
		var lost *hospital.Error
		require.ErrorAs(s.t, err, &lost)
		require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
		assert.InDelta(s.t, campus.DefaultServerTimeout, lost.RetryAfter, float64(time.Second))
		_, err = lost.Resolve(s.t.Context())
		require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown, "not yet")
		pass(lost.RetryAfter)
		happened, err := lost.Resolve(s.t.Context())
		require.NoError(s.t, err)
		assert.False(s.t, happened)
	})
}

// Another operation with the same Number knows nothing of the one that was lost.
func TestAnotherOperationForgetsNothing(t *testing.T) {
	t.Parallel()
	const run = 3 * time.Second
	play(t, nil, func(s *stage) {
		number := hospital.NewNumber()
		s.hosp.Break(fakes.Rule{When: atHome, Do: fakes.Action{Delay: run - time.Second, Late: true}, Times: 1})
		ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := opaque(ctx, s.client, number)
		require.ErrorIs(s.t, err, hospital.ErrOutcomeUnknown)
		other := opaqueOp
		other.Name = "test.Other"
		nothing := func(context.Context, *fhir.Client) (int, error) { return 0, nil }
		_, err = hospital.Write(s.t.Context(), s.client, other, number, nothing, nothing)
		require.NoError(s.t, err)
		_, err = opaque(s.t.Context(), s.client, number)
		require.NoError(s.t, err)
		pass(10 * time.Second)
		assert.Equal(s.t, 1, s.orders(number))
	}, fakes.WithContract(campus.Contract{ServerTimeout: run}))
}
