package pacs

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

// Rendering says which image to render and how.
type Rendering struct {
	// Study, Series and Instance are required.
	Study, Series, Instance string
	// Frame, from 1; zero means the instance's first or only one.
	Frame int
	// MediaType is image/png or image/jpeg; empty means image/png.
	MediaType string
	// Width and Height bound the image in pixels; zero means as it is. Both or none.
	Width, Height int
	// WindowCenter (窗位) and WindowWidth (窗宽) are decimals as text, in the image's own
	// units (0028,1050 and 0028,1051); both or none.
	WindowCenter, WindowWidth string
}

// Image is a rendered image: for people to look at, not for diagnosis.
type Image struct {
	// MediaType is the one that was asked for.
	MediaType string
	// Data is the image, whole.
	Data []byte
}

// Rendered (渲染图像) reads an image as a browser shows it (PS3.18 section 10.4.1.1.3); one
// beyond Config.MaxBody is hospital.ErrTooLarge. An archive that does not render is
// hospital.ErrRefused.
func (c *Client) Rendered(ctx context.Context, r Rendering, opts ...hospital.ReadOption) (hospital.Found[Image], error) {
	return hospital.Read(ctx, c.client, op("Rendered", hospital.Bulk), func(ctx context.Context, _ *fhir.Client) (hospital.Found[Image], error) {
		if err := r.check(); err != nil {
			return hospital.Found[Image]{}, err
		}
		media := cmp.Or(r.MediaType, "image/png")
		resp, err := c.ask(ctx, asking{
			template: "retrieve rendered", path: r.path(), query: r.query(), accept: media, class: hospital.Bulk,
			fits: func(got string) bool { return got == media },
		})
		if err != nil {
			return hospital.Found[Image]{}, err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err == nil && endless(resp) {
			err = hospital.ErrIncomplete
		}
		if err == nil && http.DetectContentType(data) != media {
			err = hospital.Refuse(hospital.ErrUnexpectedAnswer, "not an image of the type that was asked for")
		}
		return hospital.Found[Image]{Resource: Image{MediaType: media, Data: data}, Origin: originOf(resp)}, err
	}, opts...)
}

func (r Rendering) check() error {
	switch {
	case r.Instance == "", r.Frame < 0, r.Width < 0, r.Height < 0, (r.Width == 0) != (r.Height == 0), !isDecimal(r.WindowCenter), !isDecimal(r.WindowWidth), (r.WindowCenter == "") != (r.WindowWidth == ""):
		return hospital.Refuse(hospital.ErrInvalidArgument, "an instance; a frame from 1; width with height; window center with width, in digits")
	case r.MediaType != "" && r.MediaType != "image/png" && r.MediaType != "image/jpeg":
		return hospital.Refuse(hospital.ErrInvalidArgument, "image/png or image/jpeg")
	}
	return checkUIDs(r.Study, r.Series, r.Instance)
}

// isDecimal: one that any server reads alike, or none.
func isDecimal(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return text == "" || (err == nil && strings.Trim(text, "-0123456789.") == "")
}

func (r Rendering) path() string {
	path := dicomweb.Path(r.Study, r.Series, r.Instance)
	if r.Frame > 0 {
		path += "/frames/" + strconv.Itoa(r.Frame)
	}
	return path + "/rendered"
}

func (r Rendering) query() string {
	var parts []string
	if r.Width > 0 {
		parts = append(parts, fmt.Sprintf("viewport=%d,%d", r.Width, r.Height))
	}
	if r.WindowCenter != "" {
		parts = append(parts, fmt.Sprintf("window=%s,%s,linear", r.WindowCenter, r.WindowWidth))
	}
	return strings.Join(parts, "&")
}
