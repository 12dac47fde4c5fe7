package pacs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

// wireSilent: however an error is printed, it names no one, nothing of a server and no
// address. Every error of these tests goes through it.
func wireSilent(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var own *hospital.Error
	if !errors.As(err, &own) || hospital.CodeOf(err) == hospital.ErrInternal {
		t.Errorf("not an error of the SDK's: %T", err)
	}
	wireQuiet(t, err)
}

func wireQuiet(t *testing.T, err error) {
	t.Helper()
	for _, text := range printed(err) {
		for _, secret := range []string{wireStudy, "2.25.", "pacs.dc-", "/studies", "/dicom-web", wirePatient.Value, wireIssuer, "Zhang", "b0undary", "Details"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q in %s", secret, text)
			}
		}
	}
	switch wrapped := err.(type) { //nolint:errorlint // one after the other
	case interface{ Unwrap() error }:
		if inner := wrapped.Unwrap(); inner != nil {
			wireQuiet(t, inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapped.Unwrap() {
			wireQuiet(t, inner)
		}
	}
}

// printed are the ways an error gets into a log.
func printed(err error) []string {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("failed", "error", err)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("failed", slog.Any("error", err), slog.Group("more", "error", err))
	encoded, _ := json.Marshal(map[string]any{"error": err})
	return []string{err.Error(), fmt.Sprintf("%v %+v %#v %s %q %d %x", err, err, err, err, err, err, err), fmt.Sprintf("%+v", []any{err}), log.String(), string(encoded)}
}

func TestMissingErrorIsSilent(t *testing.T) {
	t.Parallel()
	e := pacs.MissingError{Study: wireStudy, Instances: []string{wireStudy + ".1"}}
	wireQuiet(t, &e)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", e, e, e), fmt.Sprintf("%+v", struct{ E pacs.MissingError }{e})} {
		assert.NotContains(t, text, wireStudy)
	}
	encoded, err := json.Marshal(e)
	require.NoError(t, err)
	assert.NotContains(t, string(encoded), wireStudy)
	assert.Contains(t, e.Error(), "1 instances")
}

// Servers say in their errors what was asked for; that must not be passed on.
func TestServersTextIsDropped(t *testing.T) {
	t.Parallel()
	text := `{"Details":"Zhang^San ` + wireStudy + `","Uri":"/dicom-web/studies/` + wireStudy + `"}`
	for _, status := range []int{200, 206, 301, 400, 401, 403, 404, 406, 409, 410, 413, 415, 416, 429, 500, 501, 502, 503, 504} {
		for _, media := range []string{"", "application/json", "text/html"} {
			t.Run(fmt.Sprint(status, " ", media), func(t *testing.T) {
				t.Parallel()
				onWire(t, 2, func(w *wire) {
					for _, s := range w.sites {
						s.says(func(r *http.Request) wireAnswer {
							if strings.HasSuffix(r.URL.Path, "/instances") {
								return wirePage(r, wireRows(wireFiles(1, 1)))
							}
							a := wireRaw(media, text)
							a.status, a.header = status, "X-Patient: Zhang^San\r\nWarning: 299 "+wireStudy+"\r\n"
							return a
						})
					}
					w.with(func(c *pacs.Client) { everyVerbFails(w, c) })
				})
			})
		}
	}
}

func everyVerbFails(w *wire, c *pacs.Client) {
	w.t.Helper()
	file := wireFiles(1, 1)[0]
	got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
	_, metadata := shownMetadata(w.t, c)
	_, frames := shownFrames(w.t, c, file, 1)
	_, studies := found(w, c, hisStudies)
	_, rendered := c.Rendered(w.t.Context(), pacs.Rendering{Study: file.study, Series: file.series, Instance: file.instance})
	stored, err := wirePut(w.t.Context(), w.t, c, bytesOf(newWireFile(wireStudy, wireStudy+".1", wireStudy+".9.2", "")), pacs.Upload{})
	if err == nil {
		require.Len(w.t, stored, 1)
		err = stored[0].Err
	}
	for _, err := range []error{got.err, metadata, frames, studies, rendered, err} {
		require.Error(w.t, err)
		wireSilent(w.t, err)
	}
}
