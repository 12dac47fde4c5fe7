package pacs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

// peerProcess is a server that may be damaged and killed.
type peerProcess struct {
	pid    int
	folder string // its store
	host   string
}

// process is the first server's, where HOSPITAL_DICOMWEB_PIDS says so and it is true:
// the file it was started with names its port.
func (p peers) process(t *testing.T) peerProcess {
	t.Helper()
	text, _, _ := strings.Cut(os.Getenv("HOSPITAL_DICOMWEB_PIDS"), ",")
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 1 {
		t.Skip("HOSPITAL_DICOMWEB_PIDS names no processes that may be killed")
	}
	u, err := url.Parse(p[0])
	require.NoError(t, err)
	line, _ := os.ReadFile("/proc/" + text + "/cmdline")
	arguments := strings.Split(string(line), "\x00")
	if len(arguments) < 2 {
		t.Skip("the process cannot be looked at")
	}
	settings, _ := os.ReadFile(arguments[1])
	if !strings.Contains(string(settings), `"HttpPort": `+u.Port()) {
		t.Skip("the process is not that of the first server")
	}
	return peerProcess{pid, filepath.Join(filepath.Dir(arguments[1]), "store"), u.Host}
}

// lose deletes a stored file behind the server's back.
func (s peerProcess) lose(t *testing.T, data []byte) {
	t.Helper()
	lost := 0
	require.NoError(t, filepath.WalkDir(s.folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := e.Info(); err != nil || info.Size() != int64(len(data)) {
			return err
		}
		if stored, err := os.ReadFile(path); err != nil || !bytes.Equal(stored, data) {
			return err
		}
		lost++
		return os.Remove(path)
	}))
	require.Equal(t, 1, lost)
}

// kill ends the server at once, and returns when nobody answers any more.
func (s peerProcess) kill(t *testing.T) {
	t.Helper()
	process, err := os.FindProcess(s.pid)
	require.NoError(t, err)
	require.NoError(t, process.Kill())
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.host)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, 10*time.Second, 10*time.Millisecond)
}

// peerDamage loses a file of a server's and then the server.
func peerDamage(t *testing.T, p peers) {
	process := p.process(t)
	small, few, fewSums := peerStudyFiles(10, peerImage{side: 32})
	large, many, manySums := peerMade(20, 2048)
	for _, base := range p {
		a := newPeerArchive(t, base)
		a.feed(t, few...)
		for found, err := range a.Store(t.Context(), many, pacs.Upload{}) { // more than a server keeps in memory
			require.NoError(t, err)
			require.NoError(t, found.Resource.Err)
		}
	}
	process.lose(t, few[4])
	t.Run("a file is missing", func(t *testing.T) { peerFileMissing(t, p, small, fewSums) })    //nolint:paralleltest // one after another
	t.Run("killed", func(t *testing.T) { peerKilled(t, p, process, large, many[0], manySums) }) //nolint:paralleltest // it counts goroutines
}

// A file that is lost at one site: its answer ends with it, as if it were whole. The
// other site brings the rest.
func peerFileMissing(t *testing.T, p peers, study string, want peerSums) {
	t.Helper()
	both := newPeerArchive(t, p[0], p[1])
	both.has(t, study, want)
	sets := 0
	for _, err := range both.Metadata(t.Context(), study, "", "") {
		require.NoError(t, err)
		sets++
	}
	assert.Len(t, want, sets)
	got, err := newPeerArchive(t, p[0]).retrieve(t, pacs.Retrieval{Study: study})
	require.ErrorIs(t, err, hospital.ErrUnavailable)
	t.Logf("alone, with one of 10 lost, %d came: %s", len(got), peerTyped(t, err, study))
	assertMissing(t, err, want, got)
}

// A server that is killed in the middle of a large study: it arrives whole, each
// instance once, in little memory; whatever else is asked is answered by the other.
func peerKilled(t *testing.T, p peers, process peerProcess, study string, file pacs.File, want peerSums) {
	t.Helper()
	runtime.GC()
	before, memory := runtime.NumGoroutine(), heap()
	a := newPeerArchive(t, p[0], p[1])
	set, err := peerFirst(a.Metadata(t.Context(), study, "", ""))
	require.NoError(t, err)
	got, from, peak := peerSums{}, map[string]int{}, uint64(0)
	for found, err := range a.Retrieve(t.Context(), pacs.Retrieval{Study: study}) {
		require.NoError(t, err)
		hash := sha256.New()
		_, err := io.CopyN(hash, found.Resource, 3<<20)
		require.NoError(t, err)
		if len(got) == 7 {
			process.kill(t)
		}
		_, err = io.Copy(hash, found.Resource)
		require.NoError(t, err)
		assert.NotContains(t, got, found.Resource.UID)
		got[found.Resource.UID] = [sha256.Size]byte(hash.Sum(nil))
		from[string(found.Origin.DataCenter)]++
		peak = max(peak, heap())
	}
	assert.True(t, peerEqual(want, got))
	t.Log(from, "heap grew by", (int64(peak)-int64(memory))>>10, "KiB")
	assert.Positive(t, from["dc-1"])
	assert.Positive(t, from["dc-2"])
	assert.Less(t, peak, memory+32<<20)

	begun := time.Now()
	assert.Equal(t, []string{study}, a.studies(t, pacs.StudyQuery{UID: study}))
	bulk, err := peerFirst(a.BulkData(t.Context(), set, set.Resource[pixelsTag].BulkDataURI)) // as the dead one named it
	require.NoError(t, err)
	assert.Len(t, bulk.Resource.Data, 8<<20)
	other, more, digests := peerStudyFiles(3, peerImage{})
	a.feed(t, more...)
	a.has(t, other, digests)
	assert.Less(t, time.Since(begun), 15*time.Second)
	alone := newPeerArchive(t, p[0])
	for what, err := range map[string]error{
		"search":   errorOf(alone.Studies(t.Context(), pacs.StudyQuery{UID: study})),
		"retrieve": errorOf(alone.Retrieve(t.Context(), pacs.Retrieval{Study: study})),
		"store":    errorOf(alone.Store(t.Context(), []pacs.File{file}, pacs.Upload{})),
	} {
		require.ErrorIs(t, err, hospital.ErrUnavailable, what)
		_ = peerTyped(t, err, study)
	}
	require.NoError(t, errors.Join(a.own.Close(), alone.own.Close()))
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, 5*time.Second, 10*time.Millisecond, "goroutines are left")
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
