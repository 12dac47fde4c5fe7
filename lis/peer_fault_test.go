package lis_test

import (
	"net/http"
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

// peerWrites are all writing verbs. Each returns what calls the verb and then checks
// that it happened once.
var peerWrites = map[string]struct {
	interaction string
	begin       func(p *peerBench) (act func(p *peerBench) error, once func(p *peerBench))
}{
	"Order": {"transaction", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		r := p.request(hospital.NewNumber())
		return func(p *peerBench) error { _, err := p.Order(p.t.Context(), r); return err },
			func(p *peerBench) {
				assert.Len(p.t, p.items(r.Number), 3)
				assert.Equal(p.t, 3, p.standing(r.Number))
			}
	}},
	"CancelOrder": {"transaction", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		number := p.ordered()
		return func(p *peerBench) error { _, err := p.CancelOrder(p.t.Context(), number, p.patient); return err },
			func(p *peerBench) {
				for _, s := range p.items(number) {
					assert.Equal(p.t, r4.RequestStatusRevoked, s.Status)
					assert.Len(p.t, versionsOf[*r4.ServiceRequest](p, s.ID), 2)
				}
			}
	}},
	"Collect": {"transaction", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		number, barcode := p.ordered(), hospital.NewNumber()
		return func(p *peerBench) error {
				_, err := p.Collect(p.t.Context(), lis.CollectRequest{Barcode: barcode, Order: number, Patient: p.patient})
				return err
			}, func(p *peerBench) {
				assert.Len(p.t, p.tubesOf(barcode), 1)
				for _, s := range p.items(number) {
					assert.Len(p.t, versionsOf[*r4.ServiceRequest](p, s.ID), 2)
				}
			}
	}},
	"Receive": {"update", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		barcode := p.collected()
		return func(p *peerBench) error {
			_, err := p.Receive(p.t.Context(), lis.ReceiveRequest{Barcode: barcode, Accession: "A1"})
			return err
		}, func(p *peerBench) { p.changedOnce(barcode) }
	}},
	"Reject": {"update", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		barcode := p.collected()
		return func(p *peerBench) error {
				_, err := p.Reject(p.t.Context(), lis.RejectRequest{Barcode: barcode, Reason: *r4.Text("溶血")})
				return err
			}, func(p *peerBench) {
				assert.Len(p.t, p.changedOnce(barcode).Condition, 1)
			}
	}},
	"NotifyCritical": {"create", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		r := p.critical(hospital.NewNumber())
		return func(p *peerBench) error { _, err := p.NotifyCritical(p.t.Context(), r); return err },
			func(p *peerBench) { p.stepped(r.Number, lis.CriticalNotified) }
	}},
	"ReceiveCritical": {"update", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		a := p.notified()
		return func(p *peerBench) error { _, err := p.ReceiveCritical(p.t.Context(), a); return err },
			func(p *peerBench) { p.stepped(a.Number, lis.CriticalNotified, lis.CriticalReceived) }
	}},
	"SeeCritical": {"update", func(p *peerBench) (func(*peerBench) error, func(*peerBench)) {
		a := p.notified()
		_, err := p.ReceiveCritical(p.t.Context(), a)
		require.NoError(p.t, err)
		return func(p *peerBench) error { _, err := p.SeeCritical(p.t.Context(), a); return err },
			func(p *peerBench) { p.stepped(a.Number, lis.CriticalNotified, lis.CriticalReceived, lis.CriticalSeen) }
	}},
}

// ordered places an order of two items.
func (p *peerBench) ordered() string {
	p.t.Helper()
	placed, err := p.Order(p.t.Context(), p.ofItems(hospital.NewNumber(), 2))
	require.NoError(p.t, err)
	return placed.Resource.Number
}

// collected fills a tube for an order of its own.
func (p *peerBench) collected() string {
	p.t.Helper()
	barcode := hospital.NewNumber()
	_, err := p.Collect(p.t.Context(), lis.CollectRequest{Barcode: barcode, Order: p.ordered(), Patient: p.patient})
	require.NoError(p.t, err)
	return barcode
}

// changedOnce checks that a tube has two versions: as it was filled, and one more.
func (p *peerBench) changedOnce(barcode string) *r4.Specimen {
	p.t.Helper()
	list := p.tubesOf(barcode)
	require.Len(p.t, list, 1)
	assert.Len(p.t, versionsOf[*r4.Specimen](p, list[0].ID), 2)
	return list[0]
}

func versionsOf[T r4.Resource](p *peerBench, id string) []fhir.Version[T] {
	p.t.Helper()
	var out []fhir.Version[T]
	for v, err := range fhir.History[T](p.t.Context(), p.client.FHIR(campus.LIS), id) {
		require.NoError(p.t, err)
		out = append(out, v)
	}
	return out
}

// What goes wrong on the way to a real server: the verb succeeds or says that nobody
// knows; repeated by another process it succeeds, and it has happened once.
func TestPeerWritesHappenOnceUnderEveryFault(t *testing.T) {
	t.Parallel()
	for name, w := range peerWrites {
		for fname, action := range faults {
			if action.Hang {
				continue // it would be real seconds
			}
			t.Run(name+"/"+fname, func(t *testing.T) {
				t.Parallel()
				p := newPeer(t)
				act, once := w.begin(p)
				p.door.spoil(w.interaction, action)
				orUnknown(t, act(p))
				assert.True(t, p.door.spoilt(), "the fault was met")
				other := p.again()
				require.Eventually(t, func() bool { // a lost request may be running at first
					err := act(other)
					orUnknown(t, err)
					return err == nil
				}, 30*time.Second, 50*time.Millisecond)
				once(other)
			})
		}
	}
}

// The server itself refuses, or drops the connection.
func TestPeerServerFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		drop   bool
	}{"503": {http.StatusServiceUnavailable, false}, "drop": {0, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			ctx, barcode, a := t.Context(), p.collected(), p.notified()
			task := found(p.bench, fhir.Identifier[*r4.Task](lis.DefaultCriticalSystem, a.Number))[0]
			for path, act := range map[string]func() error{
				"/Specimen/" + p.tubesOf(barcode)[0].ID: func() error { _, err := p.Receive(ctx, lis.ReceiveRequest{Barcode: barcode}); return err },
				"/Task/" + task.ID:                      func() error { _, err := p.ReceiveCritical(ctx, a); return err },
			} {
				p.serverFault(path, c.status, c.drop)
				orUnknown(t, act())
				require.Eventually(t, func() bool { return act() == nil }, 30*time.Second, 50*time.Millisecond)
			}
			p.changedOnce(barcode)
			p.stepped(a.Number, lis.CriticalNotified, lis.CriticalReceived)
		})
	}
}
