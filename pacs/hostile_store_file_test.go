package pacs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

// changing is a file that has other bytes from its second opening on.
func changing(first, later []byte) pacs.File {
	f, opened := pacs.Bytes(first), 0
	f.Open = func() (io.ReadCloser, error) {
		if opened++; opened == 1 {
			return io.NopCloser(bytes.NewReader(first)), nil
		}
		return io.NopCloser(bytes.NewReader(later)), nil
	}
	return f
}

// failing is a file whose disk fails in the middle.
func failing(data []byte) pacs.File {
	f := pacs.Bytes(data)
	f.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:len(data)-7]), failingReader{})), nil
	}
	return f
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) {
	return 0, errors.New("/data/Zhang^San: input/output error")
}

func opening(data []byte, times int) pacs.File {
	f := pacs.Bytes(data)
	f.Open = func() (io.ReadCloser, error) {
		if times--; times < 0 {
			return nil, errors.New("/data/Zhang^San: no such file")
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return f
}

// Files that are not what they were: each fails alone, and nothing of it is stored.
func TestStoreOfSpoiltFiles(t *testing.T) {
	t.Parallel()
	files := wireFiles(4, 1)
	data := files[1].data
	for name, bad := range map[string]func() pacs.File{
		"no DICOM file":      func() pacs.File { return pacs.Bytes([]byte("no DICOM file")) },
		"nothing":            func() pacs.File { return pacs.Bytes(nil) },
		"a head that ends":   func() pacs.File { return pacs.Bytes(data[:200]) },
		"longer":             func() pacs.File { return changing(data, append(bytes.Clone(data), "and more"...)) },
		"much longer":        func() pacs.File { return changing(data, append(bytes.Clone(data), bytes.Repeat(data, 20)...)) },
		"shorter":            func() pacs.File { return changing(data, data[:len(data)-5]) },
		"empty by now":       func() pacs.File { return changing(data, nil) },
		"a disk that fails":  func() pacs.File { return failing(data) },
		"gone":               func() pacs.File { return opening(data, 1) },
		"never there":        func() pacs.File { return opening(data, 0) },
		"of negative length": func() pacs.File { f := failing(data); f.Size = -1; return f },
	} {
		for _, weak := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", weak), func(t *testing.T) {
				t.Parallel()
				onWire(t, 2, func(w *wire) {
					if weak {
						w.change = func(cfg *hospital.Config) {
							cfg.Topology.Endpoints[0].Contract, cfg.Topology.Endpoints[1].Contract = campus.Contract{}, campus.Contract{}
						}
					}
					s, list := &wireStore{}, bytesOf(files...)
					list[1] = bad()
					w.both(s)
					w.with(func(c *pacs.Client) {
						got, err := wirePut(w.t.Context(), w.t, c, list, pacs.Upload{})
						require.NoError(w.t, err)
						assert.Equal(w.t, []string{"stored", "not_stored invalid_argument", "stored", "stored"}, wireOutcomes(got))
						s.has(w.t, []wireFile{files[0], files[2], files[3]}, name) // a request that was given up may arrive late, and once more
						assert.Empty(w.t, wireWithin(s.files, wireStudy, "", files[1].instance))
						for _, one := range got {
							if one.Err != nil {
								assert.NotContains(w.t, fmt.Sprintf("%v %+v %#v", one.Err, one.Err, one.Err), "Zhang")
							}
						}
					})
				})
			})
		}
	}
}

// A file that can be read once is sent again as long as its bytes are still known.
func TestStoreOfOneShot(t *testing.T) {
	t.Parallel()
	files := wireFiles(3, 1)
	large := newWireFile(files[1].study, files[1].series, files[1].instance, strings.Repeat("pixels", 300_000))
	list := func(f wireFile) []pacs.File {
		out := bytesOf(files...)
		out[1] = pacs.Reader(bytes.NewReader(f.data), int64(len(f.data)))
		return out
	}
	onWire(t, 2, func(w *wire) {
		for n := 0; n < 1200; n += 57 {
			s := &wireStore{cut: n + 1}
			w.both(s)
			w.with(func(c *pacs.Client) {
				got, err := wirePut(w.t.Context(), w.t, c, list(files[1]), pacs.Upload{})
				require.NoError(w.t, err)
				assert.Equal(w.t, []string{"stored", "stored", "stored"}, wireOutcomes(got))
				s.once(w.t, files, fmt.Sprint("cut at ", n))
			})
		}
		for _, n := range []int{100, 1_500_000, 1_900_000} { // before, in and behind the large one
			s := &wireStore{cut: n + 1}
			w.both(s)
			w.with(func(c *pacs.Client) {
				got, err := wirePut(w.t.Context(), w.t, c, list(large), pacs.Upload{})
				require.NoError(w.t, err)
				assert.Contains(w.t, []string{"[stored stored stored]", "[stored not_stored invalid_argument stored]"}, fmt.Sprint(wireOutcomes(got)))
				s.once(w.t, []wireFile{files[0], files[2]}, fmt.Sprint("cut at ", n))
				if got[1].Err == nil {
					s.once(w.t, []wireFile{large}, fmt.Sprint("cut at ", n))
				}
			})
		}
	})
}

// slow hands out a little at a time.
type slow struct {
	r    io.Reader
	step int
}

func (s slow) Read(p []byte) (int, error) {
	past(time.Second)
	return s.r.Read(p[:min(len(p), s.step)])
}

// A request that was given up while its body waits for the source must not take bytes
// from the one that follows.
func TestStoreOfSlowOneShot(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 100))
	for _, size := range []int64{int64(len(file.data)), -1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				for n := range 12 {
					s := &wireStore{}
					dropped := false
					s.refuse = func(r *http.Request) *wireAnswer {
						if dropped {
							return nil
						}
						dropped = true
						_, _ = io.CopyN(io.Discard, r.Body, int64(n*60))
						return &wireAnswer{drop: true}
					}
					w.both(s)
					w.with(func(c *pacs.Client) {
						got, err := wirePut(w.t.Context(), w.t, c, []pacs.File{pacs.Reader(slow{bytes.NewReader(file.data), 50}, size)}, pacs.Upload{})
						require.NoError(w.t, err)
						assert.Equal(w.t, []string{"stored"}, wireOutcomes(got))
						s.once(w.t, []wireFile{file}, fmt.Sprint("dropped at ", n))
					})
				}
			})
		})
	}
}

// Beyond what is remembered of it a file is sent once, or not at all: never with a hole.
func TestStoreOfLargeSlowOneShot(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels, and", 130_000))
	for _, size := range []int64{int64(len(file.data)), -1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				for n := 1_000_000; n < 1_250_000; n += 25_000 {
					s, dropped := &wireStore{}, false
					s.refuse = func(r *http.Request) *wireAnswer {
						if dropped {
							return nil
						}
						dropped = true
						_, _ = io.CopyN(io.Discard, r.Body, int64(n))
						return &wireAnswer{drop: true}
					}
					w.both(s)
					w.with(func(c *pacs.Client) {
						got, err := wirePut(w.t.Context(), w.t, c, []pacs.File{pacs.Reader(slow{bytes.NewReader(file.data), 30_000}, size)}, pacs.Upload{})
						require.NoError(w.t, err)
						if got[0].Err != nil {
							require.ErrorIs(w.t, got[0].Err, hospital.ErrInvalidArgument)
							assert.Empty(w.t, s.files)
							return
						}
						s.once(w.t, []wireFile{file}, fmt.Sprint("dropped at ", n))
					})
				}
			})
		})
	}
}

// A request that was given up may go on reading; only the one after it gets anything.
func TestReaderIsForWhoOpenedLast(t *testing.T) {
	t.Parallel()
	const text = "what can be read once"
	f := pacs.Reader(strings.NewReader(text), -1)
	first, err := f.Open()
	require.NoError(t, err)
	_, err = io.ReadFull(first, make([]byte, 5))
	require.NoError(t, err)
	second, err := f.Open()
	require.NoError(t, err)
	_, err = first.Read(make([]byte, 5))
	require.ErrorIs(t, err, hospital.ErrInvalidArgument)
	all, err := io.ReadAll(second)
	require.NoError(t, err)
	assert.Equal(t, text, string(all))
}
