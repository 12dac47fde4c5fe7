package dicomweb

import (
	"bufio"
	"io"
	"iter"
)

// maxSpace is how much white space may stand between the items of an array, and
// how much may follow a multipart body's closing boundary.
const maxSpace = 64 << 10

// DecodeArray reads a JSON array of data sets, one at a time, in memory for one: each
// has at most maxElement bytes, and there are at most maxCount, else ErrTooLarge. See
// [Dataset.UnmarshalJSON] for what is refused. The last pair has the error, if there
// is one: what came before an [ErrCut] is not all there is. The end is the closing
// bracket with nothing but white space behind it. It can be ranged over once.
func DecodeArray(r io.Reader, maxElement int64, maxCount int) iter.Seq2[Dataset, error] {
	a := &array{r: bufio.NewReaderSize(r, 32<<10), maxElement: maxElement, maxCount: maxCount}
	return func(yield func(Dataset, error) bool) {
		for {
			d, err := a.next()
			if atEnd(err) || !yield(d, err) || err != nil {
				return
			}
		}
	}
}

type array struct {
	r          *bufio.Reader
	buf        []byte
	maxElement int64
	maxCount   int
	count      int // items that came
	opened     bool
	finished   bool // the reader ended well
}

// next returns the next item, io.EOF after the last.
func (a *array) next() (Dataset, error) {
	first, before := !a.opened, byte(',')
	if first {
		a.opened, before = true, '['
	}
	c, err := a.skipSpace()
	switch {
	case err != nil:
		return nil, err
	case c == ']' && !first:
		return nil, a.end()
	case c != before:
		return nil, invalid("not a JSON array of data sets")
	}
	if c, err = a.skipSpace(); err != nil {
		return nil, err
	}
	if c == ']' && first {
		return nil, a.end()
	}
	return a.item(c)
}

// end checks that nothing follows, up to the reader's end.
func (a *array) end() error {
	_, err := a.skipSpace()
	switch {
	case err == nil:
		return invalid("something follows the array")
	case a.finished:
		return io.EOF
	}
	return err
}

// skipSpace returns the next byte that is not white space.
func (a *array) skipSpace() (byte, error) {
	for range maxSpace {
		c, err := a.r.ReadByte()
		if err != nil {
			a.finished = atEnd(err)
			return 0, ended(err)
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, nil
		}
	}
	return 0, tooLarge("white space")
}

// item reads a data set whose first byte is taken already.
func (a *array) item(first byte) (Dataset, error) {
	if first != '{' {
		return nil, invalid("not a JSON array of data sets")
	}
	if a.count++; a.count > a.maxCount {
		return nil, tooLarge("the number of data sets")
	}
	if err := a.object(); err != nil {
		return nil, err
	}
	return decodeDataset(a.buf)
}

// object reads into buf up to the brace that closes the one that was taken.
func (a *array) object() error {
	a.buf = append(a.buf[:0], '{')
	depth, quoted, escaped := 1, false, false
	for depth > 0 {
		if _, err := a.r.Peek(1); err != nil {
			return ended(err)
		}
		chunk, _ := a.r.Peek(a.r.Buffered())
		n := 0
		for ; n < len(chunk) && depth > 0; n++ {
			switch c := chunk[n]; {
			case escaped:
				escaped = false
			case c == '"':
				quoted = !quoted
			case quoted:
				escaped = c == '\\'
			case c == '{':
				depth++
			case c == '}':
				depth--
			}
		}
		if int64(len(a.buf)+n) > a.maxElement {
			return tooLarge("a data set")
		}
		a.buf = append(a.buf, chunk[:n]...)
		_, _ = a.r.Discard(n)
	}
	return nil
}
