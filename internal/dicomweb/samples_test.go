package dicomweb_test

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/dicomweb"
)

var littleEndian = binary.LittleEndian

// samples calls yield with each DICOM file below $HOSPITAL_SAMPLES/dicom and
// $HOSPITAL_DICOM_FILES, and says how many there were.
func samples(tb testing.TB, yield func(data []byte)) (n int) {
	tb.Helper()
	var roots []string
	if dir := os.Getenv("HOSPITAL_SAMPLES"); dir != "" {
		roots = append(roots, filepath.Join(dir, "dicom"))
	}
	if dir := os.Getenv("HOSPITAL_DICOM_FILES"); dir != "" {
		roots = append(roots, dir)
	}
	for _, root := range roots {
		require.NoError(tb, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err == nil && len(data) > 132 && string(data[128:132]) == "DICM" {
				n++
				yield(data)
			}
			return err
		}))
	}
	return n
}

// Files of real devices: each is read whole or refused, never half; those that are
// read give the same head and digest however they come.
func TestSamples(t *testing.T) {
	t.Parallel()
	read := 0
	all := samples(t, func(data []byte) {
		h, prefix, err := dicomweb.ReadHead(bytes.NewReader(data))
		assert.True(t, bytes.HasPrefix(data, prefix))
		d, sumErr := dicomweb.Sum(bytes.NewReader(data))
		known(t, err)
		known(t, sumErr)
		if err != nil {
			assert.Error(t, sumErr)
			return
		}
		read++
		if sumErr == nil {
			assert.Equal(t, h, d.Head)
			assert.EqualValues(t, len(data), d.Size)
		}
	})
	if all == 0 {
		t.Skip("no sample files: set HOSPITAL_SAMPLES, or HOSPITAL_DICOM_FILES to a folder of DICOM files (such as pydicom's)")
	}
	t.Logf("%d of %d files are instances with all their UIDs", read, all)
	assert.Positive(t, read)
}
