package pacs_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

// Lists that are not what was asked for, or not all of it.

// wireStudyRow is a study as a search finds it; an empty value is left out.
type wireStudyRow struct{ uid, patient, issuer, accession, name, date, modality string }

func (s wireStudyRow) String() string {
	parts := []string{}
	add := func(tag, vr, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf(`%q:{"vr":%q,"Value":[%s]}`, tag, vr, value))
		}
	}
	quoted := func(s string) string {
		if s == "" {
			return ""
		}
		return strconv.Quote(s)
	}
	add("00080020", "DA", quoted(s.date))
	add("00080050", "SH", quoted(s.accession))
	add("00080061", "CS", quoted(s.modality))
	if s.name != "" {
		add("00100010", "PN", `{"Alphabetic":`+strconv.Quote(s.name)+`}`)
	}
	add("00100020", "LO", quoted(s.patient))
	add("00100021", "LO", quoted(s.issuer))
	add("0020000D", "UI", quoted(s.uid))
	return "{" + strings.Join(parts, ",") + "}"
}

func studyRows(n int, like wireStudyRow) (out []string) {
	for i := range n {
		like.uid = fmt.Sprintf("%s.%d", wireStudy, i+1)
		out = append(out, like.String())
	}
	return out
}

func found(w *wire, c *pacs.Client, q pacs.StudyQuery) (uids []string, err error) {
	w.t.Helper()
	for s, err := range c.Studies(w.t.Context(), q) {
		if err != nil {
			wireSilent(w.t, err)
			return uids, err
		}
		uids = append(uids, s.Resource.UID)
	}
	return uids, nil
}

func offsetOf(r *http.Request) int {
	n, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	return n
}

var (
	wirePatient = campus.PatientID{Issuer: wireIssuer, Value: "P-0001"}
	hisStudy    = wireStudyRow{patient: wirePatient.Value, issuer: wireIssuer, name: "Zhang^San", date: "20260102", modality: "CT", accession: "A-1"}
	hisStudies  = pacs.StudyQuery{Patient: wirePatient}
)

// searching plays one search of an archive.
func searching(t *testing.T, answer func(r *http.Request) wireAnswer, q pacs.StudyQuery, check func(t *testing.T, w *wire, uids []string, err error)) {
	t.Helper()
	onWire(t, 1, func(w *wire) {
		w.sites[0].says(answer)
		w.with(func(c *pacs.Client) {
			uids, err := found(w, c, q)
			check(w.t, w, uids, err)
		})
	})
}

func wireJSON(rows ...string) wireAnswer {
	return wireAnswer{media: "application/dicom+json", body: wireArray(rows)}
}

func TestPagesOfServers(t *testing.T) {
	t.Parallel()
	rows := studyRows(450, hisStudy)
	part := func(r *http.Request, size int) []string { // with a page size of the server's own
		at := min(offsetOf(r), len(rows))
		return rows[at:min(at+size, len(rows))]
	}
	for name, c := range map[string]struct {
		answer func(r *http.Request) wireAnswer
		want   int // all that are found without an error; 0 for an error
		code   hospital.Code
	}{
		"as asked":                       {func(r *http.Request) wireAnswer { return wirePage(r, rows) }, 450, ""},
		"fewer than asked":               {func(r *http.Request) wireAnswer { return wireJSON(part(r, 77)...) }, 450, ""},
		"more than asked":                {func(r *http.Request) wireAnswer { return wireJSON(part(r, 300)...) }, 450, ""},
		"all at once, whatever is asked": {func(*http.Request) wireAnswer { return wireJSON(rows...) }, 450, ""},
		"a few, whatever is asked":       {func(*http.Request) wireAnswer { return wireJSON(rows[:7]...) }, 7, ""},
		"the first page again and again": {func(*http.Request) wireAnswer { return wireJSON(rows[:200]...) }, 0, hospital.ErrFilterIgnored},
		"pages that overlap": {func(r *http.Request) wireAnswer {
			return wireJSON(rows[max(0, min(offsetOf(r), 450)-10):min(450, offsetOf(r)+150)]...)
		}, 450, ""},
		"no content at the end":     {func(r *http.Request) wireAnswer { return emptyAfter(r, wirePage(r, rows)) }, 450, ""},
		"no content":                {func(*http.Request) wireAnswer { return wireAnswer{status: http.StatusNoContent} }, -1, ""},
		"an empty list":             {func(*http.Request) wireAnswer { return wireJSON() }, -1, ""},
		"no such route":             {func(*http.Request) wireAnswer { return wireAnswer{status: http.StatusNotFound} }, 0, hospital.ErrUnexpectedAnswer},
		"a list that is not closed": {func(*http.Request) wireAnswer { return wireRaw("application/dicom+json", "["+rows[0]) }, 0, hospital.ErrForeignAnswer},
		"an object":                 {func(*http.Request) wireAnswer { return wireRaw("application/json", `{"error":"no"}`) }, 0, hospital.ErrUnexpectedAnswer},
		"HTML":                      {func(*http.Request) wireAnswer { return wireRaw("text/html", "<html>") }, 0, hospital.ErrForeignAnswer},
		"no type":                   {func(*http.Request) wireAnswer { return wireRaw("", "[]") }, 0, hospital.ErrForeignAnswer},
		"a part of it":              {func(*http.Request) wireAnswer { a := wireJSON(rows[:3]...); a.status = 206; return a }, 0, hospital.ErrForeignAnswer},
		"brotli":                    {func(*http.Request) wireAnswer { a := wireJSON(); a.header = "Content-Encoding: br\r\n"; return a }, 0, hospital.ErrForeignAnswer},
		"too much":                  {func(*http.Request) wireAnswer { return wireJSON(studyRows(12_000, hisStudy)...) }, 0, hospital.ErrTooLarge},
		"rows without end": {func(*http.Request) wireAnswer {
			return wireAnswer{media: "application/dicom+json", body: []byte("["), endless: repeated(rows[0] + ",")}
		}, 0, hospital.ErrTooLarge},
		"a row without UID": {func(*http.Request) wireAnswer {
			return wireJSON(rows[0], wireStudyRow{patient: "P-0001", issuer: wireIssuer}.String())
		}, 0, hospital.ErrUnexpectedAnswer},
		"a row with two UIDs of one name": {func(*http.Request) wireAnswer {
			return wireJSON(`{"0020000D":{"vr":"UI","Value":["1"]},"0020000d":{"vr":"UI","Value":["2"]}}`)
		}, 0, hospital.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			searching(t, c.answer, hisStudies, func(t *testing.T, _ *wire, uids []string, err error) {
				t.Helper()
				if c.want == 0 {
					assert.Equal(t, c.code, hospital.CodeOf(err), "%v", err)
					return
				}
				require.NoError(t, err)
				assert.Len(t, uids, max(c.want, 0))
				slices.Sort(uids)
				assert.Len(t, slices.Compact(uids), max(c.want, 0), "shown twice")
			})
		})
	}
}

// emptyAfter says 204 where there is nothing.
func emptyAfter(_ *http.Request, a wireAnswer) wireAnswer {
	if string(a.body) == "[]" {
		return wireAnswer{status: http.StatusNoContent}
	}
	return a
}

// A list that never ends is given up, and says so.
func TestPagesWithoutEnd(t *testing.T) {
	t.Parallel()
	searching(t, func(r *http.Request) wireAnswer {
		row, next := hisStudy, hisStudy
		row.uid, next.uid = fmt.Sprintf("%s.%d", wireStudy, offsetOf(r)), fmt.Sprintf("%s.%d", wireStudy, offsetOf(r)+1)
		return wireJSON(row.String(), next.String())
	}, hisStudies, func(t *testing.T, w *wire, uids []string, err error) {
		t.Helper()
		require.ErrorIs(t, err, hospital.ErrPageLost)
		assert.LessOrEqual(t, len(w.sites[0].asked()), 5001)
		assert.NotEmpty(t, uids)
	})
}

// Nor is a list of pages as large as can be taken for one that ends.
func TestLargePagesWithoutEnd(t *testing.T) {
	t.Parallel()
	page := func(at int) wireAnswer {
		var rows []string
		for i := range 30_000 {
			rows = append(rows, fmt.Sprintf(`{"0020000D":{"vr":"UI","Value":["1.%d"]}}`, at+i))
		}
		return wireJSON(rows...)
	}
	onWire(t, 1, func(w *wire) {
		w.change = func(cfg *hospital.Config) { cfg.MaxBody = 16 << 20 }
		w.sites[0].says(func(r *http.Request) wireAnswer { return page(offsetOf(r)) })
		w.with(func(c *pacs.Client) {
			n := 0
			for _, err := range c.Series(w.t.Context(), wireStudy) {
				if err != nil {
					require.ErrorIs(w.t, err, hospital.ErrUnexpectedAnswer) // no series in them
					break
				}
				n++
			}
			assert.LessOrEqual(w.t, n, 1_000_000)
		})
	})
}

func TestWhoseStudies(t *testing.T) {
	t.Parallel()
	like := func(change func(*wireStudyRow)) string {
		row := hisStudy
		row.uid = wireStudy
		change(&row)
		return row.String()
	}
	his := like(func(*wireStudyRow) {})
	other := "urn:oid:2.16.156.10011.8"
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		rows  []string
		q     pacs.StudyQuery
		ways  campus.DICOMweb
		shown int
		code  hospital.Code
	}{
		"his":                         {[]string{his}, hisStudies, campus.DICOMweb{}, 1, ""},
		"another patient's":           {[]string{like(func(s *wireStudyRow) { s.patient = "P-0002" })}, hisStudies, campus.DICOMweb{}, 0, hospital.ErrFilterIgnored},
		"nobody's":                    {[]string{like(func(s *wireStudyRow) { s.patient = "" })}, hisStudies, campus.DICOMweb{}, 0, hospital.ErrFilterIgnored},
		"another issuer's":            {[]string{like(func(s *wireStudyRow) { s.issuer = other })}, hisStudies, campus.DICOMweb{}, 0, ""},
		"no issuer's":                 {[]string{like(func(s *wireStudyRow) { s.issuer = "" })}, hisStudies, campus.DICOMweb{}, 0, hospital.ErrUnexpectedAnswer},
		"the endpoint's issuer's":     {[]string{like(func(s *wireStudyRow) { s.issuer = "" })}, hisStudies, campus.DICOMweb{PatientIssuer: wireIssuer}, 1, ""},
		"the endpoint's other's":      {[]string{like(func(s *wireStudyRow) { s.issuer = "" })}, hisStudies, campus.DICOMweb{PatientIssuer: other}, 0, ""},
		"the server's word for it":    {[]string{like(func(s *wireStudyRow) { s.issuer = "HK" })}, hisStudies, campus.DICOMweb{IssuerNames: map[string]string{wireIssuer: "HK"}}, 1, ""},
		"one UID of two patients":     {[]string{his, like(func(s *wireStudyRow) { s.patient = "P-0002" })}, pacs.StudyQuery{UID: wireStudy}, campus.DICOMweb{}, 1, hospital.ErrUnexpectedAnswer},
		"one UID of two issuers":      {[]string{his, like(func(s *wireStudyRow) { s.issuer = other })}, hisStudies, campus.DICOMweb{}, 1, ""},
		"the same twice":              {[]string{his, his}, hisStudies, campus.DICOMweb{}, 1, ""},
		"another UID":                 {[]string{his}, pacs.StudyQuery{UID: wireStudy + ".1"}, campus.DICOMweb{}, 0, hospital.ErrFilterIgnored},
		"another modality":            {[]string{his}, pacs.StudyQuery{Modality: "MR"}, campus.DICOMweb{}, 0, hospital.ErrFilterIgnored},
		"another day":                 {[]string{his}, pacs.StudyQuery{From: day(5)}, campus.DICOMweb{}, 0, hospital.ErrFilterIgnored},
		"a day too late":              {[]string{his}, pacs.StudyQuery{To: day(1)}, campus.DICOMweb{}, 0, hospital.ErrFilterIgnored},
		"no day":                      {[]string{like(func(s *wireStudyRow) { s.date = "" })}, pacs.StudyQuery{To: day(5)}, campus.DICOMweb{}, 0, ""},
		"another name":                {[]string{his}, pacs.StudyQuery{Name: "Li^Si"}, campus.DICOMweb{}, 0, ""},
		"another accession number":    {[]string{his}, pacs.StudyQuery{Accession: pacs.Accession{Issuer: wireIssuer, Value: "A-2"}}, campus.DICOMweb{}, 0, hospital.ErrFilterIgnored},
		"an accession of no issuer":   {[]string{his}, pacs.StudyQuery{Accession: pacs.Accession{Issuer: wireIssuer, Value: "A-1"}}, campus.DICOMweb{}, 0, hospital.ErrUnexpectedAnswer},
		"an accession of the other's": {[]string{his}, pacs.StudyQuery{Accession: pacs.Accession{Issuer: wireIssuer, Value: "A-1"}}, campus.DICOMweb{AccessionIssuer: other}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, 1, func(w *wire) {
				w.change = func(cfg *hospital.Config) { cfg.Topology.Endpoints[0].DICOMweb = c.ways }
				w.sites[0].says(func(r *http.Request) wireAnswer { return wirePage(r, c.rows) })
				w.with(func(client *pacs.Client) {
					uids, err := found(w, client, c.q)
					assert.Equal(w.t, c.code, hospital.CodeOf(err), "%v", err)
					assert.Len(w.t, uids, c.shown)
				})
			})
		})
	}
}

// What stands below a study and is of another is not shown.
func TestSeriesOfAnotherStudy(t *testing.T) {
	t.Parallel()
	onWire(t, 1, func(w *wire) {
		w.sites[0].says(func(r *http.Request) wireAnswer {
			return wirePage(r, []string{`{"0020000D":{"vr":"UI","Value":["2.25.5"]},"0020000E":{"vr":"UI","Value":["2.25.6"]},"00080018":{"vr":"UI","Value":["2.25.7"]}}`})
		})
		w.with(func(c *pacs.Client) {
			for _, err := range c.Series(w.t.Context(), wireStudy) {
				require.ErrorIs(w.t, err, hospital.ErrFilterIgnored)
			}
			for _, err := range c.Instances(w.t.Context(), wireStudy, "") {
				require.ErrorIs(w.t, err, hospital.ErrFilterIgnored)
			}
			got := wireFetch(w.t, c, pacs.Retrieval{Study: wireStudy})
			assert.ErrorIs(w.t, got.err, hospital.ErrFilterIgnored)
		})
	})
}

// A page that is lost with its store does not end the list as if it were all.
func TestSecondPageIsLost(t *testing.T) {
	t.Parallel()
	rows := studyRows(450, hisStudy)
	for name, lost := range map[string]wireAnswer{
		"cut": wireJSON(rows[199:399]...).until(5000), "refused": {status: http.StatusInternalServerError}, "dropped": {drop: true}, "not found": {status: http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			searching(t, func(r *http.Request) wireAnswer {
				if offsetOf(r) > 0 {
					return lost
				}
				return wirePage(r, rows)
			}, hisStudies, func(t *testing.T, _ *wire, uids []string, err error) {
				t.Helper()
				require.Error(t, err)
				assert.NotEqual(t, hospital.ErrNotFound, hospital.CodeOf(err))
				assert.Len(t, uids, 200)
			})
		})
	}
}
