package fakes

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Codes of the demo's laboratory.
const (
	loinc    = "http://loinc.org"
	ucum     = "http://unitsofmeasure.org"
	snomed   = "http://snomed.info/sct"
	abnormal = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
)

// wards are who is told of critical values.
var wards = []string{"心血管内科病区", "儿科病区"}

// WardSystem is the identifier system of the demo's wards: W1 and W2.
const WardSystem = "urn:hospital-go:demo-ward"

// analyte is one test of the demo's panels; its values are text, digits and all.
type analyte struct {
	code, name, unit, low, high string
	values                      []string
}

var electrolytes = []analyte{
	{"2823-3", "钾", "mmol/L", "3.5", "5.3", []string{"4.10", "4.3", "7.10"}},
	{"2951-2", "钠", "mmol/L", "137", "147", []string{"140", "141.0", "139"}},
}

// laboratory is what a LIS begins with: its patients, as another store has them, wards,
// and for each patient one panel a day over the last three days, the latest with a
// critical value, and a culture with its susceptibilities.
func (d *Demo) laboratory(issuer string) []object {
	patients := d.patients(issuer)
	out := append(patients, wardList()...)
	for i, id := range d.Patients {
		if p := carrying(patients, id.Issuer, id.Value); p != nil {
			l := lab{patient: reference("Patient/" + p.id()), number: i + 1, start: d.Start}
			out = append(out, append(l.panels(), l.culture()...)...)
		}
	}
	return out
}

func wardList() []object {
	var out []object
	for i, name := range wards {
		out = append(out, object{
			"resourceType": "Organization", "id": fmt.Sprintf("ward%d", i+1), "active": true, "name": name,
			"identifier": identified(WardSystem, fmt.Sprintf("W%d", i+1)),
		})
	}
	return out
}

// carrying is the one of the list that carries the identifier, nil for none.
func carrying(list []object, system, value string) object {
	for _, o := range list {
		if hasIdentifier(o, system, value) {
			return o
		}
	}
	return nil
}

// lab makes one patient's data.
type lab struct {
	patient map[string]any
	number  int
	start   time.Time
}

func identified(system, value string) []any {
	return []any{map[string]any{"system": system, "value": value}}
}

func coding(system, code, display string) map[string]any {
	return map[string]any{"coding": []any{map[string]any{"system": system, "code": code, "display": display}}, "text": display}
}

// panels are the electrolytes, day by day.
func (l lab) panels() []object {
	var out []object
	for day := range electrolytes[0].values {
		at := l.start.AddDate(0, 0, day-len(electrolytes[0].values))
		name := fmt.Sprintf("%d-%d", l.number, day+1)
		var results []any
		for n, a := range electrolytes {
			id := fmt.Sprintf("lab%s-%d", name, n+1)
			results = append(results, reference("Observation/"+id))
			out = append(out, l.observation(id, at, a, a.values[day]))
		}
		specimen := object{
			"resourceType": "Specimen", "id": "tube" + name, "status": "available", "subject": l.patient,
			"identifier":   identified("urn:hospital-go:specimen-barcode", "DEMO"+name),
			"type":         coding("http://terminology.hl7.org/CodeSystem/v2-0487", "SER", "血清"),
			"receivedTime": at.Format(time.RFC3339), "collection": map[string]any{"collectedDateTime": at.Add(-time.Hour).Format(time.RFC3339)},
		}
		report := l.report("rep"+name, at, "LAB", coding(loinc, "24326-1", "电解质"), results)
		report["specimen"] = []any{reference("Specimen/tube" + name)}
		out = append(out, specimen, report)
	}
	return out
}

// observation is one result; outside its range it says so.
func (l lab) observation(id string, at time.Time, a analyte, value string) object {
	quantity := func(v string) map[string]any {
		return map[string]any{"value": json.Number(v), "unit": a.unit, "system": ucum, "code": a.unit}
	}
	flag, text := "N", "正常"
	if value == "7.10" {
		flag, text = "HH", "危急偏高"
	}
	return object{
		"resourceType": "Observation", "id": id, "status": "final", "subject": l.patient,
		"category": []any{coding("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "检验")},
		"code":     coding(loinc, a.code, a.name), "effectiveDateTime": at.Format(time.RFC3339), "valueQuantity": quantity(value),
		"referenceRange": []any{map[string]any{"low": quantity(a.low), "high": quantity(a.high), "text": a.low + "-" + a.high}},
		"interpretation": []any{coding(abnormal, flag, text)},
	}
}

func (l lab) report(id string, at time.Time, section string, code map[string]any, results []any) object {
	return object{
		"resourceType": "DiagnosticReport", "id": id, "status": "final", "subject": l.patient, "code": code,
		"identifier": identified("urn:hospital-go:laboratory-report-number", "R"+id),
		"category":   []any{coding("http://terminology.hl7.org/CodeSystem/v2-0074", section, section)}, "result": results,
		"effectiveDateTime": at.Format(time.RFC3339), "issued": at.Add(time.Hour).Format(time.RFC3339),
	}
}

// culture is a blood culture: organism, and what it is susceptible to.
func (l lab) culture() []object {
	at, name := l.start.AddDate(0, 0, -2), strconv.Itoa(l.number)
	one := func(id string, code, value map[string]any, members ...string) object {
		o := object{
			"resourceType": "Observation", "id": id, "status": "final", "subject": l.patient, "code": code,
			"category":          []any{coding("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "检验")},
			"effectiveDateTime": at.Format(time.RFC3339),
		}
		if value != nil {
			o["valueCodeableConcept"] = value
		}
		for _, m := range members {
			list, _ := o["hasMember"].([]any)
			o["hasMember"] = append(list, reference("Observation/"+m))
		}
		return o
	}
	report := l.report("mb"+name, at, "MB", coding(loinc, "600-7", "血培养"), []any{reference("Observation/culture" + name)})
	return []object{
		one("culture"+name, coding(loinc, "600-7", "血培养"), nil, "organism"+name),
		one("organism"+name, coding(loinc, "6463-4", "细菌鉴定"), coding(snomed, "112283007", "大肠埃希菌"), "ast"+name+"-1", "ast"+name+"-2"),
		one("ast"+name+"-1", coding(loinc, "18906-8", "环丙沙星"), coding(abnormal, "R", "耐药")),
		one("ast"+name+"-2", coding(loinc, "18943-1", "美罗培南"), coding(abnormal, "S", "敏感")),
		report,
	}
}
