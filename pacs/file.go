package pacs

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/hospital-go/hospital"
)

// File is a DICOM file to be stored. Its bytes are sent as they are, read while they are
// sent.
type File struct {
	// Size in bytes; zero or negative when it is not known. Where all are known the request
	// says how long it is. A file of unknown size goes alone.
	Size int64
	// Open opens the file at its beginning. It is called several times: to read the head,
	// to send the file, to send it again, to compare it. Each call returns a reader of its
	// own, because an earlier one may still be read by another goroutine: Open must be safe
	// for concurrent use, and must not seek in one shared file. The reader may be closed
	// while it is being read (as http.Request.Body), and that ends the reading. Required.
	Open func() (io.ReadCloser, error)

	forget func() // what is kept of it
}

// Path is the file of that name. Its size is what it is now. The error is that of os.Stat.
func Path(name string) (File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return File{}, err
	}
	return File{Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(name) }}, nil //nolint:gosec // the caller's own file
}

// Bytes is a file in memory.
func Bytes(data []byte) File {
	return File{Size: int64(len(data)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// Reader is a file that can be read once; size is as File.Size. When the request that
// sends it is lost it cannot be sent again, and Upload.Verify has nothing to compare
// with: then the file fails with hospital.ErrInvalidArgument, or, when the archive lists it
// all the same, with hospital.ErrOutcomeUnknown.
func Reader(r io.Reader, size int64) File {
	o := &oneShot{rest: r, lock: make(chan struct{}, 1)}
	return File{Size: size, Open: o.open, forget: o.forget}
}

// oneShot keeps what was read of the head, so that the file can be opened again as
// long as no more was. A request that was given up may still be reading: only who opened
// last gets anything.
type oneShot struct {
	lock chan struct{} // not a sync.Mutex, because the source may take its time
	rest io.Reader
	kept []byte
	gone bool
	last atomic.Pointer[turn]
	over atomic.Bool
}

// forget: what became of it is known. A request that was given up may be reading still.
func (o *oneShot) forget() {
	o.over.Store(true)
	select {
	case o.lock <- struct{}{}:
		o.kept, o.gone = nil, true
		<-o.lock
	default:
	}
}

// maxKept is as far as a head may reach.
const maxKept = 1<<20 + 64<<10

// open does not wait for who is reading: that is for Read, which can be ended.
func (o *oneShot) open() (io.ReadCloser, error) {
	t := &turn{oneShot: o, ended: make(chan struct{})}
	o.last.Store(t)
	return t, nil
}

var (
	errReadOnce  = hospital.Refuse(hospital.ErrInvalidArgument, "the file can be read only once")
	errOvertaken = hospital.Refuse(hospital.ErrInvalidArgument, "another request reads the file now")
)

// turn reads what was kept, then on, and remembers.
type turn struct {
	*oneShot
	begun bool
	at    int // in kept
	ended chan struct{}
	once  sync.Once
	buf   []byte
}

// Close ends a Read, whatever the source does.
func (t *turn) Close() error {
	t.once.Do(func() { close(t.ended) })
	return nil
}

// Read reads, and does not wait for the source any more once it is closed.
func (t *turn) Read(p []byte) (n int, err error) {
	select {
	case <-t.ended:
		return 0, os.ErrClosed
	default:
	}
	if len(t.buf) < len(p) {
		t.buf = make([]byte, len(p))
	}
	buf, done := t.buf[:len(p)], make(chan struct{})
	got, failed := 0, io.ErrUnexpectedEOF // of a source that ends its goroutine
	go func() {
		defer close(done)
		got, failed = t.read(buf)
	}()
	select {
	case <-done:
		return copy(p, buf[:got]), failed
	case <-t.ended: // buf is the source's now
		return 0, os.ErrClosed
	}
}

func (t *turn) read(p []byte) (int, error) {
	t.lock <- struct{}{}
	defer func() { <-t.lock }()
	first := !t.begun
	t.begun = true
	switch {
	case t.last.Load() != t:
		return 0, errOvertaken
	case t.over.Load(), first && t.gone:
		return 0, errReadOnce
	case t.at < len(t.kept):
		n := copy(p, t.kept[t.at:])
		t.at += n
		return n, nil
	}
	n, err := t.rest.Read(p)
	if t.gone = t.gone || t.over.Load() || len(t.kept)+n > maxKept; t.gone {
		t.kept = nil
		return n, err
	}
	t.kept = append(t.kept, p[:n]...)
	t.at += n
	return n, err
}

// read opens the file for use, until ctx ends: a source that says nothing keeps nobody.
func (f File) read(ctx context.Context, use func(io.Reader) error) error {
	r, err := f.Open()
	if err != nil {
		return hospital.Refuse(hospital.ErrInvalidArgument, "the file cannot be opened")
	}
	left := context.AfterFunc(ctx, func() { _ = r.Close() })
	err = use(r)
	if !left() { // it was closed, whatever that looked like
		return hospital.Because(hospital.CodeOf(ctx.Err()), ctx.Err())
	}
	_ = r.Close()
	return err
}
