package fakes

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// imageSearch is a search as it was asked for (PS3.18 section 8.3.4).
type imageSearch struct {
	level         level
	filters       map[string]filter // by the parameter's name
	include       []uint32
	all           bool
	limit, offset int
	warnings      []string
}

// filter is one condition: where, and what is wanted there.
type filter struct {
	path   []uint32
	vr     string
	wanted string
	whole  bool // a name is compared as one text
}

const fuzzyWarning = "The fuzzymatching parameter is not supported. Only literal matching has been performed."

// searchImages runs a search of QIDO-RS.
func (s *server) searchImages(in *request, at level) *answer {
	q, bad := s.parseSearch(in.query, at)
	if bad != "" {
		return s.refuseImage(http.StatusBadRequest, bad)
	}
	if !in.image.takes("application/dicom+json", "application/json") {
		return s.refuseImage(http.StatusNotAcceptable, "only application/dicom+json")
	}
	all := s.groups(s.store.pictures(), at, in.image.names)
	found := slices.DeleteFunc(all, func(d dataset) bool { return !q.matches(d) })
	found = found[min(q.offset, len(found)):]
	if limit := s.hospital.personality.PageCap; limit > 0 && len(found) > limit && (q.limit < 0 || q.limit > limit) {
		q.warnings = append(q.warnings, fmt.Sprintf("There are %d additional results that can be requested", len(found)-limit))
		found = found[:limit]
	}
	if q.limit >= 0 {
		found = found[:min(q.limit, len(found))]
	}
	for i := range found {
		found[i] = q.shown(found[i], in.image.names)
	}
	return s.datasets(found, q.warnings)
}

func (s *server) datasets(found []dataset, warnings []string) *answer {
	a := &answer{status: http.StatusOK, header: http.Header{}, body: []byte("[]")}
	a.header.Set("Content-Type", "application/dicom+json")
	for _, w := range warnings {
		a.header.Add("Warning", fmt.Sprintf("299 %s: %s", s.alias(), w))
	}
	if len(found) > 0 {
		a.body = encode(found)
		return a
	}
	if !s.hospital.personality.EmptyArray {
		a.status, a.body = http.StatusNoContent, nil
		a.header.Del("Content-Type")
	}
	return a
}

// parseSearch reads the parameters, and says what is wrong with them.
func (s *server) parseSearch(query url.Values, at level) (q imageSearch, bad string) {
	q = imageSearch{level: at, filters: map[string]filter{}, limit: -1}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := query[name]
		if len(values) > 1 && name != "includefield" {
			return q, "a parameter twice"
		}
		switch name {
		case "limit", "offset":
			n, err := strconv.Atoi(values[0])
			if err != nil || n < 0 {
				return q, "limit and offset must be numbers"
			}
			if name == "limit" {
				q.limit = n
			} else {
				q.offset = n
			}
		case "fuzzymatching":
			if values[0] == "true" {
				q.warnings = append(q.warnings, fuzzyWarning)
			}
		case "includefield":
			bad = q.including(strings.Split(strings.Join(values, ","), ","))
		default:
			bad = q.filter(name, values[0], s.hospital.personality)
		}
		if bad != "" {
			return q, bad
		}
	}
	return q, ""
}

func (q *imageSearch) including(names []string) (bad string) {
	for _, name := range names {
		tag, known := parseTag(name)
		if name == "all" {
			q.all = true
		} else if !known {
			return "an unknown attribute is to be included"
		}
		q.include = append(q.include, tag)
	}
	return ""
}

// filter adds a condition. Issuers are nothing that a server without them can look at.
func (q *imageSearch) filter(name, wanted string, p Personality) (bad string) {
	path, ok := parsePath(name)
	a, known := attribute{}, false
	if ok {
		a, known = attributeOf(path[0])
	}
	if !known || a.level > q.level {
		if p.IgnoreUnknown || p.IgnoreFilters {
			return ""
		}
		return "an unknown parameter"
	}
	q.include = append(q.include, path[0])
	if p.IgnoreFilters || (p.NoIssuer && issuerTag(path[0])) {
		return ""
	}
	f := filter{path, vrOf(path[len(path)-1]), wanted, p.WholeNames}
	if !f.sound() {
		return "a value that its attribute cannot have"
	}
	q.filters[name] = f
	return ""
}

func issuerTag(tag uint32) bool { return tag == tagPatientIssuer || tag == tagAccessionIssuer }

// matches: every condition.
func (q *imageSearch) matches(d dataset) bool {
	for _, f := range q.filters {
		if !f.matches(d.at(f.path)) {
			return false
		}
	}
	return true
}

// shown leaves what the level shows, above it what the path does not name, and what
// was asked for.
func (q *imageSearch) shown(d dataset, names map[string]string) dataset {
	from := studyLevel
	if names["studies"] != "" {
		from = seriesLevel
	}
	if names["series"] != "" {
		from = instanceLevel
	}
	out := dataset{}
	for tag, e := range d {
		a, _ := attributeOf(tag)
		usual := a.shown && a.level >= from && a.level <= q.level
		usual = usual || tag == tagCharset || tag == tagRetrieveURL || (tag == tagAvailability && q.level == instanceLevel)
		asked := slices.Contains(q.include, tag) || q.all
		if usual || (asked && a.level <= q.level) {
			out[tag] = e
		}
	}
	return out
}

// owned is a study and whose it is: one Study Instance UID under two Patient IDs, after a
// wrong store, is two studies. Issuers are not looked at: archives that keep them all the
// same may take one number of two issuers for one patient, and show who came first.
func (i *instance) owned() string { return i.set.text(tagPatientID) + "/" + i.study }

// groups are the studies, series or instances that a path leaves, in the order in
// which their first image came.
func (s *server) groups(list []*instance, at level, names map[string]string) []dataset {
	ofSeries := func(i *instance) string { return i.owned() + "/" + i.series }
	key := map[level]func(*instance) string{
		studyLevel:    (*instance).owned,
		seriesLevel:   ofSeries,
		instanceLevel: func(i *instance) string { return ofSeries(i) + "/" + i.sop },
	}[at]
	studies, series := map[string][]*instance{}, map[string][]*instance{}
	for _, i := range list {
		studies[i.owned()] = append(studies[i.owned()], i)
		series[ofSeries(i)] = append(series[ofSeries(i)], i)
	}
	var out []dataset
	seen := map[string]bool{}
	for _, i := range within(list, names) {
		if seen[key(i)] {
			continue
		}
		seen[key(i)] = true
		out = append(out, s.described(i, at, studies[i.owned()], series[ofSeries(i)]))
	}
	return out
}

// described is an image's dataset with what only the server knows of where it belongs.
func (s *server) described(i *instance, at level, study, series []*instance) dataset {
	d := s.known(i)
	modalities, seriesOf := element{vr: "CS"}, map[string]bool{}
	for _, other := range study {
		if m := other.set.text(tagModality); m != "" && !slices.Contains(modalities.values, any(m)) {
			modalities.values = append(modalities.values, m)
		}
		seriesOf[other.series] = true
	}
	d[tagModalities] = modalities
	d[tagAvailability] = textElement("CS", "ONLINE")
	if s.hospital.personality.Nearline > 0 {
		d[tagAvailability] = textElement("CS", "NEARLINE")
	}
	d[tagStudySeries] = numberElement("IS", len(seriesOf))
	d[tagStudyInstances] = numberElement("IS", len(study))
	d[tagSeriesInstances] = numberElement("IS", len(series))
	d[tagRetrieveURL] = textElement("UR", s.placeOf(i, at))
	return d
}

// known is what the server says of an image itself, in UTF-8.
func (s *server) known(i *instance) dataset {
	d := maps.Clone(i.set)
	d[tagCharset] = textElement("CS", "ISO_IR 192")
	if s.hospital.personality.NoIssuer {
		delete(d, tagPatientIssuer)
		delete(d, tagAccessionIssuer)
	}
	return d
}

// placeOf is where an image, or what it belongs to, is retrieved.
func (s *server) placeOf(i *instance, at level) string {
	return s.alias() + "/studies/" + i.study + map[level]string{
		seriesLevel:   "/series/" + i.series,
		instanceLevel: "/series/" + i.series + "/instances/" + i.sop,
	}[at]
}
