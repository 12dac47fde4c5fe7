package fakes_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// One suite against the fake and against a FHIR server that no one here wrote
// (HOSPITAL_FHIR_PEER names its base URL; internal/peers/medplum starts one). What a
// server is known not to do is listed by name: a change of the list fails.

// gaps of each server, by case.
var gaps = map[string]map[string]string{
	"fake": {},
	"peer": {
		"create as: an existing id is refused":       "ignores If-None-Match: *",
		"decimals keep their digits":                 "keeps numbers as JavaScript's",
		"search: _has":                               "refuses reverse chains",
		"search: _elements, marked as not all there": "ignores _elements",
	},
}

var errCase = errors.New("not as it should be")

func want(ok bool, what string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%w: "+what, append([]any{errCase}, args...)...)
}

func wantIs(err, target error) error {
	return want(errors.Is(err, target), "want %v, got %v", target, err)
}

func number() r4.Identifier {
	return r4.Identifier{System: "urn:hospital-go:conformance", Value: hospital.NewNumber()}
}

func somebody(id r4.Identifier) *r4.Patient {
	return &r4.Patient{Identifier: []r4.Identifier{id}, Name: []r4.HumanName{{Family: "钱", Given: []string{"多多"}}}, BirthDate: "1990"}
}

func clinic(id r4.Identifier, name string) *r4.Organization {
	return &r4.Organization{Identifier: []r4.Identifier{id}, Name: name}
}

func slotOf(schedule string, at time.Time) *r4.Slot {
	return &r4.Slot{
		Schedule: r4.RefTo("Schedule", schedule), Status: r4.SlotStatusFree,
		Start: at.Format(time.RFC3339), End: at.Add(10 * time.Minute).Format(time.RFC3339),
	}
}

var china = time.FixedZone("+08:00", 8*60*60)

var cases = map[string]func(ctx context.Context, f *fhir.Client) error{
	"capabilities": func(ctx context.Context, f *fhir.Client) error {
		c, _, err := fhir.Capabilities(ctx, f)
		if err != nil {
			return err
		}
		return want(c.FhirVersion == r4.FHIRVersion401, "version %s", c.FhirVersion)
	},
	"read: what is not there": func(ctx context.Context, f *fhir.Client) error {
		_, _, err := fhir.Read[*r4.Patient](ctx, f, "not-there")
		return wantIs(err, fhir.ErrNotFound)
	},
	"create: the server chooses the id": func(ctx context.Context, f *fhir.Client) error {
		p := somebody(number())
		p.ID = "chosen-by-the-client"
		made, resp, err := fhir.Create(ctx, f, p)
		if err != nil {
			return err
		}
		read, _, err := fhir.Read[*r4.Patient](ctx, f, made.ID)
		return errors.Join(err, want(made.ID != p.ID && resp.Status == 201 && resp.Location == made.ID && resp.ETag != "", "%+v", resp),
			want(read != nil && read.BirthDate == "1990", "another content"))
	},
	"create if none: the second finds the first": func(ctx context.Context, f *fhir.Client) error {
		id := number()
		first, r1, err := fhir.CreateIfNone(ctx, f, somebody(id), id)
		if err != nil {
			return err
		}
		second, r2, err := fhir.CreateIfNone(ctx, f, somebody(id), id)
		if err != nil {
			return err
		}
		return want(r1.Status == 201 && r2.Status == 200 && first.ID == second.ID, "%d %d", r1.Status, r2.Status)
	},
	"create if none: several is a refusal": func(ctx context.Context, f *fhir.Client) error {
		id := number()
		for range 2 {
			if _, _, err := fhir.Create(ctx, f, somebody(id)); err != nil {
				return err
			}
		}
		_, _, err := fhir.CreateIfNone(ctx, f, somebody(id), id)
		return wantIs(err, fhir.ErrPrecondition)
	},
	"create as: update as create": func(ctx context.Context, f *fhir.Client) error {
		p := somebody(number())
		p.ID = "c-" + hospital.NewNumber()
		made, resp, err := fhir.CreateAs(ctx, f, p)
		if err != nil {
			return err
		}
		return want(made.ID == p.ID && resp.Status == 201, "%d", resp.Status)
	},
	"create as: an existing id is refused": func(ctx context.Context, f *fhir.Client) error {
		p := somebody(number())
		p.ID = "c-" + hospital.NewNumber()
		if _, _, err := fhir.CreateAs(ctx, f, p); err != nil {
			return err
		}
		_, _, err := fhir.CreateAs(ctx, f, p)
		return wantIs(err, fhir.ErrPrecondition)
	},
	"update: a stale version is refused": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		stale := *made
		made.Gender = r4.AdministrativeGenderOther
		if made, _, err = fhir.Update(ctx, f, made); err != nil {
			return err
		}
		_, _, err = fhir.Update(ctx, f, &stale)
		return errors.Join(wantIs(err, fhir.ErrPrecondition), want(made.Gender == "other", "not updated"))
	},
	"update: of eight at once one wins": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		var won, lost atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				switch _, _, err := fhir.Update(ctx, f, made); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, fhir.ErrPrecondition):
					lost.Add(1)
				}
			})
		}
		all.Wait()
		return want(won.Load() == 1 && lost.Load() == 7, "%d won, %d lost", won.Load(), lost.Load())
	},
	"transaction: references within": func(ctx context.Context, f *fhir.Client) error {
		a, b := number(), number()
		urn := "urn:uuid:0190f3a0-7c1d-7000-8000-0000000000aa"
		answer, _, err := fhir.Transaction(ctx, f, &r4.Bundle{Type: r4.BundleTypeTransaction, Entry: []r4.BundleEntry{
			fhir.Post(&r4.Encounter{Identifier: []r4.Identifier{b}, Status: "planned", Class: &r4.Coding{Code: "AMB"}, Subject: &r4.Reference{Reference: urn}}, "", b),
			fhir.Post(somebody(a), urn, a),
		}})
		if err != nil {
			return err
		}
		encounter, ok := answer.Entry[0].Resource.(*r4.Encounter)
		return want(ok && encounter.Subject.Reference == "Patient/"+answer.Entry[1].Resource.ResourceID(), "reference not resolved")
	},
	"transaction: a stale version rolls all of it back": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		stale := *made
		if _, _, err = fhir.Update(ctx, f, made); err != nil {
			return err
		}
		id := number()
		_, _, err = fhir.Transaction(ctx, f, &r4.Bundle{Type: r4.BundleTypeTransaction, Entry: []r4.BundleEntry{
			fhir.Post(somebody(id), "", id), fhir.Put(&stale),
		}})
		n, countErr := count(ctx, f, id)
		return errors.Join(countErr, wantIs(err, fhir.ErrPrecondition), want(n == 0, "%d left behind", n))
	},
	"transaction: a number that exists is found": func(ctx context.Context, f *fhir.Client) error {
		id := number()
		made, _, err := fhir.Create(ctx, f, somebody(id))
		if err != nil {
			return err
		}
		answer, _, err := fhir.Transaction(ctx, f, &r4.Bundle{Type: r4.BundleTypeTransaction, Entry: []r4.BundleEntry{fhir.Post(somebody(id), "", id)}})
		if err != nil {
			return err
		}
		return want(answer.Entry[0].Resource.ResourceID() == made.ID, "another resource")
	},
	"search: unknown parameters are refused": func(ctx context.Context, f *fhir.Client) error {
		for _, err := range fhir.Search(ctx, f, fhir.Query{Type: "Slot", Params: url.Values{"colour": {"red"}}}) {
			return wantIs(err, fhir.ErrInvalid)
		}
		return want(false, "no answer")
	},
	"search: nothing is an empty page": func(ctx context.Context, f *fhir.Client) error {
		n, err := count(ctx, f, number())
		return errors.Join(err, want(n == 0, "%d", n))
	},
	"search: pages bring everything once": func(ctx context.Context, f *fhir.Client) error {
		schedule := hospital.NewNumber()
		at := time.Date(2030, 1, 7, 8, 0, 0, 0, china)
		for i := range 25 {
			if _, _, err := fhir.Create(ctx, f, slotOf(schedule, at.Add(time.Duration(i)*10*time.Minute))); err != nil {
				return err
			}
		}
		seen := map[string]bool{}
		q := fhir.Query{Type: "Slot", Params: url.Values{"schedule": {"Schedule/" + schedule}, "_count": {"10"}}}
		for slot, err := range fhir.Matches[*r4.Slot](fhir.Search(ctx, f, q)) {
			if err != nil {
				return err
			}
			seen[slot.ID] = true
		}
		return want(len(seen) == 25, "%d", len(seen))
	},
	"search: a span of time and a status": func(ctx context.Context, f *fhir.Client) error {
		schedule := hospital.NewNumber()
		at := time.Date(2030, 1, 7, 8, 0, 0, 0, china)
		for i := range 4 {
			s := slotOf(schedule, at.Add(time.Duration(i)*time.Hour))
			if i == 1 {
				s.Status = r4.SlotStatusBusy
			}
			if _, _, err := fhir.Create(ctx, f, s); err != nil {
				return err
			}
		}
		n := 0
		q := fhir.Query{Type: "Slot", Params: url.Values{
			"schedule": {"Schedule/" + schedule}, "status": {"free"},
			"start": {"ge" + at.Format(time.RFC3339), "lt" + at.Add(3*time.Hour).Format(time.RFC3339)},
		}}
		for _, err := range fhir.Matches[*r4.Slot](fhir.Search(ctx, f, q)) {
			if err != nil {
				return err
			}
			n++
		}
		return want(n == 2, "%d", n)
	},
	"search: include": func(ctx context.Context, f *fhir.Client) error {
		p, _, err := fhir.Create(ctx, f, &r4.Practitioner{Name: []r4.HumanName{{Text: "华青"}}})
		if err != nil {
			return err
		}
		if _, _, err = fhir.Create(ctx, f, &r4.PractitionerRole{Practitioner: r4.RefTo("Practitioner", p.ID)}); err != nil {
			return err
		}
		q := fhir.Query{Type: "PractitionerRole", Params: url.Values{"practitioner": {"Practitioner/" + p.ID}, "_include": {"PractitionerRole:practitioner"}}}
		for page, err := range fhir.Search(ctx, f, q) {
			if err != nil {
				return err
			}
			return want(len(page.Matches) == 1 && len(page.Included) == 1 && page.Included[0].ResourceID() == p.ID, "%d %d", len(page.Matches), len(page.Included))
		}
		return want(false, "no page")
	},
	"vread: each version": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		first := made.Meta.VersionId
		made.Gender = r4.AdministrativeGenderOther
		if made, _, err = fhir.Update(ctx, f, made); err != nil {
			return err
		}
		old, _, err := fhir.VersionRead[*r4.Patient](ctx, f, made.ID, first)
		if err != nil {
			return err
		}
		_, _, absent := fhir.VersionRead[*r4.Patient](ctx, f, made.ID, "no-such-version")
		return errors.Join(want(old.Gender == "" && made.Gender == "other", "not the version asked for"), wantIs(absent, fhir.ErrNotFound))
	},
	"history: newest first, deletion included": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		if made, _, err = fhir.Update(ctx, f, made); err != nil {
			return err
		}
		if _, err = fhir.Delete(ctx, f, made); err != nil {
			return err
		}
		var got []string
		for v, err := range fhir.History[*r4.Patient](ctx, f, made.ID) {
			if err != nil {
				return err
			}
			if v.Deleted {
				got = append(got, "deleted")
				continue
			}
			got = append(got, v.Resource.Meta.VersionId)
		}
		return want(len(got) == 3 && got[0] == "deleted" && got[1] == made.Meta.VersionId, "%v", got)
	},
	"delete: a stale version is refused": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		stale := *made
		if _, _, err = fhir.Update(ctx, f, made); err != nil {
			return err
		}
		_, err = fhir.Delete(ctx, f, &stale)
		return wantIs(err, fhir.ErrPrecondition)
	},
	"delete: gone is success, and reads as gone": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		for range 2 {
			if _, err = fhir.Delete(ctx, f, made); err != nil {
				return err
			}
		}
		_, _, err = fhir.Read[*r4.Patient](ctx, f, made.ID)
		return wantIs(err, fhir.ErrGone)
	},
	"conditional update: creates, then changes": func(ctx context.Context, f *fhir.Client) error {
		id := number()
		first, r1, err := fhir.UpdateIf(ctx, f, clinic(id, "一"), id)
		if err != nil {
			return err
		}
		second, r2, err := fhir.UpdateIf(ctx, f, clinic(id, "二"), id)
		if err != nil {
			return err
		}
		return want(r1.Status == 201 && r2.Status == 200 && first.ID == second.ID && second.Name == "二", "%d %d", r1.Status, r2.Status)
	},
	"conditional update: several is a refusal": func(ctx context.Context, f *fhir.Client) error {
		id := number()
		for range 2 {
			if _, _, err := fhir.Create(ctx, f, clinic(id, "一")); err != nil {
				return err
			}
		}
		_, _, err := fhir.UpdateIf(ctx, f, clinic(id, "一"), id)
		return wantIs(err, fhir.ErrPrecondition)
	},
	"patch: where it is declared": func(ctx context.Context, f *fhir.Client) error {
		statement, _, err := fhir.Capabilities(ctx, f)
		if err != nil {
			return err
		}
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		patched, _, err := fhir.Patch(ctx, f, fhir.NewDeclared(statement), made, []fhir.PatchStep{
			{Op: "test", Path: "/birthDate", Value: []byte(`"1990"`)}, {Op: "add", Path: "/gender", Value: []byte(`"male"`)},
		})
		if err != nil {
			return err
		}
		_, _, stale := fhir.Patch(ctx, f, fhir.NewDeclared(statement), made, []fhir.PatchStep{{Op: "remove", Path: "/gender"}})
		return errors.Join(want(patched.Gender == "male" && patched.BirthDate == "1990", "not patched"), wantIs(stale, fhir.ErrPrecondition))
	},
	"batch: each entry alone": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		id := number()
		results, _, err := fhir.Batch(ctx, f, &r4.Bundle{Type: r4.BundleTypeBatch, Entry: []r4.BundleEntry{
			fhir.Get("Patient/" + made.ID), fhir.Get("Patient/not-there"), fhir.Post(somebody(id), "", id),
		}})
		if err != nil {
			return err
		}
		n, err := count(ctx, f, id)
		return errors.Join(err, results[0].Err, wantIs(results[1].Err, fhir.ErrNotFound), results[2].Err,
			want(n == 1 && results[0].Resource.ResourceID() == made.ID && results[2].Status == 201, "%d %+v", n, results[2]))
	},
	"search: chained": func(ctx context.Context, f *fhir.Client) error {
		id := number()
		p, _, err := fhir.Create(ctx, f, somebody(id))
		if err != nil {
			return err
		}
		visit := &r4.Encounter{Status: "planned", Class: &r4.Coding{Code: "AMB"}, Subject: r4.RefTo("Patient", p.ID)}
		e, _, err := fhir.Create(ctx, f, visit)
		if err != nil {
			return err
		}
		n := 0
		q := fhir.For(fhir.EncounterPatient.Where(fhir.Identifier[*r4.Patient](id.System, id.Value)))
		for found, err := range fhir.Matches[*r4.Encounter](fhir.Search(ctx, f, q)) {
			if err != nil {
				return err
			}
			if n++; found.ID != e.ID {
				return want(false, "another encounter")
			}
		}
		return want(n == 1 && q.Post, "%d", n)
	},
	"search: _has": func(ctx context.Context, f *fhir.Client) error {
		p, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		visit := &r4.Encounter{Status: "triaged", Class: &r4.Coding{Code: "AMB"}, Subject: r4.RefTo("Patient", p.ID)}
		if _, _, err = fhir.Create(ctx, f, visit); err != nil {
			return err
		}
		q := fhir.For(fhir.ID[*r4.Patient](p.ID), fhir.Has(fhir.EncounterPatient, fhir.EncounterStatus.In("triaged")))
		none := fhir.For(fhir.ID[*r4.Patient](p.ID), fhir.Has(fhir.EncounterPatient, fhir.EncounterStatus.In("finished")))
		a, err := matches(ctx, f, q)
		b, err2 := matches(ctx, f, none)
		return errors.Join(err, err2, want(a == 1 && b == 0, "%d %d", a, b))
	},
	"search: _revinclude": func(ctx context.Context, f *fhir.Client) error {
		p, _, err := fhir.Create(ctx, f, &r4.Practitioner{Name: []r4.HumanName{{Text: "华青"}}})
		if err != nil {
			return err
		}
		role, _, err := fhir.Create(ctx, f, &r4.PractitionerRole{Practitioner: r4.RefTo("Practitioner", p.ID)})
		if err != nil {
			return err
		}
		q := fhir.For(fhir.ID[*r4.Practitioner](p.ID), fhir.IncludeReferring(fhir.PractitionerRolePractitioner))
		for page, err := range fhir.Search(ctx, f, q) {
			if err != nil {
				return err
			}
			return want(len(page.Matches) == 1 && len(page.Included) == 1 && page.Included[0].ResourceID() == role.ID, "%d %d", len(page.Matches), len(page.Included))
		}
		return want(false, "no page")
	},
	"search: _elements, marked as not all there": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, somebody(number()))
		if err != nil {
			return err
		}
		for p, err := range fhir.Matches[*r4.Patient](fhir.Search(ctx, f, fhir.For(fhir.ID[*r4.Patient](made.ID), fhir.Elements[*r4.Patient]("birthDate")))) {
			if err != nil {
				return err
			}
			_, _, update := fhir.Update(ctx, f, p)
			return errors.Join(want(p.BirthDate == "1990" && len(p.Name) == 0, "more than asked for"), wantIs(update, fhir.ErrRequest))
		}
		return want(false, "no match")
	},
	"search: the newest first": func(ctx context.Context, f *fhir.Client) error {
		schedule := hospital.NewNumber()
		at := time.Date(2030, 1, 7, 8, 0, 0, 0, china)
		for _, i := range []int{1, 3, 2} {
			if _, _, err := fhir.Create(ctx, f, slotOf(schedule, at.Add(time.Duration(i)*time.Hour))); err != nil {
				return err
			}
		}
		var got []string
		for s, err := range fhir.Matches[*r4.Slot](fhir.Search(ctx, f, fhir.For(fhir.SlotSchedule.Is(schedule), fhir.Newest(fhir.SlotStart)))) {
			if err != nil {
				return err
			}
			got = append(got, s.Start[11:13])
		}
		return want(slices.Equal(got, []string{"11", "10", "09"}), "%v", got)
	},
	"decimals keep their digits": func(ctx context.Context, f *fhir.Client) error {
		made, _, err := fhir.Create(ctx, f, &r4.Location{Name: "门诊", Position: &r4.LocationPosition{Longitude: "114.3050", Latitude: "30.60"}})
		if err != nil {
			return err
		}
		return want(made.Position.Longitude == "114.3050", "%s", made.Position.Longitude)
	},
	"extensions of primitives survive": func(ctx context.Context, f *fhir.Client) error {
		p := somebody(number())
		ext := `{"extension":[{"url":"http://example.org/precision","valueCode":"year"}]}`
		p.Extra = r4.Extra{{Name: "_birthDate", Value: []byte(ext)}}
		made, _, err := fhir.Create(ctx, f, p)
		if err != nil {
			return err
		}
		return want(string(made.Extra.Get("_birthDate")) == ext, "lost")
	},
}

func count(ctx context.Context, f *fhir.Client, id r4.Identifier) (int, error) {
	return matches(ctx, f, fhir.For(fhir.Identifier[*r4.Patient](id.System, id.Value)))
}

func matches(ctx context.Context, f *fhir.Client, q fhir.Query) (int, error) {
	n := 0
	for _, err := range fhir.Matches[*r4.Patient](fhir.Search(ctx, f, q)) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// servers returns a client of each server under test.
func servers(t *testing.T) map[string]*hospital.Client {
	t.Helper()
	out := map[string]*hospital.Client{}
	hosp := fakes.NewHospital(t, fakes.WithPersonality(fakes.Personality{RaceWindow: time.Millisecond}))
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	out["fake"] = client
	base := os.Getenv("HOSPITAL_FHIR_PEER")
	if base == "" {
		t.Log("skipped: HOSPITAL_FHIR_PEER names no FHIR server")
		return out
	}
	peer, err := hospital.New(hospital.Config{Topology: campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}},
		Systems:       []campus.System{{ID: campus.HIS}},
		Stores:        []campus.Store{{ID: "his"}},
		Endpoints:     []campus.Endpoint{{System: campus.HIS, DataCenter: "dc-a", Store: "his", URL: base, Contract: campus.Contract{Versioning: true}}},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = peer.Close() })
	out["peer"] = peer
	return out
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, client := range servers(t) {
		t.Run(name, func(t *testing.T) {
			for title, check := range cases {
				t.Run(title, func(t *testing.T) {
					err := check(t.Context(), client.FHIR(campus.HIS))
					if why, known := gaps[name][title]; known {
						require.Error(t, err, "it is listed as a gap (%s) and works: take it off the list", why)
						return
					}
					require.NoError(t, err)
				})
			}
		})
	}
}

// The verbs' whole life of a booking, against each server.
func TestVerbsConform(t *testing.T) {
	t.Parallel()
	for name, client := range servers(t) {
		t.Run(name, func(t *testing.T) {
			ctx, desk := t.Context(), his.New(client)
			department, schedule := seedClinic(t, client)
			start := time.Date(2030, 1, 7, 8, 0, 0, 0, china)
			found := 0
			for dept, err := range desk.Departments(ctx) {
				require.NoError(t, err)
				if dept.Resource.ID != department {
					continue
				}
				for doctor, err := range desk.Doctors(ctx, dept) {
					require.NoError(t, err)
					for s, err := range desk.Schedules(ctx, doctor, start, start.AddDate(0, 0, 1)) {
						require.NoError(t, err)
						assert.Equal(t, schedule, s.Resource.ID)
						bookEverything(t, desk, s, start)
						found++
					}
				}
			}
			assert.Equal(t, 1, found)
		})
	}
}

// seedClinic makes a department with a doctor, a schedule and 16 slots.
func seedClinic(t *testing.T, client *hospital.Client) (department, schedule string) {
	t.Helper()
	ctx, f := t.Context(), client.FHIR(campus.HIS)
	dept, _, err := fhir.Create(ctx, f, &r4.Organization{Name: "骨科", Type: []r4.CodeableConcept{*r4.Concept(his.DepartmentSystem, his.DepartmentCode)}})
	require.NoError(t, err)
	doctor, _, err := fhir.Create(ctx, f, &r4.Practitioner{Name: []r4.HumanName{{Text: "华青"}}})
	require.NoError(t, err)
	role, _, err := fhir.Create(ctx, f, &r4.PractitionerRole{
		Practitioner: r4.RefTo("Practitioner", doctor.ID), Organization: r4.RefTo("Organization", dept.ID),
	})
	require.NoError(t, err)
	start := time.Date(2030, 1, 7, 8, 0, 0, 0, china)
	sch, _, err := fhir.Create(ctx, f, &r4.Schedule{
		Actor:           []r4.Reference{*r4.RefTo("PractitionerRole", role.ID)},
		PlanningHorizon: &r4.Period{Start: start.Format(time.RFC3339), End: start.Add(4 * time.Hour).Format(time.RFC3339)},
	})
	require.NoError(t, err)
	for i := range 16 {
		_, _, err := fhir.Create(ctx, f, slotOf(sch.ID, start.Add(time.Duration(i)*10*time.Minute)))
		require.NoError(t, err)
	}
	return dept.ID, sch.ID
}

func bookEverything(t *testing.T, desk *his.Client, schedule hospital.Found[*r4.Schedule], start time.Time) {
	t.Helper()
	ctx := t.Context()
	id := campus.PatientID{Issuer: "urn:hospital-go:conformance", Value: hospital.NewNumber()}
	person := somebody(r4.Identifier{System: id.Issuer, Value: id.Value})
	for range 2 {
		_, err := desk.Register(ctx, his.RegisterRequest{ID: id, Patient: person})
		require.NoError(t, err)
	}
	free := func() []hospital.Found[*r4.Slot] {
		var out []hospital.Found[*r4.Slot]
		for s, err := range desk.FreeSlots(ctx, schedule, start, start.Add(4*time.Hour)) {
			require.NoError(t, err)
			out = append(out, s)
		}
		return out
	}
	slots := free()
	require.Len(t, slots, 16)
	hold, number := hospital.NewNumber(), hospital.NewNumber()
	for range 2 { // each repeated with its Number
		_, err := desk.Hold(ctx, his.HoldRequest{Number: hold, Patient: id, Slot: slots[0], Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
	}
	for range 2 {
		_, err := desk.Book(ctx, his.BookRequest{Number: number, Patient: id, Slot: slots[0], Hold: hold})
		require.NoError(t, err)
	}
	for range 2 {
		_, err := desk.Reschedule(ctx, his.RescheduleRequest{Number: number, Patient: id, From: slots[0], To: slots[1]})
		require.NoError(t, err)
	}
	for range 2 {
		_, err := desk.Cancel(ctx, number, id)
		require.NoError(t, err)
	}
	again := hospital.NewNumber()
	_, err := desk.HoldAny(ctx, his.HoldAnyRequest{Number: again, Patient: id, Schedule: schedule, From: start, To: start.Add(4 * time.Hour), Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = desk.Release(ctx, again, id)
	require.NoError(t, err)
	require.Len(t, free(), 16)
	last := hospital.NewNumber()
	_, err = desk.Book(ctx, his.BookRequest{Number: last, Patient: id, Slot: slots[2]})
	require.NoError(t, err)
	for range 2 {
		_, err = desk.CheckIn(ctx, last, id)
		require.NoError(t, err)
	}
	race(t, desk, id, slots[4:])
}

// race: 32 callers, 12 slots.
func race(t *testing.T, desk *his.Client, id campus.PatientID, slots []hospital.Found[*r4.Slot]) {
	t.Helper()
	var booked, lost atomic.Int32
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := desk.Book(t.Context(), his.BookRequest{Number: hospital.NewNumber(), Patient: id, Slot: slots[i%12]})
			switch {
			case err == nil:
				booked.Add(1)
			case errors.Is(err, hospital.ErrConflict):
				lost.Add(1)
			default:
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	assert.Equal(t, int32(12), booked.Load())
	assert.Equal(t, int32(20), lost.Load())
}
