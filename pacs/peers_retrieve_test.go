package pacs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/pacs"
)

// A study, its series, one instance: the same bytes whatever is asked for, in whatever
// order they come.
func peerStudy(t *testing.T, p peers) {
	study, files, want := peerStudyFiles(12, peerImage{})
	for _, base := range p {
		newPeerArchive(t, base).feed(t, files...)
	}
	a := newPeerArchive(t, p[0], p[1])
	a.has(t, study, want)
	a.counts(t, study, 12)
	parallel, err := a.retrieve(t, pacs.Retrieval{Study: study, Parallel: 3})
	require.NoError(t, err)
	assert.True(t, peerEqual(want, parallel))
	bySeries := peerSums{}
	for found, err := range a.Instances(t.Context(), study, "") {
		require.NoError(t, err)
		in := found.Resource
		one, err := a.retrieve(t, pacs.Retrieval{Study: study, Series: in.Series, Instance: in.UID})
		require.NoError(t, err)
		assert.True(t, peerEqual(peerSums{in.UID: want[in.UID]}, one))
	}
	for found, err := range a.Series(t.Context(), study) {
		require.NoError(t, err)
		part, err := a.retrieve(t, pacs.Retrieval{Study: study, Series: found.Resource.UID})
		require.NoError(t, err)
		assert.Len(t, part, 6)
		for uid, sum := range part {
			bySeries[uid] = sum
		}
	}
	assert.True(t, peerEqual(want, bySeries))
}

// Frames in any order, and twice; each as it is in the file. The values that stand
// apart from a data set are those of the file.
func peerFrames(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	im := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: peerID(), frames: 5}
	a.feed(t, im.bytes())
	values := im.values()
	for _, list := range [][]int{{1}, {5}, {3, 1, 2}, {2, 2}, {1, 2, 3, 4, 5}} {
		var got []int
		for found, err := range a.Frames(t.Context(), im.study, im.series, im.instance, list) {
			require.NoError(t, err)
			b := found.Resource
			got = append(got, b.Frame)
			assert.Equal(t, values[(b.Frame-1)*512:b.Frame*512], b.Data, "frame %d", b.Frame)
			assert.Equal(t, "application/octet-stream", b.MediaType)
		}
		assert.Equal(t, list, got)
	}
	err := errorOf(a.Frames(t.Context(), im.study, im.series, im.instance, []int{1, 6}))
	assert.Equal(t, hospital.ErrRefused, peerTyped(t, err, im.study))
	for _, media := range []string{"", "image/png", "image/jpeg"} {
		for _, frame := range []int{0, 1, 5} {
			found, err := a.Rendered(t.Context(), pacs.Rendering{Study: im.study, Series: im.series, Instance: im.instance, Frame: frame, MediaType: media})
			require.NoError(t, err)
			assert.NotEmpty(t, found.Resource.Data)
		}
	}
	_, err = a.Rendered(t.Context(), pacs.Rendering{Study: im.study, Series: im.series, Instance: im.instance, Frame: 6})
	assert.Equal(t, hospital.ErrRefused, peerTyped(t, err, im.study))
}

// The server writes its own address into the URIs of bulk data. Where that is not an
// address of the endpoint, they are not followed.
func peerBulkElsewhere(t *testing.T, p peers) {
	im := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: peerID()}
	newPeerArchive(t, p[0]).feed(t, im.bytes())
	for _, c := range []struct {
		what string
		a    *peerArchive
		want hospital.Code
	}{
		{"its own address", newPeerArchive(t, p[0]), ""},
		{"another's", newPeerArchive(t, newDoor(t, p[0]).base), hospital.ErrUnexpectedAnswer},
	} {
		t.Run(c.what, func(t *testing.T) {
			set, err := peerFirst(c.a.Metadata(t.Context(), im.study, im.series, im.instance))
			require.NoError(t, err)
			bulk, err := peerFirst(c.a.BulkData(t.Context(), set, set.Resource[pixelsTag].BulkDataURI))
			assert.Equal(t, c.want, hospital.CodeOf(err))
			assert.Equal(t, c.want == "", string(bulk.Resource.Data) == string(im.values()))
		})
	}
}

// A site that is lost anywhere in a study: the other one brings the rest. Without it
// the error names what is missing.
func peerSiteDiesInRetrieval(t *testing.T, p peers) {
	study, files, want := peerStudyFiles(8, peerImage{side: 64})
	for _, base := range p {
		newPeerArchive(t, base).feed(t, files...)
	}
	whole := len(files) * len(files[0])
	request := "GET /dicom-web/studies/" + study
	for _, at := range []int{0, 1, 100, 300, 2000, whole / 3, whole / 2, whole, whole + 1200} {
		for _, forGood := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d bytes, for good %v", at, forGood), func(t *testing.T) {
				t.Parallel()
				d := newDoor(t, p[0])
				d.breakAt(breach{request: request, up: -1, down: at, forGood: forGood})
				got, err := newPeerArchive(t, d.base, p[1]).retrieve(t, pacs.Retrieval{Study: study})
				require.NoError(t, err)
				assert.True(t, peerEqual(want, got))
				assert.True(t, d.broke())
			})
		}
		t.Run(fmt.Sprintf("after %d bytes, alone", at), func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, p[0])
			d.breakAt(breach{request: request, up: -1, down: at, forGood: true})
			got, err := newPeerArchive(t, d.base).retrieve(t, pacs.Retrieval{Study: study})
			require.ErrorIs(t, err, hospital.ErrUnavailable)
			_ = peerTyped(t, err, study)
			assertMissing(t, err, want, got)
		})
	}
}

// assertMissing asserts that what is missing and what came whole is all there is.
func assertMissing(t *testing.T, err error, want, got peerSums) {
	t.Helper()
	var missing *pacs.MissingError
	if !errors.As(err, &missing) {
		assert.Empty(t, got)
		return
	}
	for _, uid := range missing.Instances {
		delete(got, uid) // what was read of it is thrown away
		got[uid] = want[uid]
	}
	assert.True(t, peerEqual(want, got), "something is neither here nor missing")
}

// Data sets that are cut: the rest comes from the other site, each once.
func peerCutMetadata(t *testing.T, p peers) {
	study, files, want := peerStudyFiles(30, peerImage{})
	for _, base := range p {
		newPeerArchive(t, base).feed(t, files...)
	}
	for _, at := range []int{0, 50, 500, 5000, 20_000} {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d bytes, alone %v", at, alone), func(t *testing.T) {
				t.Parallel()
				d := newDoor(t, p[0])
				d.breakAt(breach{request: "GET /dicom-web/studies/" + study + "/metadata", up: -1, down: at, forGood: true})
				a := newPeerArchive(t, d.base, p[1])
				if alone {
					a = newPeerArchive(t, d.base)
				}
				seen := map[string]bool{}
				var end error
				for found, err := range a.Metadata(t.Context(), study, "", "") {
					if end = err; err == nil {
						uid := found.Resource.Text(0x00080018)
						assert.False(t, seen[uid], "shown twice")
						seen[uid] = true
					}
				}
				require.True(t, d.broke())
				if alone {
					require.ErrorIs(t, end, hospital.ErrUnavailable)
					assert.Less(t, len(seen), len(want))
					return
				}
				require.NoError(t, end)
				assert.Len(t, seen, len(want))
			})
		}
	}
}

// An archive that cannot make frames or pictures of some images is not out of order,
// though it says so with a 500.
func peerRefusalsAreNoOutage(t *testing.T, p peers) {
	samples := peerSamples(t)
	var refused []peerKept
	for _, base := range p {
		a := newPeerArchive(t, base)
		refused = nil
		for _, k := range a.keep(t, samples) {
			if a.frame(t, k) != nil {
				refused = append(refused, k)
			}
		}
	}
	a := newPeerArchive(t, p[0], p[1])
	for _, k := range refused {
		err := a.frame(t, k)
		require.Error(t, err)
		require.NotErrorIs(t, err, hospital.ErrStoreUnavailable)
	}
	for _, k := range refused {
		assert.Equal(t, []string{k.Study}, a.studies(t, pacs.StudyQuery{UID: k.Study}))
	}
	t.Log(len(refused), "without frames")
	for _, s := range a.own.Status() {
		assert.Equal(t, failover.Healthy, s.Read)
		assert.Equal(t, failover.Healthy, s.Write)
	}
}

// After a wrong store one study UID is two patients', and the server retrieves neither.
// That is not an absence, and nobody else's studies are hidden by it.
func peerTwoPatients(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, _ := peerStudyFiles(2, peerImage{})
	other := peerImage{study: study, series: peerUID(), instance: peerUID(), patient: peerID(), name: "司马懿"}
	third := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: peerID(), name: "司马昭"}
	t.Cleanup(func() { forget(t, p[0], study) })
	a.feed(t, append(files, other.bytes(), third.bytes())...)
	_, err := a.tryStudies(t, pacs.StudyQuery{UID: study})
	assert.Equal(t, hospital.ErrUnexpectedAnswer, peerTyped(t, err, study, other.patient))
	for what, err := range map[string]error{
		"retrieval": errorOf(a.Retrieve(t.Context(), pacs.Retrieval{Study: study})),
		"instances": errorOf(a.Instances(t.Context(), study, "")),
		"series":    errorOf(a.Series(t.Context(), study)),
	} {
		assert.Equal(t, hospital.ErrUnexpectedAnswer, peerTyped(t, err, study, other.patient), what)
	}
	assert.Contains(t, a.studies(t, pacs.StudyQuery{Name: "司马昭"}), third.study)
}

// forget deletes a study that would be in others' way, by a way of one kind of server.
func forget(t *testing.T, base, study string) {
	t.Helper()
	root := strings.TrimSuffix(base, "/dicom-web")
	var found []struct{ ID, Type string }
	answer := plainly(t, http.MethodPost, root+"/tools/lookup", study)
	if json.Unmarshal(answer, &found) != nil {
		t.Log("the server still has a study of two patients")
	}
	for _, f := range found {
		plainly(t, http.MethodDelete, root+"/studies/"+f.ID, "")
	}
}

// plainly asks a server by other means than ours.
func plainly(t *testing.T, method, url, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return data
}

// A file that came by other ways and is no file as PS3.10 has it (no preamble): the
// server takes it and sends it. The others of its study come all the same.
func peerOddFile(t *testing.T, p peers) {
	study, files, want := peerStudyFiles(6, peerImage{patient: peerID()})
	a := newPeerArchive(t, p[0])
	a.feed(t, files...)
	info, _ := peerFirst(a.Studies(t.Context(), pacs.StudyQuery{UID: study}))
	odd := peerImage{study: study, series: peerUID(), instance: peerUID(), patient: info.Resource.Patient.Value}.bytes()[132:]
	body := "--b\r\nContent-Type: application/dicom\r\n\r\n" + string(odd) + "\r\n--b--\r\n"
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p[0]+"/studies", strings.NewReader(body))
	req.Header.Set("Content-Type", `multipart/related; type="application/dicom"; boundary=b`)
	resp, err := (&http.Client{}).Do(req)
	if assert.NoError(t, err) {
		_ = resp.Body.Close()
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	}
	got, err := a.retrieve(t, pacs.Retrieval{Study: study})
	assert.Equal(t, hospital.ErrUnexpectedAnswer, peerTyped(t, err, study))
	assert.True(t, peerEqual(want, got), "%d of %d came", len(got), len(want))
}
