package pacs_test

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

// BenchmarkRetrieve streams a study and, in turns with it, the bytes of the same answer
// by a bare http.Client and io.Copy; "ratio" is the median of the pairs' throughput.
func BenchmarkRetrieve(b *testing.B) {
	const pixels = 64 << 20
	hosp := fakes.NewHospital(b, fakes.WithLoopback())
	study := hosp.AddStudy("pacs", fakes.Study{
		Patient: hosp.Demo().Patients[0], Name: "A^B", Series: []fakes.Series{{Modality: "CT", Instances: 16, PixelBytes: pixels / 16}},
	})
	cfg := hosp.Config()
	client, err := hospital.New(cfg)
	require.NoError(b, err)
	defer client.Close() //nolint:errcheck // it never fails
	url := ""
	for _, e := range cfg.Topology.Endpoints {
		if e.Store == "pacs" && e.DataCenter == "dc-a" {
			url = e.URL + "/studies/" + study.UID
		}
	}
	var ratios []float64
	b.SetBytes(pixels)
	for b.Loop() {
		ours := timed(func() { fetch(b, pacs.New(client), study.UID) })
		bare := timed(func() { raw(b, url) })
		ratios = append(ratios, bare.Seconds()/ours.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func fetch(b *testing.B, c *pacs.Client, uid string) {
	b.Helper()
	for in, err := range c.Retrieve(b.Context(), pacs.Retrieval{Study: uid}) {
		require.NoError(b, err)
		_, err = io.Copy(sink{}, in.Resource)
		require.NoError(b, err)
	}
}

func raw(b *testing.B, url string) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(b, err)
	req.Header.Set("Accept", `multipart/related; type="application/dicom"; transfer-syntax=*`)
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := bare.Do(req)
	require.NoError(b, err)
	_, err = io.Copy(sink{}, resp.Body)
	require.NoError(b, err)
	require.NoError(b, resp.Body.Close())
}

var bare = &http.Client{Transport: &http.Transport{}}

// sink takes everything, and not by a way of its own as io.Discard does.
type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }
