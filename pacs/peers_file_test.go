package pacs_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// peerImage is a DICOM file to be written: explicit little endian, one grey image or
// several. What is empty is left out.
type peerImage struct {
	study, series, instance string
	charset                 string // ISO_IR 192 unless another is given
	name                    string // in that character set
	patient, issuer         string
	accession               string
	date, time              string
	modality                string // CT
	description             string
	frames                  int // 1
	side                    int // pixels, 16
	seed                    byte
}

// element is written if it has a value.
func peerElement(b []byte, tag uint32, vr string, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	if len(value)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		value = append(bytes.Clone(value), pad)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	b = append(b, vr...)
	if vr == "OB" || vr == "OW" {
		b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value)))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	}
	return append(b, value...)
}

func peerShort(n int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }

const ctImage = "1.2.840.10008.5.1.4.1.1.2"

func (im peerImage) bytes() []byte {
	var meta []byte
	text := func(b []byte, tag uint32, vr, value string) []byte { return peerElement(b, tag, vr, []byte(value)) }
	meta = peerElement(meta, 0x00020001, "OB", []byte{0, 1})
	meta = text(meta, 0x00020002, "UI", ctImage)
	meta = text(meta, 0x00020003, "UI", im.instance)
	meta = text(meta, 0x00020010, "UI", "1.2.840.10008.1.2.1")
	meta = text(meta, 0x00020012, "UI", "2.25.1")

	b := append(make([]byte, 128), "DICM"...)
	b = peerElement(b, 0x00020000, "UL", binary.LittleEndian.AppendUint32(nil, uint32(len(meta))))
	b = append(b, meta...)
	b = text(b, 0x00080005, "CS", cmp.Or(im.charset, "ISO_IR 192"))
	b = text(b, 0x00080016, "UI", ctImage)
	b = text(b, 0x00080018, "UI", im.instance)
	b = text(b, 0x00080020, "DA", im.date)
	b = text(b, 0x00080030, "TM", im.time)
	b = text(b, 0x00080050, "SH", im.accession)
	b = text(b, 0x00080060, "CS", cmp.Or(im.modality, "CT"))
	b = text(b, 0x00081030, "LO", im.description)
	b = text(b, 0x00100010, "PN", im.name)
	b = text(b, 0x00100020, "LO", im.patient)
	b = text(b, 0x00100021, "LO", im.issuer)
	b = text(b, 0x0020000D, "UI", im.study)
	b = text(b, 0x0020000E, "UI", im.series)
	return append(b, im.pixels()...)
}

func (im peerImage) pixels() []byte {
	side, frames := cmp.Or(im.side, 16), cmp.Or(im.frames, 1)
	b := peerElement(nil, 0x00280002, "US", peerShort(1))
	b = peerElement(b, 0x00280004, "CS", []byte("MONOCHROME2"))
	if frames > 1 {
		b = peerElement(b, 0x00280008, "IS", []byte{byte('0' + frames)})
	}
	for i, n := range []int{side, side} {
		b = peerElement(b, 0x00280010+uint32(i), "US", peerShort(n))
	}
	for i, n := range []int{16, 16, 15, 0} {
		b = peerElement(b, 0x00280100+uint32(i), "US", peerShort(n))
	}
	return peerElement(b, 0x7FE00010, "OW", im.values())
}

// values are the pixels: noise, so that no two images are alike.
func (im peerImage) values() []byte {
	side, frames := cmp.Or(im.side, 16), cmp.Or(im.frames, 1)
	out := make([]byte, 2*side*side*frames)
	x := uint64(im.seed) + 0x9E3779B97F4A7C15
	for _, c := range im.instance {
		x = x*31 + uint64(c)
	}
	for i := 0; i+8 <= len(out); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(out[i:], x)
	}
	return out
}

// peerStudyFiles are n files of one study in two series, and their digests.
func peerStudyFiles(n int, like peerImage) (study string, files [][]byte, digests peerSums) {
	like.study, digests = cmp.Or(like.study, peerUID()), peerSums{}
	like.patient = cmp.Or(like.patient, peerID())
	series := []string{peerUID(), peerUID()}
	for i := range n {
		like.series, like.instance = series[i*2/n], peerUID()
		data := like.bytes()
		files, digests[like.instance] = append(files, data), peerSum(data)
	}
	return like.study, files, digests
}

// in GB18030: 欧阳^小明, 诸葛^㛃 (a character of four bytes), 头颅MRI 平扫.
const (
	gbOuyang  = "Ou^Yang=\xc5\xb7\xd1\xf4^\xd0\xa1\xc3\xf7"
	gbZhuge   = "Zhuge^Jie=\xd6\xee\xb8\xf0^\x82\x30\xb7\x31"
	gbHeadMRI = "\xcd\xb7\xc2\xadMRI \xc6\xbd\xc9\xa8"
)
