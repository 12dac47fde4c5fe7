package pacs_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/pacs"
)

// The conformance tests: against DICOMweb servers that no one here wrote. They are one
// test, because what one of them does last is to kill a server.

// peerCases are the tests, in groups that run one after another; the tests of a group
// run side by side. What spoils a store for others comes late.
var peerCases = [][]struct {
	name string
	run  func(t *testing.T, p peers)
}{
	{
		{"files", peerFiles},
		{"names", peerNames},
		{"issuers", peerIssuers},
		{"queries", peerQueries},
		{"pages", peerPages},
		{"study", peerStudy},
		{"absent", peerAbsent},
		{"images", peerImages},
		{"frames", peerFrames},
		{"bulk data leads elsewhere", peerBulkElsewhere},
		{"bad parts", peerBadParts},
		{"other bytes", peerOtherBytes},
		{"one UID twice in a call", peerTwiceInACall},
		{"other study", peerOtherStudy},
		{"another patient's image", peerOtherPatient},
		{"a file that is none", peerOddFile},
		{"one-shot readers", peerOneShot},
		{"large store", peerLargeStore},
		{"lost answers", peerLostAnswers},
		{"cut requests", peerCutRequests},
		{"cut metadata", peerCutMetadata},
		{"nothing proved", peerUnproved},
		{"requests", peerRequests},
		{"a site dies in a store", peerSiteDiesInStore},
		{"a site dies in a retrieval", peerSiteDiesInRetrieval},
		{"idle connections", peerIdle},
	},
	{{"refusing images is no outage", peerRefusalsAreNoOutage}},
	{{"two patients", peerTwoPatients}},
	{{"last", peerDamage}},
}

func TestPeers(t *testing.T) { //nolint:paralleltest // it counts goroutines and memory
	p := newPeers(t)
	for i, group := range peerCases {
		t.Run([]string{"well", "refusing", "doubled", "damaged"}[i], func(t *testing.T) {
			for _, c := range group {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, p)
				})
			}
		})
	}
}

const (
	peerIssuer  = "urn:oid:2.16.156.10011.1.12.hankou"
	otherIssuer = "urn:oid:2.16.156.10011.1.12.wuchang"
)

// peers are the bases of two DICOMweb servers: the two data centres of one archive,
// as long as both are fed with the same files.
type peers [2]string

func newPeers(t *testing.T) peers {
	t.Helper()
	text := os.Getenv("HOSPITAL_DICOMWEB_PEERS")
	if text == "" {
		t.Skip("HOSPITAL_DICOMWEB_PEERS names no DICOMweb servers; internal/check.sh starts two")
	}
	list := strings.Split(text, ",")
	require.Len(t, list, 2)
	return peers(list)
}

// peerArchive is a client of servers that are doors to one store. It counts requests.
type peerArchive struct {
	*pacs.Client
	own *hospital.Client

	mu       sync.Mutex
	requests map[string]int // by template
}

func newPeerArchive(t *testing.T, bases ...string) *peerArchive {
	t.Helper()
	return newPeerArchiveOf(t, campus.Contract{UpdateCreate: true}, bases...)
}

func newPeerArchiveOf(t *testing.T, contract campus.Contract, bases ...string) *peerArchive {
	t.Helper()
	d := campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-1"}},
		Systems:       []campus.System{{ID: campus.PACS}},
		Stores:        []campus.Store{{ID: "pacs"}},
	}
	for i, base := range bases {
		dc := []campus.DataCenterID{"dc-1", "dc-2"}[i]
		d.DataCenters = append(d.DataCenters, campus.DataCenter{ID: dc, Role: campus.Active})
		d.Endpoints = append(d.Endpoints, campus.Endpoint{
			System: campus.PACS, DataCenter: dc, Store: "pacs", URL: base, Contract: contract,
			DICOMweb: campus.DICOMweb{RawQuery: true, PatientIssuer: peerIssuer, AccessionIssuer: peerIssuer},
		})
	}
	a := &peerArchive{requests: map[string]int{}}
	client, err := hospital.New(hospital.Config{
		Topology: d, DisableHedging: true, DisableTracing: true,
		OnAttempt: func(at failover.Attempt, _ failover.Result) { a.count(at.Call.Template) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	a.own, a.Client = client, pacs.New(client)
	return a
}

func (a *peerArchive) count(template string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests[template]++
}

// sent is how many requests of a template were made.
func (a *peerArchive) sent(template string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[template]
}

// store stores files and returns what became of each.
func (a *peerArchive) store(t *testing.T, u pacs.Upload, files ...[]byte) []pacs.Stored {
	t.Helper()
	out, err := a.tryStore(t, u, files...)
	require.NoError(t, err)
	require.Len(t, out, len(files))
	return out
}

func (a *peerArchive) tryStore(t *testing.T, u pacs.Upload, files ...[]byte) ([]pacs.Stored, error) {
	t.Helper()
	list := make([]pacs.File, len(files))
	for i, data := range files {
		list[i] = pacs.Bytes(data)
	}
	var out []pacs.Stored
	for found, err := range a.Store(t.Context(), list, u) {
		if err != nil {
			return out, err
		}
		assert.Equal(t, len(out), found.Resource.Index)
		out = append(out, found.Resource)
	}
	return out, nil
}

// feed stores files that must all be taken.
func (a *peerArchive) feed(t *testing.T, files ...[]byte) {
	t.Helper()
	for i, s := range a.store(t, pacs.Upload{}, files...) {
		require.NoError(t, s.Err, "file %d", i)
	}
}

// peerSums are the digests of files by SOP Instance UID.
type peerSums map[string][sha256.Size]byte

// retrieve reads all that r asks for, each instance once.
func (a *peerArchive) retrieve(t *testing.T, r pacs.Retrieval) (peerSums, error) {
	t.Helper()
	got := peerSums{}
	for found, err := range a.Retrieve(t.Context(), r) {
		if err != nil {
			return got, err
		}
		hash := sha256.New()
		buf := make([]byte, 64<<10)
		for {
			n, err := found.Resource.Read(buf)
			hash.Write(buf[:n])
			if err != nil {
				break
			}
		}
		assert.NotContains(t, got, found.Resource.UID, "an instance came twice")
		got[found.Resource.UID] = [sha256.Size]byte(hash.Sum(nil))
	}
	return got, nil
}

// has asserts that a study has exactly these instances, byte by byte.
func (a *peerArchive) has(t *testing.T, study string, want peerSums) {
	t.Helper()
	got, err := a.retrieve(t, pacs.Retrieval{Study: study})
	require.NoError(t, err)
	assert.True(t, peerEqual(want, got), "%d instances of %d, or other bytes", len(got), len(want))
	listed := 0
	for _, err := range a.Instances(t.Context(), study, "") {
		require.NoError(t, err)
		listed++
	}
	assert.Equal(t, len(want), listed)
}

func peerEqual(a, b peerSums) bool {
	for uid := range a {
		if a[uid] != b[uid] {
			return false
		}
	}
	return len(a) == len(b)
}

// studies are the UIDs that a query finds.
func (a *peerArchive) studies(t *testing.T, q pacs.StudyQuery) []string {
	t.Helper()
	out, err := a.tryStudies(t, q)
	require.NoError(t, err)
	return out
}

func (a *peerArchive) tryStudies(t *testing.T, q pacs.StudyQuery) ([]string, error) {
	t.Helper()
	var out []string
	for found, err := range a.Studies(t.Context(), q) {
		if err != nil {
			return out, err
		}
		out = append(out, found.Resource.UID)
	}
	return out, nil
}

// newUID is a UID that nobody has used (PS3.5 annex B.2).
func peerUID() string {
	n := make([]byte, 15)
	_, _ = rand.Read(n)
	return "2.25." + new(big.Int).SetBytes(n).String()
}

// newID is a patient or accession number that nobody has used.
func peerID() string { return rand.Text()[:12] }

// typed asserts that err is of the SDK, says something, and names nobody.
func peerTyped(t *testing.T, err error, secrets ...string) hospital.Code {
	t.Helper()
	var own *hospital.Error
	if assert.ErrorAs(t, err, &own) {
		assert.NotEqual(t, hospital.ErrInternal, own.Code)
		for _, s := range secrets {
			assert.False(t, s != "" && strings.Contains(err.Error(), s), "an error that names somebody")
		}
	}
	return hospital.CodeOf(err)
}

// first is the first item of a sequence.
func peerFirst[T any](seq func(func(hospital.Found[T], error) bool)) (out hospital.Found[T], err error) {
	err = errors.New("an empty sequence")
	for item, e := range seq {
		return item, e
	}
	return out, err
}

func peerSum(data []byte) [sha256.Size]byte { return sha256.Sum256(data) }
