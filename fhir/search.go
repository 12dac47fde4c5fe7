package fhir

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/hospital-go/hospital/fhir/r4"
	"github.com/hospital-go/hospital/internal/link"
)

const (
	maxPages    = 10_000
	maxRestarts = 2
)

// Query is a search of one type (section 3.1.1). [For] makes one from typed filters.
type Query struct {
	// Type is the resource type to search.
	Type string
	// Params are the search parameters.
	Params url.Values
	// Post sends them in the body, to [Type]/_search, so that they appear in no
	// log of URLs. Searches by identifier, name or telephone must.
	Post bool

	invalid bool // one of its filters cannot be sent
}

// Page is one page of a search.
type Page struct {
	// Matches are of the type that was searched for.
	Matches []r4.Resource
	// Included came along by _include or _revinclude.
	Included []r4.Resource
	// Total is how many matches the server says there are in all, nil when it does not say.
	Total    *int
	Response *Response
	next     string
}

// Search yields the pages of a search. It ends after the first error. Pages
// follow the server's next links; the server that holds the cursor is asked
// again, and where it is lost the search begins anew on the same Store, skipping
// what was delivered, or ends with [ErrPageLost].
func Search(ctx context.Context, c *Client, q Query) iter.Seq2[*Page, error] {
	return func(yield func(*Page, error) bool) {
		s := &search{client: c, query: q, delivered: map[string]bool{}}
		for range maxPages {
			page, err := s.page(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(page, nil) || page.next == "" {
				return
			}
		}
		yield(nil, fmt.Errorf("%w: too many pages", ErrPageLost))
	}
}

// Matches yields the single matches of pages as Ts.
func Matches[T r4.Resource](pages iter.Seq2[*Page, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for page, err := range pages {
			if err != nil {
				yield(none, err)
				return
			}
			for _, r := range page.Matches {
				item, err := r4.As[T](r)
				if err != nil {
					yield(none, fmt.Errorf("%w: %w", ErrUnexpected, err))
					return
				}
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// search is the state between two pages.
type search struct {
	client    *Client
	query     Query
	last      *Page
	links     map[string]bool
	delivered map[string]bool
	restarts  int
	total     int
}

func (s *search) page(ctx context.Context) (*Page, error) {
	page, err := s.fetch(ctx)
	for errors.Is(err, ErrCursorLost) && s.restarts < maxRestarts {
		s.restarts++
		page, err = s.restart(ctx)
	}
	if errors.Is(err, ErrCursorLost) {
		err = fmt.Errorf("%w: %w", ErrPageLost, err)
	}
	return page, err
}

func (s *search) fetch(ctx context.Context) (*Page, error) {
	if s.last == nil {
		return s.first(ctx, Interaction{})
	}
	if s.links[s.last.next] {
		return nil, fmt.Errorf("%w: the next links go in a circle", ErrPageLost)
	}
	if s.links == nil {
		s.links = map[string]bool{}
	}
	s.links[s.last.next] = true
	req, err := s.client.follow(ctx, s.last.next, s.last.Response)
	if err != nil {
		return nil, err
	}
	page, err := s.send(ctx, Interaction{Previous: s.last.Response.HTTP}, req)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrGone) {
		err = fmt.Errorf("%w: %w", ErrCursorLost, err) // the server has forgotten it
	}
	return page, err
}

// restart begins again on the same Store; what was delivered is skipped by id.
func (s *search) restart(ctx context.Context) (*Page, error) {
	s.links = nil
	return s.first(ctx, Interaction{Previous: s.last.Response.HTTP, Restart: true})
}

func (s *search) first(ctx context.Context, i Interaction) (*Page, error) {
	req, err := s.request(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Prefer", "handling=strict")
	return s.send(ctx, i, req)
}

func (s *search) request(ctx context.Context) (*http.Request, error) {
	q := s.query
	if !ValidType(q.Type) || q.invalid {
		return nil, ErrRequest
	}
	if !q.Post {
		return s.client.request(ctx, http.MethodGet, q.Type, q.Params.Encode(), content{})
	}
	return s.client.request(ctx, http.MethodPost, q.Type+"/_search", "", content{"application/x-www-form-urlencoded", []byte(q.Params.Encode())})
}

func (s *search) send(ctx context.Context, i Interaction, req *http.Request) (*Page, error) {
	i.Name, i.Type, i.Expect, i.Reads = "search-type", s.query.Type, "Bundle", true
	body, resp, err := s.client.call(ctx, i, req)
	if err != nil {
		return nil, err
	}
	bundle, err := decoded[*r4.Bundle](body, resp)
	if err != nil {
		return nil, err
	}
	first := i.Previous == nil || i.Restart
	page, err := s.sort(bundle, first)
	if err != nil {
		return nil, err
	}
	if first && bundle.Total != nil {
		s.total = *bundle.Total
	}
	page.Response = resp
	s.last = page
	page.Matches = s.fresh(page.Matches)
	if page.next == "" && len(s.delivered) < s.total && !s.countOnly() {
		return nil, ErrIncomplete
	}
	return page, nil
}

// countOnly: the caller asked for the number of matches, not for them.
func (s *search) countOnly() bool {
	return s.query.Params.Get("_summary") == "count" || s.query.Params.Get("_count") == "0"
}

// partial: only parts of the matches were asked for.
func (s *search) partial() bool { return inPart(s.query.Params) }

func inPart(q url.Values) bool {
	summary := q.Get("_summary")
	return q.Has("_elements") || (summary != "" && summary != "false")
}

// markSubsetted marks what a server forgot to mark.
func markSubsetted(r r4.Resource) {
	if !subsetted(r) {
		meta := r4.MetaOf(r)
		meta.Tag = append(meta.Tag, r4.Coding{System: "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", Code: subsettedCode})
	}
}

// sort checks a page and sorts its entries.
func (s *search) sort(bundle *r4.Bundle, first bool) (*Page, error) {
	if bundle.Type != r4.BundleTypeSearchset {
		return nil, fmt.Errorf("%w: not a search result", ErrUnexpected)
	}
	page := &Page{Total: bundle.Total}
	page.next = linkOf(bundle, "next")
	if self := linkOf(bundle, "self"); first && self != "" && !s.honoured(self) {
		return nil, ErrFilterIgnored
	}
	here := map[string]bool{}
	for i := range bundle.Entry {
		e := &bundle.Entry[i]
		if e.Resource != nil && s.partial() {
			markSubsetted(e.Resource)
		}
		mode := r4.SearchEntryModeMatch
		if e.Search != nil && e.Search.Mode != "" {
			mode = e.Search.Mode
		}
		switch {
		case e.Resource == nil:
			return nil, fmt.Errorf("%w: an entry without resource", ErrUnexpected)
		case mode == r4.SearchEntryModeOutcome:
			outcome, ok := e.Resource.(*r4.OperationOutcome)
			if !ok {
				return nil, fmt.Errorf("%w: an outcome that is none", ErrUnexpected)
			}
			if hasError(outcome) {
				return nil, ErrIncomplete // something is missing
			}
		case mode == r4.SearchEntryModeInclude:
			page.Included = append(page.Included, e.Resource)
		case e.Resource.ResourceType() != s.query.Type || !ValidID(e.Resource.ResourceID()):
			return nil, fmt.Errorf("%w: a match of another type or without id", ErrUnexpected)
		case here[e.Resource.ResourceID()]:
			return nil, fmt.Errorf("%w: one id twice on a page", ErrUnexpected)
		default:
			here[e.Resource.ResourceID()] = true
			page.Matches = append(page.Matches, e.Resource)
		}
	}
	return page, nil
}

// fresh drops what was delivered before: after a restart, or where pages overlap.
func (s *search) fresh(list []r4.Resource) []r4.Resource {
	var out []r4.Resource
	for _, r := range list {
		if k := key(r); !s.delivered[k] {
			s.delivered[k] = true
			out = append(out, r)
		}
	}
	return out
}

func key(r r4.Resource) string { return r.ResourceType() + "/" + r.ResourceID() }

// follow is a request to a link of an answer. Unless the Doer checks links, it
// must lead below the base.
func (c *Client) follow(ctx context.Context, next string, from *Response) (*http.Request, error) {
	u, err := url.Parse(next)
	if err != nil {
		return nil, ErrLink
	}
	u = from.HTTP.Request.URL.ResolveReference(u)
	if _, ok := link.Under(c.base, u); !ok && !c.trustLinks {
		return nil, ErrLink
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, ErrLink
	}
	return req, nil
}
