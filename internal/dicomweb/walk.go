package dicomweb

import (
	"bufio"
	"encoding/binary"
	"io"
)

// encoding is how a data set is written (PS3.5 section 7.1).
type encoding struct {
	order    binary.ByteOrder
	implicit bool
}

var (
	implicitLittle = encoding{binary.LittleEndian, true}
	explicitLittle = encoding{binary.LittleEndian, false}
	explicitBig    = encoding{binary.BigEndian, false}
)

// element is an attribute's header; the value follows.
type element struct {
	tag    Tag
	vr     string // "" when it is implicit
	length uint32
}

const (
	undefinedLength = 0xFFFFFFFF

	tagItem         Tag = 0xFFFEE000
	tagItemEnd      Tag = 0xFFFEE00D
	tagSequenceEnd  Tag = 0xFFFEE0DD
	maxFileSequence     = 64 // levels of sequences of undefined length
)

// walker goes through a data set in memory that does not grow with it.
type walker struct {
	r        *bufio.Reader
	encoding encoding
	last     Tag      // of the top level
	raw      [12]byte // the last header as it came
	depth    int
}

// next reads the header of the next top-level attribute. It returns io.EOF when the
// data set ended before it.
func (w *walker) next() (element, error) {
	switch _, err := w.r.Peek(1); {
	case atEnd(err):
		return element{}, io.EOF
	case err != nil:
		return element{}, ended(err)
	}
	e, err := w.header()
	if err != nil {
		return e, err
	}
	// Readers that stop at the first and those that keep the last of two would
	// understand the file differently.
	if e.tag <= w.last || e.tag>>16 == 0xFFFE {
		return e, invalid("attributes out of order")
	}
	w.last = e.tag
	return e, nil
}

// header reads a header of any level.
func (w *walker) header() (element, error) {
	if err := w.full(w.raw[:8]); err != nil {
		return element{}, err
	}
	order := w.encoding.order
	e := element{
		tag:    Tag(order.Uint16(w.raw[:]))<<16 | Tag(order.Uint16(w.raw[2:])),
		length: order.Uint32(w.raw[4:]),
	}
	if w.encoding.implicit || e.tag>>16 == 0xFFFE {
		return e, nil
	}
	e.vr = string(w.raw[4:6])
	e.length = uint32(order.Uint16(w.raw[6:]))
	switch {
	case !validVR(e.vr):
		return e, invalid("an attribute without vr")
	case shortLength(e.vr):
		return e, nil
	}
	if err := w.full(w.raw[8:12]); err != nil {
		return element{}, err
	}
	e.length = order.Uint32(w.raw[8:])
	return e, nil
}

// shortLength says whether a vr has two bytes of length. All others, future ones too,
// have four (PS3.5 section 7.1.2).
func shortLength(vr string) bool {
	switch vr {
	case "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US":
		return true
	}
	return false
}

func (w *walker) full(b []byte) error {
	if _, err := io.ReadFull(w.r, b); err != nil {
		return ended(err)
	}
	return nil
}

// take reads a value that h has a place for, and skips every other one.
func (w *walker) take(e element, h *Head) error {
	into := field(h, e.tag)
	if into == nil {
		return w.skip(e, io.Discard)
	}
	return w.text(e, into)
}

// text reads a short value.
func (w *walker) text(e element, into *string) error {
	if e.length > maxField {
		return invalid("an identifier that is too long")
	}
	b := make([]byte, e.length)
	if err := w.full(b); err != nil {
		return err
	}
	*into = unpad(e.vr, string(b))
	return nil
}

// skip copies a value to sink: of encapsulated pixels the items with their headers,
// of other sequences whose length is undefined nothing.
func (w *walker) skip(e element, sink io.Writer) error {
	switch {
	case e.length != undefinedLength:
		return w.copy(e.length, sink)
	case e.tag == TagPixelData || e.vr == "OB" || e.vr == "OW":
		return w.fragments(sink)
	case e.vr == "UN": // PS3.5 section 6.2.2, note 2
		outer := w.encoding
		w.encoding = implicitLittle
		err := w.items()
		w.encoding = outer
		return err
	case e.vr == "SQ" || e.vr == "":
		return w.items()
	}
	return invalid("an undefined length where none may be")
}

func (w *walker) copy(n uint32, sink io.Writer) error {
	if _, err := io.CopyN(sink, w.r, int64(n)); err != nil {
		return ended(err)
	}
	return nil
}

// fragments reads the items of encapsulated pixels (PS3.5 annex A.4).
func (w *walker) fragments(sink io.Writer) error {
	for {
		e, err := w.header()
		switch {
		case err != nil:
			return err
		case e.tag == tagSequenceEnd:
			return nil
		case e.tag != tagItem || e.length == undefinedLength:
			return invalid("pixels that are no fragments")
		}
		if _, err := sink.Write(w.raw[:8]); err != nil {
			return err
		}
		if err := w.copy(e.length, sink); err != nil {
			return err
		}
	}
}

// items reads the items of a sequence of undefined length.
func (w *walker) items() error {
	if w.depth++; w.depth > maxFileSequence {
		return tooLarge("the depth of sequences")
	}
	defer func() { w.depth-- }()
	for {
		e, err := w.header()
		switch {
		case err != nil:
			return err
		case e.tag == tagSequenceEnd:
			return nil
		case e.tag != tagItem:
			return invalid("a sequence of something else than items")
		case e.length == undefinedLength:
			err = w.item()
		default:
			err = w.copy(e.length, io.Discard)
		}
		if err != nil {
			return err
		}
	}
}

// item reads the attributes of an item of undefined length.
func (w *walker) item() error {
	for {
		e, err := w.header()
		if err != nil || e.tag == tagItemEnd {
			return err
		}
		if e.tag>>16 == 0xFFFE {
			return invalid("an item that does not end")
		}
		if err := w.skip(e, io.Discard); err != nil {
			return err
		}
	}
}
