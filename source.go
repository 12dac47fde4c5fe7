package hospital

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/hospital-go/hospital/internal/link"
	"github.com/hospital-go/hospital/internal/strictyaml"
)

// Source brings the description of the hospital group: a [FileSource], an
// [HTTPSource], or one's own.
//
// A document is a hospital.yaml; of what stands in it only the description of the
// group is taken while a program runs (organizations to endpoints, and version),
// the rest at the next start. It is taken when it is sound, its version is higher
// than that of the one in force, and no store's epoch goes back; else the one in
// force stays and [Config.OnTopology] says why.
type Source interface {
	// Fetch returns the whole document, or [ErrUnchanged] when it is the one that
	// Fetch returned last. It is not called concurrently. Its error is logged, so it
	// must hold no secret.
	Fetch(ctx context.Context) ([]byte, error)
}

// ErrUnchanged is what a [Source] returns when there is nothing new.
var ErrUnchanged = errors.New("hospital: the document has not changed")

// FileSource follows a file: it is read again when its content changes, however it
// was replaced: edited, renamed over, or behind a symbolic link that moved, as
// Kubernetes mounts do. It must not be copied after its first use.
type FileSource struct {
	// Path of the file.
	Path string

	last []byte
}

// Fetch reads the file. One that was written just now is left alone for a moment and
// must then be the same: half of a document can be sound, and describe a group
// without its last endpoints.
func (s *FileSource) Fetch(ctx context.Context) ([]byte, error) {
	data, written, err := s.read()
	switch {
	case err != nil:
		return nil, err
	case s.last != nil && string(s.last) == string(data):
		return nil, ErrUnchanged
	}
	if age := time.Since(written); age >= 0 && age < fileSettles {
		sleepUntil(ctx, written.Add(fileSettles))
		again, _, err := s.read()
		if err != nil || string(again) != string(data) || ctx.Err() != nil {
			return nil, errors.New("hospital: the source's file is being written")
		}
	}
	s.last = data
	return data, nil
}

// fileSettles is how long a file must not have been written to.
const fileSettles = 500 * time.Millisecond

func (s *FileSource) read() (data []byte, written time.Time, err error) {
	info, err := os.Stat(s.Path)
	if err != nil || !info.Mode().IsRegular() { // a pipe would wait for somebody to write
		return nil, written, errors.New("hospital: the source's file is not there, or is no file")
	}
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, written, errors.New("hospital: the source's file cannot be read")
	}
	defer f.Close() //nolint:errcheck // it was read only
	data, err = readDocument(f)
	return data, info.ModTime(), err
}

func readDocument(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, strictyaml.MaxSize+1))
	if err != nil || len(data) > strictyaml.MaxSize {
		return nil, errors.New("hospital: the source's document cannot be read, or is too large")
	}
	return data, nil
}

// SignatureHeader carries the Ed25519 signature of an [HTTPSource]'s document, in base64.
const SignatureHeader = "X-Hospital-Signature"

// HTTPSource asks a URL, with ETags (RFC 9110, section 13.1.2). It must not be
// copied after its first use.
type HTTPSource struct {
	// URL of the document; https, or http on this machine.
	URL string
	// Client sends the requests; nil means one with 10 s for each, no proxy, and the
	// machine's authorities. Redirects are not followed.
	Client *http.Client
	// Authorize adds credentials to a request; nil adds none.
	Authorize func(req *http.Request) error
	// PublicKey must have signed every document (its bytes as they are, the signature
	// in [SignatureHeader]); empty asks for no signature.
	PublicKey ed25519.PublicKey

	etag string
}

// Fetch asks once.
func (s *HTTPSource) Fetch(ctx context.Context) ([]byte, error) {
	req, err := s.request(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := s.client().Do(req)
	if err != nil {
		return nil, errors.New("hospital: the source did not answer")
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && s.etag != "" {
		return nil, ErrUnchanged
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("hospital: the source answered with status %d", resp.StatusCode)
	}
	data, err := readDocument(resp.Body)
	if err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.DecodeString(resp.Header.Get(SignatureHeader))
	if len(s.PublicKey) > 0 && (err != nil || len(s.PublicKey) != ed25519.PublicKeySize || !ed25519.Verify(s.PublicKey, data, signature)) {
		return nil, errors.New("hospital: the source's document is not signed with the key that was configured")
	}
	s.etag = resp.Header.Get("ETag")
	return data, nil
}

func (s *HTTPSource) request(ctx context.Context) (*http.Request, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "https" && !(u.Scheme == "http" && link.Loopback(u.Hostname()))) {
		return nil, errors.New("hospital: HTTPSource.URL must be https, or http on this machine, without user, password or query; use Authorize")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, errors.New("hospital: HTTPSource.URL makes no request")
	}
	if s.etag != "" {
		req.Header.Set("If-None-Match", s.etag)
	}
	if s.Authorize != nil && s.Authorize(req) != nil {
		return nil, errors.New("hospital: the source's credentials cannot be had")
	}
	return req, nil
}

const sourceTimeout = 10 * time.Second

func (s *HTTPSource) client() *http.Client {
	own := http.Client{Timeout: sourceTimeout, Transport: sourceTransport}
	if s.Client != nil {
		own = *s.Client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// sourceTransport has no proxy.
var sourceTransport = &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: sourceTimeout}
