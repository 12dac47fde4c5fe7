package his_test

import (
	"bytes"
	"fmt"
	"sync"
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

// live counts the Appointments with a Number that are not over.
func (d *desk) live(system, number string) int {
	n := 0
	for _, a := range d.appointments() {
		if a.Status != r4.AppointmentStatusCancelled && r4.HasIdentifier(a.Identifier, system, number) {
			n++
		}
	}
	return n
}

func (d *desk) appointments() []*r4.Appointment {
	d.t.Helper()
	var out []*r4.Appointment
	for _, data := range d.hosp.Resources(campus.HIS, "Appointment") {
		a, err := r4.Decode[*r4.Appointment](data)
		require.NoError(d.t, err)
		out = append(out, a)
	}
	return out
}

// put changes a resource behind the SDK's back, as another program does.
func put[T r4.Resource](d *desk, id string, change func(T)) {
	d.t.Helper()
	f := d.client.FHIR(campus.HIS)
	res, _, err := fhir.Read[T](d.t.Context(), f, id)
	require.NoError(d.t, err)
	change(res)
	_, _, err = fhir.Update(d.t.Context(), f, res)
	require.NoError(d.t, err)
}

func (d *desk) patientID(id campus.PatientID) string {
	d.t.Helper()
	found, err := d.Patient(d.t.Context(), id)
	require.NoError(d.t, err)
	return found.Resource.ID
}

// A server that ignores filters answers with everybody: no verb may pass that on.
func TestIgnoredFiltersAreNoAnswer(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]fakes.Personality{
		"and says so":  {IgnoreFilters: true},
		"and lies":     {IgnoreFilters: true, LyingSelf: true},
		"in one page":  {IgnoreFilters: true, PageSize: 1000},
		"page by page": {IgnoreFilters: true, LyingSelf: true, PageSize: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.demo.Patients[0]
				_, err := d.Patient(t.Context(), id)
				require.ErrorIs(t, err, hospital.ErrFilterIgnored)
				_, err = d.Booking(t.Context(), "B1", id)
				require.Error(t, err)
				for _, err := range d.FindPatients(t.Context(), his.PatientQuery{Name: "张三丰", BirthDate: "1958-04-09"}) {
					if err != nil {
						require.ErrorIs(t, err, hospital.ErrFilterIgnored)
					}
				}
				_, err = d.Register(t.Context(), his.RegisterRequest{ID: id, Patient: &r4.Patient{
					Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}}, Name: []r4.HumanName{{Text: "张三丰"}},
				}})
				require.ErrorIs(t, err, hospital.ErrFilterIgnored)
			}, fakes.WithPersonality(p))
		})
	}
}

// Doctors of another department, schedules of another doctor or another week,
// slots of another schedule or time: no answer to what was asked.
func TestDirectoryAnswersAreChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ typ, from, to string }{
		"department":         {"Organization", `"code":"dept"`, `"code":"team"`},
		"doctor":             {"PractitionerRole", `"Organization/dept1"`, `"Organization/dept2"`},
		"doctor, no person":  {"PractitionerRole", `"Practitioner/doc`, `"Device/doc`},
		"schedule":           {"Schedule", `"PractitionerRole/role1"`, `"PractitionerRole/role2"`},
		"schedule, horizon":  {"Schedule", `"planningHorizon":{"end":"2000`, `"planningHorizon":{"end":"1999`},
		"slot":               {"Slot", `"Schedule/sch1"`, `"Schedule/sch2"`},
		"slot, another year": {"Slot", `"start":"2000`, `"start":"2001`},
		"slot, no time":      {"Slot", `"start":"2000`, `"start":"then`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				require.NoError(t, d.walk())
				d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type", Type: c.typ}, Do: fakes.Action{Rewrite: func(b []byte) []byte {
					require.Contains(t, string(b), c.from)
					return bytes.ReplaceAll(b, []byte(c.from), []byte(c.to))
				}}})
				err := d.walk()
				assert.Contains(t, []hospital.Code{hospital.ErrFilterIgnored, hospital.ErrUnexpectedAnswer}, hospital.CodeOf(err))
			})
		})
	}
}

// walk goes from the first department to its slots.
func (d *desk) walk() error {
	ctx := d.t.Context()
	for department, err := range d.Departments(ctx) {
		if err != nil {
			return err
		}
		for doctor, err := range d.Doctors(ctx, department) {
			if err != nil {
				return err
			}
			for schedule, err := range d.Schedules(ctx, doctor, d.demo.Start, d.demo.End) {
				if err != nil {
					return err
				}
				for _, err := range d.FreeSlots(ctx, schedule, d.demo.Start, d.demo.End) {
					if err != nil {
						return err
					}
				}
				return nil
			}
		}
	}
	return hospital.ErrNotFound
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx := t.Context()
		// Patients 0 and 1 have the same value from different issuers.
		a, b := d.demo.Patients[0], d.demo.Patients[1]
		require.Equal(t, a.Value, b.Value)
		assert.NotEqual(t, d.patientID(a), d.patientID(b))
		_, err := d.Patient(ctx, campus.PatientID{Issuer: "urn:nobody", Value: a.Value})
		require.ErrorIs(t, err, hospital.ErrNotFound, "a wrong issuer names nobody")
		_, err = d.Patient(ctx, campus.PatientID{Issuer: a.Issuer, Value: d.patientID(a)})
		require.ErrorIs(t, err, hospital.ErrNotFound, "a logical id is no number")
		_, err = d.Patient(ctx, campus.PatientID{Value: a.Value})
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)

		slot := d.freeSlots()[0]
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: a, Slot: slot})
		require.NoError(t, err)
		_, err = d.Booking(ctx, "B1", b)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		_, err = d.Cancel(ctx, "B1", b)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		_, err = d.CheckIn(ctx, "B1", b)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: b, Slot: slot})
		require.ErrorIs(t, err, hospital.ErrNumberReused)
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: a, Slot: d.freeSlots()[3]})
		require.ErrorIs(t, err, hospital.ErrNumberReused)
		assert.Equal(t, 1, d.live(his.DefaultBookingSystem, "B1"))
	})
}

func TestRegisterComparesThePerson(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		id := d.demo.Patients[10] // 阿卜杜拉·买买提
		for name, c := range map[string]struct {
			patient r4.Patient
			want    error
		}{
			"the same":             {r4.Patient{Name: []r4.HumanName{{Text: "阿卜杜拉·买买提"}}, BirthDate: "1979-06-06", Gender: "male"}, nil},
			"another middle dot":   {r4.Patient{Name: []r4.HumanName{{Text: "阿卜杜拉•买买提"}}}, nil},
			"less precise":         {r4.Patient{Name: []r4.HumanName{{Family: "阿卜杜拉", Given: []string{"买买提"}}}, BirthDate: "1979"}, nil},
			"another birth date":   {r4.Patient{Name: []r4.HumanName{{Text: "阿卜杜拉·买买提"}}, BirthDate: "1979-06-07"}, hospital.ErrIdentityMismatch},
			"another sex":          {r4.Patient{Name: []r4.HumanName{{Text: "阿卜杜拉·买买提"}}, Gender: "female"}, hospital.ErrIdentityMismatch},
			"another name":         {r4.Patient{Name: []r4.HumanName{{Text: "阿不都拉"}}}, hospital.ErrIdentityMismatch},
			"no name":              {r4.Patient{}, hospital.ErrInvalidArgument},
			"a logical id":         {r4.Patient{ID: "1001", Name: []r4.HumanName{{Text: "阿卜杜拉·买买提"}}}, hospital.ErrInvalidArgument},
			"without the number":   {r4.Patient{Name: []r4.HumanName{{Text: "x"}}, Identifier: []r4.Identifier{{System: "x", Value: "y"}}}, hospital.ErrInvalidArgument},
			"number of another id": {r4.Patient{Name: []r4.HumanName{{Text: "x"}}, Identifier: []r4.Identifier{{System: fakes.IssuerHankou, Value: id.Value}}}, hospital.ErrInvalidArgument},
		} {
			p := c.patient
			if p.Identifier == nil {
				p.Identifier = []r4.Identifier{{System: id.Issuer, Value: id.Value}}
			}
			_, err := d.Register(t.Context(), his.RegisterRequest{ID: id, Patient: &p})
			require.ErrorIs(t, err, c.want, name)
		}
		assert.Equal(t, 1, d.hosp.Count(campus.HIS, "Patient", id.Issuer, id.Value))
	})
}

func TestRecordsThatStandForNobody(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*r4.Patient){
		"merged": func(p *r4.Patient) {
			p.Link = []r4.PatientLink{{Other: r4.RefTo("Patient", "1002"), Type: r4.LinkTypeReplacedBy}}
		},
		"inactive":  func(p *r4.Patient) { p.Active = r4.Ptr(false) },
		"withdrawn": func(p *r4.Patient) { p.Identifier[0].Use = r4.IdentifierUseOld },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				put(d, d.patientID(d.demo.Patients[0]), change)
				_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: d.freeSlots()[0]})
				require.ErrorIs(t, err, hospital.ErrRefused)
				assert.Empty(t, d.appointments())
			})
		})
	}
}

func TestSearchForEveryoneIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		for _, q := range []his.PatientQuery{{}, {Name: " "}, {Name: "·"}, {Name: "a|b"}, {BirthDate: "1990"}} {
			for _, err := range d.FindPatients(t.Context(), q) {
				require.ErrorIs(t, err, hospital.ErrInvalidArgument)
			}
		}
	})
}

// The second attempt's refusal is no verdict on the first: the booking stands,
// and the caller is told so. (It was told "refused" once.)
func TestRefusalAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 409, 422, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				d.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
				d.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-b", Interaction: "transaction"}, Do: fakes.Action{Status: status}, Times: 1})
				_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: d.freeSlots()[0]})
				require.NoError(t, err)
				assert.Equal(t, 1, d.bookings("B1"))
			})
		})
	}
}

// The first request is still running when its repetition is refused with 409:
// HoldAny once went on to the next slot and held two.
func TestConflictWhileTheFirstStillRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "transaction"}, Do: fakes.Action{Late: true, Delay: 16 * time.Second}, Times: 1})
		d.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-b", Interaction: "transaction"}, Do: fakes.Action{Status: 409}, Times: 1})
		request := his.HoldAnyRequest{
			Number: "H1", Patient: d.demo.Patients[0], Schedule: d.schedule(), From: d.demo.Start, To: d.demo.End, Until: time.Now().Add(time.Hour),
		}
		_, err := d.HoldAny(t.Context(), request)
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
		_, err = d.HoldAny(t.Context(), request)
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown, "a repetition at once waits for the lost one")
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		_, err = d.HoldAny(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, 1, d.live(his.DefaultHoldSystem, "H1"))
	}, fakes.WithContract(campus.Contract{Versioning: true}))
}

func TestFortyCallersHoldAnyOfFortyEight(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]fakes.Personality{"racy": {}, "atomic": {AtomicCreate: true}, "pages of four": {AtomicCreate: true, PageSize: 4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				schedule := d.schedule()
				d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "read"}, Do: fakes.Action{Jitter: 200 * time.Millisecond}})
				var callers sync.WaitGroup
				for i := range 40 {
					for range 2 {
						callers.Go(func() {
							_, err := d.HoldAny(t.Context(), his.HoldAnyRequest{
								Number: fmt.Sprintf("H%d", i), Patient: d.demo.Patients[i%12], Schedule: schedule,
								From: d.demo.Start, To: d.demo.End, Until: time.Now().Add(time.Hour),
							})
							assert.NoError(t, err)
						})
					}
				}
				callers.Wait()
				for i := range 40 {
					assert.Equal(t, 1, d.live(his.DefaultHoldSystem, fmt.Sprintf("H%d", i)))
				}
			}, fakes.WithPersonality(p))
		})
	}
}

// A missing route is not "no such booking".
func TestNotFoundOfASearchIsNoAbsence(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		id, slot := d.demo.Patients[0], d.freeSlots()[0]
		d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: fakes.Action{Status: 404}})
		_, err := d.Patient(t.Context(), id)
		require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
		_, err = d.Booking(t.Context(), "B1", id)
		require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
		_, err = d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: id, Slot: slot})
		require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
	})
}

// Servers keep the results of equal searches for a while; the look that settles
// an unknown outcome must not get one of those.
func TestKeptSearchResults(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: d.freeSlots()[0]})
		require.NoError(t, err)
	}, fakes.WithPersonality(fakes.Personality{CacheSearches: time.Minute}))
}

// Answers that hold somebody else's resources.
func TestAnswersAboutSomebodyElse(t *testing.T) {
	t.Parallel()
	swap := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(from), []byte(to)) }
	}
	for name, c := range map[string]struct {
		when fakes.When
		do   func([]byte) []byte
	}{
		"a transaction's": {fakes.When{Interaction: "transaction"}, swap(`"Patient/1001"`, `"Patient/1002"`)},
		"a tenant's":      {fakes.When{Interaction: "search-type", Type: "Appointment"}, swap(`"Patient/1001"`, `"http://his.group.test/fhir/TENANT/Patient/1001"`)},
		"another host's":  {fakes.When{Interaction: "search-type", Type: "Appointment"}, swap(`"Patient/1001"`, `"http://evil.test/fhir/Patient/1001"`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				slot := d.freeSlots()[0]
				remove := d.hosp.Break(fakes.Rule{When: c.when, Do: fakes.Action{Rewrite: c.do}})
				booked, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: slot})
				if err == nil {
					assert.Equal(t, "Patient/1001", booked.Resource.Participant[0].Actor.Reference)
				}
				_, err = d.Booking(t.Context(), "B1", d.demo.Patients[0])
				if c.when.Interaction == "search-type" {
					require.ErrorIs(t, err, hospital.ErrWrongPatient)
				}
				remove()
				assert.Equal(t, 1, d.bookings("B1"))
			})
		})
	}
}

// If-Match ignored, and nobody declared otherwise: one of two still gets the slot.
func TestTwoPeopleOneSlotWithoutVersions(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		slot := d.freeSlots()[0]
		var errs [2]error
		var people sync.WaitGroup
		for i := range errs {
			people.Go(func() {
				_, errs[i] = d.Book(t.Context(), his.BookRequest{Number: fmt.Sprint("B", i), Patient: d.demo.Patients[i], Slot: slot})
			})
		}
		people.Wait()
		assert.False(t, errs[0] == nil && errs[1] == nil, "both told that it is theirs")
		assert.LessOrEqual(t, d.live(his.DefaultBookingSystem, "B0")+d.live(his.DefaultBookingSystem, "B1"), 1)
	}, fakes.WithPersonality(fakes.Personality{IgnoreIfMatch: true}))
}

// A record without a version cannot be guarded, so it is not written.
func TestRecordsWithoutVersion(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: d.freeSlots()[0]})
		require.NoError(t, err)
		d.hosp.Break(fakes.Rule{Do: fakes.Action{Rewrite: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"versionId"`), []byte(`"versionIdNot"`))
		}}})
		_, err = d.Cancel(t.Context(), "B1", d.demo.Patients[0])
		require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer)
		assert.Equal(t, 1, d.live(his.DefaultBookingSystem, "B1"))
	})
}

func TestCheckInNeedsItsOwnEncounter(t *testing.T) {
	t.Parallel()
	for _, status := range []string{r4.EncounterStatusPlanned, r4.EncounterStatusCancelled} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				id := d.demo.Patients[0]
				booked, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: id, Slot: d.freeSlots()[0]})
				require.NoError(t, err)
				_, _, err = fhir.Create(t.Context(), d.client.FHIR(campus.HIS), &r4.Encounter{
					Status: status, Class: &r4.Coding{Code: "AMB"}, Subject: r4.RefTo("Patient", d.patientID(id)),
					Appointment: []r4.Reference{*r4.RefTo("Appointment", booked.Resource.ID)},
				})
				require.NoError(t, err)
				visit, err := d.CheckIn(t.Context(), "B1", id)
				require.NoError(t, err)
				assert.Equal(t, r4.EncounterStatusArrived, visit.Resource.Status)
				found, err := d.Booking(t.Context(), "B1", id)
				require.NoError(t, err)
				assert.Equal(t, r4.AppointmentStatusArrived, found.Resource.Status)
			})
		})
	}
}

// An Encounter of the appointment that is about somebody else is no check-in.
func TestCheckInOfAnotherPatient(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		id := d.demo.Patients[0]
		_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: id, Slot: d.freeSlots()[0]})
		require.NoError(t, err)
		_, err = d.CheckIn(t.Context(), "B1", id)
		require.NoError(t, err)
		d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type", Type: "Encounter"}, Do: fakes.Action{Rewrite: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"Patient/1001"`), []byte(`"Patient/1002"`))
		}}})
		_, err = d.CheckIn(t.Context(), "B1", id)
		require.ErrorIs(t, err, hospital.ErrFilterIgnored)
	})
}

// The hold's server-side end freed the slot and somebody else has it: releasing
// the dead hold must not free it again.
func TestReleaseLeavesAnothersSlotAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, a, b, slot := t.Context(), d.demo.Patients[0], d.demo.Patients[1], d.freeSlots()[0]
		until := time.Now().Add(time.Hour)
		_, err := d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: a, Slot: slot, Until: until})
		require.NoError(t, err)
		put(d, slot.Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusFree })
		_, err = d.Hold(ctx, his.HoldRequest{Number: "H2", Patient: b, Slot: slot, Until: until})
		require.NoError(t, err)
		_, err = d.Release(ctx, "H1", a)
		require.NoError(t, err)
		assert.Equal(t, r4.SlotStatusBusyTentative, d.slotStatus(slot.Resource.ID))
		assert.Equal(t, 1, d.live(his.DefaultHoldSystem, "H2"))
	})
}

// create makes an Appointment behind the SDK's back.
func (d *desk) create(system, number, status, patient, slot string) string {
	d.t.Helper()
	made, _, err := fhir.Create(d.t.Context(), d.client.FHIR(campus.HIS), &r4.Appointment{
		Status: status, Identifier: []r4.Identifier{{System: system, Value: number}}, Slot: []r4.Reference{*r4.RefTo("Slot", slot)},
		Participant: []r4.AppointmentParticipant{{Actor: r4.RefTo("Patient", patient), Status: "accepted"}},
	})
	require.NoError(d.t, err)
	return made.ID
}

// The look for a rival belongs to the moment of writing: repeating a booking that
// has stood for an hour must not end it because somebody was squeezed in (加号).
func TestRepeatingLeavesWhatStands(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]func(d *desk, mine, rival string){
		"the rival arrived": func(d *desk, _, rival string) {
			put(d, rival, func(a *r4.Appointment) { a.Status = r4.AppointmentStatusArrived })
		},
		"mine was annotated": func(d *desk, mine, _ string) {
			put(d, mine, func(a *r4.Appointment) { a.Comment = "wheelchair" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, d *desk) {
				request := his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: d.freeSlots()[0]}
				booked, err := d.Book(t.Context(), request)
				require.NoError(t, err)
				time.Sleep(time.Hour) //nolint:forbidigo // synctest bubble
				rival := d.create("urn:frontdesk", "X1", r4.AppointmentStatusBooked, d.patientID(d.demo.Patients[1]), request.Slot.Resource.ID)
				later(d, booked.Resource.ID, rival)
				_, err = newDesk(t, d.hosp).Book(t.Context(), request)
				require.NoError(t, err)
				assert.Equal(t, 1, d.live(his.DefaultBookingSystem, "B1"))
			}, fakes.WithContract(campus.Contract{ServerTimeout: 3 * time.Second}))
		})
	}
}

// Two live appointments of one Number: reading changes nothing, and what the
// patient has checked in with is never ended.
func TestTwoOfOneNumber(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, id, slots := t.Context(), d.demo.Patients[0], d.freeSlots()
		first, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: id, Slot: slots[0]})
		require.NoError(t, err)
		time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		put(d, slots[1].Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusBusy })
		d.create(his.DefaultBookingSystem, "B1", r4.AppointmentStatusBooked, d.patientID(id), slots[1].Resource.ID)
		time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		put(d, first.Resource.ID, func(a *r4.Appointment) { a.Status = r4.AppointmentStatusArrived })
		_, err = d.Booking(ctx, "B1", id)
		require.ErrorIs(t, err, hospital.ErrConflict)
		assert.Equal(t, 2, d.live(his.DefaultBookingSystem, "B1"), "a reading verb settles nothing")

		_, err = d.Cancel(ctx, "B1", id)
		require.ErrorIs(t, err, hospital.ErrConflict, "what stays has arrived")
		assert.Equal(t, 1, d.live(his.DefaultBookingSystem, "B1"), "its double is gone")
		assert.Equal(t, r4.SlotStatusBusy, d.slotStatus(slots[0].Resource.ID))
		assert.Equal(t, r4.SlotStatusFree, d.slotStatus(slots[1].Resource.ID))
	})
}

// A hold that ended long ago does not keep the slot of a booking that is cancelled.
func TestDeadHoldKeepsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, slot := t.Context(), d.freeSlots()[0]
		_, err := d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: d.demo.Patients[0], Slot: slot, Until: time.Now().Add(time.Minute)})
		require.NoError(t, err)
		time.Sleep(time.Hour)                                                       //nolint:forbidigo // synctest bubble
		put(d, slot.Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusFree }) // the server ends holds itself
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: d.demo.Patients[1], Slot: slot})
		require.NoError(t, err)
		_, err = d.Cancel(ctx, "B1", d.demo.Patients[1])
		require.NoError(t, err)
		assert.Equal(t, r4.SlotStatusFree, d.slotStatus(slot.Resource.ID))
	})
}

func TestHolds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, a, b, slots := t.Context(), d.demo.Patients[0], d.demo.Patients[1], d.freeSlots()
		hold := his.HoldRequest{Number: "H1", Patient: a, Slot: slots[0], Until: time.Now().Add(time.Minute)}
		_, err := d.Hold(ctx, hold)
		require.NoError(t, err)
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: b, Slot: slots[0]})
		require.ErrorIs(t, err, hospital.ErrConflict, "held for somebody else")
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: b, Slot: slots[0], Hold: "H1"})
		require.ErrorIs(t, err, hospital.ErrNumberReused, "somebody else's hold")
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: a, Slot: slots[1], Hold: "H1"})
		require.ErrorIs(t, err, hospital.ErrNumberReused, "the hold is of another slot")
		_, err = d.Release(ctx, "H1", b)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)

		// Another program's proposed appointment has no end this package knows.
		_, _, err = fhir.Create(ctx, d.client.FHIR(campus.HIS), &r4.Appointment{
			Status: r4.AppointmentStatusProposed, Slot: []r4.Reference{*r4.RefTo("Slot", slots[5].Resource.ID)},
			Participant: []r4.AppointmentParticipant{{Actor: r4.RefTo("Patient", d.patientID(b)), Status: "accepted"}},
		})
		require.NoError(t, err)
		put(d, slots[5].Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusBusyTentative })

		n, err := d.ReleaseExpired(ctx, d.schedule(), d.demo.Start, d.demo.End)
		require.NoError(t, err)
		assert.Zero(t, n, "nothing has ended")
		time.Sleep(80 * time.Second) //nolint:forbidigo // synctest bubble
		n, err = d.ReleaseExpired(ctx, d.schedule(), d.demo.Start, d.demo.End)
		require.NoError(t, err)
		assert.Zero(t, n, "clocks may be apart")
		time.Sleep(40 * time.Second) //nolint:forbidigo // synctest bubble
		_, err = d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: a, Slot: slots[0], Until: time.Now().Add(time.Minute)})
		require.ErrorIs(t, err, hospital.ErrConflict, "it has ended; a new hold needs a new Number")
		_, err = d.Book(ctx, his.BookRequest{Number: "B1", Patient: a, Slot: slots[0], Hold: "H1"})
		require.ErrorIs(t, err, hospital.ErrConflict, "the hold has ended")
		d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{ResetAfter: true}, Times: 1})
		n, err = d.ReleaseExpired(ctx, d.schedule(), d.demo.Start, d.demo.End)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Equal(t, r4.SlotStatusFree, d.slotStatus(slots[0].Resource.ID))
		assert.Equal(t, r4.SlotStatusBusyTentative, d.slotStatus(slots[5].Resource.ID), "another program's")
	})
}

func TestHoldAnyKeepsToItsSchedule(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		request := his.HoldAnyRequest{
			Number: "H1", Patient: d.demo.Patients[0], Schedule: d.schedule(), From: d.demo.Start, To: d.demo.End, Until: time.Now().Add(time.Hour),
		}
		_, err := d.HoldAny(t.Context(), request)
		require.NoError(t, err)
		other := request
		for department, err := range d.Departments(t.Context()) {
			require.NoError(t, err)
			for doctor, err := range d.Doctors(t.Context(), department) {
				require.NoError(t, err)
				for other.Schedule, err = range d.Schedules(t.Context(), doctor, d.demo.Start, d.demo.End) {
					require.NoError(t, err)
				}
			}
		}
		require.NotEqual(t, request.Schedule.Resource.ID, other.Schedule.Resource.ID)
		_, err = d.HoldAny(t.Context(), other)
		require.ErrorIs(t, err, hospital.ErrNumberReused, "another doctor's hold is not this one")
	})
}

func TestSlotsThatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, id, slots := t.Context(), d.demo.Patients[0], d.freeSlots()
		put(d, slots[0].Resource.ID, func(s *r4.Slot) { s.Start, s.End = s.End, d.demo.End.Format(time.RFC3339) })
		_, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: id, Slot: slots[0]})
		require.ErrorIs(t, err, hospital.ErrConflict, "the id means another time now")

		_, err = d.Book(ctx, his.BookRequest{Number: "B2", Patient: id, Slot: slots[1]})
		require.NoError(t, err)
		put(d, slots[1].Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusBusyUnavailable })
		_, err = d.Reschedule(ctx, his.RescheduleRequest{Number: "B2", Patient: id, From: slots[1], To: slots[2]})
		require.NoError(t, err, "a closed clinic's bookings can be moved")
		assert.Equal(t, r4.SlotStatusBusyUnavailable, d.slotStatus(slots[1].Resource.ID), "and its slots stay closed")
		_, err = d.Reschedule(ctx, his.RescheduleRequest{Number: "B2", Patient: id, From: slots[1], To: slots[3]})
		require.ErrorIs(t, err, hospital.ErrConflict, "it is not at From any more")
		put(d, slots[2].Resource.ID, func(s *r4.Slot) { s.Status = r4.SlotStatusBusyUnavailable })
		_, err = d.Cancel(ctx, "B2", id)
		require.NoError(t, err)
	})
}

// What was read from the standby has other ids: it cannot be booked.
func TestSlotOfAnotherStoreIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		time.Sleep(time.Hour) //nolint:forbidigo // synctest bubble: let the copy catch up
		d.hosp.Stop("dc-a")
		d.hosp.Stop("dc-b")
		schedule := d.schedule()
		assert.Equal(t, campus.DataCenterID("dr"), schedule.Origin.DataCenter)
		assert.Equal(t, time.Minute, schedule.Origin.Lag)
		var slot hospital.Found[*r4.Slot]
		for found, err := range d.FreeSlots(t.Context(), schedule, d.demo.Start, d.demo.End) {
			require.NoError(t, err)
			assert.Equal(t, time.Minute, found.Origin.Lag, "who has written nothing may be shown what a copy has, marked")
			slot = found
		}
		require.NotNil(t, slot.Resource)
		require.NoError(t, d.hosp.Start("dc-a"))
		require.NoError(t, d.hosp.Start("dc-b"))
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: slot})
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		assert.Empty(t, d.appointments())
	}, fakes.WithReadableStandby())
}

// After a restore to an earlier point ids may have been issued again.
func TestSlotOfAnotherEpochIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		slot := d.freeSlots()[0]
		slot.Origin.Epoch--
		_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: slot})
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		assert.Empty(t, d.appointments())
	})
}

func TestRefusalsByTheHospitalsRules(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		body := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"business-rule","details":{"coding":[{"code":"quota-exceeded"}]}}]}`
		d.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "transaction"}, Do: fakes.Action{Status: 422, Body: body, ContentType: fhir.MediaType}})
		_, err := d.Book(t.Context(), his.BookRequest{Number: "B1", Patient: d.demo.Patients[0], Slot: d.freeSlots()[0]})
		require.ErrorIs(t, err, hospital.ErrRefused)
		var e *hospital.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, string(his.RefusedQuota), e.Reason)
	})
}

func TestInvalidArgumentsSendNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, d *desk) {
		ctx, id, slot := t.Context(), d.demo.Patients[0], d.freeSlots()[0]
		before := len(d.hosp.Ledger().Entries())
		for name, call := range map[string]func() error{
			"no number": func() error { _, err := d.Book(ctx, his.BookRequest{Patient: id, Slot: slot}); return err },
			"long number": func() error {
				_, err := d.Book(ctx, his.BookRequest{Number: fmt.Sprintf("%033d", 1), Patient: id, Slot: slot})
				return err
			},
			"no slot": func() error { _, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: id}); return err },
			"a made-up slot": func() error {
				_, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: id, Slot: hospital.Found[*r4.Slot]{Resource: &r4.Slot{ID: "1"}}})
				return err
			},
			"hold in the past": func() error {
				_, err := d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: id, Slot: slot, Until: time.Now()})
				return err
			},
			"hold for days": func() error {
				_, err := d.Hold(ctx, his.HoldRequest{Number: "H1", Patient: id, Slot: slot, Until: time.Now().Add(48 * time.Hour)})
				return err
			},
			"same slot": func() error {
				_, err := d.Reschedule(ctx, his.RescheduleRequest{Number: "B1", Patient: id, From: slot, To: slot})
				return err
			},
		} {
			require.ErrorIs(t, call(), hospital.ErrInvalidArgument, name)
		}
		assert.Len(t, d.hosp.Ledger().Entries(), before, "nothing was sent")
		_, err := d.Book(ctx, his.BookRequest{Number: "B1", Patient: id, Slot: slot}, hospital.AtCampus("moon"))
		require.ErrorIs(t, err, hospital.ErrUnknownCampus)
	})
}
