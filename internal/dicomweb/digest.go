package dicomweb

import (
	"bufio"
	"crypto/sha256"
	"hash"
	"io"
)

// Digest is what a DICOM file holds, in few bytes: two files with the same Pixels
// show the same image, though a server may have corrected the patient's name in one.
type Digest struct {
	// Head is as [ReadHead] reads it.
	Head Head
	// Size is how many bytes the file has.
	Size int64
	// File is the SHA-256 of all bytes.
	File [sha256.Size]byte
	// Pixels is the SHA-256 of the values of the top level's Pixel Data, Float Pixel
	// Data and Double Float Pixel Data as they are written: of encapsulated ones the
	// items with their headers, without the delimiter. It depends on the transfer syntax.
	Pixels [sha256.Size]byte
	// HasPixels says whether there is any of these attributes.
	HasPixels bool
}

const (
	sumStep     = 128 << 10
	maxInflated = 8 << 30 // pixels that are deflated have at most 4 GiB
)

// Sum reads a whole DICOM file, in memory that does not grow with it. Beside the
// errors of [ReadHead], it returns an [ErrCut] for a file that ends inside an
// attribute; one that ends between two is whole as far as can be told. A file with
// trailing bytes that are no attributes is an [ErrInvalid].
func Sum(r io.Reader) (Digest, error) {
	var d Digest
	file, pixels := sha256.New(), sha256.New()
	count := &counter{}
	in := bufio.NewReaderSize(io.TeeReader(r, io.MultiWriter(file, count)), sumStep)
	if err := d.walk(in, pixels); err != nil {
		return Digest{}, err
	}
	// What a deflated data set is padded with.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return Digest{}, ended(err)
	}
	d.Size = count.n
	file.Sum(d.File[:0])
	pixels.Sum(d.Pixels[:0])
	return d, nil
}

func (d *Digest) walk(in *bufio.Reader, pixels hash.Hash) error {
	w, err := openFile(in, &d.Head, maxInflated)
	if err != nil {
		return err
	}
	for {
		e, err := w.next()
		switch {
		case atEnd(err):
			return d.Head.check()
		case err != nil:
			return err
		}
		switch e.tag {
		case TagPixelData, TagFloatPixelData, TagDoubleFloatPixelData:
			d.HasPixels = true
			err = w.skip(e, pixels)
		default:
			err = w.take(e, &d.Head)
		}
		if err != nil {
			return err
		}
	}
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
