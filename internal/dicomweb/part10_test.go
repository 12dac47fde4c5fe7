package dicomweb_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/dicomweb"
)

func wholeHead(syntax string) dicomweb.Head {
	return dicomweb.Head{
		TransferSyntax: syntax, SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "1.2.3.4.5",
		Study: "1.2.3", Series: "1.2.3.4", CharacterSet: "GB18030",
		PatientID: "P-0001", IssuerOfPatientID: "HOSP", Accession: "ACC-7",
	}
}

// obstacles are what stands before the UIDs in files of devices.
var obstacles = map[string]func(w *writer){
	"nothing":                       nil,
	"sequence of undefined length":  func(w *writer) { nest(w, 0x00081140, "SQ", 5) },
	"sequence of a length":          func(w *writer) { w.put(0x00081140, "SQ", "not looked at") },
	"unknown VR, undefined length":  func(w *writer) { nest(w, 0x00091001, "UN", 3) },
	"private, unknown VR":           func(w *writer) { w.put(0x00091001, "UN", "private") },
	"private, VR of the future":     func(w *writer) { w.put(0x00091001, "ZZ", strings.Repeat("long", 20_000)) },
	"long VRs":                      func(w *writer) { w.put(0x00091002, "UT", strings.Repeat("text", 30_000)) },
	"fragments of undefined length": encapsulatedIcon,
	"many sequences": func(w *writer) {
		for i := range 100 {
			nest(w, dicomweb.Tag(0x00091000+i), "SQ", 1)
		}
	},
}

// encapsulatedIcon is a preview with compressed pixels of its own, in a sequence.
func encapsulatedIcon(w *writer) {
	w.header(0x00091010, "SQ", undefinedLength)
	w.header(0xFFFEE000, "", undefinedLength)
	w.header(dicomweb.TagPixelData, "OB", undefinedLength)
	w.fragment("icon")
	w.header(0xFFFEE0DD, "", 0)
	w.header(0xFFFEE00D, "", 0)
	w.header(0xFFFEE0DD, "", 0)
}

func TestReadHead(t *testing.T) {
	t.Parallel()
	for _, syntax := range syntaxes {
		for name, before := range obstacles {
			for chunking, chunked := range chunkings {
				t.Run(syntax+"/"+name+"/"+chunking, func(t *testing.T) {
					t.Parallel()
					data := file{syntax: syntax, before: before}.bytes()
					rest := bytes.NewReader(data)
					h, prefix, err := dicomweb.ReadHead(chunked(rest))
					require.NoError(t, err)
					assert.Equal(t, wholeHead(syntax), h)
					again, err := io.ReadAll(io.MultiReader(bytes.NewReader(prefix), rest))
					require.NoError(t, err)
					assert.True(t, bytes.Equal(data, again), "what was read can be put back")
				})
			}
		}
	}
}

// Anonymizers leave the old instance in the file meta group: the data set counts.
func TestReadHeadGoesByTheDataSet(t *testing.T) {
	t.Parallel()
	h, _, err := dicomweb.ReadHead(bytes.NewReader(file{media: "1.2.3.4.6"}.bytes()))
	require.NoError(t, err)
	assert.Equal(t, "1.2.3.4.5", h.SOPInstance)
}

// A head that ends early must not make the reader fetch the pixels.
func TestReadHeadReadsNoFurther(t *testing.T) {
	t.Parallel()
	big := file{inside: func(w *writer) { w.put(0x00281201, "OW", strings.Repeat("x", 100_000)) }}.bytes()
	_, prefix, err := dicomweb.ReadHead(bytes.NewReader(big))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(prefix), 4096)
}

func TestReadHeadRefuses(t *testing.T) {
	t.Parallel()
	whole := file{}.bytes()
	tests := map[string]struct {
		data []byte
		want error
	}{
		"empty":                 {nil, dicomweb.ErrCut},
		"no preamble":           {whole[preamble+4:], dicomweb.ErrInvalid},
		"another magic":         {bytes.Replace(whole, []byte("DICM"), []byte("DICN"), 1), dicomweb.ErrInvalid},
		"preamble only":         {whole[:preamble+4], dicomweb.ErrInvalid},
		"no data set":           {whole[:bytes.Index(whole, []byte("GB18030"))-8], dicomweb.ErrInvalid},
		"no transfer syntax":    {bytes.Replace(whole, []byte{2, 0, 0x10, 0, 'U'}, []byte{2, 0, 0x11, 0, 'U'}, 1), dicomweb.ErrInvalid},
		"letters in a UID":      {file{series: "1.2.x"}.bytes(), dicomweb.ErrInvalid},
		"empty UID":             {bytes.Replace(whole, []byte("1.2.3.4\x00"), []byte("\x00\x00\x00\x00\x00\x00\x00\x00"), 1), dicomweb.ErrInvalid},
		"path in a UID":         {file{series: "1...2"}.bytes(), dicomweb.ErrInvalid},
		"long UID":              {file{series: strings.Repeat("1.2.", 20) + "1"}.bytes(), dicomweb.ErrInvalid},
		"endless UID":           {file{series: strings.Repeat("1.2.", 400) + "1"}.bytes(), dicomweb.ErrInvalid},
		"an attribute twice":    {file{before: func(w *writer) { w.put(dicomweb.TagSOPInstanceUID, "UI", "1.2.3.4.5") }}.bytes(), dicomweb.ErrInvalid},
		"series before study":   {file{before: func(w *writer) { w.put(dicomweb.TagSeriesInstanceUID, "UI", "1.2") }}.bytes(), dicomweb.ErrInvalid},
		"no VR":                 {file{before: func(w *writer) { w.put(0x00090010, "??", "x") }}.bytes(), dicomweb.ErrInvalid},
		"an item on its own":    {file{before: func(w *writer) { w.header(0xFFFEE000, "", 0) }}.bytes(), dicomweb.ErrInvalid},
		"undefined length text": {file{before: func(w *writer) { w.header(0x00090010, "UT", undefinedLength) }}.bytes(), dicomweb.ErrInvalid},
		"no items":              {file{before: func(w *writer) { w.header(0x00090010, "SQ", undefinedLength); w.put(0x00090011, "LO", "x") }}.bytes(), dicomweb.ErrInvalid},
		"an item in an item": {file{before: func(w *writer) {
			w.header(0x00090010, "SQ", undefinedLength)
			w.header(0xFFFEE000, "", undefinedLength)
			w.header(0xFFFEE000, "", 0)
		}}.bytes(), dicomweb.ErrInvalid},
		"no fragments": {file{before: func(w *writer) {
			w.header(0x00090010, "OB", undefinedLength)
			w.header(0xFFFEE000, "", undefinedLength)
		}}.bytes(), dicomweb.ErrInvalid},
		"too deep": {file{before: func(w *writer) { nest(w, 0x00081140, "SQ", 65) }}.bytes(), dicomweb.ErrTooLarge},
		"too far":  {file{before: func(w *writer) { w.put(0x00091001, "OB", strings.Repeat("x", 1<<20)) }}.bytes(), dicomweb.ErrTooLarge},
		"bomb": {file{syntax: deflatedLE, before: func(w *writer) {
			w.put(0x00091001, "OB", strings.Repeat("\x00", 2<<20))
		}}.bytes(), dicomweb.ErrTooLarge},
		"broken deflate": {append(file{syntax: deflatedLE}.bytes()[:336], "\xff\xff\xff\xff"...), dicomweb.ErrInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, chunked := range chunkings {
				_, prefix, err := dicomweb.ReadHead(chunked(bytes.NewReader(tt.data)))
				require.ErrorIs(t, err, tt.want)
				assert.True(t, bytes.HasPrefix(tt.data, prefix))
				assert.NotContains(t, err.Error(), "1.2.3")
			}
		})
	}
}

func TestReadHeadOfMetaWithoutLength(t *testing.T) {
	t.Parallel()
	whole := file{}.bytes()
	without := append(bytes.Clone(whole[:preamble+4]), whole[preamble+4+12:]...)
	h, _, err := dicomweb.ReadHead(bytes.NewReader(without))
	require.NoError(t, err)
	assert.Equal(t, wholeHead(explicitLE), h)
}

// Every cut before the head's end is an error, and the reader's own error is found.
func TestReadHeadCut(t *testing.T) {
	t.Parallel()
	for _, syntax := range syntaxes {
		t.Run(syntax, func(t *testing.T) {
			t.Parallel()
			data := file{syntax: syntax, before: obstacles["sequence of undefined length"], noPixels: true}.bytes()
			for n := range len(data) {
				_, prefix, err := dicomweb.ReadHead(bytes.NewReader(data[:n]))
				require.Error(t, err, n)
				require.NotErrorIs(t, err, io.EOF)
				require.True(t, bytes.Equal(data[:n], prefix))
				_, _, err = dicomweb.ReadHead(failing(data[:n]))
				require.ErrorIs(t, err, dicomweb.ErrCut)
				require.ErrorIs(t, err, errWire)
				var which *wireError
				require.ErrorAs(t, err, &which)
			}
		})
	}
}

// wireError is what a failover's reader could return.
type wireError struct{ wrapped error }

func (e *wireError) Error() string { return "10.0.0.1 is gone" }
func (e *wireError) Unwrap() error { return e.wrapped }

var errWire = &wireError{context.DeadlineExceeded}

func failing(data []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errWire))
}

func TestValidUID(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"1.2.840.10008.1.2": true, "2.25.0": true, "1": true, "1.02": true,
		strings.Repeat("1", 64): true, strings.Repeat("1", 65): false,
		"": false, ".": false, "..": false, "1.": false, ".1": false, "1..2": false,
		"1.2/3": false, "1.a": false, "1.2 ": false, "１": false, "1.2\x00": false,
	} {
		assert.Equal(t, want, dicomweb.ValidUID(s), s)
	}
}

func TestHeadPrintsNothing(t *testing.T) {
	t.Parallel()
	h := wholeHead(explicitLE)
	hidden(t, h, "P-0001", "1.2.3", "ACC")
	hidden(t, dicomweb.Digest{Head: h}, "P-0001", "1.2.3", "ACC")
}

// hidden checks that no way of printing shows the words.
func hidden(t *testing.T, v any, words ...string) {
	t.Helper()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	if _, ok := v.(slog.LogValuer); ok {
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	}
	out := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out += fmt.Sprintf(verb, v)
	}
	if s, ok := v.(fmt.GoStringer); ok {
		out += s.GoString()
	}
	if s, ok := v.(fmt.Stringer); ok {
		out += s.String()
	}
	for _, w := range words {
		assert.NotContains(t, out, w)
	}
}

func FuzzHead(f *testing.F) {
	for _, syntax := range syntaxes {
		for _, before := range obstacles {
			if data := (file{syntax: syntax, before: before}).bytes(); len(data) < 4096 {
				f.Add(data)
			}
		}
	}
	samples(f, func(data []byte) { f.Add(data) })
	f.Fuzz(func(t *testing.T, data []byte) {
		h, prefix, err := dicomweb.ReadHead(bytes.NewReader(data))
		require.True(t, bytes.HasPrefix(data, prefix))
		known(t, err)
		chunked, _, err2 := dicomweb.ReadHead(iotest.HalfReader(bytes.NewReader(data)))
		require.Equal(t, err == nil, err2 == nil)
		if err != nil {
			return
		}
		require.Equal(t, h, chunked)
		for _, uid := range []string{h.TransferSyntax, h.SOPClass, h.SOPInstance, h.Study, h.Series} {
			require.True(t, dicomweb.ValidUID(uid))
		}
		// Sum reads more and so may refuse more, but it reads the same.
		if d, err := dicomweb.Sum(bytes.NewReader(data)); err == nil {
			require.Equal(t, h, d.Head)
		}
	})
}

// known checks that an error is one of the three and none that could be taken for a good end.
func known(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		require.NotErrorIs(t, err, io.EOF)
		require.Regexp(t, "^dicomweb: ", err.Error())
	}
}
