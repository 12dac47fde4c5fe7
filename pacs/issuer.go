package pacs

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

// Accession (检查号) names an imaging order's performance: who issued the number, and
// the number. The same value from two issuers is two things. Packages fmt and slog
// do not print it.
type Accession struct {
	// Issuer is the identifier system, as IssuerOfAccessionNumberSequence (0008,0051) or
	// campus.DICOMweb.AccessionIssuer name it.
	Issuer string
	// Value is the number (0008,0050), at most 16 characters in DICOM.
	Value string
}

const redactedAccession = "Accession(redacted)"

// String hides the number.
func (a Accession) String() string { return redactedAccession }

// GoString hides the number.
func (a Accession) GoString() string { return redactedAccession }

// Format hides the number from every verb of package fmt.
func (a Accession) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedAccession) }

// LogValue hides the number from package slog.
func (a Accession) LogValue() slog.Value { return slog.StringValue(redactedAccession) }

// ways are how the endpoint that answered speaks DICOMweb.
func (c *Client) ways(o hospital.Origin) campus.DICOMweb {
	for _, e := range c.client.Topology().Endpoints() {
		if e.ID == o.Endpoint {
			return e.DICOMweb
		}
	}
	return campus.DICOMweb{}
}

// issuerOf turns the server's word for an issuer into ours; standing is what it means
// when it says none.
func issuerOf(ways campus.DICOMweb, word, standing string) string {
	if word == "" {
		return standing
	}
	for issuer, name := range ways.IssuerNames {
		if name == word {
			return issuer
		}
	}
	return word
}

// patientOf is whom an answer is about; its Issuer is empty where nobody says.
func patientOf(d Dataset, ways campus.DICOMweb) campus.PatientID {
	return campus.PatientID{
		Issuer: issuerOf(ways, d.Text(dicomweb.TagIssuerOfPatientID), ways.PatientIssuer),
		Value:  d.Text(dicomweb.TagPatientID),
	}
}

// accessionOf is the answer's accession number; its Issuer is empty where nobody says.
func accessionOf(d Dataset, ways campus.DICOMweb) Accession {
	word := ""
	if items := d.Items(dicomweb.TagIssuerOfAccessionNumberSequence); len(items) > 0 {
		if word = items[0].Text(dicomweb.TagLocalNamespaceEntityID); word == "" {
			word = items[0].Text(dicomweb.TagUniversalEntityID)
		}
		if word != "" && items[0].Text(dicomweb.TagUniversalEntityIDType) == "ISO" && word == items[0].Text(dicomweb.TagUniversalEntityID) {
			word = "urn:oid:" + word
		}
	}
	return Accession{Issuer: issuerOf(ways, word, ways.AccessionIssuer), Value: d.Text(dicomweb.TagAccessionNumber)}
}

// errNoIssuer: whose number it is cannot be told, and equal numbers of two issuers
// are two people.
var errNoIssuer = hospital.Refuse(hospital.ErrUnexpectedAnswer,
	"the archive names no issuer; say in the endpoint's dicomweb whose numbers it holds (patientIssuer, accessionIssuer)")

// sameIssued compares a number that was asked for with one that came. Another issuer's
// is somebody else's and not meant; another value was not asked for.
func sameIssued(askedIssuer, askedValue, issuer, value string) (same bool, err error) {
	switch {
	case value != askedValue:
		return false, hospital.ErrFilterIgnored
	case issuer == "":
		return false, errNoIssuer
	}
	return issuer == askedIssuer, nil
}
