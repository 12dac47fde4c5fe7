package pacs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
)

// What is asked for; one media type, because some servers refuse a list.
const (
	acceptJSON      = "application/dicom+json"
	acceptInstances = `multipart/related; type="application/dicom"; transfer-syntax=*` // as stored: nothing is transcoded
	acceptFrames    = `multipart/related; type="application/octet-stream"; transfer-syntax=*`
	acceptBulk      = `multipart/related; type="application/octet-stream"`
)

// asking is one request that changes nothing.
type asking struct {
	template, path, query, accept string // path and query are escaped
	class                         hospital.Class
	stream                        bool
	empty                         bool // 204 is an answer
	first                         bool // page of a search: that it is empty means something
	listed                        bool // the archive said that it is there
	fits                          func(media string) bool
	again                         error
}

// ask sends it and returns an answer that succeeded.
func (c *Client) ask(ctx context.Context, a asking) (*http.Response, error) {
	u := &url.URL{RawPath: a.path, RawQuery: a.query}
	var err error
	if u.Path, err = url.PathUnescape(a.path); err != nil {
		return nil, hospital.ErrUnexpectedAnswer // a server's
	}
	req := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"Accept": {a.accept}}, Body: http.NoBody}
	if a.stream { // images hardly shrink, and compression hides where an answer was cut
		req.Header.Set("Accept-Encoding", "identity")
	}
	resp, err := c.client.Exchange(ctx, hospital.Exchange{
		Template: a.template, Repeat: hospital.Safe, Class: a.class, Stream: a.stream, Classify: a.classify, Again: a.again,
	}, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		_ = resp.Body.Close()
		return nil, refused(resp.StatusCode)
	}
	return resp, nil
}

// classify judges an answer by its media type first and its status second. That what
// the archive has listed is not there comes from a copy that lags.
func (a asking) classify(call *failover.Call, resp *http.Response, body []byte) failover.Verdict {
	v := failover.ClassifyHTTP(call, resp, body)
	v.Empty = a.first && v.Outcome == failover.Committed && len(bytes.Trim(body, "[] \t\r\n")) == 0
	switch {
	case v.Outcome == failover.Rejected && a.listed && missing(resp.StatusCode):
		return failover.Verdict{Outcome: failover.NotExecuted, Fault: failover.FaultStale}
	case v.Outcome != failover.Committed, a.empty && resp.StatusCode == http.StatusNoContent:
		return v
	case resp.StatusCode != http.StatusOK, !a.fits(mediaOf(resp)), encoded(resp), !a.stream && a.fits(acceptJSON) && !json.Valid(body):
		return failover.Verdict{Outcome: failover.Unknown, Fault: failover.FaultForeign}
	}
	return v
}

func missing(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }

// encoded: in a way that nobody asked for, and nobody undoes.
func encoded(resp *http.Response) bool {
	e := resp.Header.Get("Content-Encoding")
	return e != "" && !strings.EqualFold(e, "identity")
}

// mediaOf is the answer's media type, of a multipart that of its parts after a space.
// Some servers leave the quotes out that a slash needs, and some quote parameters too.
func mediaOf(resp *http.Response) string {
	media, params, _ := strings.Cut(strings.ToLower(resp.Header.Get("Content-Type")), ";")
	if media = strings.TrimSpace(media); media != "multipart/related" {
		return media
	}
	for param := range strings.SplitSeq(params, ";") {
		if part, ok := strings.CutPrefix(strings.TrimSpace(param), "type="); ok {
			return media + " " + strings.Trim(part, `" `)
		}
	}
	return media + " "
}

func isJSON(media string) bool { return media == acceptJSON || media == "application/json" }

func isInstances(media string) bool { return media == "multipart/related application/dicom" }

// isBulk: parts of bytes, or of one of the image types in which frames are stored.
func isBulk(media string) bool {
	part, ok := strings.CutPrefix(media, "multipart/related ")
	return ok && part != "application/dicom" && part != acceptJSON
}

// refused is the error of a status that refuses.
func refused(status int) error {
	e := &hospital.Error{Code: hospital.ErrRefused, Status: status}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Code = hospital.ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		e.Code = hospital.ErrNotFound
	case http.StatusRequestEntityTooLarge:
		e.Code = hospital.ErrTooLarge
	case http.StatusNotAcceptable, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		e.Reason = "the archive does not offer this representation"
	case http.StatusConflict:
		e.Code = hospital.ErrConflict
	}
	return e
}

// settled turns what went wrong with an answer into the SDK's words; what the floors
// below said is left to the verb's end.
func settled(err error) error {
	var lost *failover.Error
	switch {
	case err == nil, errors.As(err, &lost):
		return err
	case errors.Is(err, dicomweb.ErrCut):
		return hospital.ErrIncomplete
	case errors.Is(err, dicomweb.ErrTooLarge):
		return hospital.ErrTooLarge
	case errors.Is(err, dicomweb.ErrInvalid):
		return hospital.Refuse(hospital.ErrUnexpectedAnswer, "the answer is not valid DICOM")
	}
	return err
}

// cut: what came has no end, so another site may be asked for the rest. How it ended
// on the wire is good for asking there.
func cut(resp *http.Response, err error) (broke bool, again error) {
	var lost *failover.Error
	switch {
	case errors.As(err, &lost):
		return lost.Context == nil, lost
	case errors.Is(err, dicomweb.ErrCut):
		return brokenOff(resp)
	}
	return false, nil
}

// brokenOff says of an answer that seemed to end well on the wire that it did not.
func brokenOff(resp *http.Response) (broke bool, again error) {
	if lost := failover.BrokenOff(resp); lost != nil {
		return lost.Context == nil, lost
	}
	return true, nil
}

// datasets reads the JSON of an answer that was read within its attempt.
func datasets(resp *http.Response, limit int) ([]Dataset, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	var out []Dataset
	for d, err := range dicomweb.DecodeArray(resp.Body, maxElement, limit) {
		if err != nil {
			return nil, settled(err)
		}
		out = append(out, d)
	}
	return out, nil
}

// maxElement bounds one data set in JSON.
const maxElement = 16 << 20

func originOf(resp *http.Response) hospital.Origin {
	return hospital.OriginOf(&fhir.Response{HTTP: resp})
}
