package fakes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fhir"
)

const maxRequest = 32 << 20

// request is one interaction, read off the wire.
type request struct {
	endpoint    *campus.Endpoint
	interaction string
	typ, id     string
	version     string
	query       url.Values // the search, wherever it came
	rawQuery    string
	post        bool
	body        object
	header      http.Header
	requestID   string
	image       *imageCall // of DICOMweb
}

func (in *request) writes() bool {
	switch in.interaction {
	case "create", "update", "patch", "delete", "transaction", "store":
		return true
	case "batch":
		list, _ := in.body["entry"].([]any)
		return slices.ContainsFunc(list, func(v any) bool {
			m, _ := v.(map[string]any)
			req, _ := m["request"].(map[string]any)
			return req["method"] != http.MethodGet
		})
	}
	return false
}

// ServeHTTP answers one request, under whatever rule applies.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.hospital.handler.Add(1)
	defer s.hospital.handler.Done()
	s.mu.Lock()
	stall := s.stall
	s.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
			breakConnection(w, r) // what was swallowed stays swallowed
		case <-r.Context().Done():
		}
		return
	}
	in, bad := s.parse(r)
	if in == nil || !in.beside() {
		room := s.enter()
		defer s.leave()
		if bad == nil && !room {
			bad = s.refuse(http.StatusTooManyRequests, "throttled")
			s.hospital.ledger.told(in, nil, bad.status)
		}
	}
	if bad != nil {
		bad.send(r.Context(), w, toTheEnd)
		return
	}
	s.perform(w, r, in, s.hospital.rule(s.endpoint, in))
}

// parse recognizes the interaction by method and path.
func (s *server) parse(r *http.Request) (*request, *answer) {
	in := &request{endpoint: s.endpoint, header: r.Header, requestID: r.Header.Get("X-Request-Id"), rawQuery: r.URL.RawQuery, query: r.URL.Query()}
	path, below := strings.CutPrefix(r.URL.Path, basePath(s.endpoint.System))
	if in.interaction = besides[r.Method+" "+path]; below && in.interaction != "" {
		return in, nil
	}
	if token := s.hospital.token; token != "" && r.Header.Get("Authorization") != "Bearer "+token {
		return nil, s.refuse(http.StatusUnauthorized, "login")
	}
	if !below {
		return nil, s.refuse(http.StatusNotFound, "not-found")
	}
	if s.endpoint.System == campus.PACS {
		return s.parseImage(in, r, path)
	}
	parts := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	if len(parts) > 0 {
		in.typ = parts[0]
	}
	if len(parts) > 1 {
		in.id = parts[1]
	}
	if in.interaction = interactionOf(r, path, parts, in.query); in.interaction == "" {
		return nil, refuse(http.StatusNotImplemented, "not-supported")
	}
	switch in.interaction {
	case "search-type":
		in.post = r.Method == http.MethodPost
		if len(parts) == 0 {
			in.typ = in.query.Get("_type")
		}
	case "vread":
		in.version = parts[3]
	}
	bad := in.read(r)
	if in.interaction == "transaction" && in.body.str("type") == "batch" {
		in.interaction = "batch"
	}
	return in, bad
}

// routes are what is served, by method and the number of path segments; a word
// in the last place must be that word.
var routes = map[string]string{
	"GET 1": "search-type", "POST 2 _search": "search-type", "GET 2": "read", "GET 4": "vread", "GET 3 _history": "history-instance",
	"POST 0": "transaction", "POST 1": "create", "PUT 2": "update", "PUT 1": "update", "PATCH 2": "patch", "DELETE 2": "delete",
}

func interactionOf(r *http.Request, path string, parts []string, query url.Values) string {
	n := len(parts)
	switch {
	case r.Method == http.MethodGet && path == "/metadata":
		return "capabilities"
	case r.Method == http.MethodGet && n == 0 && query.Has("_cursor"):
		return "search-type"
	case n == 4 && parts[2] != "_history", r.Method == http.MethodPut && n == 1 && len(query) == 0:
		return ""
	}
	if n > 1 && strings.HasPrefix(parts[n-1], "_") {
		return routes[fmt.Sprintf("%s %d %s", r.Method, n, parts[n-1])]
	}
	return routes[fmt.Sprintf("%s %d", r.Method, n)]
}

// read takes the body.
func (in *request) read(r *http.Request) *answer {
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil || len(data) > maxRequest {
		return refuse(http.StatusRequestEntityTooLarge, "too-long")
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if in.post {
		form, err := url.ParseQuery(string(data))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return refuse(http.StatusUnsupportedMediaType, "not-supported")
		}
		for name, values := range form {
			in.query[name] = append(in.query[name], values...)
		}
		return nil
	}
	if in.interaction == "patch" {
		if media != fhir.PatchMediaType {
			return refuse(http.StatusUnsupportedMediaType, "not-supported")
		}
		data = append(append([]byte(`{"steps":`), data...), '}')
	} else if media != fhir.MediaType && media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "not-supported")
	}
	if in.body, err = parseObject(data); err != nil {
		return refuse(http.StatusBadRequest, "structure")
	}
	return nil
}

// execute does what the request asks.
func (s *server) execute(in *request) *answer {
	switch {
	case in.interaction == interactionRole:
		return sign(s.leads(), "primary", "not primary")
	case in.interaction == interactionHealth:
		return sign(s.ready(), "ready", "not ready")
	case s.hospital.isDown(s.endpoint.Store):
		return s.refuse(http.StatusInternalServerError, "exception")
	case in.writes() && s.store.source() != nil:
		return s.refuse(http.StatusForbidden, "forbidden") // a replica takes no writes
	case in.writes() && !s.leads():
		return s.refuse(http.StatusInternalServerError, "exception")
	case in.image != nil:
		return s.executeImage(in)
	}
	switch in.interaction {
	case "capabilities":
		return ok(s.statement())
	case "read":
		return s.store.read(in.typ, in.id)
	case "vread":
		return s.store.vread(in.typ, in.id, in.version)
	case "history-instance":
		return s.versions(in)
	case "search-type":
		return s.search(in)
	case "create":
		return s.create(in)
	case "update":
		return s.update(in)
	case "patch":
		return s.patch(in)
	case "delete":
		return s.single(entry{method: http.MethodDelete, typ: in.typ, id: in.id, ifMatch: in.header.Get("If-Match")})
	case "batch":
		return s.batch(in)
	}
	return s.transaction(in)
}

func (s *server) create(in *request) *answer {
	_, conditional := in.header["If-None-Exist"]
	e := entry{method: http.MethodPost, typ: in.typ, resource: in.body, conditional: conditional, ifNoneExist: in.header.Get("If-None-Exist")}
	return s.single(e)
}

func (s *server) update(in *request) *answer {
	e := entry{method: http.MethodPut, typ: in.typ, id: in.id, resource: in.body, ifMatch: in.header.Get("If-Match")}
	e.mustBeNew = in.header.Get("If-None-Match") == "*"
	if in.id == "" {
		e.conditional, e.ifNoneExist = true, in.rawQuery
	}
	return s.single(e)
}

// single runs one write as a transaction of one, and answers in its own form.
func (s *server) single(e entry) *answer {
	results, bad := s.commit([]entry{e})
	if bad != nil {
		return bad
	}
	r := results[0]
	if r.resource == nil {
		return &answer{status: r.status, header: http.Header{}, changed: true}
	}
	a := &answer{status: r.status, header: http.Header{}, body: r.resource.json(), created: r.created, changed: r.changed}
	a.header.Set("Content-Type", fhir.MediaType)
	a.header.Set("ETag", r.resource.etag())
	if r.status == http.StatusCreated {
		a.header.Set("Location", fmt.Sprintf("%s/%s/%s/_history/%s", s.alias(), e.typ, r.resource.id(), r.resource.version()))
	}
	return a
}

// alias is the name by which the servers know themselves.
func (s *server) alias() string {
	if s.hospital.ownLinks {
		return s.endpoint.URL
	}
	return s.endpoint.Aliases[0]
}

// object is a JSON object with numbers as text.
type object map[string]any

func parseObject(data []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil || o == nil {
		return nil, fmt.Errorf("not an object")
	}
	return o, nil
}

func (o object) json() []byte { return encode(o) }

// encode writes what was JSON when it came, or is made of the like.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) //nolint:errchkjson // see above
	return bytes.TrimSpace(b.Bytes())
}

// clone is a deep copy, as if it had come as JSON.
func (o object) clone() object {
	out := make(object, len(o))
	for name, v := range o {
		out[name] = cloned(v)
	}
	return out
}

func cloned(v any) any {
	switch v := v.(type) {
	case nil, string, bool, json.Number:
		return v
	case object:
		return map[string]any(v.clone())
	case map[string]any:
		return map[string]any(object(v).clone())
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cloned(v[i])
		}
		return out
	default: // of a literal: numbers, lists of strings
		whole, _ := parseObject(object{"": v}.json())
		return whole[""]
	}
}

func (o object) str(name string) string { s, _ := o[name].(string); return s }
func (o object) typ() string            { return o.str("resourceType") }
func (o object) id() string             { return o.str("id") }

func (o object) version() string {
	meta, _ := o["meta"].(map[string]any)
	v, _ := meta["versionId"].(string)
	return v
}

func (o object) etag() string { return `W/"` + o.version() + `"` }

func ok(o object) *answer {
	a := &answer{status: http.StatusOK, header: http.Header{}, body: o.json()}
	a.header.Set("Content-Type", fhir.MediaType)
	if o.version() != "" {
		a.header.Set("ETag", o.etag())
	}
	return a
}

// refuse is an error in the server's own words.
func (s *server) refuse(status int, code string) *answer {
	if s.endpoint.System == campus.PACS {
		return s.refuseImage(status, code)
	}
	return refuse(status, code)
}

// refuse is an OperationOutcome.
func refuse(status int, code string) *answer {
	a := ok(object{"resourceType": "OperationOutcome", "issue": []any{map[string]any{"severity": "error", "code": code}}})
	a.status = status
	return a
}
