package dicomweb_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/dicomweb"
)

func TestSum(t *testing.T) {
	t.Parallel()
	for _, syntax := range syntaxes {
		for name, before := range obstacles {
			for chunking, chunked := range chunkings {
				t.Run(syntax+"/"+name+"/"+chunking, func(t *testing.T) {
					t.Parallel()
					data := file{syntax: syntax, before: before}.bytes()
					d, err := dicomweb.Sum(chunked(bytes.NewReader(data)))
					require.NoError(t, err)
					assert.Equal(t, wholeHead(syntax), d.Head)
					assert.EqualValues(t, len(data), d.Size)
					assert.Equal(t, sha256.Sum256(data), d.File)
					assert.True(t, d.HasPixels)
					assert.Equal(t, sha256.Sum256([]byte(pixels(syntax))), d.Pixels)
				})
			}
		}
	}
}

func pixels(syntax string) string {
	if syntax != jpegLossless {
		return "0123456789abcdef"
	}
	return "\xfe\xff\x00\xe0\x00\x00\x00\x00" + "\xfe\xff\x00\xe0\x0e\x00\x00\x00" + "\xff\xd8 fragment \xff\xd9"
}

func sum(t *testing.T, f file) dicomweb.Digest {
	t.Helper()
	d, err := dicomweb.Sum(bytes.NewReader(f.bytes()))
	require.NoError(t, err)
	return d
}

// What Sum is for: a server corrected the name, or changed the image.
func TestSumComparesCopies(t *testing.T) {
	t.Parallel()
	original := sum(t, file{})
	coerced := sum(t, file{name: "Li^Si", inside: func(w *writer) { w.put(0x00204000, "LT", "corrected") }})
	assert.NotEqual(t, original.File, coerced.File)
	assert.Equal(t, original.Pixels, coerced.Pixels)

	other := sum(t, file{noPixels: true, after: func(w *writer) { w.put(dicomweb.TagPixelData, "OW", "0123456789abcdeF") }})
	assert.NotEqual(t, original.Pixels, other.Pixels)

	report := sum(t, file{noPixels: true})
	assert.False(t, report.HasPixels)
	for _, tag := range []dicomweb.Tag{dicomweb.TagFloatPixelData, dicomweb.TagDoubleFloatPixelData} {
		float := sum(t, file{noPixels: true, after: func(w *writer) { w.put(tag, "OF", "floats__") }})
		assert.True(t, float.HasPixels)
		assert.Equal(t, sha256.Sum256([]byte("floats__")), float.Pixels)
	}
}

// Fragments in a file that says it has none, as some converters write.
func TestSumOfFragmentsWithoutVR(t *testing.T) {
	t.Parallel()
	d := sum(t, file{syntax: implicitLE, noPixels: true, after: func(w *writer) {
		w.header(dicomweb.TagPixelData, "", undefinedLength)
		w.fragment("")
		w.fragment("\xff\xd8 fragment \xff\xd9")
		w.header(0xFFFEE0DD, "", 0)
	}})
	assert.Equal(t, sha256.Sum256([]byte(pixels(jpegLossless))), d.Pixels)
}

func TestSumReadsWhatFollowsThePixels(t *testing.T) {
	t.Parallel()
	padding := func(w *writer) { w.put(0xFFFCFFFC, "OB", "\x00\x00\x00\x00") }
	for _, syntax := range syntaxes {
		sum(t, file{syntax: syntax, after: padding})
	}
	deflated := append(file{syntax: deflatedLE}.bytes(), 0)
	d, err := dicomweb.Sum(bytes.NewReader(deflated))
	require.NoError(t, err)
	assert.Equal(t, sha256.Sum256(deflated), d.File, "the byte that makes a deflated data set even")

	_, err = dicomweb.Sum(bytes.NewReader(append(file{}.bytes(), make([]byte, 16)...)))
	require.ErrorIs(t, err, dicomweb.ErrInvalid)
	item := func(w *writer) { w.fragment("") }
	_, err = dicomweb.Sum(bytes.NewReader(file{syntax: implicitLE, after: item}.bytes()))
	require.ErrorIs(t, err, dicomweb.ErrInvalid)
	_, err = dicomweb.Sum(io.MultiReader(bytes.NewReader(deflated), iotest.ErrReader(errWire)))
	require.ErrorIs(t, err, errWire)
}

// A file cut inside an attribute is never summed.
func TestSumCut(t *testing.T) {
	t.Parallel()
	for _, syntax := range syntaxes {
		t.Run(syntax, func(t *testing.T) {
			t.Parallel()
			data := file{syntax: syntax, before: obstacles["unknown VR, undefined length"]}.bytes()
			whole, err := dicomweb.Sum(bytes.NewReader(data))
			require.NoError(t, err)
			for n := range len(data) {
				d, err := dicomweb.Sum(bytes.NewReader(data[:n]))
				if err == nil { // between two attributes
					require.NotEqual(t, whole.Pixels, d.Pixels)
					require.NotEqual(t, deflatedLE, syntax)
					continue
				}
				require.NotErrorIs(t, err, io.EOF)
				require.Zero(t, d)
				_, err = dicomweb.Sum(failing(data[:n]))
				require.ErrorIs(t, err, dicomweb.ErrCut)
				require.ErrorIs(t, err, errWire)
			}
		})
	}
}

func TestSumCutInsideIsErrCut(t *testing.T) {
	t.Parallel()
	data := file{}.bytes()
	for n := 1; n < 28; n++ { // the last attribute: 12 bytes of header and 16 of pixels
		_, err := dicomweb.Sum(bytes.NewReader(data[:len(data)-n]))
		require.ErrorIs(t, err, dicomweb.ErrCut)
	}
}

// Not parallel: it measures.
func TestSumMemory(t *testing.T) {
	head := file{noPixels: true}.bytes()
	const pixels = 64 << 20
	w := &writer{order: littleEndian}
	w.header(dicomweb.TagPixelData, "OW", pixels)
	data := io.MultiReader(bytes.NewReader(head), w, io.LimitReader(zeros{}, pixels))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := dicomweb.Sum(data)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzSum(f *testing.F) {
	for _, syntax := range syntaxes {
		for _, before := range obstacles {
			if data := (file{syntax: syntax, before: before}).bytes(); len(data) < 4096 {
				f.Add(data)
			}
		}
	}
	samples(f, func(data []byte) { f.Add(data) })
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := dicomweb.Sum(iotest.HalfReader(bytes.NewReader(data)))
		known(t, err)
		if err != nil {
			return
		}
		require.EqualValues(t, len(data), d.Size)
		require.Equal(t, sha256.Sum256(data), d.File)
		// Sum and ReadHead agree on what the file is.
		h, _, err := dicomweb.ReadHead(bytes.NewReader(data))
		if err == nil {
			require.Equal(t, h, d.Head)
		} else {
			require.ErrorIs(t, err, dicomweb.ErrTooLarge)
		}
	})
}

func BenchmarkSum(b *testing.B) {
	data := file{inside: func(w *writer) { w.put(0x00281201, "OW", strings.Repeat("x", 8<<20)) }}.bytes()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dicomweb.Sum(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
