package hospital_test

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/hospital-go/hospital/internal/memnet"
)

func newRequest(ctx context.Context, url string) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
}

// gzipServer answers every request with one packed body, over a network of its own.
type gzipServer struct {
	network memnet.Network
	server  *http.Server
}

func listenGzip(packed []byte) (*gzipServer, error) {
	s := &gzipServer{}
	l, err := s.network.Listen("any")
	if err != nil {
		return nil, err
	}
	s.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/fhir+json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed)
	})}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

func (s *gzipServer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return s.network.DialContext(ctx, network, "any")
}

func (s *gzipServer) close() { _ = s.server.Close() }
