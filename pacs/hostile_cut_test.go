package pacs_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/pacs"
)

// An answer that ends early must never look like a whole one, at whatever byte it ends
// and however it was framed.

// cutAt spoils answers: each ends after n bytes.
func cutAt(n int) func(*http.Request, wireAnswer) wireAnswer {
	return func(r *http.Request, a wireAnswer) wireAnswer {
		if !strings.HasSuffix(r.URL.Path, "/instances") && n < len(a.body) {
			return a.until(n)
		}
		return a
	}
}

// everyCut plays one scene per framing and byte of an answer; of the framings whose ends
// tell, step bytes at a time.
func everyCut(t *testing.T, sites, bytes, step int, play func(w *wire, f wireFraming, n int)) {
	t.Helper()
	for _, f := range wireFramings {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			onWire(t, sites, func(w *wire) {
				for n := 0; n < bytes; n++ {
					if f == wireClosing || n%step == 0 {
						play(w, f, n)
					}
				}
			})
		})
	}
}

// spoilt lets dc-1 be as spoil makes it, and dc-2, if there is one, well.
func (w *wire) spoilt(files []wireFile, f wireFraming, spoil func(*http.Request, wireAnswer) wireAnswer) {
	w.sites[0].says((&wireArchive{files: files, framing: f, spoil: spoil}).answer)
	if len(w.sites) > 1 {
		w.sites[1].says((&wireArchive{files: files, framing: f}).answer)
	}
}

func TestStudyCutAtEveryByteIsMadeWhole(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	everyCut(t, 2, len(wireParts(files...).body), 1, func(w *wire, f wireFraming, n int) {
		w.spoilt(files, f, cutAt(n))
		w.with(func(c *pacs.Client) {
			got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
			got.all(w.t, files, fmt.Sprint("cut at ", n))
		})
	})
}

func TestStudyCutAtEveryByteIsNoSuccess(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	for name, rest := range map[string]wireAnswer{
		"and the site is dead": {drop: true}, "and it refuses": {status: http.StatusInternalServerError}, "as is every answer": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyCut(t, 1, len(wireParts(files...).body), 9, func(w *wire, f wireFraming, n int) {
				if !rest.drop && n%4 != 0 {
					return
				}
				broken := cutAt(n)
				w.spoilt(files, f, func(r *http.Request, a wireAnswer) wireAnswer {
					if strings.Contains(r.URL.Path, "/instances/") && (rest.drop || rest.status != 0) {
						return rest
					}
					return broken(r, a)
				})
				w.with(func(c *pacs.Client) {
					got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
					got.sound(w.t, files, fmt.Sprint("cut at ", n))
				})
			})
		})
	}
}

func TestSeriesBesideEachOtherCutAtEveryByte(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 3)
	for sites := 1; sites <= 2; sites++ {
		t.Run(fmt.Sprint(sites), func(t *testing.T) {
			t.Parallel()
			onWire(t, sites, func(w *wire) {
				for n := 0; n < len(wireParts(files[0]).body); n += 5 - 2*sites {
					w.spoilt(files, wireClosing, cutAt(n))
					w.with(func(c *pacs.Client) {
						got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy, Parallel: 3})
						switch {
						case sites == 2:
							got.all(w.t, files, fmt.Sprint("cut at ", n))
							assert.Equal(w.t, []string{files[0].instance, files[1].instance, files[2].instance}, got.order)
						default:
							got.sound(w.t, files, fmt.Sprint("cut at ", n))
						}
					})
				}
			})
		})
	}
}

// One series of three is cut, and nobody has the rest: those that came are kept, and what
// is missing is named, whatever was asked for beside it.
func TestSeriesBesideEachOtherOneLost(t *testing.T) {
	t.Parallel()
	files := wireFiles(6, 3)
	for lost := range 3 {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				gone := func(r *http.Request, a wireAnswer) wireAnswer {
					if strings.Contains(r.URL.Path, "/series/"+files[2*lost].series) {
						return wireAnswer{status: http.StatusInternalServerError}
					}
					return a
				}
				for _, s := range w.sites {
					s.says((&wireArchive{files: files, spoil: gone}).answer)
				}
				w.with(func(c *pacs.Client) {
					got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy, Parallel: 3})
					require.ErrorIs(w.t, got.err, hospital.ErrUnavailable)
					got.sound(w.t, files, "")
					assert.Len(w.t, got.order, 2*lost, "what came before it")
				})
			})
		})
	}
}

func TestInstanceCutAtEveryByte(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	one := pacs.Retrieval{Study: file.study, Series: file.series, Instance: file.instance}
	for sites := 1; sites <= 2; sites++ {
		t.Run(fmt.Sprint(sites), func(t *testing.T) {
			t.Parallel()
			everyCut(t, sites, len(wireParts(file).body), 9, func(w *wire, f wireFraming, n int) {
				w.spoilt([]wireFile{file}, f, cutAt(n))
				w.with(func(c *pacs.Client) {
					got := wireFetch(w.t, c, one)
					switch {
					case sites == 2:
						got.all(w.t, []wireFile{file}, fmt.Sprint("cut at ", n))
					default:
						got.sound(w.t, []wireFile{file}, fmt.Sprint("cut at ", n))
					}
				})
			})
		})
	}
}

func TestMetadataCutAtEveryByte(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	for sites := 1; sites <= 2; sites++ {
		t.Run(fmt.Sprint(sites), func(t *testing.T) {
			t.Parallel()
			everyCut(t, sites, len(wireArray(wireRows(files))), 9, func(w *wire, f wireFraming, n int) {
				w.spoilt(files, f, cutAt(n))
				w.with(func(c *pacs.Client) {
					seen, err := shownMetadata(w.t, c)
					if sites == 1 && err != nil {
						assert.ErrorIs(w.t, err, hospital.ErrUnavailable)
						return
					}
					if err != nil || len(seen) != len(files) {
						w.t.Errorf("cut at %d: %d of %d, %v", n, len(seen), len(files), err)
					}
				})
			})
		})
	}
}

func shownMetadata(t *testing.T, c *pacs.Client) (map[string]bool, error) {
	t.Helper()
	seen := map[string]bool{}
	for d, err := range c.Metadata(t.Context(), wireStudy, "", "") {
		if err != nil {
			wireSilent(t, err)
			return seen, err
		}
		uid := d.Resource.Text(dicomweb.TagSOPInstanceUID)
		if seen[uid] {
			t.Error("a data set was shown twice")
		}
		seen[uid] = true
	}
	return seen, nil
}

func TestFramesCutAtEveryByte(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	for sites := 1; sites <= 2; sites++ {
		t.Run(fmt.Sprint(sites), func(t *testing.T) {
			t.Parallel()
			everyCut(t, sites, len(wireFrames(file, "3,1,2").body), 9, func(w *wire, f wireFraming, n int) {
				w.spoilt([]wireFile{file}, f, cutAt(n))
				w.with(func(c *pacs.Client) {
					got, err := shownFrames(w.t, c, file, 3, 1, 2)
					if sites == 1 && err != nil {
						assert.ErrorIs(w.t, err, hospital.ErrUnavailable, "cut at %d", n)
						return
					}
					if err != nil || fmt.Sprint(got) != "[3 1 2]" {
						w.t.Errorf("cut at %d: %v, %v", n, got, err)
					}
				})
			})
		})
	}
}

// shownFrames are the numbers of the frames that came, each with its own bytes.
func shownFrames(t *testing.T, c *pacs.Client, f wireFile, numbers ...int) (got []int, err error) {
	t.Helper()
	for b, err := range c.Frames(t.Context(), f.study, f.series, f.instance, numbers) {
		if err != nil {
			wireSilent(t, err)
			return got, err
		}
		if !bytes.Equal(b.Resource.Data, f.frames[b.Resource.Frame-1]) {
			t.Errorf("frame %d has other bytes", b.Resource.Frame)
		}
		got = append(got, b.Resource.Frame)
	}
	return got, nil
}
