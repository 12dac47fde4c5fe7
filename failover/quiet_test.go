package failover //nolint:testpackage // the framing has no way in from outside but a socket per case

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var framed = map[string]struct{ request, due, surplus string }{
	"length":            {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", "张三"},
	"no body":           {"GET / HTTP/1.1\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "x"},
	"not modified":      {"GET / HTTP/1.1\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "x"},
	"HEAD":              {"HEAD / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "x"},
	"empty":             {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", "x"},
	"continue first":    {"PUT / HTTP/1.1\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "x"},
	"chunks":            {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\nA\r\n0123456789\r\n0\r\n\r\n", "x"},
	"chunks, trailer":   {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n", "x"},
	"chunks and length": {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbb\r\n0\r\n\r\n", "x"},
	"until it closes":   {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n\r\nanything, for ever", ""},
	"no HTTP":           {"GET / HTTP/1.1\r\n", "220 smtp ready\r\nwhatever\r\n", ""},
	"bad chunk":         {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody", ""},
	"bare newlines":     {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\nContent-Length: 1\n\nb", "x"},
}

// However the bytes are cut, all of the answer passes and nothing beyond it; then
// the next answer on the same connection is followed anew.
func TestFrame(t *testing.T) {
	t.Parallel()
	for name, c := range framed {
		for size := 1; size <= len(c.due)+len(c.surplus); size++ {
			var f frame
			assert.Zero(t, f.response([]byte("x")), "nothing is due before a request")
			f = frame{}
			f.request([]byte(c.request))
			assert.Equal(t, len(c.due), pass(&f, c.due+c.surplus, size), "%s by %d", name, size)
			if c.surplus != "" {
				f.request([]byte("GET /next HTTP/1.1\r\n"))
				next := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
				assert.Equal(t, len(next), pass(&f, next+"x", size), "%s, the next", name)
			}
		}
	}
}

// An answer came early; what follows on the wire is the rest of that request's
// body and no new request: following the frames ends, and nothing is cut.
func TestFrameAfterAnEarlyAnswer(t *testing.T) {
	t.Parallel()
	var f frame
	f.request([]byte("POST / HTTP/1.1\r\n"))
	early := "HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n"
	assert.Equal(t, len(early), f.response([]byte(early)))
	f.request([]byte("{\"rest\":\"of the body\"}"))
	f.request([]byte("HEAD / HTTP/1.1\r\n"))
	answers := "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 201 Created\r\n"
	assert.Equal(t, len(answers), f.response([]byte(answers)))
}

func pass(f *frame, text string, size int) int {
	passed := 0
	for len(text) > 0 {
		n := min(size, len(text))
		due := f.response([]byte(text[:n]))
		passed += due
		if due < n {
			return passed
		}
		text = text[n:]
	}
	return passed
}

func FuzzFrame(f *testing.F) {
	for _, c := range framed {
		f.Add(c.due+c.surplus, 3)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size <= 0 || size > 1<<16 {
			return
		}
		var whole, parts frame
		whole.request([]byte("GET "))
		parts.request([]byte("GET "))
		a, b := pass(&whole, text, len(text)+1), pass(&parts, text, size)
		if a != b || a > len(text) {
			t.Fatalf("%d in one piece, %d in pieces of %d of %q", a, b, size, strings.ToValidUTF8(text, "?"))
		}
	})
}
