package lis_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/lis"
)

// byOffset is a server whose next links say how many matches to leave out, and that
// searches anew for each page.
type byOffset struct {
	list   []offsetResult
	size   int
	moving string // is changed after the answer of this number
	answer int
	loose  bool // each search finds what is of one moment in another order, and keeps it
	wild   bool // each page does, too
	told   int  // answers
}

type offsetResult struct {
	id      string
	version int
	at      time.Time
}

func (s *byOffset) RoundTrip(req *http.Request) (*http.Response, error) {
	q := req.URL.Query()
	if s.told++; s.told > 1000 {
		return nil, io.ErrUnexpectedEOF // or a feed that never ends would never end its test
	}
	if s.wild || (s.loose && s.told < 500 && !q.Has("_offset")) { // some day it has one order
		rand.Shuffle(len(s.list), func(i, j int) { s.list[i], s.list[j] = s.list[j], s.list[i] })
	}
	since, _ := time.Parse(time.RFC3339, strings.TrimPrefix(q.Get("_lastUpdated"), "ge"))
	var found []offsetResult
	for _, r := range s.list {
		if !r.at.Before(since) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b offsetResult) int {
		if s.loose || s.wild {
			return a.at.Compare(b.at)
		}
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
	from, _ := strconv.Atoi(q.Get("_offset"))
	from = min(from, len(found))
	page := found[from:min(from+s.size, len(found))]
	var entries []string
	for _, r := range page {
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Observation","id":%q,"meta":{"versionId":"%d","lastUpdated":%q},"status":"final","category":[{"coding":[{"system":%q,"code":"laboratory"}]}],"code":{"text":"K"},"subject":{"reference":"Patient/1"}}}`,
			r.id, r.version, r.at.UTC().Format("2006-01-02T15:04:05.000Z"), lis.CategorySystem))
	}
	link := ""
	if from+s.size < len(found) {
		q.Set("_offset", strconv.Itoa(from+s.size))
		next := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawQuery: q.Encode()}
		link = fmt.Sprintf(`"link":[{"relation":"next","url":%q}],`, next.String())
	}
	body := fmt.Sprintf(`{"resourceType":"Bundle","type":"searchset","total":%d,%s"entry":[%s]}`, len(found), link, strings.Join(entries, ","))
	if s.answer--; s.answer == 0 {
		i := slices.IndexFunc(s.list, func(r offsetResult) bool { return r.id == s.moving })
		s.list[i].version, s.list[i].at = 2, time.Now().Truncate(time.Second)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: req,
		Header: http.Header{"Content-Type": {fhir.MediaType}}, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func (s *byOffset) feed(t *testing.T) *lis.Client {
	t.Helper()
	cfg := fakes.NewHospital(t).Config()
	cfg.Adapters = map[campus.EndpointID]http.RoundTripper{"lis/dc-a": s}
	client, err := hospital.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return lis.New(client)
}

// More results of one moment than a page holds, one of which is corrected while the
// feed is between two pages: what moves up meanwhile is not lost.
func TestFeedLosesNothingOfOneMomentThatChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		then := time.Now().Add(-2 * time.Hour)
		s := &byOffset{size: 100, moving: "o000", answer: 2} // the first look finds the moment
		for i := range 150 {
			s.list = append(s.list, offsetResult{fmt.Sprintf("o%03d", i), 1, then})
		}
		for i := range 60 {
			s.list = append(s.list, offsetResult{fmt.Sprintf("p%03d", i), 1, then.Add(5 * time.Second)})
		}
		lab, position, got := s.feed(t), lis.Position(""), map[string]bool{}
		for range 4 {
			for page, err := range lab.ResultChanges(t.Context(), lis.FeedQuery{From: position, Since: then.Add(-time.Hour)}) {
				require.NoError(t, err)
				for _, c := range page.List {
					got[c.Resource.ID] = true
				}
				position = page.Position
			}
			wait(time.Hour)
		}
		for _, r := range s.list {
			assert.True(t, got[r.id], "%s never came", r.id)
		}
	})
}

// Two imports, each in one transaction and so of one moment, each more than a page; the
// server sorts by time and nothing else. Each look sees another part of the second.
func TestFeedOfTwoMomentsInNoOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		then := time.Now().Add(-2 * time.Hour)
		s := &byOffset{size: 100, loose: true}
		for i := range 150 {
			s.list = append(s.list, offsetResult{fmt.Sprintf("o%03d", i), 1, then})
		}
		for i := range 400 {
			s.list = append(s.list, offsetResult{fmt.Sprintf("p%03d", i), 1, then.Add(5 * time.Second)})
		}
		lab, got := s.feed(t), map[string]bool{}
		for page, err := range lab.ResultChanges(t.Context(), lis.FeedQuery{Since: then.Add(-time.Hour)}) {
			require.NoError(t, err)
			for _, c := range page.List {
				got[c.Resource.ID] = true
			}
		}
		assert.Len(t, got, 550)
		assert.Less(t, s.told, 30, "answers")
	})
}

// 22,000 results of one moment, and a caller that takes one page at a time, as one does
// who stores each Position with what it brought: it comes to the end.
func TestFeedOfAMigrationPageByPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		then := time.Now().Add(-2 * time.Hour)
		s := &byOffset{size: 5000}
		for i := range 22_000 {
			s.list = append(s.list, offsetResult{fmt.Sprintf("o%06d", i), 1, then})
		}
		lab, position, got := s.feed(t), lis.Position(""), map[string]bool{}
		for range 12 {
			for page, err := range lab.ResultChanges(t.Context(), lis.FeedQuery{From: position, Since: then}) {
				require.NoError(t, err)
				for _, c := range page.List {
					got[c.Resource.ID] = true
				}
				position = page.Position
				break
			}
		}
		assert.Len(t, got, 22_000)
	})
}

// A server whose pages have nothing to do with each other is given up, and says so.
func TestFeedOfAServerWithoutAnOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		then := time.Now().Add(-2 * time.Hour)
		s := &byOffset{size: 100, wild: true}
		for i := range 450 {
			s.list = append(s.list, offsetResult{fmt.Sprintf("o%03d", i), 1, then.Add(time.Duration(i/150) * 5 * time.Second)})
		}
		var last error
		for _, err := range s.feed(t).ResultChanges(t.Context(), lis.FeedQuery{Since: then}) {
			last = err
		}
		require.ErrorIs(t, last, hospital.ErrPageLost)
		assert.Less(t, s.told, 100, "answers")
	})
}
