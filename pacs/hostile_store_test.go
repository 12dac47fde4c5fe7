package pacs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/pacs"
)

// Stores whose connection breaks, and answers that say less than the truth.

// wireStore is an archive that keeps part by part, as they come.
type wireStore struct {
	mu     sync.Mutex
	files  []wireFile
	times  map[string]int // how often each was taken
	posts  int
	cut    int                                  // 1 + after how many bytes of the next request the connection ends; 0 never
	refuse func(r *http.Request) *wireAnswer    // before anything is read
	keeps  func(f wireFile) bool                // nil: all
	answer func(taken, all []string) wireAnswer // nil: names those that were taken
	silent bool                                 // to what reads
}

func (s *wireStore) say(r *http.Request) wireAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost {
		if s.silent {
			return wireAnswer{status: http.StatusServiceUnavailable}
		}
		return (&wireArchive{files: slices.Clone(s.files)}).fair(r)
	}
	s.posts++
	if s.refuse != nil {
		if a := s.refuse(r); a != nil {
			return *a
		}
	}
	body := io.Reader(r.Body)
	broken := s.cut > 0 && (r.ContentLength < 0 || int64(s.cut-1) < r.ContentLength)
	if broken {
		body = io.LimitReader(body, int64(s.cut-1))
		s.cut = 0
	}
	taken, all := s.take(r, body)
	switch {
	case broken:
		return wireAnswer{drop: true}
	case s.answer != nil:
		return s.answer(taken, all)
	}
	return wireStored(taken, nil, 0)
}

// take keeps the parts that are whole.
func (s *wireStore) take(r *http.Request, body io.Reader) (taken, all []string) {
	_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return taken, all
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return taken, all
		}
		h, _, err := dicomweb.ReadHead(bytes.NewReader(data))
		if err != nil {
			continue
		}
		f := wireFile{study: h.Study, series: h.Series, instance: h.SOPInstance, data: data}
		all = append(all, f.instance)
		if s.keeps != nil && !s.keeps(f) {
			continue
		}
		taken = append(taken, f.instance)
		if s.times == nil {
			s.times = map[string]int{}
		}
		if s.times[f.instance]++; s.times[f.instance] == 1 && len(wireWithin(s.files, f.study, f.series, f.instance)) == 0 {
			s.files = append(s.files, f)
		}
	}
}

// wireStored is the answer to a store.
func wireStored(stored, failed []string, reason int) wireAnswer {
	return wireRaw("application/dicom+json", fmt.Sprintf(`{"00081199":{"vr":"SQ","Value":[%s]},"00081198":{"vr":"SQ","Value":[%s]}}`,
		wireItems(stored, ""), wireItems(failed, fmt.Sprintf(`,"00081197":{"vr":"US","Value":[%d]}`, reason))))
}

func wireItems(uids []string, more string) string {
	var out []string
	for _, uid := range uids {
		out = append(out, fmt.Sprintf(`{"00081150":{"vr":"UI","Value":[%q]},"00081155":{"vr":"UI","Value":[%q]}%s}`, wireCT, uid, more))
	}
	return strings.Join(out, ",")
}

// wireWarned is an answer that stored with a warning.
func wireWarned(uids []string, reason int) wireAnswer {
	return wireRaw("application/dicom+json", fmt.Sprintf(`{"00081199":{"vr":"SQ","Value":[%s]}}`,
		wireItems(uids, fmt.Sprintf(`,"00081196":{"vr":"US","Value":[%d]}`, reason))))
}

func (a wireAnswer) of(status int) wireAnswer {
	a.status = status
	return a
}

// both are doors to one store.
func (w *wire) both(s *wireStore) {
	for _, site := range w.sites {
		site.says(s.say)
	}
}

func bytesOf(files ...wireFile) (out []pacs.File) {
	for _, f := range files {
		out = append(out, pacs.Bytes(f.data))
	}
	return out
}

// wirePut stores and collects what became of each.
func wirePut(ctx context.Context, t *testing.T, c *pacs.Client, files []pacs.File, u pacs.Upload) (out []pacs.Stored, err error) {
	t.Helper()
	for s, err := range c.Store(ctx, files, u) {
		wireSilent(t, err)
		if err != nil {
			return out, err
		}
		wireSilent(t, s.Resource.Err)
		out = append(out, s.Resource)
	}
	return out, nil
}

func wireOutcomes(list []pacs.Stored) (out []string) {
	for _, s := range list {
		text := s.Outcome.String()
		if s.Err != nil {
			text += " " + string(hospital.CodeOf(s.Err))
		}
		out = append(out, text)
	}
	return out
}

// has: the archive has these files.
func (s *wireStore) has(t *testing.T, files []wireFile, at string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		if got := wireWithin(s.files, f.study, f.series, f.instance); len(got) != 1 || !bytes.Equal(got[0].data, f.data) {
			t.Errorf("%s: not stored as it was", at)
		}
	}
}

// once: and none was taken twice.
func (s *wireStore) once(t *testing.T, files []wireFile, at string) {
	t.Helper()
	s.has(t, files, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		if s.times[f.instance] != 1 {
			t.Errorf("%s: taken %d times", at, s.times[f.instance])
		}
	}
}

func TestStoreCutAtManyBytes(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 2)
	for name, unsized := range map[string]bool{"with a length": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				for n := 0; n < 1300; n += 11 {
					s, list := &wireStore{cut: n + 1}, bytesOf(files...)
					for i := range list {
						if unsized {
							list[i].Size = -1
						}
					}
					w.both(s)
					w.with(func(c *pacs.Client) {
						at := fmt.Sprint("cut at ", n)
						got, err := wirePut(w.t.Context(), w.t, c, list, pacs.Upload{})
						require.NoError(w.t, err, at)
						assert.Equal(w.t, []string{"stored", "stored", "stored"}, wireOutcomes(got), at)
						s.once(w.t, files, at)
					})
				}
			})
		})
	}
}

// Whoever proves nothing may still be at work: nothing is sent again before the lost
// request must have ended.
func TestStoreWhereNothingIsProved(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	const run = 40 * time.Second
	weak := func(cfg *hospital.Config) {
		for i := range cfg.Topology.Endpoints {
			cfg.Topology.Endpoints[i].Contract = campus.Contract{ServerTimeout: run}
		}
	}
	onWire(t, 2, func(w *wire) {
		w.change = weak
		for _, n := range []int{0, 200, 500, 900} {
			s, began := &wireStore{cut: n + 1}, time.Now()
			w.both(s)
			w.with(func(c *pacs.Client) {
				got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
				require.NoError(w.t, err)
				assert.Equal(w.t, []string{"stored", "stored", "stored"}, wireOutcomes(got))
				assert.GreaterOrEqual(w.t, time.Since(began), run)
				s.once(w.t, files, fmt.Sprint("cut at ", n))
			})
		}
	})
	onWire(t, 2, func(w *wire) {
		w.change = weak
		s := &wireStore{cut: 501}
		w.both(s)
		w.with(func(c *pacs.Client) {
			ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
			defer cancel()
			_, err := wirePut(ctx, w.t, c, bytesOf(files...), pacs.Upload{})
			require.ErrorIs(w.t, err, hospital.ErrOutcomeUnknown)
			assert.Equal(w.t, 1, s.posts, "sent beside one that may be running")
			var e *hospital.Error
			require.ErrorAs(w.t, err, &e)
			assert.Positive(w.t, e.RetryAfter)
			past(run)
			happened, err := e.Resolve(w.t.Context())
			require.NoError(w.t, err)
			assert.False(w.t, happened, "not all of them")
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"stored_before", "stored", "stored"}, wireOutcomes(got))
			s.once(w.t, files, "")
		})
	})
}

// What is stored nowhere is not called stored when nobody can be asked.
func TestStoreNobodyThere(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	for name, answer := range map[string]wireAnswer{"refuses": {status: 500}, "drops": {drop: true}, "says HTML": wireRaw("text/html", "<html>")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				for _, site := range w.sites {
					site.says(func(*http.Request) wireAnswer { return answer })
				}
				w.with(func(c *pacs.Client) {
					got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
					require.Error(w.t, err)
					assert.Empty(w.t, got)
					for _, site := range w.sites {
						for _, path := range site.asked() {
							assert.NotContains(w.t, path, "POST", "sent without a look")
						}
					}
				})
			})
		})
	}
}
