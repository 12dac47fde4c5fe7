package failover_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// A server, or its gateway, executes a POST and then resets the stream with
// PROTOCOL_ERROR (RFC 9113, section 7). net/http would send it again without end and
// unseen: one payment was executed 2,122 times in three seconds.
func TestHTTP2ProtocolErrorIsNotResent(t *testing.T) {
	t.Parallel()
	ts := httptest.NewUnstartedServer(nil)
	ts.EnableHTTP2 = true
	ts.StartTLS()
	cert := ts.TLS.Certificates[0]
	pool := x509.NewCertPool()
	pool.AddCert(ts.Certificate())
	ts.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var executed, payments atomic.Int64 // payments are those with a body; the others are reads and probes
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()                         //nolint:errcheck // the test's own server
				_, _ = io.ReadFull(c, make([]byte, 24)) // preface
				_, _ = c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
				head := make([]byte, 9)
				for {
					if _, err := io.ReadFull(c, head); err != nil {
						return
					}
					n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
					_, _ = io.CopyN(io.Discard, c, int64(n))
					typ, flags, id := head[3], head[4], binary.BigEndian.Uint32(head[5:])
					if typ == 0 && n > 0 {
						payments.Add(1)
					}
					switch {
					case typ == 4 && flags&1 == 0:
						_, _ = c.Write([]byte{0, 0, 0, 4, 1, 0, 0, 0, 0})
					case (typ == 0 || typ == 1) && flags&1 != 0: // END_STREAM
						executed.Add(1)
						rst := []byte{0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1}
						binary.BigEndian.PutUint32(rst[5:], id)
						_, _ = c.Write(rst)
					case typ == 6 && flags&1 == 0:
						// ping: no answer needed here
					}
				}
			}()
		}
	}()
	d := campus.Description{
		Organizations: []campus.Organization{{ID: "group"}},
		Campuses:      []campus.Campus{{ID: "hankou", Organization: "group", Home: "dc-a"}},
		Systems:       []campus.System{{ID: "his"}}, Stores: []campus.Store{{ID: "his"}},
		DataCenters: []campus.DataCenter{{ID: "dc-a", Role: campus.Active}},
		Endpoints:   []campus.Endpoint{{System: "his", DataCenter: "dc-a", Store: "his", URL: "https://" + l.Addr().(*net.TCPAddr).String() + "/base", HTTP2: true}},
	}
	top, err := campus.New(d)
	require.NoError(t, err)
	c, err := failover.New(failover.Options{Topology: top, TLS: map[campus.EndpointID]*tls.Config{"his/dc-a": {RootCAs: pool, ServerName: "example.com"}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	call := write(failover.Unsafe)
	call.Timeout = 3 * time.Second
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual/pay", strings.NewReader("80.00"))
	require.NoError(t, err)
	_, err = c.Do(t.Context(), call, req)
	require.ErrorIs(t, err, failover.ErrOutcomeUnknown)
	assert.Equal(t, int64(1), payments.Load())
	req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, "http://virtual/read", http.NoBody)
	require.NoError(t, err)
	_, err = c.Do(t.Context(), read(), req)
	require.ErrorIs(t, err, failover.ErrUnavailable)
	assert.Equal(t, int64(1), payments.Load())
	assert.LessOrEqual(t, executed.Load(), int64(6), "the payment, two attempts, and a probe that settles a doubt after each of the three")
}
