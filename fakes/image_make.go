package fakes

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// A made-up image: frames of 64 × 64 pixels of 16 bits.
const (
	side       = 64
	frameBytes = side * side * 2
)

// sopClasses by modality; any other is secondary capture.
var sopClasses = map[string]string{
	"CT": "1.2.840.10008.5.1.4.1.1.2", "DR": "1.2.840.10008.5.1.4.1.1.1.1", "DX": "1.2.840.10008.5.1.4.1.1.1.1",
	"MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128", "US": "1.2.840.10008.5.1.4.1.1.6.1",
}

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7"

// uidOf is a UID derived from text, the same for the same (PS3.5 annex B.2).
func uidOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // a UUID of version 8
	return "2.25." + new(big.Int).SetBytes(b).String()
}

// composer writes explicit little endian.
type composer struct{ bytes.Buffer }

func (c *composer) element(tag uint32, vr string, value []byte) {
	pad := byte(' ')
	if vr == "UI" || vr == "OB" {
		pad = 0
	}
	if len(value)%2 == 1 {
		value = append(value, pad)
	}
	c.header(tag, vr, len(value))
	c.Write(value)
}

func (c *composer) header(tag uint32, vr string, length int) {
	b := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag)) //nolint:gosec // the lower half
	b = append(b, vr...)
	if strings.Contains(longVRs, vr) {
		b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(length)) //nolint:gosec // bounded by AddStudy
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(length)) //nolint:gosec // ours are short
	}
	c.Write(b)
}

func (c *composer) text(tag uint32, value string) { c.element(tag, vrOf(tag), []byte(value)) }

func (c *composer) number(tag uint32, n uint16) {
	c.element(tag, "US", binary.LittleEndian.AppendUint16(nil, n))
}

// item writes a sequence of one item with one text.
func (c *composer) item(tag, inner uint32, value string) {
	var item, list composer
	item.text(inner, value)
	list.Write(binary.LittleEndian.AppendUint32([]byte{0xFE, 0xFF, 0x00, 0xE0}, uint32(item.Len()))) //nolint:gosec // short
	list.Write(item.Bytes())
	c.element(tag, "SQ", list.Bytes())
}

// fileHead begins a file: preamble and meta group.
func (c *composer) fileHead(class, sop string) {
	var meta composer
	meta.element(0x00020001, "OB", []byte{0, 1})
	meta.element(0x00020002, "UI", []byte(class))
	meta.element(0x00020003, "UI", []byte(sop))
	meta.element(tagTransferSyntax, "UI", []byte(explicitLittle))
	meta.element(0x00020012, "UI", []byte(uidOf("fakes")))
	c.Write(make([]byte, 128))
	c.WriteString("DICM")
	c.element(0x00020000, "UL", binary.LittleEndian.AppendUint32(nil, uint32(meta.Len()))) //nolint:gosec // short
	c.Write(meta.Bytes())
}

// head is the file of the n-th instance of a series as far as its pixels.
func (s Study) head(series, n int, issuers bool) []byte {
	var c composer
	of := s.Series[series]
	class := sopClasses[of.Modality]
	if class == "" {
		class = secondaryCapture
	}
	c.fileHead(class, of.SOPs[n])
	c.text(tagCharset, "ISO_IR 192")
	c.text(tagSOPClass, class)
	c.text(tagSOPInstance, of.SOPs[n])
	c.text(tagStudyDate, s.Date)
	c.text(tagStudyTime, s.Time)
	c.text(tagAccession, s.Accession)
	if s.AccessionIssuer != "" && issuers {
		c.item(tagAccessionIssuer, tagLocalNamespace, s.AccessionIssuer)
	}
	c.text(tagModality, of.Modality)
	c.text(tagStudyDescription, s.Description)
	c.text(tagDescription, of.Description)
	c.text(tagPatientName, s.Name)
	c.text(tagPatientID, s.Patient.Value)
	if s.Patient.Issuer != "" && issuers {
		c.text(tagPatientIssuer, s.Patient.Issuer)
	}
	c.text(tagBirthDate, s.BirthDate)
	c.text(tagSex, s.Sex)
	c.text(tagStudy, s.UID)
	c.text(tagSeries, of.UID)
	c.text(tagSeriesNumber, strconv.Itoa(series+1))
	c.text(tagInstanceNumber, strconv.Itoa(n+1))
	c.number(tagSamples, 1)
	c.text(tagPhotometric, "MONOCHROME2")
	if frames := of.PixelBytes / frameBytes; frames > 1 {
		c.text(tagFrames, strconv.FormatInt(frames, 10))
	}
	for _, x := range []struct {
		tag uint32
		n   uint16
	}{{tagRows, side}, {tagColumns, side}, {tagBitsAllocated, 16}, {tagBitsStored, 12}, {tagHighBit, 11}, {tagRepresentation, 0}} {
		c.number(x.tag, x.n)
	}
	c.header(tagPixels, "OW", int(of.PixelBytes))
	return c.Bytes()
}

// noise is made-up pixel data, the same for the same seed at each place.
type noise struct {
	seed    uint64
	at, end int64
}

func newNoise(sop string, at, n int64) *noise {
	sum := sha256.Sum256([]byte(sop))
	return &noise{binary.LittleEndian.Uint64(sum[:]), at, at + n}
}

// Read never waits.
func (p *noise) Read(out []byte) (int, error) {
	if p.at >= p.end {
		return 0, io.EOF
	}
	out = out[:min(int64(len(out)), p.end-p.at)]
	n := 0
	for n < len(out) {
		if p.at%8 == 0 && len(out)-n >= 8 {
			binary.LittleEndian.PutUint64(out[n:], p.word(p.at/8))
			n, p.at = n+8, p.at+8
			continue
		}
		out[n] = byte(p.word(p.at/8) >> (8 * (p.at % 8))) //nolint:gosec // the lowest byte
		n, p.at = n+1, p.at+1
	}
	return n, nil
}

// word is four pixels of 12 bits, mixed as splitmix64 does.
func (p *noise) word(i int64) uint64 {
	x := p.seed + uint64(i)*0x9E3779B97F4A7C15 //nolint:gosec // an index
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return (x ^ x>>31) & 0x0FFF0FFF0FFF0FFF
}
