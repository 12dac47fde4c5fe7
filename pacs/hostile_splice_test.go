package pacs_test

import (
	"bytes"
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

// What is continued at another site must be the same file.

// wholeStudy is the request for all of the study.
func wholeStudy(r *http.Request) bool {
	return wireIsInstances(r) && strings.HasSuffix(r.URL.Path, "/studies/"+wireStudy)
}

// single is the request for one instance.
func single(r *http.Request) bool {
	return wireIsInstances(r) && strings.Contains(r.URL.Path, "/instances/")
}

// instead is another answer to some requests.
func instead(which func(*http.Request) bool, a wireAnswer) func(*http.Request, wireAnswer) wireAnswer {
	return func(r *http.Request, fair wireAnswer) wireAnswer {
		if which(r) {
			return a
		}
		return fair
	}
}

func TestCutTwice(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	study, one := len(wireParts(files...).body), len(wireParts(files[0]).body)
	onWire(t, 2, func(w *wire) {
		for first := 3; first < study; first += 61 {
			for second := 1; second < one; second += 43 {
				w.spoilt(files, wireClosing, instead(wholeStudy, wireParts(files...).framed(wireClosing).until(first)))
				left := 1 // the resumed one, once
				w.sites[1].says((&wireArchive{files: files, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
					if single(r) && left > 0 {
						left--
						return a.framed(wireClosing).until(second)
					}
					return a
				}}).answer)
				w.with(func(c *pacs.Client) {
					at := fmt.Sprint("cut at ", first, " and ", second)
					got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
					got.all(w.t, files, at)
				})
			}
		}
	})
}

// Every answer of both sites is cut, at different bytes: each instance moves on a little
// until tries are used up, and then it is said what is missing.
func TestCutEverywhere(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	onWire(t, 2, func(w *wire) {
		for n := 10; n < len(wireParts(files[0]).body)-20; n += 37 {
			for i, s := range w.sites {
				s.says((&wireArchive{files: files, spoil: cutAt(n + 7*i)}).answer)
			}
			w.with(func(c *pacs.Client) {
				got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
				require.ErrorIs(w.t, got.err, hospital.ErrIncomplete)
				got.sound(w.t, files, fmt.Sprint("cut at ", n))
				assert.Empty(w.t, got.order)
			})
		}
	})
}

func TestOtherCopyIsNeverSpliced(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	other := file
	other.data = bytes.Replace(file.data, []byte("pixels"), []byte("PIXELS"), 1)
	where := bytes.Index(file.data, []byte("pixels"))
	body := wireParts(file).body
	start := bytes.Index(body, file.data)
	onWire(t, 2, func(w *wire) {
		for n := start; n < len(body)-len(wireClose); n += 3 {
			w.spoilt([]wireFile{file}, wireClosing, cutAt(n))
			w.sites[1].says((&wireArchive{files: []wireFile{other}}).answer)
			w.with(func(c *pacs.Client) {
				got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
				if n <= start+where { // nothing that differs was read: it is the other one, whole
					if got.err != nil || !bytes.Equal(got.whole[file.instance], other.data) {
						w.t.Errorf("cut at %d: %v", n, got.err)
					}
					return
				}
				if len(got.whole) != 0 {
					w.t.Errorf("cut at %d: spliced", n)
				}
				assert.ErrorIs(w.t, got.err, hospital.ErrIncomplete)
			})
		}
	})
}

// A copy that is shorter than what was read differs.
func TestShorterCopyIsNeverSpliced(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 40))
	short := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", "pixels")
	onWire(t, 2, func(w *wire) {
		w.spoilt([]wireFile{file}, wireClosing, cutAt(len(wireParts(file).body)-60))
		w.sites[1].says((&wireArchive{files: []wireFile{short}}).answer)
		w.with(func(c *pacs.Client) {
			got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
			require.ErrorIs(w.t, got.err, hospital.ErrIncomplete)
			assert.Empty(w.t, got.order)
		})
	})
}

// The answer that should continue an instance is nonsense. What was read must not be
// taken for the file.
func TestContinuedWithNonsense(t *testing.T) {
	t.Parallel()
	file, stranger := wireFiles(1, 1)[0], newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.77", "pixels of 0")
	foreign := newWireFile("2.25.5", wireStudy+".1", file.instance, "pixels of 0")
	moved := newWireFile(wireStudy, wireStudy+".2", file.instance, "pixels of 0")
	n := bytes.Index(wireParts(file).body, file.data) + len(file.data) - 4
	text := wireParts(wireFile{data: []byte(strings.Repeat("no DICOM file at all ", 40))})
	empty := wireAnswer{media: wireMultipart, body: []byte("--" + wireBoundary + "--\r\n")}
	more := wireParts(file, file)
	for name, c := range map[string]struct {
		answer wireAnswer
		code   hospital.Code
	}{
		"an empty answer":            {empty, hospital.ErrUnexpectedAnswer},
		"another instance":           {wireParts(stranger), hospital.ErrUnexpectedAnswer},
		"another study's":            {wireParts(foreign), hospital.ErrUnexpectedAnswer},
		"another series'":            {wireParts(moved), hospital.ErrUnexpectedAnswer},
		"two":                        {more, hospital.ErrUnexpectedAnswer},
		"no DICOM":                   {text, hospital.ErrUnexpectedAnswer},
		"nothing, of no length":      {wireAnswer{media: wireMultipart}.framed(wireClosing), hospital.ErrIncomplete},
		"a page of HTML":             {wireAnswer{media: "text/html", body: []byte("<html>")}, hospital.ErrIncomplete},
		"not found":                  {wireAnswer{status: http.StatusNotFound}, hospital.ErrIncomplete},
		"gone":                       {wireAnswer{status: http.StatusGone}, hospital.ErrIncomplete},
		"forbidden":                  {wireAnswer{status: http.StatusForbidden}, hospital.ErrIncomplete},
		"a failure":                  {wireAnswer{status: http.StatusInternalServerError}, hospital.ErrIncomplete},
		"a part of it":               {wireAnswer{status: http.StatusPartialContent, media: wireMultipart, body: wireParts(file).body}, hospital.ErrIncomplete},
		"no content":                 {wireAnswer{status: http.StatusNoContent}, hospital.ErrIncomplete},
		"a broken connection":        {wireAnswer{drop: true}, hospital.ErrIncomplete},
		"a header without end":       {wireAnswer{media: wireMultipart, body: []byte("--" + wireBoundary + "\r\nX: "), endless: repeated("x")}, hospital.ErrTooLarge},
		"something behind one":       {wireAnswer{media: wireMultipart, body: []byte("--" + wireBoundary + "--\r\n"), endless: repeated("x")}, hospital.ErrUnexpectedAnswer},
		"a boundary that is not one": {wireAnswer{media: `multipart/related; type="application/dicom"`, body: wireParts(file).body}, hospital.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				w.sites[0].says((&wireArchive{files: []wireFile{file}, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
					switch {
					case wholeStudy(r):
						return a.framed(wireClosing).until(n)
					case single(r):
						return c.answer
					}
					return a
				}}).answer)
				w.sites[1].says((&wireArchive{files: []wireFile{file}, spoil: instead(single, c.answer)}).answer)
				w.with(func(client *pacs.Client) {
					got := wireFetch(w.t, client, pacs.Retrieval{Study: wireStudy})
					assert.Empty(w.t, got.order, "bytes of which nobody said that they are all")
					require.Error(w.t, got.err)
					assert.Equal(w.t, c.code, hospital.CodeOf(got.err), "%v", got.err)
				})
			})
		})
	}
}

// repeated never ends.
func repeated(text string) func(io.Writer) {
	block := bytes.Repeat([]byte(text), 4096/len(text)+1)
	return func(w io.Writer) {
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

// What dc-1 loses on the way dc-2 lacks: it is asked for once more where it came from.
func TestOtherSiteLacksAnInstance(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 2)
	for _, lacking := range []int{0, 1, 3} {
		for name, back := range map[string]bool{"and dc-1 has it": true, "and nobody has it": false} {
			t.Run(fmt.Sprint(lacking, " ", name), func(t *testing.T) {
				t.Parallel()
				onWire(t, 2, func(w *wire) {
					n := bytes.Index(wireParts(files...).body, files[1].data) + 200
					w.spoilt(files, wireLength, func(r *http.Request, a wireAnswer) wireAnswer {
						switch {
						case wholeStudy(r):
							return a.until(n)
						case single(r) && !back && strings.HasSuffix(r.URL.Path, files[lacking].instance):
							return wireAnswer{status: http.StatusNotFound}
						}
						return a
					})
					without := slices.Concat(files[:lacking], files[lacking+1:])
					w.sites[1].says((&wireArchive{files: without, listed: files}).answer)
					w.with(func(c *pacs.Client) {
						got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
						if back || lacking == 0 { // the first came before the cut
							got.all(w.t, files, name)
							return
						}
						require.ErrorIs(w.t, got.err, hospital.ErrIncomplete)
						got.sound(w.t, files, name)
						assert.NotEmpty(w.t, got.order)
					})
				})
			})
		}
	}
}

// An instance that nobody has says nothing of the others, which are fetched.
func TestWhatNobodyHasIsNamed(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 2)
	onWire(t, 2, func(w *wire) {
		for _, s := range w.sites {
			s.says((&wireArchive{files: slices.Concat(files[:1], files[2:]), listed: files, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
				if wholeStudy(r) {
					return wireParts(files[0])
				}
				return a
			}}).answer)
		}
		w.with(func(c *pacs.Client) {
			got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
			var e *pacs.MissingError
			require.ErrorAs(w.t, got.err, &e)
			assert.Equal(w.t, []string{files[1].instance}, e.Instances)
			assert.ElementsMatch(w.t, []string{files[0].instance, files[2].instance, files[3].instance}, got.order)
		})
	})
}

// A site that breaks every answer is not asked again and again while another is well.
func TestTheOtherSiteIsAskedFirst(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	onWire(t, 2, func(w *wire) {
		w.spoilt(files, wireClosing, cutAt(300))
		w.with(func(c *pacs.Client) {
			wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files, "")
		})
		for _, path := range w.sites[0].asked() {
			assert.NotContains(w.t, path, "/instances/", "asked again for what it broke")
		}
	})
}

// An instance whose answer broke off before its first byte is asked for elsewhere; what
// is nonsense there is let go of.
func TestBrokenThenNonsense(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	stranger := wireParts(newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.77", "pixels"))
	for name, answer := range map[string]wireAnswer{
		"a line without end":  {media: wireMultipart, endless: repeated("x")},
		"another, and no end": {media: wireMultipart, body: stranger.body[:len(stranger.body)-len(wireClose)], endless: repeated("x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				w.sites[0].says((&wireArchive{files: files, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
					if single(r) {
						return answer
					}
					return cutAt(50)(r, a)
				}}).answer)
				w.sites[1].says((&wireArchive{files: files, framing: wireClosing, spoil: cutAt(50)}).answer)
				w.with(func(c *pacs.Client) {
					got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
					require.Contains(w.t, []hospital.Code{hospital.ErrUnexpectedAnswer, hospital.ErrTooLarge}, hospital.CodeOf(got.err))
					assert.Empty(w.t, got.order)
				})
			})
		})
	}
}

// Compression would hide where an answer was cut.
func TestNothingIsCompressed(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	onWire(t, 1, func(w *wire) {
		w.spoilt(files, wireLength, func(r *http.Request, a wireAnswer) wireAnswer {
			if !strings.HasSuffix(r.URL.Path, "/instances") && r.Header.Get("Accept-Encoding") != "identity" {
				return wireAnswer{status: http.StatusNotAcceptable}
			}
			return a
		})
		w.with(func(c *pacs.Client) {
			wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy}).all(w.t, files, "")
			_, err := shownMetadata(w.t, c)
			require.NoError(w.t, err)
			_, err = shownFrames(w.t, c, files[0], 1)
			require.NoError(w.t, err)
			assert.Equal(w.t, 1, w.sites[0].opened, "connections are kept")
			for _, path := range w.sites[0].asked() {
				assert.NotContains(w.t, path, "/instances/"+files[1].instance, "asked for one by one")
			}
		})
	})
}
