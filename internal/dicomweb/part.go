package dicomweb

import (
	"bytes"
	"io"
)

// Read reads the part's bytes as they are. See [Part] for what its io.EOF says.
func (p *Part) Read(b []byte) (n int, err error) {
	if p.err != nil || len(b) == 0 {
		return 0, p.err
	}
	if p.Length >= 0 {
		n, p.err = p.measured(b)
	} else {
		n, p.err = p.searched(b)
	}
	p.read += int64(n)
	return n, p.err
}

var errLength = invalid("a part of another length than its Content-Length")

// measured reads a part that says how long it is: a boundary inside it is none.
func (p *Part) measured(b []byte) (int, error) {
	if left := p.Length - p.read; left > 0 {
		n, err := p.parts.r.Read(b[:min(left, int64(len(b)))])
		if err != nil {
			err = ended(err)
		}
		return n, err
	}
	switch here, err := p.parts.stops(p.read == 0); {
	case err != nil:
		return 0, err
	case !here:
		return 0, errLength
	}
	return 0, io.EOF
}

// searched reads a part up to the first boundary.
func (p *Part) searched(b []byte) (int, error) {
	switch here, err := p.parts.stops(p.read == 0); {
	case err != nil:
		return 0, err
	case here:
		return 0, io.EOF
	}
	r := p.parts.r
	window, _ := r.Peek(min(r.Buffered(), len(b)+needle))
	n := copy(b, window[:1+p.parts.find(window[1:])]) // the first byte is no boundary's
	_, _ = r.Discard(n)
	return n, nil
}

// stops reports whether a boundary stands here, and takes the end of line before it.
// Behind its header a part without bytes needs none.
func (p *Parts) stops(empty bool) (bool, error) {
	if empty {
		if here, err := p.matches(p.dash); here || err != nil {
			return here, err
		}
	}
	here, err := p.matches(p.sep)
	if here {
		_, _ = p.r.Discard(len(p.nl))
	}
	return here, err
}

// matches reports whether the prefix stands here, and behind it what stands behind a
// boundary: white space or two hyphens. It reads no more than it must to know.
func (p *Parts) matches(prefix []byte) (bool, error) {
	for want := 1; ; {
		head, err := p.r.Peek(min(max(want, p.r.Buffered()), len(prefix)+2))
		switch n := min(len(head), len(prefix)); {
		case !bytes.Equal(head[:n], prefix[:n]):
			return false, nil
		case len(head) > len(prefix) && head[n] != '-':
			return bytes.IndexByte([]byte(" \t\r\n"), head[n]) >= 0, nil
		case len(head) > len(prefix)+1:
			return head[n+1] == '-', nil
		case err != nil:
			return false, ended(err)
		}
		want = len(head) + 1
	}
}

// find is where in a window a boundary may stand or begin, the window's length for
// nowhere.
func (p *Parts) find(window []byte) int {
	sep := p.sep[:min(len(p.sep), needle)]
	if i := bytes.Index(window, sep); i >= 0 {
		return i
	}
	for i := max(0, len(window)-len(sep)+1); i < len(window); i++ {
		if bytes.HasPrefix(sep, window[i:]) {
			return i
		}
	}
	return len(window)
}
