package pacs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

// From one archive to another, which answers before it has read the file: the request
// that was given up must not go on reading beside the loop (with -race).
func TestReaderIsNotReadBesideTheLoop(t *testing.T) {
	t.Parallel()
	first := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 200_000))
	files := []wireFile{first, newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.2", strings.Repeat("0123456789", 100_000))}
	all, half := wireParts(files...), len(wireParts(first).body)-300
	w := &wire{t: t} // in real time: net/http's lock is none of a bubble's
	w.sites = append(w.sites, w.listen(0))
	w.sites[0].says(func(r *http.Request) wireAnswer {
		switch {
		case r.Method == http.MethodPost:
			_, _ = io.CopyN(io.Discard, r.Body, int64(half-2000)) // now the source is waited for
			return wireAnswer{status: http.StatusForbidden, framing: wireClosing}
		case strings.HasSuffix(r.URL.Path, "/series/"+first.series+"/instances"): // the other archive has nothing
			return wireRaw("application/dicom+json", "[]")
		case wholeStudy(r):
			return wireAnswer{media: all.media, body: all.body[:half], endless: func(to io.Writer) {
				past(20 * time.Millisecond) // the first archive is slow
				_, _ = to.Write(all.body[half:])
				_ = to.(*bufio.Writer).Flush()
			}}
		}
		return (&wireArchive{files: files}).answer(r)
	})
	client, err := hospital.New(w.config())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // nothing to say
	c := pacs.New(client)
	for i := range 10 {
		for in, err := range c.Retrieve(t.Context(), pacs.Retrieval{Study: wireStudy}) {
			require.NoError(t, err)
			if in.Resource.UID != first.instance {
				data, err := io.ReadAll(in.Resource)
				require.NoError(t, err)
				require.True(t, bytes.Equal(files[1].data, data))
				continue
			}
			_, err = wirePut(t.Context(), t, c, []pacs.File{pacs.Reader(in.Resource, -1)}, pacs.Upload{})
			require.NoError(t, err)
			if i%2 == 1 {
				break
			}
		}
	}
}

// slices of a stream: zeroes behind a head.
type zeroes struct {
	head []byte
	left int
}

func (z *zeroes) Read(p []byte) (int, error) {
	n := copy(p, z.head)
	z.head = z.head[n:]
	switch {
	case n > 0:
		return n, nil
	case z.left == 0:
		return 0, io.EOF
	}
	n = min(len(p), z.left)
	z.left -= n
	return n, nil
}

// A study of slices that are streams is not kept in memory.
func TestManyReadersInConstantMemory(t *testing.T) { //nolint:paralleltest // it measures the process
	c := imaging(t, fakes.NewHospital(t, fakes.WithLoopback(), fakes.WithPersonality(fakes.Personality{Keep: 1})), nil)
	const size, n = 512 << 10, 600
	var files []pacs.File
	for i := range n {
		head := newWireFile(wireStudy, wireStudy+".1", fmt.Sprint(wireStudy, ".9.", i+1), "").data
		binary.LittleEndian.PutUint32(head[len(head)-4:], size)
		files = append(files, pacs.Reader(&zeroes{head, size}, int64(len(head)+size)))
	}
	grown := peak(func() {
		for s, err := range c.Store(t.Context(), files, pacs.Upload{}) {
			require.NoError(t, err)
			require.NoError(t, s.Resource.Err)
		}
	})
	assert.LessOrEqual(t, grown, int64(4*flat), "of %d MiB", n*size>>20)
	assert.Len(t, files, n)
}

// As TestReaderIsNotReadBesideTheLoop; the loop is left by a panic that the program
// survives (with -race).
func TestReaderIsNotReadBesideAPanic(t *testing.T) {
	t.Parallel()
	first := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 200_000))
	files := []wireFile{first, newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.2", strings.Repeat("0123456789", 100_000))}
	all, half := wireParts(files...), len(wireParts(first).body)-300
	w := &wire{t: t}
	w.sites = append(w.sites, w.listen(0))
	w.sites[0].says(func(r *http.Request) wireAnswer {
		switch {
		case r.Method == http.MethodPost:
			_, _ = io.CopyN(io.Discard, r.Body, int64(half-2000))
			return wireAnswer{status: http.StatusForbidden, framing: wireClosing}
		case strings.HasSuffix(r.URL.Path, "/series/"+first.series+"/instances"):
			return wireRaw("application/dicom+json", "[]")
		case wholeStudy(r):
			return wireAnswer{media: all.media, body: all.body[:half], endless: func(to io.Writer) {
				past(20 * time.Millisecond)
				_, _ = to.Write(all.body[half:])
				_ = to.(*bufio.Writer).Flush()
			}}
		}
		return (&wireArchive{files: files}).answer(r)
	})
	client, err := hospital.New(w.config())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // nothing to say
	c := pacs.New(client)
	for range 20 {
		func() {
			defer func() { assert.NotNil(t, recover()) }()
			for in, err := range c.Retrieve(t.Context(), pacs.Retrieval{Study: wireStudy}) {
				require.NoError(t, err)
				_, err = wirePut(t.Context(), t, c, []pacs.File{pacs.Reader(in.Resource, -1)}, pacs.Upload{})
				require.NoError(t, err)
				panic("the program's own")
			}
		}()
	}
}

// A source that says nothing more does not keep its caller beyond the time given.
func TestStoreFromASilentReader(t *testing.T) {
	t.Parallel()
	c := imaging(t, fakes.NewHospital(t), nil)
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 500_000))
	from, to := io.Pipe()
	defer to.Close() //nolint:errcheck // it never fails
	src := io.MultiReader(bytes.NewReader(file.data[:2<<20]), struct{ io.Reader }{from})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = wirePut(ctx, t, c, []pacs.File{pacs.Reader(src, -1)}, pacs.Upload{})
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		assert.Fail(t, "it still waits for its source")
	}
}

// leaving is a source that ends the goroutine that reads it, as a failed test does.
type leaving struct{}

func (leaving) Read([]byte) (int, error) {
	runtime.Goexit()
	return 0, nil
}

// A source that ends its goroutine is a source that broke.
func TestStoreFromASourceThatLeaves(t *testing.T) {
	t.Parallel()
	got, err := wirePut(t.Context(), t, imaging(t, fakes.NewHospital(t), nil), []pacs.File{pacs.Reader(leaving{}, -1)}, pacs.Upload{})
	require.NoError(t, err)
	assert.Equal(t, []string{"not_stored invalid_argument"}, wireOutcomes(got))
}

// A source that says nothing more keeps nobody: not in its head, and not the request
// that follows one that was lost while it was read.
func TestStoreFromASourceThatSaysNothing(t *testing.T) {
	t.Parallel()
	file := newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.1", strings.Repeat("pixels", 10_000))
	for name, said := range map[string]int{"in its head": 100, "after a loss": 20_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 2, func(w *wire) {
				from, to := io.Pipe()
				defer to.Close() //nolint:errcheck // it never fails
				s := &wireStore{refuse: func(r *http.Request) *wireAnswer {
					_, _ = io.ReadFull(r.Body, make([]byte, said/2))
					return &wireAnswer{drop: true}
				}}
				w.both(s)
				w.with(func(c *pacs.Client) {
					src := io.MultiReader(bytes.NewReader(file.data[:said]), struct{ io.Reader }{from})
					ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
					defer cancel()
					start := time.Now()
					got, err := wirePut(ctx, w.t, c, []pacs.File{pacs.Reader(src, -1)}, pacs.Upload{})
					assert.LessOrEqual(w.t, time.Since(start), 11*time.Second)
					if err == nil {
						require.Len(w.t, got, 1)
						err = got[0].Err
					}
					require.Error(w.t, err)
				})
			})
		})
	}
}
