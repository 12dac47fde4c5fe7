package fakes_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fakes"
)

// item is a sequence's value with one item, of a length or with delimiters.
func item(long bool, inner ...elem) string {
	var b []byte
	for _, e := range inner {
		b = write(b, explicit, e)
	}
	if !long {
		return "\xFE\xFF\x00\xE0" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(b)))) + string(b)
	}
	return "\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF" + string(b) + "\xFE\xFF\x0D\xE0\x00\x00\x00\x00"
}

// Files as they come from elsewhere: every syntax, every set of characters there is a
// decoder for, and sequences in every shape.
func TestAddInstances(t *testing.T) {
	t.Parallel()
	issuer := elem{0x00400031, "UT", "somebody"}
	for name, c := range map[string]struct {
		syntax string
		more   []elem
		tag    string
		want   string // JSON of the values; empty: as they are in every picture
	}{
		"explicit":                     {syntax: explicit},
		"implicit":                     {syntax: implicit},
		"big endian":                   {syntax: big},
		"deflated":                     {syntax: deflated},
		"compressed":                   {syntax: compressed},
		"a list of texts":              {explicit, []elem{{0x00080008, "CS", `ORIGINAL\PRIMARY`}}, "00080008", `["ORIGINAL","PRIMARY"]`},
		"an empty value in a list":     {explicit, []elem{{0x00080008, "CS", `\PRIMARY`}}, "00080008", `[null,"PRIMARY"]`},
		"a number as text":             {explicit, []elem{{0x00280030, "DS", `1.50\0.5`}}, "00280030", `[1.50,0.5]`},
		"a number that JSON has not":   {explicit, []elem{{0x00280030, "DS", `+1.5\.5\x`}}, "00280030", `[1.5,0.5,"x"]`},
		"a number of implicit":         {implicit, []elem{us(0x00280010, 513)}, "00280010", `[513]`},
		"a float":                      {explicit, []elem{{0x00189087, "FD", string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(1.5)))}}, "00189087", `[1.5]`},
		"a signed number":              {explicit, []elem{{0x00280106, "SS", "\xFE\xFF"}}, "00280106", `[-2]`},
		"no number":                    {explicit, []elem{{0x00189087, "FD", string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN())))}}, "00189087", `["NaN"]`},
		"a sequence with lengths":      {explicit, []elem{{0x00080051, "SQ", item(false, issuer)}}, "00080051", `[{"00400031":{"vr":"UT","Value":["somebody"]}}]`},
		"an item with a delimiter":     {explicit, []elem{{0x00080051, "SQ", item(true, issuer)}}, "00080051", `[{"00400031":{"vr":"UT","Value":["somebody"]}}]`},
		"Latin-1":                      {explicit, []elem{{0x00080005, "CS", "ISO_IR 100"}, {0x00100010, "PN", "M\xFCller"}}, "00100010", `[{"Alphabetic":"Müller"}]`},
		"GB18030: characters are gone": {explicit, []elem{{0x00080005, "CS", "GB18030"}, {0x00100010, "PN", "Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB"}}, "00100010", `[{"Alphabetic":"Wang^XiaoDong","Ideographic":"\ufffd^\ufffd\ufffd"}]`},
		"GB18030: second byte is \\":   {explicit, []elem{{0x00080005, "CS", "GB18030"}, {0x00100010, "PN", "A=\x81\x5C^\x81\x30\x81\x30"}}, "00100010", `[{"Alphabetic":"A","Ideographic":"\ufffd^\ufffd"}]`},
		"bytes of no set":              {explicit, []elem{{0x00080005, "CS", ""}, {0x00100010, "PN", "A\xFF"}}, "00100010", `[{"Alphabetic":"A\ufffd"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, w := imaged(t, fakes.WithoutDemoData())
				file := picture(c.syntax, "1.2.3", "1.2.3.1", "1.2.3.1.1", c.more...)
				require.NoError(t, hosp.AddInstances("pacs", file))
				kept, ok := hosp.StoredInstance("pacs", "1.2.3.1.1")
				assert.True(t, ok)
				assert.Equal(t, file, kept)
				g := w.fetch(pacsA+"/studies/1.2.3/metadata", dicomJSON)
				var list []map[string]struct {
					Value json.RawMessage
				}
				require.NoError(t, json.Unmarshal(g.body, &list), "%s", g.body)
				if c.want == "" {
					c.tag, c.want = "00100010", `[{"Alphabetic":"Qian^Duoduo","Ideographic":"钱^多多"}]`
				}
				if strings.Contains(c.want, "1.50") {
					assert.Equal(t, c.want, string(list[0][c.tag].Value), "digits stay")
				}
				assert.JSONEq(t, c.want, string(list[0][c.tag].Value))
				assert.Equal(t, `["ISO_IR 192"]`, string(list[0]["00080005"].Value), "JSON is UTF-8")
				assert.Len(t, w.found("/studies?PatientID=ZY777777"), 1)
			})
		})
	}
}

func TestAddInstancesRefuses(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithoutDemoData())
	good := picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1")
	deep := elem{0x00080051, "SQ", ""}
	for range 20 {
		deep.value = item(true, deep)
	}
	for name, bad := range map[string][]byte{
		"nothing":           nil,
		"no prefix":         append(make([]byte, 132), good[132:]...),
		"cut":               good[:len(good)-3],
		"cut in its pixels": picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1", elem{0x7FE00010, "OW", "\x00\x01"})[:len(good)+13],
		"no series":         picture(explicit, "1.2.3", "", "1.2.3.1.1"),
		"no UID":            picture(explicit, "1.2.3", "1.2.3.x", "1.2.3.1.1"),
		"a number as UID":   picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1", us(0x00080018, 1)),
		"two UIDs":          picture(explicit, "1.2.3", `1.2.3.1\1.2.3.2`, "1.2.3.1.1"),
		"too deep":          picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1", deep),
		"no syntax":         picture("", "1.2.3", "1.2.3.1", "1.2.3.1.1"),
		"not deflated":      append(picture(deflated, "1.2.3", "1.2.3.1", "1.2.3.1.1")[:300], "xxxxxxxxx"...),
	} {
		require.Error(t, hosp.AddInstances("pacs", good, bad), name)
	}
	assert.Empty(t, hosp.Instances("pacs", "1.2.3"), "none of what came with it")
}

// Any file is refused, or can be found and retrieved again as it was.
func FuzzAddInstances(f *testing.F) {
	for _, syntax := range []string{explicit, implicit, big, deflated, compressed} {
		f.Add(picture(syntax, "1.2.3", "1.2.3.1", "1.2.3.1.1", us(0x00280010, 1), elem{0x7FE00010, "OW", "\x00\x01"}))
	}
	f.Add(picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1", elem{0x00080051, "SQ", item(true, elem{0x00400031, "UT", "x"})}))
	f.Fuzz(func(t *testing.T, data []byte) {
		fresh, err := fakes.New(fakes.WithoutDemoData())
		require.NoError(t, err)
		defer fresh.Close() //nolint:errcheck // it never fails
		if fresh.AddInstances("pacs", data) != nil {
			return
		}
		w := dialed(t, fresh)
		defer w.client.CloseIdleConnections()
		found := w.found("/instances")
		require.Len(t, found, 1)
		sop, _ := values(found[0], "00080018")[0].(string)
		kept, ok := fresh.StoredInstance("pacs", sop)
		require.True(t, ok)
		require.Equal(t, data, kept)
		study, _ := values(found[0], "0020000D")[0].(string)
		g := w.fetch(pacsA+"/studies/"+study+"/metadata", dicomJSON)
		require.True(t, json.Valid(g.body))
	})
}

// HOSPITAL_DICOM_FILES names a folder of files that others wrote: what can be read is
// retrieved as it was, and has what a search shows.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("HOSPITAL_DICOM_FILES")
	if dir == "" {
		t.Skip("HOSPITAL_DICOM_FILES names no folder of DICOM files")
	}
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) == ".dcm" {
			names = append(names, path)
		}
		return err
	}))
	read := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		synctest.Test(t, func(t *testing.T) {
			hosp, w := imaged(t, fakes.WithoutDemoData())
			if err := hosp.AddInstances("pacs", data); err != nil {
				t.Logf("%s: %v", filepath.Base(name), err)
				return
			}
			read++
			found := w.found("/studies")
			require.Len(t, found, 1)
			study, _ := values(found[0], "0020000D")[0].(string)
			_, bodies := w.fetch(pacsA+"/studies/"+study, stored).parts(t)
			require.Equal(t, [][]byte{data}, bodies)
			require.True(t, json.Valid(w.fetch(pacsA+"/studies/"+study+"/metadata", dicomJSON).body))
			require.Equal(t, 200, w.store(pacsA+"/studies", data).status)
		})
	}
	t.Logf("%d of %d files", read, len(names))
	assert.Positive(t, read)
}
