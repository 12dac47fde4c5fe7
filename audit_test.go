package hospital_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/his"
)

// auditLog keeps records, or fails.
type auditLog struct {
	mu   sync.Mutex
	all  []hospital.AuditRecord
	fail func(hospital.AuditRecord) error
}

func (l *auditLog) record(ctx context.Context, r hospital.AuditRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	l.all = append(l.all, r)
	if l.fail != nil {
		return l.fail(r)
	}
	return nil
}

func (l *auditLog) take() []hospital.AuditRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.all
	l.all = nil
	return out
}

var nurse = hospital.Actor{ID: "N1024", Organization: "group", Purpose: hospital.Treatment}

func openAudited(t *testing.T, l *auditLog) (*fakes.Hospital, *hospital.Client) {
	t.Helper()
	return open(t, func(cfg *hospital.Config) {
		cfg.Audit, cfg.AuditRequired = l.record, []campus.SystemID{campus.HIS}
	})
}

// Every call of an audited system, by every route, is recorded before anything is
// sent, and again with what came of it.
func TestAuditRecordsEveryCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &auditLog{}
		hosp, client := openAudited(t, l)
		desk, id, number := his.New(client), hosp.Demo().Patients[0], hospital.NewNumber()
		as := hospital.As(nurse)
		slots := freeSlots(t, desk, as)
		l.take()
		steps := []struct {
			op, interaction string
			outcome         hospital.Code
			patients        []campus.PatientID
			do              func() error
		}{
			{"his.Patient", "", "", []campus.PatientID{id}, func() error { _, err := desk.Patient(t.Context(), id, as); return err }},
			{"his.Patient", "", hospital.ErrNotFound, []campus.PatientID{{Issuer: "x", Value: "y"}}, func() error {
				_, err := desk.Patient(t.Context(), campus.PatientID{Issuer: "x", Value: "y"}, as)
				return err
			}},
			{"his.Book", "", "", []campus.PatientID{id}, func() error {
				_, err := desk.Book(t.Context(), his.BookRequest{Number: number, Patient: id, Slot: slots[0]}, as)
				return err
			}},
			{"his.Book", "", hospital.ErrConflict, []campus.PatientID{id}, func() error {
				_, err := desk.Book(t.Context(), his.BookRequest{Number: hospital.NewNumber(), Patient: id, Slot: slots[0]}, as)
				return err
			}},
			{"his.CheckIn", "", "", []campus.PatientID{id}, func() error { _, err := desk.CheckIn(t.Context(), number, id, as); return err }},
			{"his.Booking", "", "", []campus.PatientID{id}, func() error { _, err := desk.Booking(t.Context(), number, id, as); return err }},
			{"fhir", "read Patient", hospital.ErrNotFound, nil, func() error {
				_, _, err := fhir.Read[*r4.Patient](t.Context(), client.FHIR(campus.HIS, as), "nobody")
				return err
			}},
			{"http", "GET", hospital.ErrNotFound, nil, func() error {
				req, err := newRequest(t.Context(), "http://his.hospital.invalid/Patient/nobody")
				require.NoError(t, err)
				resp, err := client.HTTP(campus.HIS, as).Do(req)
				if err == nil {
					err = cmp.Or(resp.Body.Close(), error(hospital.ErrNotFound))
				}
				return err
			}},
			{"his.FindPatients", "", "", []campus.PatientID{id}, func() error {
				return drain(desk.FindPatients(t.Context(), his.PatientQuery{Name: "张三丰"}, as))
			}},
			{"fhir", "read Patient", "", []campus.PatientID{id}, func() error {
				_, _, err := fhir.Read[*r4.Patient](t.Context(), client.FHIR(campus.HIS, as, hospital.Concerning(id)), "1001")
				return err
			}},
			{"http", "GET", "", nil, func() error {
				req, err := newRequest(t.Context(), "http://his.hospital.invalid/metadata")
				require.NoError(t, err)
				resp, err := client.HTTP(campus.HIS, as).Do(req)
				if err == nil {
					_ = resp.Body.Close()
				}
				return err
			}},
		}
		for _, step := range steps {
			err := step.do()
			assert.Equal(t, step.outcome, hospital.CodeOf(err))
			got := l.take()
			require.Len(t, got, 2, step.op)
			for i, stage := range []hospital.AuditStage{hospital.AuditStarted, hospital.AuditEnded} {
				r := got[i]
				assert.Equal(t, stage, r.Stage)
				assert.Equal(t, step.op, r.Op)
				assert.Equal(t, step.interaction, r.Interaction)
				assert.Equal(t, nurse, r.Actor)
				assert.Equal(t, campus.HIS, r.System)
				assert.NotEmpty(t, r.RequestID)
			}
			assert.Equal(t, step.outcome, got[1].Outcome)
			assert.Equal(t, step.op == "his.Book" || step.op == "his.CheckIn", got[1].Number != "", "the act is named")
			assert.Equal(t, step.patients, got[1].Patients, step.op)
		}
	})
}

func freeSlots(t *testing.T, desk *his.Client, as hospital.Option) []hospital.Found[*r4.Slot] {
	t.Helper()
	ctx := t.Context()
	dept := first(t, desk.Departments(ctx, as))
	doctor := first(t, desk.Doctors(ctx, dept, as))
	at := time.Now()
	schedule := first(t, desk.Schedules(ctx, doctor, at, at.AddDate(0, 0, 7), as))
	var out []hospital.Found[*r4.Slot]
	for s, err := range desk.FreeSlots(ctx, schedule, at, at.AddDate(0, 0, 7), as) {
		require.NoError(t, err)
		out = append(out, s)
	}
	return out
}

// Without somebody to name, or a record of it, nothing is sent.
func TestAuditRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &auditLog{}
		hosp, client := openAudited(t, l)
		desk, id := his.New(client), hosp.Demo().Patients[0]
		routes := map[string]func(as ...hospital.Option) error{
			"a read": func(as ...hospital.Option) error { _, err := desk.Patient(t.Context(), id, readers(as)...); return err },
			"a write": func(as ...hospital.Option) error {
				_, err := desk.Cancel(t.Context(), hospital.NewNumber(), id, writers(as)...)
				return err
			},
			"a list": func(as ...hospital.Option) error { return drain(desk.Departments(t.Context(), readers(as)...)) },
			"fhir": func(as ...hospital.Option) error {
				_, _, err := fhir.Read[*r4.Patient](t.Context(), client.FHIR(campus.HIS, readers(as)...), "1001")
				return err
			},
			"http": func(as ...hospital.Option) error {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://his.hospital.invalid/Patient", strings.NewReader("{}"))
				require.NoError(t, err)
				var opts []hospital.HTTPOption
				for _, o := range as {
					opts = append(opts, o)
				}
				resp, err := client.HTTP(campus.HIS, opts...).Do(req)
				if err == nil {
					_ = resp.Body.Close()
				}
				return err
			},
		}
		for name, call := range routes {
			for why, as := range map[string][]hospital.Option{
				"nobody":                     nil,
				"no name":                    {hospital.As(hospital.Actor{Purpose: hospital.Treatment})},
				"no purpose":                 {hospital.As(hospital.Actor{ID: "N1", Organization: "group"})},
				"for nobody":                 {hospital.As(hospital.Actor{ID: "N1", Purpose: hospital.Treatment})},
				"a blank":                    {hospital.As(hospital.Actor{ID: " ", Organization: "group", Purpose: hospital.Treatment})},
				"a break-glass of blanks":    {hospital.As(hospital.Actor{ID: "N1", Organization: "group", Purpose: "btg", Reason: " \t"})},
				"a break-glass without word": {hospital.As(hospital.Actor{ID: "N1", Organization: "group", Purpose: hospital.BreakGlass})},
			} {
				require.Equal(t, hospital.ErrInvalidArgument, hospital.CodeOf(call(as...)), "%s, %s", name, why)
			}
			l.fail = func(r hospital.AuditRecord) error {
				if r.Stage == hospital.AuditStarted {
					return errors.New("disk full: MARKNUM7")
				}
				return nil
			}
			err := call(hospital.As(nurse))
			require.Equal(t, hospital.ErrNotAudited, hospital.CodeOf(err), name)
			assert.NotContains(t, printed(err), "MARK")
			l.fail = nil
		}
		assert.Empty(t, hosp.Ledger().Entries(), "nothing may have been sent")
		_, err := client.Declared(t.Context(), campus.HIS)
		require.NoError(t, err, "a server's statement is about nobody")
		emergency := hospital.As(hospital.Actor{ID: "D7", Organization: "group", Purpose: hospital.BreakGlass, Reason: "unconscious"})
		_, err = desk.Patient(t.Context(), id, emergency)
		require.NoError(t, err)
		got := l.take()
		assert.Equal(t, "unconscious", got[len(got)-1].Actor.Reason)
	})
	cfg := fakes.NewHospital(t).Config()
	cfg.AuditRequired = []campus.SystemID{campus.HIS}
	_, err := hospital.New(cfg)
	require.ErrorContains(t, err, "Config.Audit is missing")
}

func readers(opts []hospital.Option) (out []hospital.ReadOption) {
	for _, o := range opts {
		out = append(out, o)
	}
	return out
}

func writers(opts []hospital.Option) (out []hospital.WriteOption) {
	for _, o := range opts {
		out = append(out, o)
	}
	return out
}

// What happened has happened: a record lost at the end is logged, without the
// patient, and the call stands. A caller who has gone away takes no record with him.
func TestAuditAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		l := &auditLog{fail: func(r hospital.AuditRecord) error {
			if r.Stage == hospital.AuditEnded {
				return errors.New("MARKNUM7")
			}
			return nil
		}}
		hosp, client := open(t, func(cfg *hospital.Config) {
			cfg.Audit, cfg.Logger = l.record, slog.New(slog.NewTextHandler(&logged, nil))
		})
		id := hosp.Demo().Patients[0]
		_, err := his.New(client).Patient(t.Context(), id)
		require.NoError(t, err)
		assert.Contains(t, logged.String(), "audit record lost")
		assert.NotContains(t, logged.String(), "MARK")
		assert.NotContains(t, logged.String(), id.Value)
		require.Len(t, l.take(), 1, "a system that does not require it has one record")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = his.New(client).Patient(gone, id)
		require.ErrorIs(t, err, hospital.ErrCanceled)
		require.Len(t, l.take(), 1)
	})
}

// A verb that panics leaves no call open; a body that is cut was no success; a
// client kept from another system's call escapes nobody's audit.
func TestAuditCannotBeEscaped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &auditLog{}
		hosp, client := openAudited(t, l)
		op := hospital.Op{Name: "x.Read", System: campus.HIS}
		read := func(do func(ctx context.Context, f *fhir.Client) (int, error)) (int, error) {
			return hospital.Read(t.Context(), client, op, do, hospital.As(nurse))
		}
		assert.Panics(t, func() {
			_, _ = read(func(context.Context, *fhir.Client) (int, error) { panic("a verb's fault") })
		})
		got := l.take()
		require.Len(t, got, 2)
		assert.Equal(t, hospital.ErrInternal, got[1].Outcome)

		var kept *fhir.Client
		_, err := read(func(_ context.Context, f *fhir.Client) (int, error) { kept = f; return 0, nil })
		require.NoError(t, err)
		before := len(hosp.Ledger().Entries())
		_, err = hospital.Read(t.Context(), client, hospital.Op{Name: "x.EMR", System: campus.EMR}, func(ctx context.Context, _ *fhir.Client) (int, error) {
			_, _, err := fhir.Read[*r4.Patient](ctx, kept, "1001")
			return 0, err
		})
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		assert.Len(t, hosp.Ledger().Entries(), before)
		l.take()

		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "read"}, Do: fakes.Action{CutAfter: 20}})
		req, err := newRequest(t.Context(), "http://his.hospital.invalid/Patient/1001")
		require.NoError(t, err)
		resp, err := client.HTTP(campus.HIS, hospital.As(nurse)).Do(req)
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.Error(t, err)
		require.NoError(t, resp.Body.Close())
		got = l.take()
		require.Len(t, got, 2)
		assert.Equal(t, hospital.ErrUnavailable, got[1].Outcome)
	})
}

// An audit record names a patient on purpose, and only to those who ask for its fields.
func TestAuditRecordsDoNotPrintPatients(t *testing.T) {
	t.Parallel()
	r := hospital.AuditRecord{
		Stage: hospital.AuditEnded, Op: "his.Patient", Actor: hospital.Actor{ID: "N1", Reason: "MARKTEXT"}, Number: "MARKNUM7",
		Patients: []campus.PatientID{{Issuer: "i", Value: "MARKNUM7"}},
	}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "record", r)
	text := fmt.Sprint(hospital.Actor{ID: "N1", Reason: "MARK"}) + fmt.Sprintf("%+v %#v", r.Actor, r.Actor) + b.String() + fmt.Sprintf("%v %+v %#v %s %q %v", r, r, r, r, r, &r)
	assert.NotContains(t, text, "MARK")
	assert.Contains(t, text, "his.Patient")
	whole, err := json.Marshal(r)
	require.NoError(t, err)
	assert.Contains(t, string(whole), "MARKNUM7", "a program can store it")
}

// A loop that is left early, or by a panic, has shown what it has shown.
func TestAuditOfLoopsLeftEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &auditLog{}
		_, client := openAudited(t, l)
		find := his.New(client).FindPatients(t.Context(), his.PatientQuery{Name: "张"}, hospital.As(nurse))
		for _, err := range find {
			require.NoError(t, err)
			break
		}
		assert.Panics(t, func() {
			for _, err := range find {
				panic(err)
			}
		})
		got := l.take()
		require.Len(t, got, 4)
		for _, i := range []int{1, 3} {
			assert.Equal(t, hospital.AuditEnded, got[i].Stage)
			assert.NotEmpty(t, got[i].Patients)
		}
	})
}

// Finding out later what became of a write is an access of its own.
func TestAuditOfResolve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &auditLog{}
		hosp, client := openAudited(t, l)
		id := campus.PatientID{Issuer: "s", Value: "1"}
		hosp.Break(fakes.Rule{When: fakes.When{Interaction: "create"}, Do: fakes.Action{ResetAfter: true}})
		mend := hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type", Skip: 1}, Do: fakes.Action{ResetBefore: true}})
		person := &r4.Patient{Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}}, Name: []r4.HumanName{{Text: "钱多多"}}}
		_, err := his.New(client).Register(t.Context(), his.RegisterRequest{ID: id, Patient: person}, hospital.As(nurse))
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
		l.take()
		mend()
		var e *hospital.Error
		require.ErrorAs(t, err, &e)
		time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
		happened, err := e.Resolve(t.Context())
		require.NoError(t, err)
		assert.True(t, happened)
		got := l.take()
		require.Len(t, got, 2)
		assert.Equal(t, "resolve", got[1].Interaction)
		assert.Equal(t, []campus.PatientID{id}, got[1].Patients)
	})
}
