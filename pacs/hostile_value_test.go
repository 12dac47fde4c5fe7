package pacs_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/pacs"
)

func TestHostileMetadata(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	rows := wireRows(files)
	foreign := wireRows([]wireFile{named(files[0], "2.25.5", files[0].series, files[0].instance)})
	array := func(text string) wireAnswer { return wireRaw("application/dicom+json", text) }
	for name, c := range map[string]struct {
		answer wireAnswer
		mended bool
		code   hospital.Code
	}{
		"never closed":            {array("[" + strings.Join(rows, ",")), true, hospital.ErrIncomplete},
		"nothing":                 {array(""), true, hospital.ErrIncomplete},
		"none":                    {array("[]"), false, hospital.ErrNotFound},
		"an object":               {array(`{"error":"no"}`), false, hospital.ErrUnexpectedAnswer},
		"something behind":        {array(string(wireArray(rows)) + "x"), false, hospital.ErrUnexpectedAnswer},
		"another study's":         {array(string(wireArray(append(foreign, rows...)))), false, hospital.ErrUnexpectedAnswer},
		"no UID":                  {array(`[{}]`), false, hospital.ErrUnexpectedAnswer},
		"HTML":                    {wireRaw("text/html", "<html>"), true, hospital.ErrForeignAnswer},
		"no content":              {wireAnswer{status: http.StatusNoContent}, true, hospital.ErrForeignAnswer},
		"gzip":                    {gzipped(array(string(wireArray(rows)))), true, hospital.ErrForeignAnswer},
		"objects without end":     {wireAnswer{media: "application/dicom+json", body: []byte("["), endless: repeated("{")}, false, hospital.ErrTooLarge},
		"white space without end": {wireAnswer{media: "application/dicom+json", endless: repeated(" ")}, false, hospital.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for sites := 1; sites <= 2; sites++ {
				onWire(t, sites, func(w *wire) {
					w.spoilt(files, wireLength, func(r *http.Request, a wireAnswer) wireAnswer {
						if strings.HasSuffix(r.URL.Path, "/metadata") {
							return c.answer
						}
						return a
					})
					w.with(func(client *pacs.Client) {
						seen, err := shownMetadata(w.t, client)
						if sites == 2 && c.mended {
							require.NoError(w.t, err)
							assert.Len(w.t, seen, len(files))
							return
						}
						assert.Equal(w.t, c.code, hospital.CodeOf(err), "%v", err)
					})
				})
			}
		})
	}
}

func TestHostileFrames(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	fair := wireFrames(file, "1,2,3")
	boundary := file
	boundary.frames = slices.Clone(file.frames)
	boundary.frames[1] = []byte("before\r\n--" + wireBoundary + "\r\nafter, and a long time after")
	large := file
	large.frames = [][]byte{file.frames[0], bytes.Repeat([]byte("pixels"), 200_000), file.frames[2]}
	for name, c := range map[string]struct {
		answer wireAnswer
		mended bool
		code   hospital.Code
	}{
		"fewer":                {wireFrames(file, "1,2"), false, hospital.ErrUnexpectedAnswer},
		"more":                 {wireFrames(file, "1,2,3,1"), false, hospital.ErrUnexpectedAnswer},
		"none":                 {wireRaw(fair.media, "--"+wireBoundary+"--\r\n"), false, hospital.ErrUnexpectedAnswer},
		"the boundary inside":  {wireFrames(boundary, "1,2,3"), false, hospital.ErrUnexpectedAnswer},
		"files":                {wireParts(file), true, hospital.ErrForeignAnswer},
		"HTML":                 {wireRaw("text/html", "<html>"), true, hospital.ErrForeignAnswer},
		"no content":           {wireAnswer{status: http.StatusNoContent}, true, hospital.ErrForeignAnswer},
		"gzip":                 {gzipped(fair), true, hospital.ErrForeignAnswer},
		"no such frame":        {wireAnswer{status: http.StatusBadRequest, body: []byte(wireStudy)}, false, hospital.ErrRefused},
		"one too large":        {wireFrames(large, "1,2,3"), false, hospital.ErrTooLarge},
		"parts without end":    {wireAnswer{media: fair.media, body: fair.body[:len(fair.body)-len(wireClose)], endless: repeated(string(wirePart("", nil)))}, false, hospital.ErrUnexpectedAnswer},
		"one without end":      {wireAnswer{media: fair.media, body: wirePart("", nil)[2:], endless: repeated("pixels\r\n")}, false, hospital.ErrTooLarge},
		"an epilogue, endless": {wireAnswer{media: fair.media, body: fair.body, endless: repeated("x")}, false, hospital.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for sites := 1; sites <= 2; sites++ {
				onWire(t, sites, func(w *wire) {
					w.spoilt([]wireFile{file}, wireLength, func(r *http.Request, a wireAnswer) wireAnswer {
						if strings.Contains(r.URL.Path, "/frames/") {
							return c.answer
						}
						return a
					})
					w.with(func(client *pacs.Client) {
						got, err := shownFrames(w.t, client, file, 1, 2, 3) // which compares the bytes
						if sites == 2 && c.mended {
							require.NoError(w.t, err)
							assert.Equal(w.t, []int{1, 2, 3}, got)
							return
						}
						assert.Equal(w.t, c.code, hospital.CodeOf(err), "%v", err)
					})
				})
			}
		})
	}
}

// A value is asked of the archive that has it, whole or not at all.
func TestHostileBulkData(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	value := strings.Repeat("value", 20)
	fair := wireAnswer{
		media: `multipart/related; type="application/octet-stream"; boundary=` + wireBoundary,
		body:  append(wirePart("Content-Type: application/octet-stream\r\n", []byte(value)), wireClose...)[2:],
	}
	onWire(t, 1, func(w *wire) {
		for n := range len(fair.body) + 1 {
			w.spoilt([]wireFile{file}, wireLength, func(r *http.Request, a wireAnswer) wireAnswer {
				if strings.HasSuffix(r.URL.Path, "/bulk/1") {
					return fair.framed(wireClosing).until(n)
				}
				return a
			})
			w.with(func(c *pacs.Client) {
				for d, err := range c.Metadata(w.t.Context(), wireStudy, "", "") {
					require.NoError(w.t, err)
					require.Equal(w.t, file.instance, d.Resource.Text(dicomweb.TagSOPInstanceUID))
					got, err := "", error(nil)
					for b, failure := range c.BulkData(w.t.Context(), d, "bulk/1") {
						err = failure
						got += string(b.Resource.Data)
					}
					if err == nil && got != value {
						w.t.Errorf("cut at %d: success with %d bytes", n, len(got))
					}
					if err != nil {
						assert.ErrorIs(w.t, err, hospital.ErrUnavailable)
					}
				}
			})
		}
	})
}
