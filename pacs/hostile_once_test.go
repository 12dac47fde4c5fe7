package pacs_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

// The archive says that it stored what could be read once. That it cannot be compared
// any more does not mean that it is not there.
func TestVerifyOfAReader(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 500_000))
	onWire(t, 1, func(w *wire) {
		s := &wireStore{}
		w.both(s)
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, []pacs.File{pacs.Reader(bytes.NewReader(file.data), int64(len(file.data)))}, pacs.Upload{Verify: true})
			require.NoError(w.t, err)
			require.Len(w.t, s.files, 1, "it is stored")
			assert.Equal(w.t, []string{"not_stored outcome_unknown"}, wireOutcomes(got))
		})
	})
}

// The answer was lost while the archive was at work. The file can be read once, so it is
// not sent again; that it is not there yet does not mean that it will not be.
func TestReaderIsLostWhileTheArchiveWorks(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 500_000))
	onWire(t, 1, func(w *wire) {
		var mu sync.Mutex
		s := &wireStore{}
		w.sites[0].says(func(r *http.Request) wireAnswer {
			if r.Method != http.MethodPost {
				mu.Lock()
				defer mu.Unlock()
				return s.say(r)
			}
			data, err := io.ReadAll(r.Body)
			if err != nil {
				return wireAnswer{drop: true}
			}
			r = r.Clone(context.WithoutCancel(r.Context()))
			r.Body = io.NopCloser(bytes.NewReader(data))
			go func() { // behind the gateway whose connection breaks
				past(3 * time.Second)
				mu.Lock()
				defer mu.Unlock()
				s.say(r)
			}()
			return wireAnswer{drop: true}
		})
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, []pacs.File{pacs.Reader(bytes.NewReader(file.data), int64(len(file.data)))}, pacs.Upload{})
			past(time.Minute)
			require.Len(w.t, s.files, 1, "it is stored")
			if err != nil {
				assert.ErrorIs(w.t, err, hospital.ErrOutcomeUnknown)
				return
			}
			assert.NotEqual(w.t, []string{"not_stored invalid_argument"}, wireOutcomes(got), `"nothing was sent of it"`)
		})
	})
}

// Half of a portion is stored, the rest is not: it may have happened, and Resolve says so.
func TestHalfAStoreCanBeResolved(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	onWire(t, 1, func(w *wire) {
		s := &wireStore{}
		w.both(s)
		s.refuse = func(*http.Request) *wireAnswer {
			switch s.posts {
			case 1:
				return &wireAnswer{status: http.StatusRequestEntityTooLarge}
			case 2:
				return nil
			}
			return &wireAnswer{status: http.StatusTooManyRequests}
		}
		w.with(func(c *pacs.Client) {
			_, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
			var e *hospital.Error
			require.ErrorAs(w.t, err, &e)
			require.Equal(w.t, hospital.ErrOutcomeUnknown, e.Code)
			_, err = e.Resolve(w.t.Context())
			assert.NotErrorIs(w.t, err, hospital.ErrInvalidArgument)
		})
	})
}
