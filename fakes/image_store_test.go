package fakes_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
)

// report is what a store answers.
type report struct {
	url                  string
	good, failed, others []map[string]any
}

func (g got) report(t *testing.T) report {
	t.Helper()
	require.Equal(t, dicomJSON, g.header.Get("Content-Type"), "%s", g.body)
	var d map[string]any
	require.NoError(t, json.Unmarshal(g.body, &d))
	var r report
	if url := values(d, "00081190"); len(url) > 0 {
		r.url, _ = url[0].(string)
	}
	for tag, list := range map[string]*[]map[string]any{"00081199": &r.good, "00081198": &r.failed, "0008119A": &r.others} {
		for _, v := range values(d, tag) {
			item, _ := v.(map[string]any)
			*list = append(*list, item)
		}
	}
	return r
}

func TestStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t, fakes.WithoutDemoData())
		files := picturesOf("1.2.3", 3)
		g := w.store(pacsA+"/studies", files...)
		require.Equal(t, 200, g.status, "%s", g.body)
		r := g.report(t)
		assert.Equal(t, "http://pacs.group.test/dicom-web/studies/1.2.3", r.url)
		require.Len(t, r.good, 3)
		assert.Equal(t, []any{"1.2.3.1.1"}, values(r.good[0], "00081155"))
		assert.Equal(t, []any{"1.2.840.10008.5.1.4.1.1.7"}, values(r.good[0], "00081150"))
		assert.Equal(t, []any{"http://pacs.group.test/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"}, values(r.good[0], "00081190"))
		slices.Reverse(files) // retrieved in another order
		_, bodies := w.fetch(pacsA+"/studies/1.2.3", stored).parts(t)
		assert.Equal(t, files, bodies, "byte by byte")
		_, bodies = w.fetch(strings.Replace(pacsA, "dc-a", "dc-b", 1)+"/studies/1.2.3", stored).parts(t)
		assert.Equal(t, files, bodies, "behind the other door too")
		assert.Equal(t, []string{"1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"}, hosp.Instances("pacs", "1.2.3"))
		assert.Equal(t, 1, hosp.Ledger().Executions("1.2.3.1.1"))
		last := hosp.Ledger().Entries()[0]
		assert.Equal(t, "store", last.Interaction)
		assert.True(t, last.Executed)
		assert.Equal(t, "Instance|pacs|1.2.3.1.2", last.Created[1])
	})
}

// Part types may say the transfer syntax; some servers then take nothing, and say success.
func TestStorePartTypes(t *testing.T) {
	t.Parallel()
	const typed = "application/dicom; transfer-syntax=" + explicit
	for name, c := range map[string]struct {
		kind                 fakes.Personality
		typ                  string
		parts                int
		status, good, others int
	}{
		"with a syntax":          {fakes.Personality{}, typed, 2, 200, 2, 0},
		"of another type":        {fakes.Personality{}, "application/octet-stream", 2, 409, 0, 2},
		"none":                   {fakes.Personality{}, "", 0, 400, 0, 0},
		"bare: bare":             {fakes.Personality{BareParts: true}, "application/dicom", 2, 200, 2, 0},
		"bare: with a syntax":    {fakes.Personality{BareParts: true}, typed, 2, 200, 0, 0},
		"bare: of another type":  {fakes.Personality{BareParts: true}, "application/octet-stream", 2, 200, 0, 0},
		"bare: without any type": {fakes.Personality{BareParts: true}, "", 1, 200, 0, 0},
		"bare: none":             {fakes.Personality{BareParts: true}, "", 0, 200, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, w := imaged(t, fakes.WithPersonality(c.kind))
				contentType, body := postedAs(c.typ, picturesOf("1.2.3", c.parts)...)
				g := w.ask(t.Context(), "POST", pacsA+"/studies", map[string]string{"Content-Type": contentType}, bytes.NewReader(body))
				require.Equal(t, c.status, g.status, "%s", g.body)
				if c.status != 400 {
					r := g.report(t)
					assert.Len(t, r.good, c.good)
					assert.Len(t, r.others, c.others)
				}
				assert.Len(t, hosp.Instances("pacs", "1.2.3"), c.good)
				assert.Equal(t, c.good > 0, hosp.Ledger().Entries()[0].Executed)
			})
		})
	}
}

// One store after another under the same UIDs.
func TestStoreAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   fakes.Personality
		other  bool // bytes
		status int
		reason any
		made   int
	}{
		"the same bytes":          {fakes.Personality{}, false, 200, nil, 1},
		"other bytes":             {fakes.Personality{}, true, 200, nil, 2},
		"refused: the same bytes": {fakes.Personality{RefuseDuplicates: true}, false, 409, 45070.0, 1},
		"refused: other bytes":    {fakes.Personality{RefuseDuplicates: true}, true, 409, 45070.0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp, w := imaged(t, fakes.WithPersonality(c.kind))
				first := picturesOf("1.2.3", 1)[0]
				second := first
				if c.other {
					second = bytes.Replace(first, []byte("Duoduo"), []byte("Shaosh"), 1)
				}
				require.Equal(t, 200, w.store(pacsA+"/studies", first).status)
				g := w.store(pacsA+"/studies", second)
				assert.Equal(t, c.status, g.status)
				if r := g.report(t); c.reason != nil {
					assert.Equal(t, []any{c.reason}, values(r.failed[0], "00081197"))
					assert.Equal(t, []any{"1.2.3.1.1"}, values(r.failed[0], "00081155"))
				} else {
					assert.Len(t, r.good, 1)
				}
				kept, _ := hosp.StoredInstance("pacs", "1.2.3.1.1")
				assert.Equal(t, first, kept, "the old bytes stay")
				assert.Equal(t, c.made, hosp.Ledger().Executions("1.2.3.1.1"))
				assert.Equal(t, c.made > 1, len(hosp.Ledger().Doubled()) > 0)
				receipts := hosp.Ledger().Receipts("1.2.3.1.1")
				if assert.Len(t, receipts, map[bool]int{true: 1, false: 2}[c.kind.RefuseDuplicates]); len(receipts) == 2 {
					assert.True(t, receipts[0].Kept)
					assert.False(t, receipts[1].Kept)
					assert.Equal(t, sha256.Sum256(second), receipts[1].SHA256)
					assert.Equal(t, int64(len(second)), receipts[1].Size)
				}
			})
		})
	}
}

// What cannot be stored is said, part by part.
func TestStoreFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t, fakes.WithoutDemoData())
		files := picturesOf("1.2.3", 3)
		files[1] = []byte("no DICOM at all")
		files = append(files, files[2][:len(files[2])-2], picturesOf("1.2.4", 1)[0])
		remove := hosp.Break(fakes.Rule{When: fakes.When{Interaction: "store"}, Do: fakes.Action{RefuseInstance: func(sop string) int {
			return map[string]int{"1.2.3.1.3": 0xA700}[sop]
		}}})
		g := w.store(pacsA+"/studies/1.2.3", files...)
		assert.Equal(t, 202, g.status)
		r := g.report(t)
		require.Len(t, r.good, 1)
		require.Len(t, r.failed, 2)
		require.Len(t, r.others, 2, "neither can be named: not DICOM, and cut in its pixels")
		assert.Equal(t, []any{49152.0}, values(r.others[0], "00081197"))
		assert.Equal(t, []any{42752.0}, values(r.failed[0], "00081197"))
		assert.Equal(t, []any{272.0}, values(r.failed[1], "00081197"), "of another study than the path's")
		assert.Equal(t, []string{"1.2.3.1.1"}, hosp.Instances("pacs", "1.2.3"))
		assert.Empty(t, hosp.Instances("pacs", "1.2.4"))
		remove()
		assert.Equal(t, 409, w.store(pacsA+"/studies/1.2.3", files[1], files[4]).status)

		g = w.store(pacsA + "/studies")
		assert.Equal(t, 400, g.status, "nothing")
		for name, header := range map[string]string{
			"one file":    "application/dicom",
			"no type":     "multipart/related; boundary=x",
			"no boundary": `multipart/related; type="application/dicom"`,
			"JSON":        `multipart/related; type="application/dicom+json"; boundary=x`,
		} {
			g := w.ask(t.Context(), "POST", pacsA+"/studies", map[string]string{"Content-Type": header}, strings.NewReader("--x--"))
			assert.Equal(t, 415, g.status, name)
		}
		g = w.ask(t.Context(), "POST", pacsA+"/studies", map[string]string{"Content-Type": `multipart/related; type="application/dicom"; boundary=x`},
			strings.NewReader("--x\r\nContent-Type: image/jpeg\r\n\r\nJFIF\r\n--x--\r\n"))
		assert.Equal(t, 409, g.status)
		assert.Len(t, g.report(t).others, 1)
		assert.Equal(t, 403, w.store(pacsDR+"/studies", files[0]).status, "a standby is not written")
		hosp.SetWriter(campus.PACS, "dc-b")
		assert.Equal(t, 500, w.store(pacsA+"/studies", files[0]).status)
	})
}

// A cut connection leaves what came whole, whoever cut it.
func TestStoreIsCut(t *testing.T) {
	t.Parallel()
	files := picturesOf("1.2.3", 5)
	contentType, body := posted(files...)
	third := bytes.Index(body, files[3]) // the third has come whole
	header := map[string]string{"Content-Type": contentType}
	t.Run("by the server", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			hosp, w := imaged(t)
			rule := fakes.Rule{When: fakes.When{Interaction: "store"}, Do: fakes.Action{CutRequestAfter: int64(third) + 100}, Times: 1}
			hosp.Break(rule)
			g := w.ask(t.Context(), "POST", pacsA+"/studies", header, bytes.NewReader(body))
			require.Error(t, g.err)
			assert.Len(t, hosp.Instances("pacs", "1.2.3"), 3)
			entry := hosp.Ledger().Entries()[0]
			assert.True(t, entry.Executed)
			assert.Zero(t, entry.Status)
			assert.Len(t, entry.Created, 3)

			assert.Equal(t, 200, w.store(pacsA+"/studies", files...).status, "sent again")
			assert.Len(t, hosp.Instances("pacs", "1.2.3"), 5)
			assert.Empty(t, hosp.Ledger().Doubled())
			rule.Do.CutRequestAfter = -1
			hosp.Break(rule)
			require.Error(t, w.ask(t.Context(), "POST", pacsA+"/studies", header, bytes.NewReader(body)).err)
			assert.False(t, hosp.Ledger().Entries()[2].Executed, "before its first byte")
		})
	})
	t.Run("by the client", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			for _, framing := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)), fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(body))} {
				hosp, _ := imaged(t)
				conn, err := hosp.Dial(t.Context(), "tcp", "pacs.dc-a.test:80")
				require.NoError(t, err)
				_, err = fmt.Fprintf(conn, "POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s%s", contentType, framing, body[:third+100])
				require.NoError(t, err)
				synctest.Wait()
				require.NoError(t, conn.Close())
				synctest.Wait()
				assert.Len(t, hosp.Instances("pacs", "1.2.3"), 3)
				assert.Zero(t, hosp.Ledger().Entries()[0].Status)
			}
		})
	})
}

// What comes is stored before all of it is there.
func TestStoreStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		files := picturesOf("1.2.3", 2)
		contentType, body := posted(files...)
		second := bytes.Index(body, files[1])
		r, into := io.Pipe()
		done := make(chan got)
		go func() {
			done <- w.ask(t.Context(), "POST", pacsA+"/studies", map[string]string{"Content-Type": contentType}, r)
		}()
		_, _ = into.Write(body[:second])
		synctest.Wait()
		assert.Len(t, hosp.Instances("pacs", "1.2.3"), 1)
		_, _ = into.Write(body[second:])
		_ = into.Close()
		assert.Equal(t, 200, (<-done).status)
		assert.Len(t, hosp.Instances("pacs", "1.2.3"), 2)
	})
}

// A server that changes whose image it is says so; pixels and UIDs stay.
func TestStoreCoerces(t *testing.T) {
	t.Parallel()
	for _, syntax := range []string{explicit, implicit, big} {
		synctest.Test(t, func(t *testing.T) {
			hosp, w := imaged(t, fakes.WithPersonality(fakes.Personality{Coerce: true}))
			pixels := strings.Repeat("\x01\x02", 700)
			file := picture(syntax, "1.2.3", "1.2.3.1", "1.2.3.1.1", elem{0x7FE00010, "OW", pixels})
			g := w.store(pacsA+"/studies", file)
			assert.Equal(t, 202, g.status)
			assert.Equal(t, []any{45056.0}, values(g.report(t).good[0], "00081196"))
			kept, _ := hosp.StoredInstance("pacs", "1.2.3.1.1")
			assert.NotEqual(t, file, kept)
			assert.True(t, bytes.HasSuffix(kept, []byte(pixels)))
			digest, size, _ := hosp.StoredDigest("pacs", "1.2.3.1.1")
			assert.Equal(t, sha256.Sum256(kept), digest)
			assert.Equal(t, int64(len(kept)), size)
			assert.Equal(t, sha256.Sum256(file), hosp.Ledger().Receipts("1.2.3.1.1")[0].SHA256)
			found := w.found("/studies?StudyInstanceUID=1.2.3")
			assert.Equal(t, []any{"C-ZY777777"}, values(found[0], "00100020"))
			assert.Equal(t, []any{map[string]any{"Alphabetic": "COERCED Qian^Duoduo", "Ideographic": "钱^多多"}}, values(found[0], "00100010"))
			_, bodies := w.fetch(pacsA+"/studies/1.2.3", stored).parts(t)
			assert.Equal(t, kept, bodies[0])
			assert.Equal(t, 200, w.store(pacsA+"/studies", file).status, "nothing is changed a second time")
		})
	}
}

// Beyond what is kept, the digest is.
func TestStoreKeepsDigests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		files := picturesOf("1.2.3", 3)
		hosp, w := imaged(t, fakes.WithPersonality(fakes.Personality{Keep: int64(2*len(files[0]) + 100)}))
		assert.Equal(t, 200, w.store(pacsA+"/studies", files[0], files[0], files[1], files[2]).status)
		for i, f := range files {
			sop := fmt.Sprintf("1.2.3.1.%d", i+1)
			_, whole := hosp.StoredInstance("pacs", sop)
			assert.Equal(t, i < 2, whole, "a duplicate takes no room")
			digest, size, ok := hosp.StoredDigest("pacs", sop)
			assert.True(t, ok)
			assert.Equal(t, sha256.Sum256(f), digest)
			assert.Equal(t, int64(len(f)), size)
		}
		assert.Equal(t, 500, w.fetch(pacsA+"/studies/1.2.3", stored).status)
		assert.Equal(t, []any{3.0}, values(w.found("/studies?StudyInstanceUID=1.2.3")[0], "00201208"))
	})
}

// The standby's images follow, stop following, and go back.
func TestImagesFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t, fakes.WithLag(time.Minute), fakes.WithoutDemoData())
		files := picturesOf("1.2.3", 3)
		w.store(pacsA+"/studies", files[0])
		assert.Equal(t, 404, w.fetch(pacsDR+"/studies/1.2.3", stored).status)
		time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest bubble
		_, bodies := w.fetch(pacsDR+"/studies/1.2.3", stored).parts(t)
		assert.Len(t, bodies, 1)
		good := time.Now()
		time.Sleep(time.Second) //nolint:forbidigo // synctest bubble
		w.store(pacsA+"/studies", files[1])
		time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest bubble
		assert.Len(t, hosp.Instances("pacs-dr", "1.2.3"), 2)

		hosp.Restore(campus.PACS, good)
		assert.Len(t, hosp.Instances("pacs", "1.2.3"), 1)
		assert.Len(t, hosp.Instances("pacs-dr", "1.2.3"), 1)
		assert.Equal(t, int64(2), storeOf(t, hosp, "pacs-dr").Epoch, "it had come further")
		hosp.Promote(campus.PACS)
		w.store(pacsA+"/studies", files[1])
		w.store(pacsDR+"/studies", files[2])
		time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest bubble
		assert.Equal(t, []string{"1.2.3.1.1", "1.2.3.1.2"}, hosp.Instances("pacs", "1.2.3"))
		assert.Equal(t, []string{"1.2.3.1.1", "1.2.3.1.3"}, hosp.Instances("pacs-dr", "1.2.3"))
	})
}

// A file of some megabytes comes and goes, with a length and without, over HTTP/1 and 2.
func TestStoreBigFile(t *testing.T) {
	t.Parallel()
	pixels := strings.Repeat("0123456789abcdef", 200_000)
	file := picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1", elem{0x7FE00010, "OW", pixels})
	contentType, body := posted(file)
	for name, opts := range map[string][]fakes.Option{
		"HTTP/1": {fakes.WithLoopback()},
		"HTTP/2": {fakes.WithLoopback(), fakes.WithHTTP2(), fakes.WithPersonality(fakes.Personality{NoLength: true})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hosp := fakes.NewHospital(t, opts...)
			cfg := hosp.Config()
			at := endpointOf(t, hosp, "pacs/dc-a").URL
			transport := &http.Transport{TLSClientConfig: cfg.TLS["pacs/dc-a"], ForceAttemptHTTP2: name == "HTTP/2"}
			t.Cleanup(transport.CloseIdleConnections)
			w := &wire{t, &http.Client{Transport: transport}}
			for _, r := range []io.Reader{bytes.NewReader(body), io.MultiReader(bytes.NewReader(body))} {
				g := w.ask(t.Context(), "POST", at+"/studies", map[string]string{"Content-Type": contentType}, r)
				require.Equal(t, 200, g.status, "%v", g.err)
			}
			_, bodies := w.fetch(at+"/studies/1.2.3", stored).parts(t)
			assert.Equal(t, [][]byte{file}, bodies)
			hosp.Break(fakes.Rule{When: fakes.When{Interaction: "retrieve-study"}, Do: fakes.Action{CutAfter: 2_000_000}})
			g := w.fetch(at+"/studies/1.2.3", stored)
			require.Error(t, g.err)
			assert.Len(t, g.body, 2_000_000)
		})
	}
}

func endpointOf(t *testing.T, hosp *fakes.Hospital, id campus.EndpointID) campus.Endpoint {
	t.Helper()
	for _, e := range hosp.Description().Endpoints {
		if e.Name() == id {
			return e
		}
	}
	require.Failf(t, "no endpoint", "%s", id)
	return campus.Endpoint{}
}
