package dicomweb_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

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
