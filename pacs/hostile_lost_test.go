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
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/pacs"
)

// The connection broke. What the archive lists afterwards is half of the file, or
// another file of that UID that was first.
func TestStoreLostIsCompared(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 1000))
	for name, other := range map[string]func(sent []byte) []byte{
		"half of it": func(sent []byte) []byte { return sent[bytes.Index(sent, []byte("\r\n\r\n"))+4:] },
		"another's":  func([]byte) []byte { return newWireFile(file.study, file.series, file.instance, "another image").data },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				s := &wireStore{}
				w.both(s)
				s.refuse = func(r *http.Request) *wireAnswer {
					if s.posts > 1 {
						return nil
					}
					sent := make([]byte, 3000)
					_, _ = io.ReadFull(r.Body, sent)
					there := file
					there.data = other(sent)
					s.files = append(s.files, there)
					return &wireAnswer{drop: true}
				}
				w.with(func(c *pacs.Client) {
					got, err := wirePut(w.t.Context(), w.t, c, bytesOf(file), pacs.Upload{})
					require.NoError(w.t, err)
					assert.Equal(w.t, []string{"not_stored conflict"}, wireOutcomes(got))
					next := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.2", "pixels")
					got, err = wirePut(w.t.Context(), w.t, c, bytesOf(file, next), pacs.Upload{})
					require.NoError(w.t, err, "one broken copy keeps all others out")
					assert.Equal(w.t, []string{"not_stored conflict", "stored"}, wireOutcomes(got))
				})
			})
		})
	}
}

// ofPatient adds whose it is.
func ofPatient(f wireFile, id, issuer string) wireFile {
	at := bytes.Index(f.data, []byte{0x20, 0, 0x0d, 0})
	f.data = slices.Concat(f.data[:at], wireElement(wireElement(nil, 0x00100020, "LO", id), 0x00100021, "LO", issuer), f.data[at:])
	return f
}

// The same pixels under another patient's number, of which the archive has said nothing.
func TestStoreUnderAnotherPatient(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	for name, theirs := range map[string]wireFile{"another number": ofPatient(file, "200", "A"), "another issuer": ofPatient(file, "100", "B")} {
		for when, c := range map[string]struct {
			before, verify bool
			names          bool
		}{"there before": {before: true}, "not named": {}, "named, and read back": {verify: true, names: true}} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				onWire(t, 1, func(w *wire) {
					s := &wireStore{answer: func(_, all []string) wireAnswer {
						if !c.names {
							all = nil
						}
						return wireStored(all, nil, 0)
					}}
					s.keeps = func(wireFile) bool { s.files = append(s.files, theirs); return false } // its was first
					if c.before {
						s.files = append(s.files, theirs)
					}
					w.both(s)
					w.with(func(client *pacs.Client) {
						got, err := wirePut(w.t.Context(), w.t, client, bytesOf(ofPatient(file, "100", "A")), pacs.Upload{Verify: c.verify})
						require.NoError(w.t, err)
						assert.Equal(w.t, []string{"not_stored conflict"}, wireOutcomes(got))
					})
				})
			})
		}
	}
}

type shareGone struct{}

func (shareGone) Read([]byte) (int, error) { return 0, fmt.Errorf("the share is gone: %w", io.EOF) }

// Only the bare io.EOF is a file's end.
func TestStoreOfASourceThatBreaks(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 1000))
	onWire(t, 2, func(w *wire) {
		s := &wireStore{}
		w.both(s)
		f := pacs.File{Size: -1, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(file.data[:len(file.data)/2]), shareGone{})), nil
		}}
		w.with(func(c *pacs.Client) {
			got, err := wirePut(w.t.Context(), w.t, c, []pacs.File{f}, pacs.Upload{})
			require.NoError(w.t, err)
			assert.Equal(w.t, []string{"not_stored invalid_argument"}, wireOutcomes(got))
			assert.Empty(w.t, s.files, "half a file is stored")
		})
	})
}

// lateStore stores what it has got after a while, also when nobody waits any more, and
// makes two of one.
type lateStore struct {
	mu    sync.Mutex
	late  time.Duration
	taken map[string]int
	files []wireFile
}

func (s *lateStore) say(r *http.Request) wireAnswer {
	body, _ := io.ReadAll(r.Body)
	if r.Method == http.MethodPost {
		past(s.late)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost {
		return (&wireArchive{files: slices.Clone(s.files)}).fair(r)
	}
	_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var stored []string
	for parts := multipart.NewReader(bytes.NewReader(body), params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if err != nil {
			return wireStored(stored, nil, 0)
		}
		data, _ := io.ReadAll(part)
		h, _, _ := dicomweb.ReadHead(bytes.NewReader(data))
		stored = append(stored, h.SOPInstance)
		if s.taken[h.SOPInstance]++; s.taken[h.SOPInstance] == 1 {
			s.files = append(s.files, wireFile{study: h.Study, series: h.Series, instance: h.SOPInstance, data: data})
		}
	}
}

// Nothing is proved of the archive: one file stored twice at once, or again after an
// unknown outcome, is sent once.
func TestStoreTwiceIsSentOnce(t *testing.T) {
	t.Parallel()
	files := wireFiles(2, 1)
	for name, store := range map[string]func(w *wire, c *pacs.Client){
		"at once": func(w *wire, c *pacs.Client) {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					_, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
					assert.NoError(w.t, err)
				})
			}
			both.Wait()
		},
		"again": func(w *wire, c *pacs.Client) {
			ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
			defer cancel()
			_, err := wirePut(ctx, w.t, c, bytesOf(files...), pacs.Upload{})
			require.ErrorIs(w.t, err, hospital.ErrOutcomeUnknown)
			_, err = wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{}) // "repeat the call"
			require.NoError(w.t, err)
			past(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				w.change = func(cfg *hospital.Config) {
					cfg.Topology.Endpoints[0].Contract = campus.Contract{ServerTimeout: 40 * time.Second}
				}
				s := &lateStore{late: 15 * time.Second, taken: map[string]int{}}
				w.sites[0].says(s.say)
				w.with(func(c *pacs.Client) {
					store(w, c)
					assert.Equal(w.t, map[string]int{files[0].instance: 1, files[1].instance: 1}, s.taken)
				})
			})
		})
	}
}

// An archive that keeps part by part finds that it is too much.
func TestStoreTooLargeAfterSome(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 1)
	for name, says := range map[string]bool{"and names them": true, "and names nothing": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				w.change = func(cfg *hospital.Config) { cfg.Topology.Endpoints[0].Contract = campus.Contract{} } // it makes two of one
				s := &wireStore{}
				w.both(s)
				s.keeps = func(f wireFile) bool { return s.posts > 1 || f.instance == files[0].instance }
				s.answer = func(taken, _ []string) wireAnswer {
					switch {
					case s.posts > 1:
						return wireStored(taken, nil, 0)
					case says:
						return wireStored(taken, nil, 0).of(http.StatusRequestEntityTooLarge)
					}
					return wireAnswer{status: http.StatusRequestEntityTooLarge}
				}
				w.with(func(c *pacs.Client) {
					got, err := wirePut(w.t.Context(), w.t, c, bytesOf(files...), pacs.Upload{})
					require.NoError(w.t, err)
					assert.Equal(w.t, []string{"stored", "stored", "stored", "stored"}, wireOutcomes(got))
					s.once(w.t, files, name)
				})
			})
		})
	}
}

// lastWord says io.EOF with its last bytes, when it may.
type lastWord struct {
	data []byte
	at   chan struct{}
	may  chan struct{}
}

func (l *lastWord) Read(p []byte) (int, error) {
	n := copy(p, l.data)
	if l.data = l.data[n:]; len(l.data) > 0 {
		return n, nil
	}
	close(l.at)
	<-l.may
	return n, io.EOF
}

// Over HTTP/2 net/http closes a body while it reads it: without the fix the program dies.
func TestStoreIsGivenUpWhileItReads(t *testing.T) {
	t.Parallel()
	c := imaging(t, fakes.NewHospital(t, fakes.WithHTTP2()), nil)
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 50_000))
	src := &lastWord{data: file.data, at: make(chan struct{}), may: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-src.at
		cancel()
		past(200 * time.Millisecond) // for net/http to close it
		close(src.may)
	}()
	_, err := wirePut(ctx, t, c, []pacs.File{pacs.Reader(src, -1)}, pacs.Upload{})
	require.Error(t, err)
	past(200 * time.Millisecond) // for it to read on
}

// A 404 to the list of a series is an absence only where nothing else speaks of one:
// archives say success to other bytes under a UID that they have.
func TestStoreWhereTheListIsNotFound(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	row := wireRaw("application/dicom+json", string(wireArray(wireRows([]wireFile{file}))))
	none, unknown := wireRaw("application/dicom+json", "[]"), wireAnswer{status: http.StatusNotFound}
	for name, c := range map[string]struct {
		studies, series wireAnswer
		want            []string
		code            hospital.Code
	}{
		"no such study":         {none, unknown, []string{"stored"}, ""},
		"no such series":        {row, none, []string{"stored"}, ""},
		"the series is there":   {row, row, nil, hospital.ErrUnexpectedAnswer},
		"no series are told of": {row, unknown, nil, hospital.ErrUnexpectedAnswer},
		"it knows no search":    {unknown, unknown, nil, hospital.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				s := &wireStore{}
				w.sites[0].says(func(r *http.Request) wireAnswer {
					switch {
					case r.Method == http.MethodPost:
						return s.say(r)
					case strings.HasSuffix(r.URL.Path, "/studies"):
						return c.studies
					case strings.HasSuffix(r.URL.Path, "/series"):
						return c.series
					}
					return unknown
				})
				w.with(func(client *pacs.Client) {
					got, err := wirePut(w.t.Context(), w.t, client, bytesOf(file), pacs.Upload{})
					assert.Equal(w.t, c.code, hospital.CodeOf(err))
					assert.Equal(w.t, c.want, wireOutcomes(got))
					assert.Len(w.t, s.files, len(c.want))
				})
			})
		})
	}
}

// While it is asked whether there is such a series the archive is away: that is no
// answer at all, and no unexpected one.
func TestStoreWhereTheArchiveGoesAwayInALook(t *testing.T) {
	t.Parallel()
	file := wireFiles(1, 1)[0]
	onWire(t, 1, func(w *wire) {
		w.sites[0].says(func(r *http.Request) wireAnswer {
			switch {
			case strings.HasSuffix(r.URL.Path, "/studies"):
				return wireRaw("application/dicom+json", string(wireArray(wireRows([]wireFile{file}))))
			case strings.HasSuffix(r.URL.Path, "/series"):
				return wireAnswer{status: http.StatusServiceUnavailable}
			}
			return wireAnswer{status: http.StatusNotFound}
		})
		w.with(func(c *pacs.Client) {
			_, err := wirePut(w.t.Context(), w.t, c, bytesOf(file), pacs.Upload{})
			assert.ErrorIs(w.t, err, hospital.ErrUnavailable)
		})
	})
}
