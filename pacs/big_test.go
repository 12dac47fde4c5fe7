package pacs_test

import (
	"flag"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

var bigBytes = flag.Int64("big", 128<<20, "bytes of the study that is moved in constant memory")

// flat is how much more memory than idle a stream may take, whatever its size.
const flat = 64 << 20

// peak is the most heap in use while f ran, beyond what it was before.
func peak(f func()) int64 {
	runtime.GC()
	var idle runtime.MemStats
	runtime.ReadMemStats(&idle)
	var most uint64
	var watching sync.WaitGroup
	stop := make(chan struct{})
	watching.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapInuse)
			}
		}
	})
	f()
	close(stop)
	watching.Wait()
	return int64(most) - int64(idle.HeapInuse)
}

// bigStudy puts a study of two instances into the archive.
func bigStudy(hosp *fakes.Hospital) fakes.Study {
	return hosp.AddStudy("pacs", fakes.Study{
		Patient: hosp.Demo().Patients[0], Name: "Zhang^Sanfeng=张^三丰", Accession: "BIG",
		Series: []fakes.Series{{Modality: "MG", Instances: 2, PixelBytes: *bigBytes / 2}},
	})
}

// Memory does not grow with a study: it is streamed to disk, and from there to another
// archive.
func TestBigStudyInConstantMemory(t *testing.T) { //nolint:paralleltest // it measures the process
	from := fakes.NewHospital(t, fakes.WithLoopback())
	to := fakes.NewHospital(t, fakes.WithLoopback(), fakes.WithPersonality(fakes.Personality{Keep: 1}))
	study := bigStudy(from)
	source, target := imaging(t, from, nil), imaging(t, to, nil)
	var bytes int64
	grown := peak(func() {
		for in, err := range source.Retrieve(t.Context(), pacs.Retrieval{Study: study.UID}) {
			require.NoError(t, err)
			n, err := io.Copy(io.Discard, in.Resource)
			require.NoError(t, err)
			bytes += n
		}
	})
	assert.GreaterOrEqual(t, bytes, *bigBytes)
	assert.LessOrEqual(t, grown, int64(flat), "while it was retrieved")
	t.Logf("%d MiB retrieved, heap grew by %.1f MiB", bytes>>20, float64(grown)/(1<<20))
	grown = peak(func() {
		for in, err := range source.Retrieve(t.Context(), pacs.Retrieval{Study: study.UID}) {
			require.NoError(t, err)
			for stored, err := range target.Store(t.Context(), []pacs.File{pacs.Reader(in.Resource, -1)}, pacs.Upload{}) {
				require.NoError(t, err)
				require.NoError(t, stored.Resource.Err)
				require.Equal(t, pacs.StoredNew, stored.Resource.Outcome)
			}
			want, size, ok := from.StoredDigest("pacs", in.Resource.UID)
			require.True(t, ok)
			got, gotSize, ok := to.StoredDigest("pacs", in.Resource.UID)
			require.True(t, ok)
			assert.Equal(t, want, got)
			assert.Equal(t, size, gotSize)
		}
	})
	assert.LessOrEqual(t, grown, int64(flat), "while it was stored")
	t.Logf("and stored in another archive, heap grew by %.1f MiB", float64(grown)/(1<<20))
}

// imaging opens the imaging verbs of a hospital.
func imaging(tb testing.TB, hosp *fakes.Hospital, change func(*hospital.Config)) *pacs.Client {
	tb.Helper()
	cfg := hosp.Config()
	if change != nil {
		change(&cfg)
	}
	client, err := hospital.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = client.Close() })
	return pacs.New(client)
}
