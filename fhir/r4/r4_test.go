package r4_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fhir/r4"
)

// value decodes JSON with numbers as text, for comparison member by member.
func value(t *testing.T, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	return v
}

func requireRoundTrip(t *testing.T, data []byte) {
	t.Helper()
	r, err := r4.Unmarshal(data)
	require.NoError(t, err)
	out, err := r4.Marshal(r)
	require.NoError(t, err)
	require.Equal(t, value(t, data), value(t, out))
	again, err := r4.Unmarshal(out)
	require.NoError(t, err)
	twice, err := r4.Marshal(again)
	require.NoError(t, err)
	require.Equal(t, string(out), string(twice), "encoding must be deterministic")
}

func TestRoundTripKeepsWhatTypesCannotShow(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"decimal forms":                `{"resourceType":"Location","position":{"longitude":7.00,"latitude":-1.0e-3,"altitude":1234567890123456789012345.5E+2}}`,
		"partial dates":                `{"resourceType":"Patient","birthDate":"1970","deceasedDateTime":"2020-02"}`,
		"extension of a primitive":     `{"resourceType":"Patient","birthDate":"1970-01-01","_birthDate":{"extension":[{"url":"t","valueDateTime":"1970-01-01T03:00:00+08:00"}]}}`,
		"extension without its value":  `{"resourceType":"Patient","_birthDate":{"extension":[{"url":"absent","valueCode":"unknown"}]}}`,
		"nulls in an array":            `{"resourceType":"Patient","name":[{"given":["三",null,"丰"],"_given":[null,{"id":"a"},null]}]}`,
		"unknown members":              `{"resourceType":"Slot","vendorFlag":{"a":[1,2.50,null]},"status":"free","schedule":{"x":1}}`,
		"resourceType last":            `{"status":"free","resourceType":"Slot"}`,
		"unknown contained":            `{"resourceType":"Patient","contained":[{"resourceType":"Basic","id":"b","code":{"text":"x"}},{"id":"o","resourceType":"Organization"}]}`,
		"unknown resource":             `{"resourceType":"VisionPrescription","id":"v","dateWritten":"2014","lens":[{"sphere":-2.00}]}`,
		"empty string and array":       `{"resourceType":"Patient","gender":"","name":[],"address":[{"line":[]}]}`,
		"empty object":                 `{"resourceType":"Patient","maritalStatus":{}}`,
		"escapes":                      `{"resourceType":"Patient","language":"\u0041\ud83d\ude00\/\b\f\n\r\t\"\\\u0001<>&\u2028"}`,
		"extreme integers":             `{"resourceType":"Patient","multipleBirthInteger":-2147483648}`,
		"white space":                  " \n{ \"resourceType\" : \"Slot\" ,\t\"overbooked\" : false } \r\n",
		"both of a choice":             `{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}`,
		"bundle with mixed entries":    `{"resourceType":"Bundle","type":"collection","total":2,"entry":[{"resource":{"id":"1","resourceType":"Slot"}},{"resource":{"resourceType":"Media","id":"2"}}]}`,
		"named like a field elsewhere": `{"resourceType":"Patient","resource":{"resourceType":"Slot"}}`,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); requireRoundTrip(t, []byte(doc)) })
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	nest := func(open, end string, n int) string {
		return `{"resourceType":"Patient","x":` + strings.Repeat(open, n) + "1" + strings.Repeat(end, n) + `}`
	}
	for name, doc := range map[string]string{
		"nothing":                   ``,
		"not an object":             `[]`,
		"no resourceType":           `{"id":"1"}`,
		"empty resourceType":        `{"resourceType":""}`,
		"duplicate member":          `{"resourceType":"Patient","birthDate":"1970","birthDate":"1980"}`,
		"duplicate unknown member":  `{"resourceType":"Patient","x":1,"x":2}`,
		"duplicate by escape":       `{"resourceType":"Patient","birthDate":"1970","birth\u0044ate":"1980"}`,
		"two resourceTypes":         `{"resourceType":"Patient","resourceType":"Slot"}`,
		"invalid UTF-8":             "{\"resourceType\":\"Patient\",\"gender\":\"\xff\"}",
		"half a surrogate":          `{"resourceType":"Patient","gender":"\ud83d"}`,
		"control character":         "{\"resourceType\":\"Patient\",\"gender\":\"\n\"}",
		"deep arrays":               nest("[", "]", 1_000_000),
		"deep objects":              nest(`{"a":`, "}", 1_000_000),
		"string for a number":       `{"resourceType":"Patient","multipleBirthInteger":"1"}`,
		"fraction for an integer":   `{"resourceType":"Patient","multipleBirthInteger":1.5}`,
		"integer too large":         `{"resourceType":"Patient","multipleBirthInteger":2147483648}`,
		"object for an array":       `{"resourceType":"Patient","name":{"family":"x"}}`,
		"null for an object":        `{"resourceType":"Patient","maritalStatus":null}`,
		"leading zero":              `{"resourceType":"Location","position":{"longitude":01}}`,
		"minus zero for an integer": `{"resourceType":"Patient","multipleBirthInteger":-0}`,
		"bare point":                `{"resourceType":"Location","position":{"longitude":1.}}`,
		"something follows":         `{"resourceType":"Patient"}{}`,
		"cut":                       `{"resourceType":"Patient","gender":"ma`,
		"comma at the end":          `{"resourceType":"Patient",}`,
		"HTML":                      `<html><body>Bad Gateway</body></html>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r4.Unmarshal([]byte(doc))
			var syntax *r4.SyntaxError
			require.ErrorAs(t, err, &syntax)
			assert.NotContains(t, err.Error(), "1970", "an error must not quote the document")
		})
	}
}

func TestMarshalRefuses(t *testing.T) {
	t.Parallel()
	loop := &r4.Bundle{}
	huge := math.MaxInt
	if strconv.IntSize == 32 {
		t.Skip("skipped: an int of this platform cannot be too large")
	}
	loop.Entry = []r4.BundleEntry{{Resource: loop}}
	for name, r := range map[string]r4.Resource{
		"nil":             nil,
		"not a decimal":   &r4.Location{Position: &r4.LocationPosition{Longitude: `1,"x":2`}},
		"invalid UTF-8":   &r4.Patient{Gender: "\xff"},
		"a nil pointer":   (*r4.Patient)(nil),
		"a nil Unknown":   (*r4.Unknown)(nil),
		"a huge integer":  &r4.Patient{MultipleBirthInteger: r4.Ptr(huge)},
		"Extra twice":     &r4.Patient{Extra: r4.Extra{{Name: "x", Value: []byte("1")}, {Name: "x", Value: []byte("2")}}},
		"a cycle":         loop,
		"broken leftover": &r4.Patient{Extra: r4.Extra{{Name: "x", Value: []byte(`1},`)}}},
	} {
		_, err := r4.Marshal(r)
		assert.Error(t, err, name)
	}
}

// Three bytes of input must not buy 600 bytes of memory without end.
func TestEmptyObjectsAreCountedBySize(t *testing.T) {
	t.Parallel()
	doc := `{"resourceType":"Patient","extension":[{}` + strings.Repeat(",{}", 400_000) + `]}`
	_, err := r4.Unmarshal([]byte(doc))
	require.ErrorContains(t, err, "too many values")
}

func TestDecodeChecksTheType(t *testing.T) {
	t.Parallel()
	_, err := r4.Decode[*r4.Slot]([]byte(`{"resourceType":"Patient"}`))
	require.EqualError(t, err, "r4: expected Slot, got Patient")
	_, err = r4.Unmarshal([]byte(`{"resourceType":"../张三"}`))
	require.Error(t, err, "a type's name ends up in URLs and logs")
	assert.NotContains(t, err.Error(), "张三")
	_, err = r4.Decode[*r4.Slot]([]byte(`{"resourceType":"Zhangsan"}`))
	require.EqualError(t, err, "r4: expected Slot, got another type")
	var typeErr *r4.TypeError
	require.ErrorAs(t, err, &typeErr)
}

// A field that came in a form its type cannot show must not appear twice once it is set.
func TestSetFieldReplacesKeptValue(t *testing.T) {
	t.Parallel()
	p, err := r4.Decode[*r4.Patient]([]byte(`{"resourceType":"Patient","gender":""}`))
	require.NoError(t, err)
	p.Gender = r4.AdministrativeGenderFemale
	out, err := r4.Marshal(p)
	require.NoError(t, err)
	assert.Equal(t, `{"resourceType":"Patient","gender":"female"}`, string(out))
}

func TestDecodedValuesDoNotAliasTheInput(t *testing.T) {
	t.Parallel()
	data := []byte(`{"resourceType":"Patient","gender":"male","x":"kept"}`)
	p, err := r4.Decode[*r4.Patient](data)
	require.NoError(t, err)
	copy(data, bytes.Repeat([]byte{'!'}, len(data)))
	assert.Equal(t, "male", p.Gender)
	assert.Equal(t, `"kept"`, string(p.Extra.Get("x")))
}

func TestEncodingJSONUsesTheSameCodec(t *testing.T) {
	t.Parallel()
	out, err := json.Marshal(map[string]any{"p": &r4.Patient{BirthDate: "1970"}})
	require.NoError(t, err)
	assert.JSONEq(t, `{"p":{"resourceType":"Patient","birthDate":"1970"}}`, string(out))
	var name r4.HumanName
	require.NoError(t, json.Unmarshal([]byte(`{"family":"张","given":["三"]}`), &name))
	assert.Equal(t, "三", name.Given[0])
}

func TestEncodingJSONOfValues(t *testing.T) {
	t.Parallel()
	out, err := json.Marshal(map[string]any{"v": r4.Period{Start: "2020"}, "u": mustUnknown(t)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"v":{"start":"2020"},"u":{"resourceType":"Basic","x":1}}`, string(out))
	require.Error(t, json.Unmarshal([]byte(`{"id":"1"}`), new(r4.Patient)), "no resourceType")
	require.Error(t, json.Unmarshal([]byte(`{"resourceType":"Slot"}`), new(r4.Patient)))
}

func mustUnknown(t *testing.T) *r4.Unknown {
	t.Helper()
	u, err := r4.NewUnknown([]byte(`{"resourceType":"Basic","x":1}`))
	require.NoError(t, err)
	return u
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	list := []r4.Identifier{{System: "a", Value: "1"}, {System: "b", Value: "2"}, {System: "b", Value: "3"}, {System: "a", Value: "1"}}
	v, ok := r4.IdentifierValue(list, "a")
	assert.True(t, ok)
	assert.Equal(t, "1", v)
	_, ok = r4.IdentifierValue(list, "b")
	assert.False(t, ok, "two different numbers of one issuer are no answer")
	assert.True(t, r4.HasIdentifier(list, "b", "3"))
	assert.False(t, r4.HasIdentifier(list, "a", "3"))
}

// samples yields every JSON file below the folder that the variable names.
func samples(t *testing.T, variable string) map[string][]byte {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Skipf("skipped: %s names no folder of FHIR samples", variable)
	}
	out := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(`"resourceType"`)) {
			out[filepath.Base(path)] = data
		}
		return err
	}))
	require.NotEmpty(t, out, "no samples in %s", dir)
	return out
}

func TestRoundTripSamples(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"HOSPITAL_SAMPLES", "HOSPITAL_R4_PACKAGE"} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			for name, data := range samples(t, variable) {
				t.Run(name, func(t *testing.T) { requireRoundTrip(t, data) })
			}
		})
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","name":[{"given":["a",null]}],"_birthDate":{"id":"x"},"x":[1.50]}`))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"x":1,"resourceType":"Basic"}}]}`))
	f.Add([]byte(`{"multipleBirthInteger":-2,"contained":[{"id":"x","resourceType":"Slot"}],"name":[],"maritalStatus":{},"resourceType":"Patient"}`))
	f.Add([]byte(`{"resourceType":"Location","position":{"longitude":-0.10e+2}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := r4.Unmarshal(data)
		if err != nil {
			return
		}
		require.True(t, json.Valid(data), "accepted what is not JSON")
		requireRoundTrip(t, data)
		_ = r
	})
}
