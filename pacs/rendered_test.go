package pacs_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A window is its center and its width, in that order (PS3.18 section 8.3.5.1).
func TestRenderedAsks(t *testing.T) {
	t.Parallel()
	asked := ""
	images := imaging(t, fakes.NewHospital(t), func(cfg *hospital.Config) {
		cfg.Adapters = map[campus.EndpointID]http.RoundTripper{"pacs/dc-a": answering(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.RequestURI()
			body := io.NopCloser(bytes.NewReader([]byte("\x89PNG\r\n\x1a\n")))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"image/png"}}, Body: body}, nil
		})}
	})
	r := pacs.Rendering{Study: "1.2", Series: "1.3", Instance: "1.4", Frame: 2, Width: 512, Height: 256, WindowCenter: "-600", WindowWidth: "1500"}
	_, err := images.Rendered(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, "/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/2/rendered?viewport=512,256&window=-600,1500,linear", asked)
	r.WindowWidth = ""
	_, err = images.Rendered(t.Context(), r)
	require.ErrorIs(t, err, hospital.ErrInvalidArgument)
}
