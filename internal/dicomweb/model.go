package dicomweb

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// Tag is an attribute's tag, group<<16 | element (PS3.6).
type Tag uint32

// The attributes that queries, retrievals and stores use (PS3.6 section 6, PS3.18 section 8 to 10).
const (
	TagSpecificCharacterSet            Tag = 0x00080005
	TagSOPClassUID                     Tag = 0x00080016
	TagSOPInstanceUID                  Tag = 0x00080018
	TagStudyDate                       Tag = 0x00080020
	TagStudyTime                       Tag = 0x00080030
	TagAccessionNumber                 Tag = 0x00080050
	TagIssuerOfAccessionNumberSequence Tag = 0x00080051
	TagModality                        Tag = 0x00080060
	TagModalitiesInStudy               Tag = 0x00080061
	TagStudyDescription                Tag = 0x00081030
	TagSeriesDescription               Tag = 0x0008103E
	TagReferencedSOPInstanceUID        Tag = 0x00081155
	TagWarningReason                   Tag = 0x00081196
	TagFailureReason                   Tag = 0x00081197
	TagFailedSOPSequence               Tag = 0x00081198
	TagReferencedSOPSequence           Tag = 0x00081199
	TagPatientName                     Tag = 0x00100010
	TagPatientID                       Tag = 0x00100020
	TagIssuerOfPatientID               Tag = 0x00100021
	TagPatientBirthDate                Tag = 0x00100030
	TagPatientSex                      Tag = 0x00100040
	TagStudyInstanceUID                Tag = 0x0020000D
	TagSeriesInstanceUID               Tag = 0x0020000E
	TagSeriesNumber                    Tag = 0x00200011
	TagInstanceNumber                  Tag = 0x00200013
	TagNumberOfStudyRelatedSeries      Tag = 0x00201206
	TagNumberOfStudyRelatedInstances   Tag = 0x00201208
	TagNumberOfSeriesRelatedInstances  Tag = 0x00201209
	TagNumberOfFrames                  Tag = 0x00280008
	TagLocalNamespaceEntityID          Tag = 0x00400031
	TagUniversalEntityID               Tag = 0x00400032
	TagUniversalEntityIDType           Tag = 0x00400033
	TagFloatPixelData                  Tag = 0x7FE00008
	TagDoubleFloatPixelData            Tag = 0x7FE00009
	TagPixelData                       Tag = 0x7FE00010
)

// ParseTag reads eight hexadecimal digits of either case, such as "0020000D".
func ParseTag(s string) (Tag, bool) {
	n, err := strconv.ParseUint(s, 16, 32)
	return Tag(n), err == nil && len(s) == 8
}

// String is the tag as DICOMweb writes it, such as "0020000D".
func (t Tag) String() string { return fmt.Sprintf("%08X", uint32(t)) }

// Dataset is a set of attributes in the DICOM JSON model (PS3.18 annex F). Its
// methods work on a nil one too. A Dataset is a map: reading it from many
// goroutines is safe, writing is not. Packages fmt and slog print only how many
// attributes it has; encoding/json writes it in full.
type Dataset map[Tag]Element

// Element is one attribute's value. At most one of Values, InlineBinary and
// BulkDataURI is set; none is an attribute without a value.
type Element struct {
	// VR is the value representation: two capital letters, such as "UI" (PS3.5 section 6.2).
	VR string
	// Values are the attribute's values in their order.
	Values []Value
	// InlineBinary is base64, as it came and unchecked.
	InlineBinary string
	// BulkDataURI says where the value is. A server chose it: check where it leads
	// before it is followed.
	BulkDataURI string
}

// Value is one value of an attribute: a text, a person name (VR PN) or an item of a
// sequence (VR SQ). One without any of them is an empty value.
type Value struct {
	// Text is a string, or a number exactly as the server wrote it: 1.50 stays 1.50.
	Text string
	// Name is the value of a PN.
	Name *PersonName
	// Item is the value of an SQ: not nil, though it may be empty.
	Item Dataset
}

// PersonName is a name in up to three scripts (PS3.5 section 6.2.1), each with
// components between carets: family^given^middle^prefix^suffix.
type PersonName struct {
	Alphabetic  string `json:"Alphabetic,omitempty"`
	Ideographic string `json:"Ideographic,omitempty"`
	Phonetic    string `json:"Phonetic,omitempty"`
}

// Text is the first value's text without DICOM's padding, of a person name its
// Alphabetic; "" when there is none.
func (d Dataset) Text(t Tag) string {
	e := d[t]
	if len(e.Values) == 0 {
		return ""
	}
	return e.text(0)
}

// Texts are the texts of all values, "" for an empty one; nil when there is none.
func (d Dataset) Texts(t Tag) []string {
	e := d[t]
	var out []string
	for i := range e.Values {
		out = append(out, e.text(i))
	}
	return out
}

// Name is the first value of a person name, the zero PersonName when there is none.
func (d Dataset) Name(t Tag) PersonName {
	if v := d[t].Values; len(v) > 0 && v[0].Name != nil {
		return *v[0].Name
	}
	return PersonName{}
}

// Items are the items of a sequence; empty values are left out.
func (d Dataset) Items(t Tag) []Dataset {
	var out []Dataset
	for _, v := range d[t].Values {
		if v.Item != nil {
			out = append(out, v.Item)
		}
	}
	return out
}

// Int is the first value as an integer, false when it is not one.
func (d Dataset) Int(t Tag) (int, bool) {
	n, err := strconv.Atoi(d.Text(t))
	return n, err == nil
}

func (e Element) text(i int) string {
	if name := e.Values[i].Name; name != nil {
		return unpad("PN", name.Alphabetic)
	}
	return unpad(e.VR, e.Values[i].Text)
}

// unpad takes away what only fills up (PS3.5 section 6.2): trailing spaces and zero
// bytes, and leading spaces where they mean nothing.
func unpad(vr, s string) string {
	s = strings.TrimRight(s, " \x00")
	switch vr {
	case "LT", "ST", "UT", "UC", "UR":
		return s
	}
	return strings.TrimLeft(s, " ")
}

// String says how many attributes there are.
func (d Dataset) String() string { return "dicom dataset (" + strconv.Itoa(len(d)) + " attributes)" }

// GoString hides the attributes.
func (d Dataset) GoString() string { return d.String() }

// Format hides the attributes from every verb of package fmt.
func (d Dataset) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// LogValue hides the attributes from package slog.
func (d Dataset) LogValue() slog.Value { return slog.StringValue(d.String()) }

const (
	redactedElement = "dicom element (redacted)"
	redactedValue   = "dicom value (redacted)"
	redactedName    = "dicom person name (redacted)"
)

// String hides the element.
func (e Element) String() string { return redactedElement }

// GoString hides the element.
func (e Element) GoString() string { return redactedElement }

// Format hides the element from every verb of package fmt.
func (e Element) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedElement) }

// LogValue hides the element from package slog.
func (e Element) LogValue() slog.Value { return slog.StringValue(redactedElement) }

// String hides the value.
func (v Value) String() string { return redactedValue }

// GoString hides the value.
func (v Value) GoString() string { return redactedValue }

// Format hides the value from every verb of package fmt.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedValue) }

// LogValue hides the value from package slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(redactedValue) }

// String hides the person.
func (n PersonName) String() string { return redactedName }

// GoString hides the person.
func (n PersonName) GoString() string { return redactedName }

// Format hides the person from every verb of package fmt.
func (n PersonName) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedName) }

// LogValue hides the person from package slog.
func (n PersonName) LogValue() slog.Value { return slog.StringValue(redactedName) }
