package fhir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// Doer sends a request; an *http.Client is one.
type Doer interface {
	// Do sends req as http.Client.Do does; an error means that no answer came.
	Do(req *http.Request) (*http.Response, error)
}

// DefaultMaxBody is how many bytes of one answer a [Client] reads.
const DefaultMaxBody = 16 << 20

// MediaType is FHIR's JSON.
const MediaType = "application/fhir+json"

// Client speaks FHIR to one base URL. It is safe for concurrent use.
type Client struct {
	doer       Doer
	base       *url.URL
	maxBody    int64
	trustLinks bool
}

// Option configures a [Client].
type Option func(*Client)

// WithMaxBody bounds an answer's bytes after decompression; zero or less means [DefaultMaxBody].
func WithMaxBody(n int64) Option {
	return func(c *Client) {
		if n > 0 {
			c.maxBody = min(n, math.MaxInt64-1)
		}
	}
}

// WithCheckedLinks says that the Doer itself refuses URLs a server sent that
// lead elsewhere. Without it the client follows links to its own base only.
func WithCheckedLinks() Option { return func(c *Client) { c.trustLinks = true } }

// New returns a Client of the server at base, an absolute URL. It does no I/O.
func New(doer Doer, base string, opts ...Option) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || doer == nil {
		return nil, errors.New("fhir: New needs a Doer and an absolute base URL without user and query")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if h, ok := doer.(*http.Client); ok {
		// A redirect would carry a search's body, and a patient's number, elsewhere.
		own := *h
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		doer = &own
	}
	c := &Client{doer: doer, base: u, maxBody: DefaultMaxBody}
	for _, o := range opts {
		o(c)
	}
	return c, nil
}

// Interaction is what a request is, in the specification's words. It travels in
// the request's context, so that a Doer can name it without reading the URL.
type Interaction struct {
	// Name is the interaction's code: read, vread, history-instance, search-type,
	// create, update, patch, delete, transaction, batch, operation or capabilities.
	Name string
	// Type is the resource type in the URL, "" for the whole system.
	Type string
	// Operation is an operation's name without its $.
	Operation string
	// Expect is the resource type of a successful answer, "" for any.
	Expect string
	// Previous is the page whose link this request follows, nil for a request of
	// the client's own making.
	Previous *http.Response
	// Restart means that Previous's cursor is lost and the search begins again:
	// the same Store must answer.
	Restart bool
	// Creates marks an update of an id that must not exist yet.
	Creates bool
	// Reads marks what changes nothing and may be asked again anywhere.
	Reads bool
}

// Template names the interaction without data: "read Patient", "operation Patient $match".
func (i Interaction) Template() string {
	t := strings.TrimRight(i.Name+" "+i.Type, " ")
	if i.Operation != "" {
		t += " $" + i.Operation
	}
	return t
}

type interactionKey struct{}

// InteractionOf returns the interaction of a request's context.
func InteractionOf(ctx context.Context) (Interaction, bool) {
	i, ok := ctx.Value(interactionKey{}).(Interaction)
	return i, ok
}

// Response is what an answer said beside its resource.
type Response struct {
	Status int
	// ETag is the version, as the header or the resource's metadata gives it: W/"3".
	ETag string
	// Location is the logical id a create was given, "" when the server named none.
	Location string
	// HTTP is the answer itself; its body has been read.
	HTTP *http.Response
}

// call sends one request and returns the body of an answer that succeeded.
func (c *Client) call(ctx context.Context, i Interaction, req *http.Request) ([]byte, *Response, error) {
	req = req.WithContext(context.WithValue(ctx, interactionKey{}, i))
	req.Header.Set("Accept", MediaType)
	resp, err := c.doer.Do(req)
	if err != nil {
		return nil, nil, unwrapURL(err)
	}
	defer resp.Body.Close()
	body, err := c.read(resp.Body)
	switch {
	case err != nil:
		return nil, nil, errors.Join(ErrCut, ctx.Err())
	case int64(len(body)) > c.maxBody:
		return nil, nil, ErrTooLarge
	}
	body = bytes.TrimSpace(body)
	if resp.Request == nil {
		resp.Request = req
	}
	r := &Response{Status: resp.StatusCode, ETag: resp.Header.Get("ETag"), HTTP: resp}
	r.Location = locationID(resp.Header.Get("Location"), i.Type)
	return body, r, judge(i, resp, body)
}

// read takes an answer's body, at most one byte beyond the limit; one that is in
// memory already is not copied.
func (c *Client) read(body io.Reader) ([]byte, error) {
	if m, ok := body.(interface{ Bytes() []byte }); ok {
		return m.Bytes(), nil
	}
	return io.ReadAll(io.LimitReader(body, c.maxBody+1))
}

// content is a request's body; the zero value is none.
type content struct {
	media string
	data  []byte
}

// request builds a request below the base.
func (c *Client) request(ctx context.Context, method, path, query string, body content) (*http.Request, error) {
	u := *c.base
	u = *u.JoinPath(path)
	u.RawQuery = query
	var reader io.Reader = http.NoBody
	if body.data != nil {
		reader = bytes.NewReader(body.data)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), reader)
	if err != nil {
		return nil, ErrRequest
	}
	if body.data != nil {
		req.Header.Set("Content-Type", body.media)
	}
	if method != http.MethodGet && method != http.MethodDelete {
		req.Header.Set("Prefer", "return=representation")
	}
	return req, nil
}

// requestWith builds a request with a resource as its body.
func (c *Client) requestWith(ctx context.Context, method, path, query string, resource r4.Resource) (*http.Request, error) {
	data, err := r4.Marshal(resource)
	if err != nil {
		return nil, err
	}
	return c.request(ctx, method, path, query, content{MediaType, data})
}

// sent sends a request that writes one resource; what comes back is the zero T
// when the server sent no body. id is the one it must have, "" for any.
func sent[T r4.Resource](ctx context.Context, c *Client, i Interaction, req *http.Request, id string) (T, *Response, error) {
	var none T
	body, resp, err := c.call(ctx, i, req)
	if err != nil {
		return none, resp, err
	}
	res, err := decoded[T](body, resp)
	if err == nil && id != "" && len(body) > 0 && res.ResourceID() != id {
		err = fmt.Errorf("%w: another id", ErrUnexpected)
	}
	if err != nil {
		return none, resp, err
	}
	return res, resp, nil
}

// decoded reads the resource of a successful answer, the zero T when the body is empty.
func decoded[T r4.Resource](body []byte, resp *Response) (T, error) {
	var none T
	if len(body) == 0 {
		return none, nil
	}
	res, err := r4.Decode[T](body)
	if err != nil {
		if _, broken := r4.Peek(body); broken != nil {
			return none, ErrForeign // cut, or not JSON
		}
		return none, fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	if meta := res.ResourceMeta(); meta != nil && meta.VersionId != "" {
		resp.ETag = ETag(meta)
	}
	return res, nil
}

// ETag returns the weak entity tag of a version, "" when there is none (section 3.1.0.7).
func ETag(meta *r4.Meta) string {
	if meta == nil || meta.VersionId == "" {
		return ""
	}
	return `W/"` + meta.VersionId + `"`
}

// locationID takes the id out of a Location: [base]/Type/id or [base]/Type/id/_history/v.
func locationID(location, typ string) string {
	if location == "" || typ == "" {
		return ""
	}
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == typ && ValidID(parts[i+1]) {
			return parts[i+1]
		}
	}
	return ""
}

// ValidType reports whether s can be the name of a resource type.
func ValidType(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}

// ValidID reports whether s can be a logical id (section 2.24.0.1).
func ValidID(s string) bool {
	if s == "" || len(s) > 64 || s == "." || s == ".." {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// unwrapURL hides the texts of net/http's errors, which quote URLs; what they are
// can still be asked with errors.Is and errors.As.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return &transportError{err}
	}
	return err
}

type transportError struct{ err error }

func (e *transportError) Error() string    { return "fhir: no answer came" }
func (e *transportError) GoString() string { return e.Error() }
func (e *transportError) Unwrap() error    { return e.err }
