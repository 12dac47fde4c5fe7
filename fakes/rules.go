package fakes

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Rule is one fault as data: when it applies and what it does. The first rule
// that applies to a request is used; several are tried in the order of Break.
type Rule struct {
	When When
	Do   Action
	// Times is how often it is used; zero means until it is removed.
	Times int
}

// When is a condition on a request; an empty field matches all.
type When struct {
	System      campus.SystemID
	DataCenter  campus.DataCenterID
	Environment campus.EnvironmentID
	// Interaction is read, search-type, create, update, transaction or capabilities;
	// or role or health, what is asked at [WithRolePath] and [WithHealthPath], which
	// an empty one does not match.
	Interaction string
	// Type is the resource type in the URL.
	Type string
	// Skip lets this many matching requests pass first.
	Skip int
}

// Action is what happens instead of, or around, the execution of a request.
// Fields combine in this order.
type Action struct {
	// Delay before anything else, plus up to Jitter; cut short when the client
	// leaves, unless Late is set: then the request is executed all the same.
	Delay, Jitter time.Duration
	Late          bool
	// Hang never answers and never executes; it ends when the client leaves.
	Hang bool
	// ResetBefore breaks the connection without executing.
	ResetBefore bool
	// Status answers with this status instead of executing; Body, ContentType and
	// RetryAfter go with it. An empty Body with ContentType empty is an
	// OperationOutcome.
	Status            int
	Body, ContentType string
	RetryAfter        string
	// Execute executes the request all the same before Status is answered: a
	// gateway answered in the server's place.
	Execute bool
	// AnswerDelay waits after executing.
	AnswerDelay time.Duration
	// Close makes the answer say Connection: close. Over HTTP/2 the connection takes
	// no more requests (GOAWAY).
	Close bool
	// ResetAfter executes, then breaks the connection: the answer is lost.
	ResetAfter bool
	// CutAfter sends this many bytes of the answer's body, then breaks the connection,
	// with HTTP/2 the stream only.
	CutAfter int
	// Surplus is sent behind the answer, beyond its Content-Length. HTTP/1 only.
	Surplus string
	// Rewrite changes the bytes of a successful answer's body.
	Rewrite func(body []byte) []byte
}

type activeRule struct {
	Rule
	seen, used int
}

// Break adds a rule and returns what removes it.
func (h *Hospital) Break(r Rule) (remove func()) {
	active := &activeRule{Rule: r}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = append(h.rules, active)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for i, other := range h.rules {
			if other == active {
				h.rules = append(h.rules[:i:i], h.rules[i+1:]...)
				return
			}
		}
	}
}

// rule finds the action for a request, the zero Action when no rule applies.
func (h *Hospital) rule(e *campus.Endpoint, in *request) Action {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.rules {
		w := r.When
		if !w.matches(e, in) || (r.Times > 0 && r.used >= r.Times) {
			continue
		}
		if r.seen++; r.seen <= w.Skip {
			continue
		}
		r.used++
		return r.Do
	}
	return Action{}
}

func (w When) matches(e *campus.Endpoint, in *request) bool {
	return (w.System == "" || w.System == e.System) && (w.DataCenter == "" || w.DataCenter == e.DataCenter) &&
		(w.Environment == "" || w.Environment == e.Environment) && (w.Type == "" || w.Type == in.typ) &&
		(w.Interaction == in.interaction || (w.Interaction == "" && !in.beside()))
}

// perform runs the request under the action.
func (s *server) perform(w http.ResponseWriter, r *http.Request, in *request, do Action) {
	ctx := r.Context()
	if !do.wait(ctx, s.hospital) {
		return
	}
	switch {
	case do.Hang:
		<-ctx.Done()
		return
	case do.ResetBefore:
		breakConnection(w, r)
		return
	}
	var out *answer
	if do.Status == 0 || do.Execute {
		out = s.execute(in)
	}
	told := out
	if do.Status != 0 {
		told = do.instead()
	} else if do.Rewrite != nil && out.status < 300 {
		told = &answer{status: out.status, header: out.header, body: do.Rewrite(out.body)}
	}
	if do.Close {
		told.header.Set("Connection", "close")
	}
	if do.AnswerDelay > 0 {
		pause(context.WithoutCancel(ctx), do.AnswerDelay)
	}
	if do.ResetAfter {
		s.hospital.ledger.told(in, out, 0)
		breakConnection(w, r)
		return
	}
	s.hospital.ledger.told(in, out, told.status)
	if do.CutAfter > 0 && do.CutAfter < len(told.body) {
		told.send(w, do.CutAfter)
		cut(w)
		return
	}
	if do.Surplus != "" {
		told.sendRaw(w, r, do.Surplus)
		return
	}
	told.send(w, len(told.body))
}

func (do Action) wait(ctx context.Context, h *Hospital) bool {
	d := do.Delay
	if do.Jitter > 0 {
		h.mu.Lock()
		d += time.Duration(h.chance.Int64N(int64(do.Jitter)))
		h.mu.Unlock()
	}
	if do.Late {
		ctx = context.WithoutCancel(ctx)
	}
	return d == 0 || pause(ctx, d)
}

func (do Action) instead() *answer {
	a := &answer{status: do.Status, header: http.Header{}, body: []byte(do.Body)}
	switch {
	case do.ContentType != "":
		a.header.Set("Content-Type", do.ContentType)
	case do.Body == "":
		a = refuse(do.Status, "transient")
	case strings.HasPrefix(do.Body, "<"):
		a.header.Set("Content-Type", "text/html; charset=utf-8")
	}
	if do.RetryAfter != "" {
		a.header.Set("Retry-After", do.RetryAfter)
	}
	return a
}

// answer is a response before it is sent.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	created []string // Numbers of what was created, or newly given
	changed bool
}

func (a *answer) send(w http.ResponseWriter, n int) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body[:n])
	if n < len(a.body) {
		_ = http.NewResponseController(w).Flush()
	}
}

// sendRaw writes the answer and something more, which net/http would not.
func (a *answer) sendRaw(w http.ResponseWriter, r *http.Request, surplus string) {
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "HTTP/1.1 %d X\r\nContent-Length: %d\r\n", a.status, len(a.body))
	_ = a.header.Write(&b)
	_, _ = fmt.Fprintf(&b, "\r\n%s%s", a.body, surplus)
	hijacked(w, r, func(c net.Conn) {
		_, _ = c.Write(b.Bytes())
		_ = c.Close()
	})
}

func breakConnection(w http.ResponseWriter, r *http.Request) { hijacked(w, r, resetConn) }

// cut is no reset, which could overtake the bytes.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close()
}

// hijacked does something to the request's connection, which ends with it.
func hijacked(w http.ResponseWriter, r *http.Request, do func(net.Conn)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		do(conn)
		return
	}
	if raw, ok := r.Context().Value(connKey{}).(interface{ NetConn() net.Conn }); ok && r.ProtoMajor > 1 {
		do(raw.NetConn()) // below TLS, where HTTP/2 does not look
	}
	panic(http.ErrAbortHandler)
}

// pause waits and reports whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
