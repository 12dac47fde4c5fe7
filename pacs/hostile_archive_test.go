package pacs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/pacs"
)

// What stands behind the wire: files, a fair archive to be spoilt, and what comes of it.

// wireFile is a DICOM file, as small as one can be, and what is known of it.
type wireFile struct {
	study, series, instance string
	data                    []byte
	frames                  [][]byte
}

// newWireFile writes one in explicit little endian.
func newWireFile(study, series, instance, pixels string) wireFile {
	b := append(make([]byte, 128), "DICM"...)
	b = wireElement(b, 0x00020010, "UI", "1.2.840.10008.1.2.1")
	b = wireElement(b, 0x00080016, "UI", wireCT)
	b = wireElement(b, 0x00080018, "UI", instance)
	b = wireElement(b, 0x0020000D, "UI", study)
	b = wireElement(b, 0x0020000E, "UI", series)
	b = wireElement(b, 0x7FE00010, "OW", pixels)
	return wireFile{study: study, series: series, instance: instance, data: b, frames: [][]byte{[]byte("one " + pixels), []byte("two " + pixels), []byte("three " + pixels)}}
}

func wireElement(b []byte, tag uint32, vr, value string) []byte {
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	b = append(b, vr...)
	if vr == "OW" {
		b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value)))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	}
	return append(b, value...)
}

// wireFiles are a study of n instances in as many series as are given.
func wireFiles(n, series int) []wireFile {
	var out []wireFile
	for i := range n {
		out = append(out, newWireFile(wireStudy, fmt.Sprintf("%s.%d", wireStudy, i*series/n+1), fmt.Sprintf("%s.9.%d", wireStudy, i+1), fmt.Sprintf("pixels of %d", i)))
	}
	return out
}

// wireArchive is a well-behaved archive; a test spoils what it wants.
type wireArchive struct {
	files   []wireFile
	listed  []wireFile // instead of files, if not nil
	framing wireFraming
	// spoil may replace the answer to a request.
	spoil func(r *http.Request, a wireAnswer) wireAnswer
}

func (a *wireArchive) answer(r *http.Request) wireAnswer {
	out := a.fair(r)
	if a.spoil != nil {
		out = a.spoil(r, out)
	}
	return out
}

func (a *wireArchive) fair(r *http.Request) wireAnswer {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/dicom-web/studies"), "/")
	at := func(i int) string {
		if i < len(path) {
			return path[i]
		}
		return ""
	}
	last := path[len(path)-1]
	if last == "instances" {
		return wirePage(r, wireRows(wireWithin(a.list(), at(1), at(3), "")))
	}
	found := wireWithin(a.files, at(1), at(3), at(5))
	switch {
	case len(found) == 0:
		return wireAnswer{status: http.StatusNotFound, body: []byte(`{"Details":"` + wireStudy + `"}`)}
	case last == "metadata":
		return wireAnswer{media: "application/dicom+json", body: wireArray(wireRows(found)), framing: a.framing}
	case at(6) == "frames":
		return wireFrames(found[0], at(7)).framed(a.framing)
	}
	return wireParts(found...).framed(a.framing)
}

func (a *wireArchive) list() []wireFile {
	if a.listed != nil {
		return a.listed
	}
	return a.files
}

func wireWithin(files []wireFile, study, series, instance string) []wireFile {
	var out []wireFile
	for _, f := range files {
		if f.study == study && (series == "" || f.series == series) && (instance == "" || f.instance == instance) {
			out = append(out, f)
		}
	}
	return out
}

func wireRows(files []wireFile) []string {
	var out []string
	for _, f := range files {
		out = append(out, fmt.Sprintf(`{"00080016":{"vr":"UI","Value":[%q]},"00080018":{"vr":"UI","Value":[%q]},"0020000D":{"vr":"UI","Value":[%q]},"0020000E":{"vr":"UI","Value":[%q]}}`,
			wireCT, f.instance, f.study, f.series))
	}
	return out
}

func wireArray(rows []string) []byte { return []byte("[" + strings.Join(rows, ",") + "]") }

// wirePage is the page that was asked for.
func wirePage(r *http.Request, rows []string) wireAnswer {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	rows = rows[min(offset, len(rows)):]
	return wireAnswer{media: "application/dicom+json", body: wireArray(rows[:min(limit, len(rows))])}
}

const (
	wireBoundary  = "b0undary"
	wireMultipart = `multipart/related; type="application/dicom"; boundary=` + wireBoundary
	wirePartHead  = "Content-Type: application/dicom\r\n"
	wireClose     = "\r\n--" + wireBoundary + "--\r\n"
)

// wirePart is one part with the delimiter before it.
func wirePart(head string, data []byte) []byte {
	return append([]byte("\r\n--"+wireBoundary+"\r\n"+head+"\r\n"), data...)
}

// wireParts is the answer of instances.
func wireParts(files ...wireFile) wireAnswer {
	var body []byte
	for _, f := range files {
		body = append(body, wirePart(wirePartHead, f.data)...)
	}
	return wireAnswer{media: wireMultipart, body: append(body, wireClose...)[2:]}
}

// wireSized has parts that say how long they are.
func wireSized(files ...wireFile) wireAnswer {
	var body []byte
	for _, f := range files {
		body = append(body, wirePart(wirePartHead+"Content-Length: "+strconv.Itoa(len(f.data))+"\r\n", f.data)...)
	}
	return wireAnswer{media: wireMultipart, body: append(body, wireClose...)[2:]}
}

func wireFrames(f wireFile, numbers string) wireAnswer {
	var body []byte
	for _, n := range strings.Split(numbers, ",") {
		i, _ := strconv.Atoi(n)
		if i < 1 || i > len(f.frames) {
			return wireAnswer{status: http.StatusBadRequest}
		}
		body = append(body, wirePart("Content-Type: application/octet-stream\r\n", f.frames[i-1])...)
	}
	return wireAnswer{media: `multipart/related; type="application/octet-stream"; boundary=` + wireBoundary, body: append(body, wireClose...)[2:]}
}

// wireIsInstances: does the request ask for DICOM files?
func wireIsInstances(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), `type="application/dicom"`)
}

// wireGot is what a retrieval brought.
type wireGot struct {
	order []string
	whole map[string][]byte
	err   error
}

// wireFetch retrieves; what cannot be read to its end has not come.
func wireFetch(t *testing.T, c *pacs.Client, r pacs.Retrieval) wireGot {
	t.Helper()
	got := wireGot{whole: map[string][]byte{}}
	for in, err := range c.Retrieve(t.Context(), r) {
		if err != nil {
			if got.err != nil {
				t.Error("more than one error")
			}
			wireSilent(t, err)
			got.err = err
			continue
		}
		if got.err != nil {
			t.Error("something after an error")
		}
		data, err := io.ReadAll(in.Resource)
		if err != nil {
			continue
		}
		if _, twice := got.whole[in.Resource.UID]; twice {
			t.Errorf("an instance came twice: %s", in.Resource.UID)
		}
		got.order, got.whole[in.Resource.UID] = append(got.order, in.Resource.UID), data
	}
	return got
}

// sound: what came is what was sent; without an error it is all there is, and with
// one it is said what is not.
func (g wireGot) sound(t *testing.T, files []wireFile, at string) {
	t.Helper()
	var missing []string
	for _, f := range files {
		data, came := g.whole[f.instance]
		switch {
		case !came:
			missing = append(missing, f.instance)
		case !bytes.Equal(data, f.data):
			t.Errorf("%s: other bytes than those stored", at)
		}
	}
	if len(g.whole)+len(missing) != len(files) {
		t.Errorf("%s: instances that nobody has", at)
	}
	if g.err == nil {
		if len(missing) > 0 {
			t.Errorf("%s: success without %d instances", at, len(missing))
		}
		return
	}
	g.named(t, missing, at)
}

func (g wireGot) named(t *testing.T, missing []string, at string) {
	t.Helper()
	var e *pacs.MissingError
	if !assert.ErrorIs(t, g.err, hospital.ErrUnavailable, at) || len(g.whole) == 0 { //nolint:testifylint // the rest is looked at too
		return
	}
	if assert.ErrorIs(t, g.err, hospital.ErrIncomplete, at) && assert.ErrorAs(t, g.err, &e, at) {
		assert.ElementsMatch(t, missing, e.Instances, at)
		assert.Equal(t, wireStudy, e.Study)
	}
}

// all: everything came.
func (g wireGot) all(t *testing.T, files []wireFile, at string) {
	t.Helper()
	if g.err != nil {
		t.Errorf("%s: %v", at, g.err)
	}
	g.sound(t, files, at)
}

// past lets virtual time go by.
func past(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // synctest bubble
