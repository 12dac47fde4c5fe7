package hospital_test

import (
	"crypto/sha256"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

// scans are the files of a made-up study.
func scans(t *testing.T, series, instances int, pixels int64) []pacs.File {
	t.Helper()
	maker := fakes.NewHospital(t)
	study := fakes.Study{Patient: maker.Demo().Patients[0], Name: "Zhang^Sanfeng=张^三丰", Accession: "SCAN"}
	for range series {
		study.Series = append(study.Series, fakes.Series{Modality: "CT", Instances: instances, PixelBytes: pixels})
	}
	study = maker.AddStudy("pacs", study)
	var out []pacs.File
	for _, uid := range maker.Instances("pacs", study.UID) {
		data, ok := maker.StoredInstance("pacs", uid)
		require.True(t, ok)
		out = append(out, pacs.Bytes(data))
	}
	return out
}

// upload stores files and returns what became of them.
func upload(t *testing.T, c *pacs.Client, files []pacs.File, u pacs.Upload) []pacs.Stored {
	t.Helper()
	var out []pacs.Stored
	for stored, err := range c.Store(t.Context(), files, u) {
		require.NoError(t, err)
		require.NoError(t, stored.Resource.Err)
		out = append(out, stored.Resource)
	}
	require.Len(t, out, len(files))
	return out
}

// kept asserts that the archive has these very bytes, each stored once.
func kept(t *testing.T, s *stage, files []pacs.File, stored []pacs.Stored) {
	t.Helper()
	for i, f := range files {
		r, err := f.Open()
		require.NoError(t, err)
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		digest, size, ok := s.hosp.StoredDigest("pacs", stored[i].UID)
		require.True(t, ok, "instance %d is not there", i)
		assert.Equal(t, sha256.Sum256(data), digest)
		assert.Equal(t, f.Size, size)
		assert.Equal(t, 1, s.hosp.Ledger().Executions(stored[i].UID), "stored once")
	}
}

// TestScenario10_StoreCut: 500 instances, the connection is cut at 300: what arrived is
// found, the rest is sent to the other door, nothing twice.
func TestScenario10_StoreCut(t *testing.T) {
	t.Parallel()
	many, few := scans(t, 5, 100, 0), scans(t, 2, 20, 0)
	at := 300 * (many[0].Size + 100)
	for name, c := range map[string]struct {
		files []pacs.File
		do    fakes.Action
	}{
		"cut at 300":                {many, fakes.Action{CutRequestAfter: at}},
		"all stored, answer lost":   {few, fakes.Action{ResetAfter: true}},
		"a gateway answers instead": {few, fakes.Action{Status: 502, Execute: true}},
	} {
		for proof, change := range map[string]func(*hospital.Config){
			"proved": nil,
			"racy": func(cfg *hospital.Config) {
				for i := range cfg.Topology.Endpoints {
					cfg.Topology.Endpoints[i].Contract.UpdateCreate = false
				}
			},
		} {
			t.Run(name+", "+proof, func(t *testing.T) {
				t.Parallel()
				play(t, change, func(s *stage) {
					s.most = 3 // looks are requests too
					s.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "store"}, Do: c.do, Times: 1})
					stored := upload(s.t, pacs.New(s.client), c.files, pacs.Upload{BatchFiles: len(c.files)})
					kept(s.t, s, c.files, stored)
				})
			})
		}
	}
}

// TestScenario10_AlreadyStored: two send the same instances at once to an archive that
// refuses what it has (45070): both are told that it is there.
func TestScenario10_AlreadyStored(t *testing.T) {
	t.Parallel()
	files := scans(t, 1, 20, 0)
	play(t, nil, func(s *stage) {
		s.most = 50
		s.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "store"}, Do: fakes.Action{Delay: time.Second, Late: true}})
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { kept(s.t, s, files, upload(s.t, pacs.New(s.another("hankou", nil)), files, pacs.Upload{})) })
		}
		both.Wait()
		for _, stored := range upload(s.t, pacs.New(s.client), files, pacs.Upload{}) {
			assert.Equal(t, pacs.StoredBefore, stored.Outcome)
		}
	}, fakes.WithPersonality(fakes.Personality{RefuseDuplicates: true}))
}

// arrived is what came of a retrieval.
type arrived struct {
	digests map[string][sha256.Size]byte
	from    map[campus.DataCenterID]int
	bytes   int64
}

// download retrieves a study until its end or its error.
func download(t *testing.T, c *pacs.Client, r pacs.Retrieval) (arrived, error) {
	t.Helper()
	f := arrived{digests: map[string][sha256.Size]byte{}, from: map[campus.DataCenterID]int{}}
	for in, err := range c.Retrieve(t.Context(), r) {
		if err != nil {
			return f, err
		}
		h := sha256.New()
		n, err := io.Copy(h, in.Resource)
		if err != nil {
			continue // the sequence says it again
		}
		_, twice := f.digests[in.Resource.UID]
		assert.False(t, twice, "delivered twice")
		f.digests[in.Resource.UID] = [sha256.Size]byte(h.Sum(nil))
		f.from[in.Resource.Origin().DataCenter]++
		f.bytes += n
	}
	return f, nil
}

// equal asserts that what came is what the archive has, all of it.
func (f arrived) equal(t *testing.T, hosp *fakes.Hospital, study string) {
	t.Helper()
	list := hosp.Instances("pacs", study)
	assert.Len(t, f.digests, len(list))
	for _, uid := range list {
		digest, _, ok := hosp.StoredDigest("pacs", uid)
		require.True(t, ok)
		assert.Equal(t, digest, f.digests[uid])
	}
}

func scanned(hosp *fakes.Hospital, series, instances int, pixels int64) fakes.Study {
	study := fakes.Study{Patient: hosp.Demo().Patients[0], Name: "Zhang^Sanfeng=张^三丰", Accession: "SCAN"}
	for range series {
		study.Series = append(study.Series, fakes.Series{Modality: "CT", Instances: instances, PixelBytes: pixels})
	}
	return hosp.AddStudy("pacs", study)
}

// TestScenario11_RetrieveCut: 200 MiB over sockets, cut at 120 MiB; a tenth of that in
// memory, and under the race detector, which makes moving bytes slow.
func TestScenario11_RetrieveCut(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		each int // bytes of an instance
		opts []fakes.Option
	}{
		"with length":  {mib, nil},
		"no length":    {mib, []fakes.Option{fakes.WithPersonality(fakes.Personality{NoLength: true})}},
		"over sockets": {socketMiB * mib, []fakes.Option{fakes.WithLoopback()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := raise(t, nil, c.opts...)
			study := scanned(s.hosp, 2, 10, int64(c.each))
			s.hosp.Break(fakes.Rule{When: fakes.When{DataCenter: "dc-a", Interaction: "retrieve-study"}, Do: fakes.Action{CutAfter: 12 * c.each}, Times: 1})
			got, err := download(s.t, pacs.New(s.client), pacs.Retrieval{Study: study.UID})
			require.NoError(t, err)
			got.equal(s.t, s.hosp, study.UID)
			assert.Greater(t, got.bytes, int64(20*c.each))
			assert.Equal(t, 11, got.from["dc-a"], "what came whole before the cut")
			assert.Equal(t, 9, got.from["dc-b"], "the one that was cut, and the rest")
		})
	}
}

// TestScenario11_NobodyHasTheRest: the error names what is missing, and success is never
// said of less.
func TestScenario11_NobodyHasTheRest(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.most = 10
		study := scanned(s.hosp, 1, 10, 0)
		one := study.Series[0].SOPs[0]
		_, size, _ := s.hosp.StoredDigest("pacs", one)
		s.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "retrieve-study"}, Do: fakes.Action{CutAfter: int(4*size + size/2)}})
		s.hosp.Break(fakes.Rule{When: fakes.When{Interaction: "retrieve-instance"}, Do: fakes.Action{ResetBefore: true}})
		got, err := download(s.t, pacs.New(s.client), pacs.Retrieval{Study: study.UID})
		require.ErrorIs(t, err, hospital.ErrIncomplete)
		var missing *pacs.MissingError
		require.ErrorAs(t, err, &missing)
		assert.Len(t, missing.Instances, 10-len(got.digests))
		assert.NotEmpty(t, got.digests)
		assert.Subset(t, study.Series[0].SOPs, missing.Instances)
		s.silent(err.Error())
	})
}

// TestScenario40_Nearline: the first byte comes after 90 s: that is no black hole, and
// the site stays well.
func TestScenario40_Nearline(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]fakes.Personality{
		"headers late": {Nearline: 90 * time.Second},
		"body late":    {Nearline: 90 * time.Second, NearlineHeaders: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, nil, func(s *stage) {
				study := scanned(s.hosp, 1, 3, 0)
				began := time.Now()
				got, err := download(s.t, pacs.New(s.client), pacs.Retrieval{Study: study.UID})
				require.NoError(t, err)
				got.equal(s.t, s.hosp, study.UID)
				assert.Equal(t, 90*time.Second, time.Since(began).Truncate(time.Second))
				assert.Equal(t, 3, got.from["dc-a"], "nobody else was asked")
				for _, st := range s.client.Status() {
					assert.Equal(t, failover.Healthy, st.Read, st.Endpoint)
				}
				assert.Empty(t, s.ended(began, failover.Suspect))
			}, fakes.WithPersonality(p))
		})
	}
}
