package pacs_test

import (
	"bytes"
	"image"
	_ "image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

// peerSamples are the files of the folders that the environment names, by name.
func peerSamples(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, root := range []string{os.Getenv("HOSPITAL_SAMPLES") + "/dicom", os.Getenv("HOSPITAL_DICOM_FILES")} {
		if root == "" || root == "/dicom" {
			continue
		}
		require.NoError(t, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			out[path[len(root):]] = data
			return err
		}))
	}
	if len(out) == 0 {
		t.Skip("HOSPITAL_SAMPLES and HOSPITAL_DICOM_FILES name no folders of DICOM files")
	}
	return out
}

// peerKept is a file that an archive took.
type peerKept struct {
	name string
	pacs.Stored
	data []byte
}

// keep stores each file by itself. What is refused is so by a typed error.
func (a *peerArchive) keep(t *testing.T, files map[string][]byte) []peerKept {
	t.Helper()
	var out []peerKept
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s := a.store(t, pacs.Upload{Verify: true}, files[name])[0]
		switch {
		case s.Outcome == pacs.StoredCoerced: // the image of another file, which was first
			t.Logf("not stored: %s: another file has these pixels under its UID", name)
			continue
		case s.Err == nil:
			out = append(out, peerKept{name, s, files[name]})
			continue
		}
		code := peerTyped(t, s.Err, s.UID, s.Study)
		assert.Contains(t, []hospital.Code{hospital.ErrInvalidArgument, hospital.ErrRefused, hospital.ErrConflict}, code, name)
		t.Logf("not stored: %s: %v", name, s.Err)
	}
	return out
}

func byStudy(kept []peerKept) map[string]peerSums {
	out := map[string]peerSums{}
	for _, k := range kept {
		if out[k.Study] == nil {
			out[k.Study] = peerSums{}
		}
		out[k.Study][k.UID] = peerSum(k.data)
	}
	return out
}

// Every file that there is: stored, found, retrieved, with the same bytes, at both.
func peerFiles(t *testing.T, p peers) {
	samples := peerSamples(t)
	var studies [2]map[string]peerSums
	for i, base := range p {
		a := newPeerArchive(t, base)
		kept := a.keep(t, samples)
		t.Logf("%d of %d files stored", len(kept), len(samples))
		studies[i] = byStudy(kept)
		for uid, want := range studies[i] {
			a.has(t, uid, want)
			a.counts(t, uid, len(want))
		}
	}
	assert.Equal(t, studies[0], studies[1], "one took what the other did not")
	both := newPeerArchive(t, p[0], p[1])
	for uid, want := range studies[0] {
		both.has(t, uid, want)
	}
}

// counts asserts what the archive itself says of a study.
func (a *peerArchive) counts(t *testing.T, uid string, n int) {
	t.Helper()
	found, err := peerFirst(a.Studies(t.Context(), pacs.StudyQuery{UID: uid}))
	require.NoError(t, err)
	assert.Equal(t, n, found.Resource.Instances)
	instances := 0
	for found, err := range a.Series(t.Context(), uid) {
		require.NoError(t, err)
		instances += found.Resource.Instances
	}
	assert.Equal(t, n, instances)
}

// What an archive makes of its images: data sets, values apart, frames, pictures. What
// it cannot make is an error that says so.
func peerImages(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	done, gaps := map[string]int{}, map[string][]string{}
	for _, k := range a.keep(t, peerSamples(t)) {
		for what, err := range map[string]error{
			"data set": a.dataset(t, k), "frame": a.frame(t, k), "picture": a.picture(t, k),
		} {
			if err == nil {
				done[what]++
				continue
			}
			gap := what + ": " + string(peerTyped(t, err, k.UID, k.Study, k.Series))
			gaps[gap] = append(gaps[gap], filepath.Base(k.name))
		}
	}
	for gap, names := range gaps {
		t.Logf("gap: no %s: %d files: %s", gap, len(names), names)
	}
	t.Log(done, a.requests)
	assert.Len(t, done, 3)
}

// dataset reads an instance's metadata and the values that stand apart.
func (a *peerArchive) dataset(t *testing.T, k peerKept) error {
	t.Helper()
	found, err := peerFirst(a.Metadata(t.Context(), k.Study, k.Series, k.UID))
	if err != nil {
		return err
	}
	for _, uri := range bulkURIs(found.Resource) {
		bulk, err := peerFirst(a.BulkData(t.Context(), found, uri))
		if err != nil {
			return err
		}
		assert.True(t, k.holds(bulk.Resource.Data), k.name)
	}
	return nil
}

// bulkURIs are those of a data set and of what is in it.
func bulkURIs(d pacs.Dataset) (out []string) {
	for _, e := range d {
		if e.BulkDataURI != "" {
			out = append(out, e.BulkDataURI)
		}
		for _, v := range e.Values {
			out = append(out, bulkURIs(v.Item)...)
		}
	}
	return out
}

// holds: is the value in the file? What is deflated cannot be seen.
func (k peerKept) holds(value []byte) bool {
	return bytes.Contains(k.data, bytes.TrimRight(value, "\x00")) || bytes.Contains(k.data, []byte("1.2.840.10008.1.2.1.99"))
}

// frame reads the first frame, as it is stored.
func (a *peerArchive) frame(t *testing.T, k peerKept) error {
	t.Helper()
	found, err := peerFirst(a.Frames(t.Context(), k.Study, k.Series, k.UID, []int{1}))
	if err == nil {
		assert.Equal(t, 1, found.Resource.Frame)
		assert.True(t, k.holds(found.Resource.Data), "%s: %s %s", k.name, found.Resource.MediaType, found.Resource.TransferSyntax)
	}
	return err
}

// picture reads it as people see it.
func (a *peerArchive) picture(t *testing.T, k peerKept) error {
	t.Helper()
	found, err := a.Rendered(t.Context(), pacs.Rendering{Study: k.Study, Series: k.Series, Instance: k.UID})
	if err == nil {
		_, format, err := image.DecodeConfig(bytes.NewReader(found.Resource.Data))
		require.NoError(t, err, k.name)
		assert.Equal(t, "png", format)
	}
	return err
}
