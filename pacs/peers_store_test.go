package pacs_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

func outcomes(list []pacs.Stored) (out []pacs.StoreOutcome) {
	for _, s := range list {
		out = append(out, s.Outcome)
	}
	return out
}

func times(n int, o pacs.StoreOutcome) (out []pacs.StoreOutcome) {
	for range n {
		out = append(out, o)
	}
	return out
}

// Of good files and bad ones in one call the good are stored and the bad are named,
// though the server names only the good.
func peerBadParts(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, want := peerStudyFiles(10, peerImage{})
	cut := peerImage{study: study, series: peerUID(), instance: peerUID(), patient: peerID()}.bytes()
	mixed := append([][]byte{[]byte("README: not an image"), nil, cut[:len(cut)-100]}, files...)
	got := a.store(t, pacs.Upload{}, mixed...)
	assert.Equal(t, append(times(3, pacs.NotStored), times(10, pacs.StoredNew)...), outcomes(got))
	for i, code := range []hospital.Code{hospital.ErrInvalidArgument, hospital.ErrInvalidArgument, hospital.ErrRefused} {
		assert.Equal(t, code, peerTyped(t, got[i].Err, study, got[i].UID))
	}
	a.has(t, study, want)
	alone := a.store(t, pacs.Upload{}, cut[:len(cut)-100])[0]
	assert.Equal(t, hospital.ErrRefused, peerTyped(t, alone.Err, study))
}

// Another file under a UID that is there is never a success, though the server says so.
func peerOtherBytes(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	im := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: peerID(), name: "A^B"}
	kept := im.bytes()
	assert.Equal(t, times(1, pacs.StoredNew), outcomes(a.store(t, pacs.Upload{Verify: true}, kept)))
	assert.Equal(t, times(1, pacs.StoredBefore), outcomes(a.store(t, pacs.Upload{}, kept)))
	im.seed++
	for _, u := range []pacs.Upload{{}, {Verify: true}} {
		got := a.store(t, u, im.bytes())[0]
		assert.Equal(t, pacs.NotStored, got.Outcome)
		assert.Equal(t, hospital.ErrConflict, peerTyped(t, got.Err, im.study, im.instance, im.patient))
	}
	im.seed, im.name = 0, "A^C"
	assert.Equal(t, times(1, pacs.StoredCoerced), outcomes(a.store(t, pacs.Upload{}, im.bytes())))
	assert.Equal(t, 1, a.sent("store"), "what cannot be stored must not be sent")
	a.has(t, im.study, peerSums{im.instance: peerSum(kept)})
}

// Two files of one call with one UID: the server keeps the first, and names the UID.
func peerTwiceInACall(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	im := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: peerID()}
	one := im.bytes()
	im.seed++
	got := a.store(t, pacs.Upload{}, one, im.bytes(), one)
	assert.Equal(t, []pacs.StoreOutcome{pacs.StoredNew, pacs.NotStored, pacs.StoredBefore}, outcomes(got))
	assert.Equal(t, hospital.ErrConflict, peerTyped(t, got[1].Err, im.instance))
	a.has(t, im.study, peerSums{im.instance: peerSum(one)})
}

// A file of another study than was said is not sent.
func peerOtherStudy(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, want := peerStudyFiles(4, peerImage{})
	_, others, _ := peerStudyFiles(1, peerImage{})
	got := a.store(t, pacs.Upload{Study: study, Verify: true}, files[0], others[0], files[1], files[2], files[3])
	assert.Equal(t, []pacs.StoreOutcome{pacs.StoredNew, pacs.NotStored, pacs.StoredNew, pacs.StoredNew, pacs.StoredNew}, outcomes(got))
	assert.Equal(t, hospital.ErrInvalidArgument, peerTyped(t, got[1].Err, study))
	a.has(t, study, want)
}

// Files that can be read once, of known and of unknown length.
func peerOneShot(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, want := peerStudyFiles(6, peerImage{side: 128})
	var list []pacs.File
	for i, data := range files {
		list = append(list, pacs.Reader(bytes.NewBuffer(data), []int64{-1, int64(len(data))}[i%2]))
	}
	for found, err := range a.Store(t.Context(), list, pacs.Upload{}) {
		require.NoError(t, err)
		require.NoError(t, found.Resource.Err)
	}
	a.has(t, study, want)
	assert.Equal(t, 6, a.sent("store"))
}

// 80 MB in requests of 30, from files that are made while they are read.
func peerLargeStore(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, want := peerMade(10, 2048)
	var last pacs.Progress
	u := pacs.Upload{BatchBytes: 30 << 20, Progress: func(p pacs.Progress) { last = p }}
	for found, err := range a.Store(t.Context(), files, u) {
		require.NoError(t, err)
		assert.Equal(t, pacs.StoredNew, found.Resource.Outcome)
	}
	assert.Equal(t, 4, a.sent("store"))
	assert.Equal(t, pacs.Progress{Instances: 10, Total: 10, Bytes: last.Bytes}, last)
	assert.Greater(t, last.Bytes, int64(80<<20))
	a.has(t, study, want)
}

// peerMade are n files of one study that are made when they are opened, of side × side
// pixels each.
func peerMade(n, side int) (study string, files []pacs.File, want peerSums) {
	study, want = peerUID(), peerSums{}
	series, patient := peerUID(), peerID()
	for i := range n {
		im := peerImage{study: study, series: series, instance: peerUID(), patient: patient, side: side, seed: byte(i)}
		data := im.bytes()
		want[im.instance] = peerSum(data)
		files = append(files, pacs.File{Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(im.bytes())), nil
		}})
	}
	return study, files, want
}

const storing = "POST /dicom-web/studies"

// An answer to a store that is lost, wherever it is cut: all is stored, and told so;
// nothing is there twice.
func peerLostAnswers(t *testing.T, p peers) {
	for _, at := range []int{0, 1, 12, 100, 200, 400} {
		t.Run(fmt.Sprintf("after %d bytes", at), func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, p[0])
			a := newPeerArchive(t, d.base)
			study, files, want := peerStudyFiles(5, peerImage{})
			d.breakAt(breach{request: storing, up: -1, down: at})
			assert.Equal(t, times(5, pacs.StoredNew), outcomes(a.store(t, pacs.Upload{}, files...)))
			assert.True(t, d.broke())
			assert.Equal(t, 1, a.sent("store"), "what had arrived was sent again")
			a.has(t, study, want)
			assert.Equal(t, times(5, pacs.StoredBefore), outcomes(a.store(t, pacs.Upload{}, files...)))
		})
	}
}

// Where nothing is proved of the server, what was lost is waited for, and nothing is sent
// that might come twice.
func peerUnproved(t *testing.T, p peers) {
	for _, b := range []breach{{request: storing, up: -1, down: 0}, {request: storing, up: 5000, down: -1}} {
		t.Run(fmt.Sprint(b.up, b.down), func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, p[0])
			a := newPeerArchiveOf(t, campus.Contract{ServerTimeout: 500 * time.Millisecond}, d.base)
			study, files, want := peerStudyFiles(5, peerImage{side: 64})
			d.breakAt(b)
			begun := time.Now()
			assert.Equal(t, times(5, pacs.StoredNew), outcomes(a.store(t, pacs.Upload{}, files...)))
			require.True(t, d.broke())
			if b.up >= 0 {
				assert.GreaterOrEqual(t, time.Since(begun), 500*time.Millisecond)
				assert.Equal(t, 2, a.sent("store"))
			} else {
				assert.Equal(t, 1, a.sent("store"))
			}
			a.has(t, study, want)
		})
	}
}

// What is sent: nothing that this server would not understand.
func peerRequests(t *testing.T, p peers) {
	d := newDoor(t, p[0])
	a := newPeerArchive(t, d.base)
	im := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: peerID(), name: "张^三"}
	a.feed(t, im.bytes())
	a.has(t, im.study, peerSums{im.instance: peerSum(im.bytes())})
	a.studies(t, pacs.StudyQuery{Name: "张三", From: chinaDay("20260101")})
	for _, line := range d.asked() {
		assert.Regexp(t, `^(GET|POST) /dicom-web/studies[0-9a-z./]*(\?[A-Za-z]+=[!-$&-~]+(&[A-Za-z]+=[!-$&-~]+)*)?$`, line)
		assert.NotContains(t, line, "limit=0")
	}
}

// A store that is cut on its way: the rest is sent again.
func peerCutRequests(t *testing.T, p peers) {
	_, files, _ := peerStudyFiles(5, peerImage{side: 64})
	size := 0
	for _, f := range files {
		size += len(f)
	}
	for _, at := range []int{0, 1, 150, 700, size / 2, size - 1, size} {
		for _, verify := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d bytes, verified %v", at, verify), func(t *testing.T) {
				t.Parallel()
				d := newDoor(t, p[0])
				a := newPeerArchive(t, d.base)
				study, files, want := peerStudyFiles(5, peerImage{side: 64})
				d.breakAt(breach{request: storing, up: at, down: -1})
				assert.Equal(t, times(5, pacs.StoredNew), outcomes(a.store(t, pacs.Upload{Verify: verify}, files...)))
				assert.True(t, d.broke())
				a.has(t, study, want)
			})
		}
	}
}

// A site that is lost for good while it stores: its peer gets all; when it is back it
// gets what it lacks, and both have the same.
func peerSiteDiesInStore(t *testing.T, p peers) {
	for _, b := range []breach{
		{request: storing, up: 20_000, down: -1, forGood: true},
		{request: storing, up: -1, down: 0, forGood: true},
	} {
		t.Run(fmt.Sprint(b.up, b.down), func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, p[0])
			a := newPeerArchive(t, d.base, p[1])
			study, files, want := peerStudyFiles(6, peerImage{side: 64})
			d.breakAt(b)
			assert.Equal(t, times(6, pacs.StoredNew), outcomes(a.store(t, pacs.Upload{BatchFiles: 3}, files...)))
			require.True(t, d.broke())
			newPeerArchive(t, p[1]).has(t, study, want)
			returned := newPeerArchive(t, p[0])
			returned.feed(t, files...)
			returned.has(t, study, want)
		})
	}
}

// The server closes idle connections after about a second, without a word.
func peerIdle(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, want := peerStudyFiles(8, peerImage{})
	for i, data := range files {
		assert.Equal(t, times(1, pacs.StoredNew), outcomes(a.store(t, pacs.Upload{}, data)))
		<-time.After(time.Duration(850+i*40) * time.Millisecond)
	}
	a.has(t, study, want)
}

// The same image under another patient's number is not stored, and nobody may think so.
func peerOtherPatient(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	im := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: peerID()}
	a.feed(t, im.bytes())
	im.patient = peerID()
	got := a.store(t, pacs.Upload{Verify: true}, im.bytes())[0]
	assert.Equal(t, pacs.NotStored, got.Outcome)
	assert.Equal(t, hospital.ErrConflict, peerTyped(t, got.Err, im.patient))
}
