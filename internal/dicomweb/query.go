package dicomweb

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Path is the path of a study, a series or an instance (PS3.18 section 10.4.1): as
// deep as UIDs are given.
func Path(study, series, instance string) string {
	path := "/studies/" + study
	if series != "" {
		path += "/series/" + series
	}
	if instance != "" {
		path += "/instances/" + instance
	}
	return path
}

// Match is one condition of a search (PS3.18 section 8.3.4).
type Match struct {
	Tag   Tag
	Value string
}

// Search is the query of a search (QIDO-RS, PS3.18 section 10.6).
type Search struct {
	Matches []Match
	// Include are attributes to be sent beside those that always are.
	Include []Tag
	// Limit and Offset are a page; a Limit of zero asks for everything.
	Limit, Offset int
}

// Query is the query part of the URL: percent-encoded, but for the characters that
// a search is written with and a URL allows.
func (s Search) Query() string {
	var parts []string
	for _, m := range s.Matches {
		parts = append(parts, keyword(m.Tag)+"="+escape(m.Value))
	}
	for _, t := range s.Include {
		parts = append(parts, "includefield="+keyword(t))
	}
	if s.Limit > 0 {
		parts = append(parts, "limit="+strconv.Itoa(s.Limit), "offset="+strconv.Itoa(s.Offset))
	}
	return strings.Join(parts, "&")
}

// keywords are the names of PS3.6; an attribute without one is asked for by its tag.
var keywords = map[Tag]string{
	TagSOPInstanceUID: "SOPInstanceUID", TagSOPClassUID: "SOPClassUID", TagStudyDate: "StudyDate",
	TagAccessionNumber: "AccessionNumber", TagModality: "Modality", TagModalitiesInStudy: "ModalitiesInStudy",
	TagStudyDescription: "StudyDescription", TagSeriesDescription: "SeriesDescription", TagPatientName: "PatientName",
	TagPatientID: "PatientID", TagIssuerOfPatientID: "IssuerOfPatientID", TagStudyInstanceUID: "StudyInstanceUID",
	TagSeriesInstanceUID: "SeriesInstanceUID", TagIssuerOfAccessionNumberSequence: "IssuerOfAccessionNumberSequence",
	TagNumberOfStudyRelatedInstances: "NumberOfStudyRelatedInstances", TagNumberOfStudyRelatedSeries: "NumberOfStudyRelatedSeries",
	TagNumberOfSeriesRelatedInstances: "NumberOfSeriesRelatedInstances",
}

func keyword(t Tag) string {
	if k := keywords[t]; k != "" {
		return k
	}
	return t.String()
}

// raw are left as they are: some servers do not decode them, none needs them encoded.
var raw = strings.NewReplacer("+", "%20", "%2A", "*", "%2C", ",", "%3F", "?", "%3A", ":")

func escape(value string) string { return raw.Replace(url.QueryEscape(value)) }

// Gap reports whether a character only stands between the parts of a name, as one or
// another writes it: a space, the marks ^ and =, a middle dot.
func Gap(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("^=·•・･‧∙⋅．", r)
}

// MatchText reports whether a value matches a pattern with the wildcards * and ?
// (PS3.4 section C.2.2.2.4), without regard to what writings of one name differ in:
// case, and what is a [Gap].
func MatchText(pattern string, values ...string) bool {
	p := []rune(fold(pattern))
	return slices.ContainsFunc(values, func(v string) bool { return glob(p, []rune(fold(v))) })
}

func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if Gap(r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// glob matches without recursion, so that no pattern takes long.
func glob(p, s []rune) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
