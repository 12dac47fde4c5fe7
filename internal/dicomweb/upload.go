package dicomweb

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// Source is one file to be sent.
type Source struct {
	// Size in bytes; negative when it is not known.
	Size int64
	// Open opens it at its beginning.
	Open func() (io.ReadCloser, error)
}

// Upload is the body of a store request (STOW-RS, PS3.18 section 10.5): files, part
// by part, read while they are sent.
type Upload struct {
	sources  []Source
	boundary string
}

// NewUpload makes one, with a boundary that no file can be expected to contain.
func NewUpload(sources []Source) *Upload {
	return &Upload{sources: sources, boundary: rand.Text()}
}

// ContentType is the request's.
func (u *Upload) ContentType() string {
	return `multipart/related; type="application/dicom"; boundary=` + u.boundary
}

// The type of a part must be bare: servers skip one with parameters.
const partHeader = "\r\nContent-Type: application/dicom\r\n\r\n"

// Length is the body's in bytes, -1 when a file's is not known.
func (u *Upload) Length() int64 {
	total := int64(len(u.closing()))
	for i, s := range u.sources {
		if s.Size < 0 {
			return -1
		}
		total += int64(len(u.opening(i))) + s.Size
	}
	return total
}

func (u *Upload) opening(i int) string {
	if i == 0 {
		return "--" + u.boundary + partHeader
	}
	return "\r\n--" + u.boundary + partHeader
}

func (u *Upload) closing() string { return "\r\n--" + u.boundary + "--\r\n" }

// ErrChanged is a file that is longer or shorter than it was.
var ErrChanged = errors.New("dicomweb: the file changed while it was sent")

// Open begins the body; each time anew, where the sources can be.
func (u *Upload) Open() (io.ReadCloser, error) { return &uploading{upload: u}, nil }

// uploading is the body on its way.
type uploading struct {
	upload *Upload
	next   int    // the file that is opened next
	text   string // what stands between files and has not been read yet
	left   int64  // of file, negative when not known
	ended  bool

	file   atomic.Pointer[io.ReadCloser] // net/http closes a body that is being read
	closed atomic.Bool
}

// Read reads.
func (b *uploading) Read(p []byte) (int, error) {
	for {
		file := b.file.Load()
		switch {
		case b.text != "":
			n := copy(p, b.text)
			b.text = b.text[n:]
			return n, nil
		case file != nil:
			n, err := (*file).Read(p)
			if err = b.count(n, err); n > 0 || err != nil {
				return n, err
			}
		case b.ended:
			return 0, io.EOF
		default:
			if err := b.advance(); err != nil {
				return 0, err
			}
		}
	}
}

// count ends a file when all of it has been read, and only then.
func (b *uploading) count(n int, err error) error {
	known, end := b.left >= 0, err == io.EOF //nolint:errorlint // only as it is; inside another error it is a source that broke
	b.left -= int64(n)
	switch {
	case known && b.left < 0, known && end && b.left > 0:
		return ErrChanged
	case !end:
		return err
	}
	return b.drop()
}

func (b *uploading) drop() error {
	if file := b.file.Swap(nil); file != nil {
		return (*file).Close()
	}
	return nil
}

// advance goes to the next file, or to the end.
func (b *uploading) advance() error {
	if b.closed.Load() { // it was no end that dropped the file
		return os.ErrClosed
	}
	u := b.upload
	if b.next == len(u.sources) {
		b.text, b.ended = u.closing(), true
		return nil
	}
	file, err := u.sources[b.next].Open()
	if err != nil {
		return fmt.Errorf("dicomweb: file %d cannot be read", b.next) // its name may be a person's
	}
	b.text, b.left = u.opening(b.next), u.sources[b.next].Size
	if b.file.Store(&file); b.closed.Load() {
		return errors.Join(os.ErrClosed, b.drop())
	}
	if b.left < 0 {
		b.left = -1
	}
	b.next++
	return nil
}

// Close closes the file that is being read.
func (b *uploading) Close() error {
	b.closed.Store(true)
	return b.drop()
}
