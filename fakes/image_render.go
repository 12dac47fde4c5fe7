package fakes

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"strconv"
)

// maxRendered bounds the frame that is made a picture of.
const maxRendered = 16 << 20

// render answers with a picture of one frame: 8 or 16 bits, one sample, not compressed.
func (s *server) render(in *request, i *instance) *answer {
	n := 1
	if text, named := in.image.names["frames"]; named {
		n, _ = strconv.Atoi(text)
	}
	from, size, ok := i.frame(n)
	if !ok {
		return s.refuseImage(http.StatusBadRequest, "no such frame")
	}
	media := ""
	for _, m := range []string{"image/png", "image/jpeg"} {
		if in.image.takes(m) {
			media = m // JPEG where both would do
		}
	}
	bits := i.set.int(tagBitsAllocated)
	plain := i.pixelsN > 0 && i.set.int(tagSamples) <= 1 && (bits == 8 || bits == 16) && size <= maxRendered && i.syntax != explicitBig
	if media == "" || !plain || s.hospital.personality.NoRendering {
		return s.refuseImage(http.StatusNotAcceptable, "cannot be rendered so")
	}
	r, err := i.value(from, size)
	if err != nil {
		return s.refuseImage(http.StatusInternalServerError, "the bytes were not kept")
	}
	data, _ := io.ReadAll(r)
	a := &answer{status: http.StatusOK, header: http.Header{}, body: i.picture(data, media)}
	a.header.Set("Content-Type", media)
	return a
}

// picture shows the highest eight of the bits that are stored.
func (i *instance) picture(data []byte, media string) []byte {
	bytesEach := i.set.int(tagBitsAllocated) / 8
	shift := max(0, i.set.int(tagBitsStored)-8)
	out := image.NewGray(image.Rect(0, 0, i.set.int(tagColumns), i.set.int(tagRows)))
	for n := range out.Pix {
		v := int(data[n*bytesEach])
		if bytesEach == 2 {
			v |= int(data[n*2+1]) << 8
		}
		v = min(v>>shift, 255)
		if i.set.text(tagPhotometric) == "MONOCHROME1" {
			v = 255 - v
		}
		out.Pix[n] = uint8(v)
	}
	var b bytes.Buffer
	if media == "image/png" {
		_ = png.Encode(&b, out)
	} else {
		_ = jpeg.Encode(&b, out, nil)
	}
	return b.Bytes()
}
