package fakes_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fakes"
)

const (
	pacsA  = "http://pacs.dc-a.test/dicom-web"
	pacsDR = "http://pacs.dr.test/dicom-web"

	stored    = `multipart/related; type="application/dicom"; transfer-syntax=*`
	dicomJSON = "application/dicom+json"
)

// got is an answer of the wire, its body read whole or not.
type got struct {
	status int
	header http.Header
	body   []byte
	length int64
	err    error
}

// ask sends a request and reads what comes.
func (w *wire) ask(ctx context.Context, method, url string, header map[string]string, body io.Reader) got {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	require.NoError(w.t, err)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, data, resp.ContentLength, err}
}

func (w *wire) fetch(url, accept string) got {
	w.t.Helper()
	return w.ask(w.t.Context(), "GET", url, map[string]string{"Accept": accept}, nil)
}

// found are the datasets of a search's answer.
func (w *wire) found(query string) []map[string]any {
	w.t.Helper()
	g := w.fetch(pacsA+query, dicomJSON)
	require.NoError(w.t, g.err)
	if g.status == http.StatusNoContent {
		require.Empty(w.t, g.body)
		return nil
	}
	require.Equal(w.t, 200, g.status, "%s: %s", query, g.body)
	require.Equal(w.t, dicomJSON, g.header.Get("Content-Type"))
	var out []map[string]any
	require.NoError(w.t, json.Unmarshal(g.body, &out))
	return out
}

// values are an attribute's.
func values(d map[string]any, tag string) []any {
	e, _ := d[tag].(map[string]any)
	list, _ := e["Value"].([]any)
	return list
}

// parts are those of a whole multipart answer, by a reader that is not ours.
func (g got) parts(t *testing.T) (headers []textproto.MIMEHeader, bodies [][]byte) {
	t.Helper()
	media, params, err := mime.ParseMediaType(g.header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/related", media)
	require.True(t, bytes.HasSuffix(g.body, []byte("--"+params["boundary"]+"--\r\n")), "the closing boundary")
	mr := multipart.NewReader(bytes.NewReader(g.body), params["boundary"])
	for {
		p, err := mr.NextRawPart()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return headers, bodies
		}
		data, err := io.ReadAll(p)
		require.NoError(t, err)
		headers, bodies = append(headers, p.Header), append(bodies, data)
	}
}

// posted makes the body of a store.
func posted(files ...[]byte) (contentType string, body []byte) {
	return postedAs("application/dicom", files...)
}

// postedAs says of each part what type it is.
func postedAs(typ string, files ...[]byte) (contentType string, body []byte) {
	var b bytes.Buffer
	mw := multipart.NewWriter(&b)
	for _, f := range files {
		p, _ := mw.CreatePart(textproto.MIMEHeader{"Content-Type": {typ}})
		_, _ = p.Write(f)
	}
	_ = mw.Close()
	return `multipart/related; type="application/dicom"; boundary=` + mw.Boundary(), b.Bytes()
}

func (w *wire) store(url string, files ...[]byte) got {
	w.t.Helper()
	contentType, body := posted(files...)
	return w.ask(w.t.Context(), "POST", url, map[string]string{"Content-Type": contentType, "Accept": dicomJSON}, bytes.NewReader(body))
}

// Transfer syntaxes of what made writes.
const (
	implicit   = "1.2.840.10008.1.2"
	explicit   = "1.2.840.10008.1.2.1"
	big        = "1.2.840.10008.1.2.2"
	deflated   = "1.2.840.10008.1.2.1.99"
	compressed = "1.2.840.10008.1.2.4.90"
)

// elem is one element of a file that a test makes.
type elem struct {
	tag   uint32
	vr    string
	value string
}

// made writes a file: these elements, between whose tags those of the UIDs must fit.
func made(syntax string, elems ...elem) []byte {
	var meta, out []byte
	meta = write(meta, explicit, elem{0x00020003, "UI", uidIn(elems)})
	meta = write(meta, explicit, elem{0x00020010, "UI", syntax})
	out = append(make([]byte, 128), "DICM"...)
	out = append(out, write(nil, explicit, elem{0x00020000, "UL", string(binary.LittleEndian.AppendUint32(nil, uint32(len(meta))))})...)
	out = append(out, meta...)
	var body []byte
	for _, e := range elems {
		body = write(body, syntax, e)
	}
	if syntax == deflated {
		var b bytes.Buffer
		fw, _ := flate.NewWriter(&b, 9)
		_, _ = fw.Write(body)
		_ = fw.Close()
		body = b.Bytes()
	}
	return append(out, body...)
}

func uidIn(elems []elem) string {
	for _, e := range elems {
		if e.tag == 0x00080018 {
			return e.value
		}
	}
	return ""
}

func write(out []byte, syntax string, e elem) []byte {
	var order binary.AppendByteOrder = binary.LittleEndian
	if syntax == big {
		order = binary.BigEndian
	}
	value := e.value
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[e.vr == "UI"]
	}
	length := uint32(len(value))
	if e.vr == "OB" {
		length = 0xFFFFFFFF // encapsulated
	}
	out = order.AppendUint16(order.AppendUint16(out, uint16(e.tag>>16)), uint16(e.tag))
	switch {
	case syntax == implicit:
		out = order.AppendUint32(out, length)
	case strings.Contains("OB OW SQ UT UN", e.vr):
		out = order.AppendUint32(append(append(out, e.vr...), 0, 0), length)
	default:
		out = order.AppendUint16(append(out, e.vr...), uint16(length))
	}
	return append(out, value...)
}

// picture is a small file under these UIDs, of which other elements may be given.
func picture(syntax, study, series, sop string, more ...elem) []byte {
	elems := []elem{
		{0x00080005, "CS", "ISO_IR 192"},
		{0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7"},
		{0x00080018, "UI", sop},
		{0x00080060, "CS", "OT"},
		{0x00100010, "PN", "Qian^Duoduo=钱^多多"},
		{0x00100020, "LO", "ZY777777"},
		{0x0020000D, "UI", study},
		{0x0020000E, "UI", series},
	}
	for _, e := range more {
		if e.tag == 0x00080005 {
			elems[0] = e
		} else if e.tag == 0x00100010 {
			elems[4] = e
		} else {
			elems = append(elems, e)
		}
	}
	return made(syntax, elems...)
}

// number of values of US.
func us(tag uint32, n uint16) elem {
	return elem{tag, "US", string(binary.LittleEndian.AppendUint16(nil, n))}
}

// picturesOf are n files of one study.
func picturesOf(study string, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = picture(explicit, study, study+".1", fmt.Sprintf("%s.1.%d", study, i+1), elem{0x7FE00010, "OW", strings.Repeat("\x01\x02", 512)})
	}
	return out
}

func imaged(t *testing.T, opts ...fakes.Option) (*fakes.Hospital, *wire) {
	t.Helper()
	hosp := fakes.NewHospital(t, opts...)
	return hosp, dialed(t, hosp)
}
