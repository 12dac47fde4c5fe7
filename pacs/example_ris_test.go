package pacs_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/pacs"
)

// The examples of what the RIS holds beside the images: orders, reports, critical
// values, appointments.

// ct is the service of the demo's first device.
var ct = r4.Coding{System: "http://dicom.nema.org/resources/ontology/DCM", Code: "CT"}

// ward is told of critical values.
var ward = r4.Identifier{System: fakes.WardSystem, Value: "W1"}

// hankou is for the accession numbers that campus hankou issues.
func hankou() pacs.Option {
	return pacs.WithSystems(pacs.Systems{Accession: fakes.IssuerHankou + ".ris"})
}

func ExampleClient_OrderOf() {
	images, demo, end := desk(hankou())
	defer end()
	order, err := images.OrderOf(context.Background(), "RIS0001", demo.Patients[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range order.Resource.Items {
		if item.Code != nil {
			fmt.Println(item.Code.Text, item.Status)
		}
	}
	// Output: 胸部CT平扫 completed
}

func ExampleClient_CancelOrder() {
	images, demo, end := desk(hankou())
	defer end()
	_, err := images.CancelOrder(context.Background(), "RIS0001", demo.Patients[0])
	var refused *hospital.Error
	fmt.Println(errors.As(err, &refused) && pacs.OrderRefusal(refused.Reason) == pacs.RefusedPerformed)
	// Output: true
}

// From a report one goes on to the images it is about.
func ExampleClient_Reports() {
	ctx := context.Background()
	images, demo, end := desk(hankou())
	defer end()
	for report, err := range images.Reports(ctx, pacs.ReportQuery{Patient: demo.Patients[0], Accession: "RIS0001"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.Resource.Status(), report.Resource.Report.Conclusion)
		for _, study := range report.Resource.Studies {
			n := 0
			for _, err := range images.Instances(ctx, study, "") { // or Retrieve
				if err != nil {
					fmt.Println(err)
					return
				}
				n++
			}
			fmt.Println(n, "images")
		}
	}
	// Output:
	// final 左侧气胸，肺压缩约60%
	// 6 images
}

func ExampleClient_Report() {
	images, demo, end := desk()
	defer end()
	report, err := images.Report(context.Background(), "IMG1", demo.Patients[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Resource.Final(), len(report.Resource.Studies))
	// Output: true 1
}

func ExampleClient_ReportVersions() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	report, err := images.Report(ctx, "IMG1", demo.Patients[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	for version, err := range images.ReportVersions(ctx, report, pacs.OldestFirst) {
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

// notified tells the ward of the first patient's pneumothorax.
func notified(ctx context.Context, images *pacs.Client, demo fakes.Demo) string {
	report, err := images.Report(ctx, "IMG1", demo.Patients[0])
	if err != nil {
		panic(err)
	}
	number := hospital.NewNumber() // store it before the call
	_, err = images.NotifyCritical(ctx, pacs.CriticalRequest{
		Number: number, Patient: demo.Patients[0], Finding: pacs.ReportFinding(report), Value: "左侧气胸",
		Ward: ward, Deadline: time.Now().Add(10 * time.Minute), By: "R1",
	})
	if err != nil {
		panic(err)
	}
	return number
}

func ExampleClient_NotifyCritical() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	report, err := images.Report(ctx, "IMG1", demo.Patients[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := images.NotifyCritical(ctx, pacs.CriticalRequest{
		Number: hospital.NewNumber(), Patient: demo.Patients[0], Finding: pacs.ReportFinding(report), Value: "左侧气胸",
		Ward: ward, Deadline: time.Now().Add(10 * time.Minute), By: "R1",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Stage)
	// Output: notified
}

func ExampleClient_ReceiveCritical() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number := notified(ctx, images, demo)
	_, err := images.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: number, By: "N1", Text: "右侧气胸"})
	fmt.Println(errors.Is(err, hospital.ErrRefused)) // misheard
	found, err := images.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: number, By: "N1", Text: "左侧气胸"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Stage)
	// Output:
	// true
	// received
}

func ExampleClient_SeeCritical() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number := notified(ctx, images, demo)
	if _, err := images.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: number, By: "N1", Text: "左侧气胸"}); err != nil {
		fmt.Println(err)
		return
	}
	found, err := images.SeeCritical(ctx, pacs.CriticalAcknowledgement{Number: number, By: "D1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Stage)
	// Output: seen
}

func ExampleClient_HandleCritical() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	number := notified(ctx, images, demo)
	if _, err := images.ReceiveCritical(ctx, pacs.CriticalAcknowledgement{Number: number, By: "N1", Text: "左侧气胸"}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := images.SeeCritical(ctx, pacs.CriticalAcknowledgement{Number: number, By: "D1"}); err != nil {
		fmt.Println(err)
		return
	}
	found, err := images.HandleCritical(ctx, pacs.CriticalAcknowledgement{Number: number, By: "D1", Text: "胸腔闭式引流"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Stage, len(found.Resource.Steps))
	// Output: handled 4
}

func ExampleClient_CriticalOf() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	found, err := images.CriticalOf(ctx, notified(ctx, images, demo))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Resource.Value, found.Resource.Stage)
	// Output: 左侧气胸 notified
}

func ExampleClient_OpenCriticals() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	notified(ctx, images, demo)
	open, err := images.OpenCriticals(ctx, ward)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, found := range open {
		fmt.Println(found.Resource.Stage, found.Resource.Value)
	}
	// Output: notified 左侧气胸
}

func ExampleClient_OverdueCriticals() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	notified(ctx, images, demo)
	overdue, err := images.OverdueCriticals(ctx, ward)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(overdue)) // none in the first ten minutes
	// Output: 0
}

func ExampleClient_SweepCriticals() {
	ctx := context.Background()
	images, demo, end := desk()
	defer end()
	notified(ctx, images, demo)
	for change, err := range images.SweepCriticals(ctx, ward, 0) {
		if err != nil {
			fmt.Println("nothing is known now:", err) // and the sweep goes on
			continue
		}
		fmt.Println(change.Kind, change.Resource.Value)
		break
	}
	// Output: new 左侧气胸
}
