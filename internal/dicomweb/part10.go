package dicomweb

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Head is what the head of a DICOM file says of it. The five UIDs are there and
// valid. The others are the bytes of the file without padding, in the file's own
// CharacterSet, "" when absent. Packages fmt and slog print none of it.
type Head struct {
	// TransferSyntax (0002,0010), SOPClass (0008,0016), SOPInstance (0008,0018),
	// Study (0020,000D) and Series (0020,000E).
	TransferSyntax, SOPClass, SOPInstance, Study, Series string
	// CharacterSet (0008,0005).
	CharacterSet string
	// PatientID (0010,0020), IssuerOfPatientID (0010,0021) and Accession (0008,0050).
	PatientID, IssuerOfPatientID, Accession string
}

const redactedHead = "dicom head (redacted)"

// String hides the head.
func (h Head) String() string { return redactedHead }

// GoString hides the head.
func (h Head) GoString() string { return redactedHead }

// Format hides the head from every verb of package fmt.
func (h Head) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedHead) }

// LogValue hides the head from package slog.
func (h Head) LogValue() slog.Value { return slog.StringValue(redactedHead) }

const (
	// maxHead is how far into a file, and into what it inflates to, the UIDs may be.
	maxHead = 1 << 20
	// headStep is how much is read at a time.
	headStep = 4 << 10
	// maxField is how many bytes an attribute of Head may have.
	maxField = 1 << 10
)

// ReadHead reads the head of a DICOM file (PS3.10 section 7) up to its Series
// Instance UID. It reads ahead by less than 4 KiB. The second result are the bytes
// it took from r, also with an error: what a caller has to put before the rest of r.
//
// It returns an [ErrCut], an [ErrTooLarge] when the head is beyond 1 MiB, and an
// [ErrInvalid] for what is no DICOM file, lacks one of the five UIDs or has a broken
// one, or has top-level attributes out of order.
func ReadHead(r io.Reader) (Head, []byte, error) {
	var prefix bytes.Buffer
	in := bufio.NewReaderSize(io.TeeReader(&bounded{r, maxHead}, &prefix), headStep)
	var h Head
	err := readHead(in, &h)
	return h, prefix.Bytes(), err
}

func readHead(in *bufio.Reader, h *Head) error {
	w, err := openFile(in, h, maxHead)
	if err != nil {
		return err
	}
	for {
		switch e, err := w.next(); {
		case atEnd(err):
			return h.check()
		case err != nil:
			return err
		case e.tag > TagSeriesInstanceUID:
			return h.check()
		default:
			if err := w.take(e, h); err != nil {
				return err
			}
		}
	}
}

// check is the last word on a head that was read.
func (h Head) check() error {
	for _, uid := range []string{h.TransferSyntax, h.SOPClass, h.SOPInstance, h.Study, h.Series} {
		if !ValidUID(uid) {
			return invalid("a UID is missing or broken")
		}
	}
	return nil
}

// ValidUID reports whether s is a UID: up to 64 digits and dots, and something
// between the dots (PS3.5 section 9). Leading zeros, which the standard forbids and
// devices write, are let through.
func ValidUID(s string) bool {
	if len(s) > 64 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// field is where a top-level attribute belongs in h, nil for nowhere.
func field(h *Head, t Tag) *string {
	switch t {
	case TagSOPClassUID:
		return &h.SOPClass
	case TagSOPInstanceUID:
		return &h.SOPInstance
	case TagStudyInstanceUID:
		return &h.Study
	case TagSeriesInstanceUID:
		return &h.Series
	case TagSpecificCharacterSet:
		return &h.CharacterSet
	case TagPatientID:
		return &h.PatientID
	case TagIssuerOfPatientID:
		return &h.IssuerOfPatientID
	case TagAccessionNumber:
		return &h.Accession
	default:
		return nil
	}
}

// openFile reads the preamble and the file meta group and returns a walker at the
// first attribute of the data set. What is inflated has at most maxInflated bytes.
func openFile(in *bufio.Reader, h *Head, maxInflated int64) (*walker, error) {
	preamble, err := in.Peek(132)
	if err != nil {
		return nil, ended(err)
	}
	if string(preamble[128:]) != "DICM" {
		return nil, invalid("no DICOM file")
	}
	_, _ = in.Discard(132)
	w := &walker{r: in, encoding: explicitLittle}
	if err := w.meta(h); err != nil {
		return nil, err
	}
	w = &walker{r: in, encoding: explicitLittle}
	switch h.TransferSyntax {
	case "1.2.840.10008.1.2":
		w.encoding = implicitLittle
	case "1.2.840.10008.1.2.2":
		w.encoding = explicitBig
	case "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205":
		w.r = bufio.NewReaderSize(&bounded{inflater{flate.NewReader(in)}, maxInflated}, headStep)
	}
	return w, nil
}

// meta reads the file meta group (PS3.10 section 7.1). The instance that it names is
// not asked: anonymizers and converters leave the old one there, and archives go by the
// data set.
func (w *walker) meta(h *Head) error {
	for {
		// Group 0002 is over when another group begins.
		group, err := w.r.Peek(2)
		if err != nil && !atEnd(err) {
			return ended(err)
		}
		if len(group) < 2 || binary.LittleEndian.Uint16(group) != 2 {
			break
		}
		e, err := w.next()
		if err != nil {
			return ended(err)
		}
		if e.tag == 0x00020010 {
			err = w.text(e, &h.TransferSyntax)
		} else {
			err = w.skip(e, io.Discard)
		}
		if err != nil {
			return err
		}
	}
	if !ValidUID(h.TransferSyntax) {
		return invalid("no transfer syntax")
	}
	return nil
}

// bounded is a reader that fails once n bytes were read and more are wanted.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, tooLarge("what precedes the UIDs, or a deflated file")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// inflater tells a broken stream from a reader that failed.
type inflater struct{ r io.Reader }

func (i inflater) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) {
		err = invalid("a broken deflate stream")
	}
	return n, err
}
