package fakes_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
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
		"create as: an existing id is refused": "ignores If-None-Match: *",
		"decimals keep their digits":           "keeps numbers as JavaScript's",
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
	n := 0
	q := fhir.Query{Type: "Patient", Post: true, Params: url.Values{"identifier": {fhir.Token(id.System, id.Value)}}}
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
