package pacs

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/hospital-go/hospital"
)

// MissingError names the instances that did not come.
type MissingError struct { //nolint:recvcheck // printing has value receivers, so that a copy prints no more than the pointer
	// Study is their study.
	Study string
	// Instances are their SOP Instance UIDs.
	Instances []string
}

// Error says how many there are; UIDs are left to the program.
func (e *MissingError) Error() string {
	return fmt.Sprintf("pacs: %d instances did not come", len(e.Instances))
}

// Format prints what Error does, for every verb, of a copy too.
func (e MissingError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// GoString prints what Error does.
func (e MissingError) GoString() string { return e.Error() }

// LogValue prints what Error does.
func (e MissingError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// MarshalText encodes what Error says.
func (e MissingError) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// missing is the error of what did not come, nil when all did. What no other site can
// mend stays what it is.
func (d *download) missing(list []ref, cause error) error {
	e := &MissingError{Study: d.Study}
	for _, r := range list {
		if _, missing := d.left[r.instance]; missing {
			e.Instances = append(e.Instances, r.instance)
		}
	}
	switch hospital.CodeOf(settled(cause)) {
	case hospital.ErrCanceled, hospital.ErrUnexpectedAnswer, hospital.ErrTooLarge, hospital.ErrInvalidArgument:
		return cause
	default:
	}
	if len(e.Instances) == 0 {
		return nil
	}
	return hospital.Because(hospital.ErrIncomplete, e)
}
