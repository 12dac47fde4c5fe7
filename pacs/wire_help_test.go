package pacs_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/internal/memnet"
	"github.com/hospital-go/hospital/pacs"
)

// Two data centres whose archives say, byte by byte, what a test wants: connections in
// memory, answers written by hand.

const (
	wireIssuer = "urn:oid:2.16.156.10011.9"
	wireStudy  = "2.25.77001"
	wireCT     = "1.2.840.10008.5.1.4.1.1.2"
)

// wireFraming is how an answer says where it ends.
type wireFraming string

const (
	wireLength  wireFraming = "length"
	wireChunked wireFraming = "chunked"
	wireClosing wireFraming = "closing" // by the connection's end, which looks well wherever it comes
)

var wireFramings = []wireFraming{wireLength, wireChunked, wireClosing}

// wireAnswer is what goes over the wire.
type wireAnswer struct {
	status  int // 200
	media   string
	header  string // more lines, each with its CRLF
	body    []byte
	framing wireFraming
	cut     int              // 1 + after how many bytes of the body the connection ends; 0 never
	endless func(io.Writer)  // behind the body, until writing fails
	drop    bool             // no answer: the connection ends
	late    <-chan struct{}  // nothing is said before
	told    func(wrote bool) // when it is over
}

// until cuts the answer after n bytes of its body.
func (a wireAnswer) until(n int) wireAnswer {
	a.cut = n + 1
	return a
}

func (a wireAnswer) framed(f wireFraming) wireAnswer {
	a.framing = f
	return a
}

const wireChunk = 97

// write sends it and reports whether the connection may go on.
func (a wireAnswer) write(conn io.Writer) bool {
	if a.drop {
		return false
	}
	if a.endless != nil && a.framing != wireLength {
		a.framing = wireClosing
	}
	_, _ = conn.Write(a.bytes()) // the other end may be gone
	if a.endless != nil {
		w := bufio.NewWriter(conn)
		a.endless(w)
	}
	return a.framing != wireClosing && a.cut == 0 && a.endless == nil
}

// bytes are those on the wire, as far as they have an end.
func (a wireAnswer) bytes() []byte {
	status := cmp.Or(a.status, http.StatusOK)
	out := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%s", status, http.StatusText(status), a.header)
	if a.media != "" {
		out = fmt.Appendf(out, "Content-Type: %s\r\n", a.media)
	}
	n := len(a.body)
	if a.cut > 0 {
		n = min(a.cut-1, n)
	}
	switch {
	case a.framing == wireChunked:
		return a.chunks(append(out, "Transfer-Encoding: chunked\r\n\r\n"...), n)
	case a.framing == wireClosing:
		out = append(out, "Connection: close\r\n"...)
	case a.endless != nil:
		out = append(out, "Content-Length: 1000000000000\r\n"...)
	case status != http.StatusNoContent:
		out = fmt.Appendf(out, "Content-Length: %d\r\n", len(a.body))
	}
	return append(append(out, "\r\n"...), a.body[:n]...)
}

// chunks adds n bytes of the body in chunks, of which the last may be cut.
func (a wireAnswer) chunks(out []byte, n int) []byte {
	for at := 0; at < n; at += wireChunk {
		size := min(wireChunk, len(a.body)-at)
		out = append(fmt.Appendf(out, "%x\r\n", size), a.body[at:min(at+size, n)]...)
		if at+size <= n {
			out = append(out, "\r\n"...)
		}
	}
	if a.cut == 0 {
		out = append(out, "0\r\n\r\n"...)
	}
	return out
}

// wireSite is one data centre's door.
type wireSite struct {
	mu           sync.Mutex
	answer       func(r *http.Request) wireAnswer
	log          []string // method and path of each request, without probes
	open, opened int      // connections
}

const wireProbe = "/dicom-web/metadata"

func (s *wireSite) serve(conn net.Conn) {
	s.count(1)
	defer s.count(-1)
	defer conn.Close() //nolint:errcheck // in memory
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		a := s.say(req)
		if a.late != nil {
			<-a.late
		}
		more := a.write(conn)
		if a.told != nil {
			a.told(more)
		}
		if !more {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
	}
}

func (s *wireSite) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
	s.opened += max(n, 0)
}

func (s *wireSite) say(req *http.Request) wireAnswer {
	if req.URL.Path == wireProbe {
		return wireAnswer{media: "application/json", body: []byte("{}")}
	}
	s.mu.Lock()
	s.log = append(s.log, req.Method+" "+strings.TrimPrefix(req.URL.Path, "/dicom-web"))
	answer := s.answer
	s.mu.Unlock()
	return answer(req)
}

// asked are the requests since the last time.
func (s *wireSite) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.log
	s.log = nil
	return out
}

func (s *wireSite) says(answer func(r *http.Request) wireAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// wire is the stage: dc-1, which is asked first, and dc-2, unless there is only one.
type wire struct {
	t       *testing.T
	network memnet.Network
	sites   []*wireSite
	change  func(*hospital.Config) // of each client
}

// onWire plays a scene in virtual time. The bubble does not end while anything is left:
// a body that was not closed, a goroutine.
func onWire(t *testing.T, sites int, scene func(w *wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{t: t}
		for i := range sites {
			w.sites = append(w.sites, w.listen(i))
		}
		scene(w)
	})
}

func wireCenter(i int) string { return "dc-" + strconv.Itoa(i+1) }

func (w *wire) listen(i int) *wireSite {
	s := &wireSite{answer: func(*http.Request) wireAnswer { return wireAnswer{status: http.StatusNotFound} }}
	l, err := w.network.Listen("pacs." + wireCenter(i) + ":80")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (w *wire) config() hospital.Config {
	d := campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-1"}},
		Systems:       []campus.System{{ID: campus.PACS}},
		Stores:        []campus.Store{{ID: "pacs"}},
	}
	cfg := hospital.Config{DisableTracing: true, MaxBody: 1 << 20, Dial: map[campus.DataCenterID]failover.DialFunc{}}
	for i := range w.sites {
		id := campus.DataCenterID(wireCenter(i))
		cfg.Dial[id] = w.network.DialContext
		d.DataCenters = append(d.DataCenters, campus.DataCenter{ID: id, Role: campus.Active})
		d.Endpoints = append(d.Endpoints, campus.Endpoint{
			System: campus.PACS, DataCenter: id, Store: "pacs", URL: "http://pacs." + wireCenter(i) + "/dicom-web", AllowPlainHTTP: true,
			Contract: campus.Contract{UpdateCreate: true},
		})
	}
	cfg.Topology = d
	return cfg
}

// with runs f with a client that knows nothing of the sites yet, and sees that
// nothing of it is left.
func (w *wire) with(f func(c *pacs.Client)) {
	w.t.Helper()
	cfg := w.config()
	if w.change != nil {
		w.change(&cfg)
	}
	client, err := hospital.New(cfg)
	require.NoError(w.t, err)
	defer func() { // also when f gives up
		assert.NoError(w.t, client.Close()) //nolint:testifylint // what is open is told too
		w.settle()
	}()
	f(pacs.New(client))
}

// settle: a body that nobody closed would hold its connection.
func (w *wire) settle() {
	w.t.Helper()
	synctest.Wait()
	for i, s := range w.sites {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		if open != 0 {
			w.t.Errorf("%d connections to %s are open", open, wireCenter(i))
		}
	}
}
