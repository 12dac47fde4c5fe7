package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// stage is the embedded hospital: each campus has an archive of its own, behind two data
// centres. The patient was treated at two campuses, under two numbers.
type stage struct {
	hosp *fakes.Hospital
	here campus.PatientID
	lost bool
}

// there is the patient's number at the other campus.
var there = campus.PatientID{Issuer: fakes.IssuerGuanggu, Value: "ZY020202"}

func raise() (*stage, error) {
	hosp, err := fakes.New(fakes.WithOwnStores(campus.PACS))
	if err != nil {
		return nil, err
	}
	s := &stage{hosp: hosp, here: hosp.Demo().Patients[0]}
	for id, patient := range map[campus.StoreID]campus.PatientID{"pacs-hankou": s.here, "pacs-guanggu": there} {
		study := fakes.Study{
			Patient: patient, Name: "Zhang^Sanfeng=张^三丰", Date: "20260301", Time: "093000", Description: "冠状动脉CTA " + string(id),
			Accession: "RIS0100", AccessionIssuer: patient.Issuer + ".ris",
		}
		for range 4 {
			study.Series = append(study.Series, fakes.Series{Modality: "CT", Instances: 6, PixelBytes: 1 << 20})
		}
		hosp.AddStudy(id, study)
	}
	return s, nil
}

func (s *stage) config() hospital.Config { return s.hosp.Config() }

// link tells the HIS both numbers of the patient, as the group's patient index would.
func (s *stage) link(ctx context.Context, client *hospital.Client) error {
	f := client.FHIR(campus.HIS)
	for p, err := range fhir.Matches[*r4.Patient](fhir.Search(ctx, f, fhir.For(fhir.Identifier[*r4.Patient](s.here.Issuer, s.here.Value)))) {
		if err != nil {
			return err
		}
		p.Identifier = append(p.Identifier, r4.Identifier{System: there.Issuer, Value: there.Value})
		_, _, err = fhir.Update(ctx, f, p) // guarded by its version
		return err
	}
	return hospital.ErrNotFound
}

// lose takes a data centre away.
func (s *stage) lose(dc campus.DataCenterID) { s.hosp.Stop(dc) }

// same compares a file's digest with the hospital's own.
func (s *stage) same(uid string, sum []byte) (bool, error) {
	for _, store := range []campus.StoreID{"pacs-hankou", "pacs-guanggu"} {
		if data, ok := s.hosp.StoredInstance(store, uid); ok {
			own := sha256.Sum256(data)
			return bytes.Equal(own[:], sum), nil
		}
	}
	return false, fmt.Errorf("the hospital does not know an instance that it sent")
}
