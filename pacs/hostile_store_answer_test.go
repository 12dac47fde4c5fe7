package pacs_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

func TestStoreAnswerIsLost(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	for name, answer := range map[string]wireAnswer{
		"dropped": {drop: true}, "cut": wireStored([]string{files[0].instance}, nil, 0).until(40),
		"HTML": wireRaw("text/html", "<html>"), "no body": {}, "no content": {status: http.StatusNoContent}, "500": {status: 500}, "504": {status: 504},
		"an array": wireRaw("application/dicom+json", "[]"), "202 of nothing": {status: http.StatusAccepted}, "other JSON": wireRaw("application/json", `{"ok":true}`),
		"a redirect": {status: http.StatusFound, header: "Location: http://elsewhere/\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				s := &wireStore{answer: func([]string, []string) wireAnswer { return answer }}
				w.both(s)
				w.with(func(c *pacs.Client) {
					got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
					require.NoError(w.t, err)
					assert.Equal(w.t, []string{"stored", "stored", "stored"}, wireOutcomes(got))
					assert.Equal(w.t, 1, s.posts)
					s.once(w.t, files, name)
				})
			})
		})
	}
}

// The same, of an archive that took nothing: a success that names nothing is none.
func TestStoreAnswersThatSayLess(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	strangers := []string{"2.25.1", "2.25.2", "2.25.3"}
	const all, none = "all", ""
	for name, c := range map[string]struct {
		keeps  string // which the archive keeps, by index; all, none
		answer func(taken, all []string) wireAnswer
		want   []string
		code   hospital.Code // of the sequence
	}{
		"names nothing, kept nothing":    {none, func(_, _ []string) wireAnswer { return wireStored(nil, nil, 0) }, []string{"not_stored refused", "not_stored refused", "not_stored refused"}, ""},
		"names nothing, kept all":        {all, func(_, _ []string) wireAnswer { return wireStored(nil, nil, 0) }, []string{"stored", "stored", "stored"}, ""},
		"names one, kept two":            {"02", func(t, _ []string) wireAnswer { return wireStored(t[:1], nil, 0) }, []string{"stored", "not_stored refused", "stored"}, ""},
		"names others, kept nothing":     {none, func(_, _ []string) wireAnswer { return wireStored(strangers, nil, 0) }, []string{"not_stored refused", "not_stored refused", "not_stored refused"}, ""},
		"fails others, kept nothing":     {none, func(_, _ []string) wireAnswer { return wireStored(nil, strangers, 0x110) }, []string{"not_stored refused", "not_stored refused", "not_stored refused"}, ""},
		"202 with a list":                {all, func(t, _ []string) wireAnswer { return wireStored(t, nil, 0).of(202) }, []string{"stored", "stored", "stored"}, ""},
		"400 with a list and no type":    {"0", func(t, _ []string) wireAnswer { a := wireStored(t, nil, 0).of(400); a.media = ""; return a }, []string{"stored", "not_stored refused", "not_stored refused"}, ""},
		"409 with a list":                {"0", func(t, a []string) wireAnswer { return wireStored(t, a[1:], 272).of(409) }, []string{"stored", "not_stored refused", "not_stored refused"}, ""},
		"400 of nothing":                 {none, func(_, _ []string) wireAnswer { return wireAnswer{status: 400} }, []string{"not_stored refused", "not_stored refused", "not_stored refused"}, ""},
		"400 of nothing, kept one":       {"1", func(_, _ []string) wireAnswer { return wireAnswer{status: 400} }, []string{"not_stored refused", "stored", "not_stored refused"}, ""},
		"409 of nothing, kept one":       {"1", func(_, _ []string) wireAnswer { return wireAnswer{status: 409} }, []string{"not_stored refused", "stored", "not_stored refused"}, ""},
		"403":                            {none, func(_, _ []string) wireAnswer { return wireAnswer{status: 403} }, []string{"not_stored forbidden", "not_stored forbidden", "not_stored forbidden"}, ""},
		"415":                            {none, func(_, _ []string) wireAnswer { return wireAnswer{status: 415} }, []string{"not_stored refused", "not_stored refused", "not_stored refused"}, ""},
		"both lists name it":             {none, func(_, a []string) wireAnswer { return wireStored(a, a[:1], 0x110) }, []string{"not_stored refused", "stored", "stored"}, ""},
		"processing failure":             {"12", func(t, a []string) wireAnswer { return wireStored(t, a[:1], 0x110) }, []string{"not_stored refused", "stored", "stored"}, ""},
		"class not supported":            {"12", func(t, a []string) wireAnswer { return wireStored(t, a[:1], 0x122) }, []string{"not_stored refused", "stored", "stored"}, ""},
		"duplicate, and it is there":     {all, func(t, a []string) wireAnswer { return wireStored(t[1:], a[:1], 0x111) }, []string{"stored_before", "stored", "stored"}, ""},
		"already stored, it is there":    {all, func(t, a []string) wireAnswer { return wireStored(t[1:], a[:1], 0xB00E) }, []string{"stored_before", "stored", "stored"}, ""},
		"already stored, and it is not":  {"12", func(t, a []string) wireAnswer { return wireStored(t, a[:1], 0xB00E) }, []string{"not_stored refused", "stored", "stored"}, ""},
		"a warning that it was there":    {all, func(t, _ []string) wireAnswer { return wireWarned(t, 0xB00E) }, []string{"stored_before", "stored_before", "stored_before"}, ""},
		"a warning, and it is not there": {none, func(_, a []string) wireAnswer { return wireWarned(a, 0xB00E) }, []string{"not_stored refused", "not_stored refused", "not_stored refused"}, ""},
		"coerced":                        {all, func(t, _ []string) wireAnswer { return wireWarned(t, 0xB000) }, []string{"coerced", "coerced", "coerced"}, ""},
		"200 of HTML, kept nothing":      {none, func(_, _ []string) wireAnswer { return wireRaw("text/html", "<html>") }, nil, hospital.ErrUnavailable},
		"200 of nothing, kept nothing":   {none, func(_, _ []string) wireAnswer { return wireAnswer{} }, nil, hospital.ErrUnavailable},
		"200 of HTML, kept one, then busy": {"1", func(taken, _ []string) wireAnswer {
			if len(taken) == 0 { // what was sent again
				return wireAnswer{status: http.StatusTooManyRequests}
			}
			return wireRaw("text/html", "<html>")
		}, nil, hospital.ErrOutcomeUnknown},
		"200 of HTML, kept one": {"1", func(_, _ []string) wireAnswer { return wireRaw("text/html", "<html>") }, nil, hospital.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				s := &wireStore{answer: c.answer, keeps: func(f wireFile) bool {
					return c.keeps == all || strings.Contains(c.keeps, fmt.Sprint(slices.IndexFunc(files, func(o wireFile) bool { return o.instance == f.instance })))
				}}
				w.both(s)
				w.with(func(client *pacs.Client) {
					got, err := wirePut(w.t.Context(), w.t, client, bytesOf(files...), pacs.Upload{})
					assert.Equal(w.t, c.code, hospital.CodeOf(err), "%v", err)
					assert.Equal(w.t, c.want, wireOutcomes(got))
				})
			})
		})
	}
}

// An archive refuses, has kept some, and cannot be asked: of no file it is said that it is
// not there.
func TestStoreRefusedByAnArchiveThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			files := wireFiles(2, 1)
			onWire(t, 2, func(w *wire) {
				s := &wireStore{keeps: func(f wireFile) bool { return f.instance == files[0].instance }}
				s.answer = func(_, _ []string) wireAnswer { s.silent = true; return wireAnswer{status: status} }
				w.both(s)
				w.with(func(client *pacs.Client) {
					got, err := wirePut(w.t.Context(), w.t, client, bytesOf(files...), pacs.Upload{})
					require.NoError(w.t, err)
					assert.Equal(w.t, []string{"not_stored outcome_unknown", "not_stored outcome_unknown"}, wireOutcomes(got))
				})
			})
		})
	}
}

// With Verify nothing is believed that cannot be read back.
func TestStoreVerified(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	other := newWireFile(files[1].study, files[1].series, files[1].instance, "another image")
	onWire(t, 2, func(w *wire) {
		s := &wireStore{answer: func(_, all []string) wireAnswer { return wireStored(all, nil, 0) }}
		s.keeps = func(f wireFile) bool {
			switch f.instance {
			case files[0].instance:
				return false
			case files[1].instance:
				s.files = append(s.files, other)
				return false
			}
			return true
		}
		w.both(s)
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{Verify: true})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"not_stored refused", "not_stored conflict", "stored"}, wireOutcomes(got))
		})
	})
}

func TestStoreOfWhatIsThere(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 2)
	other := newWireFile(files[1].study, files[1].series, files[1].instance, "another image")
	coerced, meta := files[2], 128+4+8+20 // what stands before the data set
	coerced.data = slices.Concat(coerced.data[:meta], wireElement(nil, 0x00080005, "CS", "ISO_IR 192"), coerced.data[meta:])
	onWire(t, 2, func(w *wire) {
		s := &wireStore{files: []wireFile{files[0], other, coerced}}
		w.both(s)
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"stored_before", "not_stored conflict", "coerced", "stored"}, wireOutcomes(got))
			assert.Equal(w.t, map[string]int{files[3].instance: 1}, s.times, "sent what was there")
		})
	})
}

// What the archive lists and does not give out is not overwritten, nor called stored.
func TestStoreOfWhatIsOnlyListed(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	onWire(t, 2, func(w *wire) {
		s := &wireStore{files: files[:1]}
		for _, site := range w.sites {
			site.says(func(r *http.Request) wireAnswer {
				if single(r) && strings.HasSuffix(r.URL.Path, files[0].instance) {
					return wireAnswer{status: http.StatusNotFound}
				}
				return s.say(r)
			})
		}
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"not_stored unexpected_answer", "stored", "stored"}, wireOutcomes(got))
		})
	})
}

// The archive says that it had one already, and cannot be asked: it is not known what
// became of it, and not called refused.
func TestStoreLookFails(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	other := newWireFile(files[0].study, files[0].series, files[0].instance, "another image")
	for name, reason := range map[string]int{"duplicate": 0x111, "unnamed": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				s, down := &wireStore{}, true
				s.answer = func(taken, all []string) wireAnswer {
					if reason == 0 {
						return wireStored(taken[1:], nil, 0)
					}
					s.files[0] = other // somebody else's was first
					return wireStored(taken[1:], all[:1], reason)
				}
				for _, site := range w.sites {
					site.says(func(r *http.Request) wireAnswer {
						if single(r) && down {
							return wireAnswer{status: http.StatusInternalServerError}
						}
						return s.say(r)
					})
				}
				w.with(func(c *pacs.Client) {
					_, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
					require.ErrorIs(w.t, err, hospital.ErrOutcomeUnknown)
					down = false
					got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
					require.NoError(w.t, err)
					first := map[int]string{0x111: "not_stored conflict", 0: "stored_before"}[reason]
					assert.Equal(w.t, []string{first, "stored_before"}, wireOutcomes(got))
				})
			})
		})
	}
}

// Too much at once is sent in halves, down to one file that is too large.
func TestStoreInHalves(t *testing.T) {
	t.Parallel()
	files := wireFiles(9, 1)
	files[4] = newWireFile(files[4].study, files[4].series, files[4].instance, strings.Repeat("large", 400))
	onWire(t, 2, func(w *wire) {
		s := &wireStore{refuse: func(r *http.Request) *wireAnswer {
			if r.ContentLength > 1300 {
				return &wireAnswer{status: http.StatusRequestEntityTooLarge}
			}
			return nil
		}}
		w.both(s)
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
			require.NoError(w.t, err)
			want := slices.Repeat([]string{"stored"}, 9)
			want[4] = "not_stored too_large"
			assert.Equal(w.t, want, wireOutcomes(got))
			s.once(w.t, slices.Concat(files[:4], files[5:]), "")
		})
	})
}

// A site that takes nothing of the request is left within seconds.
func TestStoreStalls(t *testing.T) {
	t.Parallel()
	large := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 60_000))
	onWire(t, 2, func(w *wire) {
		s, over := &wireStore{}, make(chan struct{})
		w.both(s)
		w.sites[0].says(func(r *http.Request) wireAnswer {
			if r.Method == http.MethodPost {
				return wireAnswer{drop: true, late: over}
			}
			return s.say(r)
		})
		w.with(func(c *pacs.Client) {
			defer close(over)
			began := time.Now()
			got, err := wirePut(w.t.Context(), w.t, c, bytesOf(large), pacs.Upload{})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"stored"}, wireOutcomes(got))
			assert.LessOrEqual(w.t, time.Since(began), 15*time.Second)
			s.once(w.t, []wireFile{large}, "")
		})
	})
}
