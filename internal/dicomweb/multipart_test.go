package dicomweb_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/dicomweb"
)

func related(boundary string) string {
	return fmt.Sprintf(`multipart/related; type="application/dicom"; boundary=%q`, boundary)
}

// drain reads all parts; the error is nil when the answer was whole.
func drain(r io.Reader, contentType string, l dicomweb.Limits) (bodies []string, err error) {
	parts, err := dicomweb.NewParts(r, contentType, l)
	if err != nil {
		return nil, err
	}
	defer parts.Release()
	for {
		part, err := parts.Next()
		if err == io.EOF { //nolint:errorlint // only the bare one is the end
			return bodies, nil
		}
		if err != nil {
			return bodies, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return bodies, err
		}
		bodies = append(bodies, string(data))
	}
}

// answer writes a multipart body; its lines end in nl.
func answer(boundary, nl, before, after string, lengths bool, parts ...string) string {
	var b strings.Builder
	b.WriteString(before)
	for _, p := range parts {
		b.WriteString("--" + boundary + nl + "Content-Type: application/dicom" + nl)
		if lengths {
			fmt.Fprintf(&b, "Content-Length: %d%s", len(p), nl)
		}
		b.WriteString(nl + p + nl)
	}
	b.WriteString("--" + boundary + "--" + after)
	return b.String()
}

var (
	boundaries = []string{"b", "abc-123", "DICOM multipart/1", "a:b", "--", strings.Repeat("x", 70), "'()+_,-./:=?"}
	pixelParts = []string{
		"one", "", "\r\n", "--", "\r\n--", "line\r\nline\r\n", "\x00\r\n--a\r\n--ab\r\n--abc-124\r\n-", "\r",
	}
)

type shape struct{ boundary, nl, before, after string }

// shapes are answers that mean the same: with the first boundary every one, else two each.
func shapes(yield func(shape)) {
	for i, boundary := range boundaries {
		for _, nl := range []string{"\r\n", "\n"} {
			if i > 0 {
				yield(shape{boundary, nl, "", ""})
				yield(shape{boundary, nl, nl, nl})
				continue
			}
			for _, before := range []string{"", "preamble" + nl, nl} {
				for _, after := range []string{"", nl, " \t" + nl, nl + " " + nl, nl + nl} {
					yield(shape{boundary, nl, before, after})
				}
			}
		}
	}
}

func TestPartsWhole(t *testing.T) {
	t.Parallel()
	shapes(func(s shape) {
		want := pixelParts
		if s.boundary == "--" || s.nl == "\n" { // where some of them would be boundaries
			want = []string{"one", "", "line\nline"}
		}
		for _, lengths := range []bool{true, false} {
			body := answer(s.boundary, s.nl, s.before, s.after, lengths, want...)
			for name, chunked := range chunkings {
				got, err := drain(chunked(strings.NewReader(body)), related(s.boundary), dicomweb.Limits{})
				require.NoError(t, err, "%+v %s", s, name)
				require.Equal(t, want, got, "%+v %s", s, name)
			}
		}
	})
}

// A cut at every byte is an error, unless all parts and the closing boundary are there.
func TestPartsCut(t *testing.T) {
	t.Parallel()
	shapes(func(s shape) {
		// Cut inside what only begins like a boundary, too.
		want := []string{"one", s.nl + "--" + s.boundary + "x" + s.nl, ""}
		body := answer(s.boundary, s.nl, s.before, s.after, false, want...)
		whole := len(body) - len(s.after)
		for name, chunked := range chunkings {
			for n := range whole {
				got, err := drain(chunked(strings.NewReader(body[:n])), related(s.boundary), dicomweb.Limits{})
				require.ErrorIs(t, err, dicomweb.ErrCut, "%+v %s cut at %d", s, name, n)
				require.NotErrorIs(t, err, io.EOF)
				prefixOf(t, want, got)
			}
			for n := range len(body) {
				_, err := drain(io.MultiReader(chunked(strings.NewReader(body[:n])), iotest.ErrReader(errWire)), related(s.boundary), dicomweb.Limits{})
				require.ErrorIs(t, err, dicomweb.ErrCut, "%+v %s fails at %d", s, name, n)
				require.ErrorIs(t, err, errWire)
			}
		}
	})
}

// prefixOf checks that every part said to be whole is.
func prefixOf(t *testing.T, want, got []string) {
	t.Helper()
	require.LessOrEqual(t, len(got), len(want))
	require.Equal(t, want[:len(got)], append([]string{}, got...))
}

// What mime/multipart alone says of answers cut inside a header or behind a
// delimiter; should it ever find them itself, it may read for this package.
func TestMimeMultipartTakesCutAnswersForWhole(t *testing.T) {
	t.Parallel()
	body := answer("b", "\r\n", "", "\r\n", false, "one", "two")
	missed := 0
	for n := range len(body) - len("\r\n") {
		if got, err := mimeAlone(body[:n], "b"); err == nil && len(got) < 2 {
			missed++
		}
	}
	assert.Positive(t, missed)
}

func mimeAlone(body, boundary string) (bodies []string, err error) {
	r := multipart.NewReader(strings.NewReader(body), boundary)
	for {
		part, err := r.NextRawPart()
		if err == io.EOF { //nolint:errorlint // as callers do
			return bodies, nil
		}
		if err != nil {
			return bodies, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return bodies, err
		}
		bodies = append(bodies, string(data))
	}
}

// A reader's error may wrap an io.EOF; it must not pass for a good end.
func TestPartsHideAnEOFInside(t *testing.T) {
	t.Parallel()
	broken := &wireError{io.EOF}
	body := answer("b", "\r\n", "", "\r\n", false, "one")
	for n := range len(body) {
		_, err := drain(io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(broken)), related("b"), dicomweb.Limits{})
		require.ErrorIs(t, err, dicomweb.ErrCut)
		require.NotErrorIs(t, err, io.EOF)
		var which *wireError
		require.ErrorAs(t, err, &which)
		require.NotContains(t, err.Error(), "10.0.0.1")
	}
}

func TestPartHeader(t *testing.T) {
	t.Parallel()
	const b = "--b\r\n"
	tests := map[string]struct {
		header, media string
		params        map[string]string
		length        int64
		err           error
	}{
		"none":         {header: "", length: -1},
		"usual":        {header: "Content-Type: Application/DICOM; Transfer-Syntax=1.2\r\nContent-Length: 3\r\n", media: "application/dicom", params: map[string]string{"transfer-syntax": "1.2"}, length: 3},
		"unquoted":     {header: "Content-Type: multipart/related; type=application/dicom; boundary=c\r\n", media: "multipart/related", params: map[string]string{"type": "application/dicom", "boundary": "c"}, length: -1},
		"binary":       {header: "Content-Transfer-Encoding: BINARY\r\n", length: -1},
		"base64":       {header: "Content-Transfer-Encoding: base64\r\n", err: dicomweb.ErrInvalid},
		"broken type":  {header: "Content-Type: /\r\n", err: dicomweb.ErrInvalid},
		"no number":    {header: "Content-Length: x\r\n", err: dicomweb.ErrInvalid},
		"negative":     {header: "Content-Length: -3\r\n", err: dicomweb.ErrInvalid},
		"huge":         {header: "Content-Length: 9223372036854775808\r\n", err: dicomweb.ErrInvalid},
		"two lengths":  {header: "Content-Length: 3\r\nContent-Length: 3\r\n", err: dicomweb.ErrInvalid},
		"no colon":     {header: "name of a patient\r\n", err: dicomweb.ErrInvalid},
		"long":         {header: "X-A: " + strings.Repeat("a", 1<<10) + "\r\n", err: dicomweb.ErrTooLarge},
		"very long":    {header: "X-A: " + strings.Repeat("a", 1<<20) + "\r\n", err: dicomweb.ErrTooLarge},
		"mime's limit": {header: strings.Repeat("A: b\r\n", 11_000), err: dicomweb.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts, err := dicomweb.NewParts(strings.NewReader(b+tt.header+"\r\none\r\n--b--"), related("b"), dicomweb.Limits{MaxHeader: 1 << 10})
			require.NoError(t, err)
			defer parts.Release()
			part, err := parts.Next()
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
				require.NotContains(t, err.Error(), "patient")
				_, again := parts.Next()
				require.Equal(t, err, again)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.media, part.MediaType)
			assert.Equal(t, tt.params, part.Params)
			assert.Equal(t, tt.length, part.Length)
		})
	}
}

// mime/multipart bounds the lines of a header too.
func TestPartHeaderOfTooManyLines(t *testing.T) {
	t.Parallel()
	body := "--b\r\n" + strings.Repeat("A: b\r\n", 11_000) + "\r\none\r\n--b--"
	_, err := drain(strings.NewReader(body), related("b"), dicomweb.Limits{MaxHeader: 1 << 20})
	require.ErrorIs(t, err, dicomweb.ErrTooLarge)
}

// A boundary inside a part that says how long it is is none.
func TestBoundaryInsideALength(t *testing.T) {
	t.Parallel()
	inside := "one\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
	got, err := drain(strings.NewReader(answer("b", "\r\n", "", "", true, inside, "", "three")), related("b"), dicomweb.Limits{})
	require.NoError(t, err)
	assert.Equal(t, []string{inside, "", "three"}, got)
}

// A part of another length than it says is not whole, also when nobody reads it.
func TestPartLength(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]error{0: dicomweb.ErrInvalid, 2: dicomweb.ErrInvalid, 4: dicomweb.ErrInvalid, 1 << 20: dicomweb.ErrCut} {
		body := fmt.Sprintf("--b\r\nContent-Length: %d\r\n\r\none\r\n--b\r\n\r\n\r\n--b--", n)
		got, err := drain(strings.NewReader(body), related("b"), dicomweb.Limits{})
		require.ErrorIs(t, err, want)
		assert.Empty(t, got)

		parts, err := dicomweb.NewParts(strings.NewReader(body), related("b"), dicomweb.Limits{})
		require.NoError(t, err)
		_, err = parts.Next()
		require.NoError(t, err)
		_, err = parts.Next()
		require.ErrorIs(t, err, want)
	}
}

// An endless part ends where its length says.
func TestPartLongerThanItsLength(t *testing.T) {
	t.Parallel()
	body := io.MultiReader(strings.NewReader("--b\r\nContent-Length: 10\r\n\r\n"), zeros{})
	got, err := drain(body, related("b"), dicomweb.Limits{})
	require.ErrorIs(t, err, dicomweb.ErrInvalid)
	assert.Empty(t, got)
}

func TestPartsLimits(t *testing.T) {
	t.Parallel()
	body := answer("b", "\r\n", "", "", false, "1", "2", "3")
	_, err := drain(strings.NewReader(body), related("b"), dicomweb.Limits{MaxParts: 3})
	require.NoError(t, err)
	_, err = drain(strings.NewReader(body), related("b"), dicomweb.Limits{MaxParts: 2})
	require.ErrorIs(t, err, dicomweb.ErrTooLarge)

	endless := io.MultiReader(strings.NewReader(body+"\r\n"), strings.NewReader(strings.Repeat(" ", 1<<17)))
	_, err = drain(endless, related("b"), dicomweb.Limits{})
	require.ErrorIs(t, err, dicomweb.ErrTooLarge, "an epilogue without end")
	_, err = drain(io.MultiReader(strings.NewReader(body+"\r\n"), zeros{}), related("b"), dicomweb.Limits{})
	require.ErrorIs(t, err, dicomweb.ErrInvalid, "pixels behind the end")

	lines := iotest.OneByteReader(strings.NewReader(strings.Repeat("preamble\r\n", 10_000)))
	_, err = drain(lines, related("b"), dicomweb.Limits{})
	require.ErrorIs(t, err, dicomweb.ErrTooLarge, "a preamble without end")
}

func TestPartsInvalid(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"junk behind a boundary":         "--b\r\n\r\none\r\n--b junk\r\n\r\ntwo\r\n--b--",
		"junk behind the closing":        "--b\r\n\r\none\r\n--b--junk\r\n--b--",
		"a header that closes":           "--b\r\nA: b\r\n--b--\r\n",
		"something behind the closing":   "--b\r\n\r\none\r\n--b--\r\n\r\nrest of the pixels",
		"another end of line in between": "--b\r\n\r\none\r\n--b\n\r\ntwo\r\n--b--",
	} {
		_, err := drain(strings.NewReader(body), related("b"), dicomweb.Limits{})
		require.ErrorIs(t, err, dicomweb.ErrInvalid, name)
	}
	// Nothing of it is a part, and it may as well have been cut.
	for _, body := range []string{"", "<html>not found</html>", "--c\r\n\r\none\r\n--c--"} {
		_, err := drain(strings.NewReader(body), related("b"), dicomweb.Limits{})
		require.ErrorIs(t, err, dicomweb.ErrCut, body)
	}
	// The closing boundary of another kind of line, and a last line without end.
	for _, body := range []string{"--b\r\n\r\none\n--b--", strings.Repeat("x", 300)} {
		_, err := drain(strings.NewReader(body), related("b"), dicomweb.Limits{})
		require.ErrorIs(t, err, dicomweb.ErrCut)
	}
	// Where mime/multipart would take a header's line for the end.
	_, err := drain(strings.NewReader("--a:b\r\n--a:b--"), related("a:b"), dicomweb.Limits{})
	require.ErrorIs(t, err, dicomweb.ErrCut)
}

func TestContentType(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{
		`multipart/related; type="application/dicom"; boundary="b"`:                  true,
		`Multipart/Related;boundary=b`:                                               true,
		`multipart/related; type=application/dicom; boundary=b`:                      true,
		`multipart/related; boundary=b; type=application/dicom+json`:                 true,
		`multipart/related; boundary=b; type=application/dicom; transfer-syntax=1.2`: true,
		``:                                  false,
		`multipart/related`:                 false,
		`multipart/related; boundary=""`:    false,
		`multipart/mixed; boundary=b`:       false,
		`application/dicom; boundary=b`:     false,
		`multipart/related; boundary=b; a/`: false,
		`multipart/related; boundary=` + strings.Repeat("b", 71): false,
	} {
		parts, err := dicomweb.NewParts(strings.NewReader(answer("b", "\r\n", "", "", false, "one")), s, dicomweb.Limits{})
		if !ok {
			require.ErrorIs(t, err, dicomweb.ErrInvalid, s)
			continue
		}
		require.NoError(t, err, s)
		_, err = parts.Next()
		require.NoError(t, err, s)
		parts.Release()
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	parts, err := dicomweb.NewParts(strings.NewReader(answer("b", "\r\n", "", "", false, "one")), related("b"), dicomweb.Limits{})
	require.NoError(t, err)
	part, err := parts.Next()
	require.NoError(t, err)
	parts.Release()
	parts.Release()
	_, err = part.Read(make([]byte, 10))
	require.ErrorIs(t, err, dicomweb.ErrInvalid)
	_, err = parts.Next()
	require.ErrorIs(t, err, dicomweb.ErrInvalid)

	unused, err := dicomweb.NewParts(strings.NewReader(""), related("b"), dicomweb.Limits{})
	require.NoError(t, err)
	unused.Release()
	_, err = unused.Next()
	require.ErrorIs(t, err, dicomweb.ErrInvalid)
}

func TestPartReadsInLargePieces(t *testing.T) {
	t.Parallel()
	body := answer("b", "\r\n", "", "", false, strings.Repeat("x", 100_000))
	parts, err := dicomweb.NewParts(strings.NewReader(body), related("b"), dicomweb.Limits{})
	require.NoError(t, err)
	defer parts.Release()
	part, err := parts.Next()
	require.NoError(t, err)
	n, err := part.Read(make([]byte, 64<<10))
	require.NoError(t, err)
	assert.Equal(t, 64<<10, n)
	n, err = part.Read(nil)
	require.NoError(t, err)
	assert.Zero(t, n)
}

// A part that is here is handed out, though the next one keeps us waiting.
func TestPartDoesNotWaitForMore(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer func() { _ = r.Close() }()
	go func() { _, _ = io.WriteString(w, "--b\r\n\r\none\r\n--b\r\n") }()
	parts, err := dicomweb.NewParts(r, related("b"), dicomweb.Limits{})
	require.NoError(t, err)
	defer parts.Release()
	part, err := parts.Next()
	require.NoError(t, err)
	data, err := io.ReadAll(part)
	require.NoError(t, err)
	assert.Equal(t, "one", string(data))
}

func FuzzParts(f *testing.F) {
	for _, boundary := range boundaries {
		f.Add(answer(boundary, "\r\n", "", "\r\n", false, pixelParts...), boundary, uint(9))
		f.Add(answer(boundary, "\n", "preamble\n", "", true, "one", "two"), boundary, uint(50))
	}
	f.Add("--b\r\n--b--", "b", uint(0))
	f.Fuzz(func(t *testing.T, body, boundary string, at uint) {
		odd := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
		if len(body) > 64<<10 || strings.ContainsFunc(boundary, odd) {
			return
		}
		limits := dicomweb.Limits{MaxHeader: 1 << 20}
		parts, err := dicomweb.NewParts(strings.NewReader(""), related(boundary), limits)
		known(t, err)
		if err != nil {
			return
		}
		parts.Release()
		// Whatever it is: what we call whole is so for mime/multipart too.
		got, err := drain(strings.NewReader(body), related(boundary), limits)
		known(t, err)
		want, mimeErr := mimeAlone(body, boundary)
		// What it does not look for, or not so far: inside a length, and in long lines.
		ours := strings.Contains(strings.ToLower(body), "content-") || len(body) > 4000
		if err == nil && !ours {
			require.NoError(t, mimeErr)
			require.Equal(t, want, got)
		}
		// And with its end behind it, the other way round, but for what only we check.
		whole := body + "\r\n--" + boundary + "--\r\n"
		got, err = drain(strings.NewReader(whole), related(boundary), limits)
		known(t, err)
		want, mimeErr = mimeAlone(whole, boundary)
		if mimeErr == nil && !ours && !errors.Is(err, dicomweb.ErrInvalid) { // of which we know more kinds
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		// A reader that fails is an error at whatever byte it does; an end is one as
		// long as no line has the closing boundary.
		cut := whole[:at%uint(len(whole))]
		_, err = drain(failing([]byte(cut)), related(boundary), limits)
		require.Error(t, err)
		known(t, err)
		_, err = drain(strings.NewReader(cut), related(boundary), limits)
		known(t, err)
		if !strings.Contains("\n"+cut, "\n--"+boundary+"--") {
			require.Error(t, err)
		}
	})
}

// The same bytes over loopback: read as parts, by io.Copy, and as parts again.
func BenchmarkParts(b *testing.B) {
	const boundary = "abcdefabcdefabcdefabcdef0123456789"
	part := strings.Repeat(file1MiB(), 8)
	body := []byte(answer(boundary, "\r\n", "", "\r\n", true, part, part, part, part))
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the benchmark
	require.NoError(b, err)
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			c, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			_, _ = c.Write(body)
			_ = c.Close()
		}
	}()
	ways := []struct {
		name string
		read func(r io.Reader, buf []byte) error
	}{
		{"copy", func(r io.Reader, buf []byte) error {
			_, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{r}, buf)
			return err
		}},
		{"parts", func(r io.Reader, buf []byte) error {
			parts, err := dicomweb.NewParts(r, related(boundary), dicomweb.Limits{})
			if err != nil {
				return err
			}
			defer parts.Release()
			for {
				part, err := parts.Next()
				if err == io.EOF { //nolint:errorlint // only the bare one is the end
					return nil
				}
				if err != nil {
					return err
				}
				if _, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{part}, buf); err != nil {
					return err
				}
			}
		}},
	}
	for round := range 3 {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s-%d", way.name, round), func(b *testing.B) {
				buf := make([]byte, 32<<10)
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					c, err := net.Dial("tcp", listener.Addr().String()) //nolint:noctx // ends with the benchmark
					if err != nil {
						b.Fatal(err)
					}
					if err := way.read(c, buf); err != nil {
						b.Fatal(err)
					}
					_ = c.Close()
				}
			})
		}
	}
}

type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// file1MiB is pixels of a kind: every byte, and many ends of line.
func file1MiB() string {
	var b bytes.Buffer
	for i := range 1 << 20 {
		b.WriteByte(byte(uint32(i) * 2654435761 >> 7))
	}
	return b.String()
}
