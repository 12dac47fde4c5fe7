package pacs_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

// dc-1 says how long the file is and is lost in it; dc-2's copy begins with the same bytes
// and is shorter: half of a replication. What comes is not the file that dc-1 announced.
func TestCopyOfAnotherLengthIsNeverSpliced(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 400))
	for name, n := range map[string]int{"shorter": len(file.data) - 600, "longer": len(file.data) + 600} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := file
			other.data = append(bytes.Clone(file.data), bytes.Repeat([]byte("x"), 600)...)[:n]
			for answer, copied := range map[string]func(...wireFile) wireAnswer{"sized": wireSized, "searched": wireParts} {
				onWire(t, 2, func(w *wire) {
					w.sites[0].says((&wireArchive{files: []wireFile{file}, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
						if wireIsInstances(r) {
							return wireSized(file).until(1000)
						}
						return a
					}}).answer)
					w.sites[1].says((&wireArchive{files: []wireFile{other}, spoil: func(r *http.Request, a wireAnswer) wireAnswer {
						if wireIsInstances(r) {
							return copied(other)
						}
						return a
					}}).answer)
					w.with(func(c *pacs.Client) {
						got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
						assert.Empty(w.t, got.order, answer)
						assert.ErrorIs(w.t, got.err, hospital.ErrIncomplete, answer)
					})
				})
			}
		})
	}
}

// A modality that numbers anew in each series, or a copy of an image in a second series: the
// archive lists both and sends both. Neither may be missing without a word.
func TestOneInstanceUIDInTwoSeries(t *testing.T) {
	t.Parallel()
	one := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", "the left knee")
	two := newWireFile(wireStudy, wireStudy+".2", wireStudy+".9.1", "the right knee")
	for _, parallel := range []int{0, 2} {
		onWire(t, 1, func(w *wire) {
			w.spoilt([]wireFile{one, two}, wireLength, nil)
			w.with(func(c *pacs.Client) {
				came := map[string]bool{}
				var last error
				for in, err := range c.Retrieve(w.t.Context(), pacs.Retrieval{Study: wireStudy, Parallel: parallel}) {
					if last = err; err == nil {
						data, _ := io.ReadAll(in.Resource)
						came[string(data)] = true
					}
				}
				assert.True(w.t, last != nil || (came[string(one.data)] && came[string(two.data)]), "retrieved %d of 2 without an error", len(came))
				listed := 0
				for _, err := range c.Instances(w.t.Context(), wireStudy, "") {
					if last = err; err == nil {
						listed++
					}
				}
				assert.True(w.t, last != nil || listed == 2, "listed %d of 2 without an error", listed)
				listed = 0
				for _, err := range c.Metadata(w.t.Context(), wireStudy, "", "") {
					if last = err; err == nil {
						listed++
					}
				}
				assert.True(w.t, last != nil || listed == 2, "metadata of %d of 2 without an error", listed)
			})
		})
	}
}

// Only a copy that lags can be asked, and does not have the study yet: that is not the word
// that there is none.
func TestNothingAtACopyIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, nothing := range map[string]wireAnswer{
		"an empty list": wireJSON(), "no content": {status: http.StatusNoContent}, "not found": {status: http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				w.change = func(cfg *hospital.Config) {
					d := &cfg.Topology
					d.Stores = append(d.Stores, campus.Store{ID: "pacs-dr", ReplicaOf: "pacs", Lag: time.Minute})
					d.Endpoints[1].Store, d.Endpoints[1].Readable = "pacs-dr", true
					d.DataCenters[1].Role = campus.Standby
				}
				w.sites[0].says(func(*http.Request) wireAnswer { return wireAnswer{drop: true} })
				w.sites[1].says(func(*http.Request) wireAnswer { return nothing })
				w.with(func(c *pacs.Client) {
					_, err := found(w, c, hisStudies)
					require.Error(w.t, err, "no studies, says a copy")
					got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
					require.Error(w.t, got.err)
					require.NotErrorIs(w.t, got.err, hospital.ErrNotFound)
					for _, err := range c.Series(w.t.Context(), wireStudy) {
						assert.NotErrorIs(w.t, err, hospital.ErrNotFound)
					}
				})
			})
		})
	}
}

// As TestStudyOfTwoPatients, of the metadata: the list names nobody, the data sets do.
func TestMetadataOfTwoPatients(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	onWire(t, 1, func(w *wire) {
		w.spoilt(files, wireLength, func(r *http.Request, a wireAnswer) wireAnswer {
			if strings.HasSuffix(r.URL.Path, "/metadata") {
				for i, id := range []string{"100", "200"} {
					sop := fmt.Sprintf(`"00080018":{"vr":"UI","Value":[%q]}`, files[i].instance)
					a = bytesReplaced(a, sop, sop+fmt.Sprintf(`,"00100020":{"vr":"LO","Value":[%q]}`, id))
				}
			}
			return a
		})
		w.with(func(c *pacs.Client) {
			var last error
			for _, err := range c.Metadata(w.t.Context(), wireStudy, "", "") {
				last = err
			}
			require.ErrorIs(w.t, last, hospital.ErrUnexpectedAnswer)
		})
	})
}

// A part that is no file, then one that is continued elsewhere, in which the loop is left.
func TestLoopIsLeftInWhatWasContinued(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	onWire(t, 2, func(w *wire) {
		bad := wireParts(wireFile{data: []byte(strings.Repeat("no DICOM file at all ", 40))}, files[1], files[2])
		n := bytes.Index(bad.body, files[1].data) + len(files[1].data) - 4
		w.spoilt(files, wireLength, instead(wholeStudy, bad.until(n)))
		w.with(func(c *pacs.Client) {
			require.NotPanics(w.t, func() {
				for in, err := range c.Retrieve(w.t.Context(), pacs.Retrieval{Study: wireStudy}) {
					require.NoError(w.t, err)
					_, err = io.ReadAll(in.Resource)
					require.NoError(w.t, err)
					break
				}
			})
		})
	})
}

// The archive matched and does not show what it matched by; and a space is a space, as it
// is pasted from a page. Nothing may be left out without a word.
func TestWhatIsFoundIsNotLeftOut(t *testing.T) {
	t.Parallel()
	his := hisStudy
	his.uid, his.name = wireStudy, "Zhang^San=张^三"
	for name, c := range map[string]struct {
		row  wireStudyRow
		q    pacs.StudyQuery
		want bool // else an error
	}{
		"no description":     {his, pacs.StudyQuery{Patient: wirePatient, Description: "*CHEST*"}, false},
		"a space":            {his, pacs.StudyQuery{Name: "Zhang San"}, true},
		"a no-break space":   {his, pacs.StudyQuery{Name: "Zhang\u00a0San"}, true},
		"a tab":              {his, pacs.StudyQuery{Name: "Zhang\tSan"}, true},
		"a space at the end": {his, pacs.StudyQuery{Name: "Zhang\u00a0"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			searching(t, func(r *http.Request) wireAnswer { return wirePage(r, []string{c.row.String()}) }, c.q, func(t *testing.T, _ *wire, uids []string, err error) {
				t.Helper()
				if c.want {
					require.NoError(t, err)
					assert.Len(t, uids, 1)
					return
				}
				require.Error(t, err)
			})
		})
	}
}
