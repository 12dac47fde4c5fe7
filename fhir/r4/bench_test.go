package r4_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hospital-go/hospital/fhir/r4"
)

// plainPatient is the shape a hand-written client would use with encoding/json.
type plainPatient struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id,omitempty"`
	Meta         *struct {
		VersionID   string `json:"versionId,omitempty"`
		LastUpdated string `json:"lastUpdated,omitempty"`
	} `json:"meta,omitempty"`
	Identifier []struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value,omitempty"`
	} `json:"identifier,omitempty"`
	Active *bool `json:"active,omitempty"`
	Name   []struct {
		Text   string   `json:"text,omitempty"`
		Family string   `json:"family,omitempty"`
		Given  []string `json:"given,omitempty"`
	} `json:"name,omitempty"`
	Telecom []struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value,omitempty"`
	} `json:"telecom,omitempty"`
	Gender    string `json:"gender,omitempty"`
	BirthDate string `json:"birthDate,omitempty"`
}

type plainBundle struct {
	ResourceType string `json:"resourceType"`
	Type         string `json:"type"`
	Entry        []struct {
		FullURL  string       `json:"fullUrl,omitempty"`
		Resource plainPatient `json:"resource"`
		Search   *struct {
			Mode string `json:"mode"`
		} `json:"search,omitempty"`
	} `json:"entry"`
}

// hundred is a page of 100 patients.
func hundred() []byte {
	entries := make([]string, 100)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"fullUrl":"http://his.test/fhir/Patient/%d","resource":{"resourceType":"Patient","id":"%d","meta":{"versionId":"1","lastUpdated":"2026-01-05T08:00:00.000+08:00"},`+
			`"identifier":[{"system":"urn:oid:2.16.156.10011.1.12.hankou","value":"ZY%06d"}],"active":true,"name":[{"text":"张三丰","family":"张","given":["三丰"]}],`+
			`"telecom":[{"system":"phone","value":"13900000001"}],"gender":"male","birthDate":"1958-04-09"},"search":{"mode":"match"}}`, i, i, i)
	}
	return []byte(`{"resourceType":"Bundle","type":"searchset","entry":[` + strings.Join(entries, ",") + `]}`)
}

func BenchmarkUnmarshal(b *testing.B) {
	data := hundred()
	b.SetBytes(int64(len(data)))
	b.Run("r4", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r4.Unmarshal(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
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
		for b.Loop() {
			if _, err := r4.Marshal(bundle); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(&plain); err != nil {
				b.Fatal(err)
			}
		}
	})
}
