package pacs

import (
	"context"
	"iter"
	"net/http"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

const (
	// pageSize is how many matches are asked for at once.
	pageSize = 200
	// maxPages bounds a search.
	maxPages = 5000
)

// search yields what a search finds, page by page until one is empty: servers may send
// fewer than asked for without saying that there are more. unique is the attribute by
// which matches differ.
func (c *Client) search(ctx context.Context, template, path string, s dicomweb.Search, unique Tag) iter.Seq2[hospital.Found[Dataset], error] {
	return func(yield func(hospital.Found[Dataset], error) bool) {
		p := &paging{client: c, template: template, path: path, search: s, unique: unique, seen: map[string]int{}, pass: 1, back: 1}
		for range maxPages {
			page, err := p.next(ctx)
			if err != nil {
				yield(hospital.Found[Dataset]{}, err)
				return
			}
			for _, d := range page {
				if !yield(hospital.Found[Dataset]{Resource: d, Origin: p.origin}, nil) {
					return
				}
			}
			if p.ended {
				return
			}
		}
		yield(hospital.Found[Dataset]{}, hospital.ErrPageLost)
	}
}

// paging is the way through a search.
type paging struct {
	client         *Client
	template, path string
	search         dicomweb.Search
	unique         Tag
	seen           map[string]int // by UID, series and patient: in which pass
	patient        person         // of all of it, below a study
	origin         hospital.Origin
	offset         int
	pass           int
	news           bool // this pass has shown something
	back           int  // rows of the page before that each begins with: 1, or 0 where they cannot
	ended          bool
}

// maxPasses bounds how often a search begins because its pages have shifted.
const maxPasses = 4

// next is the next page without what came before. Pages count in one store: another
// one may have another order. Each begins with the last row of the one before: where that
// has not been seen, what came before has become less, and some would be skipped.
func (p *paging) next(ctx context.Context) ([]Dataset, error) {
	if p.offset > 0 || p.pass > 1 {
		ctx = hospital.SameStore(ctx, p.origin)
	}
	at := p.offset
	p.search.Limit, p.search.Offset = pageSize, max(at-p.back, 0)
	resp, err := p.client.ask(ctx, asking{
		template: p.template, path: p.path, query: p.search.Query(), accept: acceptJSON, class: hospital.List, empty: true, first: at == 0, fits: isJSON,
	})
	if err != nil {
		return nil, p.noRoute(err)
	}
	p.origin = originOf(resp)
	page, err := datasets(resp, maxPages*pageSize-at)
	if err != nil {
		return nil, err
	}
	out, c, err := p.fresh(page)
	if err != nil {
		return nil, err
	}
	p.news = p.news || len(out) > 0
	c.warned = resp.Header.Get("Warning") != ""
	return out, p.goOn(at, c)
}

// content is what a page has: rows, those new in this pass, whether the first is one of
// them, or there is none, and whether the archive said that there is more.
type content struct {
	rows, fresh   int
	moved, warned bool
}

// goOn decides after a page, asked for at an offset, how the search goes on.
func (p *paging) goOn(at int, c content) error {
	overlaps := at > 0 && p.back > 0
	p.offset = p.search.Offset + c.rows
	if at == 0 && c.rows == 1 { // all there is, or as much as fits a page
		p.back = 0
	}
	switch {
	case overlaps && c.rows == 0 && p.pass > 1 && !p.news: // it says nothing to any offset, and the list stands
		p.ended = true
	case overlaps && c.moved && p.pass == maxPasses:
		return hospital.ErrPageLost
	case overlaps && c.moved: // shifted
		p.offset, p.news = 0, false
		p.pass++
	case overlaps && c.fresh == 0 && c.rows > 1: // the offset is rounded, or ignored: without the last row
		p.back, p.offset = 0, at
	case overlaps && c.fresh == 0, c.rows == 0, c.fresh == 0 && c.rows != pageSize && !c.warned: // the end, or all there is once more
		p.ended = true
	case c.fresh == 0: // a full page, or one said to be a part, that was here before: the offset is ignored
		return hospital.ErrFilterIgnored
	}
	return nil
}

// fresh drops what was shown before, and says what the page has: pages shift when
// something new comes. What archives hold of two people under one UID, after a wrong
// store, comes once for each; below a study that is nobody's.
func (p *paging) fresh(page []Dataset) (out []Dataset, c content, err error) {
	c = content{rows: len(page), moved: len(page) == 0}
	for i, d := range page {
		id, h := d.Text(p.unique), whoseIs(d)
		switch {
		case !dicomweb.ValidUID(id):
			return nil, c, hospital.Refuse(hospital.ErrUnexpectedAnswer, "a match without UID")
		case p.path != "/studies" && !p.patient.same(h):
			return nil, c, errTwoPatients
		}
		row := id + " " + d.Text(dicomweb.TagSeriesInstanceUID) + " " + h.PatientID + "|" + h.IssuerOfPatientID
		before := p.seen[row]
		p.seen[row] = p.pass
		if before == 0 {
			out = append(out, d)
		}
		if before != p.pass {
			c.fresh++
			c.moved = c.moved || i == 0
		}
	}
	return out, c, nil
}

var errTwoPatients = hospital.Refuse(hospital.ErrUnexpectedAnswer, "one UID under two patients; have the archive corrected")

// noRoute: a search that finds nothing says so with an empty answer. 404 means that the
// server does not know the route, which must not be taken for an absence; below a
// study it may mean that there is no such study.
func (p *paging) noRoute(err error) error {
	if hospital.CodeOf(err) == hospital.ErrNotFound && p.path == "/studies" {
		return &hospital.Error{Code: hospital.ErrUnexpectedAnswer, Status: http.StatusNotFound, Reason: "the archive does not know the search"}
	}
	return err
}
