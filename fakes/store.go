package fakes

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// store is one committed state. A replica follows the log of its original.
type store struct {
	hospital *Hospital
	id       campus.StoreID
	issuer   string // of its patients, empty for all

	mu      sync.Mutex
	current map[string]object // "Type/id"
	order   []string          // keys in order of creation
	history map[string][]version
	nextID  int
	log     []change
	images  []*instance // as they came

	original *store // nil once it is one itself
	lag      time.Duration
	applied  int
	renamed  map[string]string // the original's key to this store's
}

type change struct {
	at     time.Time
	key    string
	to     object // nil: deleted
	nextID int    // of the store, behind it
}

// version is one state of a resource, nil after a deletion.
type version struct {
	at     time.Time
	method string
	to     object
}

// firstID is the first id of every store, so that equal ids mean different people.
const firstID = 1001

func newStore(h *Hospital, id campus.StoreID) *store {
	return &store{hospital: h, id: id, current: map[string]object{}, history: map[string][]version{}, nextID: firstID}
}

// newReplica begins with somebody nobody asked for, who takes the first id.
func newReplica(h *Hospital, id campus.StoreID, original *store, lag time.Duration) *store {
	s := newStore(h, id)
	s.original, s.lag, s.renamed = original, lag, map[string]string{}
	s.put("Patient", s.newID(), object{"resourceType": "Patient", "name": []any{map[string]any{"text": "另一个人"}}}, time.Now())
	return s
}

// load puts resources in as they are, ids included; the server's own begin above.
func (s *store) load(list []object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID += 1000
	now := time.Now()
	for _, o := range list {
		s.put(o.typ(), o.id(), o, now)
	}
}

// newID never gives an id twice; seeds bring ids that are no numbers.
func (s *store) newID() string {
	s.nextID++
	return strconv.Itoa(s.nextID - 1)
}

// put writes a new version and logs it; it requires the lock.
func (s *store) put(typ, id string, o object, now time.Time) object {
	key := typ + "/" + id
	method := http.MethodPut
	if _, exists := s.current[key]; !exists {
		s.order = append(s.order, key)
		method = http.MethodPost
	}
	o = o.clone()
	meta, _ := o["meta"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["versionId"] = strconv.Itoa(len(s.history[key]) + 1)
	meta["lastUpdated"] = now.UTC().Format("2006-01-02T15:04:05.000Z")
	o["id"], o["meta"] = id, meta
	s.current[key] = o
	s.history[key] = append(s.history[key], version{now, method, o})
	s.log = append(s.log, change{now, key, o, s.nextID})
	return o
}

// remove deletes; it requires the lock.
func (s *store) remove(key string, now time.Time) {
	delete(s.current, key)
	s.order = slices.DeleteFunc(s.order, func(k string) bool { return k == key })
	s.history[key] = append(s.history[key], version{now, http.MethodDelete, nil})
	s.log = append(s.log, change{now, key, nil, s.nextID})
}

func (s *store) read(typ, id string) *answer {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	key := typ + "/" + id
	o, found := s.current[key]
	switch {
	case !found && len(s.history[key]) > 0:
		return refuse(http.StatusGone, "deleted")
	case !found:
		return refuse(http.StatusNotFound, "not-found")
	}
	return ok(o)
}

// catchUp applies what the replica's lag lets through, under ids of its own.
func (s *store) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.original == nil {
		return
	}
	s.original.mu.Lock()
	log, images := s.original.log, s.original.images
	s.original.mu.Unlock()
	until := time.Now().Add(-s.lag)
	s.images = append(s.images, images[len(s.images):max(len(s.images), imagesUntil(images, until))]...)
	from := s.applied
	for s.applied < len(log) && !log[s.applied].at.After(until) {
		key := log[s.applied].key
		if s.renamed[key] == "" {
			typ, _, _ := strings.Cut(key, "/")
			s.renamed[key] = typ + "/" + s.newID()
		}
		s.applied++
	}
	for _, c := range log[from:s.applied] {
		typ, id, _ := strings.Cut(s.renamed[c.key], "/")
		if c.to == nil {
			s.remove(s.renamed[c.key], c.at)
			continue
		}
		o := c.to.clone()
		rename(map[string]any(o), s.renamed)
		s.put(typ, id, o, c.at)
	}
}

// rename rewrites literal references, relative or under the servers' own name,
// also to a version.
func rename(v any, names map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["reference"].(string); ok {
			key, _, _ := strings.Cut(ref, "/_history/")
			if i := strings.Index(key, ".group.test/fhir/"); i >= 0 {
				key = key[i+len(".group.test/fhir/"):]
			}
			if names[key] != "" {
				v["reference"] = names[key]
			}
		}
		for _, child := range v {
			rename(child, names)
		}
	case []any:
		for _, child := range v {
			rename(child, names)
		}
	}
}

func (s *store) count(typ, issuer, value string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key, o := range s.current {
		if strings.HasPrefix(key, typ+"/") && hasIdentifier(o, issuer, value) {
			n++
		}
	}
	return n
}

func (s *store) all(typ string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out [][]byte
	for _, key := range s.order {
		if o := s.current[key]; o.typ() == typ {
			out = append(out, o.json())
		}
	}
	return out
}

func identifiers(o object) []map[string]any {
	list, _ := o["identifier"].([]any)
	var out []map[string]any
	for _, i := range list {
		if m, ok := i.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func hasIdentifier(o object, system, value string) bool {
	return slices.ContainsFunc(identifiers(o), func(m map[string]any) bool {
		return m["system"] == system && m["value"] == value
	})
}

func numbersOf(o object) []string {
	var out []string
	for _, m := range identifiers(o) {
		out = append(out, fmt.Sprint(o.typ(), "|", m["system"], "|", m["value"]))
	}
	return out
}

// entry is one write of a transaction.
type entry struct {
	method, typ, id string
	fullURL         string
	resource        object
	ifMatch         string
	conditional     bool
	ifNoneExist     string
	mustBeNew       bool

	existing []string // what ifNoneExist found
}

type result struct {
	status   int
	resource object
	created  []string
	changed  bool
}

// commit runs writes: all or none. A racy server looks, lets time pass, then
// acts on what it saw; versions are compared at the moment of writing.
func (s *server) commit(entries []entry) ([]result, *answer) {
	st, p := s.store, s.hospital.personality
	for i := range entries {
		if e := &entries[i]; e.conditional && !soundCondition(e) {
			return nil, refuse(http.StatusBadRequest, "invalid")
		}
	}
	st.mu.Lock()
	conditional := st.look(entries)
	if conditional && !p.AtomicCreate {
		st.mu.Unlock()
		time.Sleep(p.RaceWindow) //nolint:forbidigo // the window is the point, and outlives the client
		st.mu.Lock()
	}
	defer st.mu.Unlock()
	if bad := st.check(entries, p); bad != nil {
		return nil, bad
	}
	assigned := st.assign(entries)
	results, now := make([]result, len(entries)), time.Now()
	for i := range entries {
		results[i] = st.apply(&entries[i], assigned, now)
		s.hospital.ledger.create(results[i].created)
	}
	return results, nil
}

// soundCondition refuses an If-None-Exist that would match everything, or nothing.
func soundCondition(e *entry) bool {
	query, err := parseQuery(e.ifNoneExist)
	if err != nil || len(query) == 0 {
		return false
	}
	for name, values := range query {
		if _, known := parameterOf(e.typ, name); !known || slices.Contains(values, "") {
			return false
		}
	}
	return true
}

// look evaluates the conditions of conditional creates.
func (s *store) look(entries []entry) bool {
	conditional := false
	for i := range entries {
		e := &entries[i]
		if !e.conditional {
			continue
		}
		conditional = true
		query, _ := parseQuery(e.ifNoneExist)
		for _, key := range s.order {
			if o := s.current[key]; o.typ() == e.typ && s.matchesAll(o, e.typ, query) {
				e.existing = append(e.existing, key)
			}
		}
	}
	return conditional
}

// check refuses before anything is written.
func (s *store) check(entries []entry, p Personality) *answer {
	seen := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		if e.method != http.MethodDelete && e.resource.typ() != e.typ {
			return refuse(http.StatusBadRequest, "structure")
		}
		if len(e.existing) > 1 {
			return refuse(http.StatusPreconditionFailed, "multiple-matches")
		}
		if e.method == http.MethodPost || e.conditional {
			continue
		}
		key := e.typ + "/" + e.id
		old, exists := s.current[key]
		switch {
		case e.method == http.MethodDelete && !exists && len(s.history[key]) > 0:
			return refuse(http.StatusGone, "deleted")
		case e.method == http.MethodDelete && !exists:
			return refuse(http.StatusNotFound, "not-found")
		case (e.method == http.MethodPut && e.resource.id() != e.id) || seen[key]:
			return refuse(http.StatusBadRequest, "invalid")
		case !exists && e.ifMatch != "":
			return refuse(http.StatusPreconditionFailed, "conflict")
		case !exists && p.NoUpdateCreate:
			return refuse(http.StatusMethodNotAllowed, "not-supported")
		case exists && e.mustBeNew && !p.NoUpdateCreate:
			return refuse(http.StatusPreconditionFailed, "conflict")
		case exists && e.ifMatch != "" && e.ifMatch != old.etag() && !p.IgnoreIfMatch:
			return refuse(http.StatusPreconditionFailed, "conflict")
		}
		seen[key] = true
	}
	return nil
}

// assign gives ids to what will be created and maps urn:uuid references.
func (s *store) assign(entries []entry) map[string]string {
	names := map[string]string{}
	for i := range entries {
		e := &entries[i]
		if e.method == http.MethodPost || e.conditional {
			if e.id = s.newID(); len(e.existing) == 1 {
				_, e.id, _ = strings.Cut(e.existing[0], "/")
			}
		}
		if e.fullURL != "" {
			names[e.fullURL] = e.typ + "/" + e.id
		}
	}
	return names
}

func (s *store) apply(e *entry, names map[string]string, now time.Time) result {
	key := e.typ + "/" + e.id
	switch {
	case len(e.existing) == 1 && e.method == http.MethodPost:
		return result{status: http.StatusOK, resource: s.current[key]}
	case e.method == http.MethodDelete:
		s.remove(key, now)
		return result{status: http.StatusNoContent, changed: true}
	}
	old, exists := s.current[key]
	o := e.resource.clone()
	rename(map[string]any(o), names)
	r := result{status: http.StatusOK, resource: s.put(e.typ, e.id, o, now), changed: true}
	if !exists {
		r.status = http.StatusCreated
	}
	if exists || e.conditional {
		had := numbersOf(old)
		r.created = slices.DeleteFunc(numbersOf(o), func(n string) bool { return slices.Contains(had, n) })
	}
	return r
}

// transaction runs a Bundle.
func (s *server) transaction(in *request) *answer {
	if in.body.typ() != "Bundle" || in.body.str("type") != "transaction" {
		return refuse(http.StatusBadRequest, "invalid")
	}
	list, _ := in.body["entry"].([]any)
	entries := make([]entry, 0, len(list))
	for _, v := range list {
		e, good := parseEntry(v)
		if !good {
			return refuse(http.StatusBadRequest, "invalid")
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return refuse(http.StatusBadRequest, "invalid")
	}
	results, bad := s.commit(entries)
	if bad != nil {
		return bad
	}
	out := make([]any, len(results))
	var created []string
	changed := false
	for i, r := range results {
		created, changed = append(created, r.created...), changed || r.changed
		out[i] = s.answered(r)
	}
	a := ok(object{"resourceType": "Bundle", "type": "transaction-response", "entry": out})
	a.created, a.changed = created, changed
	return a
}

// answered is an entry of the answer to a Bundle.
func (s *server) answered(r result) any {
	status := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if r.resource == nil {
		return map[string]any{"response": map[string]any{"status": status}}
	}
	return map[string]any{
		"fullUrl":  fmt.Sprintf("%s/%s/%s", s.alias(), r.resource.typ(), r.resource.id()),
		"resource": map[string]any(r.resource),
		"response": map[string]any{
			"status": status, "etag": r.resource.etag(),
			"location": fmt.Sprintf("%s/%s/_history/%s", r.resource.typ(), r.resource.id(), r.resource.version()),
		},
	}
}

func parseEntry(v any) (entry, bool) {
	m, _ := v.(map[string]any)
	req, _ := m["request"].(map[string]any)
	res, _ := m["resource"].(map[string]any)
	e := entry{resource: object(res)}
	e.fullURL, _ = m["fullUrl"].(string)
	e.method, _ = req["method"].(string)
	e.ifMatch, _ = req["ifMatch"].(string)
	e.ifNoneExist, e.conditional = req["ifNoneExist"].(string)
	e.mustBeNew = req["ifNoneMatch"] == "*"
	target, _ := req["url"].(string)
	e.typ, e.id, _ = strings.Cut(strings.Trim(target, "/"), "/")
	switch {
	case (res == nil) != (e.method == http.MethodDelete) || e.typ == "" || strings.ContainsAny(e.id, "/?"):
		return e, false
	case e.method == http.MethodPost:
		return e, e.id == ""
	}
	return e, (e.method == http.MethodPut || e.method == http.MethodDelete) && e.id != ""
}
