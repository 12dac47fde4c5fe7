// Package dicomweb reads what DICOMweb servers send (PS3.18) and what they store
// (PS3.10): data sets in JSON, multipart answers, the head of a file, its digest.
// It knows no campuses and no failover.
//
// Rules that hold for all of it:
//
//   - What comes from a server is hostile: depth, count and size are bounded.
//   - An answer is whole when its end has been seen. One that stops before is an
//     [ErrCut], at whatever byte it stops, and keeps the error of the reader below.
//   - An instance is a stream of bytes. Nothing is decoded and encoded again, so
//     a name in GB18030 stays as it was written.
//   - Package fmt and slog print nothing of a patient, and no error carries a UID,
//     a name or text of a server.
package dicomweb

import (
	"errors"
	"fmt"
	"io"
)

var (
	// ErrCut is an answer or file that ended before its end. What came of it must
	// not be used as if it were whole; ask again. An error of the reader below is
	// wrapped together with it, so errors.Is and errors.As find both.
	ErrCut = errors.New("dicomweb: ended before its end")
	// ErrTooLarge is more than the caller's limits, or those of this package, allow.
	ErrTooLarge = errors.New("dicomweb: larger than allowed")
	// ErrInvalid is what the standard does not allow. Asking again will not help.
	ErrInvalid = errors.New("dicomweb: not valid DICOM")
)

// cutError is an ErrCut with the error of the reader below. It does not print that
// one, which may name addresses, and hides an io.EOF in it: who looks for io.EOF
// looks for the end of what is whole.
type cutError struct{ cause error }

func (e *cutError) Error() string        { return ErrCut.Error() }
func (e *cutError) Unwrap() error        { return ErrCut }
func (e *cutError) Is(target error) bool { return target != io.EOF && errors.Is(e.cause, target) }
func (e *cutError) As(target any) bool   { return errors.As(e.cause, target) }

// ended is what it means that a read failed with err where more had to come.
func ended(err error) error {
	if errors.Is(err, ErrCut) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrInvalid) {
		return err
	}
	return &cutError{err}
}

// atEnd says whether a reader came to its end. Only the bare io.EOF says so; one
// inside another error is a connection that broke.
func atEnd(err error) bool { return err == io.EOF } //nolint:errorlint // see above

// invalid is an ErrInvalid with a reason of ours.
func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrInvalid, reason) }

// tooLarge is an ErrTooLarge with a reason of ours.
func tooLarge(reason string) error { return fmt.Errorf("%w: %s", ErrTooLarge, reason) }
