package campus

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// PatientID (患者标识) names a patient: who issued the number, and the number. The same value
// from two issuers is two people. Packages fmt and slog print its kind only; read
// the fields to use them. encoding/json writes it in full, so that a program can
// store it, and fmt sees through an unexported field of another struct: keep it
// in exported ones.
type PatientID struct {
	// Issuer is the identifier system (Identifier.system), such as urn:oid:2.16....
	Issuer string
	// Value is the number (Identifier.value).
	Value string
}

// Issuers of the resident identity number (身份证): documents of WS/T use the
// first, HL7 China the second.
const (
	ResidentIDIssuer     = "urn:oid:2.16.156.10011.1.3"
	ResidentIDIssuerHL7C = "urn:oid:2.16.840.1.113883.2.23.1.19.1"
)

// ErrInvalidPatientID is a PatientID without issuer or value, or a resident
// identity number whose check digit is wrong.
var ErrInvalidPatientID = errors.New("campus: invalid PatientID")

// Validate checks that both parts are there and, for a resident identity
// number, the check digit (ISO 7064 MOD 11-2). It returns an [ErrInvalidPatientID].
func (p PatientID) Validate() error {
	switch {
	case p.Issuer == "" || p.Value == "":
		return fmt.Errorf("%w: issuer and value are both required", ErrInvalidPatientID)
	case len(p.Issuer) > 256 || len(p.Value) > 256 || strings.ContainsAny(p.Issuer+p.Value, "|\\,$\n\r\x00"):
		return fmt.Errorf("%w: too long, or holds a character that would change a search", ErrInvalidPatientID)
	case (p.Issuer == ResidentIDIssuer || p.Issuer == ResidentIDIssuerHL7C) && !ValidResidentID(p.Value):
		return fmt.Errorf("%w: wrong check digit in a resident identity number", ErrInvalidPatientID)
	}
	return nil
}

// ValidResidentID reports whether s is an 18-character resident identity number
// with the right check digit; a capital X stands for ten. A small one is refused:
// servers compare it as another number, and one person becomes two.
func ValidResidentID(s string) bool {
	if len(s) != 18 {
		return false
	}
	sum := 0
	for i := range 18 {
		d := int(s[i]) - '0'
		if i == 17 && s[i] == 'X' {
			d = 10
		} else if d < 0 || d > 9 {
			return false
		}
		sum = (sum + d) * 2 % 11
	}
	// The last doubling is one too many: the number is valid when sum/2 ≡ 1, that is sum ≡ 2.
	return sum == 2
}

const redactedPatient = "PatientID(redacted)"

// String hides the patient.
func (p PatientID) String() string { return redactedPatient }

// GoString hides the patient.
func (p PatientID) GoString() string { return redactedPatient }

// Format hides the patient from every verb of package fmt.
func (p PatientID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedPatient) }

// LogValue hides the patient from package slog.
func (p PatientID) LogValue() slog.Value { return slog.StringValue(redactedPatient) }
