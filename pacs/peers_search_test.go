package pacs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/pacs"
)

const charsetTag, nameTag, pixelsTag = 0x00080005, 0x00100010, 0x7FE00010

// Names as Chinese hospitals write them: found by every part of them, read as they were
// written, whatever character set the file has.
func peerNames(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	for _, c := range []struct {
		what, charset, written string
		want                   pacs.PersonName
		finds, not             []string
	}{
		{
			"UTF-8, three writings", "ISO_IR 192", "Zhang^San=张^三",
			pacs.PersonName{Alphabetic: "Zhang^San", Ideographic: "张^三"},
			[]string{"张三", "张^三", "Zhang^San", "Zhang San", "Zhang*", "Zh?ng^San", "三", "Zhang^San=张^三"},
			[]string{"张四", "李三", "Zhang^Si"},
		},
		{
			"GB18030, two writings", "GB18030", gbOuyang,
			pacs.PersonName{Alphabetic: "Ou^Yang", Ideographic: "欧阳^小明"},
			[]string{"欧阳小明", "欧阳", "小明", "欧*明", "Ou^Yang"},
			[]string{"欧阳小红", "阳欧"},
		},
		{
			"GB18030, a character of four bytes", "GB18030", gbZhuge,
			pacs.PersonName{Alphabetic: "Zhuge^Jie", Ideographic: "诸葛^㛃"},
			[]string{"诸葛㛃", "㛃"},
			[]string{"诸葛亮"},
		},
		{
			"UTF-8, Chinese alone", "ISO_IR 192", "司马懿",
			pacs.PersonName{Alphabetic: "司马懿"},
			[]string{"司马懿", "司马", "司*懿"},
			[]string{"司马昭"},
		},
		{
			"GB18030, Chinese alone", "GB18030", "\xc5\xb7\xd1\xf4\xd0\xa1\xc3\xf7",
			pacs.PersonName{Alphabetic: "欧阳小明"},
			[]string{"欧阳小明", "欧阳^小明"},
			[]string{"司马"},
		},
		{
			"a middle dot", "ISO_IR 192", "Aizezi^Maimaiti=艾则孜·买买提",
			pacs.PersonName{Alphabetic: "Aizezi^Maimaiti", Ideographic: "艾则孜·买买提"},
			[]string{"艾则孜·买买提", "艾则孜•买买提", "艾则孜买买提", "买买提"},
			[]string{"艾则孜·买提"},
		},
		{
			"Latin without a caret", "ISO_IR 192", "Li Si",
			pacs.PersonName{Alphabetic: "Li Si"},
			[]string{"Li Si", "Li^Si", "Li"},
			[]string{"Li^San"},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			im := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), charset: c.charset, name: c.written, patient: peerID()}
			a.feed(t, im.bytes())
			a.has(t, im.study, peerSums{im.instance: peerSum(im.bytes())})
			found, err := peerFirst(a.Studies(t.Context(), pacs.StudyQuery{UID: im.study}))
			require.NoError(t, err)
			assert.Equal(t, c.want, found.Resource.Name, "the name was garbled")
			set, err := peerFirst(a.Metadata(t.Context(), im.study, "", ""))
			require.NoError(t, err)
			assert.Equal(t, c.want, set.Resource.Name(nameTag), "the name was decoded twice, or not at all")
			assert.Equal(t, c.charset, set.Resource.Text(charsetTag))
			patient := campus.PatientID{Issuer: peerIssuer, Value: im.patient}
			for _, name := range c.finds {
				assert.Contains(t, a.studies(t, pacs.StudyQuery{Name: name}), im.study, name)
				assert.Equal(t, []string{im.study}, a.studies(t, pacs.StudyQuery{Name: name, Patient: patient}), name)
			}
			for _, name := range c.not {
				assert.NotContains(t, a.studies(t, pacs.StudyQuery{Name: name}), im.study, name)
			}
		})
	}
}

// Equal numbers of two issuers are two people.
func peerIssuers(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	number := peerID()
	ours := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: number}
	named := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: number, issuer: peerIssuer}
	others := peerImage{study: peerUID(), series: peerUID(), instance: peerUID(), patient: number, issuer: otherIssuer}
	a.feed(t, ours.bytes(), named.bytes(), others.bytes())
	of := func(issuer string) []string {
		return a.studies(t, pacs.StudyQuery{Patient: campus.PatientID{Issuer: issuer, Value: number}})
	}
	assert.ElementsMatch(t, []string{ours.study, named.study}, of(peerIssuer))
	assert.Equal(t, []string{others.study}, of(otherIssuer))
	assert.Empty(t, of("urn:oid:1.2.3"))
	found, err := peerFirst(a.Studies(t.Context(), pacs.StudyQuery{UID: others.study}))
	require.NoError(t, err)
	assert.Equal(t, otherIssuer, found.Resource.Patient.Issuer)
}

func chinaDay(s string) time.Time {
	day, _ := time.ParseInLocation("20060102", s, time.FixedZone("", 8*3600))
	return day
}

// Accession numbers, days, modalities, descriptions; each alone where that is enough,
// and with the patient.
func peerQueries(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	number := peerID()
	image := func(date, modality, description, charset string) peerImage {
		return peerImage{
			study: peerUID(), series: peerUID(), instance: peerUID(), patient: number, accession: peerID(),
			date: date, modality: modality, description: description, charset: charset,
		}
	}
	one := image("20260101", "CT", "Head CT", "")
	two := image("20260630", "MR", gbHeadMRI, "GB18030")
	three := image("", "US", "腹部超声", "")
	a.feed(t, one.bytes(), two.bytes(), three.bytes())
	all := []string{one.study, two.study, three.study}
	patient := campus.PatientID{Issuer: peerIssuer, Value: number}
	for _, c := range []struct {
		what string
		q    pacs.StudyQuery
		want []string
	}{
		{"patient", pacs.StudyQuery{Patient: patient}, all},
		{"accession number", pacs.StudyQuery{Accession: pacs.Accession{Issuer: peerIssuer, Value: two.accession}}, []string{two.study}},
		{"accession number of another issuer", pacs.StudyQuery{Accession: pacs.Accession{Issuer: otherIssuer, Value: two.accession}}, nil},
		{"from and to", pacs.StudyQuery{Patient: patient, From: chinaDay("20260101"), To: chinaDay("20260101")}, []string{one.study}},
		{"from", pacs.StudyQuery{Patient: patient, From: chinaDay("20260102")}, []string{two.study}},
		{"to, without the undated", pacs.StudyQuery{Patient: patient, To: chinaDay("20260301")}, []string{one.study}},
		{"no day", pacs.StudyQuery{Patient: patient, From: chinaDay("20260102"), To: chinaDay("20260629")}, nil},
		{"modality", pacs.StudyQuery{Patient: patient, Modality: "MR"}, []string{two.study}},
		{"no modality", pacs.StudyQuery{Patient: patient, Modality: "PT"}, nil},
		{"UID", pacs.StudyQuery{UID: three.study}, []string{three.study}},
		{"UID and another's number", pacs.StudyQuery{UID: three.study, Accession: pacs.Accession{Issuer: peerIssuer, Value: two.accession}}, nil},
		{"description", pacs.StudyQuery{Patient: patient, Description: "Head*"}, []string{one.study}},
		{"description with a space", pacs.StudyQuery{Patient: patient, Description: "Head CT"}, []string{one.study}},
		{"Chinese description", pacs.StudyQuery{Patient: patient, Description: "头颅*"}, []string{two.study}},
		{"Chinese description, all of it", pacs.StudyQuery{Patient: patient, Description: "头颅MRI 平扫"}, []string{two.study}},
		{"Chinese description in UTF-8", pacs.StudyQuery{Patient: patient, Description: "*超声"}, []string{three.study}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			assert.ElementsMatch(t, c.want, a.studies(t, c.q))
		})
	}
	found, err := peerFirst(a.Studies(t.Context(), pacs.StudyQuery{UID: two.study}))
	require.NoError(t, err)
	s := found.Resource
	assert.Equal(t, []any{patient, "头颅MRI 平扫", "20260630", []string{"MR"}, 1, 1},
		[]any{s.Patient, s.Description, s.Date, s.Modalities, s.Series, s.Instances})
	assert.Equal(t, pacs.Accession{Issuer: peerIssuer, Value: two.accession}, s.Accession)
}

// More than one page: each instance once, in a list and in a retrieval.
func peerPages(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, want := peerStudyFiles(450, peerImage{side: 4})
	a.feed(t, files...)
	seen := map[string]bool{}
	for found, err := range a.Instances(t.Context(), study, "") {
		require.NoError(t, err)
		assert.False(t, seen[found.Resource.UID], "listed twice")
		seen[found.Resource.UID] = true
	}
	assert.Len(t, seen, len(want))
	a.has(t, study, want)
}

// What is not there: nothing from a search, ErrNotFound from what names it.
func peerAbsent(t *testing.T, p peers) {
	a := newPeerArchive(t, p[0])
	study, files, _ := peerStudyFiles(1, peerImage{})
	a.feed(t, files...)
	info, err := peerFirst(a.Instances(t.Context(), study, ""))
	require.NoError(t, err)
	in, nobody := info.Resource, peerUID()
	assert.Empty(t, a.studies(t, pacs.StudyQuery{UID: nobody}))
	for what, err := range map[string]error{
		"study":                      errorOf(a.Retrieve(t.Context(), pacs.Retrieval{Study: nobody})),
		"series":                     errorOf(a.Retrieve(t.Context(), pacs.Retrieval{Study: study, Series: nobody})),
		"instance":                   errorOf(a.Retrieve(t.Context(), pacs.Retrieval{Study: study, Series: in.Series, Instance: nobody})),
		"instance of another study":  errorOf(a.Retrieve(t.Context(), pacs.Retrieval{Study: nobody, Series: in.Series, Instance: in.UID})),
		"instance of another series": errorOf(a.Retrieve(t.Context(), pacs.Retrieval{Study: study, Series: nobody, Instance: in.UID})),
		"list of series":             errorOf(a.Series(t.Context(), nobody)),
		"list of instances":          errorOf(a.Instances(t.Context(), nobody, "")),
		"data sets":                  errorOf(a.Metadata(t.Context(), nobody, "", "")),
		"data set":                   errorOf(a.Metadata(t.Context(), study, in.Series, nobody)),
		"frame":                      errorOf(a.Frames(t.Context(), study, in.Series, nobody, []int{1})),
	} {
		assert.Equal(t, hospital.ErrNotFound, peerTyped(t, err, nobody, study, in.UID), what)
	}
	_, err = a.Rendered(t.Context(), pacs.Rendering{Study: study, Series: in.Series, Instance: nobody})
	assert.Equal(t, hospital.ErrNotFound, peerTyped(t, err, nobody))
	err = errorOf(a.Frames(t.Context(), study, in.Series, in.UID, []int{2}))
	assert.Contains(t, []hospital.Code{hospital.ErrNotFound, hospital.ErrRefused}, peerTyped(t, err, study, in.UID))
}

// errorOf is how a sequence ends.
func errorOf[T any](seq func(func(hospital.Found[T], error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}
