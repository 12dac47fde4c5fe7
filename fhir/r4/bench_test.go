package r4_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hospital-go/hospital/fhir/r4"
)

// The page both are measured on: 100 laboratory Observations, as a LIS sends them.
func hundred() []byte {
	entries := make([]string, 100)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"fullUrl":"http://lis.test/fhir/Observation/%[1]d","resource":{"resourceType":"Observation","id":"%[1]d","meta":{"versionId":"1","lastUpdated":"2026-01-05T08:00:00.000+08:00",`+
			`"profile":["http://hl7.org/fhir/StructureDefinition/Observation"]},"identifier":[{"system":"urn:oid:2.16.156.10011.1.12.lis","value":"L%06[1]d"}],"basedOn":[{"reference":"ServiceRequest/%[1]d"}],"status":"final",`+
			`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],`+
			`"code":{"coding":[{"system":"http://loinc.org","code":"6690-2","display":"Leukocytes [#/volume] in Blood by Automated count"},{"system":"urn:oid:2.16.156.10011.2.5","code":"WBC","display":"白细胞计数"}],"text":"白细胞计数"},`+
			`"subject":{"reference":"Patient/1001","display":"张三丰"},"encounter":{"reference":"Encounter/2001"},"effectiveDateTime":"2026-01-05T07:30:00+08:00","issued":"2026-01-05T08:00:00.000+08:00",`+
			`"performer":[{"reference":"Organization/lab","display":"检验科"}],"valueQuantity":{"value":%[2]d.%02[3]d,"unit":"10^9/L","system":"http://unitsofmeasure.org","code":"10*9/L"},`+
			`"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N","display":"Normal"}]}],`+
			`"specimen":{"reference":"Specimen/%[1]d"},"referenceRange":[{"low":{"value":3.50,"unit":"10^9/L","system":"http://unitsofmeasure.org","code":"10*9/L"},`+
			`"high":{"value":9.50,"unit":"10^9/L","system":"http://unitsofmeasure.org","code":"10*9/L"},"text":"3.50-9.50"}]},"search":{"mode":"match"}}`, i, 3+i%7, i)
	}
	return []byte(`{"resourceType":"Bundle","type":"searchset","total":100,"link":[{"relation":"self","url":"http://lis.test/fhir/Observation?patient=Patient/1001"}],"entry":[` + strings.Join(entries, ",") + `]}`)
}

// Against encoding/json over the same structs, which the generator writes beside
// the codec (zz_plain_test.go).
func BenchmarkUnmarshal(b *testing.B) {
	data := hundred()
	b.Run("r4", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := r4.Unmarshal(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			var v plainBundle
			if err := json.Unmarshal(data, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMarshal(b *testing.B) {
	data := hundred()
	bundle, err := r4.Unmarshal(data)
	if err != nil {
		b.Fatal(err)
	}
	var plain plainBundle
	if err := json.Unmarshal(data, &plain); err != nil {
		b.Fatal(err)
	}
	b.Run("r4", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := r4.Marshal(bundle); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := json.Marshal(&plain); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a decoded Bundle keeps of the heap, beside the bytes it came in.
func BenchmarkHeapPerBundle(b *testing.B) {
	data := hundred()
	var before, after runtime.MemStats
	for b.Loop() {
		const kept = 20
		bundles := make([]r4.Resource, kept)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range bundles {
			var err error
			if bundles[i], err = r4.Unmarshal(data); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(bundles)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/kept, "heap-B/bundle")
		b.ReportMetric(float64(len(data)), "json-B/bundle")
	}
}
