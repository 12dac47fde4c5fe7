package lis_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// personalities under which every promise about writes must hold.
var personalities = map[string]fakes.Option{
	"racy":   fakes.WithPersonality(fakes.Personality{RaceWindow: 2 * time.Second}),
	"atomic": fakes.WithPersonality(fakes.Personality{AtomicCreate: true}),
	"racy, versioning not declared": func(h *fakes.Hospital) {
		fakes.WithPersonality(fakes.Personality{RaceWindow: 2 * time.Second})(h)
		fakes.WithContract(campus.Contract{ServerTimeout: 3 * time.Second})(h)
	},
}

// faults of one write at the home data centre.
var faults = map[string]fakes.Action{
	"reset before":       {ResetBefore: true},
	"answer lost":        {ResetAfter: true},
	"answer cut":         {CutAfter: 40},
	"500":                {Status: 500},
	"503 executed":       {Status: 503, Execute: true},
	"200 from a gateway": {Status: 200, Body: "<html>Welcome</html>", Execute: true},
	"200 with an error":  {Status: 200, Body: `{"resourceType":"OperationOutcome","issue":[]}`, ContentType: "application/json", Execute: true},
	"hang":               {Hang: true},
}

// onFaults runs a test under every personality and fault.
func onFaults(t *testing.T, interaction string, test func(t *testing.T, b *bench, arm func())) {
	t.Helper()
	for pname, personality := range personalities {
		for fname, action := range faults {
			t.Run(pname+"/"+fname, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, b *bench) {
					test(t, b, func() {
						b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, DataCenter: "dc-a", Interaction: interaction}, Do: action, Times: 1})
					})
				}, personality)
			})
		}
	}
}

// orUnknown: what went wrong may only be that nobody knows.
func orUnknown(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		require.ErrorIs(t, err, hospital.ErrOutcomeUnknown)
	}
}

func TestOrderHappensOnceUnderEveryFault(t *testing.T) {
	t.Parallel()
	onFaults(t, "transaction", func(t *testing.T, b *bench, arm func()) {
		arm()
		started := time.Now()
		_, err := b.Order(t.Context(), b.request("R1"))
		assert.LessOrEqual(t, time.Since(started), 15*time.Second+50*time.Millisecond)
		orUnknown(t, err)
		wait(5 * time.Second)
		again, err := newBench(t, b.hosp).Order(t.Context(), b.request("R1")) // another process
		require.NoError(t, err)
		assert.Len(t, again.Resource.Items, 3)
		assert.Equal(t, 3, b.live("R1"))
		assert.Empty(t, b.hosp.Ledger().Doubled())
	})
}

func TestCancelHappensUnderEveryFault(t *testing.T) {
	t.Parallel()
	onFaults(t, "transaction", func(t *testing.T, b *bench, arm func()) {
		_, err := b.Order(t.Context(), b.request("R1"))
		require.NoError(t, err)
		arm()
		_, err = b.CancelOrder(t.Context(), "R1", b.patient)
		orUnknown(t, err)
		wait(5 * time.Second)
		_, err = newBench(t, b.hosp).CancelOrder(t.Context(), "R1", b.patient)
		require.NoError(t, err)
		assert.Zero(t, b.live("R1"))
	})
}

func TestOneNumberOneOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*lis.OrderRequest, *bench)
		want   error
	}{
		"the same":            {func(*lis.OrderRequest, *bench) {}, nil},
		"another priority":    {func(r *lis.OrderRequest, _ *bench) { r.Priority = r4.RequestPriorityStat }, nil},
		"another patient":     {func(r *lis.OrderRequest, b *bench) { r.Patient = b.other }, hospital.ErrNumberReused},
		"nobody":              {func(r *lis.OrderRequest, _ *bench) { r.Patient.Value = "ZY999999" }, hospital.ErrNumberReused},
		"one item less":       {func(r *lis.OrderRequest, _ *bench) { r.Items = r.Items[:2] }, hospital.ErrNumberReused},
		"one item more":       {func(r *lis.OrderRequest, _ *bench) { r.Items = append(r.Items, r.Items[0]) }, hospital.ErrNumberReused},
		"another code":        {func(r *lis.OrderRequest, _ *bench) { r.Items[0].Code = test("2075-0", "氯") }, hospital.ErrNumberReused},
		"another order":       {func(r *lis.OrderRequest, _ *bench) { r.Items[0], r.Items[1] = r.Items[1], r.Items[0] }, hospital.ErrNumberReused},
		"no items":            {func(r *lis.OrderRequest, _ *bench) { r.Items = nil }, hospital.ErrInvalidArgument},
		"an item of no code":  {func(r *lis.OrderRequest, _ *bench) { r.Items[0].Code = r4.CodeableConcept{} }, hospital.ErrInvalidArgument},
		"an unknown priority": {func(r *lis.OrderRequest, _ *bench) { r.Priority = "soon" }, hospital.ErrInvalidArgument},
		"no number":           {func(r *lis.OrderRequest, _ *bench) { r.Number = "" }, hospital.ErrInvalidArgument},
		"a hundred items":     {func(r *lis.OrderRequest, _ *bench) { r.Items = make([]lis.OrderItem, 100) }, hospital.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				_, err := b.Order(t.Context(), b.request("R1"))
				require.NoError(t, err)
				r := b.request("R1")
				c.change(&r, b)
				_, err = b.Order(t.Context(), r)
				require.ErrorIs(t, err, c.want)
				assert.Len(t, stored[*r4.ServiceRequest](b, "ServiceRequest"), 3)
			})
		})
	}
}

func TestWhatACancelledNumberNames(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		_, err := b.Order(ctx, b.request("R1"))
		require.NoError(t, err)
		_, err = b.CancelOrder(ctx, "R1", b.other)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		_, err = b.OrderOf(ctx, "R1", b.other)
		require.ErrorIs(t, err, hospital.ErrWrongPatient)
		_, err = b.CancelOrder(ctx, "R9", b.patient)
		require.ErrorIs(t, err, hospital.ErrNotFound)
		_, err = b.CancelOrder(ctx, "R1", b.patient)
		require.NoError(t, err)
		_, err = b.Order(ctx, b.request("R1"))
		require.ErrorIs(t, err, hospital.ErrNumberReused)
		_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient})
		require.ErrorIs(t, err, hospital.ErrConflict)
	})
}

func TestCancelIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin func(b *bench, items []*r4.ServiceRequest)
		want  error
	}{
		"reported": {func(b *bench, items []*r4.ServiceRequest) { b.reported(items[1], r4.DiagnosticReportStatusRegistered) }, hospital.ErrRefused},
		"performed": {func(b *bench, items []*r4.ServiceRequest) {
			put(b, items[0].ID, func(s *r4.ServiceRequest) { s.Status = r4.RequestStatusCompleted })
		}, hospital.ErrRefused},
		"a tube of another program": {func(b *bench, items []*r4.ServiceRequest) {
			create(b, &r4.Specimen{Subject: items[0].Subject, Request: []r4.Reference{*r4.RefTo("ServiceRequest", items[2].ID)}})
		}, hospital.ErrRefused},
		"a report that was cancelled": {func(b *bench, items []*r4.ServiceRequest) { b.reported(items[1], r4.DiagnosticReportStatusCancelled) }, nil},
		"a tube that was rejected": {func(b *bench, _ []*r4.ServiceRequest) {
			_, err := b.Collect(b.t.Context(), lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient})
			require.NoError(b.t, err)
			_, err = b.Reject(b.t.Context(), lis.RejectRequest{Barcode: "T1", Reason: *r4.Text("量少")})
			require.NoError(b.t, err)
		}, nil},
		"a tube of another order": {func(b *bench, items []*r4.ServiceRequest) {
			create(b, &r4.Specimen{Subject: items[0].Subject, Request: []r4.Reference{*r4.RefTo("ServiceRequest", "9")}})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				placed, err := b.Order(t.Context(), b.request("R1"))
				require.NoError(t, err)
				c.begin(b, placed.Resource.Items)
				_, err = b.CancelOrder(t.Context(), "R1", b.patient)
				require.ErrorIs(t, err, c.want)
				if c.want == nil {
					assert.Zero(t, b.live("R1"))
				} else {
					assert.Positive(t, b.live("R1"))
				}
			})
		})
	}
}

// Two desks place one Number at one moment, on servers that look, then insert: nobody
// ends with two orders, and whoever is told of success has one.
func TestTwoDesksPlaceOneNumber(t *testing.T) {
	t.Parallel()
	for name, personality := range personalities {
		for seed := range 8 {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, b *bench) {
					b.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: fakes.Action{Jitter: 300 * time.Millisecond}})
					desks := []*bench{b, newBench(t, b.hosp), newBench(t, b.hosp)}
					errs := make([]error, len(desks))
					var all sync.WaitGroup
					for i, d := range desks {
						all.Go(func() { _, errs[i] = d.Order(t.Context(), b.request("R1")) })
					}
					all.Wait()
					wait(time.Minute)
					done, err := newBench(t, b.hosp).Order(t.Context(), b.request("R1"))
					require.NoError(t, err, "%v", errs)
					assert.Len(t, done.Resource.Items, 3)
					assert.Equal(t, 3, b.live("R1"))
				}, personality, fakes.WithSeed(uint64(seed)))
			})
		}
	}
}

// Collecting and cancelling at one moment: one of them.
func TestCancelMeetsCollect(t *testing.T) {
	t.Parallel()
	for seed := range 8 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				_, err := b.Order(t.Context(), b.request("R1"))
				require.NoError(t, err)
				b.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "search-type"}, Do: fakes.Action{Jitter: 200 * time.Millisecond}})
				var cancelled, collected error
				var both sync.WaitGroup
				both.Go(func() { _, cancelled = newBench(t, b.hosp).CancelOrder(t.Context(), "R1", b.patient) })
				both.Go(func() {
					_, collected = b.Collect(t.Context(), lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient})
				})
				both.Wait()
				assert.NotEqual(t, cancelled == nil, collected == nil, "cancel %v, collect %v", cancelled, collected)
				assert.Equal(t, cancelled == nil, b.live("R1") == 0)
				assert.Equal(t, collected == nil, b.hosp.Count(campus.LIS, "Specimen", lis.DefaultBarcodeSystem, "T1") == 1)
			}, personalities["racy"], fakes.WithSeed(uint64(seed)))
		})
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		ctx, start := t.Context(), time.Now()
		for i := range 9 { // 27 items: more than a page
			r := b.request(fmt.Sprintf("R%d", i))
			r.Authored = start.Add(time.Duration(i) * time.Hour)
			_, err := b.Order(ctx, r)
			require.NoError(t, err)
		}
		r := b.request("X1")
		r.Patient = b.other
		_, err := b.Order(ctx, r)
		require.NoError(t, err)
		_, err = b.CancelOrder(ctx, "R8", b.patient)
		require.NoError(t, err)

		list := all(t, b.Orders(ctx, lis.OrderQuery{Patient: b.patient}))
		require.Len(t, list, 9)
		for i, o := range list {
			assert.Equal(t, fmt.Sprintf("R%d", 8-i), o.Resource.Number, "the latest first")
			assert.Len(t, o.Resource.Items, 3)
			assert.Equal(t, i == 0, o.Resource.Cancelled())
		}
		some := all(t, b.Orders(ctx, lis.OrderQuery{Patient: b.patient, From: start.Add(2 * time.Hour), To: start.Add(4 * time.Hour)}))
		require.Len(t, some, 2)
		assert.Equal(t, "R3", some[0].Resource.Number)
		_, err = until(b.Orders(ctx, lis.OrderQuery{Patient: campus.PatientID{Issuer: "urn:nobody", Value: "1"}}))
		require.ErrorIs(t, err, hospital.ErrNotFound)
		_, err = until(b.Orders(ctx, lis.OrderQuery{Patient: b.patient, From: start, To: start}))
		require.ErrorIs(t, err, hospital.ErrInvalidArgument)
		b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Type: "ServiceRequest"}, Do: fakes.Action{Rewrite: func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte(`"authoredOn":"2000`), []byte(`"authoredOn":"1999`))
		}}})
		_, err = until(b.Orders(ctx, lis.OrderQuery{Patient: b.patient, From: start}))
		require.ErrorIs(t, err, hospital.ErrFilterIgnored, "of another time")
	})
}

// A server that ignores filters answers with everybody: no verb may pass that on.
func TestIgnoredFiltersAreNoAnswer(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]fakes.Personality{
		"and says so": {IgnoreFilters: true}, "and lies": {IgnoreFilters: true, LyingSelf: true}, "page by page": {IgnoreFilters: true, LyingSelf: true, PageSize: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				ctx := t.Context()
				_, err := b.Order(ctx, b.request("R1"))
				require.Error(t, err)
				_, err = until(b.Reports(ctx, lis.ReportQuery{Patient: b.patient}))
				require.ErrorIs(t, err, hospital.ErrFilterIgnored)
				_, err = until(b.Results(ctx, lis.ResultQuery{Patient: b.patient}))
				require.ErrorIs(t, err, hospital.ErrFilterIgnored)
				_, err = b.Report(ctx, "Rrep1-1", b.patient)
				require.ErrorIs(t, err, hospital.ErrFilterIgnored)
				_, err = b.Specimen(ctx, "DEMO1-1")
				require.ErrorIs(t, err, hospital.ErrFilterIgnored)
				_, err = b.OpenCriticals(ctx, ward)
				require.Error(t, err)
			}, fakes.WithPersonality(p))
		})
	}
}

// Where a line exists that cannot be part of the order, none of the others is left behind.
func TestARefusedOrderLeavesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		one := b.request("R1")
		one.Items = one.Items[:1]
		placed, err := b.Order(t.Context(), one)
		require.NoError(t, err)
		put(b, placed.Resource.Items[0].ID, func(s *r4.ServiceRequest) { s.Status = r4.RequestStatusEnteredInError })
		_, err = b.Order(t.Context(), b.request("R1"))
		require.ErrorIs(t, err, hospital.ErrNumberReused)
		assert.Zero(t, b.live("R1"))
	}, personalities["atomic"])
}

// One Number names one side of the body, and one material.
func TestOneNumberNamesOneSiteAndMaterial(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(i *lis.OrderItem){
		"the other side": func(i *lis.OrderItem) {
			i.BodySite = []r4.CodeableConcept{*r4.Concept("http://snomed.info/sct", "24028007")}
		},
		"another material": func(i *lis.OrderItem) {
			i.Specimen = r4.Concept("http://terminology.hl7.org/CodeSystem/v2-0487", "CSF")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				r := b.request("R1")
				r.Items[0].BodySite = []r4.CodeableConcept{*r4.Concept("http://snomed.info/sct", "7771000")}
				_, err := b.Order(t.Context(), r)
				require.NoError(t, err)
				r.Items = slices.Clone(r.Items)
				change(&r.Items[0])
				_, err = b.Order(t.Context(), r)
				require.ErrorIs(t, err, hospital.ErrNumberReused)
			})
		})
	}
}

// A tube that names no patient (Specimen.subject is 0..1), or that an item knows by its
// number only, was collected all the same.
func TestCancelSeesEveryTube(t *testing.T) {
	t.Parallel()
	for name, ref := range map[string]func(b *bench) r4.Reference{
		"of nobody": func(b *bench) r4.Reference {
			tube := create(b, &r4.Specimen{Status: "available", ReceivedTime: time.Now().Format(time.RFC3339)})
			return *r4.RefTo("Specimen", tube.ID)
		},
		"by its number": func(*bench) r4.Reference {
			return r4.Reference{Identifier: &r4.Identifier{System: lis.DefaultBarcodeSystem, Value: "T1"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				placed, err := b.Order(t.Context(), b.request("R1"))
				require.NoError(t, err)
				put(b, placed.Resource.Items[0].ID, func(s *r4.ServiceRequest) { s.Specimen = append(s.Specimen, ref(b)) })
				_, err = b.CancelOrder(t.Context(), "R1", b.patient)
				require.ErrorIs(t, err, hospital.ErrRefused)
				assert.Equal(t, 3, b.live("R1"))
			})
		})
	}
}

// A laboratory that states a site of its own, or keeps none, has placed the order all the same.
func TestAnOrderWhoseSitesTheServerKeepsInItsOwnWay(t *testing.T) {
	t.Parallel()
	site := []r4.CodeableConcept{*r4.Concept("http://snomed.info/sct", "7771000")}
	for name, c := range map[string]struct{ asked, kept []r4.CodeableConcept }{"it adds one": {nil, site}, "it keeps none": {site, nil}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				for _, interaction := range []string{"transaction", "search-type"} {
					b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: interaction}, Do: fakes.Action{
						Rewrite: edited(func(bundle *r4.Bundle) {
							for i := range bundle.Entry {
								if s, ok := bundle.Entry[i].Resource.(*r4.ServiceRequest); ok {
									s.BodySite = c.kept
								}
							}
						}),
					}})
				}
				r := b.request("R1")
				r.Items[0].BodySite = c.asked
				for range 2 {
					_, err := b.Order(t.Context(), r)
					require.NoError(t, err)
					assert.Equal(t, 3, b.live("R1"), "they are there")
				}
			})
		})
	}
}

// What is to be taken back of a refused order is taken back, or nobody says that it was refused.
func TestARefusedOrderLeavesNothingWhenThatIsLost(t *testing.T) {
	t.Parallel()
	for pname, personality := range personalities {
		for fname, action := range faults {
			t.Run(pname+"/"+fname, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, b *bench) {
					one := b.request("R1")
					one.Items = one.Items[:1]
					placed, err := b.Order(t.Context(), one)
					require.NoError(t, err)
					put(b, placed.Resource.Items[0].ID, func(s *r4.ServiceRequest) { s.Status = r4.RequestStatusEnteredInError })
					b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "transaction", Skip: 1}, Do: action, Times: 1})
					_, err = b.Order(t.Context(), b.request("R1"))
					require.Error(t, err)
					if hospital.CodeOf(err) != hospital.ErrOutcomeUnknown {
						assert.Zero(t, b.live("R1"), "told as %v, and half of it stands", err)
					}
				}, personality)
			})
		}
	}
}

const taskCodes = "http://hl7.org/fhir/CodeSystem/task-code"

// What the laboratory says in a Task is heard: an order that it will not do looked like
// one that waits.
func TestOrderThatTheLaboratoryRefuses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		placed, err := b.Order(t.Context(), b.request("R1"))
		require.NoError(t, err)
		says := func(item int, code, status string) {
			s := placed.Resource.Items[item]
			create(b, &r4.Task{
				Status: status, Intent: "order", Code: r4.Concept(taskCodes, code),
				Focus: r4.RefTo("ServiceRequest", s.ID), For: s.Subject,
			})
		}
		says(0, "fulfill", r4.TaskStatusRejected)
		says(1, "fulfill", r4.TaskStatusFailed)
		says(1, "fulfill", r4.TaskStatusInProgress) // done again
		says(2, "approve", r4.TaskStatusRejected)   // something else
		b.stages("R1", lis.StageRefused, lis.StageOrdered, lis.StageOrdered)
		status, err := b.OrderStatus(t.Context(), "R1", b.patient)
		require.NoError(t, err)
		assert.Len(t, status.Resource.Items[1].Tasks, 2)

		create(b, &r4.Task{Status: "rejected", Intent: "order", Focus: r4.RefTo("ServiceRequest", placed.Resource.Items[2].ID), For: b.patientRef(b.other)})
		_, err = b.OrderStatus(t.Context(), "R1", b.patient)
		require.ErrorIs(t, err, hospital.ErrFilterIgnored, "another patient's")
	})
}

// A tube was spoilt, and the laboratory said so in a Task; the next one is taken and received.
func TestOrderThatIsDoneAfterAFailedTask(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		placed, err := b.Order(ctx, b.request("R1"))
		require.NoError(t, err)
		_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T1", Order: "R1", Patient: b.patient})
		require.NoError(t, err)
		_, err = b.Reject(ctx, lis.RejectRequest{Barcode: "T1", Reason: *r4.Text("溶血")})
		require.NoError(t, err)
		for _, s := range placed.Resource.Items {
			create(b, &r4.Task{Status: r4.TaskStatusFailed, Intent: "order", Code: r4.Concept(taskCodes, "fulfill"), Focus: r4.RefTo("ServiceRequest", s.ID), For: s.Subject})
		}
		wait(time.Hour)
		_, err = b.Collect(ctx, lis.CollectRequest{Barcode: "T2", Order: "R1", Patient: b.patient})
		require.NoError(t, err)
		_, err = b.Receive(ctx, lis.ReceiveRequest{Barcode: "T2"})
		require.NoError(t, err)
		b.stages("R1", lis.StageReceived, lis.StageReceived, lis.StageReceived)
	})
}

// The laboratory says whose a Task is by number, as orders say their visit.
func TestTaskForANumber(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		placed, err := b.Order(t.Context(), b.request("R1"))
		require.NoError(t, err)
		create(b, &r4.Task{
			Status: r4.TaskStatusRejected, Intent: "order", Code: r4.Concept(taskCodes, "fulfill"), Focus: r4.RefTo("ServiceRequest", placed.Resource.Items[0].ID),
			For: &r4.Reference{Identifier: &r4.Identifier{System: b.patient.Issuer, Value: b.patient.Value}},
		})
		b.stages("R1", lis.StageRefused, lis.StageOrdered, lis.StageOrdered)
	})
}

// A laboratory that keeps no Tasks, or cannot search them by focus, had an order's status.
func TestOrderStatusWithoutTasks(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 404} {
		inBubble(t, func(t *testing.T, b *bench) {
			_, err := b.Order(t.Context(), b.request("R1"))
			require.NoError(t, err)
			b.hosp.Break(fakes.Rule{When: fakes.When{System: campus.LIS, Interaction: "search-type", Type: "Task"}, Do: fakes.Action{Status: status}})
			_, err = b.OrderStatus(t.Context(), "R1", b.patient)
			assert.NoError(t, err)
		})
	}
}
