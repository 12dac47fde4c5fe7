package fakes

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Bounds of what is made a picture of, and of the picture.
const (
	maxRendered = 16 << 20 // bytes of the frame, pixels of the picture
	maxSide     = 16 << 10
)

// rendering is how a picture is wanted (PS3.18 section 8.3.5.1).
type rendering struct {
	width, height int // of the viewport; 0: as large as the frame
	window        window
	quality       int // of JPEG
}

// window is which values are shown from black to white (PS3.3 section C.11.2.1). Without
// a shape it is the highest eight of the bits that are stored.
type window struct {
	center, width float64
	shape         string
}

// parseRendering reads the parameters, and reports whether all of them can be honoured.
// Regions of the frame, annotations and colour profiles cannot.
func parseRendering(query url.Values) (r rendering, ok bool) {
	r.quality = jpeg.DefaultQuality
	for name, values := range query {
		list := strings.Split(values[0], ",")
		switch name {
		case "viewport":
			r.width, r.height, ok = parseViewport(list)
		case "window":
			r.window, ok = parseWindow(list)
		case "quality":
			r.quality, ok = positive(values[0], 100)
		default:
			ok = false
		}
		if !ok || len(values) > 1 {
			return r, false
		}
	}
	return r, true
}

// parseViewport reads a width and a height.
func parseViewport(list []string) (width, height int, ok bool) {
	if len(list) != 2 {
		return 0, 0, false
	}
	width, wide := positive(list[0], maxSide)
	height, high := positive(list[1], maxSide)
	return width, height, wide && high && width*height <= maxRendered
}

// positive reads a number from 1.
func positive(text string, most int) (n int, ok bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && digits(text) && n >= 1 && n <= most
}

func parseWindow(list []string) (w window, ok bool) {
	if len(list) != 3 {
		return w, false
	}
	center, centered := decimal(list[0])
	width, wide := decimal(list[1])
	w = window{center, width, list[2]}
	switch w.shape {
	case "linear":
		return w, centered && wide && width >= 1
	case "linear-exact", "sigmoid":
		return w, centered && wide && width > 0
	}
	return w, false
}

// decimal reads a number as a DS has it.
func decimal(text string) (x float64, ok bool) {
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil && strings.Trim(text, "+-.0123456789eE") == ""
}

// shown is a value's grey.
func (w window) shown(x float64) uint8 {
	center, width := w.center, w.width
	switch w.shape {
	case "sigmoid":
		return uint8(255 / (1 + math.Exp(-4*(x-center)/width)))
	case "linear":
		center, width = center-0.5, width-1
	}
	switch {
	case x <= center-width/2:
		return 0
	case x > center+width/2:
		return 255
	}
	return uint8(255 * ((x-center)/width + 0.5))
}

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
	how, ok := parseRendering(in.query)
	if !ok {
		return s.refuseImage(http.StatusBadRequest, "a parameter that is unknown, cannot be read or is not supported")
	}
	media := in.image.picture()
	if media == "" || !i.plain() || size > maxRendered || s.hospital.personality.NoRendering {
		return s.refuseImage(http.StatusNotAcceptable, "cannot be rendered so")
	}
	r, err := i.value(from, size)
	if err != nil {
		return s.refuseImage(http.StatusInternalServerError, "the bytes were not kept")
	}
	data, _ := io.ReadAll(r)
	a := &answer{status: http.StatusOK, header: http.Header{}, body: how.encode(i.picture(data, how.window), media)}
	a.header.Set("Content-Type", media)
	return a
}

// picture is the media type that was asked for, JPEG where both would do.
func (c *imageCall) picture() string {
	for _, m := range []string{"image/jpeg", "image/png"} {
		if c.takes(m) {
			return m
		}
	}
	return ""
}

// plain: its pixels can be read.
func (i *instance) plain() bool {
	bits := i.set.int(tagBitsAllocated)
	return i.pixelsN > 0 && i.set.int(tagSamples) <= 1 && (bits == 8 || bits == 16) && i.syntax != explicitBig
}

// picture shows a frame in its own size.
func (i *instance) picture(data []byte, w window) *image.Gray {
	grey := i.grey(w)
	value := i.reader()
	inverse := i.set.text(tagPhotometric) == "MONOCHROME1"
	out := image.NewGray(image.Rect(0, 0, i.set.int(tagColumns), i.set.int(tagRows)))
	for n := range out.Pix {
		out.Pix[n] = grey(value(data, n))
		if inverse {
			out.Pix[n] = 255 - out.Pix[n]
		}
	}
	return out
}

// grey is how a stored value is shown.
func (i *instance) grey(w window) func(v int) uint8 {
	if w.shape == "" {
		shift := max(0, i.set.int(tagBitsStored)-8)
		return func(v int) uint8 { return uint8(min(max(0, v>>shift), 255)) }
	}
	slope, intercept := i.rescale()
	return func(v int) uint8 { return w.shown(float64(v)*slope + intercept) }
}

// reader finds the n-th value of a frame.
func (i *instance) reader() func(data []byte, n int) int {
	signed := i.set.int(tagRepresentation) == 1
	switch eight := i.set.int(tagBitsAllocated) == 8; {
	case eight && signed:
		return func(data []byte, n int) int { return int(int8(data[n])) } //nolint:gosec // the sign is in the bits
	case eight:
		return func(data []byte, n int) int { return int(data[n]) }
	case signed:
		return func(data []byte, n int) int { return int(int16(binary.LittleEndian.Uint16(data[2*n:]))) } //nolint:gosec // the sign is in the bits
	}
	return func(data []byte, n int) int { return int(binary.LittleEndian.Uint16(data[2*n:])) }
}

// rescale is what makes stored values those of a window, such as Hounsfield units.
func (i *instance) rescale() (slope, intercept float64) {
	slope, ok := decimal(i.set.text(tagSlope))
	if !ok {
		slope = 1
	}
	intercept, _ = decimal(i.set.text(tagIntercept))
	return slope, intercept
}

// encode writes a picture in the size of the viewport.
func (r rendering) encode(picture *image.Gray, media string) []byte {
	if r.width > 0 {
		picture = fitted(picture, r.width, r.height)
	}
	var b bytes.Buffer
	if media == "image/png" {
		_ = png.Encode(&b, picture)
	} else {
		_ = jpeg.Encode(&b, picture, &jpeg.Options{Quality: r.quality})
	}
	return b.Bytes()
}

// fitted is a picture in the middle of a viewport, as large as its shape allows, on black.
func fitted(in *image.Gray, width, height int) *image.Gray {
	w, h := in.Rect.Dx(), in.Rect.Dy()
	wide, high := width, max(1, h*width/w)
	if high > height {
		wide, high = max(1, w*height/h), height
	}
	left, top := (width-wide)/2, (height-high)/2
	out := image.NewGray(image.Rect(0, 0, width, height))
	for y := range high {
		for x := range wide {
			out.SetGray(left+x, top+y, in.GrayAt(x*w/wide, y*h/high))
		}
	}
	return out
}
