package fakes_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/fakes"
)

// paths of a study's parts.
func studyPath(s fakes.Study) string    { return "/studies/" + s.UID }
func seriesPath(s fakes.Study) string   { return studyPath(s) + "/series/" + s.Series[0].UID }
func instancePath(s fakes.Study) string { return seriesPath(s) + "/instances/" + s.Series[0].SOPs[0] }

func TestRetrieve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		s := hosp.Demo().Studies[0]
		for path, sops := range map[string][]string{
			studyPath(s):    append(append([]string{}, s.Series[0].SOPs...), s.Series[1].SOPs...),
			seriesPath(s):   s.Series[0].SOPs,
			instancePath(s): s.Series[0].SOPs[:1],
		} {
			g := w.fetch(pacsA+path, stored)
			require.NoError(t, g.err)
			require.Equal(t, 200, g.status)
			headers, bodies := g.parts(t)
			require.Len(t, bodies, len(sops), path)
			for i, sop := range slices.Backward(sops) {
				i = len(sops) - 1 - i // they come in another order than they are listed
				want, ok := hosp.StoredInstance("pacs", sop)
				require.True(t, ok)
				assert.Equal(t, want, bodies[i])
				assert.Equal(t, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1", headers[i].Get("Content-Type"))
				digest, size, ok := hosp.StoredDigest("pacs", sop)
				assert.True(t, ok)
				assert.Equal(t, sha256.Sum256(want), digest)
				assert.Len(t, want, int(size))
			}
			assert.Equal(t, len(sops) == 1, g.length == int64(len(g.body)), "one instance has a length")
		}
		assert.Len(t, hosp.Instances("pacs", s.UID), 6)
		file, _ := hosp.StoredInstance("pacs", s.Series[0].SOPs[0])
		assert.Equal(t, file, w.fetch(pacsA+instancePath(s), "application/dicom; transfer-syntax=*").body)
		_, ok := hosp.StoredInstance("pacs", "1.2.3")
		assert.False(t, ok)
	})
}

func TestRetrieveAccepts(t *testing.T) {
	t.Parallel()
	refuses := fakes.Personality{RefuseTranscoding: true}
	for name, c := range map[string]struct {
		kind   fakes.Personality
		accept string
		status int
	}{
		"stored":                         {refuses, stored, 200},
		"quoted syntax":                  {refuses, `multipart/related; type="application/dicom"; transfer-syntax="*"`, 200},
		"its own syntax":                 {refuses, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1`, 200},
		"second of two":                  {refuses, `application/json, multipart/related; type="application/dicom"; transfer-syntax=*`, 200},
		"another syntax":                 {fakes.Personality{}, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90`, 406},
		"default syntax, transcodes not": {refuses, `multipart/related; type="application/dicom"`, 200},
		"default syntax":                 {fakes.Personality{}, `multipart/related; type="application/dicom"`, 200},
		"nothing":                        {fakes.Personality{}, "", 200},
		"anything":                       {fakes.Personality{}, "*/*", 200},
		"without quotes":                 {fakes.Personality{}, `multipart/related; type=application/dicom; transfer-syntax=*`, 406},
		"another type":                   {fakes.Personality{}, `multipart/related; type="image/jpeg"`, 406},
		"one file for a study":           {fakes.Personality{}, "application/dicom", 406},
		"JSON":                           {fakes.Personality{}, dicomJSON, 406},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, w := imaged(t, fakes.WithPersonality(c.kind))
				assert.Equal(t, c.status, w.fetch(pacsA+studyPath(hosp.Demo().Studies[0]), c.accept).status)
			})
		})
	}
}

// What is not stored in explicit little endian comes only to who asks for it as stored
// (PS3.18 section 8.7.3).
func TestRetrieveTranscodesNothing(t *testing.T) {
	t.Parallel()
	const (
		files  = `multipart/related; type="application/dicom"`
		frames = `multipart/related; type="application/octet-stream"`
	)
	pixels := "\xFE\xFF\x00\xE0\x00\x00\x00\x00" + "\xFE\xFF\x00\xE0\x04\x00\x00\x00abcd" + "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
	packed := picture(compressed, "1.2.3", "1.2.3.1", "1.2.3.1.1", elem{0x7FE00010, "OB", pixels})
	native := picture(implicit, "1.2.4", "1.2.4.1", "1.2.4.1.1", us(0x00280010, 1), us(0x00280011, 2), us(0x00280100, 8), elem{0x7FE00010, "OW", "ab"})
	one, other := "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1", "/studies/1.2.4/series/1.2.4.1/instances/1.2.4.1.1"
	for _, c := range []struct {
		path, accept string
		sent         bool
	}{
		{"/studies/1.2.3", files, false},
		{"/studies/1.2.3", "", false},
		{"/studies/1.2.3", "*/*", false},
		{"/studies/1.2.3", files + "; transfer-syntax=" + explicit, false},
		{"/studies/1.2.3", files + "; transfer-syntax=" + compressed, true},
		{"/studies/1.2.3", stored, true},
		{"/studies/1.2.4", files, false},
		{one, "application/dicom", false},
		{one, "application/dicom; transfer-syntax=*", true},
		{one + "/frames/1", frames, false},
		{one + "/frames/1", "application/octet-stream", false},
		{one + "/frames/1", frames + "; transfer-syntax=*", true},
		{other + "/frames/1", frames, true}, // the same bytes in both
		{other + "/bulkdata/7FE00010", frames, true},
	} {
		for status, kind := range map[int]fakes.Personality{500: {}, 406: {RefuseTranscoding: true}} { // how it is refused
			synctest.Test(t, func(t *testing.T) {
				hosp, w := imaged(t, fakes.WithPersonality(kind))
				require.NoError(t, hosp.AddInstances("pacs", packed, native))
				if c.sent {
					status = 200
				}
				assert.Equal(t, status, w.fetch(pacsA+c.path, c.accept).status, "%s %s", c.path, c.accept)
			})
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		s := hosp.Demo().Studies[0]
		for path, n := range map[string]int{studyPath(s): 6, seriesPath(s): 3, instancePath(s): 1} {
			g := w.fetch(pacsA+path+"/metadata", dicomJSON)
			require.Equal(t, 200, g.status)
			var list []map[string]any
			require.NoError(t, json.Unmarshal(g.body, &list))
			require.Len(t, list, n)
			assert.Equal(t, []any{64.0}, values(list[0], "00280010"))
			assert.Equal(t, []any{1.0}, values(list[0], "00200013"))
			pixels, _ := list[0]["7FE00010"].(map[string]any)
			uri, _ := pixels["BulkDataURI"].(string)
			assert.Equal(t, "http://pacs.group.test/dicom-web"+instancePath(s)+"/bulkdata/7FE00010", uri)
		}
		assert.Equal(t, 406, w.fetch(pacsA+studyPath(s)+"/metadata", "text/html").status)
	})
}

func TestFramesAndBulkData(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		s := hosp.AddStudy("pacs", fakes.Study{UID: "1.2.3", Series: []fakes.Series{{Modality: "XA", Instances: 1, PixelBytes: 3*8192 - 1}}})
		sop := s.Series[0].SOPs[0]
		file, _ := hosp.StoredInstance("pacs", sop)
		pixels := file[len(file)-3*8192:]
		at := pacsA + instancePath(s)
		const octets = `multipart/related; type="application/octet-stream"; transfer-syntax=*`

		_, bodies := w.fetch(at+"/bulkdata/7fe00010", octets).parts(t)
		assert.Equal(t, [][]byte{pixels}, bodies)
		assert.Equal(t, pixels, w.fetch(at+"/bulkdata/7FE00010", "application/octet-stream").body)
		assert.Equal(t, 404, w.fetch(at+"/bulkdata/00100010", octets).status)
		headers, bodies := w.fetch(at+"/frames/3,1", octets).parts(t)
		assert.Equal(t, [][]byte{pixels[2*8192:], pixels[:8192]}, bodies)
		assert.True(t, strings.HasSuffix(headers[0].Get("Content-Location"), "/frames/3"))
		assert.Equal(t, pixels[8192:2*8192], w.fetch(at+"/frames/2", "application/octet-stream").body)
		for _, bad := range []string{"4", "0", "x", "1,", "-1"} {
			assert.Equal(t, 400, w.fetch(at+"/frames/"+bad, octets).status, bad)
		}
		assert.Equal(t, 406, w.fetch(at+"/frames/1", "image/jpeg").status)
		assert.Equal(t, 406, w.fetch(at+"/frames/1,2", "application/octet-stream").status)

		encapsulated := "\xFE\xFF\x00\xE0\x00\x00\x00\x00" + "\xFE\xFF\x00\xE0\x04\x00\x00\x00abcd" + "\xFE\xFF\x00\xE0\x02\x00\x00\x00ef" + "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
		packed := picture(compressed, "1.2.4", "1.2.4.1", "1.2.4.1.1", elem{0x00280008, "IS", "2"}, elem{0x7FE00010, "OB", encapsulated})
		require.NoError(t, hosp.AddInstances("pacs", packed))
		at = pacsA + "/studies/1.2.4/series/1.2.4.1/instances/1.2.4.1.1"
		headers, bodies = w.fetch(at+"/frames/2,1", octets).parts(t)
		assert.Equal(t, [][]byte{[]byte("ef"), []byte("abcd")}, bodies)
		assert.Contains(t, headers[0].Get("Content-Type"), compressed)
		_, bodies = w.fetch(at, stored).parts(t)
		assert.Equal(t, [][]byte{packed}, bodies)
		assert.Equal(t, 406, w.fetch(at+"/rendered", "image/png").status)
	})
}

func TestRendered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		s := hosp.Demo().Studies[1]
		g := w.fetch(pacsA+instancePath(s)+"/rendered", "image/png")
		assert.Equal(t, "image/png", g.header.Get("Content-Type"))
		shown, err := png.Decode(bytes.NewReader(g.body))
		require.NoError(t, err)
		assert.Equal(t, 64, shown.Bounds().Dx())
		file, _ := hosp.StoredInstance("pacs", s.Series[0].SOPs[0])
		pixels := file[len(file)-8192:]
		grey, _, _, _ := shown.At(1, 0).RGBA()
		assert.Equal(t, (int(pixels[2])|int(pixels[3])<<8)>>4, int(grey>>8))
		g = w.fetch(pacsA+instancePath(s)+"/frames/1/rendered", "*/*")
		assert.Equal(t, "image/jpeg", g.header.Get("Content-Type"))
		_, err = jpeg.Decode(bytes.NewReader(g.body))
		require.NoError(t, err)
		assert.Equal(t, 406, w.fetch(pacsA+instancePath(s)+"/rendered", "image/gif").status)
		assert.Equal(t, 400, w.fetch(pacsA+instancePath(s)+"/frames/2/rendered", "*/*").status)

		inverse := picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1", us(0x00280002, 1), elem{0x00280004, "CS", "MONOCHROME1"},
			us(0x00280010, 1), us(0x00280011, 2), us(0x00280100, 8), us(0x00280101, 8), elem{0x7FE00010, "OW", "\x00\x10"})
		require.NoError(t, hosp.AddInstances("pacs", inverse))
		g = w.fetch(pacsA+"/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/rendered", "image/png")
		shown, err = png.Decode(bytes.NewReader(g.body))
		require.NoError(t, err)
		grey, _, _, _ = shown.At(1, 0).RGBA()
		assert.Equal(t, 0xEF, int(grey>>8))

		_, w = imaged(t, fakes.WithPersonality(fakes.Personality{NoRendering: true}))
		assert.Equal(t, 406, w.fetch(pacsA+instancePath(s)+"/rendered", "image/png").status)
	})
}

// A picture is as large as its viewport and shows the values of its window.
func TestRenderedAsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		wide := picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1", us(0x00280002, 1), us(0x00280010, 1), us(0x00280011, 4), us(0x00280100, 16), us(0x00280101, 16), us(0x00280103, 1),
			elem{0x00281052, "DS", "-1000"}, elem{0x00281053, "DS", "2"}, elem{0x7FE00010, "OW", "\xFF\xFF" + "\xF4\x01" + "\xE8\x03" + "\xDC\x05"}) // -1002, 0, 1000, 2000
		require.NoError(t, hosp.AddInstances("pacs", wide))
		at := pacsA + "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/rendered"
		for query, want := range map[string][]uint8{
			"":                           {0, 1, 3, 5},
			"quality=50":                 {0, 1, 3, 5},
			"window=0.5,1,linear":        {0, 0, 255, 255},
			"window=1,2001,linear":       {0, 127, 254, 255},
			"window=0,4000,linear-exact": {63, 127, 191, 255},
			"window=0,1,sigmoid":         {0, 127, 255, 255},
			"viewport=2,1":               {0, 3}, // half of one row is at least a row
			"viewport=4,3":               {0, 0, 0, 0, 0, 1, 3, 5, 0, 0, 0, 0},
			"viewport=1,2&window=0,4000,linear-exact": {63, 0},
		} {
			g := w.fetch(at+"?"+query, "image/png")
			require.Equal(t, 200, g.status, query)
			shown, err := png.Decode(bytes.NewReader(g.body))
			require.NoError(t, err)
			grey, ok := shown.(*image.Gray)
			require.True(t, ok)
			assert.Equal(t, want, grey.Pix, query)
		}
		fine, coarse := w.fetch(at+"?viewport=512,512&quality=100", "image/jpeg"), w.fetch(at+"?viewport=512,512&quality=1", "image/jpeg")
		assert.Greater(t, len(fine.body), len(coarse.body))
		for _, bad := range []string{
			"viewport=8", "viewport=8,x", "viewport=0,8", "viewport=-8,8", "viewport=%2B8,8", "viewport=8,8,0,0,4,4", "viewport=16384,16384", "viewport=99999,1",
			"window=40,400", "window=a,b,linear", "window=40.0.1,400,linear", "window=40,0,linear", "window=40,0,sigmoid", "window=40,400,log", "window=Inf,400,linear", "window=40,NaN,linear",
			"quality=0", "quality=101", "quality=x", "annotation=patient", "nonsense=1", "viewport=8,8&viewport=8,8", "viewport=%zz",
		} {
			assert.Equal(t, 400, w.fetch(at+"?"+bad, "image/png").status, bad)
		}
	})
}

// Without any length the end of the connection is the end of the answer.
func TestNoLength(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, _ := imaged(t, fakes.WithPersonality(fakes.Personality{NoLength: true}))
		s := hosp.Demo().Studies[0]
		conn, err := hosp.Dial(t.Context(), "tcp", "pacs.dc-a.test:80")
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET /dicom-web"+studyPath(s)+" HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		raw, err := io.ReadAll(conn)
		require.NoError(t, err)
		head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		assert.NotContains(t, head, "Content-Length")
		assert.NotContains(t, head, "Transfer-Encoding")
		assert.Contains(t, head, "Connection: close")
		assert.NotContains(t, body, "Content-Length")
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		require.NoError(t, err)
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_, bodies := got{header: resp.Header, body: data}.parts(t)
		assert.Len(t, bodies, 6)
	})
}

// Images from a slow archive: the headers come as late as they, or at once.
func TestNearline(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			hosp, w := imaged(t, fakes.WithPersonality(fakes.Personality{Nearline: 90 * time.Second, NearlineHeaders: early}))
			s := hosp.Demo().Studies[0]
			began := time.Now()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, pacsA+studyPath(s), nil)
			require.NoError(t, err)
			resp, err := w.client.Do(req)
			require.NoError(t, err)
			assert.Equal(t, early, time.Since(began) < time.Second)
			data, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, 90*time.Second, time.Since(began))
			_, bodies := got{header: resp.Header, body: data}.parts(t)
			assert.Len(t, bodies, 6)
			assert.Equal(t, []any{"NEARLINE"}, values(w.found("/studies")[0], "00080056"))
			assert.Equal(t, 90*time.Second, time.Since(began), "a search does not wait")

			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			g := w.ask(ctx, "GET", pacsA+studyPath(s), nil, nil)
			require.ErrorIs(t, g.err, context.DeadlineExceeded)
		})
	}
}

// A study of 64 MiB costs the server what a small one does, and is made of the same
// bytes wherever it is read.
func TestBigStudyIsStreamed(t *testing.T) { // alone: it counts allocations
	hosp := fakes.NewHospital(t, fakes.WithoutDemoData(), fakes.WithLoopback())
	w := dialed(t, hosp)
	at := endpointOf(t, hosp, "pacs/dc-a").URL
	const size = 32 << 20
	s := hosp.AddStudy("pacs", fakes.Study{UID: "1.2.3", Series: []fakes.Series{{Modality: "CT", Instances: 2, PixelBytes: size}}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+studyPath(s), nil)
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := w.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	assert.Greater(t, n, int64(2*size))
	assert.Less(t, n, int64(2*size+8192))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))

	file, ok := hosp.StoredInstance("pacs", s.Series[0].SOPs[1])
	require.True(t, ok)
	const frame = 4_001
	piece := w.fetch(at+seriesPath(s)+"/instances/"+s.Series[0].SOPs[1]+"/frames/4001", "application/octet-stream").body
	from := len(file) - size + (frame-1)*8192
	assert.Equal(t, file[from:from+8192], piece)
	other, _, _ := hosp.StoredDigest("pacs", s.Series[0].SOPs[0])
	same, length, _ := hosp.StoredDigest("pacs", s.Series[0].SOPs[1])
	assert.NotEqual(t, other, same)
	assert.Equal(t, sha256.Sum256(file), same)
	assert.Len(t, file, int(length))
}

// The same study has the same UIDs and bytes in every hospital.
func TestStudiesAreDeterministic(t *testing.T) {
	t.Parallel()
	a, b := fakes.NewHospital(t), fakes.NewHospital(t)
	require.Equal(t, a.Demo().Studies, b.Demo().Studies)
	for _, s := range a.Demo().Studies {
		assert.Regexp(t, `^2\.25\.[1-9][0-9]{30,38}$`, s.UID)
		for _, sop := range s.Series[1].SOPs {
			x, _ := a.StoredInstance("pacs", sop)
			y, _ := b.StoredInstance("pacs", sop)
			assert.NotEmpty(t, x)
			assert.Equal(t, x, y)
		}
	}
	again := a.AddStudy("pacs", a.Demo().Studies[0])
	assert.Equal(t, a.Demo().Studies[0], again)
	assert.Len(t, a.Instances("pacs", again.UID), 6, "what is there stays as it is")
	assert.Panics(t, func() { a.AddStudy("pacs-dr", again) }, "a replica follows")
	for name, ask := range map[string]func(){
		"AddStudy":       func() { a.AddStudy("nowhere", again) },
		"Instances":      func() { a.Instances("nowhere", again.UID) },
		"StoredInstance": func() { a.StoredInstance("nowhere", again.UID) },
		"StoredDigest":   func() { _, _, _ = a.StoredDigest("nowhere", again.UID) },
		"CountIn":        func() { a.CountIn("nowhere", "Patient", fakes.IssuerHankou, "ZY010101") },
		"ResourcesIn":    func() { a.ResourcesIn("nowhere", "Patient") },
	} {
		assert.Panics(t, ask, name)
	}
}
