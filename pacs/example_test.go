package pacs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/pacs"
)

// desk is the imaging verbs of a hospital that lives as long as the example.
func desk(opts ...pacs.Option) (*pacs.Client, fakes.Demo, func()) {
	hosp, err := fakes.New() // in place of a real hospital
	if err != nil {
		panic(err)
	}
	client, err := hospital.New(hosp.Config())
	if err != nil {
		panic(err)
	}
	return pacs.New(client, opts...), hosp.Demo(), func() {
		_ = client.Close()
		_ = hosp.Close()
	}
}

// Example finds a patient's studies and reads one of them.
func Example() {
	images, demo, end := desk()
	defer end()
	ctx := context.Background()
	for study, err := range images.Studies(ctx, pacs.StudyQuery{Patient: demo.Patients[0], Modality: "CT"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(study.Resource.Description, study.Resource.Instances)
		for in, err := range images.Retrieve(ctx, pacs.Retrieval{Study: study.Resource.UID}) {
			if err != nil {
				fmt.Println(err) // and nothing of the study is to be used
				return
			}
			if _, err := io.Copy(io.Discard, in.Resource); err != nil {
				fmt.Println(err)
				return
			}
		}
	}
	// Output:
	// 胸部CT平扫 6
}

// A name is found in any of its writings.
func ExampleClient_Studies() {
	images, _, end := desk()
	defer end()
	for _, name := range []string{"张三丰", "Zhang^San*"} {
		n := 0
		for _, err := range images.Studies(context.Background(), pacs.StudyQuery{Name: name}) {
			if err != nil {
				fmt.Println(err)
				return
			}
			n++
		}
		fmt.Println(n)
	}
	// Output:
	// 2
	// 2
}

// At all campuses of the legal entity: by the number that the patient has there.
func ExampleClient_Studies_acrossCampuses() {
	images, demo, end := desk()
	defer end()
	q := pacs.StudyQuery{Patient: demo.Patients[0]}
	for study, err := range images.Studies(context.Background(), q, hospital.AcrossCampuses()) {
		var partial *hospital.PartialError
		if errors.As(err, &partial) {
			fmt.Println("not asked:", partial.NotAsked, "failed:", len(partial.Failed))
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(study.Resource.Description)
	}
	// Output:
	// 胸部CT平扫
	// 右手正斜位
	// not asked: [guanggu] failed: 0
}

func ExampleClient_Series() {
	images, demo, end := desk()
	defer end()
	for s, err := range images.Series(context.Background(), demo.Studies[0].UID) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Resource.Modality, s.Resource.Description, s.Resource.Instances)
	}
	// Output:
	// CT 定位像 3
	// CT 肺窗 3
}

func ExampleClient_Instances() {
	images, demo, end := desk()
	defer end()
	n := 0
	for in, err := range images.Instances(context.Background(), demo.Studies[0].UID, "") {
		if err != nil {
			fmt.Println(err)
			return
		}
		if in.Resource.Study == demo.Studies[0].UID {
			n++
		}
	}
	fmt.Println(n)
	// Output:
	// 6
}

// A study is written to files: each gets its name once all of it is there.
func ExampleClient_Retrieve() {
	images, demo, end := desk()
	defer end()
	folder, err := os.MkdirTemp("", "study")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder) //nolint:errcheck // it is a temporary folder
	root, err := os.OpenRoot(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer root.Close() //nolint:errcheck // nothing was written to it
	files := 0
	r := pacs.Retrieval{Study: demo.Studies[0].UID, Progress: func(p pacs.Progress) {
		if p.Instances == p.Total {
			fmt.Println("all", p.Total)
		}
	}}
	for in, err := range images.Retrieve(context.Background(), r) {
		if err == nil {
			err = save(root, in.Resource)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		files++
	}
	fmt.Println(files, "files")
	// Output:
	// all 6
	// 6 files
}

func save(root *os.Root, in *pacs.Instance) error {
	file, err := root.Create(in.UID + ".part")
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, in); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	return root.Rename(in.UID+".part", in.UID+".dcm")
}

func ExampleClient_Metadata() {
	images, demo, end := desk()
	defer end()
	s := demo.Studies[0]
	for d, err := range images.Metadata(context.Background(), s.UID, s.Series[0].UID, s.Series[0].SOPs[0]) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Resource.Text(0x00280010), "rows") // Rows
		fmt.Println(d.Resource)                          // prints nobody's name
	}
	// Output:
	// 64 rows
	// dicom dataset (28 attributes)
}

func ExampleClient_Frames() {
	images, demo, end := desk()
	defer end()
	s := demo.Studies[0]
	for f, err := range images.Frames(context.Background(), s.UID, s.Series[0].UID, s.Series[0].SOPs[0], []int{1}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(f.Resource.Frame, f.Resource.MediaType, len(f.Resource.Data))
	}
	// Output:
	// 1 application/octet-stream 8192
}

func ExampleClient_BulkData() {
	images, demo, end := desk()
	defer end()
	ctx, s := context.Background(), demo.Studies[0]
	for d, err := range images.Metadata(ctx, s.UID, s.Series[0].UID, s.Series[0].SOPs[0]) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for value, err := range images.BulkData(ctx, d, d.Resource[0x7FE00010].BulkDataURI) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(len(value.Resource.Data))
		}
	}
	// Output:
	// 8192
}

func ExampleClient_Rendered() {
	images, demo, end := desk()
	defer end()
	s := demo.Studies[0]
	image, err := images.Rendered(context.Background(), pacs.Rendering{Study: s.UID, Series: s.Series[0].UID, Instance: s.Series[0].SOPs[0]})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(image.Resource.MediaType, http.DetectContentType(image.Resource.Data))
	// Output:
	// image/png image/png
}

// Files are sent while they are read. The call may be repeated: what is stored already is
// not sent again, but read back and compared.
func ExampleClient_Store() {
	images, end := emptyArchive()
	defer end()
	folder, err := os.MkdirTemp("", "scans")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder) //nolint:errcheck // it is a temporary folder
	if err := writeScans(folder); err != nil {
		fmt.Println(err)
		return
	}
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		fmt.Println(err)
		return
	}
	var files []pacs.File
	for _, name := range names {
		file, err := pacs.Path(name)
		if err != nil {
			fmt.Println(err)
			return
		}
		files = append(files, file)
	}
	for range 2 { // the second time after a crash, say
		for stored, err := range images.Store(context.Background(), files, pacs.Upload{Verify: true}) {
			if err != nil {
				fmt.Println(err) // hospital.ErrOutcomeUnknown: repeat the call
				return
			}
			name := filepath.Base(names[stored.Resource.Index])
			if errors.Is(stored.Resource.Err, hospital.ErrInvalidArgument) { // of this file alone
				fmt.Println(name, "is no DICOM file")
				continue
			}
			fmt.Println(name, stored.Resource.Outcome)
		}
	}
	// Output:
	// 1.dcm stored
	// 2.dcm stored
	// readme.txt is no DICOM file
	// 1.dcm stored_before
	// 2.dcm stored_before
	// readme.txt is no DICOM file
}

// emptyArchive is desk's, of a hospital that has no images yet.
func emptyArchive() (*pacs.Client, func()) {
	hosp, err := fakes.New(fakes.WithoutDemoData())
	if err != nil {
		panic(err)
	}
	client, err := hospital.New(hosp.Config())
	if err != nil {
		panic(err)
	}
	return pacs.New(client), func() { _, _ = client.Close(), hosp.Close() }
}

// writeScans writes what a device left in its folder: images, and something else.
func writeScans(folder string) error {
	images, demo, end := desk()
	defer end()
	for i, sop := range demo.Studies[0].Series[0].SOPs[:2] {
		r := pacs.Retrieval{Study: demo.Studies[0].UID, Series: demo.Studies[0].Series[0].UID, Instance: sop}
		for in, err := range images.Retrieve(context.Background(), r) {
			if err != nil {
				return err
			}
			data, err := io.ReadAll(in.Resource)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.dcm", i+1)), data, 0o600); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(folder, "readme.txt"), []byte("no DICOM file"), 0o600)
}

func ExampleClient_ViewerLink() {
	images, demo, end := desk(
		pacs.WithViewers(map[campus.DataCenterID]string{"dc-a": "https://viewer-a.group.example/IHEInvokeImageDisplay"}),
		pacs.WithViewerToken(func(context.Context, string) (string, error) { return "short-lived", nil }),
	)
	defer end()
	link, err := images.ViewerLink(context.Background(), demo.Studies[0].UID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(link) // for the browser there is link.URL()
	// Output:
	// viewer link at dc-a
}

// An order is known by its accession number.
func ExampleClient_Order() {
	images, demo, end := desk()
	defer end()
	ctx, patient := context.Background(), demo.Patients[0]
	r := pacs.OrderRequest{
		Number: "CT20260001", Patient: patient,
		Items: []pacs.OrderItem{{Code: r4.CodeableConcept{Text: "胸部CT平扫"}}},
	}
	placed, err := images.Order(ctx, r)
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := images.Order(ctx, r) // after a crash, say
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(placed.Resource.Items), len(again.Resource.Items))
	cancelled, err := images.CancelOrder(ctx, r.Number, patient)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cancelled.Resource.Cancelled())
	// Output:
	// 1 1
	// true
}

func ExampleClient_Orders() {
	images, demo, end := desk()
	defer end()
	ctx, patient := context.Background(), demo.Patients[0]
	item := pacs.OrderItem{Code: r4.CodeableConcept{Text: "胸部正侧位"}}
	if _, err := images.Order(ctx, pacs.OrderRequest{Number: "DR20260001", Patient: patient, Items: []pacs.OrderItem{item}}); err != nil {
		fmt.Println(err)
		return
	}
	for placed, err := range images.Orders(ctx, pacs.OrderQuery{Patient: patient, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, item := range placed.Resource.Items {
			fmt.Println(placed.Resource.Number, item.Status)
		}
	}
	// Output:
	// DR20260001 active
}
