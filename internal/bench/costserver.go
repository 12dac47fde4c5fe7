package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// serveVariable tells this program to be the server of -cost: in a process of its
// own, so that CPU time and allocations are the client's only.
const serveVariable = "HOSPITAL_BENCH_SERVE"

var costAnswer = []byte(`{"id":"n","note":"` + strings.Repeat("n", bodyLength) + `"}`)

// serveCost serves until in ends, if this process is to be the server.
func serveCost(in io.Reader, out io.Writer) bool {
	if os.Getenv(serveVariable) == "" {
		return false
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return true
	}
	server := &http.Server{Handler: http.HandlerFunc(answerCost), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }()
	fmt.Fprintln(out, ln.Addr())
	_, _ = io.Copy(io.Discard, in)
	_ = server.Close()
	return true
}

func answerCost(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(costAnswer)
}

// costServer is two child processes, as there are two replicas.
type costServer struct {
	addresses []string
	ends      []func()
}

func startCostServer(ctx context.Context) (*costServer, error) {
	s := &costServer{}
	for range 2 {
		if err := s.add(ctx); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

func (s *costServer) add(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), serveVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.ends = append(s.ends, func() { _ = in.Close(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	s.addresses = append(s.addresses, strings.TrimSpace(address))
	return err
}

func (s *costServer) stop() {
	for _, end := range s.ends {
		end()
	}
}

// memory answers without a network: what remains is the client's own cost.
type memory struct{}

func (memory) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header:        http.Header{"Content-Type": {mediaType}},
		ContentLength: int64(len(costAnswer)), Body: io.NopCloser(bytes.NewReader(costAnswer)),
	}, nil
}

// tracers are SDKs that record nothing, and everything into a batch that goes nowhere.
func tracers() (never, sampled *sdktrace.TracerProvider) {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())),
		sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithBatcher(nowhere{}))
}

type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }

func (nowhere) Shutdown(context.Context) error { return nil }
