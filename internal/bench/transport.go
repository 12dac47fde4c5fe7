package main

import (
	"context"
	"errors"
	"io"
	"net/http"
)

var errAttemptTimeout = errors.New("attempt took too long")

// bodyWithCancel ends an attempt's context when its answer was read.
type bodyWithCancel struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b bodyWithCancel) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
