package fhir

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/hospital-go/hospital/fhir/r4"
)

// VersionRead reads one version of a resource (vread, section 3.1.0.3). A
// resource of another type, id or version is [ErrUnexpected].
func VersionRead[T r4.Resource](ctx context.Context, c *Client, id, version string) (T, *Response, error) {
	var none T
	if !ValidID(id) || !ValidID(version) {
		return none, nil, ErrRequest
	}
	typ := typeOf[T]()
	res, resp, err := get[T](ctx, c, Interaction{Name: "vread", Type: typ}, id, typ+"/"+id+"/_history/"+version)
	if err != nil {
		return none, resp, err
	}
	if numberOf(resp.ETag) != version { // the metadata's, or else the header's
		return none, resp, fmt.Errorf("%w: another version", ErrUnexpected)
	}
	return res, resp, nil
}

// Version is one entry of a resource's history.
type Version[T r4.Resource] struct {
	// Resource is the zero T where the version is a deletion.
	Resource T
	// Deleted says so.
	Deleted bool
	// At is when the server stored it (an instant), "" when it does not say.
	At string
	// Response is of the page it came on.
	Response *Response
}

// History yields a resource's versions, newest first, as the server orders them
// (section 3.1.0.12). It ends after its first error; a version of another resource
// is [ErrUnexpected], fewer than the server counted are [ErrIncomplete], pages that
// cannot be continued are [ErrPageLost].
func History[T r4.Resource](ctx context.Context, c *Client, id string) iter.Seq2[Version[T], error] {
	return func(yield func(Version[T], error) bool) {
		typ := typeOf[T]()
		if typ == "" || !ValidID(id) {
			yield(Version[T]{}, ErrRequest)
			return
		}
		w := &walk{client: c, interaction: Interaction{Name: "history-instance", Type: typ, Expect: "Bundle", Reads: true}}
		seen := map[string]bool{}
		for bundle, err := range w.bundles(ctx, typ+"/"+id+"/_history") {
			if err != nil {
				yield(Version[T]{}, err)
				return
			}
			for i := range bundle.Entry {
				v, key, err := versionOf[T](&bundle.Entry[i], typ, id)
				if key == "" || key == "deleted " { // nothing to tell it from others by
					key = fmt.Sprintf("entry %d", len(seen))
				}
				if err == nil && seen[key] {
					continue // pages overlap
				}
				seen[key] = true
				v.Response = w.last
				if !yield(v, err) || err != nil {
					return
				}
			}
			if last := linkOf(bundle, "next") == ""; last && len(seen) < max(1, w.total) {
				yield(Version[T]{}, ErrIncomplete) // what exists has a version at least
				return
			}
		}
	}
}

// versionOf reads an entry, and by what it is known from others.
func versionOf[T r4.Resource](e *r4.BundleEntry, typ, id string) (v Version[T], key string, err error) {
	if e.Response != nil {
		v.At = e.Response.LastModified
		if e.Response.Status != "" && !entrySucceeded(e.Response.Status) {
			return v, "", fmt.Errorf("%w: a version that failed", ErrUnexpected)
		}
	}
	if e.Request != nil && e.Request.Method == http.MethodDelete {
		if t, ok := targetOf(e.Request.URL); (!ok || t.typ != typ || t.id != id) && locationID(e.Request.URL, typ) != id {
			return v, "", fmt.Errorf("%w: the deletion of another resource", ErrUnexpected)
		}
		v.Deleted = true
		return v, cmp.Or(etagOf(e), "deleted "+v.At), nil
	}
	res, err := r4.As[T](e.Resource)
	if err != nil || res.ResourceID() != id {
		return v, "", fmt.Errorf("%w: a version of another resource, or without content", ErrUnexpected)
	}
	v.Resource = res
	key = etagOf(e)
	if m := res.ResourceMeta(); m != nil {
		v.At, key = cmp.Or(v.At, m.LastUpdated), cmp.Or(m.VersionId, key)
	}
	return v, key, nil
}

// etagOf is the version's number as the entry gives it, "" when it does not.
func etagOf(e *r4.BundleEntry) string {
	if e.Response == nil {
		return ""
	}
	return numberOf(e.Response.Etag)
}

// numberOf is the version in an entity tag.
func numberOf(etag string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(etag, "W/"), `"`), `"`)
}

// walk follows the next links of a history.
type walk struct {
	client      *Client
	interaction Interaction
	last        *Response
	total       int
}

func (w *walk) bundles(ctx context.Context, path string) iter.Seq2[*r4.Bundle, error] {
	return func(yield func(*r4.Bundle, error) bool) {
		req, err := w.client.request(ctx, http.MethodGet, path, "", content{})
		followed := map[string]bool{}
		for err == nil {
			var bundle *r4.Bundle
			if bundle, err = w.fetch(ctx, req); err != nil || !yield(bundle, nil) {
				break
			}
			next := linkOf(bundle, "next")
			switch {
			case next == "":
				return
			case followed[next] || len(followed) == maxPages:
				err = fmt.Errorf("%w: the next links go in a circle", ErrPageLost)
			default:
				followed[next] = true
				req, err = w.client.follow(ctx, next, w.last)
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func (w *walk) fetch(ctx context.Context, req *http.Request) (*r4.Bundle, error) {
	i := w.interaction
	if w.last != nil {
		i.Previous = w.last.HTTP
	}
	body, resp, err := w.client.call(ctx, i, req)
	if err != nil {
		if w.last != nil {
			err = fmt.Errorf("%w: %w", ErrPageLost, err)
		}
		return nil, err
	}
	w.last = resp
	bundle, err := decoded[*r4.Bundle](body, resp)
	if err == nil && bundle.Type != r4.BundleTypeHistory {
		err = fmt.Errorf("%w: not a history", ErrUnexpected)
	}
	if err == nil && bundle.Total != nil {
		w.total = *bundle.Total
	}
	return bundle, err
}

func linkOf(bundle *r4.Bundle, relation string) string {
	for _, l := range bundle.Link {
		if l.Relation == relation {
			return l.URL
		}
	}
	return ""
}
