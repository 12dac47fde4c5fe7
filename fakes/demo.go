package fakes

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Identifier systems of the demo's patient numbers, one per campus.
const (
	IssuerHankou  = "urn:oid:2.16.156.10011.1.12.hankou"
	IssuerGuanggu = "urn:oid:2.16.156.10011.1.12.guanggu"
	IssuerZhongfa = "urn:oid:2.16.156.10011.1.12.zhongfa"
)

// Demo is what a hospital begins with: made-up people, doctors, and schedules of
// the days to come.
type Demo struct {
	// Patients by PatientID; the same value at two campuses is two people.
	Patients []campus.PatientID
	// Start is when the first slot begins; End when the last has ended.
	Start, End time.Time
	// Studies in the PACS: of patients of every campus, the first of whom has two. Accession
	// numbers repeat across campuses on purpose. The RIS has an order of each, and a report
	// on it, whose number is IMG1 for the first, and so on.
	Studies []Study
	list    []object
}

// loadDemo fills the stores: the HIS with all of it, the RIS with the same people,
// their reports and its devices' slots, the LIS with their results, the PACS with their
// images.
func (h *Hospital) loadDemo() {
	for _, id := range h.originals[campus.HIS] {
		s := h.stores[id]
		s.load(h.demo.resources(s.issuer))
	}
	for _, id := range h.originals[campus.RIS] {
		s := h.stores[id]
		s.load(h.demo.radiology(s.issuer))
	}
	for _, id := range h.originals[campus.LIS] {
		s := h.stores[id]
		s.load(h.demo.laboratory(s.issuer))
	}
	for _, id := range h.originals[campus.PACS] {
		h.loadStudies(id)
	}
}

// resources are those of one issuer's patients, "" for everybody's, and the clinic.
func (d *Demo) resources(issuer string) []object {
	return slices.DeleteFunc(slices.Clone(d.list), func(o object) bool {
		return o.typ() == "Patient" && issuer != "" && identifiers(o)[0]["system"] != issuer
	})
}

// patients are the same people under other ids, as another store has them.
func (d *Demo) patients(issuer string) []object {
	var out []object
	for _, o := range d.resources(issuer) {
		if o.typ() == "Patient" {
			o = o.clone()
			o["id"] = strconv.Itoa(firstID + len(people) - 1 - len(out))
			out = append(out, o)
		}
	}
	return out
}

// Bounds of the demo's schedules.
const (
	demoDoctors  = 4
	demoSlots    = 48
	slotDuration = 10 * time.Minute
)

// people are made up; any likeness is chance.
var people = []struct{ family, given, sex, born, phone string }{
	{"张", "三丰", "male", "1958-04-09", "13900000001"},
	{"李", "秀英", "female", "1964-11-23", "13900000002"},
	{"王", "小明", "male", "1990-03-07", "13900000003"},
	{"刘", "洋", "female", "1988-07-15", "13900000004"},
	{"陈", "静", "female", "1975-01-30", "13900000005"},
	{"杨", "伟", "male", "1982-09-12", "13900000006"},
	{"赵", "敏", "female", "2001-05-21", "13900000007"},
	{"黄", "磊", "male", "1969-12-02", "13900000008"},
	{"周", "婷", "female", "1995-08-18", "13900000009"},
	{"吴", "刚", "male", "1947-02-14", "13900000010"},
	{"阿卜杜拉", "买买提", "male", "1979-06-06", "13900000011"},
	{"欧阳", "娜", "female", "2015-10-01", "13900000012"},
}

func newDemo(now time.Time) Demo {
	china := time.FixedZone("+08:00", 8*60*60)
	y, m, day := now.In(china).Date()
	d := Demo{Start: time.Date(y, m, day+1, 8, 0, 0, 0, china)}
	d.End = d.Start.Add(demoSlots * slotDuration)
	issuers := []string{IssuerHankou, IssuerGuanggu, IssuerZhongfa}
	for i, p := range people {
		// Numbers repeat across campuses on purpose.
		id := campus.PatientID{Issuer: issuers[i%len(issuers)], Value: fmt.Sprintf("ZY%06d", 10101+i/len(issuers))}
		d.Patients = append(d.Patients, id)
		d.list = append(d.list, object{
			"resourceType": "Patient", "id": strconv.Itoa(firstID + i), "active": true,
			"identifier": []any{map[string]any{"system": id.Issuer, "value": id.Value}},
			"name":       []any{map[string]any{"text": p.family + p.given, "family": p.family, "given": []any{p.given}}},
			"telecom":    []any{map[string]any{"system": "phone", "value": p.phone}},
			"gender":     p.sex, "birthDate": p.born,
		})
	}
	d.clinic()
	d.imaging()
	return d
}

// clinic adds two departments, their doctors, schedules and slots.
func (d *Demo) clinic() {
	for i, name := range []string{"心血管内科", "儿科"} {
		d.list = append(d.list, object{
			"resourceType": "Organization", "id": fmt.Sprintf("dept%d", i+1), "active": true, "name": name,
			"type": []any{map[string]any{"coding": []any{map[string]any{
				"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "dept",
			}}}},
		})
	}
	for i, name := range [demoDoctors]string{"孙思远", "李时真", "华青", "扁舟"} {
		doctor, role, schedule := fmt.Sprintf("doc%d", i+1), fmt.Sprintf("role%d", i+1), fmt.Sprintf("sch%d", i+1)
		d.list = append(d.list,
			object{"resourceType": "Practitioner", "id": doctor, "name": []any{map[string]any{"text": name}}},
			object{
				"resourceType": "PractitionerRole", "id": role, "practitioner": reference("Practitioner/" + doctor),
				"organization": reference(fmt.Sprintf("Organization/dept%d", i%2+1)),
			},
			object{
				"resourceType": "Schedule", "id": schedule, "actor": []any{reference("PractitionerRole/" + role)},
				"planningHorizon": map[string]any{"start": d.Start.Format(time.RFC3339), "end": d.End.Format(time.RFC3339)},
			})
		for n := range demoSlots {
			start := d.Start.Add(time.Duration(n) * slotDuration)
			d.list = append(d.list, object{
				"resourceType": "Slot", "id": fmt.Sprintf("s%d-%d", i+1, n+1), "schedule": reference("Schedule/" + schedule),
				"identifier": []any{map[string]any{"system": "urn:hospital-go:demo-slot", "value": fmt.Sprintf("%d-%d", i+1, n+1)}},
				"status":     "free", "start": start.Format(time.RFC3339), "end": start.Add(slotDuration).Format(time.RFC3339),
			})
		}
	}
}

func reference(to string) map[string]any { return map[string]any{"reference": to} }
