package pacs_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/pacs"
)

// The verbs of the RIS against a FHIR server that no one here wrote: HOSPITAL_FHIR_PEER
// names its base URL (internal/peers/medplum starts one). Every test makes what it needs
// under fresh numbers, so that a server may be used again, and by others meanwhile.

// fhirPeer is a bench at a peer. Its wire may lose what it is told to lose.
type fhirPeer struct {
	*risBench
	wire *losingWire
}

// losingWire loses the next transaction, before or after the server has executed it.
type losingWire struct {
	http.Transport
	before, after atomic.Bool
}

var errLost = errors.New("lost")

func (l *losingWire) RoundTrip(r *http.Request) (*http.Response, error) {
	transaction := r.Method == http.MethodPost && strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/R4")
	if transaction && l.before.CompareAndSwap(true, false) {
		return nil, errLost
	}
	answer, err := l.Transport.RoundTrip(r)
	if err == nil && transaction && l.after.CompareAndSwap(true, false) {
		_, _ = io.Copy(io.Discard, answer.Body)
		return nil, errors.Join(errLost, answer.Body.Close())
	}
	return answer, err
}

func newFHIRPeer(t *testing.T) *fhirPeer {
	t.Helper()
	base := os.Getenv("HOSPITAL_FHIR_PEER")
	if base == "" {
		t.Skip("HOSPITAL_FHIR_PEER names no FHIR server")
	}
	p := &fhirPeer{wire: &losingWire{}}
	client, err := hospital.New(hospital.Config{DisableTracing: true, Topology: campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		DataCenters:   []campus.DataCenter{{ID: "dc-a", Role: campus.Active}},
		Systems:       []campus.System{{ID: campus.RIS}},
		Stores:        []campus.Store{{ID: "ris"}},
		Endpoints: []campus.Endpoint{{
			ID: "ris/dc-a", System: campus.RIS, DataCenter: "dc-a", Store: "ris", URL: base,
			Contract: campus.Contract{Versioning: true, ServerTimeout: 200 * time.Millisecond},
		}},
	}, Adapters: map[campus.EndpointID]http.RoundTripper{"ris/dc-a": p.wire}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close(); p.wire.CloseIdleConnections() })
	p.risBench = &risBench{t: t, client: client, Client: pacs.New(client)}
	p.patient, p.other = p.person(), p.person()
	return p
}

func (p *fhirPeer) person() campus.PatientID {
	p.t.Helper()
	id := campus.PatientID{Issuer: "urn:hospital-go:conformance", Value: hospital.NewNumber()}
	peerCreate(p, &r4.Patient{Identifier: []r4.Identifier{{System: id.Issuer, Value: id.Value}}})
	return id
}

func peerCreate[T r4.Resource](p *fhirPeer, resource T) T {
	p.t.Helper()
	made, _, err := fhir.Create(p.t.Context(), p.client.FHIR(campus.RIS), resource)
	require.NoError(p.t, err)
	return made
}

func peerFound[T r4.Resource](p *fhirPeer, filters ...fhir.Filter[T]) (out []T) {
	p.t.Helper()
	for r, err := range fhir.Matches[T](fhir.Search(p.t.Context(), p.client.FHIR(campus.RIS), fhir.For(filters...))) {
		require.NoError(p.t, err)
		out = append(out, r)
	}
	return out
}

func (p *fhirPeer) items(accession string) []*r4.ServiceRequest {
	return peerFound(p, fhir.Raw[*r4.ServiceRequest]("requisition", fhir.Token(pacs.DefaultAccessionSystem, accession), false))
}

func (p *fhirPeer) appointments(number string) []*r4.Appointment {
	return peerFound(p, fhir.Identifier[*r4.Appointment](pacs.DefaultBookingSystem, number))
}

func newAccession() string { return rand.Text()[:16] }

func (p *fhirPeer) request(accession string) pacs.OrderRequest {
	return pacs.OrderRequest{Number: accession, Patient: p.patient, Items: []pacs.OrderItem{
		{Code: *r4.Text("胸部CT平扫"), BodySite: []r4.CodeableConcept{*r4.Text("胸部")}}, {Code: *r4.Text("头颅CT平扫")},
	}}
}

// ordered places an order and returns its first item, as it was read.
func (p *fhirPeer) ordered() (string, hospital.Found[*r4.ServiceRequest]) {
	p.t.Helper()
	placed, err := p.Order(p.t.Context(), p.request(newAccession()))
	require.NoError(p.t, err)
	return placed.Resource.Number, hospital.Found[*r4.ServiceRequest]{Resource: placed.Resource.Items[0], Origin: placed.Origin}
}

// reported makes the department report on an item, with a study.
func (p *fhirPeer) reported(item *r4.ServiceRequest, status, uid string) *r4.DiagnosticReport {
	p.t.Helper()
	study := peerCreate(p, &r4.ImagingStudy{
		Identifier: []r4.Identifier{{System: "urn:dicom:uid", Value: "urn:oid:" + uid}}, Status: r4.ImagingStudyStatusAvailable, Subject: item.Subject,
	})
	return peerCreate(p, &r4.DiagnosticReport{
		Identifier: []r4.Identifier{{System: pacs.DefaultReportSystem, Value: hospital.NewNumber()}}, Status: status,
		Category: []r4.CodeableConcept{*r4.Concept(pacs.SectionSystem, pacs.Radiology)}, Code: item.Code, Subject: item.Subject,
		BasedOn: []r4.Reference{*r4.RefTo("ServiceRequest", item.ID)}, EffectiveDateTime: "2030-01-07T08:00:00+08:00", Conclusion: "未见异常\n复查",
		ImagingStudy: []r4.Reference{*r4.RefTo("ImagingStudy", study.ID)},
	})
}

func TestFHIRPeerOrders(t *testing.T) {
	t.Parallel()
	p := newFHIRPeer(t)
	ctx, accession := t.Context(), newAccession()
	for range 2 {
		placed, err := p.Order(ctx, p.request(accession))
		require.NoError(t, err)
		require.Len(t, placed.Resource.Items, 2)
		assert.Equal(t, "胸部", placed.Resource.Items[0].BodySite[0].Text)
	}
	assert.Len(t, p.items(accession), 2)
	others := p.request(accession)
	others.Patient = p.other
	_, err := p.Order(ctx, others)
	require.ErrorIs(t, err, hospital.ErrNumberReused)
	_, err = p.CancelOrder(ctx, accession, p.other)
	require.ErrorIs(t, err, hospital.ErrWrongPatient)
	for range 2 {
		over, err := p.CancelOrder(ctx, accession, p.patient)
		require.NoError(t, err)
		assert.True(t, over.Resource.Cancelled())
	}
	_, err = p.Order(ctx, p.request(accession))
	require.ErrorIs(t, err, hospital.ErrNumberReused)

	reported, item := p.ordered()
	written := p.reported(item.Resource, r4.DiagnosticReportStatusPreliminary, "1.2.3")
	_, err = p.CancelOrder(ctx, reported, p.patient)
	require.ErrorIs(t, err, hospital.ErrRefused)
	risPut(p.risBench, written.ID, func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
	_, err = p.CancelOrder(ctx, reported, p.patient)
	require.NoError(t, err)
	for range 23 { // with those before, two pages and more
		p.ordered()
	}
	list, err := risUntil(p.Orders(ctx, pacs.OrderQuery{Patient: p.patient}))
	require.NoError(t, err)
	assert.Len(t, list, 25)
	_, err = p.OrderOf(ctx, newAccession(), p.patient)
	require.ErrorIs(t, err, hospital.ErrNotFound)
}

func TestFHIRPeerReports(t *testing.T) {
	t.Parallel()
	p := newFHIRPeer(t)
	ctx := t.Context()
	accession, item := p.ordered()
	written := p.reported(item.Resource, r4.DiagnosticReportStatusFinal, "1.2.840.1")
	_, another := p.ordered()
	p.reported(another.Resource, r4.DiagnosticReportStatusFinal, "1.2.840.2")
	list, err := p.listed()
	require.NoError(t, err)
	assert.Len(t, list, 2)
	list, err = risUntil(p.Reports(ctx, pacs.ReportQuery{Patient: p.patient, Accession: accession}))
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, written, list[0].Resource.Report)
	assert.Equal(t, []string{"1.2.840.1"}, list[0].Resource.Studies)
	number := written.Identifier[0].Value
	_, err = p.Report(ctx, number, p.other)
	require.ErrorIs(t, err, hospital.ErrWrongPatient)
	shown, err := p.Report(ctx, number, p.patient)
	require.NoError(t, err)
	risPut(p.risBench, written.ID, func(r *r4.DiagnosticReport) {
		r.Status, r.Conclusion = r4.DiagnosticReportStatusCorrected, "右肺结节"
	})
	corrected, err := p.Report(ctx, number, p.patient)
	require.NoError(t, err)
	assert.Equal(t, "右肺结节", corrected.Resource.Report.Conclusion)
	risPut(p.risBench, written.ID, func(r *r4.DiagnosticReport) { r.Status = r4.DiagnosticReportStatusEnteredInError })
	withdrawn, err := p.Report(ctx, number, p.patient)
	require.NoError(t, err)
	assert.True(t, withdrawn.Resource.Withdrawn)
	assert.Empty(t, withdrawn.Resource.Studies)
	versions, err := risUntil(p.ReportVersions(ctx, shown, pacs.OldestFirst))
	require.NoError(t, err)
	assert.Len(t, versions, 3)
	broken := p.reported(another.Resource, r4.DiagnosticReportStatusFinal, "1.2.840.3")
	risPut(p.risBench, broken.ID, func(r *r4.DiagnosticReport) { r.ImagingStudy = []r4.Reference{*r4.RefTo("ImagingStudy", "none")} })
	_, err = p.listed()
	require.ErrorIs(t, err, hospital.ErrUnexpectedAnswer, "a study that cannot be had")
}

// device makes a device's schedules for a service that nobody else has, one a day, and
// the slots of the first.
func (p *fhirPeer) device(schedules, slots int) (service r4.Coding, start time.Time) {
	p.t.Helper()
	service = r4.Coding{System: "urn:hospital-go:conformance", Code: rand.Text()}
	start = time.Date(2030, 1, 7, 8, 0, 0, 0, time.FixedZone("+08:00", 8*60*60))
	ct := peerCreate(p, &r4.Device{DeviceName: []r4.DeviceDeviceName{{Name: "CT-1", Type: "user-friendly-name"}}})
	first := ""
	for day := range schedules {
		at := start.AddDate(0, 0, day)
		s := peerCreate(p, &r4.Schedule{
			ServiceType: []r4.CodeableConcept{{Coding: []r4.Coding{service}}}, Actor: []r4.Reference{*r4.RefTo("Device", ct.ID)},
			PlanningHorizon: &r4.Period{Start: at.Format(time.RFC3339), End: at.Add(8 * time.Hour).Format(time.RFC3339)},
		})
		if day == 0 {
			first = s.ID
		}
	}
	for i := range slots {
		at := start.Add(time.Duration(i) * 10 * time.Minute)
		peerCreate(p, &r4.Slot{
			Schedule: r4.RefTo("Schedule", first), Status: r4.SlotStatusFree,
			Start: at.Format(time.RFC3339), End: at.Add(10 * time.Minute).Format(time.RFC3339),
		})
	}
	return service, start
}

// free are the free slots of a service on the first day.
func (p *fhirPeer) free(service r4.Coding, start time.Time) []hospital.Found[*r4.Slot] {
	p.t.Helper()
	list, err := risUntil(p.Schedules(p.t.Context(), service, start, start.Add(8*time.Hour)))
	require.NoError(p.t, err)
	require.Len(p.t, list, 1)
	slots, err := risUntil(p.FreeSlots(p.t.Context(), list[0], start, start.Add(8*time.Hour)))
	require.NoError(p.t, err)
	return slots
}

func TestFHIRPeerSlotsOfAService(t *testing.T) {
	t.Parallel()
	p := newFHIRPeer(t)
	service, start := p.device(25, 45)
	list, err := risUntil(p.Schedules(t.Context(), service, start, start.AddDate(0, 0, 30)))
	require.NoError(t, err)
	assert.Len(t, list, 25)
	assert.Len(t, p.free(service, start), 45)
	service.Code = "other"
	list, err = risUntil(p.Schedules(t.Context(), service, start, start.AddDate(0, 0, 30)))
	require.NoError(t, err)
	assert.Empty(t, list)
}

func TestFHIRPeerBookingForAnOrder(t *testing.T) {
	t.Parallel()
	p := newFHIRPeer(t)
	ctx := t.Context()
	service, start := p.device(1, 4)
	slots := p.free(service, start)
	accession, item := p.ordered()
	r := pacs.BookRequest{Number: hospital.NewNumber(), Patient: p.patient, Slot: slots[0], Order: item}
	for range 2 {
		booked, err := p.Book(ctx, r)
		require.NoError(t, err)
		assert.Equal(t, []r4.Reference{*r4.RefTo("ServiceRequest", item.Resource.ID)}, booked.Resource.BasedOn)
	}
	assert.Len(t, p.appointments(r.Number), 1)
	assert.Len(t, p.free(service, start), 3)
	second := pacs.BookRequest{Number: hospital.NewNumber(), Patient: p.patient, Slot: slots[1], Order: item}
	_, err := p.Book(ctx, second)
	require.ErrorIs(t, err, hospital.ErrConflict, "somebody booked for the order since it was read")
	_, fresh := p.ordered()
	theirs := second
	theirs.Patient, theirs.Order = p.other, fresh
	_, err = p.Book(ctx, theirs)
	require.ErrorIs(t, err, hospital.ErrWrongPatient)
	revoked, gone := p.ordered()
	_, err = p.CancelOrder(ctx, revoked, p.patient)
	require.NoError(t, err)
	over, err := p.OrderOf(ctx, revoked, p.patient)
	require.NoError(t, err)
	for _, item := range []*r4.ServiceRequest{gone.Resource, over.Resource.Items[0]} { // as it was read before, and after
		second.Order = hospital.Found[*r4.ServiceRequest]{Resource: item, Origin: over.Origin}
		_, err = p.Book(ctx, second)
		require.ErrorIs(t, err, hospital.ErrConflict)
	}
	assert.Len(t, p.free(service, start), 3)

	hold := hospital.NewNumber()
	_, err = p.Hold(ctx, pacs.HoldRequest{Number: hold, Patient: p.patient, Slot: slots[1], Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	second.Order, second.Hold = fresh, hold
	_, err = p.Book(ctx, second)
	require.NoError(t, err)
	for range 2 {
		moved, err := p.Reschedule(ctx, pacs.RescheduleRequest{Number: second.Number, Patient: p.patient, From: slots[1], To: slots[2]})
		require.NoError(t, err)
		assert.Equal(t, []r4.Reference{*r4.RefTo("ServiceRequest", fresh.Resource.ID)}, moved.Resource.BasedOn)
	}
	for range 2 {
		_, err = p.Cancel(ctx, second.Number, p.patient)
		require.NoError(t, err)
	}
	assert.Len(t, p.free(service, start), 3)
	for _, s := range p.items(accession) {
		assert.Equal(t, r4.RequestStatusActive, s.Status)
	}
}

// Of many for one slot one has it; an order that is booked and cancelled at once is one
// of both, or first booked and then cancelled.
func TestFHIRPeerAtOnce(t *testing.T) {
	t.Parallel()
	p := newFHIRPeer(t)
	service, start := p.device(1, 10)
	slots := p.free(service, start)
	var booked atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := p.Book(t.Context(), pacs.BookRequest{Number: hospital.NewNumber(), Patient: p.patient, Slot: slots[0]})
			if err == nil {
				booked.Add(1)
				return
			}
			assert.ErrorIs(t, err, hospital.ErrConflict)
		})
	}
	all.Wait()
	assert.EqualValues(t, 1, booked.Load())
	for _, slot := range slots[1:] {
		accession, item := p.ordered()
		number := hospital.NewNumber()
		var bookErr, cancelErr error
		all.Go(func() {
			_, bookErr = p.Book(t.Context(), pacs.BookRequest{Number: number, Patient: p.patient, Slot: slot, Order: item})
		})
		all.Go(func() { _, cancelErr = p.CancelOrder(t.Context(), accession, p.patient) })
		all.Wait()
		require.True(t, bookErr == nil || cancelErr == nil, "%v, %v", bookErr, cancelErr)
		for _, err := range []error{bookErr, cancelErr} {
			if err != nil {
				require.ErrorIs(t, err, hospital.ErrConflict)
			}
		}
		assert.Len(t, p.appointments(number), map[bool]int{true: 1}[bookErr == nil])
		assert.Equal(t, cancelErr == nil, p.items(accession)[0].Status == r4.RequestStatusRevoked)
	}
}

// What was lost on the way happens once.
func TestFHIRPeerLostTransactions(t *testing.T) {
	t.Parallel()
	for i, name := range []string{"request", "answer"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFHIRPeer(t)
			ctx := t.Context()
			lose := []*atomic.Bool{&p.wire.before, &p.wire.after}[i]
			service, start := p.device(1, 2)
			slots := p.free(service, start)
			accession, item := p.ordered()
			other, number := newAccession(), hospital.NewNumber()
			for _, act := range []func() error{
				func() error { _, err := p.Order(ctx, p.request(other)); return err },
				func() error {
					_, err := p.Book(ctx, pacs.BookRequest{Number: number, Patient: p.patient, Slot: slots[0], Order: item})
					return err
				},
				func() error {
					_, err := p.Reschedule(ctx, pacs.RescheduleRequest{Number: number, Patient: p.patient, From: slots[0], To: slots[1]})
					return err
				},
				func() error { _, err := p.Cancel(ctx, number, p.patient); return err },
				func() error { _, err := p.CancelOrder(ctx, accession, p.patient); return err },
			} {
				lose.Store(true)
				if err := act(); err != nil {
					require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
				}
				assert.False(t, lose.Load(), "it was lost")
				require.Eventually(t, func() bool { return act() == nil }, 30*time.Second, 50*time.Millisecond)
			}
			assert.Len(t, p.items(other), 2)
			list := p.appointments(number)
			require.Len(t, list, 1)
			assert.Equal(t, r4.AppointmentStatusCancelled, list[0].Status)
			assert.Len(t, p.free(service, start), 2)
			for _, s := range p.items(accession) {
				assert.Equal(t, r4.RequestStatusRevoked, s.Status)
			}
		})
	}
}
