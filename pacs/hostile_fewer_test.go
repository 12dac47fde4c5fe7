package pacs_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

// An instance that came since the list was made breaks off and nobody has the rest.
// Without the fix this never ends, whatever ctx says.
func TestUnlistedInstanceIsCut(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	onWire(t, 1, func(w *wire) {
		whole := wireParts(files...)
		cut := whole.framed(wireClosing).until(len(whole.body) - len(wireClose) - 5)
		w.sites[0].says((&wireArchive{files: files, listed: files[:2], spoil: func(r *http.Request, a wireAnswer) wireAnswer {
			switch {
			case wholeStudy(r):
				return cut
			case single(r):
				return wireAnswer{status: http.StatusNotFound}
			}
			return a
		}}).answer)
		w.with(func(c *pacs.Client) {
			got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
			require.ErrorIs(w.t, got.err, hospital.ErrIncomplete)
			got.named(w.t, []string{files[2].instance}, "")
		})
	})
}

// Nor does this.
func TestReadOfNothing(t *testing.T) {
	t.Parallel()
	onWire(t, 1, func(w *wire) {
		w.spoilt(wireFiles(1, 1), wireLength, nil)
		w.with(func(c *pacs.Client) {
			for in, err := range c.Retrieve(w.t.Context(), pacs.Retrieval{Study: wireStudy}) {
				require.NoError(w.t, err)
				n, err := in.Resource.Read(nil)
				require.NoError(w.t, err)
				assert.Zero(w.t, n)
			}
		})
	})
}

// One study with images of two patients, at an archive whose list names nobody.
func TestStudyOfTwoPatients(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	files[0], files[1] = ofPatient(files[0], "100", "A"), ofPatient(files[1], "200", "A")
	onWire(t, 1, func(w *wire) {
		w.spoilt(files, wireLength, nil)
		w.with(func(c *pacs.Client) {
			assert.ErrorIs(w.t, wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).err, hospital.ErrUnexpectedAnswer)
		})
	})
}

// Metadata of a copy that has fewer than were listed.
func TestMetadataOfFewer(t *testing.T) {
	t.Parallel()
	files := wireFiles(5, 1)
	onWire(t, 2, func(w *wire) {
		row := len(wireRows(files)[0])
		w.sites[0].says((&wireArchive{files: files, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
			if strings.HasSuffix(r.URL.Path, "/metadata") {
				return a.until(2*row + 10)
			}
			return a
		}}).answer)
		w.sites[1].says((&wireArchive{files: files[:1]}).answer)
		w.with(func(c *pacs.Client) {
			var last error
			for _, err := range c.Metadata(w.t.Context(), wireStudy, "", "") {
				last = err
			}
			require.ErrorIs(w.t, last, hospital.ErrIncomplete)
		})
	})
}

// A value of no part, or one that ends with its connection.
func TestBulkDataThatIsNotWhole(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]wireAnswer{
		"no part": wireRaw(`multipart/related; type="application/octet-stream"; boundary=`+wireBoundary, "--"+wireBoundary+"--\r\n"),
		"cut":     wireRaw("application/octet-stream", "01234567").framed(wireClosing).until(4),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				w.spoilt(wireFiles(1, 1), wireLength, instead(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/bulk/") }, answer))
				w.with(func(c *pacs.Client) {
					for d, err := range c.Metadata(w.t.Context(), wireStudy, wireStudy+".1", wireStudy+".9.1") {
						require.NoError(w.t, err)
						var last error
						for _, err := range c.BulkData(w.t.Context(), d, "../bulk/7fe00010") {
							last = err
						}
						assert.Error(w.t, last)
					}
				})
			})
		})
	}
}

// The answer broke off behind what had been listed, and more was in it.
func TestCutBehindWhatWasListed(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 1)
	onWire(t, 2, func(w *wire) {
		two, grown := len(wireParts(files[:2]...).body)-len(wireClose)+8, false
		w.sites[0].says(func(r *http.Request) wireAnswer {
			grown = grown || wholeStudy(r)
			a := &wireArchive{files: files, spoil: instead(wholeStudy, wireParts(files...).framed(wireClosing).until(two))}
			if !grown {
				a.listed = files[:2]
			}
			return a.answer(r)
		})
		w.sites[1].says((&wireArchive{files: files}).answer)
		w.with(func(c *pacs.Client) { wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files, "") })
	})
}
