package fhir_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/fhir/r4"
)

// script answers each request with the next of its answers.
type script struct {
	answers []string
	status  int
	header  http.Header
	sent    []*http.Request
	bodies  []string
	err     error
}

func (s *script) Do(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	s.sent, s.bodies = append(s.sent, req), append(s.bodies, string(body))
	if s.err != nil {
		return nil, s.err
	}
	answer := s.answers[min(len(s.sent), len(s.answers))-1]
	if s.status == 0 {
		s.status = http.StatusOK
	}
	h := s.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/fhir+json; charset=utf-8")
	}
	return &http.Response{StatusCode: s.status, Header: h, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

func newClient(t testing.TB, d fhir.Doer, opts ...fhir.Option) *fhir.Client {
	t.Helper()
	c, err := fhir.New(d, "https://his.test/fhir/", opts...)
	require.NoError(t, err)
	return c
}

func page(links string, ids ...string) string {
	entries := make([]string, 0, len(ids))
	for _, id := range ids {
		entries = append(entries, `{"resource":{"resourceType":"Slot","id":"`+id+`"}}`)
	}
	return `{"resourceType":"Bundle","type":"searchset","link":[` + links + `],"entry":[` + strings.Join(entries, ",") + `]}`
}

func next(u string) string { return `{"relation":"next","url":"` + u + `"}` }
func self(u string) string { return `{"relation":"self","url":"` + u + `"}` }

func collect(s *script, t *testing.T, q fhir.Query) ([]string, error) {
	t.Helper()
	var ids []string
	for slot, err := range fhir.Matches[*r4.Slot](fhir.Search(t.Context(), newClient(t, s), q)) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, slot.ID)
	}
	return ids, nil
}

func TestSearch(t *testing.T) {
	t.Parallel()
	q := fhir.Query{Type: "Slot", Params: url.Values{"identifier": {"sys|1"}, "_count": {"2"}}}
	for name, c := range map[string]struct {
		answers []string
		post    bool
		want    []string
		err     error
	}{
		"one page":                         {[]string{page("", "1", "2")}, false, []string{"1", "2"}, nil},
		"three pages":                      {[]string{page(next("https://his.test/fhir?c=1"), "1"), page(next("https://his.test/fhir?c=2"), "2"), page("", "3")}, false, []string{"1", "2", "3"}, nil},
		"pages that overlap":               {[]string{page(next("https://his.test/fhir?c=1"), "1", "2"), page("", "2", "3")}, false, []string{"1", "2", "3"}, nil},
		"a relative link":                  {[]string{page(next("?c=1"), "1"), page("", "2")}, false, []string{"1", "2"}, nil},
		"self with everything":             {[]string{page(self("https://his.test/fhir/Slot?identifier=sys%7C1&_count=2"), "1")}, false, []string{"1"}, nil},
		"self without the filter":          {[]string{page(self("https://his.test/fhir/Slot?_count=2"), "1")}, false, nil, fhir.ErrFilterIgnored},
		"self without the filter, POST":    {[]string{page(self("https://his.test/fhir/Slot/_search?_count=2"), "1")}, true, []string{"1"}, nil},
		"self with another value":          {[]string{page(self("https://his.test/fhir/Slot?identifier=sys%7C2"), "1")}, false, nil, fhir.ErrFilterIgnored},
		"self with half of it":             {[]string{page(self("https://his.test/fhir/Slot?identifier="), "1")}, false, nil, fhir.ErrFilterIgnored},
		"self of another type":             {[]string{page(self("https://his.test/fhir/Schedule?identifier=sys%7C1"), "1")}, false, nil, fhir.ErrFilterIgnored},
		"self with another, POST":          {[]string{page(self("https://his.test/fhir/Slot/_search?identifier=sys%7C2"), "1")}, true, nil, fhir.ErrFilterIgnored},
		"self without any query":           {[]string{page(self("https://his.test/fhir/Slot"), "1")}, false, nil, fhir.ErrFilterIgnored},
		"next at another host":             {[]string{page(next("https://evil.test/fhir?c=1"), "1")}, false, []string{"1"}, fhir.ErrLink},
		"next that climbs":                 {[]string{page(next("https://his.test/fhir/..;/admin"), "1")}, false, []string{"1"}, fhir.ErrLink},
		"next beside the base":             {[]string{page(next("https://his.test/fhirevil"), "1")}, false, []string{"1"}, fhir.ErrLink},
		"next in a circle":                 {[]string{page(next("https://his.test/fhir?c=1"), "1"), page(next("https://his.test/fhir?c=1"), "2")}, false, []string{"1", "2"}, fhir.ErrPageLost},
		"fewer than counted":               {[]string{strings.Replace(page("", "1"), `"link"`, `"total":2,"link"`, 1)}, false, nil, fhir.ErrIncomplete},
		"fewer than counted on two pages":  {[]string{strings.Replace(page(next("?c=1"), "1"), `"link"`, `"total":3,"link"`, 1), page("", "2")}, false, []string{"1"}, fhir.ErrIncomplete},
		"one id twice":                     {[]string{page("", "1", "1")}, false, nil, fhir.ErrUnexpected},
		"the server says that some failed": {[]string{`{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"incomplete"}]}}]}`}, false, nil, fhir.ErrIncomplete},
		"the server warns":                 {[]string{`{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"informational"}]}}]}`}, false, nil, nil},
		"a patient dressed as an outcome":  {[]string{`{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"outcome"},"resource":{"resourceType":"Patient"}}]}`}, false, nil, fhir.ErrUnexpected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := q
			asked.Post = c.post
			s := &script{answers: c.answers}
			got, err := collect(s, t, asked)
			require.ErrorIs(t, err, c.err)
			assert.Equal(t, c.want, got)
			assert.Equal(t, "handling=strict", s.sent[0].Header.Get("Prefer"))
			if c.post {
				assert.Equal(t, "/fhir/Slot/_search", s.sent[0].URL.RequestURI())
				assert.Equal(t, "_count=2&identifier=sys%7C1", s.bodies[0])
			}
		})
	}
}

// A Doer that loses the cursor between pages: the search begins again and
// delivers nothing twice.
func TestSearchRestarts(t *testing.T) {
	t.Parallel()
	n := 0
	d := doer(func(req *http.Request) (*http.Response, error) {
		i, _ := fhir.InteractionOf(req.Context())
		answer := page(next("https://his.test/fhir?c=1"), "1", "2")
		switch n++; n {
		case 2:
			assert.NotNil(t, i.Previous)
			return nil, fmt.Errorf("%w: down", fhir.ErrCursorLost)
		case 3:
			assert.True(t, i.Restart)
		case 4:
			answer = page("", "3")
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer)), Request: req}, nil
	})
	var ids []string
	for slot, err := range fhir.Matches[*r4.Slot](fhir.Search(t.Context(), newClient(t, d), fhir.Query{Type: "Slot"})) {
		require.NoError(t, err)
		ids = append(ids, slot.ID)
	}
	assert.Equal(t, []string{"1", "2", "3"}, ids)
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(req *http.Request) (*http.Response, error) { return d(req) }

func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status      int
		body        string
		contentType string
		err         error
	}{
		"the resource":        {200, `{"resourceType":"Slot","id":"1"}`, "", nil},
		"another id":          {200, `{"resourceType":"Slot","id":"2"}`, "", fhir.ErrUnexpected},
		"another type":        {200, `{"resourceType":"Patient","id":"1"}`, "", fhir.ErrUnexpected},
		"nothing":             {200, ``, "", fhir.ErrForeign},
		"not modified":        {304, ``, "", fhir.ErrForeign},
		"accepted":            {202, `{"resourceType":"Slot","id":"1"}`, "", fhir.ErrUnexpected},
		"HTML":                {200, `<html>`, "text/html", fhir.ErrForeign},
		"JSON as HTML":        {200, `{"resourceType":"Slot","id":"1"}`, "text/html", fhir.ErrForeign},
		"not found":           {404, `{"resourceType":"OperationOutcome","issue":[]}`, "", fhir.ErrNotFound},
		"deleted":             {410, `{"resourceType":"OperationOutcome","issue":[]}`, "", fhir.ErrGone},
		"a gateway's 404":     {404, `{"message":"no route"}`, "", fhir.ErrForeign},
		"invalid":             {400, `{"resourceType":"OperationOutcome","issue":[]}`, "", fhir.ErrInvalid},
		"larger than allowed": {200, `{"resourceType":"Slot","id":"1","comment":"` + strings.Repeat("x", 2000) + `"}`, "", fhir.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []string{c.body}, status: c.status, header: http.Header{"Content-Type": {c.contentType}}}
			slot, _, err := fhir.Read[*r4.Slot](t.Context(), newClient(t, s, fhir.WithMaxBody(1000)), "1")
			require.ErrorIs(t, err, c.err)
			if err == nil {
				assert.Equal(t, "1", slot.ID)
			}
		})
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := &script{answers: []string{"{}"}}
	c, ctx := newClient(t, s), t.Context()
	unknown, err := r4.NewUnknown([]byte(`{"resourceType":"Basic"}`))
	require.NoError(t, err)
	for name, call := range map[string]func() error{
		"an id with a slash": func() error { _, _, err := fhir.Read[*r4.Slot](ctx, c, "1/../../Patient/2"); return err },
		"an empty id":        func() error { _, _, err := fhir.Read[*r4.Slot](ctx, c, ""); return err },
		"no type":            func() error { _, _, err := fhir.Read[r4.Resource](ctx, c, "1"); return err },
		"a nil resource":     func() error { _, _, err := fhir.Create[*r4.Slot](ctx, c, nil); return err },
		"no version":         func() error { _, _, err := fhir.Update(ctx, c, &r4.Slot{ID: "1"}); return err },
		"no id":              func() error { _, _, err := fhir.CreateAs(ctx, c, &r4.Slot{}); return err },
		"identifier without value": func() error {
			_, _, err := fhir.CreateIfNone(ctx, c, &r4.Slot{Identifier: []r4.Identifier{{System: "x"}}}, r4.Identifier{System: "x"})
			return err
		},
		"identifier with a comma": func() error {
			_, _, err := fhir.CreateIfNone(ctx, c, &r4.Slot{Identifier: []r4.Identifier{{System: "x", Value: "a,b"}}}, r4.Identifier{System: "x", Value: "a,b"})
			return err
		},
		"no transaction": func() error { _, _, err := fhir.Transaction(ctx, c, nil); return err },
		"an unguarded Put": func() error {
			_, _, err := fhir.Transaction(ctx, c, &r4.Bundle{Type: "transaction", Entry: []r4.BundleEntry{fhir.Put(&r4.Slot{ID: "1"})}})
			return err
		},
		"a Post without number": func() error {
			_, _, err := fhir.Transaction(ctx, c, &r4.Bundle{Type: "transaction", Entry: []r4.BundleEntry{fhir.Post(unknown, "", r4.Identifier{})}})
			return err
		},
		"a search of no type": func() error {
			for _, err := range fhir.Search(ctx, c, fhir.Query{Type: "metadata"}) {
				return err
			}
			return nil
		},
	} {
		require.ErrorIs(t, call(), fhir.ErrRequest, name)
	}
	assert.Empty(t, s.sent, "nothing was sent")
}

func TestWrites(t *testing.T) {
	t.Parallel()
	slot := &r4.Slot{ID: "1", Meta: &r4.Meta{VersionId: "3"}}
	for name, c := range map[string]struct {
		status int
		answer string
		err    error
	}{
		"updated":       {200, `{"resourceType":"Slot","id":"1","meta":{"versionId":"4"}}`, nil},
		"no body":       {200, " \n ", nil},
		"another slot":  {200, `{"resourceType":"Slot","id":"2"}`, fhir.ErrUnexpected},
		"accepted":      {202, "", fhir.ErrUnexpected},
		"stale":         {412, `{"resourceType":"OperationOutcome","issue":[]}`, fhir.ErrPrecondition},
		"conflict":      {409, `{"resourceType":"OperationOutcome","issue":[]}`, fhir.ErrConflict},
		"not modified?": {304, "", fhir.ErrForeign},
	} {
		s := &script{answers: []string{c.answer}, status: c.status, header: http.Header{"Etag": {`W/"4"`}}}
		_, resp, err := fhir.Update(t.Context(), newClient(t, s), slot)
		require.ErrorIs(t, err, c.err, name)
		assert.Equal(t, `W/"3"`, s.sent[0].Header.Get("If-Match"))
		if err == nil {
			assert.Equal(t, `W/"4"`, resp.ETag)
		}
	}
}

func TestTransactionAnswers(t *testing.T) {
	t.Parallel()
	bundle := &r4.Bundle{Type: "transaction", Entry: []r4.BundleEntry{
		fhir.Put(&r4.Slot{ID: "1", Meta: &r4.Meta{VersionId: "3"}}),
		fhir.Post(&r4.Appointment{Identifier: []r4.Identifier{{System: "s", Value: "1"}}}, "", r4.Identifier{System: "s", Value: "1"}),
	}}
	ok := `{"response":{"status":"200 OK"},"resource":{"resourceType":"Slot","id":"1"}}`
	made := `{"response":{"status":"201","location":"Appointment/9/_history/1"},"resource":{"resourceType":"Appointment","id":"9"}}`
	answer := func(entries ...string) string {
		return `{"resourceType":"Bundle","type":"transaction-response","entry":[` + strings.Join(entries, ",") + `]}`
	}
	for name, c := range map[string]struct {
		answer string
		err    error
	}{
		"all of it":            {answer(ok, made), nil},
		"one is missing":       {answer(ok), fhir.ErrUnexpected},
		"one failed":           {answer(ok, `{"response":{"status":"412"}}`), fhir.ErrUnexpected},
		"a strange status":     {answer(ok, `{"response":{"status":"2"}}`), fhir.ErrUnexpected},
		"no response":          {answer(ok, `{}`), fhir.ErrUnexpected},
		"another slot":         {answer(strings.Replace(ok, `"1"`, `"2"`, 1), made), fhir.ErrUnexpected},
		"another type":         {answer(made, ok), fhir.ErrUnexpected},
		"a batch":              {strings.Replace(answer(ok, made), "transaction-response", "batch-response", 1), fhir.ErrUnexpected},
		"another slot's place": {answer(`{"response":{"status":"200","location":"Slot/2/_history/1"}}`, made), fhir.ErrUnexpected},
	} {
		_, _, err := fhir.Transaction(t.Context(), newClient(t, &script{answers: []string{c.answer}}), bundle)
		require.ErrorIs(t, err, c.err, name)
	}
}

func TestErrorsSayNothingTheServerWrote(t *testing.T) {
	t.Parallel()
	body := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"张三","diagnostics":"张三","details":{"text":"张三"}}]}`
	_, _, err := fhir.Read[*r4.Slot](t.Context(), newClient(t, &script{answers: []string{body}, status: 400}), "1")
	var outcome *fhir.OutcomeError
	require.ErrorAs(t, err, &outcome)
	assert.Equal(t, "张三", outcome.Outcome().Issue[0].Diagnostics, "the program may look")
	data, _ := json.Marshal(err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", err, err, err, data), "张三")

	lost := &url.Error{Op: "Get", URL: "https://his.test/fhir/Patient?name=张三", Err: context.DeadlineExceeded}
	_, _, err = fhir.Read[*r4.Slot](t.Context(), newClient(t, &script{err: fmt.Errorf("wrapped: %w", lost)}), "1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "张三")
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "/fhir", "https://", "https://:443/x", "https://u:p@h/x", "https://h/x?y=1", "\x00"} {
		_, err := fhir.New(http.DefaultClient, base) //nolint:forbidigo // never used
		require.Error(t, err, base)
	}
	_, err := fhir.New(nil, "https://h")
	require.Error(t, err)
}

func TestIDsAndTypes(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{"1": true, "a-b.C": true, "": false, ".": false, "..": false, "a/b": false, "a b": false, "号": false, strings.Repeat("x", 65): false} {
		assert.Equal(t, ok, fhir.ValidID(id), id)
	}
	for typ, ok := range map[string]bool{"Patient": true, "": false, "patient": false, "Patient/1": false, "../X": false, "Pat1ent": false} {
		assert.Equal(t, ok, fhir.ValidType(typ), typ)
	}
}

// leaves: not below the base; a host's case and the scheme's own port change nothing.
func leaves(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	return u.Scheme != "https" || host != "his.test" || (u.Port() != "" && u.Port() != "443") || !strings.HasPrefix(u.Path+"/", "/fhir/")
}

func FuzzSearchAnswer(f *testing.F) {
	f.Add(page(self("?identifier=a%7Cb"), "1"))
	f.Add(page(next("https://his.test/fhir?x=1"), "1", "2"))
	f.Add(`{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"include"},"resource":{"resourceType":"Basic","id":"1"}}]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		s := &script{answers: []string{answer, page("")}}
		n := 0
		for slot, err := range fhir.Matches[*r4.Slot](fhir.Search(t.Context(), newClient(t, s), fhir.Query{Type: "Slot"})) {
			if err != nil {
				return
			}
			if n++; !fhir.ValidID(slot.ID) {
				t.Fatal("a match without id")
			}
		}
		for _, req := range s.sent {
			if leaves(req.URL) {
				t.Fatal("a request left the server")
			}
		}
	})
}

var errNever = errors.New("never")

func TestCutAnswer(t *testing.T) {
	t.Parallel()
	d := doer(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"res`), broken{}))}, nil
	})
	_, _, err := fhir.Read[*r4.Slot](t.Context(), newClient(t, d), "1")
	require.ErrorIs(t, err, fhir.ErrCut)
	assert.Equal(t, fhir.ErrCut.Error(), err.Error())
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errNever }
