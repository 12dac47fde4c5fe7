package hospital_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
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

// The numbers of one person at the three campuses, and another one at the second.
var (
	atHankou   = campus.PatientID{Issuer: fakes.IssuerHankou, Value: "H1"}
	atGuanggu  = campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "G1"}
	atZhongfa  = campus.PatientID{Issuer: fakes.IssuerZhongfa, Value: "Z1"}
	atGuanggu2 = campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "G2"}
)

// record is a Patient as a test says it: its numbers, and the records it names.
type record struct {
	numbers  []campus.PatientID
	old      []campus.PatientID // withdrawn
	links    []string           // names of records, or references as they are
	merged   bool               // into the first of them
	replaces []string           // names of records
	inactive bool
	gone     bool // deleted after all
}

// register makes the records, which link each other by name, and returns their ids.
func register(t *testing.T, f *fhir.Client, records map[string]record) map[string]string {
	t.Helper()
	made := map[string]*r4.Patient{}
	ids := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		p := &r4.Patient{}
		for _, id := range records[name].numbers {
			p.Identifier = append(p.Identifier, r4.Identifier{System: id.Issuer, Value: id.Value})
		}
		for _, id := range records[name].old {
			p.Identifier = append(p.Identifier, r4.Identifier{System: id.Issuer, Value: id.Value, Use: r4.IdentifierUseOld})
		}
		stored, _, err := fhir.Create(t.Context(), f, p)
		require.NoError(t, err)
		made[name], ids[name] = stored, stored.ID
	}
	for name, p := range made {
		for _, to := range records[name].links {
			reference := r4.RefTo("Patient", ids[to])
			if ids[to] == "" {
				reference = &r4.Reference{Reference: to}
			}
			link := r4.PatientLink{Other: reference, Type: r4.LinkTypeSeealso}
			if records[name].merged {
				link.Type, p.Active = r4.LinkTypeReplacedBy, new(bool)
			}
			p.Link = append(p.Link, link)
		}
		for _, to := range records[name].replaces {
			p.Link = append(p.Link, r4.PatientLink{Other: r4.RefTo("Patient", ids[to]), Type: r4.LinkTypeReplaces})
		}
		if records[name].inactive {
			p.Active = new(bool)
		}
		if len(p.Link) > 0 || p.Active != nil {
			_, _, err := fhir.Update(t.Context(), f, p)
			require.NoError(t, err)
		}
	}
	for name, r := range records {
		if r.gone {
			_, err := fhir.Delete(t.Context(), f, made[name])
			require.NoError(t, err)
		}
	}
	return ids
}

// askedBy reads across all campuses with a verb that asks nothing, and returns the
// numbers by which each would have been.
func askedBy(ctx context.Context, c *hospital.Client, id campus.PatientID, opts ...hospital.ReadOption) (map[campus.ID][]string, error) {
	ask := func(ctx context.Context, _ *fhir.Client, p campus.PatientID) iter.Seq2[hospital.Found[askedAs], error] {
		return func(yield func(hospital.Found[askedAs], error) bool) {
			yield(hospital.Found[askedAs]{Resource: askedAs{hospital.CampusOf(ctx), p}}, nil)
		}
	}
	out := map[campus.ID][]string{}
	op := hospital.Op{Name: "test.Ask", System: campus.RIS}
	opts = append([]hospital.ReadOption{hospital.AcrossOrganizations(hospital.Treatment)}, opts...)
	var last error
	for found, err := range hospital.Across(ctx, c, op, id, ask, func(askedAs) string { return "" }, opts...) {
		if last = err; err == nil {
			out[found.Resource.at] = append(out[found.Resource.at], found.Resource.by.Value)
		}
	}
	for _, values := range out {
		slices.Sort(values)
	}
	return out, last
}

type askedAs struct {
	at campus.ID
	by campus.PatientID
}

// What the HIS knows of a person's numbers.
func TestLinkedRecords(t *testing.T) {
	t.Parallel()
	only := func(ids ...campus.PatientID) []campus.PatientID { return ids }
	everywhere := map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}, "zhongfa": {"Z1"}}
	for name, c := range map[string]struct {
		records map[string]record
		want    map[campus.ID][]string
		failed  hospital.Code // at the campuses that are not in want; "" where they are not asked
	}{
		"one record with all numbers": {map[string]record{"a": {numbers: only(atHankou, atGuanggu, atZhongfa)}}, everywhere, ""},
		"links of its own": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"b", "c"}}, "b": {numbers: only(atGuanggu)}, "c": {numbers: only(atZhongfa)},
		}, everywhere, ""},
		"links to it": {map[string]record{
			"a": {numbers: only(atHankou)}, "b": {numbers: only(atGuanggu), links: []string{"a"}}, "c": {numbers: only(atZhongfa), links: []string{"a"}},
		}, everywhere, ""},
		"a chain away from it": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"b"}}, "b": {numbers: only(atGuanggu), links: []string{"c"}}, "c": {numbers: only(atZhongfa)},
		}, everywhere, ""},
		"a chain towards it": {map[string]record{
			"a": {numbers: only(atHankou)}, "b": {numbers: only(atGuanggu), links: []string{"a"}}, "c": {numbers: only(atZhongfa), links: []string{"b"}},
		}, everywhere, ""},
		"a circle": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"b", "a"}}, "b": {numbers: only(atGuanggu), links: []string{"c"}}, "c": {numbers: only(atZhongfa), links: []string{"a"}},
		}, everywhere, ""},
		"two numbers at one campus": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"b"}}, "b": {numbers: only(atGuanggu, atGuanggu2)},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1", "G2"}}, ""},
		"a merged record's number still leads to what was filed under it": {map[string]record{
			"a": {numbers: only(atHankou)}, "b": {numbers: only(atGuanggu), links: []string{"a"}, merged: true},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"asked by a merged record's number": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"b"}, merged: true}, "b": {numbers: only(atGuanggu)},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"what a record says that it replaces, and that stands, is another person's": {map[string]record{
			"a": {numbers: only(atHankou), replaces: []string{"b"}}, "b": {numbers: only(atGuanggu)},
		}, map[campus.ID][]string{"hankou": {"H1"}}, ""},
		"and so the other way": {map[string]record{
			"a": {numbers: only(atHankou)}, "b": {numbers: only(atGuanggu), replaces: []string{"a"}},
		}, map[campus.ID][]string{"hankou": {"H1"}}, ""},
		"it was merged into a third, the link was left": {map[string]record{
			"a": {numbers: only(atHankou), replaces: []string{"b"}}, "b": {numbers: only(atGuanggu), links: []string{"c"}, merged: true}, "c": {numbers: only(atZhongfa)},
		}, map[campus.ID][]string{"hankou": {"H1"}}, ""},
		"what a record replaces is in use no more": {map[string]record{
			"a": {numbers: only(atHankou), replaces: []string{"b"}}, "b": {numbers: only(atGuanggu), inactive: true},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"both say that one replaces the other": {map[string]record{
			"a": {numbers: only(atHankou), replaces: []string{"b"}}, "b": {numbers: only(atGuanggu), links: []string{"a"}, merged: true},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"two linked records of one number": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"b"}}, "b": {numbers: only(atHankou, atGuanggu)},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"two records of one number that nobody linked": {map[string]record{
			"a": {numbers: only(atHankou, atGuanggu)}, "b": {numbers: only(atHankou, atZhongfa)},
		}, map[campus.ID][]string{"hankou": {"H1"}}, hospital.ErrAmbiguousPatient},
		"a withdrawn number": {map[string]record{
			"a": {numbers: only(atHankou), old: only(atGuanggu), links: []string{"b"}}, "b": {numbers: only(atZhongfa), old: only(atGuanggu2)},
		}, map[campus.ID][]string{"hankou": {"H1"}, "zhongfa": {"Z1"}}, ""},
		"nobody": {map[string]record{"b": {numbers: only(atGuanggu)}}, map[campus.ID][]string{"hankou": {"H1"}}, ""},
		"references that lead elsewhere": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{
				"b", "http://evil.test/fhir/Patient/1", "https://his.group.test.evil.test/fhir/Patient/1", "RelatedPerson/1", "#contained", "/Patient/1", "urn:uuid:1", "Patient/b/../1",
			}},
			"b": {numbers: only(atGuanggu)},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"a link to what is gone": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"b", "c"}}, "b": {numbers: only(atZhongfa), gone: true}, "c": {numbers: only(atGuanggu)},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"a link to what never was": {map[string]record{
			"a": {numbers: only(atHankou), links: []string{"Patient/404", "c"}}, "c": {numbers: only(atGuanggu)},
		}, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"sixteen records":                  {clan(16), everywhere, ""},
		"more records than one person has": {clan(17), map[campus.ID][]string{"hankou": {"H1"}}, hospital.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, client := open(t, nil, fakes.WithoutDemoData())
				ids := register(t, client.FHIR(campus.HIS), c.records)
				assert.Len(t, ids, len(c.records))
				before := len(hosp.Ledger().Entries())
				got, err := askedBy(t.Context(), client, atHankou)
				assert.Equal(t, c.want, got)
				assert.Less(t, len(hosp.Ledger().Entries())-before, 70, "requests")
				var partial *hospital.PartialError
				if len(c.want) == 3 {
					require.NoError(t, err)
					return
				}
				require.ErrorAs(t, err, &partial)
				for _, id := range []campus.ID{"guanggu", "zhongfa"} {
					if c.want[id] == nil {
						assert.Equal(t, c.failed, hospital.CodeOf(partial.Failed[id]))
						assert.Equal(t, c.failed == "", slices.Contains(partial.NotAsked, id))
					}
				}
				assertSilent(t, err)
			})
		})
	}
}

// clan is a chain of n records; the last two have numbers of the other campuses.
func clan(n int) map[string]record {
	out := map[string]record{}
	for i := range n {
		r := record{}
		if i == 0 {
			r.numbers = []campus.PatientID{atHankou}
		}
		if i == n-1 {
			r.numbers = []campus.PatientID{atGuanggu, atZhongfa}
		} else {
			r.links = []string{fmt.Sprintf("r%02d", i+1)}
		}
		out[fmt.Sprintf("r%02d", i)] = r
	}
	return out
}

// assertSilent: no route of printing an error names anybody.
func assertSilent(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v %s %q %d %x", err, err, err, err, err, err, err)
	for _, id := range []campus.PatientID{atHankou, atGuanggu, atZhongfa, atGuanggu2} {
		assert.NotContains(t, text, id.Issuer)
		assert.NotContains(t, text, `"`+id.Value+`"`)
		assert.NotContains(t, text, "/"+id.Value)
	}
	assert.NotContains(t, text, "secret")
}

// Neither a record that names hundreds is followed to the end, nor are hundreds that
// name it; that two name each other makes them no more.
func TestLinksAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n             int
		away, towards bool
		requests      int
		want          hospital.Code
	}{
		"it names them":            {60, true, false, 20, hospital.ErrUnexpectedAnswer},
		"they name it":             {60, false, true, 4, hospital.ErrUnexpectedAnswer},
		"fifteen, and each other":  {15, true, true, 33, ""},
		"sixteen, and each other":  {16, true, true, 40, hospital.ErrUnexpectedAnswer},
		"seventeen, of one number": {17, false, false, 2, hospital.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, client := open(t, nil, fakes.WithoutDemoData())
				a := record{numbers: []campus.PatientID{atHankou}}
				records := map[string]record{}
				for i := range c.n {
					name, r := fmt.Sprintf("r%03d", i), record{numbers: []campus.PatientID{atGuanggu}}
					if c.away {
						a.links = append(a.links, name)
					}
					if c.towards {
						r.links = []string{"a"}
					}
					if !c.away && !c.towards {
						r.numbers = a.numbers
					}
					records[name] = r
				}
				records["a"] = a
				register(t, client.FHIR(campus.HIS), records)
				before := len(hosp.Ledger().Entries())
				_, err := askedBy(t.Context(), client, atHankou)
				var partial *hospital.PartialError
				require.ErrorAs(t, err, &partial)
				assert.Equal(t, c.want, hospital.CodeOf(partial.Failed["guanggu"]))
				assert.LessOrEqual(t, len(hosp.Ledger().Entries())-before, c.requests)
			})
		})
	}
}

// A server that cannot be asked who refers to a record is taken at its records' own
// words; one that answers something else is not believed, and is like one that refuses.
func TestLinkSearchesThatFail(t *testing.T) {
	t.Parallel()
	records := map[string]record{
		"a": {numbers: []campus.PatientID{atHankou}, links: []string{"b"}},
		"b": {numbers: []campus.PatientID{atGuanggu}},
		"c": {numbers: []campus.PatientID{atZhongfa}, links: []string{"a"}},
	}
	bundle := func(entry string) string {
		return `{"resourceType":"Bundle","type":"searchset","entry":[` + entry + `]}`
	}
	for name, c := range map[string]struct {
		do     fakes.Action
		want   []campus.ID
		failed hospital.Code
	}{
		"refused": {fakes.Action{Status: 400}, []campus.ID{"guanggu", "hankou"}, ""},
		"a record that does not refer to it": {
			fakes.Action{Status: 200, ContentType: "application/fhir+json", Body: bundle(`{"resource":{"resourceType":"Patient","id":"9","link":[{"other":{"reference":"Patient/8"},"type":"seealso"}]},"search":{"mode":"match"}}`)},
			[]campus.ID{"guanggu", "hankou"},
			"",
		},
		"one of another server's that it names so": {
			fakes.Action{Status: 200, ContentType: "application/fhir+json", Body: bundle(`{"resource":{"resourceType":"Patient","id":"9","link":[{"other":{"reference":"http://evil.test/fhir/Patient/1001"},"type":"seealso"}]},"search":{"mode":"match"}}`)},
			[]campus.ID{"guanggu", "hankou"},
			"",
		},
		"500":       {fakes.Action{Status: 500}, []campus.ID{"hankou"}, hospital.ErrUnavailable},
		"forbidden": {fakes.Action{Status: 403}, []campus.ID{"hankou"}, hospital.ErrForbidden},
		"HTML":      {fakes.Action{Status: 200, Body: "<html>"}, []campus.ID{"hankou"}, hospital.ErrForeignAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, client := open(t, nil, fakes.WithoutDemoData())
				register(t, client.FHIR(campus.HIS), records)
				hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, Interaction: "search-type", Skip: 1}, Do: c.do})
				got, err := askedBy(t.Context(), client, atHankou)
				assert.Equal(t, c.want, slices.Sorted(maps.Keys(got)))
				var partial *hospital.PartialError
				require.ErrorAs(t, err, &partial)
				assert.Equal(t, c.failed, hospital.CodeOf(partial.Failed["zhongfa"]))
				assertSilent(t, err)
			})
		})
	}
}

// Ids belong to one store: where that is lost on the way, its copy, which has other ids,
// is not asked for them.
func TestLinksStayInOneStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, client := open(t, nil, fakes.WithoutDemoData(), fakes.WithReadableStandby())
		register(t, client.FHIR(campus.HIS), map[string]record{
			"a": {numbers: []campus.PatientID{atHankou}, links: []string{"b"}}, "b": {numbers: []campus.PatientID{atGuanggu}},
		})
		pass(2 * time.Minute) // the copy has it all
		for dc, skip := range map[campus.DataCenterID]int{"dc-a": 1, "dc-b": 0} {
			hosp.Break(fakes.Rule{When: fakes.When{System: campus.HIS, DataCenter: dc, Skip: skip}, Do: fakes.Action{Status: 502}})
		}
		_, err := askedBy(t.Context(), client, atHankou)
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial)
		require.ErrorIs(t, partial.Failed["guanggu"], hospital.ErrUnavailable)
		for _, e := range hosp.Ledger().Entries() {
			assert.NotEqual(t, campus.DataCenterID("dr"), e.DataCenter, e.Interaction)
		}
		_, err = askedBy(t.Context(), client, atHankou)
		require.ErrorAs(t, err, &partial)
		require.ErrorIs(t, partial.Failed["guanggu"], hospital.ErrStale, "that nobody else refers to somebody is not a copy's to say")
	})
}

// The look-up has a record of its own in the audit, names the patient, and is
// refused like any other where nobody says who asks.
func TestIdentitiesAreAudited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &auditLog{}
		hosp, client := open(t, func(cfg *hospital.Config) {
			cfg.Audit, cfg.AuditRequired = l.record, []campus.SystemID{campus.HIS}
		})
		id := hosp.Demo().Patients[0]
		_, err := askedBy(t.Context(), client, id, hospital.As(nurse))
		require.ErrorIs(t, err, hospital.ErrPartial)
		var looked []hospital.AuditRecord
		for _, r := range l.take() {
			if r.System == campus.HIS {
				looked = append(looked, r)
			}
		}
		require.Len(t, looked, 2)
		for _, r := range looked {
			assert.Equal(t, "hospital.Identities", r.Op)
			assert.Equal(t, []campus.PatientID{id}, r.Patients)
			assert.Equal(t, nurse.ID, r.Actor.ID)
		}
		before := len(hosp.Ledger().Entries())
		_, err = askedBy(t.Context(), client, id)
		var partial *hospital.PartialError
		require.ErrorAs(t, err, &partial)
		require.ErrorIs(t, partial.Failed["guanggu"], hospital.ErrInvalidArgument)
		assert.Len(t, hosp.Ledger().Entries(), before)
	})
}

type named struct{ patient string }

func (n named) Error() string { return "no entry for " + n.patient }

// An index of the group's own is asked instead of the HIS.
func TestOwnIdentities(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer []campus.PatientID
		err    error
		want   map[campus.ID][]string
		failed hospital.Code
	}{
		"all":                  {[]campus.PatientID{atZhongfa, atGuanggu, atHankou}, nil, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}, "zhongfa": {"Z1"}}, ""},
		"the same twice":       {[]campus.PatientID{atGuanggu, atGuanggu, atHankou}, nil, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, ""},
		"what is no number":    {[]campus.PatientID{{Issuer: fakes.IssuerGuanggu, Value: "a|b"}, {Issuer: fakes.IssuerZhongfa}, {}}, nil, map[campus.ID][]string{"hankou": {"H1"}}, ""},
		"nothing":              {nil, nil, map[campus.ID][]string{"hankou": {"H1"}}, ""},
		"nobody more":          {nil, hospital.ErrNotFound, map[campus.ID][]string{"hankou": {"H1"}}, ""},
		"it fails":             {[]campus.PatientID{atGuanggu}, named{"secret"}, map[campus.ID][]string{"hankou": {"H1"}}, hospital.ErrInternal},
		"it fails with a code": {nil, hospital.ErrAmbiguousPatient, map[campus.ID][]string{"hankou": {"H1"}}, hospital.ErrAmbiguousPatient},
		"it gives up":          {nil, context.DeadlineExceeded, map[campus.ID][]string{"hankou": {"H1"}}, hospital.ErrDeadline},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var looked []campus.PatientID
				hosp, client := open(t, func(cfg *hospital.Config) {
					cfg.Identities = func(_ context.Context, id campus.PatientID) ([]campus.PatientID, error) {
						looked = append(looked, id)
						return c.answer, c.err
					}
				})
				got, err := askedBy(t.Context(), client, atHankou)
				assert.Equal(t, c.want, got)
				assert.Equal(t, []campus.PatientID{atHankou}, looked)
				assert.Empty(t, hosp.Ledger().Entries(), "the HIS is not asked")
				if len(c.want) == 3 {
					require.NoError(t, err)
					return
				}
				var partial *hospital.PartialError
				require.ErrorAs(t, err, &partial)
				assert.Equal(t, c.failed, hospital.CodeOf(partial.Failed["zhongfa"]))
				if c.failed != "" {
					require.ErrorIs(t, err, c.err, "errors.Is finds it")
					var typed *hospital.Error
					require.ErrorAs(t, partial.Failed["zhongfa"], &typed, "in the SDK's own form, which names nobody")
					assert.Equal(t, campus.ID("zhongfa"), typed.Campus)
				}
				assertSilent(t, err)
			})
		})
	}
}

// Nobody is looked up where one number will do.
func TestIdentitiesAreNotAskedWithoutNeed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *campus.Description){
		"one issuer for all": func(d *campus.Description) {
			for i := range d.Campuses {
				d.Campuses[i].PatientIssuer = fakes.IssuerHankou
			}
		},
		"no issuers": func(d *campus.Description) {
			for i := range d.Campuses {
				d.Campuses[i].PatientIssuer = ""
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, client := open(t, func(cfg *hospital.Config) {
					change(&cfg.Topology)
					cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) {
						t.Error("asked")
						return nil, errors.New("asked")
					}
				})
				got, err := askedBy(t.Context(), client, atHankou)
				require.NoError(t, err)
				assert.Equal(t, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"H1"}, "zhongfa": {"H1"}}, got)
			})
		})
	}
}

// The number given need not be the calling campus's.
func TestHomeIsAskedByItsOwnNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := open(t, nil, fakes.WithoutDemoData())
		register(t, client.FHIR(campus.HIS), map[string]record{
			"a": {numbers: []campus.PatientID{atHankou}, links: []string{"b"}}, "b": {numbers: []campus.PatientID{atGuanggu}},
		})
		got, err := askedBy(t.Context(), client, atGuanggu)
		assert.Equal(t, map[campus.ID][]string{"hankou": {"H1"}, "guanggu": {"G1"}}, got)
		require.ErrorIs(t, err, hospital.ErrPartial)
		assert.True(t, strings.HasSuffix(err.Error(), "zhongfa was not asked: no number of the patient's is known there"), err.Error())
	})
}
