package lis_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// tubes counts the specimens of a barcode that were not entered in error.
func (b *bench) tubes(barcode string) int {
	n := 0
	for _, s := range stored[*r4.Specimen](b, "Specimen") {
		carries := r4.HasIdentifier(s.Identifier, lis.DefaultBarcodeSystem, barcode)
		for _, c := range s.Container {
			carries = carries || r4.HasIdentifier(c.Identifier, lis.DefaultBarcodeSystem, barcode)
		}
		if carries && s.Status != r4.SpecimenStatusEnteredInError {
			n++
		}
	}
	return n
}

func TestCollectHappensOnceUnderEveryFault(t *testing.T) {
	t.Parallel()
	onFaults(t, "transaction", func(t *testing.T, b *bench, arm func()) {
		_, err := b.Order(t.Context(), b.request("R1"))
		require.NoError(t, err)
		request := lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient, Lines: []int{2}}
		arm()
		_, err = b.Collect(t.Context(), request)
		orUnknown(t, err)
		wait(5 * time.Second)
		again, err := newBench(t, b.hosp).Collect(t.Context(), request)
		require.NoError(t, err)
		assert.Len(t, again.Resource.Request, 1)
		assert.Equal(t, 1, b.tubes("T1"))
	})
}

func TestReceiveAndRejectUnderEveryFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(b *bench) error{
		"receive": func(b *bench) error {
			_, err := b.Receive(b.t.Context(), lis.ReceiveRequest{Barcode: "T1", Accession: "A1"})
			return err
		},
		"reject": func(b *bench) error {
			_, err := b.Reject(b.t.Context(), lis.RejectRequest{Barcode: "T1", Reason: *r4.Text("凝血")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onFaults(t, "update", func(t *testing.T, b *bench, arm func()) {
				_, err := b.Order(t.Context(), b.request("R1"))
				require.NoError(t, err)
				_, err = b.Collect(t.Context(), lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient})
				require.NoError(t, err)
				arm()
				orUnknown(t, c(b))
				wait(5 * time.Second)
				require.NoError(t, c(newBench(t, b.hosp)))
				found, err := b.Specimen(t.Context(), "T1")
				require.NoError(t, err)
				assert.LessOrEqual(t, len(found.Resource.Condition), 1, "rejected once")
			})
		})
	}
}

func TestOneBarcodeOneTube(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]lis.Option{"identifier": lis.WithSystems(lis.Systems{}), "container": lis.WithContainerBarcodes()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, plain *bench) {
				b, ctx := newBench(t, plain.hosp, option), t.Context()
				_, err := b.Order(ctx, b.request("R1"))
				require.NoError(t, err)
				_, err = b.Order(ctx, b.request("R2"))
				require.NoError(t, err)
				theirs := b.request("R3")
				theirs.Patient = b.other
				_, err = b.Order(ctx, theirs)
				require.NoError(t, err)
				_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient, Lines: []int{1}})
				require.NoError(t, err)
				for reason, r := range map[string]lis.CollectRequest{
					"another order":   {Barcode: "T1", Order: "R2", Patient: b.patient, Lines: []int{1}},
					"another patient": {Barcode: "T1", Order: "R3", Patient: b.other, Lines: []int{1}},
					"a wrong patient": {Barcode: "T1", Order: "R1", Patient: b.other, Lines: []int{1}},
					"another item":    {Barcode: "T1", Order: "R1", Patient: b.patient, Lines: []int{2}},
					"no such order":   {Barcode: "T1", Order: "R9", Patient: b.patient},
				} {
					_, err = b.Collect(ctx, r)
					require.ErrorIs(t, err, hospital.ErrNumberReused, reason)
				}
				_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T2", Order: "R1", Patient: b.other})
				require.ErrorIs(t, err, hospital.ErrWrongPatient)
				_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T2", Order: "R1", Patient: b.patient, Lines: []int{7}})
				require.ErrorIs(t, err, hospital.ErrConflict)
				_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T|2", Order: "R1", Patient: b.patient})
				require.ErrorIs(t, err, hospital.ErrInvalidArgument)
				_, err = b.Reject(ctx, lis.RejectRequest{Barcode: "T1"})
				require.ErrorIs(t, err, hospital.ErrInvalidArgument)
				_, err = b.Receive(ctx, lis.ReceiveRequest{Barcode: "T9"})
				require.ErrorIs(t, err, hospital.ErrNotFound)
				found, err := b.Specimen(ctx, "T1")
				require.NoError(t, err)
				assert.Equal(t, name == "container", len(found.Resource.Container) == 1)
				assert.Equal(t, 1, b.tubes("T1"))
				_, err = b.Receive(ctx, lis.ReceiveRequest{Barcode: "T1", Accession: "A1"})
				require.NoError(t, err)
				_, err = b.Receive(ctx, lis.ReceiveRequest{Barcode: "T1", Accession: "A2"})
				require.ErrorIs(t, err, hospital.ErrConflict)
			})
		})
	}
}

// Two stations scan one tube at one moment.
func TestTwoStationsCollectOneTube(t *testing.T) {
	t.Parallel()
	servers := maps.Clone(personalities)
	servers["no guards at all"] = fakes.WithPersonality(fakes.Personality{RaceWindow: time.Second, IgnoreIfMatch: true})
	for name, personality := range servers {
		for seed := range 6 {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, b *bench) {
					_, err := b.Order(t.Context(), b.request("R1"))
					require.NoError(t, err)
					b.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: fakes.Action{Jitter: 300 * time.Millisecond}})
					request := lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient}
					var errs [2]error
					var both sync.WaitGroup
					for i, d := range []*bench{b, newBench(t, b.hosp)} {
						both.Go(func() { _, errs[i] = d.Collect(t.Context(), request) })
					}
					both.Wait()
					for _, err := range errs {
						require.NoError(t, err)
					}
					assert.Equal(t, 1, b.tubes("T1"))
				}, personality, fakes.WithSeed(uint64(seed)))
			})
		}
	}
}

// One barcode for two patients at one moment: one of them, and the other's items do
// not name the tube.
func TestOneBarcodeTwoPatients(t *testing.T) {
	t.Parallel()
	for seed := range 6 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				_, err := b.Order(t.Context(), b.request("R1"))
				require.NoError(t, err)
				theirs := b.request("R2")
				theirs.Patient = b.other
				_, err = b.Order(t.Context(), theirs)
				require.NoError(t, err)
				b.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: fakes.Action{Jitter: 100 * time.Millisecond}})
				var mine, other error
				var both sync.WaitGroup
				both.Go(func() {
					_, mine = b.Collect(t.Context(), lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient})
				})
				both.Go(func() {
					_, other = newBench(t, b.hosp).Collect(t.Context(), lis.CollectRequest{Barcode: "T1", Order: "R2", Patient: b.other})
				})
				both.Wait()
				assert.NotEqual(t, mine == nil, other == nil, "%v, %v", mine, other)
				assert.Equal(t, 1, b.tubes("T1"))
				for _, s := range stored[*r4.ServiceRequest](b, "ServiceRequest") {
					tubes := 0
					for _, r := range s.Specimen {
						if r.Reference[0] != '#' {
							tubes++
						}
					}
					assert.Equal(t, (s.Requisition.Value == "R1") == (mine == nil), tubes == 1)
				}
			}, fakes.WithPersonality(fakes.Personality{AtomicCreate: true}), fakes.WithSeed(uint64(seed)))
		})
	}
}
