package fakes

import (
	"fmt"
	"time"
)

// dicomTerms is the code system of modalities (DICOM PS3.16).
const dicomTerms = "http://dicom.nema.org/resources/ontology/DCM"

// conclusions of the exams, by their place; the first is critical.
var conclusions = []string{"左侧气胸，肺压缩约60%", "双肺未见异常", "肝囊肿", "膝关节退行性变", "未见骨折"}

// devices of the imaging department, each with a schedule of its modality.
var devices = []struct{ modality, name string }{{"CT", "CT一室"}, {"MR", "磁共振一室"}}

// Bounds of the devices' schedules.
const (
	deviceSlots        = 16
	deviceSlotDuration = 30 * time.Minute
)

// radiology is what a RIS begins with: its patients, as another store has them, wards,
// the orders of the studies and the reports on them, and two devices with free slots.
func (d *Demo) radiology(issuer string) []object {
	patients := d.patients(issuer)
	out := append(patients, wardList()...)
	out = append(out, d.deviceSchedules()...)
	for i, s := range d.Studies {
		if p := carrying(patients, s.Patient.Issuer, s.Patient.Value); p != nil {
			out = append(out, d.exam(i+1, s, reference("Patient/"+p.id()))...)
		}
	}
	return out
}

// exam is an examination as the RIS knows it: ordered, done, reported.
func (d *Demo) exam(number int, s Study, patient map[string]any) []object {
	id, modality := fmt.Sprintf("exam%d", number), s.Series[0].Modality
	date, _ := time.ParseInLocation("20060102", s.Date, d.Start.Location()) // it was written so
	at := date.Add(10 * time.Hour).Format(time.RFC3339)
	accession := map[string]any{"system": s.AccessionIssuer, "value": s.Accession}
	code := map[string]any{"text": s.Description}
	return []object{
		{
			"resourceType": "ServiceRequest", "id": id, "status": "completed", "intent": "order", "subject": patient, "code": code,
			"requisition": accession, "category": []any{coding(snomed, "363679005", "影像检查")}, "authoredOn": at,
		},
		{
			"resourceType": "ImagingStudy", "id": "study-" + id, "status": "available", "subject": patient, "started": at,
			"identifier": identified("urn:dicom:uid", "urn:oid:"+s.UID), "basedOn": []any{reference("ServiceRequest/" + id)},
			"modality": []any{map[string]any{"system": dicomTerms, "code": modality}},
		},
		{
			"resourceType": "DiagnosticReport", "id": "report-" + id, "status": "final", "subject": patient, "code": code,
			"identifier": identified("urn:hospital-go:imaging-report-number", fmt.Sprintf("IMG%d", number)),
			"category":   []any{coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "影像")},
			"basedOn":    []any{reference("ServiceRequest/" + id)}, "imagingStudy": []any{reference("ImagingStudy/study-" + id)},
			"effectiveDateTime": at, "issued": date.Add(11 * time.Hour).Format(time.RFC3339), "conclusion": conclusions[number-1],
		},
	}
}

// deviceSchedules are the devices and their free slots.
func (d *Demo) deviceSchedules() []object {
	var out []object
	for i, x := range devices {
		device, schedule := fmt.Sprintf("device%d", i+1), fmt.Sprintf("device-sch%d", i+1)
		end := d.Start.Add(deviceSlots * deviceSlotDuration)
		out = append(out,
			object{"resourceType": "Device", "id": device, "deviceName": []any{map[string]any{"name": x.name, "type": "user-friendly-name"}}},
			object{
				"resourceType": "Schedule", "id": schedule, "active": true, "actor": []any{reference("Device/" + device)},
				"serviceType":     []any{coding(dicomTerms, x.modality, x.name)},
				"planningHorizon": map[string]any{"start": d.Start.Format(time.RFC3339), "end": end.Format(time.RFC3339)},
			})
		for n := range deviceSlots {
			start := d.Start.Add(time.Duration(n) * deviceSlotDuration)
			out = append(out, object{
				"resourceType": "Slot", "id": fmt.Sprintf("%s-%d", schedule, n+1), "schedule": reference("Schedule/" + schedule),
				"status": "free", "start": start.Format(time.RFC3339), "end": start.Add(deviceSlotDuration).Format(time.RFC3339),
			})
		}
	}
	return out
}
