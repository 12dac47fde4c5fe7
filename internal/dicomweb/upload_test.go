package dicomweb_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/internal/dicomweb"
)

// net/http may close a body while it is being read, to end the reading (http.Request.Body).
func TestUploadIsClosedWhileItIsRead(t *testing.T) {
	t.Parallel()
	file := make([]byte, 1<<16)
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }
	for range 100 {
		body, err := dicomweb.NewUpload([]dicomweb.Source{{Size: 1 << 16, Open: open}, {Size: 1 << 16, Open: open}}).Open()
		require.NoError(t, err)
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = io.Copy(struct{ io.Writer }{io.Discard}, body) })
		_ = body.Close()
		reading.Wait()
	}
}

// A body that was closed on its way has no end: else half a file is a whole one.
func TestClosedUploadHasNoEnd(t *testing.T) {
	t.Parallel()
	body, err := dicomweb.NewUpload([]dicomweb.Source{{Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(make([]byte, 1<<20))), nil
	}}}).Open()
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, body, 1<<10)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	rest, err := io.ReadAll(body)
	assert.Error(t, err, "%q", rest)
}
