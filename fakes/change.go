package fakes

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hospital-go/hospital/fhir"
)

// vread reads one version.
func (s *store) vread(typ, id, number string) *answer {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.history[typ+"/"+id]
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || n < 1 || n > len(list):
		return refuse(http.StatusNotFound, "not-found")
	case list[n-1].to == nil:
		return refuse(http.StatusGone, "deleted")
	}
	return ok(list[n-1].to)
}

// versions answers with a resource's history, newest first, in pages by number.
func (s *server) versions(in *request) *answer {
	s.store.catchUp()
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	key := in.typ + "/" + in.id
	list := s.store.history[key]
	if len(list) == 0 {
		return refuse(http.StatusNotFound, "not-found")
	}
	size := s.hospital.personality.PageSize
	until := len(list)
	if at, err := strconv.Atoi(in.query.Get("_before")); err == nil {
		until = min(at, until)
	}
	var entries []any
	from := max(0, until-size)
	for i := until - 1; i >= from; i-- {
		entries = append(entries, s.past(key, list[i]))
	}
	out := object{"resourceType": "Bundle", "type": "history", "total": len(list), "entry": entries}
	if from > 0 {
		out["link"] = []any{map[string]any{"relation": "next", "url": fmt.Sprintf("%s/%s/_history?_before=%d", s.alias(), key, from)}}
	}
	return ok(out)
}

func (s *server) past(key string, v version) any {
	e := map[string]any{
		"fullUrl":  s.alias() + "/" + key,
		"request":  map[string]any{"method": v.method, "url": key},
		"response": map[string]any{"status": "200", "lastModified": v.at.UTC().Format("2006-01-02T15:04:05.000Z")},
	}
	if v.to != nil {
		e["resource"] = map[string]any(v.to)
	}
	return e
}

// patch applies a JSON Patch to the current version.
func (s *server) patch(in *request) *answer {
	s.store.mu.Lock()
	current := s.store.current[in.typ+"/"+in.id]
	s.store.mu.Unlock()
	if current == nil {
		return refuse(http.StatusNotFound, "not-found")
	}
	match := in.header.Get("If-Match")
	if match == "" {
		match = current.etag() // what was patched is what gets replaced
	}
	changed := current.clone()
	steps, _ := in.body["steps"].([]any)
	if len(steps) == 0 {
		return refuse(http.StatusBadRequest, "structure")
	}
	for _, step := range steps {
		m, _ := step.(map[string]any)
		path, _ := m["path"].(string)
		op, _ := m["op"].(string)
		_, has := m["value"]
		if !strings.HasPrefix(path, "/") || has == (op == "remove") || !applyStep(map[string]any(changed), op, strings.Split(path, "/")[1:], m["value"]) {
			return refuse(http.StatusUnprocessableEntity, "processing")
		}
	}
	return s.single(entry{method: http.MethodPut, typ: in.typ, id: in.id, resource: changed, ifMatch: match})
}

// applyStep does add, replace, remove and test in objects; arrays only at their
// end ("-"), and inside by index. The rest is refused.
func applyStep(at map[string]any, op string, path []string, value any) bool {
	if len(path) == 0 {
		return false
	}
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	if len(path) > 1 {
		switch child := at[name].(type) {
		case map[string]any:
			return applyStep(child, op, path[1:], value)
		case []any:
			if path[1] == "-" && len(path) == 2 && op == "add" {
				at[name] = append(slices.Clone(child), value)
				return true
			}
			i, err := strconv.Atoi(path[1])
			if err != nil || i < 0 || i >= len(child) || len(path) == 2 {
				return false
			}
			inner, _ := child[i].(map[string]any)
			return inner != nil && applyStep(inner, op, path[2:], value)
		}
		return false
	}
	_, exists := at[name]
	switch {
	case op == "add", op == "replace" && exists:
		at[name] = value
	case op == "remove" && exists:
		delete(at, name)
	case op == "test":
		return reflect.DeepEqual(at[name], value)
	default:
		return false
	}
	return true
}

// batch runs each entry alone.
func (s *server) batch(in *request) *answer {
	list, _ := in.body["entry"].([]any)
	if len(list) == 0 || in.body.typ() != "Bundle" {
		return refuse(http.StatusBadRequest, "invalid")
	}
	out := make([]any, len(list))
	a := &answer{}
	for i, v := range list {
		m, _ := v.(map[string]any)
		req, _ := m["request"].(map[string]any)
		target, _ := req["url"].(string)
		if req["method"] == http.MethodGet {
			out[i] = s.entryRead(in, target)
			continue
		}
		e, good := parseEntry(v)
		if !good {
			out[i] = failed(refuse(http.StatusBadRequest, "invalid"))
			continue
		}
		results, bad := s.commit([]entry{e})
		if bad != nil {
			out[i] = failed(bad)
			continue
		}
		out[i] = s.answered(results[0])
		a.created, a.changed = append(a.created, results[0].created...), a.changed || results[0].changed
	}
	answered := ok(object{"resourceType": "Bundle", "type": "batch-response", "entry": out})
	answered.created, answered.changed = a.created, a.changed
	return answered
}

func (s *server) entryRead(in *request, target string) any {
	path, rawQuery, _ := strings.Cut(target, "?")
	typ, id, _ := strings.Cut(path, "/")
	query, err := parseQuery(rawQuery)
	if err != nil {
		return failed(refuse(http.StatusBadRequest, "invalid"))
	}
	var a *answer
	if id != "" {
		a = s.store.read(typ, id)
	} else {
		a = s.search(&request{endpoint: in.endpoint, typ: typ, query: query, rawQuery: rawQuery, header: in.header})
	}
	if a.status != http.StatusOK {
		return failed(a)
	}
	o, _ := parseObject(a.body)
	return map[string]any{"resource": map[string]any(o), "response": map[string]any{"status": "200 OK"}}
}

func failed(a *answer) any {
	outcome, _ := parseObject(a.body)
	return map[string]any{"response": map[string]any{
		"status": fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), "outcome": map[string]any(outcome),
	}}
}

// statement is what the servers say of themselves.
func (s *server) statement() object {
	p := s.hospital.personality
	versioning := "versioned-update"
	if p.IgnoreIfMatch {
		versioning = "versioned"
	}
	var interactions []any
	for _, code := range []string{"read", "vread", "update", "patch", "delete", "history-instance", "create", "search-type"} {
		interactions = append(interactions, map[string]any{"code": code})
	}
	var resources []any
	for _, typ := range slices.Sorted(maps.Keys(parameters)) {
		var params []any
		for _, name := range slices.Sorted(maps.Keys(parameters[typ])) {
			params = append(params, map[string]any{"name": name, "type": parameters[typ][name].kind})
		}
		resources = append(resources, map[string]any{
			"type": typ, "interaction": interactions, "versioning": versioning, "readHistory": true,
			"updateCreate": !p.NoUpdateCreate, "conditionalCreate": true, "conditionalUpdate": true, "searchParam": params,
		})
	}
	return object{
		"resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01",
		"kind": "instance", "fhirVersion": "4.0.1", "format": []any{fhir.MediaType}, "patchFormat": []any{fhir.PatchMediaType},
		"rest": []any{map[string]any{
			"mode": "server", "resource": resources,
			"interaction": []any{map[string]any{"code": "transaction"}, map[string]any{"code": "batch"}},
		}},
	}
}
