package lis_test

import (
	"fmt"
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
	"github.com/hospital-go/hospital/lis"
)

// items are those of a Number on the server, whatever their status.
func (b *bench) items(number string) []*r4.ServiceRequest {
	b.t.Helper()
	return found(b, fhir.Raw[*r4.ServiceRequest]("requisition", fhir.Token(lis.DefaultRequisitionSystem, number), false))
}

func (b *bench) standing(number string) int {
	n := 0
	for _, s := range b.items(number) {
		if s.Status == r4.RequestStatusActive {
			n++
		}
	}
	return n
}

// tubesOf are the specimens of a barcode that stand or were rejected.
func (b *bench) tubesOf(barcode string) []*r4.Specimen {
	b.t.Helper()
	return found(b, fhir.Identifier[*r4.Specimen](lis.DefaultBarcodeSystem, barcode))
}

func refusal(t *testing.T, err error) lis.Refusal {
	t.Helper()
	var refused *hospital.Error
	require.ErrorIs(t, err, hospital.ErrRefused)
	require.ErrorAs(t, err, &refused)
	return lis.Refusal(refused.Reason)
}

// ofItems is an order of n items.
func (b *bench) ofItems(number string, n int) lis.OrderRequest {
	r := b.request(number)
	r.Items = nil
	for i := range n {
		r.Items = append(r.Items, lis.OrderItem{Code: test(fmt.Sprintf("%d-0", i), fmt.Sprintf("项目%d", i)), Note: "空腹"})
	}
	return r
}

// placedElsewhere is an order of n items that another program has placed, each item in
// a request of its own: the peer takes no transaction of so many.
func (p *peerBench) placedElsewhere(n int) lis.OrderRequest {
	p.t.Helper()
	one, err := p.Order(p.t.Context(), p.ofItems(hospital.NewNumber(), 1))
	require.NoError(p.t, err)
	r := p.ofItems(hospital.NewNumber(), n)
	var items []*r4.ServiceRequest
	for i := range r.Items {
		s := *one.Resource.Items[0]
		s.ID, s.Meta, s.Code = "", nil, &r.Items[i].Code
		s.Requisition = &r4.Identifier{System: lis.DefaultRequisitionSystem, Value: r.Number}
		s.Identifier = []r4.Identifier{{System: lis.DefaultLineSystem, Value: fmt.Sprintf("%s-%d", r.Number, i+1)}}
		items = append(items, &s)
	}
	createAll(p.bench, items)
	return r
}

// As many items as the peer takes at once, and an order of 99 that is there already.
func TestPeerOrderOfManyItems(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx := t.Context()
	few := p.ofItems(hospital.NewNumber(), 8)
	_, err := p.Order(ctx, few)
	require.NoError(t, err)
	for _, r := range []lis.OrderRequest{few, p.placedElsewhere(99)} {
		n := len(r.Items)
		var ids []string
		for i := range 2 {
			placed, err := p.again().Order(ctx, r)
			require.NoError(t, err)
			require.Len(t, placed.Resource.Items, n)
			for k, s := range placed.Resource.Items {
				assert.Equal(t, fmt.Sprintf("项目%d", k), s.Code.Text)
				assert.Equal(t, "空腹", s.Note[0].Text)
				if i == 0 {
					ids = append(ids, s.ID)
				}
				assert.Equal(t, ids[k], s.ID)
			}
		}
		assert.Len(t, p.items(r.Number), n, "and no more are made")
		p.reported(p.items(r.Number)[n-1], r4.DiagnosticReportStatusCancelled)
		create(p.bench, &r4.Task{
			Status: r4.TaskStatusRejected, Intent: "order", Code: r4.Concept(taskCodes, "fulfill"),
			Focus: r4.RefTo("ServiceRequest", ids[0]),
		})
		status, err := p.OrderStatus(ctx, r.Number, p.patient)
		require.NoError(t, err)
		require.Len(t, status.Resource.Items, n)
		assert.Equal(t, lis.StageOrdered, status.Resource.Items[n-1].Stage)
		assert.Equal(t, lis.StageRefused, status.Resource.Items[0].Stage)
	}
	over, err := p.CancelOrder(ctx, few.Number, p.patient)
	require.NoError(t, err)
	assert.True(t, over.Resource.Cancelled())
	assert.Zero(t, p.standing(few.Number))
}

func TestPeerNumberThatIsReused(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx, number := t.Context(), hospital.NewNumber()
	_, err := p.Order(ctx, p.request(number))
	require.NoError(t, err)
	for name, change := range map[string]func(r *lis.OrderRequest){
		"another patient": func(r *lis.OrderRequest) { r.Patient = p.other },
		"nobody":          func(r *lis.OrderRequest) { r.Patient.Value = hospital.NewNumber() },
		"another code":    func(r *lis.OrderRequest) { r.Items[0].Code = test("2075-0", "氯") },
		"one item less":   func(r *lis.OrderRequest) { r.Items = r.Items[:2] },
		"one item more":   func(r *lis.OrderRequest) { r.Items = append(r.Items, r.Items[0]) },
	} {
		r := p.request(number)
		change(&r)
		_, err = p.Order(ctx, r)
		require.ErrorIs(t, err, hospital.ErrNumberReused, name)
	}
	_, err = p.OrderOf(ctx, number, p.other)
	require.ErrorIs(t, err, hospital.ErrWrongPatient)
	_, err = p.CancelOrder(ctx, number, p.other)
	require.ErrorIs(t, err, hospital.ErrWrongPatient)
	_, err = p.OrderOf(ctx, hospital.NewNumber(), p.patient)
	require.ErrorIs(t, err, hospital.ErrNotFound)
	_, err = p.CancelOrder(ctx, number, p.patient)
	require.NoError(t, err)
	_, err = p.Order(ctx, p.request(number))
	require.ErrorIs(t, err, hospital.ErrNumberReused)
	_, err = p.Collect(ctx, lis.CollectRequest{Barcode: hospital.NewNumber(), Order: number, Patient: p.patient})
	require.ErrorIs(t, err, hospital.ErrConflict)
	assert.Len(t, p.items(number), 3)
}

func TestPeerLifeOfAnOrder(t *testing.T) {
	t.Parallel()
	for name, contract := range map[string]campus.Contract{
		"versions": peerContract, "atomic": {Versioning: true, ConditionalCreate: campus.Atomic, ServerTimeout: peerContract.ServerTimeout},
		"nothing proved": {ServerTimeout: peerContract.ServerTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeerOf(t, contract)
			ctx, number, first, second := t.Context(), hospital.NewNumber(), hospital.NewNumber(), hospital.NewNumber()
			placed, err := p.Order(ctx, p.request(number))
			require.NoError(t, err)
			p.stages(number, lis.StageOrdered, lis.StageOrdered, lis.StageOrdered)

			tube := lis.CollectRequest{Barcode: first, Order: number, Patient: p.patient, Lines: []int{1, 2}, Collector: r4.Identifier{System: "urn:staff", Value: "N1"}}
			var ids []string
			for range 2 {
				taken, err := p.Collect(ctx, tube)
				require.NoError(t, err)
				assert.Equal(t, "SER", taken.Resource.Type.Coding[0].Code)
				assert.Len(t, taken.Resource.Request, 2)
				ids = append(ids, taken.Resource.ID)
			}
			assert.Equal(t, ids[0], ids[1])
			for _, s := range p.items(number)[:2] {
				assert.Len(t, s.Specimen, 2, "the kind that was asked for, and the tube")
			}
			p.stages(number, lis.StageCollected, lis.StageCollected, lis.StageOrdered)
			_, err = p.CancelOrder(ctx, number, p.patient)
			assert.Equal(t, lis.RefusedCollected, refusal(t, err))
			other := tube
			other.Patient = p.other
			_, err = p.Collect(ctx, other)
			require.ErrorIs(t, err, hospital.ErrNumberReused)
			other = tube
			other.Lines = []int{3}
			_, err = p.Collect(ctx, other)
			require.ErrorIs(t, err, hospital.ErrNumberReused)

			received, err := p.Receive(ctx, lis.ReceiveRequest{Barcode: first, Accession: "A77"})
			require.NoError(t, err)
			again, err := p.Receive(ctx, lis.ReceiveRequest{Barcode: first, At: time.Now().Add(time.Hour)})
			require.NoError(t, err)
			assert.Equal(t, received.Resource.ReceivedTime, again.Resource.ReceivedTime)
			_, err = p.Receive(ctx, lis.ReceiveRequest{Barcode: first, Accession: "A78"})
			require.ErrorIs(t, err, hospital.ErrConflict)
			p.stages(number, lis.StageReceived, lis.StageReceived, lis.StageOrdered)
			for _, reason := range []string{"溶血", "凝块"} {
				rejected, err := p.Reject(ctx, lis.RejectRequest{Barcode: first, Reason: *r4.Text(reason)})
				require.NoError(t, err)
				require.Len(t, rejected.Resource.Condition, 1)
				assert.Equal(t, "溶血", rejected.Resource.Condition[0].Text, "the first reason stays")
			}
			_, err = p.Receive(ctx, lis.ReceiveRequest{Barcode: first})
			require.ErrorIs(t, err, hospital.ErrConflict)
			_, err = p.Collect(ctx, tube)
			require.ErrorIs(t, err, hospital.ErrNumberReused)
			p.stages(number, lis.StageRejected, lis.StageRejected, lis.StageOrdered)
			_, err = p.Specimen(ctx, hospital.NewNumber())
			require.ErrorIs(t, err, hospital.ErrNotFound)
			_, err = p.Receive(ctx, lis.ReceiveRequest{Barcode: hospital.NewNumber()})
			require.ErrorIs(t, err, hospital.ErrNotFound)

			_, err = p.Collect(ctx, lis.CollectRequest{Barcode: second, Order: number, Patient: p.patient})
			require.NoError(t, err)
			p.stages(number, lis.StageCollected, lis.StageCollected, lis.StageCollected)
			p.reported(placed.Resource.Items[0], r4.DiagnosticReportStatusPreliminary)
			p.reported(placed.Resource.Items[1], r4.DiagnosticReportStatusCorrected)
			p.reported(placed.Resource.Items[2], r4.DiagnosticReportStatusEnteredInError)
			p.stages(number, lis.StagePreliminary, lis.StageReported, lis.StageCollected)
			status, err := p.OrderStatus(ctx, number, p.patient)
			require.NoError(t, err)
			assert.Len(t, status.Resource.Items[0].Specimens, 2)
			_, err = p.OrderStatus(ctx, number, p.other)
			require.ErrorIs(t, err, hospital.ErrWrongPatient)
			assert.Len(t, p.tubesOf(first), 1)
			assert.Len(t, p.tubesOf(second), 1)
		})
	}
}

// A barcode that stands on the container.
func TestPeerContainerBarcodes(t *testing.T) {
	t.Parallel()
	p := newPeer(t, lis.WithContainerBarcodes())
	ctx, number, barcode := t.Context(), hospital.NewNumber(), hospital.NewNumber()
	_, err := p.Order(ctx, p.request(number))
	require.NoError(t, err)
	var ids []string
	for range 2 {
		taken, err := p.Collect(ctx, lis.CollectRequest{Barcode: barcode, Order: number, Patient: p.patient})
		require.NoError(t, err)
		ids = append(ids, taken.Resource.ID)
	}
	assert.Equal(t, ids[0], ids[1])
	read, err := p.Specimen(ctx, barcode)
	require.NoError(t, err)
	assert.Equal(t, barcode, read.Resource.Container[0].Identifier[0].Value)
}

// What a laboratory has begun with cannot be cancelled.
func TestPeerCancelIsRefused(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx := t.Context()
	reported, performed, dropped := hospital.NewNumber(), hospital.NewNumber(), hospital.NewNumber()
	for _, number := range []string{reported, performed, dropped} {
		_, err := p.Order(ctx, p.request(number))
		require.NoError(t, err)
	}
	p.reported(p.items(reported)[0], r4.DiagnosticReportStatusRegistered)
	_, err := p.CancelOrder(ctx, reported, p.patient)
	assert.Equal(t, lis.RefusedReported, refusal(t, err))
	put(p.bench, p.items(performed)[0].ID, func(s *r4.ServiceRequest) { s.Status = r4.RequestStatusCompleted })
	_, err = p.CancelOrder(ctx, performed, p.patient)
	assert.Equal(t, lis.RefusedPerformed, refusal(t, err))
	p.reported(p.items(dropped)[0], r4.DiagnosticReportStatusCancelled)
	for range 2 {
		_, err = p.CancelOrder(ctx, dropped, p.patient)
		require.NoError(t, err)
	}
	assert.Equal(t, 3, p.standing(reported))
	assert.Equal(t, 2, p.standing(performed))
	assert.Zero(t, p.standing(dropped))
}

// All of a patient's orders over several pages, once each, the latest first.
func TestPeerOrders(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	start := time.Date(2030, 1, 7, 8, 0, 0, 0, time.FixedZone("+08:00", 8*60*60))
	var numbers []string
	for i := range 15 { // of two items: thirty resources
		r := p.ofItems(hospital.NewNumber(), 2)
		r.Authored = start.Add(time.Duration(i) * time.Hour)
		_, err := p.Order(t.Context(), r)
		require.NoError(t, err)
		numbers = append([]string{r.Number}, numbers...)
	}
	got := func(q lis.OrderQuery) (out []string) {
		q.Patient = p.patient
		for _, o := range all(t, p.Orders(t.Context(), q)) {
			assert.Len(t, o.Resource.Items, 2)
			out = append(out, o.Resource.Number)
		}
		return out
	}
	assert.Equal(t, numbers, got(lis.OrderQuery{}))
	assert.Equal(t, numbers[5:13], got(lis.OrderQuery{From: start.Add(2 * time.Hour), To: start.Add(10 * time.Hour)}))
	assert.Empty(t, all(t, p.Orders(t.Context(), lis.OrderQuery{Patient: p.other})))
}

// Many at once with one Number or barcode make one; a cancellation and a collection at
// once are one of both.
func TestPeerAtOnce(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	ctx, number, barcode := t.Context(), hospital.NewNumber(), hospital.NewNumber()
	together(8, func(int) {
		_, err := p.Order(ctx, p.request(number))
		assert.NoError(t, err)
	})
	assert.Len(t, p.items(number), 3)
	together(8, func(int) {
		_, err := p.Collect(ctx, lis.CollectRequest{Barcode: barcode, Order: number, Patient: p.patient})
		if err != nil {
			assert.ErrorIs(t, err, hospital.ErrConflict, "another desk has just changed the items")
		}
	})
	_, err := p.Collect(ctx, lis.CollectRequest{Barcode: barcode, Order: number, Patient: p.patient})
	require.NoError(t, err)
	assert.Len(t, p.tubesOf(barcode), 1)
	for _, s := range p.items(number) {
		assert.LessOrEqual(t, len(s.Specimen), 2)
	}

	for range 8 {
		number, barcode := hospital.NewNumber(), hospital.NewNumber()
		_, err := p.Order(ctx, p.request(number))
		require.NoError(t, err)
		var cancelled, collected atomic.Bool
		together(2, func(i int) {
			if i == 0 {
				_, err := p.CancelOrder(ctx, number, p.patient)
				cancelled.Store(err == nil)
				return
			}
			_, err := p.Collect(ctx, lis.CollectRequest{Barcode: barcode, Order: number, Patient: p.patient})
			collected.Store(err == nil)
		})
		assert.NotEqual(t, cancelled.Load(), collected.Load())
		assert.Equal(t, collected.Load(), p.standing(number) == 3)
		assert.Equal(t, cancelled.Load(), p.standing(number) == 0)
		assert.Equal(t, collected.Load(), len(p.tubesOf(barcode)) == 1)
	}
}

func together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
