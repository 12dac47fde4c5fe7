package lis_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// demo is a laboratory with made-up people and results, in place of a real one.
func demo() (*lis.Client, campus.PatientID, func()) {
	hosp, err := fakes.New()
	if err != nil {
		panic(err)
	}
	client, err := hospital.New(hosp.Config())
	if err != nil {
		panic(err)
	}
	return lis.New(client), campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}, func() { _, _ = client.Close(), hosp.Close() }
}

// ordered places an order of one test.
func ordered(ctx context.Context, lab *lis.Client, patient campus.PatientID) string {
	number := hospital.NewNumber() // store it before the call
	_, err := lab.Order(ctx, lis.OrderRequest{
		Number: number, Patient: patient, Items: []lis.OrderItem{{Code: *r4.Concept("http://loinc.org", "2823-3")}},
	})
	if err != nil {
		panic(err)
	}
	return number
}

// collected places an order and takes its specimen.
func collected(ctx context.Context, lab *lis.Client, patient campus.PatientID) (number, barcode string) {
	number, barcode = ordered(ctx, lab, patient), hospital.NewNumber()
	if _, err := lab.Collect(ctx, lis.CollectRequest{Barcode: barcode, Order: number, Patient: patient}); err != nil {
		panic(err)
	}
	return number, barcode
}

// newest is the patient's latest report.
func newest(ctx context.Context, lab *lis.Client, patient campus.PatientID) hospital.Found[*lis.Report] {
	for report, err := range lab.Reports(ctx, lis.ReportQuery{Patient: patient}) {
		if err != nil {
			panic(err)
		}
		return report
	}
	panic("no report")
}

// Example places an order, takes its specimen, and asks how far it has come.
func Example() {
	hosp, err := fakes.New() // in place of a real hospital
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hosp.Close() //nolint:errcheck // it never fails
	client, err := hospital.New(hosp.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // it never fails

	ctx, lab := context.Background(), lis.New(client)
	patient := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	number := hospital.NewNumber() // store it before the call
	_, err = lab.Order(ctx, lis.OrderRequest{
		Number: number, Patient: patient, Items: []lis.OrderItem{{Code: *r4.Concept("http://loinc.org", "2823-3")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := lab.Collect(ctx, lis.CollectRequest{Barcode: "8800000001", Order: number, Patient: patient}); err != nil {
		fmt.Println(err)
		return
	}
	status, err := lab.OrderStatus(ctx, number, patient)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range status.Resource.Items {
		fmt.Println(item.Stage, "in", len(item.Specimens), "tube")
	}
	// Output: collected in 1 tube
}

func ExampleClient_Order() {
	lab, patient, end := demo()
	defer end()
	placed, err := lab.Order(context.Background(), lis.OrderRequest{
		Number: hospital.NewNumber(), Patient: patient, Priority: r4.RequestPriorityStat,
		Items: []lis.OrderItem{
			{Code: *r4.Concept("http://loinc.org", "2823-3"), Specimen: r4.Text("血清")},
			{Code: *r4.Concept("http://loinc.org", "58410-2"), Specimen: r4.Text("全血")},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(placed.Resource.Items), placed.Resource.Cancelled())
	// Output: 2 false
}

func ExampleClient_CancelOrder() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number, _ := collected(ctx, lab, patient)
	_, err := lab.CancelOrder(ctx, number, patient)
	var refused *hospital.Error
	fmt.Println(errors.As(err, &refused) && lis.Refusal(refused.Reason) == lis.RefusedCollected)
	// Output: true
}

func ExampleClient_OrderOf() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	found, err := lab.OrderOf(ctx, ordered(ctx, lab, patient), patient)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range found.Resource.Items {
		fmt.Println(item.Status, item.Intent)
	}
	// Output: active order
}

func ExampleClient_Orders() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	ordered(ctx, lab, patient)
	for order, err := range lab.Orders(ctx, lis.OrderQuery{Patient: patient, From: time.Now().AddDate(0, 0, -7)}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(order.Resource.Items))
	}
	// Output: 1
}

func ExampleClient_OrderStatus() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	number, _ := collected(ctx, lab, patient)
	status, err := lab.OrderStatus(ctx, number, patient)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range status.Resource.Items {
		fmt.Println(item.Stage, len(item.Specimens), len(item.Reports))
	}
	// Output: collected 1 0
}

func ExampleClient_Collect() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	tube := lis.CollectRequest{Barcode: "8800000001", Order: ordered(ctx, lab, patient), Patient: patient, Lines: []int{1}}
	for range 2 { // scanned twice
		taken, err := lab.Collect(ctx, tube)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(taken.Resource.Status)
	}
	// Output:
	// available
	// available
}

func ExampleClient_Receive() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	_, barcode := collected(ctx, lab, patient)
	tube, err := lab.Receive(ctx, lis.ReceiveRequest{Barcode: barcode, Accession: "B0042"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if number := tube.Resource.AccessionIdentifier; number != nil { // the laboratory may give it later
		fmt.Println(number.Value)
	}
	// Output: B0042
}

func ExampleClient_Reject() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	_, barcode := collected(ctx, lab, patient)
	tube, err := lab.Reject(ctx, lis.RejectRequest{Barcode: barcode, Reason: *r4.Text("溶血")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tube.Resource.Status)
	// Output: unsatisfactory
}

func ExampleClient_Specimen() {
	lab, _, end := demo()
	defer end()
	tube, err := lab.Specimen(context.Background(), "DEMO1-3")
	if err != nil {
		fmt.Println(err)
		return
	}
	if tube.Resource.Type != nil {
		fmt.Println(tube.Resource.Type.Text, tube.Resource.Status)
	}
	// Output: 血清 available
}

func ExampleClient_Reports() {
	lab, patient, end := demo()
	defer end()
	for report, err := range lab.Reports(context.Background(), lis.ReportQuery{Patient: patient}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, result := range report.Resource.Results {
			fmt.Print(report.Resource.Status(), " ", result.Observation.Code.Text, " ", result.Value().Text)
			for _, r := range result.Ranges() { // of the laboratory's making: none, or several
				fmt.Print(" ", r.Text)
			}
			fmt.Println()
		}
	}
	// Output:
	// final 钾 7.10 mmol/L 3.5-5.3
	// final 钠 139 mmol/L 137-147
	// final 钾 4.3 mmol/L 3.5-5.3
	// final 钠 141.0 mmol/L 137-147
	// final 钾 4.10 mmol/L 3.5-5.3
	// final 钠 140 mmol/L 137-147
}

func ExampleClient_Report() {
	lab, patient, end := demo()
	defer end()
	report, err := lab.Report(context.Background(), "Rrep1-3", patient)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(report.Resource.Results), len(report.Resource.Specimens))
	// Output: 2 1
}

func ExampleClient_ReportVersions() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	for version, err := range lab.ReportVersions(ctx, newest(ctx, lab, patient), lis.OldestFirst) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if version.Resource == nil { // deleted then, or another patient's
			fmt.Println("nothing to show", version.Deleted, version.Withdrawn)
			continue
		}
		fmt.Println(version.Resource.Status, version.Current)
	}
	// Output: final true
}

func ExampleClient_Results() {
	lab, patient, end := demo()
	defer end()
	sodium := r4.Coding{System: "http://loinc.org", Code: "2951-2"}
	for result, err := range lab.Results(context.Background(), lis.ResultQuery{Patient: patient, Codes: []r4.Coding{sodium}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Resource.Value().Number, result.Resource.Recognised)
	}
	// Output:
	// 139 false
	// 141.0 false
	// 140 false
}

func ExampleClient_ResultVersions() {
	ctx := context.Background()
	lab, patient, end := demo()
	defer end()
	last, err := lab.Last(ctx, patient, []r4.Coding{{System: "http://loinc.org", Code: "2823-3"}}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, result := range last {
		for version, err := range lab.ResultVersions(ctx, result, lis.NewestFirst) {
			if err != nil {
				fmt.Println(err)
				return
			}
			if version.Resource == nil { // deleted then, or another patient's
				fmt.Println("nothing to show", version.Deleted, version.Withdrawn)
				continue
			}
			fmt.Println(lis.Result{Observation: version.Resource}.Value().Text, version.Current)
		}
	}
	// Output: 7.10 mmol/L true
}

func ExampleClient_Trend() {
	lab, patient, end := demo()
	defer end()
	potassium := r4.Coding{System: "http://loinc.org", Code: "2823-3"}
	for point, err := range lab.Trend(context.Background(), lis.TrendQuery{Patient: patient, Code: potassium}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		value := point.Resource.Value()
		fmt.Println(value.Number, value.In("mmol/L") == nil)
	}
	// Output:
	// 4.10 true
	// 4.3 true
	// 7.10 true
}

func ExampleClient_Last() {
	lab, patient, end := demo()
	defer end()
	last, err := lab.Last(context.Background(), patient, []r4.Coding{{System: "http://loinc.org", Code: "2823-3"}}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, result := range last { // none where nothing was measured
		fmt.Println(result.Resource.Value().Text)
	}
	// Output: 7.10 mmol/L
}

func ExampleClient_Microbiology() {
	lab, patient, end := demo()
	defer end()
	for report, err := range lab.Microbiology(context.Background(), lis.ReportQuery{Patient: patient}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, isolate := range report.Resource.Isolates() {
			fmt.Println(isolate.Organism.Value().Text)
			for _, s := range isolate.Susceptibilities {
				fmt.Println(" ", s.Observation.Code.Text, s.Value().Text)
			}
		}
	}
	// Output:
	// 大肠埃希菌
	//   环丙沙星 耐药
	//   美罗培南 敏感
}

func ExampleClient_Recognised() {
	lab, patient, end := demo()
	defer end()
	for result, err := range lab.Recognised(context.Background(), lis.ResultQuery{Patient: patient}, hospital.AcrossCampuses()) {
		if missing := (*hospital.PartialError)(nil); errors.As(err, &missing) {
			fmt.Println("not asked:", missing.NotAsked, "failed:", len(missing.Failed))
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Origin.Campus, result.Resource.Value().Text)
	}
	// Output: not asked: [guanggu] failed: 0
}

func ExampleClient_ReportChanges() {
	ctx := context.Background()
	lab, _, end := demo()
	defer end()
	since := time.Now().Add(-time.Hour)
	var stored lis.Position // keep it where the changes go
	reports := 0
	for page, err := range lab.ReportChanges(ctx, lis.FeedQuery{From: stored, Since: since}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		reports += len(page.List)
		stored = page.Position
	}
	fmt.Println(reports)
	for page, err := range lab.ReportChanges(ctx, lis.FeedQuery{From: stored, Since: since}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("new:", len(page.List))
	}
	// Output: 36
}

func ExampleClient_ResultChanges() {
	lab, _, end := demo()
	defer end()
	results := 0
	for page, err := range lab.ResultChanges(context.Background(), lis.FeedQuery{Since: time.Now().Add(-time.Hour)}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		results += len(page.List)
	}
	fmt.Println(results)
	// Output: 120
}

func ExampleClient_Complete() {
	ctx := context.Background()
	lab, _, end := demo()
	defer end()
	for page, err := range lab.ReportChanges(ctx, lis.FeedQuery{Since: time.Now().Add(-time.Hour)}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, change := range page.List {
			if change.Withdrawn {
				continue
			}
			report, err := lab.Complete(ctx, change.Found)
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(len(report.Resource.Results))
			return
		}
	}
	// Output: 2
}
