package lis_test

import (
	"iter"
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
	"github.com/hospital-go/hospital/lis"
)

const loinc = "http://loinc.org"

// bench is a client at campus hankou with what a test needs of the demo.
type bench struct {
	t      *testing.T
	hosp   *fakes.Hospital
	client *hospital.Client
	*lis.Client
	patient, other campus.PatientID // both of hankou
}

// inBubble runs a test against a hospital in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, b *bench), opts ...fakes.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, opts...)
		test(t, newBench(t, hosp))
	})
}

func newBench(t *testing.T, hosp *fakes.Hospital, opts ...lis.Option) *bench {
	t.Helper()
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	b := &bench{t: t, hosp: hosp, client: client, Client: lis.New(client, opts...)}
	b.patient = campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	b.other = campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010102"}
	return b
}

// wait lets virtual time pass.
func wait(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // synctest bubble

// put changes a resource behind the SDK's back, as the laboratory's own program does.
func put[T r4.Resource](b *bench, id string, change func(T)) {
	b.t.Helper()
	f := b.client.FHIR(campus.LIS)
	res, _, err := fhir.Read[T](b.t.Context(), f, id)
	require.NoError(b.t, err)
	change(res)
	_, _, err = fhir.Update(b.t.Context(), f, res)
	require.NoError(b.t, err)
}

// create makes a resource as the laboratory's own program does.
func create[T r4.Resource](b *bench, resource T) T {
	b.t.Helper()
	made, _, err := fhir.Create(b.t.Context(), b.client.FHIR(campus.LIS), resource)
	require.NoError(b.t, err)
	return made
}

// patientRef is the patient in the LIS's store.
func (b *bench) patientRef(id campus.PatientID) *r4.Reference {
	b.t.Helper()
	for page, err := range fhir.Search(b.t.Context(), b.client.FHIR(campus.LIS), fhir.For(fhir.Identifier[*r4.Patient](id.Issuer, id.Value))) {
		require.NoError(b.t, err)
		require.Len(b.t, page.Matches, 1)
		return r4.RefTo("Patient", page.Matches[0].ResourceID())
	}
	return nil
}

func all[T any](t *testing.T, items iter.Seq2[hospital.Found[T], error]) []hospital.Found[T] {
	t.Helper()
	out, err := until(items)
	require.NoError(t, err)
	return out
}

// until collects items and the error that ended them.
func until[T any](items iter.Seq2[T, error]) ([]T, error) {
	var out []T
	for item, err := range items {
		if err != nil {
			return out, err
		}
		out = append(out, item)
	}
	return out, nil
}

func stored[T r4.Resource](b *bench, typ string) []T {
	b.t.Helper()
	var out []T
	for _, data := range b.hosp.Resources(campus.LIS, typ) {
		r, err := r4.Decode[T](data)
		require.NoError(b.t, err)
		out = append(out, r)
	}
	return out
}

func test(code, name string) r4.CodeableConcept {
	return r4.CodeableConcept{Coding: []r4.Coding{{System: loinc, Code: code, Display: name}}, Text: name}
}

// request is an order of three items.
func (b *bench) request(number string) lis.OrderRequest {
	serum := r4.Concept("http://terminology.hl7.org/CodeSystem/v2-0487", "SER")
	return lis.OrderRequest{
		Number: number, Patient: b.patient, Priority: r4.RequestPriorityUrgent,
		Encounter: r4.Identifier{System: "urn:visits", Value: "V1"}, Requester: r4.Identifier{System: "urn:staff", Value: "D1"},
		Items: []lis.OrderItem{{Code: test("2823-3", "钾"), Specimen: serum}, {Code: test("2951-2", "钠"), Specimen: serum}, {Code: test("58410-2", "血常规")}},
	}
}

// live counts the items of a Number that stand.
func (b *bench) live(number string) int {
	n := 0
	for _, s := range stored[*r4.ServiceRequest](b, "ServiceRequest") {
		if s.Requisition != nil && s.Requisition.Value == number && s.Status == r4.RequestStatusActive {
			n++
		}
	}
	return n
}

// reported makes the laboratory report on an item.
func (b *bench) reported(item *r4.ServiceRequest, status string) *r4.DiagnosticReport {
	b.t.Helper()
	now := time.Now().Format(time.RFC3339)
	result := create(b, &r4.Observation{Status: r4.ObservationStatusFinal, Code: item.Code, Subject: item.Subject, EffectiveDateTime: now, ValueQuantity: r4.UCUMQuantity("4.10", "mmol/L")})
	return create(b, &r4.DiagnosticReport{
		Status: status, Category: []r4.CodeableConcept{*r4.Concept(lis.SectionSystem, lis.Laboratory)}, Code: item.Code, Subject: item.Subject,
		BasedOn: []r4.Reference{*r4.RefTo("ServiceRequest", item.ID)}, EffectiveDateTime: now, Result: []r4.Reference{*r4.RefTo("Observation", result.ID)},
	})
}

func TestLifeOfAnOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		placed, err := b.Order(ctx, b.request("R1"))
		require.NoError(t, err)
		require.Len(t, placed.Resource.Items, 3)
		assert.Equal(t, "R1", placed.Resource.Number)
		assert.Equal(t, "钠", placed.Resource.Items[1].Code.Text)
		again, err := b.Order(ctx, b.request("R1"))
		require.NoError(t, err)
		assert.Equal(t, placed.Resource.Items[2].ID, again.Resource.Items[2].ID)
		b.stages("R1", lis.StageOrdered, lis.StageOrdered, lis.StageOrdered)

		tube := lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient, Lines: []int{1, 2}}
		taken, err := b.Collect(ctx, tube)
		require.NoError(t, err)
		assert.Equal(t, "SER", taken.Resource.Type.Coding[0].Code, "what the order asked for")
		same, err := b.Collect(ctx, tube)
		require.NoError(t, err)
		assert.Equal(t, taken.Resource.ID, same.Resource.ID)
		b.stages("R1", lis.StageCollected, lis.StageCollected, lis.StageOrdered)
		_, err = b.CancelOrder(ctx, "R1", b.patient)
		require.ErrorIs(t, err, hospital.ErrRefused)
		var refused *hospital.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, lis.RefusedCollected, lis.Refusal(refused.Reason))

		received, err := b.Receive(ctx, lis.ReceiveRequest{Barcode: "T1", Accession: "A77"})
		require.NoError(t, err)
		assert.Equal(t, "A77", received.Resource.AccessionIdentifier.Value)
		wait(time.Hour)
		second, err := b.Receive(ctx, lis.ReceiveRequest{Barcode: "T1"})
		require.NoError(t, err)
		assert.Equal(t, received.Resource.ReceivedTime, second.Resource.ReceivedTime, "the first time stays")
		b.stages("R1", lis.StageReceived, lis.StageReceived, lis.StageOrdered)

		_, err = b.Reject(ctx, lis.RejectRequest{Barcode: "T1", Reason: *r4.Text("溶血")})
		require.NoError(t, err)
		_, err = b.Reject(ctx, lis.RejectRequest{Barcode: "T1", Reason: *r4.Text("溶血")})
		require.NoError(t, err)
		_, err = b.Receive(ctx, lis.ReceiveRequest{Barcode: "T1"})
		require.ErrorIs(t, err, hospital.ErrConflict)
		_, err = b.Collect(ctx, tube)
		require.ErrorIs(t, err, hospital.ErrNumberReused, "a new tube has a new barcode")
		b.stages("R1", lis.StageRejected, lis.StageRejected, lis.StageOrdered)

		_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T2", Order: "R1", Patient: b.patient})
		require.NoError(t, err)
		b.stages("R1", lis.StageCollected, lis.StageCollected, lis.StageCollected)
		b.reported(placed.Resource.Items[0], r4.DiagnosticReportStatusPreliminary)
		b.reported(placed.Resource.Items[1], r4.DiagnosticReportStatusCorrected)
		b.reported(placed.Resource.Items[2], r4.DiagnosticReportStatusEnteredInError)
		b.stages("R1", lis.StagePreliminary, lis.StageReported, lis.StageCollected)

		_, err = b.Order(ctx, b.request("R2"))
		require.NoError(t, err)
		for range 2 {
			over, err := b.CancelOrder(ctx, "R2", b.patient)
			require.NoError(t, err)
			assert.True(t, over.Resource.Cancelled())
		}
		b.stages("R2", lis.StageCancelled, lis.StageCancelled, lis.StageCancelled)
		assert.Empty(t, b.hosp.Ledger().Doubled())
	})
}

// stages checks how far each item of an order has come.
func (b *bench) stages(number string, want ...lis.Stage) {
	b.t.Helper()
	status, err := b.OrderStatus(b.t.Context(), number, b.patient)
	require.NoError(b.t, err)
	var got []lis.Stage
	for _, i := range status.Resource.Items {
		got = append(got, i.Stage)
	}
	assert.Equal(b.t, want, got)
}

// edited rewrites every page.
func edited(edit func(b *r4.Bundle)) func([]byte) []byte {
	return func(body []byte) []byte {
		bundle, err := r4.Decode[*r4.Bundle](body)
		if err != nil {
			return body
		}
		edit(bundle)
		out, _ := r4.Marshal(bundle)
		return out
	}
}
