package dicomweb_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/dicomweb"
)

const study = `{
	"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
	"00080051": {"vr": "SQ", "Value": [{"00400032": {"vr": "UT", "Value": ["1.2.3 "]}}, null, {}]},
	"00080061": {"vr": "CS", "Value": ["CT", null, "MR "]},
	"00081190": {"vr": "UR", "Value": ["http://pacs/?a=1&b=<2>"]},
	"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东", "x": [1]}, {}]},
	"0020000d": {"Value": ["1.2.3"], "vr": "UI"},
	"00201208": {"vr": "IS", "Value": [12]},
	"00101030": {"vr": "DS", "Value": [1.50, "2.50 ", "+3", 1e-7, null]},
	"00090010": {"vr": "UN", "InlineBinary": "AAEC", "DataFragment": [true, false, null, 1, "x", {"a": []}]},
	"7FE00010": {"vr": "OW", "BulkDataURI": "/bulk/1"},
	"00081030": {"vr": "LO"},
	"00081031": {"vr": "LO", "Value": []}
}`

const canonical = `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},` +
	`"00080051":{"vr":"SQ","Value":[{"00400032":{"vr":"UT","Value":["1.2.3 "]}},null,{}]},` +
	`"00080061":{"vr":"CS","Value":["CT",null,"MR "]},` +
	`"00081030":{"vr":"LO"},` +
	`"00081031":{"vr":"LO"},` +
	`"00081190":{"vr":"UR","Value":["http://pacs/?a=1&b=<2>"]},` +
	`"00090010":{"vr":"UN","InlineBinary":"AAEC"},` +
	`"00100010":{"vr":"PN","Value":[{"Alphabetic":"Wang^XiaoDong","Ideographic":"王^小东"},null]},` +
	`"00101030":{"vr":"DS","Value":[1.50,"2.50 ","+3",1e-7,null]},` +
	`"0020000D":{"vr":"UI","Value":["1.2.3"]},` +
	`"00201208":{"vr":"IS","Value":[12]},` +
	`"7FE00010":{"vr":"OW","BulkDataURI":"/bulk/1"}}`

func decode(t *testing.T, s string) dicomweb.Dataset {
	t.Helper()
	var d dicomweb.Dataset
	require.NoError(t, json.Unmarshal([]byte(s), &d))
	return d
}

func TestDatasetRoundTrip(t *testing.T) {
	t.Parallel()
	d := decode(t, study)
	out, err := d.MarshalJSON()
	require.NoError(t, err)
	assert.Equal(t, canonical, string(out))
	assert.True(t, equal(d, decode(t, string(out))))
	wrapped, err := json.Marshal(map[string]dicomweb.Dataset{"d": {}, "n": nil})
	require.NoError(t, err)
	assert.Equal(t, `{"d":{},"n":{}}`, string(wrapped))
}

// equal compares without printing.
func equal(a, b dicomweb.Dataset) bool { return assert.ObjectsAreEqual(a, b) }

func TestDatasetValues(t *testing.T) {
	t.Parallel()
	d := decode(t, study)
	assert.Equal(t, "1.2.3", d.Text(dicomweb.TagStudyInstanceUID))
	assert.Equal(t, "Wang^XiaoDong", d.Text(dicomweb.TagPatientName))
	assert.Equal(t, []string{"CT", "", "MR"}, d.Texts(dicomweb.TagModalitiesInStudy))
	assert.Equal(t, []string{"1.50", "2.50", "+3", "1e-7", ""}, d.Texts(0x00101030))
	assert.Equal(t, dicomweb.PersonName{Alphabetic: "Wang^XiaoDong", Ideographic: "王^小东"}, d.Name(dicomweb.TagPatientName))
	items := d.Items(dicomweb.TagIssuerOfAccessionNumberSequence)
	require.Len(t, items, 2, "an empty item is one, null is none")
	assert.Equal(t, "1.2.3", items[0].Text(dicomweb.TagUniversalEntityID))
	n, ok := d.Int(dicomweb.TagNumberOfStudyRelatedInstances)
	assert.True(t, ok)
	assert.Equal(t, 12, n)
	_, ok = d.Int(dicomweb.TagStudyInstanceUID)
	assert.False(t, ok)
	var none dicomweb.Dataset
	for _, d := range []dicomweb.Dataset{none, d} {
		assert.Empty(t, d.Text(dicomweb.TagStudyDescription))
		assert.Nil(t, d.Texts(dicomweb.TagStudyDescription))
		assert.Nil(t, d.Items(dicomweb.TagStudyDescription))
		assert.Equal(t, dicomweb.PersonName{}, d.Name(dicomweb.TagStudyDescription))
		_, ok = d.Int(dicomweb.TagStudyDescription)
		assert.False(t, ok)
	}
}

func TestPadding(t *testing.T) {
	t.Parallel()
	for vr, want := range map[string]string{"LO": "x  y", "UI": "x  y", "LT": "  x  y", "UT": "  x  y", "ST": "  x  y"} {
		d := dicomweb.Dataset{1: {VR: vr, Values: []dicomweb.Value{{Text: "  x  y \x00"}}}}
		assert.Equal(t, want, d.Text(1), vr)
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	tag, ok := dicomweb.ParseTag("0020000d")
	assert.True(t, ok)
	assert.Equal(t, dicomweb.TagStudyInstanceUID, tag)
	assert.Equal(t, "0020000D", tag.String())
	for _, s := range []string{"", "0020000", "00200000D", "0020000G", "+020000D", "0x20000D", "0_20000D"} {
		_, ok := dicomweb.ParseTag(s)
		assert.False(t, ok, s)
	}
}

func nested(depth int) string {
	return strings.Repeat(`{"00081140":{"vr":"SQ","Value":[`, depth-1) + "{}" + strings.Repeat("]}}", depth-1)
}

// backwards is as deep, with the vr behind the value.
func backwards(depth int) string {
	return strings.Repeat(`{"00081140":{"Value":[`, depth-1) + "{}" + strings.Repeat(`],"vr":"SQ"}}`, depth-1)
}

func TestDatasetRefuses(t *testing.T) {
	t.Parallel()
	lo := func(value string) string { return `{"00081030":{"vr":"LO","Value":[` + value + `]}}` }
	tests := map[string]struct {
		data string
		want error
	}{
		"empty":               {``, dicomweb.ErrInvalid},
		"null":                {`null`, dicomweb.ErrInvalid},
		"array":               {`[]`, dicomweb.ErrInvalid},
		"open":                {`{`, dicomweb.ErrInvalid},
		"comma":               {`{"00081030":{"vr":"LO"},}`, dicomweb.ErrInvalid},
		"no comma":            {`{"00081030":{"vr":"LO"}"00081031":{"vr":"LO"}}`, dicomweb.ErrInvalid},
		"more":                {`{} {}`, dicomweb.ErrInvalid},
		"no tag":              {`{"PatientName":{"vr":"PN"}}`, dicomweb.ErrInvalid},
		"tag twice":           {`{"0020000D":{"vr":"UI"},"0020000d":{"vr":"UI"}}`, dicomweb.ErrInvalid},
		"no vr":               {`{"00081030":{}}`, dicomweb.ErrInvalid},
		"vr of three":         {`{"00081030":{"vr":"LOL"}}`, dicomweb.ErrInvalid},
		"small vr":            {`{"00081030":{"vr":"lo"}}`, dicomweb.ErrInvalid},
		"vr twice":            {`{"00081030":{"vr":"LO","vr":"LO"}}`, dicomweb.ErrInvalid},
		"value twice":         {`{"00081030":{"vr":"LO","Value":["a"],"Value":["b"]}}`, dicomweb.ErrInvalid},
		"two kinds":           {`{"00081030":{"vr":"LO","Value":["a"],"InlineBinary":""}}`, dicomweb.ErrInvalid},
		"value is null":       {`{"00081030":{"vr":"LO","Value":null}}`, dicomweb.ErrInvalid},
		"uri is a number":     {`{"00081030":{"vr":"OB","BulkDataURI":1}}`, dicomweb.ErrInvalid},
		"attribute is null":   {`{"00081030":null}`, dicomweb.ErrInvalid},
		"number where text":   {lo(`7.00`), dicomweb.ErrInvalid},
		"truth":               {lo(`true`), dicomweb.ErrInvalid},
		"item in LO":          {lo(`{}`), dicomweb.ErrInvalid},
		"text in SQ":          {`{"00081140":{"vr":"SQ","Value":["x"]}}`, dicomweb.ErrInvalid},
		"text in PN":          {`{"00100010":{"vr":"PN","Value":["x"]}}`, dicomweb.ErrInvalid},
		"name part twice":     {`{"00100010":{"vr":"PN","Value":[{"Alphabetic":"a","Alphabetic":"b"}]}}`, dicomweb.ErrInvalid},
		"truth in DS":         {`{"00101030":{"vr":"DS","Value":[true]}}`, dicomweb.ErrInvalid},
		"number with a zero":  {`{"00101030":{"vr":"DS","Value":[01]}}`, dicomweb.ErrInvalid},
		"number with a point": {`{"00101030":{"vr":"DS","Value":[1.]}}`, dicomweb.ErrInvalid},
		"number with a plus":  {`{"00101030":{"vr":"DS","Value":[+1]}}`, dicomweb.ErrInvalid},
		"half a literal":      {lo(`nul`), dicomweb.ErrInvalid},
		"control character":   {lo("\"a\nb\""), dicomweb.ErrInvalid},
		"bad escape":          {lo(`"\x"`), dicomweb.ErrInvalid},
		"escape at the end":   {`{"00081030":{"vr":"LO","Value":["\`, dicomweb.ErrInvalid},
		"string without end":  {`{"00081030":{"vr":"LO`, dicomweb.ErrInvalid},
		"half a surrogate":    {lo(`"\ud83d"`), dicomweb.ErrInvalid},
		"other half":          {lo(`"\uDE00"`), dicomweb.ErrInvalid},
		"not UTF-8":           {lo("\"\xcd\xf5\""), dicomweb.ErrInvalid},
		"unknown is broken":   {`{"00081030":{"vr":"LO","x":[}}}`, dicomweb.ErrInvalid},
		"too deep":            {nested(17), dicomweb.ErrTooLarge},
		"too deep, backwards": {backwards(18), dicomweb.ErrTooLarge},
		"unknown too deep":    {`{"00081030":{"vr":"LO","x":` + strings.Repeat("[", 1000), dicomweb.ErrTooLarge},
		"too many values":     {lo(strings.Repeat("null,", 1<<20) + "null"), dicomweb.ErrTooLarge},
		"too long":            {lo(`"` + strings.Repeat("x", 64<<20) + `"`), dicomweb.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := dicomweb.Dataset{1: {VR: "LO"}}
			err := d.UnmarshalJSON([]byte(tt.data))
			require.ErrorIs(t, err, tt.want)
			assert.Len(t, d, 1, "what was there stays")
		})
	}
	require.NoError(t, new(dicomweb.Dataset).UnmarshalJSON([]byte(nested(16))))
	require.NoError(t, new(dicomweb.Dataset).UnmarshalJSON([]byte(backwards(16))))
}

func TestStrings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"\u738b^\u5c0f\u4e1c"`:       "王^小东",
		`"\ud83d\ude00"`:              "😀",
		`"a\"b\\c\/d\b\f\n\r\t"`:      "a\"b\\c/d\b\f\n\r\t",
		`"\ufffd"`:                    "\ufffd",
		`"\\ud83d"`:                   `\ud83d`,
		`"\u0000\u001f\u003c&\u2028"`: "\x00\x1f<&\u2028",
	} {
		d := decode(t, `{"00081030":{"vr":"LT","Value":[`+in+`]}}`)
		require.Equal(t, want, d[dicomweb.TagStudyDescription].Values[0].Text)
		out, err := d.MarshalJSON()
		require.NoError(t, err)
		require.True(t, equal(d, decode(t, string(out))))
	}
}

func TestMarshalRefuses(t *testing.T) {
	t.Parallel()
	deep := dicomweb.Dataset{}
	for range 17 {
		deep = dicomweb.Dataset{0x00081140: {VR: "SQ", Values: []dicomweb.Value{{Item: deep}}}}
	}
	loop := dicomweb.Dataset{}
	loop[0x00081140] = dicomweb.Element{VR: "SQ", Values: []dicomweb.Value{{Item: loop}}}
	value := func(vr string, v dicomweb.Value) dicomweb.Dataset {
		return dicomweb.Dataset{1: {VR: vr, Values: []dicomweb.Value{v}}}
	}
	name := &dicomweb.PersonName{Alphabetic: "a"}
	for reason, tt := range map[string]struct {
		d    dicomweb.Dataset
		want error
	}{
		"deep":          {deep, dicomweb.ErrTooLarge},
		"loop":          {loop, dicomweb.ErrTooLarge},
		"no vr":         {dicomweb.Dataset{1: {}}, dicomweb.ErrInvalid},
		"two kinds":     {dicomweb.Dataset{1: {VR: "OB", InlineBinary: "AA", BulkDataURI: "/"}}, dicomweb.ErrInvalid},
		"kinds":         {dicomweb.Dataset{1: {VR: "OB", InlineBinary: "AA", Values: []dicomweb.Value{{}}}}, dicomweb.ErrInvalid},
		"text in SQ":    {value("SQ", dicomweb.Value{Text: "x"}), dicomweb.ErrInvalid},
		"text in PN":    {value("PN", dicomweb.Value{Text: "x"}), dicomweb.ErrInvalid},
		"item in LO":    {value("LO", dicomweb.Value{Item: dicomweb.Dataset{}}), dicomweb.ErrInvalid},
		"name in LO":    {value("LO", dicomweb.Value{Name: name}), dicomweb.ErrInvalid},
		"name and item": {value("PN", dicomweb.Value{Name: name, Item: dicomweb.Dataset{}}), dicomweb.ErrInvalid},
		"not UTF-8":     {value("LO", dicomweb.Value{Text: "\xcd\xf5"}), dicomweb.ErrInvalid},
	} {
		_, err := tt.d.MarshalJSON()
		require.ErrorIs(t, err, tt.want, reason)
	}
	out, err := value("PN", dicomweb.Value{Name: &dicomweb.PersonName{}}).MarshalJSON()
	require.NoError(t, err)
	assert.Equal(t, `{"00000001":{"vr":"PN","Value":[null]}}`, string(out))
	out, err = value("DS", dicomweb.Value{Text: "1 "}).MarshalJSON()
	require.NoError(t, err)
	assert.Equal(t, `{"00000001":{"vr":"DS","Value":["1 "]}}`, string(out))
}

func TestPrintsNothing(t *testing.T) {
	t.Parallel()
	d := decode(t, study)
	words := []string{"Wang", "1.2.3", "AAEC", "bulk", "CT"}
	hidden(t, d, words...)
	hidden(t, d[dicomweb.TagPatientName], words...)
	hidden(t, d[0x00090010], words...)
	hidden(t, d[dicomweb.TagPatientName].Values[0], words...)
	hidden(t, d.Name(dicomweb.TagPatientName), words...)
	assert.Equal(t, "dicom dataset (12 attributes)", fmt.Sprint(d))
}

func collect(r io.Reader, maxElement int64, maxCount int) (n int, err error) {
	for _, e := range dicomweb.DecodeArray(r, maxElement, maxCount) {
		if e != nil {
			return n, e
		}
		n++
	}
	return n, nil
}

func TestDecodeArray(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		data string
		n    int
		want error
	}{
		"none":             {`[]`, 0, nil},
		"none, spaced":     {" \n[ \t]\r\n", 0, nil},
		"one":              {`[` + study + `]`, 1, nil},
		"three":            {`[{},` + study + ` , {} ] `, 3, nil},
		"empty answer":     {``, 0, dicomweb.ErrCut},
		"closed only":      {`]`, 0, dicomweb.ErrInvalid},
		"an object":        {`{}`, 0, dicomweb.ErrInvalid},
		"a null":           {`[null]`, 0, dicomweb.ErrInvalid},
		"comma first":      {`[,{}]`, 0, dicomweb.ErrInvalid},
		"comma last":       {`[{},]`, 1, dicomweb.ErrInvalid},
		"no comma":         {`[{}{}]`, 1, dicomweb.ErrInvalid},
		"something behind": {`[{}]x`, 1, dicomweb.ErrInvalid},
		"second array":     {`[][]`, 0, dicomweb.ErrInvalid},
		"HTML":             {`<html>`, 0, dicomweb.ErrInvalid},
		"broken item":      {`[{},{"x":1}]`, 1, dicomweb.ErrInvalid},
		"too many":         {`[{},{},{},{}]`, 3, dicomweb.ErrTooLarge},
		"too large":        {`[{},{"00081030":{"vr":"LO","Value":["` + strings.Repeat("x", 2000) + `"]}}]`, 1, dicomweb.ErrTooLarge},
		"white space":      {`[{}` + strings.Repeat(" ", 100_000), 1, dicomweb.ErrTooLarge},
		"brackets in text": {`[{"00081030":{"vr":"LO","Value":["}]\"\\"]}}]`, 1, nil},
		"deep and endless": {`[` + strings.Repeat(`{`, 5000), 0, dicomweb.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for chunking, chunked := range chunkings {
				n, err := collect(chunked(strings.NewReader(tt.data)), 1500, 3)
				require.Equal(t, tt.n, n, chunking)
				if tt.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, tt.want)
				}
			}
		})
	}
}

func TestDecodeArrayCut(t *testing.T) {
	t.Parallel()
	data := ` [ {}, ` + study + `, {} ]`
	for n := range len(data) {
		for _, chunked := range chunkings {
			_, err := collect(chunked(strings.NewReader(data[:n])), math.MaxInt64, 10)
			require.ErrorIs(t, err, dicomweb.ErrCut, n)
			require.NotErrorIs(t, err, io.EOF)
		}
	}
	for n := range len(data) + 1 {
		_, err := collect(failing([]byte(data[:n])), math.MaxInt64, 10)
		require.ErrorIs(t, err, dicomweb.ErrCut, n)
		require.ErrorIs(t, err, errWire)
	}
}

// A caller that has seen enough stops; nothing more is read.
func TestDecodeArrayStops(t *testing.T) {
	t.Parallel()
	for d, err := range dicomweb.DecodeArray(io.MultiReader(strings.NewReader(`[{},`), iotest.ErrReader(errWire)), 10, 10) {
		require.NoError(t, err)
		require.NotNil(t, d)
		break
	}
}

func FuzzDatasetJSON(f *testing.F) {
	f.Add([]byte(study))
	f.Add([]byte(canonical))
	f.Add([]byte(nested(16)))
	f.Add([]byte(backwards(5)))
	f.Add([]byte(`{"00081030":{"vr":"LO","Value":["\ud83d\ude00\u0000"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d dicomweb.Dataset
		err := d.UnmarshalJSON(data)
		known(t, err)
		n, arrayErr := collect(io.MultiReader(strings.NewReader("["), bytes.NewReader(data), strings.NewReader("]")), math.MaxInt64, 1)
		if err != nil {
			require.Nil(t, d)
			require.False(t, n == 1 && arrayErr == nil)
			return
		}
		require.NoError(t, arrayErr)
		require.Equal(t, 1, n)
		require.True(t, json.Valid(data), "what is not JSON is refused")
		out, err := d.MarshalJSON()
		require.NoError(t, err)
		var again dicomweb.Dataset
		require.NoError(t, again.UnmarshalJSON(out))
		require.True(t, equal(d, again))
		twice, err := again.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, out, twice)
	})
}

func BenchmarkDecodeArray(b *testing.B) {
	data := "[" + canonical + strings.Repeat(","+canonical, 999) + "]"
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := collect(strings.NewReader(data), math.MaxInt64, 1000); err != nil || n != 1000 {
			b.Fatal(n, err)
		}
	}
}
