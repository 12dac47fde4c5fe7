package hospital

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
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
	// Fetch returned last. It is not called concurrently.
	Fetch(ctx context.Context) ([]byte, error)
}

// ErrUnchanged is what a [Source] returns when there is nothing new.
var ErrUnchanged = errors.New("hospital: the document has not changed")

// TopologyEvent is one document of a [Source], or that none could be had.
type TopologyEvent struct {
	Time time.Time
	// Version of the document, 0 when there is none.
	Version int64
	// Taken: it is in force now.
	Taken bool
	// Err is why not: a [*ConfigFaults], the source's error, or an [ErrTopology].
	Err error
}

// ErrTopology is a sound document that must not follow the one in force.
var ErrTopology = errors.New("hospital: the description cannot follow the one in force")

// FileSource follows a file: it is read again when its content changes, however it
// was replaced: edited, renamed over, or behind a symbolic link that moved, as
// Kubernetes mounts do. It must not be copied after its first use.
type FileSource struct {
	// Path of the file.
	Path string

	last []byte
}

// Fetch reads the file. A file that is being written may be seen half; then it is
// refused as any bad document is, and read again.
func (s *FileSource) Fetch(context.Context) ([]byte, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, errors.New("hospital: the source's file cannot be read")
	}
	defer f.Close() //nolint:errcheck // it was read only
	data, err := readDocument(f)
	if err != nil {
		return nil, err
	}
	if s.last != nil && string(s.last) == string(data) {
		return nil, ErrUnchanged
	}
	s.last = data
	return data, nil
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
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname()))) {
		return nil, errors.New("hospital: HTTPSource.URL must be https, or http on this machine")
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

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
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

// Fetch asks c.Source once and puts the description it brings into c.Topology.
// While the source cannot be had, or brings less than the last good description in
// StateDir, that one is taken; without one c.Topology stays as it is. The error is
// the source's, and nil when there is a description to start with all the same.
func (c *Config) Fetch(ctx context.Context) error {
	if c.Source == nil {
		return nil
	}
	var newest *campus.Description
	if len(c.Topology.Campuses) > 0 {
		newest = &c.Topology
	}
	if kept := c.keptDescription(); kept != nil && follows(newest, kept) == nil {
		newest = kept
	}
	data, err := c.Source.Fetch(ctx)
	if err == nil {
		var fetched *campus.Description
		if fetched, err = readDescription(data); err == nil {
			if err = follows(newest, fetched); err == nil {
				newest = fetched
				c.keep(data)
			}
		}
	}
	if newest == nil {
		return err
	}
	c.Topology = *newest
	return nil
}

// readDescription takes the group out of a document and checks it.
func readDescription(data []byte) (*campus.Description, error) {
	var file configFile
	doc, problems := strictyaml.Decode(data, &file)
	faults := &ConfigFaults{File: "source"}
	for _, p := range problems {
		faults.Faults = append(faults.Faults, ConfigFault(p))
	}
	if len(problems) == 0 {
		var wrong campus.Faults
		if _, err := campus.New(file.Description); errors.As(err, &wrong) {
			for _, f := range wrong {
				line, column := doc.At(f.Place)
				faults.Faults = append(faults.Faults, ConfigFault{Line: line, Column: column, Place: f.Place, Problem: f.Problem})
			}
		}
	}
	if len(faults.Faults) > 0 {
		return nil, faults
	}
	return &file.Description, nil
}

// follows: may next come after old? Equal ones may.
func follows(old, next *campus.Description) error {
	if old == nil || reflect.DeepEqual(*old, *next) {
		return nil
	}
	if next.Version <= old.Version {
		return fmt.Errorf("%w: its version is %d, that in force %d; a change needs a higher one", ErrTopology, next.Version, old.Version)
	}
	for _, s := range next.Stores {
		for _, was := range old.Stores {
			if s.ID == was.ID && s.Epoch < was.Epoch {
				return fmt.Errorf("%w: the epoch of store %s goes back from %d to %d", ErrTopology, s.ID, was.Epoch, s.Epoch)
			}
		}
	}
	return nil
}

const keptName = "topology.yaml"

// keptDescription is the last good one, nil when there is none.
func (c *Config) keptDescription() *campus.Description {
	if c.StateDir == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(c.StateDir, keptName))
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // it was read only
	data, err := readDocument(f)
	if err != nil {
		return nil
	}
	kept, err := readDescription(data)
	if err != nil {
		return nil // half written, or by another version
	}
	return kept
}

// keep stores a document that was taken; it is whole or not there.
func (c *Config) keep(data []byte) {
	if c.StateDir == "" {
		return
	}
	if err := replaceFile(c.StateDir, keptName, data); err != nil && c.Logger != nil {
		c.Logger.Warn("hospital cannot keep the description", "folder", c.StateDir)
	}
}

func replaceFile(dir, name string, data []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// follow asks the source for as long as the client lives.
func (c *Client) follow() {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	c.stopFollowing = func() { stop(); done.Wait() }
	inForce := c.config.Topology
	done.Go(func() {
		ticker := time.NewTicker(c.config.sourceEvery())
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				c.look(ctx, &inForce)
			}
		}
	})
}

func (c *Config) sourceEvery() time.Duration {
	switch _, file := c.Source.(*FileSource); {
	case c.SourceEvery > 0:
		return c.SourceEvery
	case file:
		return 5 * time.Second
	}
	return 30 * time.Second
}

// look asks once and takes what may follow.
func (c *Client) look(ctx context.Context, inForce *campus.Description) {
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	data, err := c.config.Source.Fetch(ctx)
	if errors.Is(err, ErrUnchanged) || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	event := TopologyEvent{Time: time.Now(), Err: err}
	var next *campus.Description
	if err == nil {
		next, event.Err = readDescription(data)
	}
	if event.Err == nil {
		event.Version = next.Version
		event.Err = follows(inForce, next)
	}
	if event.Err == nil && reflect.DeepEqual(*inForce, *next) {
		return // the same in other words
	}
	if event.Err == nil {
		event.Err = c.take(next)
	}
	if event.Taken = event.Err == nil; event.Taken {
		*inForce = *next
		c.config.keep(data)
	}
	c.tell(event)
}

// take puts a description in force.
func (c *Client) take(next *campus.Description) error {
	topology, err := campus.New(*next)
	if err != nil {
		return err
	}
	if c.config.Campus != "" && topology.Campus(c.config.Campus) == nil {
		return fmt.Errorf("%w: it lacks the campus of this program", ErrTopology)
	}
	c.engine.Update(topology)
	return nil
}

func (c *Client) tell(e TopologyEvent) {
	if c.config.OnTopology != nil {
		c.config.OnTopology(e)
	}
	if c.config.Logger == nil {
		return
	}
	if e.Taken {
		c.config.Logger.Info("hospital description taken", "version", e.Version)
		return
	}
	c.config.Logger.Warn("hospital description refused", "version", e.Version, "error", e.Err)
}
