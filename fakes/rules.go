package fakes

import (
	"context"
	"net"
	"net/http"
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
	// of DICOMweb search-studies, search-series, search-instances, retrieve-study,
	// retrieve-series, retrieve-instance, retrieve-frames, retrieve-bulkdata,
	// retrieve-metadata, retrieve-rendered or store;
	// or role or health, what is asked at [WithRolePath] and [WithHealthPath], which
	// an empty one does not match.
	Interaction string
	// Type is the resource type in the URL; DICOMweb has none.
	Type string
	// Skip lets this many matching requests pass first.
	Skip int
}

// Action is what happens instead of, or around, the execution of a request.
// Fields combine in this order.
type Action struct {
	// Delay before anything else, plus up to Jitter; cut short when the client
	// leaves, unless Late is set: then the request is executed all the same. That the
	// client of a store (STOW-RS) left shows only in its body.
	Delay, Jitter time.Duration
	Late          bool
	// Hang never answers and never executes; it ends when the client leaves.
	Hang bool
	// ResetBefore breaks the connection without executing.
	ResetBefore bool
	// CutRequestAfter takes this many bytes of the body of a store (STOW-RS), then breaks
	// the connection; what came whole before stays stored. Negative takes none.
	CutRequestAfter int64
	// RefuseInstance gives the reason (0008,1197) for which an instance is not stored, by
	// its SOP Instance UID; 0 stores it.
	RefuseInstance func(sop string) (reason int)
	// Status answers with this status instead of executing; Body, ContentType and
	// RetryAfter go with it. An empty Body with ContentType empty is an
	// OperationOutcome, or the JSON of a DICOMweb server's errors. The body of a store
	// is not read then.
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
	// with HTTP/2 the stream only. Negative sends the headers only.
	CutAfter int
	// StallAfter sends this many bytes of the answer's body, then nothing more until
	// the client leaves. Negative sends the headers only.
	StallAfter int64
	// Surplus is sent behind the answer, beyond its Content-Length. HTTP/1 only, and
	// like Rewrite for answers of at most 64 MiB: longer ones are 500.
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
		in.abandoned(ctx)
		return
	case do.ResetBefore:
		breakConnection(w, r)
		return
	}
	var out *answer
	if do.Status == 0 || do.Execute {
		in.image.under(do)
		out = s.execute(in)
	}
	if out != nil && out.lost {
		s.hospital.ledger.told(in, out, 0)
		breakConnection(w, r)
		return
	}
	told := out
	if do.Status != 0 {
		told = s.instead(do)
	} else if do.Rewrite != nil && out.status < 300 {
		told = out.rewritten(do.Rewrite)
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
	if do.Surplus != "" {
		told.sendRaw(w, r, do.Surplus)
		return
	}
	if told.send(ctx, w, do.end()) {
		return
	}
	if do.CutAfter == 0 && do.StallAfter != 0 {
		<-ctx.Done()
	}
	cut(w)
}

// end is the byte of the body at which the answer ends too early.
func (do Action) end() int64 {
	switch {
	case do.CutAfter != 0:
		return max(0, int64(do.CutAfter))
	case do.StallAfter != 0:
		return max(0, do.StallAfter)
	}
	return toTheEnd
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

func (s *server) instead(do Action) *answer {
	a := &answer{status: do.Status, header: http.Header{}, body: []byte(do.Body)}
	switch {
	case do.ContentType != "":
		a.header.Set("Content-Type", do.ContentType)
	case do.Body == "":
		a = s.refuse(do.Status, "transient")
	case strings.HasPrefix(do.Body, "<"):
		a.header.Set("Content-Type", "text/html; charset=utf-8")
	}
	if do.RetryAfter != "" {
		a.header.Set("Retry-After", do.RetryAfter)
	}
	return a
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
