package r4_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

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
		"integers with a null":         `{"resourceType":"Claim","item":[{"sequence":1,"careTeamSequence":[1,null,3],"_careTeamSequence":[null,{"id":"a"},null],"diagnosisSequence":[2],"procedureSequence":[]}]}`,
		"every decimal form":           `{"resourceType":"Observation","component":[{"valueQuantity":{"value":0}},{"valueQuantity":{"value":-0}},{"valueQuantity":{"value":-0.0}},{"valueQuantity":{"value":1E400}},{"valueQuantity":{"value":1e-400}},{"valueQuantity":{"value":0.100}},{"valueQuantity":{"value":12345678901234567890123456789.000}}]}`,
		"contained and choice":         `{"resourceType":"Observation","contained":[{"resourceType":"Parameters","parameter":[{"name":"x","resource":{"resourceType":"Basic","x":[]}},{"name":"y","valueDecimal":1.50}]}],"valueSampledData":{"origin":{"value":0},"period":10.0,"dimensions":1,"data":"1 E 2"}}`,
		"extension alone, everywhere":  `{"resourceType":"Task","_status":{"id":"s"},"status":"ready","_priority":{"extension":[{"url":"u","valueBoolean":false}]},"input":[{"type":{"text":"t"},"_valueInstant":{"id":"v"}}]}`,
		"named like a field elsewhere": `{"resourceType":"Patient","resource":{"resourceType":"Slot"}}`,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); requireRoundTrip(t, []byte(doc)) })
	}
}

// What types cannot show is kept beside unknown members, and counted apart: what can be
// read can be read once more.
func TestKeptValuesAreNoUnknownMembers(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(`{"resourceType":"Patient"`)
	for i := range 256 {
		fmt.Fprintf(&text, `,"x%d":1`, i)
	}
	p, err := r4.Decode[*r4.Patient]([]byte(text.String() + `,"gender":""}`))
	require.NoError(t, err)
	again, err := r4.Marshal(p)
	require.NoError(t, err)
	_, err = r4.Decode[*r4.Patient](again)
	require.NoError(t, err)
	_, err = r4.Decode[*r4.Patient]([]byte(text.String() + `,"y":1}`))
	require.ErrorContains(t, err, "too many unknown members")
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
		"nil":                      nil,
		"not a decimal":            &r4.Location{Position: &r4.LocationPosition{Longitude: `1,"x":2`}},
		"invalid UTF-8":            &r4.Patient{Gender: "\xff"},
		"a nil pointer":            (*r4.Patient)(nil),
		"a nil Unknown":            (*r4.Unknown)(nil),
		"a huge integer":           &r4.Patient{MultipleBirthInteger: r4.Ptr(huge)},
		"Extra twice":              &r4.Patient{Extra: r4.Extra{{Name: "x", Value: []byte("1")}, {Name: "x", Value: []byte("2")}}},
		"a field in Extra":         &r4.Patient{BirthDate: "1970", Extra: r4.Extra{{Name: "birthDate", Value: []byte(`"1980"`)}}},
		"bad UTF-8 in eight bytes": &r4.Patient{Gender: "12345678\xff2345678"},
		"lists too deep":           nested(70),
		"raw too deep":             &r4.Patient{Extra: r4.Extra{{Name: "x", Value: []byte(strings.Repeat("[", r4.MaxDepth) + strings.Repeat("]", r4.MaxDepth))}}},
		"a cycle":                  loop,
		"broken leftover":          &r4.Patient{Extra: r4.Extra{{Name: "x", Value: []byte(`1},`)}}},
	} {
		_, err := r4.Marshal(r)
		assert.Error(t, err, name)
	}
}

// Hostile sizes are refused, or read, in memory that stands in proportion.
func TestHostileSizesAreBounded(t *testing.T) { //nolint:paralleltest // allocation is counted for the whole process
	repeat := func(item string, n int) string { return item + strings.Repeat(","+item, n-1) }
	const many = 1_000_000
	for name, doc := range map[string]string{
		"1 MiB of arrays":       `{"resourceType":"Patient","x":` + strings.Repeat("[", 1<<20),
		"1 MiB of objects":      `{"resourceType":"Patient","x":` + strings.Repeat(`{"a":`, 1<<20/5),
		"1 MiB of contained":    strings.Repeat(`{"resourceType":"Patient","contained":[`, 1<<20/39),
		"contained, type last":  strings.Repeat(`{"contained":[`, 100) + strings.Repeat(`],"resourceType":"Patient"}`, 100),
		"an array of entries":   `{"resourceType":"Bundle","entry":[` + repeat("{}", many) + `]}`,
		"an array of resources": `{"resourceType":"Bundle","entry":[` + repeat(`{"resource":{"resourceType":"Observation"}}`, many/10) + `]}`,
		"an array of names":     `{"resourceType":"Patient","name":[{"given":[` + repeat(`"x"`, many) + `]}]}`,
		"an array of integers":  `{"resourceType":"Claim","item":[{"careTeamSequence":[` + repeat("1", many) + `]}]}`,
		"an array nobody knows": `{"resourceType":"Patient","x":[` + repeat("1", many) + `]}`,
		"members nobody knows": `{"resourceType":"Patient","x0":1` + func() string {
			var b strings.Builder
			for i := range many / 10 {
				b.WriteString(`,"y` + strconv.Itoa(i) + `":1`)
			}
			return b.String()
		}() + `}`,
		"contained, nobody knows it": `{"resourceType":"Patient","contained":[` + repeat(`{"resourceType":"Basic"}`, many/10) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := r4.Unmarshal([]byte(doc))
			runtime.ReadMemStats(&after)
			spent := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes of JSON cost %d bytes of memory, read: %t", len(doc), spent, err == nil)
			assert.Less(t, spent, uint64(8*r4.MaxValues*64), "however it ends")
			_, err = r4.Peek([]byte(doc))
			_ = err // bounded by depth and length alone
		})
	}
}

// nested is an extension in an extension, n deep: objects and lists.
func nested(n int) r4.Resource {
	e := r4.Extension{URL: "u"}
	for range n {
		e = r4.Extension{URL: "u", Extension: []r4.Extension{e}}
	}
	return &r4.Patient{Extension: []r4.Extension{e}}
}

// What can be written can be read, to the same depth.
func TestDepthIsOneLimit(t *testing.T) {
	t.Parallel()
	written := 0
	for n := range 100 {
		data, err := r4.Marshal(nested(n))
		if err != nil {
			break
		}
		written = n
		requireRoundTrip(t, data)
	}
	assert.Equal(t, (r4.MaxDepth-3)/2, written)
}

// A leaf that is one level too deep beside members nobody knows: an error, no panic.
func TestTooDeepBesideExtra(t *testing.T) {
	t.Parallel()
	for n := 55; n < 70; n++ {
		leaf := r4.Extension{URL: "u", ValueReference: &r4.Reference{Identifier: &r4.Identifier{Value: "1"}, Extra: r4.Extra{{Name: "foo", Value: []byte("1")}}}}
		for range n {
			leaf = r4.Extension{URL: "u", Extension: []r4.Extension{leaf}}
		}
		data, err := r4.Marshal(&r4.Patient{Extension: []r4.Extension{leaf}})
		if err == nil {
			requireRoundTrip(t, data)
		}
	}
}

// A page of 16 MB whose entries name their type last is read like any other.
func TestTypesLastInALargePage(t *testing.T) {
	t.Parallel()
	item := `{"resource":{"id":"1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"6690-2"}]},"valueQuantity":{"value":7.00,"unit":"x","system":"http://unitsofmeasure.org","code":"x"},"subject":{"reference":"Patient/1"},"resourceType":"Observation"}}`
	doc := `{"resourceType":"Bundle","type":"searchset","entry":[` + strings.Repeat(item+",", 40_000) + item + `]}`
	_, err := r4.Unmarshal([]byte(doc))
	require.NoError(t, err)
}

// Every offset of what needs a look in a string, in words of eight bytes.
func TestStringsAroundWords(t *testing.T) {
	t.Parallel()
	for _, special := range []string{"\x00", "\x1f", "\"", "\\", "张", "\u007f", "<", "😀"} {
		for before := range 18 {
			for after := range 10 {
				s := strings.Repeat("a", before) + special + strings.Repeat("b", after)
				data, err := r4.Marshal(&r4.Patient{Gender: s})
				require.NoError(t, err)
				require.True(t, json.Valid(data), "%q", data)
				back, err := r4.Decode[*r4.Patient](data)
				require.NoError(t, err)
				require.Equal(t, s, back.Gender)
			}
		}
	}
}

// A resourceType that comes last, again and again, does not cost depth times size.
func TestLookingAheadIsBounded(t *testing.T) {
	t.Parallel()
	doc := strings.Repeat(`{"contained":[`, 60) + `{"text":"` + strings.Repeat(`\n`, 1<<20) + `","resourceType":"Basic"}` + strings.Repeat(`],"resourceType":"Patient"}`, 60)
	_, err := r4.Unmarshal([]byte(doc))
	require.ErrorContains(t, err, "too often")
	few := strings.Repeat(`{"contained":[`, 8) + `{"x":1,"resourceType":"Basic"}` + strings.Repeat(`],"resourceType":"Patient"}`, 8)
	requireRoundTrip(t, []byte(few))
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

func TestNameInEitherWriting(t *testing.T) {
	t.Parallel()
	abc := []r4.Extension{{URL: "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", ValueCode: "ABC"}}
	for name, c := range map[string]struct {
		names           []r4.HumanName
		han, alphabetic string
	}{
		"none":                              {},
		"by its letters":                    {[]r4.HumanName{{Text: "张三"}, {Text: "Zhang San"}}, "张三", "Zhang San"},
		"joined":                            {[]r4.HumanName{{Family: "张", Given: []string{"三"}}, {Family: "Zhang", Given: []string{"", "San"}}}, "张三", "Zhang San"},
		"by its extension":                  {[]r4.HumanName{{Text: "张三 Zhang San", Extension: abc}}, "", "张三 Zhang San"},
		"official first":                    {[]r4.HumanName{{Use: "nickname", Text: "小三"}, {Text: "张叁"}, {Use: "official", Text: "张三"}}, "张三", ""},
		"one that ended is last":            {[]r4.HumanName{{Use: "official", Text: "李四", Period: &r4.Period{End: "2001"}}, {Use: "usual", Text: "王四"}}, "王四", ""},
		"an end nobody will see":            {[]r4.HumanName{{Use: "official", Text: "张三", Period: &r4.Period{End: "9999-12-31"}}, {Use: "anonymous", Text: "无名氏"}}, "张三", ""},
		"an ended one before a maiden name": {[]r4.HumanName{{Use: "maiden", Text: "李三"}, {Use: "official", Text: "张三", Period: &r4.Period{End: "2001"}}}, "张三", ""},
		"an old one is none":                {[]r4.HumanName{{Use: "old", Text: "李三"}}, "", ""},
	} {
		assert.Equal(t, c.han, r4.NameText(c.names, r4.Ideographic), name)
		assert.Equal(t, c.alphabetic, r4.NameText(c.names, r4.Alphabetic), name)
	}
}

func TestCodings(t *testing.T) {
	t.Parallel()
	c := &r4.CodeableConcept{Coding: []r4.Coding{{System: "a", Code: "1"}, {System: "b", Code: "2"}, {System: "b", Code: "3"}, {System: "a", Code: "1"}, {System: "c"}}}
	assert.True(t, r4.HasCode(c, "b", "3"))
	assert.False(t, r4.HasCode(c, "a", "3"))
	assert.False(t, r4.HasCode(nil, "a", "3"))
	code, ok := r4.CodeIn(c, "a")
	assert.True(t, ok)
	assert.Equal(t, "1", code)
	for _, system := range []string{"b", "c", "d"} {
		_, ok = r4.CodeIn(c, system)
		assert.False(t, ok, system)
	}
}

func TestUCUM(t *testing.T) {
	t.Parallel()
	value, code, ok := r4.UCUMQuantity("7.00", "10*9/L").UCUMValue()
	assert.True(t, ok)
	assert.Equal(t, r4.Decimal("7.00"), value)
	assert.Equal(t, "10*9/L", code)
	for _, q := range []*r4.Quantity{nil, {Value: "7", Unit: "10^9/L"}, {Value: "7", System: "urn:x", Code: "mg"}, {System: r4.UCUM, Code: "mg"}} {
		_, _, ok = q.UCUMValue()
		assert.False(t, ok)
	}
}

func TestParseTimeKeepsThePrecision(t *testing.T) {
	t.Parallel()
	china := time.FixedZone("", 8*60*60)
	at := func(s string) time.Time { v, err := time.Parse(time.RFC3339Nano, s); require.NoError(t, err); return v }
	for text, want := range map[string]r4.Span{
		"1970":                               {From: at("1970-01-01T00:00:00+08:00"), To: at("1971-01-01T00:00:00+08:00"), Precision: r4.Year},
		"1972-02":                            {From: at("1972-02-01T00:00:00+08:00"), To: at("1972-03-01T00:00:00+08:00"), Precision: r4.Month},
		"1972-02-29":                         {From: at("1972-02-29T00:00:00+08:00"), To: at("1972-03-01T00:00:00+08:00"), Precision: r4.Day},
		"2026-01-05T08:00:00+08:00":          {From: at("2026-01-05T00:00:00Z"), To: at("2026-01-05T00:00:01Z"), Precision: r4.Second},
		"2026-01-05T08:00:00.25Z":            {From: at("2026-01-05T08:00:00.25Z"), To: at("2026-01-05T08:00:00.26Z"), Precision: r4.Fraction},
		"2016-12-31T23:59:60Z":               {From: at("2017-01-01T00:00:00Z"), To: at("2017-01-01T00:00:01Z"), Precision: r4.Second},
		"2026-01-05T08:00:00.000-05:00":      {From: at("2026-01-05T13:00:00Z"), To: at("2026-01-05T13:00:00.001Z"), Precision: r4.Fraction},
		"2026-01-05T08:00:00.1234567890123Z": {From: at("2026-01-05T08:00:00.123456789Z"), To: at("2026-01-05T08:00:00.12345679Z"), Precision: r4.Fraction},
	} {
		got, err := r4.ParseTime(text, china)
		require.NoError(t, err, text)
		assert.True(t, want.From.Equal(got.From) && want.To.Equal(got.To) && want.Precision == got.Precision, "%s: %v", text, got)
	}
	for _, text := range []string{"", "70", "1970-1", "1971-02-29", "2026-13", "2026-01-05T08:00", "2026-01-05T08:00:00", "2026-01-05 08:00:00Z", "2026-01-05T24:00:00Z", "2026-01-05T08:00:00,5Z", "２０２６", "2026-01-05T08:00:00.Z", strings.Repeat("2", 65)} {
		_, err := r4.ParseTime(text, nil)
		require.ErrorIs(t, err, r4.ErrTime, text)
	}
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
