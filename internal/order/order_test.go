package order_test

import (
	"fmt"
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
	"github.com/hospital-go/hospital/internal/order"
)

// An imaging department's desk: nobody looks for specimens there. What a laboratory's
// does is tested with package lis.
func desk(t *testing.T, hosp *fakes.Hospital) (*order.Desk, *hospital.Client) {
	t.Helper()
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return order.New(client, order.Config{
		System: campus.RIS, Prefix: "pacs", Category: r4.Coding{System: "urn:category", Code: "imaging"},
		Requisition: "urn:accession", Line: "urn:accession-line",
	}), client
}

func request(number string) order.Request {
	return order.Request{
		Number: number, Patient: campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"},
		Items: []order.Wanted{{Code: *r4.Concept("urn:codes", "CT-HEAD"), BodySite: []r4.CodeableConcept{*r4.Text("头")}, Note: "平扫"}, {Code: *r4.Text("胸片")}},
	}
}

func TestImagingOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, client := desk(t, fakes.NewHospital(t))
		ctx, r := t.Context(), request("A1")
		placed, err := d.Place(ctx, r)
		require.NoError(t, err)
		require.Len(t, placed.Resource.Items, 2)
		assert.Equal(t, 2, d.LineOf(placed.Resource.Items[1]))
		assert.Equal(t, "平扫", placed.Resource.Items[0].Note[0].Text)
		assert.Nil(t, order.Material(placed.Resource.Items[0]))
		found, err := d.Find(ctx, "A1", r.Patient)
		require.NoError(t, err)
		assert.Equal(t, placed.Resource.Items[0].ID, found.Resource.Items[0].ID)

		// Another program made one without a Number.
		loose := *found.Resource.Items[0]
		loose.ID, loose.Meta, loose.Requisition, loose.Identifier = "", nil, nil, nil
		_, _, err = fhir.Create(ctx, client.FHIR(campus.RIS), &loose)
		require.NoError(t, err)
		var numbers []string
		for o, err := range d.List(ctx, order.Query{Patient: r.Patient}) {
			require.NoError(t, err)
			numbers = append(numbers, o.Resource.Number)
		}
		assert.ElementsMatch(t, []string{"A1", ""}, numbers)
		cancelled, err := d.Cancel(ctx, "A1", r.Patient)
		require.NoError(t, err)
		assert.True(t, cancelled.Resource.Cancelled())
		_, err = d.Find(ctx, "A|1", r.Patient)
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	})
}

func TestLineOf(t *testing.T) {
	t.Parallel()
	d := order.New(nil, order.Config{Requisition: "r", Line: "l"})
	for value, want := range map[string]int{"A-1": 1, "A-12": 12, "A-0": 0, "A-01": 0, "A--1": 0, "A": 0, "B-1": 0, "A-x": 0, "": 0} {
		s := &r4.ServiceRequest{Requisition: &r4.Identifier{System: "r", Value: "A"}, Identifier: []r4.Identifier{{System: "l", Value: value}}}
		assert.Equal(t, want, d.LineOf(s), value)
	}
	assert.Zero(t, d.LineOf(&r4.ServiceRequest{}))
}

// What was made twice is ended once, on servers where it is really made twice.
func TestDoublesAreEnded(t *testing.T) {
	t.Parallel()
	var doubled sync.Map
	t.Run("seeds", func(t *testing.T) {
		t.Parallel()
		for seed := range 12 {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					hosp := fakes.NewHospital(t, fakes.WithSeed(uint64(seed)), fakes.WithPersonality(fakes.Personality{RaceWindow: time.Second}))
					hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: fakes.Action{Jitter: 300 * time.Millisecond}})
					var both sync.WaitGroup
					for range 2 {
						d, _ := desk(t, hosp)
						both.Go(func() {
							placed, err := d.Place(t.Context(), request("A1"))
							if assert.NoError(t, err) {
								assert.Len(t, placed.Resource.Items, 2)
							}
						})
					}
					both.Wait()
					live := 0
					for _, data := range hosp.Resources(campus.RIS, "ServiceRequest") {
						s, err := r4.Decode[*r4.ServiceRequest](data)
						require.NoError(t, err)
						if s.Requisition.Value == "A1" && order.Live(s) {
							live++
						}
					}
					assert.Equal(t, 2, live)
					if len(hosp.Ledger().Doubled()) > 0 {
						doubled.Store(seed, true)
					}
				})
			})
		}
	})
	t.Cleanup(func() {
		n := 0
		doubled.Range(func(any, any) bool { n++; return true })
		assert.Positive(t, n, "none was made twice: the test shows nothing")
	})
}
