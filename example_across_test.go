package hospital_test

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/lis"
)

// masterIndex knows a person's number at each campus (患者主索引); without one the HIS is
// asked.
func masterIndex(cfg *hospital.Config) {
	cfg.Identities = func(context.Context, campus.PatientID) ([]campus.PatientID, error) {
		return []campus.PatientID{
			{Issuer: fakes.IssuerHankou, Value: "ZY010101"},
			{Issuer: fakes.IssuerGuanggu, Value: "ZY010102"},
			{Issuer: fakes.IssuerZhongfa, Value: "ZY010103"},
		}, nil
	}
}

// A verb that can be asked across campuses: each is asked by the number that the patient
// has there.
func ExampleAcross() {
	client, _, end := demoClient(masterIndex)
	defer end()
	type found = hospital.Found[*r4.Patient]
	records := func(ctx context.Context, f *fhir.Client, patient campus.PatientID) iter.Seq2[found, error] {
		return func(yield func(found, error) bool) {
			for page, err := range fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.Patient](patient.Issuer, patient.Value))) {
				if err != nil {
					yield(found{}, err)
					return
				}
				for _, match := range page.Matches {
					p, err := r4.As[*r4.Patient](match)
					if err == nil && !r4.HasIdentifier(p.Identifier, patient.Issuer, patient.Value) {
						err = hospital.ErrFilterIgnored
					}
					if !yield(found{Resource: p, Origin: hospital.OriginOf(page.Response)}, err) || err != nil {
						return
					}
				}
			}
		}
	}
	op := hospital.Op{Name: "index.Records", System: campus.HIS, Consistency: hospital.Session, Class: hospital.List}
	patient := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	each := func(*r4.Patient) string { return "" } // one campus's record is not another's
	seen := map[campus.ID]int{}
	for record, err := range hospital.Across(context.Background(), client, op, patient, records, each, hospital.AtCampus("hankou"), hospital.AcrossCampuses()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		seen[record.Origin.Campus]++
	}
	fmt.Println(seen)
	// Output: map[guanggu:1 hankou:1]
}

// What a campus that is missing had to say is not known: it is no empty answer.
func ExampleAcrossCampuses() {
	client, _, end := demoClient(nil) // nobody knows a number of this patient's at guanggu
	defer end()
	patient := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	n := 0
	for _, err := range lis.New(client).Reports(context.Background(), lis.ReportQuery{Patient: patient}, hospital.AtCampus("hankou"), hospital.AcrossCampuses()) {
		var missing *hospital.PartialError
		if errors.As(err, &missing) {
			fmt.Println("not asked:", missing.NotAsked, "failed:", len(missing.Failed))
			break // it is the last
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		n++
	}
	fmt.Println(n, "reports, and there may be more")
	// Output:
	// not asked: [guanggu] failed: 0
	// 3 reports, and there may be more
}

// Beyond the legal entity there must be a purpose, which the audit shows.
func ExampleAcrossOrganizations() {
	client, _, end := demoClient(masterIndex)
	defer end()
	patient := campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY010101"}
	purpose := hospital.AcrossOrganizations(hospital.Treatment)
	seen := map[campus.ID]int{}
	for report, err := range lis.New(client).Reports(context.Background(), lis.ReportQuery{Patient: patient}, hospital.AtCampus("hankou"), purpose) {
		if err != nil { // a *hospital.PartialError too: what is missing is not known
			fmt.Println(err)
			return
		}
		seen[report.Origin.Campus]++
	}
	fmt.Println(seen)
	// Output: map[guanggu:3 hankou:3 zhongfa:3]
}
