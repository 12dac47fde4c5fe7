package fakes

import (
	"strings"

	"github.com/hospital-go/hospital/campus"
)

// accessionIssuer issues a campus's accession numbers.
func accessionIssuer(patientIssuer string) string { return patientIssuer + ".ris" }

// romanized are the alphabetic groups of the first people's names.
var romanized = []string{"Zhang^Sanfeng", "Li^Xiuying", "Wang^Xiaoming", "Liu^Yang"}

// exams are made up, by the place of whom they are of.
var exams = []struct {
	person, daysAgo         int
	accession, description  string
	modality, first, second string
}{
	{0, 1, "RIS0001", "胸部CT平扫", "CT", "定位像", "肺窗"},
	{1, 1, "RIS0001", "胸部正侧位", "DR", "正位", "侧位"},
	{2, 2, "RIS0001", "上腹部CT增强", "CT", "动脉期", "门脉期"},
	{3, 3, "RIS0002", "膝关节正侧位", "DR", "正位", "侧位"},
	{0, 400, "RIS0003", "右手正斜位", "DR", "正位", "斜位"},
}

// imaging adds the studies, of days before the first slot's.
func (d *Demo) imaging() {
	for _, x := range exams {
		p, id := people[x.person], d.Patients[x.person]
		d.Studies = append(d.Studies, Study{
			Patient: id, Name: romanized[x.person] + "=" + p.family + "^" + p.given,
			BirthDate: strings.ReplaceAll(p.born, "-", ""), Sex: strings.ToUpper(p.sex[:1]),
			Accession: x.accession, AccessionIssuer: accessionIssuer(id.Issuer),
			Date: d.Start.AddDate(0, 0, -1-x.daysAgo).Format("20060102"), Time: "101500", Description: x.description,
			Series: []Series{{Modality: x.modality, Description: x.first}, {Modality: x.modality, Description: x.second}},
		}.named())
	}
}

// loadStudies fills a store with the studies of its issuer's patients.
func (h *Hospital) loadStudies(id campus.StoreID) {
	for _, s := range h.demo.Studies {
		if issuer := h.stores[id].issuer; issuer == "" || issuer == s.Patient.Issuer {
			h.AddStudy(id, s)
		}
	}
}
