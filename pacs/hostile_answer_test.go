package pacs_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

// Answers that end well and are not what was asked for.

func wireRaw(media, body string) wireAnswer { return wireAnswer{media: media, body: []byte(body)} }

// headed is an answer of files whose parts have another header.
func headed(head string, files ...wireFile) wireAnswer {
	a := wireParts(files...)
	a.body = bytes.ReplaceAll(a.body, []byte(wirePartHead), []byte(head))
	return a
}

func named(f wireFile, study, series, instance string) wireFile {
	return newWireFile(study, series, instance, "pixels of "+f.instance)
}

func gzipped(a wireAnswer) wireAnswer {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(a.body)
	_ = z.Close()
	a.body, a.header = b.Bytes(), "Content-Encoding: gzip\r\n"
	return a
}

// cutMeta ends inside the file meta group, or inside the head: a part that is whole, and
// a file that is not.
func cutMeta(f wireFile, n int) wireFile {
	f.data = f.data[:n]
	return f
}

// inside has the boundary among its pixels.
func inside(f wireFile, closing string) wireFile {
	return newWireFile(f.study, f.series, f.instance, "before\r\n--"+wireBoundary+closing+"\r\nafter, and a long time after")
}

// studyAnswers are answers to the request for a study of three. What dc-2 can mend is
// mended; alone, code is what comes of it, and each error says so: no success.
func studyAnswers(files []wireFile) map[string]struct {
	answer wireAnswer
	mended bool
	code   hospital.Code // of dc-1 alone, where its every answer of instances is such; "" for success
} {
	all := wireParts(files...)
	stranger := named(files[1], "2.25.5", files[1].series, files[1].instance)
	return map[string]struct {
		answer wireAnswer
		mended bool
		code   hospital.Code
	}{
		"one is missing":                      {wireParts(files[0], files[2]), true, hospital.ErrUnexpectedAnswer},
		"none":                                {wireRaw(wireMultipart, "--"+wireBoundary+"--\r\n"), true, hospital.ErrIncomplete},
		"one comes twice":                     {wireParts(files[0], files[1], files[1], files[2], files[0]), true, hospital.ErrUnexpectedAnswer},
		"another order":                       {wireParts(files[2], files[0], files[1]), true, hospital.ErrUnexpectedAnswer},
		"another study's":                     {wireParts(files[0], stranger, files[2]), false, hospital.ErrUnexpectedAnswer},
		"a part without DICM":                 {bytesReplaced(all, "DICM", "dicm"), false, hospital.ErrUnexpectedAnswer},
		"a part of text":                      {headed("Content-Type: text/plain\r\n", files...), false, hospital.ErrUnexpectedAnswer},
		"a part without type":                 {headed("", files...), false, hospital.ErrUnexpectedAnswer},
		"a part in base64":                    {headed(wirePartHead+"Content-Transfer-Encoding: base64\r\n", files...), false, hospital.ErrUnexpectedAnswer},
		"a part of two lengths":               {headed(wirePartHead+"Content-Length: 1\r\nContent-Length: 2\r\n", files...), false, hospital.ErrUnexpectedAnswer},
		"a meta group that ends":              {wireParts(files[0], cutMeta(files[1], 140), files[2]), true, hospital.ErrUnexpectedAnswer},
		"a head that ends":                    {wireParts(files[0], cutMeta(files[1], 200), files[2]), true, hospital.ErrUnexpectedAnswer},
		"a file of no bytes":                  {wireParts(files[0], cutMeta(files[1], 0), files[2]), true, hospital.ErrUnexpectedAnswer},
		"no Content-Type":                     {wireRaw("", string(all.body)), true, hospital.ErrForeignAnswer},
		"another boundary":                    {wireRaw(strings.Replace(wireMultipart, wireBoundary, "other", 1), string(all.body)), true, hospital.ErrIncomplete},
		"HTML":                                {wireRaw("text/html; charset=utf-8", "<html>please log in</html>"), true, hospital.ErrForeignAnswer},
		"an error in JSON":                    {wireRaw("application/json", `{"error":"no"}`), true, hospital.ErrForeignAnswer},
		"one file":                            {wireRaw("application/dicom", string(files[0].data)), true, hospital.ErrForeignAnswer},
		"no content":                          {wireAnswer{status: http.StatusNoContent}, true, hospital.ErrForeignAnswer},
		"a part of the answer":                {wireAnswer{status: http.StatusPartialContent, media: wireMultipart, body: all.body}, true, hospital.ErrForeignAnswer},
		"a redirect":                          {wireAnswer{status: http.StatusFound, header: "Location: http://elsewhere/\r\n"}, true, hospital.ErrForeignAnswer},
		"gzip":                                {gzipped(all), true, hospital.ErrForeignAnswer},
		"not found, though listed":            {wireAnswer{status: http.StatusNotFound}, true, hospital.ErrStale},
		"parts without end, of one instance":  {wireAnswer{media: wireMultipart, body: all.body[:len(all.body)-len(wireClose)], endless: repeated(string(wirePart(wirePartHead, files[0].data)))}, false, hospital.ErrTooLarge},
		"parts without end, of nothing":       {wireAnswer{media: wireMultipart, endless: repeated(string(wirePart(wirePartHead, nil)))}, true, hospital.ErrIncomplete},
		"a preamble without end":              {wireAnswer{media: wireMultipart, endless: repeated("preamble\r\n")}, false, hospital.ErrTooLarge},
		"a line without end":                  {wireAnswer{media: wireMultipart, endless: repeated("x")}, false, hospital.ErrTooLarge},
		"a header without end":                {wireAnswer{media: wireMultipart, body: []byte("--" + wireBoundary + "\r\n"), endless: repeated("X-Header: y\r\n")}, false, hospital.ErrTooLarge},
		"an epilogue without end":             {wireAnswer{media: wireMultipart, body: all.body, endless: repeated("epilogue\r\n")}, false, hospital.ErrUnexpectedAnswer},
		"a meta group without end":            {wireAnswer{media: wireMultipart, body: append([]byte("--"+wireBoundary+"\r\n"+wirePartHead+"\r\n"), files[0].data[:132]...), endless: repeated(string(wireElement(nil, 0x00020012, "UI", "1")))}, false, hospital.ErrUnexpectedAnswer},
		"a value before the UIDs without end": {wireAnswer{media: wireMultipart, body: append([]byte("--"+wireBoundary+"\r\n"+wirePartHead+"\r\n"), endlessHead(files[0])...), endless: repeated("x")}, false, hospital.ErrTooLarge},
		"bare line feeds":                     {bytesReplaced(all, "\r\n", "\n"), true, hospital.ErrUnexpectedAnswer},
		"the boundary inside, and no length":  {wireParts(files[0], inside(files[1], ""), files[2]), false, hospital.ErrUnexpectedAnswer},
	}
}

// endlessHead has, before its UIDs, a value of 2 GiB.
func endlessHead(f wireFile) []byte {
	n := bytes.Index(f.data, []byte{0x08, 0, 0x16, 0})
	return append(bytes.Clone(f.data[:n]), 0x08, 0, 0x01, 0, 'O', 'W', 0, 0, 0xf0, 0xff, 0xff, 0x7f)
}

func bytesReplaced(a wireAnswer, from, to string) wireAnswer {
	a.body = bytes.ReplaceAll(a.body, []byte(from), []byte(to))
	return a
}

func TestHostileStudyAnswers(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	for name, c := range studyAnswers(files) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				w.spoilt(files, wireLength, instead(wholeStudy, c.answer))
				w.with(func(client *pacs.Client) {
					got := wireFetch(w.t, client, pacs.Retrieval{Study: wireStudy})
					if c.mended {
						got.all(w.t, files, name)
						return
					}
					require.Error(w.t, got.err)
					assert.Equal(w.t, c.code, hospital.CodeOf(got.err), "%v", got.err)
				})
			})
			onWire(t, 1, func(w *wire) {
				w.spoilt(files, wireLength, instead(wireIsInstances, c.answer))
				w.with(func(client *pacs.Client) {
					got := wireFetch(w.t, client, pacs.Retrieval{Study: wireStudy})
					complete := len(got.whole) == len(files)
					if got.err != nil {
						assert.Equal(w.t, c.code, hospital.CodeOf(got.err), "%v", got.err)
					}
					assert.True(w.t, got.err != nil || complete, "success with fewer")
				})
			})
		})
	}
}

// A part says how long it is, and is longer: the boundary inside is none. Another site
// is asked, whose answer is framed otherwise.
func TestBoundaryInsideASizedPart(t *testing.T) {
	t.Parallel()
	for name, closing := range map[string]string{"a delimiter": "", "the closing one": "--"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				files := wireFiles(3, 1)
				files[1] = inside(files[1], closing)
				other := func(r *http.Request, a wireAnswer) wireAnswer {
					if !wireIsInstances(r) {
						return a
					}
					a.media = strings.Replace(a.media, wireBoundary, "another", 1)
					a.body = bytes.ReplaceAll(wireSized(wireWithin(files, wireStudy, "", lastSegment(r))...).body, []byte("--"+wireBoundary+"\r\nContent"), []byte("--another\r\nContent"))
					a.body = append(bytes.TrimSuffix(a.body, []byte(wireClose)), "\r\n--another--\r\n"...)
					return a
				}
				w.sites[0].says((&wireArchive{files: files, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
					if wireIsInstances(r) {
						return wireSized(wireWithin(files, wireStudy, "", lastSegment(r))...)
					}
					return a
				}}).answer)
				w.sites[1].says((&wireArchive{files: files, spoil: other}).answer)
				w.with(func(c *pacs.Client) {
					wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files, name)
				})
			})
		})
	}
}

// lastSegment is the instance asked for, "" for the study.
func lastSegment(r *http.Request) string {
	if !strings.Contains(r.URL.Path, "/instances/") {
		return ""
	}
	return r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
}

// Servers write the type of a multipart answer in several ways.
func TestContentTypesOfServers(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	long := strings.Repeat("0123456789", 7)
	for name, media := range map[string]string{
		"quoted":         wireMultipart,
		"unquoted":       `multipart/related; type=application/dicom; boundary=` + wireBoundary,
		"capitals":       `Multipart/Related; Type="Application/DICOM"; Boundary=` + wireBoundary,
		"start":          `multipart/related;start="<1@x>";type="application/dicom";boundary="` + wireBoundary + `"`,
		"more in type":   `multipart/related; type="application/dicom; transfer-syntax=1.2.840.10008.1.2.1"; boundary=` + wireBoundary,
		"a long one":     `multipart/related; type="application/dicom"; boundary=` + long,
		"its type later": `multipart/related; boundary=` + wireBoundary + `; type="application/dicom"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				w.spoilt(files, wireLength, func(r *http.Request, a wireAnswer) wireAnswer {
					if wireIsInstances(r) {
						a.media = media
						if strings.Contains(media, long) {
							a = bytesReplaced(a, wireBoundary, long)
						}
					}
					return a
				})
				w.with(func(c *pacs.Client) { wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files, name) })
			})
		})
	}
}

// An instance more than was listed, however often it comes, comes once.
func TestMoreThanListed(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	onWire(t, 1, func(w *wire) {
		w.sites[0].says((&wireArchive{files: files, listed: files[:2], spoil: instead(wholeStudy, wireParts(files[2], files[0], files[2], files[1], files[2]))}).answer)
		w.with(func(c *pacs.Client) {
			wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files, "")
		})
	})
}

// What is asked for by series, or by instance, is compared with that.
func TestAnotherOneThanAskedFor(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 2)
	ofSeries := pacs.Retrieval{Study: wireStudy, Series: files[0].series}
	one := pacs.Retrieval{Study: wireStudy, Series: files[0].series, Instance: files[0].instance}
	for name, c := range map[string]struct {
		ask    pacs.Retrieval
		answer wireAnswer
	}{
		"a series, and another's":                {ofSeries, wireParts(files[0], files[3])},
		"a series, and the study":                {ofSeries, wireParts(files...)},
		"an instance, and another":               {one, wireParts(files[1])},
		"an instance, and two":                   {one, wireParts(files[0], files[1])},
		"an instance, of another study":          {one, wireParts(named(files[0], "2.25.5", files[0].series, files[0].instance))},
		"an instance, of another series":         {one, wireParts(named(files[0], wireStudy, files[3].series, files[0].instance))},
		"series beside each other, and the next": {pacs.Retrieval{Study: wireStudy, Parallel: 2}, wireParts(files[0], files[1], files[2])},
		"series beside each other, all of all":   {pacs.Retrieval{Study: wireStudy, Parallel: 2}, wireParts(files...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				w.spoilt(files, wireLength, instead(wireIsInstances, c.answer))
				w.with(func(client *pacs.Client) {
					got := wireFetch(w.t, client, c.ask)
					assert.ErrorIs(w.t, got.err, hospital.ErrUnexpectedAnswer)
				})
			})
		})
	}
}

// A listing leads nowhere but below the study.
func TestHostileListing(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	for name, series := range map[string]string{"a path": "../../../admin", "a query": "1.2?x=y", "no UID": "1..2", "a name": "Zhang^San"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				bad := file
				bad.series = series
				w.sites[0].says((&wireArchive{listed: []wireFile{bad}, files: []wireFile{file}, spoil: instead(wholeStudy, wireParts())}).answer)
				w.with(func(c *pacs.Client) {
					got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
					assert.ErrorIs(w.t, got.err, hospital.ErrUnexpectedAnswer)
				})
				for _, path := range w.sites[0].asked() {
					assert.True(w.t, strings.HasPrefix(path, "GET /studies/"+wireStudy), path)
				}
			})
		})
	}
}

func TestInstanceLargerThanAllowed(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	large := newWireFile(wireStudy, files[1].series, files[1].instance, strings.Repeat("pixels", 5000))
	body := append([]byte("--"+wireBoundary+"\r\n"+wirePartHead+"\r\n"), files[0].data...)
	for name, answer := range map[string]wireAnswer{
		"that says so":       wireSized(files[0], large, files[2]),
		"that does not":      wireParts(files[0], large, files[2]),
		"that has no end":    {media: wireMultipart, body: body, endless: repeated("pixels")},
		"that came already":  {media: wireMultipart, body: slices.Concat(wireParts(files[0]).body[:len(wireParts(files[0]).body)-len(wireClose)], wirePart(wirePartHead, files[0].data)), endless: repeated("pixels")},
		"of no end, in vain": {media: wireMultipart, framing: wireLength, body: body, endless: repeated("pixels")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				w.spoilt(files, wireLength, instead(wholeStudy, answer))
				w.with(func(c *pacs.Client) {
					got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy, MaxInstance: 10_000})
					require.ErrorIs(w.t, got.err, hospital.ErrTooLarge)
					assert.NotContains(w.t, got.order, files[1].instance)
				})
			})
		})
	}
}

// The loop may be left at any time, with answers of other series under way, and an
// instance kept beyond its turn gives an error.
func TestLoopIsLeft(t *testing.T) {
	t.Parallel()
	files := wireFiles(6, 3)
	for _, parallel := range []int{0, 3} {
		for stop := range 4 {
			t.Run(fmt.Sprint(parallel, stop), func(t *testing.T) {
				t.Parallel()
				onWire(t, 2, func(w *wire) {
					w.spoilt(files, wireChunked, nil)
					w.with(func(c *pacs.Client) {
						n, kept := 0, (*pacs.Instance)(nil)
						for in, err := range c.Retrieve(w.t.Context(), pacs.Retrieval{Study: wireStudy, Parallel: parallel}) {
							require.NoError(w.t, err)
							_, err = io.ReadFull(in.Resource, make([]byte, 10))
							require.NoError(w.t, err)
							kept = in.Resource
							if n++; n > stop {
								break
							}
						}
						_, err := io.Copy(io.Discard, kept)
						assert.Error(w.t, err, "all of an instance that was left")
					})
				})
			})
		}
	}
}
