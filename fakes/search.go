package fakes

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hospital-go/hospital/fhir/r4"
)

// parameter is how one search parameter finds its values.
type parameter struct {
	kind  string // token, reference, date, string
	paths []string
}

var common = map[string]parameter{
	"_id":          {"token", []string{"id"}},
	"_lastUpdated": {"date", []string{"meta.lastUpdated"}},
	"_tag":         {"token", []string{"meta.tag"}},
	"identifier":   {"token", []string{"identifier"}},
}

// parameters are what the fakes understand, by type; anything else is refused.
var parameters = map[string]map[string]parameter{
	"Patient": {
		"name":      {"string", []string{"name.text", "name.family", "name.given"}},
		"phone":     {"token", []string{"telecom.value"}},
		"birthdate": {"date", []string{"birthDate"}},
		"link":      {"reference", []string{"link.other"}},
	},
	"Organization":     {"type": {"token", []string{"type"}}, "name": {"string", []string{"name"}}},
	"Location":         {"name": {"string", []string{"name"}}, "organization": {"reference", []string{"managingOrganization"}}},
	"Practitioner":     {"name": {"string", []string{"name.text", "name.family", "name.given"}}},
	"PractitionerRole": {"organization": {"reference", []string{"organization"}}, "practitioner": {"reference", []string{"practitioner"}}},
	"Schedule":         {"actor": {"reference", []string{"actor"}}, "date": {"date", []string{"planningHorizon"}}, "service-type": {"token", []string{"serviceType"}}},
	"Slot": {
		"schedule": {"reference", []string{"schedule"}}, "start": {"date", []string{"start"}}, "status": {"token", []string{"status"}},
	},
	"Appointment": {
		"slot": {"reference", []string{"slot"}}, "patient": {"reference", []string{"participant.actor"}},
		"actor": {"reference", []string{"participant.actor"}}, "status": {"token", []string{"status"}}, "date": {"date", []string{"start"}},
	},
	"AllergyIntolerance": {"patient": {"reference", []string{"patient"}}},
	"Condition":          {"patient": {"reference", []string{"subject"}}, "encounter": {"reference", []string{"encounter"}}},
	"DiagnosticReport": {
		"patient": {"reference", []string{"subject"}}, "category": {"token", []string{"category"}}, "date": {"date", []string{"effectiveDateTime", "effectivePeriod"}},
		"result": {"reference", []string{"result"}}, "based-on": {"reference", []string{"basedOn"}}, "status": {"token", []string{"status"}},
		"code": {"token", []string{"code"}}, "specimen": {"reference", []string{"specimen"}},
	},
	"DocumentReference": {
		"patient": {"reference", []string{"subject"}}, "type": {"token", []string{"type"}}, "date": {"date", []string{"date"}},
	},
	"Observation": {
		"patient": {"reference", []string{"subject"}}, "code": {"token", []string{"code"}}, "category": {"token", []string{"category"}},
		"date":      {"date", []string{"effectiveDateTime", "effectivePeriod", "effectiveInstant"}},
		"encounter": {"reference", []string{"encounter"}}, "status": {"token", []string{"status"}},
		"has-member": {"reference", []string{"hasMember"}}, "specimen": {"reference", []string{"specimen"}},
	},
	"ServiceRequest": {
		"patient": {"reference", []string{"subject"}}, "encounter": {"reference", []string{"encounter"}},
		"requisition": {"token", []string{"requisition"}}, "status": {"token", []string{"status"}},
		"category": {"token", []string{"category"}}, "code": {"token", []string{"code"}}, "authored": {"date", []string{"authoredOn"}},
	},
	"Specimen": {
		"patient": {"reference", []string{"subject"}}, "container-id": {"token", []string{"container.identifier"}},
		"status": {"token", []string{"status"}}, "type": {"token", []string{"type"}},
		"collected": {"date", []string{"collection.collectedDateTime", "collection.collectedPeriod"}},
	},
	"Task": {
		"patient": {"reference", []string{"for"}}, "owner": {"reference", []string{"owner"}}, "focus": {"reference", []string{"focus"}},
		"status": {"token", []string{"status"}}, "code": {"token", []string{"code"}},
	},
	"Encounter": {
		"appointment": {"reference", []string{"appointment"}}, "patient": {"reference", []string{"subject"}},
		"subject": {"reference", []string{"subject"}}, "status": {"token", []string{"status"}},
	},
}

func parameterOf(typ, name string) (parameter, bool) {
	if p, ok := common[name]; ok {
		return p, true
	}
	p, ok := parameters[typ][name]
	return p, ok
}

// search runs a search, or continues one by its cursor.
func (s *server) search(in *request) *answer {
	if cursor := in.query.Get("_cursor"); cursor != "" {
		s.mu.Lock()
		keys, known := s.cursors[cursor]
		s.mu.Unlock()
		if !known {
			return refuse(http.StatusGone, "not-found")
		}
		return s.page(in, keys, "?"+in.rawQuery, -1)
	}
	count := s.hospital.personality.PageSize
	for name, values := range in.query {
		for _, v := range values {
			if !s.understands(in.typ, name, v) {
				return refuse(http.StatusBadRequest, "not-supported")
			}
			if n, err := strconv.Atoi(v); name == "_count" && err == nil {
				count = min(count, n)
			}
		}
	}
	keys := s.store.sorted(in.typ, in.query.Get("_sort"), s.found(in))
	self := in.typ
	if q := s.selfQuery(in); q != "" {
		self += "?" + q
	}
	if in.query.Get("_summary") == "count" || count == 0 {
		return ok(object{"resourceType": "Bundle", "type": "searchset", "total": len(keys)})
	}
	in.query.Set("_count", strconv.Itoa(count))
	return s.page(in, keys, self, len(keys))
}

// understands: is the parameter known, and its value one that can be used?
func (s *server) understands(typ, name, value string) bool {
	switch name {
	case "_count":
		n, err := strconv.Atoi(value)
		return err == nil && n >= 0
	case "_include", "_include:iterate", "_revinclude":
		from, ref, ok := strings.Cut(value, ":")
		p, known := parameterOf(from, ref)
		return ok && known && p.kind == "reference" && (name != "_include" || from == typ)
	case "_elements":
		return value != ""
	case "_summary":
		return slices.Contains([]string{"true", "text", "data", "count", "false"}, value)
	case "_sort":
		p, known := parameterOf(typ, strings.TrimPrefix(value, "-"))
		return known && p.kind == "date"
	}
	p, known := understood(typ, name)
	return known && p.sound(value)
}

// found runs the search, or, on a server that keeps results, hands out what the
// same search found a moment ago unless it is told not to.
func (s *server) found(in *request) []string {
	p := s.hospital.personality
	if p.CacheSearches == 0 {
		return s.store.find(in.typ, s.filters(in.query))
	}
	key := in.typ + "?" + in.query.Encode()
	s.mu.Lock()
	kept, known := s.results[key]
	s.mu.Unlock()
	if known && time.Since(kept.at) < p.CacheSearches && in.header.Get("Cache-Control") != "no-cache" {
		return kept.keys
	}
	keys := s.store.find(in.typ, s.filters(in.query))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[key] = searchResult{time.Now(), keys}
	return keys
}

type searchResult struct {
	at   time.Time
	keys []string
}

// filters drops what an ignorant server does not look at.
func (s *server) filters(q url.Values) url.Values {
	if s.hospital.personality.IgnoreFilters {
		return url.Values{}
	}
	return q
}

func (s *server) selfQuery(in *request) string {
	p := s.hospital.personality
	if in.post || (p.IgnoreFilters && !p.LyingSelf) {
		return "_count=" + strconv.Itoa(p.PageSize)
	}
	return in.rawQuery
}

// page answers with the first keys and remembers the rest under a cursor.
func (s *server) page(in *request, keys []string, self string, total int) *answer {
	size := max(1, s.hospital.personality.PageSize)
	if n, err := strconv.Atoi(in.query.Get("_count")); err == nil && n > 0 {
		size = n
	}
	here := keys[:min(size, len(keys))]
	links := []any{map[string]any{"relation": "self", "url": s.alias() + "/" + strings.TrimPrefix(self, "/")}}
	if rest := keys[len(here):]; len(rest) > 0 {
		next := fmt.Sprintf("%s?_cursor=%s&_type=%s&_count=%d", s.alias(), s.remember(rest), in.typ, size)
		for _, name := range []string{"_include", "_include:iterate", "_revinclude", "_elements", "_summary"} {
			for _, v := range in.query[name] {
				next += "&" + url.QueryEscape(name) + "=" + url.QueryEscape(v)
			}
		}
		links = append(links, map[string]any{"relation": "next", "url": next})
	}
	out := object{"resourceType": "Bundle", "type": "searchset", "link": links}
	if total >= 0 {
		out["total"] = total
	}
	if entries := s.entries(here, in.query); len(entries) > 0 {
		out["entry"] = entries
	}
	return ok(out)
}

func (s *server) remember(keys []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor++
	id := fmt.Sprintf("%s%s-%d", s.endpoint.DataCenter, s.endpoint.Environment, s.cursor)
	s.cursors[id] = keys
	return id
}

// entries are matches and what they include.
func (s *server) entries(keys []string, query url.Values) []any {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var out, included []any
	seen := map[string]bool{}
	for _, key := range keys {
		o := s.store.current[key]
		if o == nil {
			continue // deleted since
		}
		out = append(out, s.entry(key, shortened(o, query), "match"))
		for _, other := range s.store.includedAll(o, query) {
			if ref := other.typ() + "/" + other.id(); !seen[ref] {
				seen[ref] = true
				included = append(included, s.entry(ref, other, "include"))
			}
		}
	}
	return append(out, included...)
}

// includedAll is what a match brings along, and what that brings along where the
// search says iterate.
func (s *store) includedAll(o object, query url.Values) []object {
	out := s.included(o, query)
	seen := map[string]bool{o.typ() + "/" + o.id(): true}
	for i := 0; i < len(out); i++ {
		from := out[i]
		key := from.typ() + "/" + from.id()
		if seen[key] {
			continue
		}
		seen[key] = true
		for _, include := range query["_include:iterate"] {
			if typ, name, _ := strings.Cut(include, ":"); typ == from.typ() {
				p, _ := parameterOf(typ, name)
				out = append(out, s.targets(from, p)...)
			}
		}
	}
	return out
}

// included is what a match itself brings along.
func (s *store) included(o object, query url.Values) []object {
	var out []object
	for _, include := range query["_include"] {
		_, name, _ := strings.Cut(include, ":")
		p, _ := parameterOf(o.typ(), name)
		out = append(out, s.targets(o, p)...)
	}
	for _, include := range query["_revinclude"] {
		typ, name, _ := strings.Cut(include, ":")
		p, _ := parameterOf(typ, name)
		for _, key := range s.order {
			if other := s.current[key]; other.typ() == typ && p.matches(values(other, p.paths), o.typ()+"/"+o.id()) {
				out = append(out, other)
			}
		}
	}
	return out
}

// shortened is what _elements and _summary leave, marked.
func shortened(o object, query url.Values) object {
	keep := []string{"resourceType", "id", "meta", "status", "identifier", "name", "active"}
	if names := query.Get("_elements"); names != "" {
		keep = append(keep[:3:3], strings.Split(names, ",")...)
	} else if !query.Has("_summary") || query.Get("_summary") == "false" {
		return o
	}
	out := object{}
	for _, name := range keep {
		if v, ok := o.clone()[name]; ok {
			out[name] = v
		}
	}
	if meta, ok := out["meta"].(map[string]any); ok {
		meta["tag"] = []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}}
	}
	return out
}

// sorted orders by a date; order is "date" or "-date", empty for as they are.
func (s *store) sorted(typ, order string, keys []string) []string {
	if order == "" {
		return keys
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name, latestFirst := strings.CutPrefix(order, "-")
	p, _ := parameterOf(typ, name)
	at := func(key string) time.Time {
		for _, v := range values(s.current[key], p.paths) {
			if low, _, ok := span(v); ok {
				return low
			}
		}
		return time.Time{}
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b string) int {
		if latestFirst {
			a, b = b, a
		}
		return at(a).Compare(at(b))
	})
	return keys
}

func (s *server) entry(key string, o object, mode string) any {
	return map[string]any{
		"fullUrl": s.alias() + "/" + key, "resource": map[string]any(o), "search": map[string]any{"mode": mode},
	}
}

// find returns the keys of what matches, oldest first.
func (s *store) find(typ string, query url.Values) []string {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, key := range s.order {
		if strings.HasPrefix(key, typ+"/") && s.matchesAll(s.current[key], typ, query) {
			keys = append(keys, key)
		}
	}
	return keys
}

func parseQuery(s string) (url.Values, error) { return url.ParseQuery(strings.TrimPrefix(s, "?")) }

// matchesAll: every parameter, every repetition of it; a comma is an or.
func (s *store) matchesAll(o object, typ string, query url.Values) bool {
	for name, list := range query {
		if _, filters := common[name]; strings.HasPrefix(name, "_") && !filters && !strings.HasPrefix(name, "_has:") {
			continue
		}
		for _, wanted := range list {
			if !slices.ContainsFunc(strings.Split(wanted, ","), func(w string) bool { return s.satisfies(o, typ, name, w) }) {
				return false
			}
		}
	}
	return true
}

// satisfies: one parameter, which may be a chain (ref:Type.name) or the reverse
// (_has:Type:ref:name).
func (s *store) satisfies(o object, typ, name, wanted string) bool {
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		parts := strings.SplitN(rest, ":", 3)
		p, _ := parameterOf(parts[0], parts[1])
		return slices.ContainsFunc(s.order, func(key string) bool {
			other := s.current[key]
			return other.typ() == parts[0] && p.matches(values(other, p.paths), typ+"/"+o.id()) && s.satisfies(other, parts[0], parts[2], wanted)
		})
	}
	if link, rest, ok := strings.Cut(name, "."); ok {
		link, _, _ = strings.Cut(link, ":")
		p, _ := parameterOf(typ, link)
		return slices.ContainsFunc(s.targets(o, p), func(target object) bool { return s.satisfies(target, target.typ(), rest, wanted) })
	}
	p, _ := parameterOf(typ, name)
	return p.matches(values(o, p.paths), wanted)
}

// targets are the resources that o refers to by p.
func (s *store) targets(o object, p parameter) []object {
	var out []object
	for _, v := range values(o, p.paths) {
		m, _ := v.(map[string]any)
		ref, _ := m["reference"].(string)
		if target := s.current[ref]; target != nil {
			out = append(out, target)
		}
	}
	return out
}

// understood: is the parameter known, through chains?
func understood(typ, name string) (parameter, bool) {
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		parts := strings.SplitN(rest, ":", 3)
		if len(parts) != 3 {
			return parameter{}, false
		}
		if p, known := parameterOf(parts[0], parts[1]); !known || p.kind != "reference" {
			return parameter{}, false
		}
		return understood(parts[0], parts[2])
	}
	if link, rest, ok := strings.Cut(name, "."); ok {
		link, target, typed := strings.Cut(link, ":")
		if p, known := parameterOf(typ, link); !known || p.kind != "reference" || !typed {
			return parameter{}, false
		}
		return understood(target, rest)
	}
	return parameterOf(typ, name)
}

// values follows dotted paths through arrays.
func values(o object, paths []string) []any {
	var out []any
	for _, path := range paths {
		level := []any{map[string]any(o)}
		for part := range strings.SplitSeq(path, ".") {
			var next []any
			for _, v := range level {
				m, _ := v.(map[string]any)
				switch child := m[part].(type) {
				case nil:
				case []any:
					next = append(next, child...)
				default:
					next = append(next, child)
				}
			}
			level = next
		}
		out = append(out, level...)
	}
	return out
}

// sound refuses values this parameter cannot compare.
func (p parameter) sound(value string) bool {
	if p.kind == "date" {
		_, at := datePrefix(value)
		_, err := r4.ParseTime(at, nil)
		return err == nil
	}
	return value != ""
}

func (p parameter) matches(found []any, wanted string) bool {
	match := map[string]func(any, string) bool{
		"token": matchToken, "reference": matchReference, "date": matchDate, "string": matchString,
	}[p.kind]
	return slices.ContainsFunc(found, func(v any) bool { return match(v, wanted) })
}

// matchToken compares a code, an Identifier, a Coding or a CodeableConcept.
func matchToken(v any, wanted string) bool {
	system, value, both := strings.Cut(wanted, "|")
	if !both {
		system, value = "", wanted
	}
	switch v := v.(type) {
	case string:
		return v == value && system == "" // a plain code has no system of its own
	case map[string]any:
		if codings, ok := v["coding"].([]any); ok {
			return slices.ContainsFunc(codings, func(c any) bool { return matchToken(c, wanted) })
		}
		code, _ := v["value"].(string)
		if code == "" {
			code, _ = v["code"].(string)
		}
		return code == value && (!both || v["system"] == system)
	}
	return false
}

func matchReference(v any, wanted string) bool {
	m, _ := v.(map[string]any)
	ref, _ := m["reference"].(string)
	return ref == wanted
}

func matchString(v any, wanted string) bool {
	s, _ := v.(string)
	for part := range strings.FieldsSeq(strings.ToLower(wanted)) {
		if !strings.Contains(strings.ToLower(s), part) {
			return false
		}
	}
	return true
}

// matchDate compares the span of a time, a date or a Period with the span of what
// is wanted (section 3.1.1.4.7).
func matchDate(v any, wanted string) bool {
	prefix, wanted := datePrefix(wanted)
	low, high, known := span(v)
	at, err := r4.ParseTime(wanted, nil)
	if !known || err != nil {
		return false
	}
	switch prefix {
	case "ge":
		return high.After(at.From)
	case "gt":
		return high.After(at.To)
	case "le":
		return low.Before(at.To)
	case "lt":
		return low.Before(at.From)
	}
	return !low.Before(at.From) && !high.After(at.To) // eq: lies within
}

// datePrefix cuts off ge, gt, le, lt or eq.
func datePrefix(s string) (prefix, at string) {
	if len(s) > 2 && slices.Contains([]string{"ge", "gt", "le", "lt", "eq"}, s[:2]) {
		return s[:2], s[2:]
	}
	return "eq", s
}

// span is what a time covers, from its first moment to the first after it; an open
// Period has no end.
func span(v any) (low, high time.Time, ok bool) {
	switch v := v.(type) {
	case string:
		t, err := r4.ParseTime(v, nil)
		return t.From, t.To, err == nil
	case map[string]any:
		low, high = time.Time{}, time.Unix(1<<40, 0)
		for name, bound := range map[string]*time.Time{"start": &low, "end": &high} {
			text, _ := v[name].(string)
			t, err := r4.ParseTime(text, nil)
			if text != "" && err != nil {
				return low, high, false
			}
			if *bound = t.From; name == "end" {
				*bound = t.To
			}
			if text == "" && name == "end" {
				high = time.Unix(1<<40, 0)
			}
		}
		return low, high, true
	}
	return low, high, false
}
