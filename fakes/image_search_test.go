package fakes_test

import (
	"bytes"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
)

func tags(d map[string]any) string {
	var out []string
	for tag := range d {
		out = append(out, tag)
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// Which attributes come at which level (PS3.18 tables 10.6.3-3 to 5).
func TestSearchAttributes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		study := hosp.Demo().Studies[0]
		const (
			ofStudy    = "00080020 00080030 00080050 00080056 00080061 00100010 00100020 00100030 00100040 0020000D 00201206 00201208"
			ofSeries   = "00080060 0008103E 0020000E 00200011 00201209"
			ofInstance = "00080016 00080018 00200013 00280010 00280011 00280100"
			always     = "00080005 00081190"
		)
		for query, want := range map[string]string{
			"/studies":                             ofStudy,
			"/series":                              ofStudy + " " + ofSeries,
			"/instances":                           ofStudy + " " + ofSeries + " " + ofInstance,
			"/studies/" + study.UID + "/series":    ofSeries,
			"/studies/" + study.UID + "/instances": "00080056 " + ofSeries + " " + ofInstance,
			"/studies/" + study.UID + "/series/" + study.Series[0].UID + "/instances":        "00080056 " + ofInstance,
			"/studies?includefield=StudyDescription,00080060":                                ofStudy + " 00081030",
			"/studies?includefield=all":                                                      ofStudy + " 00080051 00081030 00100021",
			"/studies?includefield=00080051,IssuerOfPatientID":                               ofStudy + " 00080051 00100021",
			"/instances?includefield=00100021":                                               ofStudy + " " + ofSeries + " " + ofInstance + " 00100021",
			"/studies?IssuerOfPatientID=*":                                                   ofStudy + " 00100021",
			"/studies?StudyDescription=*":                                                    ofStudy + " 00081030",
			"/studies/" + study.UID + "/series?includefield=0020000D&includefield=StudyDate": "0020000D 00080020 " + ofSeries,
		} {
			wanted := strings.Fields(want + " " + always)
			slices.Sort(wanted)
			found := w.found(query)
			require.NotEmpty(t, found, query)
			assert.Equal(t, strings.Join(wanted, " "), tags(found[0]), query)
		}
		first := w.found("/studies?PatientID=ZY010101&IssuerOfPatientID=" + url.QueryEscape(fakes.IssuerHankou) + "&StudyDescription=" + url.QueryEscape("胸部*") + "&includefield=00080051")
		require.Len(t, first, 1)
		assert.Equal(t, []any{map[string]any{"Alphabetic": "Zhang^Sanfeng", "Ideographic": "张^三丰"}}, values(first[0], "00100010"))
		assert.Equal(t, []any{6.0}, values(first[0], "00201208"))
		assert.Equal(t, []any{fakes.IssuerHankou}, values(first[0], "00100021"))
		assert.Equal(t, []any{"http://pacs.group.test/dicom-web/studies/" + study.UID}, values(first[0], "00081190"))
		issuer, _ := values(first[0], "00080051")[0].(map[string]any)
		assert.Equal(t, []any{fakes.IssuerHankou + ".ris"}, values(issuer, "00400031"))
		assert.Len(t, w.found("/series"), 10)
		assert.Len(t, w.found("/instances"), 30)
		assert.Len(t, w.found("/studies/"+study.UID+"/series"), 2)
		assert.Len(t, w.found("/studies/"+study.UID+"/series/"+study.Series[1].UID+"/instances"), 3)
		assert.Empty(t, w.found("/studies/1.2.3/series"))
	})
}

// What matches (PS3.4 section C.2.2.2). The demo has five studies; the last of them is
// of the same patient as the first.
func TestSearchMatching(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		s := hosp.Demo().Studies
		day, old := s[0].Date, s[4].Date
		for query, want := range map[string]int{
			"":                            5,
			"PatientID=":                  5,
			"PatientID=*":                 5,
			"PatientID=ZY010101":          4, // of three people
			"00100020=ZY010101":           4,
			"PatientID=zy010101":          0,
			"PatientID=ZY0101??":          5,
			"PatientID=ZY010101,ZY010102": 5,
			"IssuerOfPatientID=" + fakes.IssuerHankou:                                   3,
			"AccessionNumber=RIS0001":                                                   3,
			"AccessionNumber=RIS0001&00080051.00400031=" + fakes.IssuerGuanggu + ".ris": 1,
			"IssuerOfAccessionNumberSequence.LocalNamespaceEntityID=*guanggu.ris":       1,
			"PatientName=Zhang^Sanfeng":                                                 2,
			"PatientName=zhang^SANFENG^^":                                               2,
			"PatientName=Zhang":                                                         0,
			"PatientName=zhang*":                                                        2,
			"PatientName=" + url.QueryEscape("张^三丰"):                                    2,
			"PatientName=" + url.QueryEscape("张*"):                                      2,
			"PatientName=" + url.QueryEscape("=张^三?"):                                   2,
			"PatientName=" + url.QueryEscape("Zhang*=李*"):                               0,
			"PatientName=" + url.QueryEscape("张^三丰="):                                   0, // of the first group only
			"StudyDate=" + day:                                                          2,
			"StudyDate=" + old + "-" + day:                                              5,
			"StudyDate=-" + old:                                                         1,
			"StudyDate=" + day + "-":                                                    2,
			"StudyTime=101500":                                                          5,
			"StudyTime=1015":                                                            5,
			"StudyTime=10-11":                                                           5,
			"StudyTime=-1014":                                                           0,
			"StudyTime=102000.5-":                                                       0,
			"ModalitiesInStudy=CT":                                                      2,
			"ModalitiesInStudy=CT,DR":                                                   5,
			"ModalitiesInStudy=CT%2CMR":                                                 2,
			"StudyInstanceUID=" + s[0].UID + "," + s[1].UID:                             2,
			"StudyInstanceUID=" + s[0].UID + "%5C" + s[1].UID:                           2,
			"StudyInstanceUID=" + s[0].UID[:len(s[0].UID)-1] + "*":                      -1,
			"StudyDescription=*CT*":                                                     2,
			"limit=2":                                                                   2,
			"limit=0":                                                                   0,
			"offset=4&limit=2":                                                          1,
			"offset=9":                                                                  0,
			"fuzzymatching=false":                                                       5,
			"limit=-1":                                                                  -1,
			"offset=x":                                                                  -1,
			"Colour=red":                                                                -1,
			"Modality=CT":                                                               -1, // of a series, not of a study
			"includefield=Colour":                                                       -1,
			"StudyDate=2026-01-01":                                                      -1,
			"StudyTime=1":                                                               -1,
			"PatientID=1&PatientID=2":                                                   -1,
			"PatientID=%zz":                                                             -1,
		} {
			g := w.fetch(pacsA+"/studies?"+query, dicomJSON)
			if want < 0 {
				assert.Equal(t, 400, g.status, query)
				continue
			}
			assert.Len(t, w.found("/studies?"+query), want, query)
		}
		assert.Len(t, w.found("/series?Modality=CT"), 4)
		assert.Len(t, w.found("/instances?Modality=CT&InstanceNumber=1"), 4)
		assert.Equal(t, 406, w.fetch(pacsA+"/studies", "application/dicom+xml").status)
		assert.Equal(t, 200, w.fetch(pacsA+"/studies", "application/json, text/html").status)
	})
}

func TestSearchPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, w := imaged(t)
		uids := map[any]bool{}
		for _, query := range []string{"limit=2", "limit=2&offset=2", "limit=2&offset=4"} {
			for _, d := range w.found("/studies?" + query) {
				uids[values(d, "0020000D")[0]] = true
			}
		}
		assert.Len(t, uids, 5, "each once")
		assert.Contains(t, w.fetch(pacsA+"/studies?fuzzymatching=true", dicomJSON).header.Get("Warning"), "299 http://pacs.group.test/dicom-web: The fuzzymatching")
	})
}

func TestSearchPersonalities(t *testing.T) {
	t.Parallel()
	chinese := url.QueryEscape("张^三丰")
	for name, c := range map[string]struct {
		kind    fakes.Personality
		query   string
		want    int // results; -1 is 400
		warning string
		body    string
	}{
		"decodes":                       {fakes.Personality{}, "PatientName=" + chinese, 2, "", ""},
		"raw: what is encoded":          {fakes.Personality{RawQuery: true}, "PatientName=" + chinese, 0, "", ""},
		"raw: what is not":              {fakes.Personality{RawQuery: true}, "PatientName=张^三丰", 2, "", ""},
		"raw: a list":                   {fakes.Personality{RawQuery: true}, "PatientName=Zhang^*&PatientID=ZY010101,x", 2, "", ""},
		"ignores what it does not know": {fakes.Personality{IgnoreUnknown: true}, "Colour=red&PatientID=ZY010102", 1, "", ""},
		"ignores filters":               {fakes.Personality{IgnoreFilters: true}, "PatientID=nobody&limit=4", 4, "", ""},
		"nothing is 204":                {fakes.Personality{}, "PatientID=nobody", 0, "", ""},
		"nothing is an array":           {fakes.Personality{EmptyArray: true}, "PatientID=nobody", 0, "", "[]"},
		"cap":                           {fakes.Personality{PageCap: 2}, "", 2, "There are 3 additional results", ""},
		"cap and a higher limit":        {fakes.Personality{PageCap: 2}, "limit=9&offset=1", 2, "There are 2 additional results", ""},
		"cap and a lower limit":         {fakes.Personality{PageCap: 2}, "limit=1", 1, "", ""},
		"cap that is not reached":       {fakes.Personality{PageCap: 9}, "", 5, "", ""},
		"whole names: a part":           {fakes.Personality{WholeNames: true}, "PatientName=Zhang^Sanfeng", 0, "", ""},
		"whole names: the whole":        {fakes.Personality{WholeNames: true}, "PatientName=Zhang^Sanfeng=" + chinese, 2, "", ""},
		"whole names: what begins so":   {fakes.Personality{WholeNames: true}, "PatientName=Zhang^Sanfeng=*", 2, "", ""},
		"whole names: with their case":  {fakes.Personality{WholeNames: true}, "PatientName=zhang*", 0, "", ""},
		"whole names: another's groups": {fakes.Personality{WholeNames: true}, "PatientName=" + chinese, 0, "", ""},
		"no issuers: four, not two":     {fakes.Personality{NoIssuer: true}, "PatientID=ZY010101&IssuerOfPatientID=" + fakes.IssuerHankou, 4, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, w := imaged(t, fakes.WithPersonality(c.kind))
				g := w.fetch(pacsA+"/studies?"+c.query, dicomJSON)
				found := w.found("/studies?" + c.query)
				assert.Len(t, found, c.want)
				if c.kind.NoIssuer {
					assert.NotContains(t, string(g.body), "00100021")
					assert.NotContains(t, string(g.body), "00080051")
				}
				if c.warning != "" {
					assert.Contains(t, g.header.Get("Warning"), c.warning)
				} else {
					assert.Empty(t, g.header.Get("Warning"))
				}
				if c.want == 0 {
					assert.Equal(t, c.body, string(g.body))
				}
			})
		})
	}
}

// What is not there, and how it is said.
func TestImageRefusals(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			hosp, w := imaged(t, fakes.WithPersonality(fakes.Personality{BareErrors: bare}))
			a, b := hosp.Demo().Studies[0], hosp.Demo().Studies[1]
			for path, status := range map[string]int{
				"GET /":                 404,
				"GET /patients":         404,
				"GET /studies/1.2.3":    404,
				"GET /studies/metadata": 404,
				"GET /studies/" + a.UID + "/series/" + b.Series[0].UID:                                       404,
				"GET /studies/" + a.UID + "/series/" + a.Series[0].UID + "/instances/" + a.Series[1].SOPs[0]: 404,
				"GET /studies/" + a.UID + "/thumbnail":                                                       404,
				"DELETE /studies/" + a.UID:                                                                   405,
				"HEAD /studies":                                                                              405,
				"PUT /studies":                                                                               405,
			} {
				method, rest, _ := strings.Cut(path, " ")
				g := w.ask(t.Context(), method, pacsA+rest, nil, nil)
				require.NoError(t, g.err, path)
				assert.Equal(t, status, g.status, path)
				if method == "HEAD" {
					continue
				}
				assert.Contains(t, string(g.body), `"message"`, path)
				_, said := g.header["Content-Type"]
				assert.Equal(t, !bare, said, path)
			}
			assert.Equal(t, 404, w.fetch("http://pacs.dc-a.test/fhir/Patient", "*/*").status)
			assert.Equal(t, 404, w.fetch("http://his.dc-a.test/dicom-web/studies", "*/*").status)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t, fakes.WithBearer("token"))
		assert.Equal(t, 401, w.fetch(pacsA+"/studies", dicomJSON).status)
		g := w.ask(t.Context(), "GET", pacsA+"/studies", map[string]string{"Authorization": "Bearer token"}, nil)
		assert.Equal(t, 200, g.status)
		hosp.StoreDown("pacs", true)
		g = w.ask(t.Context(), "GET", pacsA+"/studies", map[string]string{"Authorization": "Bearer token"}, nil)
		assert.Equal(t, 500, g.status)
		assert.NotContains(t, string(g.body), "OperationOutcome")
	})
}

// A wrong store puts one Study Instance UID under two patients: then there are two studies,
// and neither is retrieved by that UID alone.
func TestOneStudyOfTwoPatients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t, fakes.WithoutDemoData())
		first := picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.1")
		third := picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.3")
		wrong := bytes.Replace(picture(explicit, "1.2.3", "1.2.3.1", "1.2.3.1.2"), []byte("ZY777777"), []byte("ZY888888"), 1)
		require.Equal(t, 200, w.store(pacsA+"/studies", first, third).status)
		require.Equal(t, 200, w.fetch(pacsA+"/studies/1.2.3", stored).status)
		require.Equal(t, 200, w.store(pacsA+"/studies", wrong).status)
		for _, query := range []string{"/studies?StudyInstanceUID=1.2.3", "/series?SeriesInstanceUID=1.2.3.1"} {
			found := w.found(query)
			require.Len(t, found, 2, query)
			for i, patient := range []string{"ZY777777", "ZY888888"} {
				assert.Equal(t, []any{patient}, values(found[i], "00100020"))
				assert.Equal(t, []any{float64(2 - i)}, values(found[i], "00201208"), "images of this patient")
			}
		}
		assert.Len(t, w.found("/studies?PatientID=ZY888888"), 1)
		other := fakes.Study{UID: "1.2.4", Patient: campus.PatientID{Issuer: fakes.IssuerHankou, Value: "ZY1"}, Series: []fakes.Series{{UID: "1.2.4.1"}}}
		hosp.AddStudy("pacs", other)
		other.Patient.Issuer, other.Series[0].UID = fakes.IssuerGuanggu, "1.2.4.2"
		hosp.AddStudy("pacs", other)
		assert.Len(t, w.found("/studies?StudyInstanceUID=1.2.4"), 1, "one number of two issuers is not told apart")
		assert.Len(t, w.found("/studies/1.2.3/instances"), 3)
		for path, status := range map[string]int{
			"/studies/1.2.3":                                             404,
			"/studies/1.2.3/series/1.2.3.1":                              404,
			"/studies/1.2.3/metadata":                                    404,
			"/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2":          200,
			"/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2/metadata": 200,
		} {
			assert.Equal(t, status, w.fetch(pacsA+path, stored+", "+dicomJSON).status, path)
		}
	})
}

// Each campus has its own people in its own store, and the standby follows.
func TestOwnStores(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t, fakes.WithOwnStores(campus.PACS, campus.HIS, campus.RIS))
		d := hosp.Description()
		topology, err := campus.New(d)
		require.NoError(t, err)
		for _, c := range d.Campuses {
			route, err := topology.Route(campus.PACS, c.ID, campus.Write)
			require.NoError(t, err)
			require.Len(t, route, 2)
			assert.Equal(t, campus.EndpointID("pacs/"+string(c.Home)+"/"+string(c.ID)), route[0].Endpoint.Name())
			assert.Equal(t, campus.StoreID("pacs-"+c.ID), route[0].Endpoint.Store)
			found := w.fetch(route[0].Endpoint.URL+"/studies?includefield=IssuerOfPatientID", dicomJSON)
			for _, other := range d.Campuses {
				assert.Equal(t, other.ID == c.ID, strings.Contains(string(found.body), other.PatientIssuer), "%s at %s", other.ID, c.ID)
				for _, system := range []string{"his-", "ris-"} {
					n := hosp.CountIn(campus.StoreID(system+string(c.ID)), "Patient", other.PatientIssuer, "ZY010101")
					assert.Equal(t, other.ID == c.ID, n == 1)
				}
			}
		}
		assert.Len(t, hosp.Resources(campus.RIS, "Patient"), 12)
		assert.Len(t, hosp.ResourcesIn("ris-zhongfa", "Patient"), 4)
		assert.Equal(t, 1, hosp.Count(campus.HIS, "Patient", fakes.IssuerGuanggu, "ZY010101"))

		hosp.StoreDown("pacs-hankou", true)
		assert.Equal(t, 500, w.fetch("http://pacs.hankou.dc-a.test/dicom-web/studies", dicomJSON).status)
		assert.Equal(t, 200, w.fetch("http://pacs.guanggu.dc-a.test/dicom-web/studies", dicomJSON).status)
		assert.Equal(t, 204, w.fetch("http://pacs.guanggu.dr.test/dicom-web/studies", dicomJSON).status, "not yet")
		hosp.Promote(campus.PACS)
		assert.Equal(t, campus.Store{ID: "pacs-zhongfa-dr", Writers: []campus.DataCenterID{"dr"}, Epoch: 2}, storeOf(t, hosp, "pacs-zhongfa-dr"))
		assert.Equal(t, d.Stores[0], storeOf(t, hosp, d.Stores[0].ID), "other systems stay")
	})
}

// The same people have other ids in the RIS.
func TestRISHasItsOwnIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp, w := imaged(t)
		_, body := w.send(t.Context(), "GET", "http://ris.dc-a.test/fhir/Patient/1001", "", nil)
		assert.NotContains(t, body, "张三丰")
		assert.Equal(t, 1, hosp.Count(campus.RIS, "Patient", fakes.IssuerHankou, "ZY010101"))
	})
}

// A description says what is to be known of the servers.
func TestDICOMwebDialect(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t, fakes.WithOwnStores(campus.PACS), fakes.WithEnvironments(), fakes.WithPersonality(fakes.Personality{RawQuery: true, NoIssuer: true}))
	e := endpointOf(t, hosp, "pacs/dr/guanggu/B")
	assert.Equal(t, campus.DICOMweb{RawQuery: true, PatientIssuer: fakes.IssuerGuanggu, AccessionIssuer: fakes.IssuerGuanggu + ".ris"}, e.DICOMweb)
	assert.Equal(t, "http://pacs.guanggu.b.dr.test/dicom-web", e.URL)
}
