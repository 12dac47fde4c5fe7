package hospital_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
)

// acrossOp asks the RIS, whose store is each campus's own.
var acrossOp = hospital.Op{Name: "test.Across", System: campus.RIS, Class: hospital.List}

// group is a hospital whose campuses have a RIS each, an index that knows a person's
// number at each of them, and an audit.
type group struct {
	hosp   *fakes.Hospital
	client *hospital.Client
	log    auditLog
}

// Somebody who has been at all three campuses.
var everyNumber = map[campus.ID]campus.PatientID{
	"hankou":  {Issuer: fakes.IssuerHankou, Value: "ZY010101"},
	"guanggu": {Issuer: fakes.IssuerGuanggu, Value: "ZY010102"},
	"zhongfa": {Issuer: fakes.IssuerZhongfa, Value: "ZY010103"},
}

func newGroup(t *testing.T, change func(cfg *hospital.Config)) *group {
	t.Helper()
	g := &group{}
	g.hosp, g.client = open(t, func(cfg *hospital.Config) {
		cfg.Audit = g.log.record
		cfg.Identities = func(context.Context, campus.PatientID) (out []campus.PatientID, _ error) {
			for _, p := range everyNumber {
				out = append(out, p)
			}
			return out, nil
		}
		if change != nil {
			change(cfg)
		}
	}, fakes.WithOwnStores(campus.RIS))
	return g
}

// onTheWire looks the patient up in the campus's RIS.
func onTheWire(ctx context.Context, f *fhir.Client, p campus.PatientID) iter.Seq2[hospital.Found[string], error] {
	return func(yield func(hospital.Found[string], error) bool) {
		for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.Patient](p.Issuer, p.Value))) {
			if err != nil {
				yield(hospital.Found[string]{}, err)
				return
			}
			for _, m := range page.Matches {
				id := m.(*r4.Patient).Identifier[0]
				if !yield(hospital.Found[string]{Resource: strings.TrimPrefix(id.System, "urn:oid:2.16.156.10011.1.12.") + " " + id.Value, Origin: hospital.OriginOf(page.Response)}, nil) {
					return
				}
			}
		}
	}
}

// asks is a verb's part that needs no server: what each campus yields, at last an
// error if there is one.
type asks map[campus.ID]struct {
	items []string
	err   error
}

func (a asks) at(ctx context.Context, _ *fhir.Client, _ campus.PatientID) iter.Seq2[hospital.Found[string], error] {
	return func(yield func(hospital.Found[string], error) bool) {
		mine := a[hospital.CampusOf(ctx)]
		for _, item := range mine.items {
			if !yield(hospital.Found[string]{Resource: item}, nil) {
				return
			}
		}
		if mine.err != nil {
			yield(hospital.Found[string]{}, mine.err)
		}
	}
}

func itself(s string) string { return s }

// gather reads to the end. The error must be the last pair.
func gather[T any](t *testing.T, seq iter.Seq2[hospital.Found[T], error]) (items []T, last error) {
	t.Helper()
	for found, err := range seq {
		require.NoError(t, last, "nothing comes after an error")
		if last = err; err == nil {
			items = append(items, found.Resource)
		}
	}
	return items, last
}

func (g *group) read(t *testing.T, ask hospital.Ask[string], opts ...hospital.ReadOption) ([]string, error) {
	t.Helper()
	items, err := gather(t, hospital.Across(t.Context(), g.client, acrossOp, everyNumber["hankou"], ask, itself, opts...))
	slices.Sort(items)
	return items, err
}

// Without the option it is a Stream: one campus, the number given, nobody looked up.
func TestAcrossWithoutTheOption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, func(cfg *hospital.Config) {
			cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) {
				t.Error("looked up")
				return nil, nil
			}
		})
		items, err := g.read(t, onTheWire)
		require.NoError(t, err)
		assert.Equal(t, []string{"hankou ZY010101"}, items)
		got := g.log.take()
		require.Len(t, got, 1)
		assert.Equal(t, []campus.PatientID{everyNumber["hankou"]}, got[0].Patients)
		_, err = g.read(t, asks{"hankou": {nil, hospital.ErrNotFound}}.at)
		require.ErrorIs(t, err, hospital.ErrNotFound, "and its errors are the verb's own")
		items, err = g.read(t, onTheWire, hospital.AtCampus("guanggu"))
		require.NoError(t, err)
		assert.Empty(t, items, "the number given, even there")
	})
}

// One's own legal entity, or with a purpose all; each campus by its own number, with a
// record of its own in the audit.
func TestAcrossCampuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts    []hospital.ReadOption
		at      []campus.ID
		purpose hospital.Purpose
	}{
		"own":                          {[]hospital.ReadOption{hospital.AcrossCampuses(), hospital.As(nurse)}, []campus.ID{"guanggu", "hankou"}, hospital.Treatment},
		"own, from the other campus":   {[]hospital.ReadOption{hospital.AtCampus("guanggu"), hospital.As(nurse), hospital.AcrossCampuses()}, []campus.ID{"guanggu", "hankou"}, hospital.Treatment},
		"own, of the other entity":     {[]hospital.ReadOption{hospital.AtCampus("zhongfa"), hospital.As(nurse), hospital.AcrossCampuses()}, []campus.ID{"zhongfa"}, hospital.Treatment},
		"all":                          {[]hospital.ReadOption{hospital.As(nurse), hospital.AcrossOrganizations(hospital.Emergency)}, []campus.ID{"guanggu", "hankou", "zhongfa"}, hospital.Emergency},
		"all, said in another order":   {[]hospital.ReadOption{hospital.AcrossOrganizations(hospital.Emergency), hospital.As(nurse)}, []campus.ID{"guanggu", "hankou", "zhongfa"}, hospital.Emergency},
		"all and own":                  {[]hospital.ReadOption{hospital.AcrossOrganizations(hospital.Emergency), hospital.AcrossCampuses(), hospital.As(nurse)}, []campus.ID{"guanggu", "hankou", "zhongfa"}, hospital.Emergency},
		"all, for a purpose of theirs": {[]hospital.ReadOption{hospital.As(nurse), hospital.AcrossOrganizations("X")}, []campus.ID{"guanggu", "hankou", "zhongfa"}, "X"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, func(cfg *hospital.Config) { cfg.AuditRequired = []campus.SystemID{campus.RIS} })
				items, err := g.read(t, onTheWire, c.opts...)
				require.NoError(t, err)
				want, records := []string{}, map[campus.ID][]hospital.AuditRecord{}
				for _, id := range c.at {
					want = append(want, string(id)+" "+everyNumber[id].Value)
				}
				assert.Equal(t, want, items)
				for _, r := range g.log.take() {
					records[r.Campus] = append(records[r.Campus], r)
				}
				assert.Len(t, records, len(c.at))
				seen := map[string]bool{}
				for id, list := range records {
					require.Len(t, list, 2, "%s: begun and ended", id)
					for _, r := range list {
						assert.Equal(t, "test.Across", r.Op)
						assert.Equal(t, hospital.Actor{ID: nurse.ID, Organization: nurse.Organization, Purpose: c.purpose}, r.Actor)
						assert.Contains(t, r.Patients, everyNumber[id], "by the number there")
						assert.Empty(t, r.Outcome)
					}
					assert.Equal(t, list[0].RequestID, list[1].RequestID)
					assert.False(t, seen[list[0].RequestID])
					seen[list[0].RequestID] = true
				}
			})
		})
	}
}

// Refused before anything is sent.
func TestAcrossRefuses(t *testing.T) {
	t.Parallel()
	across := hospital.AcrossCampuses()
	one := func(ctx context.Context, f *fhir.Client) (string, error) {
		_, _, err := fhir.Read[*r4.Patient](ctx, f, "1001")
		return "", err
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, g *group) error
		want hospital.Code
	}{
		"no purpose": {func(t *testing.T, g *group) error {
			_, err := g.read(t, onTheWire, hospital.As(nurse), hospital.AcrossOrganizations(""))
			return err
		}, hospital.ErrInvalidArgument},
		"no purpose of its own": {func(t *testing.T, g *group) error {
			_, err := g.read(t, onTheWire, hospital.AcrossOrganizations(" "), hospital.As(nurse))
			return err
		}, hospital.ErrInvalidArgument},
		"a campus that is not": {func(t *testing.T, g *group) error {
			_, err := g.read(t, onTheWire, across, hospital.AtCampus("moon"))
			return err
		}, hospital.ErrUnknownCampus},
		"Read": {func(t *testing.T, g *group) error {
			_, err := hospital.Read(t.Context(), g.client, acrossOp, one, across)
			return err
		}, hospital.ErrInvalidArgument},
		"Read beyond": {func(t *testing.T, g *group) error {
			_, err := hospital.Read(t.Context(), g.client, acrossOp, one, hospital.AcrossOrganizations(hospital.Treatment))
			return err
		}, hospital.ErrInvalidArgument},
		"Stream": {func(t *testing.T, g *group) error {
			_, err := gather(t, hospital.Stream(t.Context(), g.client, acrossOp, func(ctx context.Context, f *fhir.Client) iter.Seq2[hospital.Found[string], error] {
				return onTheWire(ctx, f, everyNumber["hankou"])
			}, across))
			return err
		}, hospital.ErrInvalidArgument},
		"Resolve": {func(t *testing.T, g *group) error {
			_, err := hospital.Resolve(t.Context(), g.client, acrossOp, "1", one, across)
			return err
		}, hospital.ErrInvalidArgument},
		"an audited system, and nobody said who": {func(t *testing.T, g *group) error {
			_, err := g.read(t, onTheWire, across)
			return err
		}, hospital.ErrInvalidArgument},
		"a break-glass without a reason": {func(t *testing.T, g *group) error {
			_, err := g.read(t, onTheWire, hospital.As(nurse), hospital.AcrossOrganizations(hospital.BreakGlass))
			return err
		}, hospital.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, func(cfg *hospital.Config) { cfg.AuditRequired = []campus.SystemID{campus.RIS} })
				err := c.do(t, g)
				require.ErrorIs(t, err, c.want)
				var typed *hospital.Error
				require.ErrorAs(t, err, &typed)
				assert.Equal(t, "test.Across", typed.Op)
				assert.Empty(t, g.hosp.Ledger().Entries())
			})
		})
	}
}

// A campus whose system is down: what the others have, and at the end who is missing.
func TestAcrossWithACampusDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, nil)
		g.hosp.StoreDown("ris-guanggu", true)
		items, err := g.read(t, onTheWire, hospital.As(nurse), hospital.AcrossOrganizations(hospital.Emergency))
		assert.Equal(t, []string{"hankou ZY010101", "zhongfa ZY010103"}, items)
		require.ErrorIs(t, err, hospital.ErrPartial)
		require.ErrorIs(t, err, hospital.ErrUnavailable, "the campus's own error is found in it")
		assert.Equal(t, hospital.ErrPartial, hospital.CodeOf(err))
		assert.Equal(t, hospital.ErrPartial, hospital.CodeOf(fmt.Errorf("reading: %w", err)))
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial)
		assert.Len(t, partial.Failed, 1)
		assert.Empty(t, partial.NotAsked)
		var typed *hospital.Error
		require.ErrorAs(t, partial.Failed["guanggu"], &typed)
		assert.Equal(t, campus.ID("guanggu"), typed.Campus)
		assert.Equal(t, campus.RIS, typed.System)
		assert.Contains(t, err.Error(), "guanggu did not answer")
		for _, p := range everyNumber {
			text := fmt.Sprintf("%v %+v %#v %s %q %d", err, err, err, err, err, err)
			assert.NotContains(t, text, p.Value)
			assert.NotContains(t, text, p.Issuer)
		}
		for _, r := range g.log.take() {
			assert.Equal(t, r.Campus == "guanggu", r.Outcome == hospital.ErrUnavailable, "%s: %s", r.Campus, r.Outcome)
		}

		for _, id := range []campus.StoreID{"ris-hankou", "ris-zhongfa"} {
			g.hosp.StoreDown(id, true)
		}
		items, err = g.read(t, onTheWire, hospital.As(nurse), hospital.AcrossCampuses())
		assert.Empty(t, items)
		require.ErrorAs(t, err, &partial, "also when none has answered")
		assert.Len(t, partial.Failed, 2)

		_, err = hospital.Read(t.Context(), g.client, acrossOp, func(context.Context, *fhir.Client) (string, error) { return "", partial })
		require.ErrorIs(t, err, hospital.ErrPartial, "a verb that ends with it is no single campus's failure")
		assert.Equal(t, hospital.ErrPartial, hospital.CodeOf(err))
		require.ErrorAs(t, err, &partial)
	})
}

// Who failed, who was not asked, who has nothing.
func TestAcrossOutcomes(t *testing.T) {
	t.Parallel()
	numbers := func(list ...campus.PatientID) func(cfg *hospital.Config) {
		return func(cfg *hospital.Config) {
			cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) { return list, nil }
		}
	}
	refused := hospital.Refuse(hospital.ErrRefused, "not here")
	for name, c := range map[string]struct {
		change   func(cfg *hospital.Config)
		asks     asks
		items    []string
		failed   map[campus.ID]hospital.Code
		notAsked []campus.ID
	}{
		"nobody has anything":  {nil, asks{}, nil, nil, nil},
		"not found is nothing": {nil, asks{"hankou": {[]string{"a"}, nil}, "guanggu": {nil, hospital.ErrNotFound}, "zhongfa": {nil, fhir.ErrNotFound}}, []string{"a"}, nil, nil},
		"not found at home":    {nil, asks{"hankou": {nil, hospital.ErrNotFound}, "guanggu": {[]string{"a"}, nil}}, []string{"a"}, nil, nil},
		"not found in its middle is a failure": {
			nil, asks{"hankou": {[]string{"a"}, nil}, "guanggu": {[]string{"b"}, hospital.ErrNotFound}}, []string{"a", "b"}, map[campus.ID]hospital.Code{"guanggu": hospital.ErrNotFound}, nil,
		},
		"what came before a failure was shown": {
			nil, asks{"hankou": {[]string{"a"}, nil}, "guanggu": {[]string{"b", "c"}, refused}}, []string{"a", "b", "c"}, map[campus.ID]hospital.Code{"guanggu": hospital.ErrRefused}, nil,
		},
		"all fail": {
			nil,
			asks{"hankou": {nil, refused}, "guanggu": {nil, hospital.ErrStale}, "zhongfa": {nil, errors.New("?")}},
			nil,
			map[campus.ID]hospital.Code{"hankou": hospital.ErrRefused, "guanggu": hospital.ErrStale, "zhongfa": hospital.ErrInternal},
			nil,
		},
		"no number there":         {numbers(everyNumber["guanggu"]), asks{"hankou": {[]string{"a"}, nil}, "guanggu": {[]string{"b"}, nil}, "zhongfa": {[]string{"c"}, nil}}, []string{"a", "b"}, nil, []campus.ID{"zhongfa"}},
		"no number anywhere else": {numbers(), asks{"hankou": {[]string{"a"}, nil}, "guanggu": {[]string{"b"}, nil}}, []string{"a"}, nil, []campus.ID{"guanggu", "zhongfa"}},
		"a campus without numbers of its own": {func(cfg *hospital.Config) {
			numbers()(cfg)
			cfg.Topology.Campuses[2].PatientIssuer = ""
		}, asks{"hankou": {[]string{"a"}, nil}, "zhongfa": {[]string{"c"}, nil}}, []string{"a", "c"}, nil, []campus.ID{"guanggu"}},
		"no number and a failure": {numbers(everyNumber["guanggu"]), asks{"guanggu": {nil, refused}}, nil, map[campus.ID]hospital.Code{"guanggu": hospital.ErrRefused}, []campus.ID{"zhongfa"}},
		"two numbers there": {
			numbers(everyNumber["guanggu"], campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "2"}, everyNumber["zhongfa"]),
			asks{"guanggu": {[]string{"b"}, hospital.ErrNotFound}},
			[]string{"b"},
			map[campus.ID]hospital.Code{"guanggu": hospital.ErrNotFound},
			nil,
		},
		"the look-up fails": {func(cfg *hospital.Config) {
			cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) {
				return nil, hospital.ErrUnavailable
			}
		}, asks{"hankou": {[]string{"a"}, nil}, "guanggu": {[]string{"b"}, nil}}, []string{"a"}, map[campus.ID]hospital.Code{"guanggu": hospital.ErrUnavailable, "zhongfa": hospital.ErrUnavailable}, nil},
		"one thing at two campuses": {nil, asks{"hankou": {[]string{"a", "b", "a"}, nil}, "guanggu": {[]string{"b", "c"}, nil}}, []string{"a", "a", "b", "c"}, nil, nil},
		"what has no key":           {nil, asks{"hankou": {[]string{"", ""}, nil}, "guanggu": {[]string{""}, nil}}, []string{"", "", ""}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, c.change)
				items, err := g.read(t, c.asks.at, hospital.AcrossOrganizations(hospital.Treatment))
				assert.Equal(t, c.items, items)
				if len(c.failed)+len(c.notAsked) == 0 {
					require.NoError(t, err)
					return
				}
				var partial *hospital.PartialError
				require.ErrorAs(t, err, &partial)
				codes := map[campus.ID]hospital.Code(nil)
				for id, err := range partial.Failed {
					if codes == nil {
						codes = map[campus.ID]hospital.Code{}
					}
					codes[id] = hospital.CodeOf(err)
				}
				assert.Equal(t, c.failed, codes)
				assert.Equal(t, c.notAsked, partial.NotAsked)
				for id := range codes {
					assert.Contains(t, err.Error(), string(id)+" did not answer")
				}
			})
		})
	}
}

// What concerns nobody in particular is asked everywhere, and nobody is looked up.
func TestAcrossForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, func(cfg *hospital.Config) {
			cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) {
				t.Error("looked up")
				return nil, nil
			}
		})
		ask := asks{"hankou": {[]string{"a"}, nil}, "guanggu": {[]string{"b"}, nil}, "zhongfa": {[]string{"c"}, nil}}
		items, err := gather(t, hospital.Across(t.Context(), g.client, acrossOp, campus.PatientID{}, ask.at, itself, hospital.AcrossOrganizations(hospital.Research)))
		require.NoError(t, err)
		assert.ElementsMatch(t, []string{"a", "b", "c"}, items)
		for _, r := range g.log.take() {
			assert.Empty(t, r.Patients)
		}
	})
}

// An argument that is wrong is wrong everywhere, and said once.
func TestAcrossInvalidArgument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, nil)
		wrong := hospital.Refuse(hospital.ErrInvalidArgument, "a date")
		items, err := g.read(t, asks{"hankou": {nil, wrong}, "guanggu": {nil, wrong}, "zhongfa": {nil, wrong}}.at, hospital.AcrossOrganizations(hospital.Treatment))
		assert.Empty(t, items)
		assert.Equal(t, hospital.ErrInvalidArgument, hospital.CodeOf(err))
	})
}

// Whoever leaves the loop, by whatever way, leaves nothing behind: the others' requests
// are cancelled, no goroutine stays (the bubble would not end), no endpoint is blamed,
// and what was shown is in the audit.
func TestAcrossLeftEarly(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(seq iter.Seq2[hospital.Found[string], error]){
		"break": func(seq iter.Seq2[hospital.Found[string], error]) {
			for range seq { //nolint:errcheck // it is left
				synctest.Wait() // the others have asked, and wait
				break
			}
		},
		"panic": func(seq iter.Seq2[hospital.Found[string], error]) {
			defer func() { _ = recover() }()
			for range seq { //nolint:errcheck // it is left
				synctest.Wait()
				panic("a bug of the program's")
			}
		},
		"pull": func(seq iter.Seq2[hospital.Found[string], error]) {
			next, stop := iter.Pull2(seq)
			_, _, _ = next()
			synctest.Wait()
			stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, nil)
				g.hosp.Break(fakes.Rule{When: fakes.When{System: campus.RIS, Skip: 1}, Do: fakes.Action{Hang: true}})
				start := time.Now()
				leave(hospital.Across(t.Context(), g.client, acrossOp, everyNumber["hankou"], onTheWire, itself, hospital.As(nurse), hospital.AcrossOrganizations(hospital.Treatment)))
				assert.Zero(t, time.Since(start), "nobody is waited for")
				for _, s := range g.client.Status() {
					assert.Zero(t, s.InFlight, s.Endpoint)
					assert.Equal(t, failover.Healthy, s.Read)
				}
				ended := map[campus.ID]hospital.Code{}
				for _, r := range g.log.take() {
					ended[r.Campus] = r.Outcome
				}
				assert.Len(t, ended, 3, "every campus that was asked has its record")
				outcomes := map[hospital.Code]int{}
				for _, o := range ended {
					outcomes[o]++
				}
				assert.Equal(t, map[hospital.Code]int{"": 1, hospital.ErrCanceled: 2}, outcomes)
			})
		})
	}
}

// A loop that nobody runs asks nobody; one sequence may be run twice.
func TestAcrossIsLazy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, nil)
		seq := hospital.Across(t.Context(), g.client, acrossOp, everyNumber["hankou"], onTheWire, itself, hospital.AcrossCampuses())
		synctest.Wait()
		assert.Empty(t, g.hosp.Ledger().Entries())
		for range 2 {
			items, err := gather(t, seq)
			require.NoError(t, err)
			assert.Len(t, items, 2)
		}
	})
}

// crowd adds campuses to the group, each with the same servers.
func crowd(n int) func(cfg *hospital.Config) {
	return func(cfg *hospital.Config) {
		for i := range cfg.Topology.Campuses {
			cfg.Topology.Campuses[i].PatientIssuer = ""
		}
		for i := range n {
			cfg.Topology.Campuses = append(cfg.Topology.Campuses, campus.Campus{ID: campus.ID(fmt.Sprintf("c%02d", i)), Organization: "group", Home: "dc-a"})
		}
	}
}

// Twenty campuses are not asked all at once, and home among the first.
func TestAcrossIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, crowd(20))
		var now, most, all atomic.Int32
		ask := func(ctx context.Context, _ *fhir.Client, _ campus.PatientID) iter.Seq2[hospital.Found[string], error] {
			return func(yield func(hospital.Found[string], error) bool) {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				all.Add(1)
				pass(time.Second)
				yield(hospital.Found[string]{Resource: string(hospital.CampusOf(ctx))}, nil)
			}
		}
		op := acrossOp
		op.System = campus.LIS // one for all
		start := time.Now()
		items, err := gather(t, hospital.Across(t.Context(), g.client, op, everyNumber["hankou"], ask, itself, hospital.AcrossCampuses()))
		require.NoError(t, err)
		assert.Len(t, items, 22)
		assert.EqualValues(t, 4, most.Load())
		assert.EqualValues(t, 22, all.Load())
		assert.Equal(t, 6*time.Second, time.Since(start))
	})
}

// The caller's time is for all of them: those it did not reach are named, with the
// reason, and were not asked.
func TestAcrossOutOfTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(ctx context.Context) (context.Context, context.CancelFunc)
		code  hospital.Code
		cause error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 1500*time.Millisecond)
		}, hospital.ErrDeadline, context.DeadlineExceeded},
		"canceled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(1500*time.Millisecond, cancel)
			return ctx, cancel
		}, hospital.ErrCanceled, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, crowd(10))
				g.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS}, Do: fakes.Action{Delay: time.Second}})
				ctx, cancel := c.end(t.Context())
				defer cancel()
				op := acrossOp
				op.System = campus.LIS
				var mu sync.Mutex
				asked := map[campus.ID]bool{}
				ask := func(ctx context.Context, f *fhir.Client, p campus.PatientID) iter.Seq2[hospital.Found[string], error] {
					mu.Lock()
					defer mu.Unlock()
					asked[hospital.CampusOf(ctx)] = true
					return onTheWire(ctx, f, p)
				}
				start := time.Now()
				_, err := gather(t, hospital.Across(ctx, g.client, op, everyNumber["hankou"], ask, itself, hospital.AcrossCampuses()))
				assert.Equal(t, 1500*time.Millisecond, time.Since(start))
				var partial *hospital.PartialError
				require.ErrorAs(t, err, &partial)
				assert.Len(t, partial.Failed, 12-4, "four had been answered")
				require.ErrorIs(t, err, c.cause)
				for id, err := range partial.Failed {
					assert.Equal(t, c.code, hospital.CodeOf(err), id)
					require.ErrorIs(t, err, c.cause, id)
				}
				assert.Len(t, asked, 8)
				for _, s := range g.client.Status() {
					assert.Equal(t, failover.Healthy, s.Read)
				}
			})
		})
	}
}
