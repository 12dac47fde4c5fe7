package campus

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hospital-go/hospital/internal/link"
)

// ErrInvalid is what [New]'s error is, for errors.Is.
var ErrInvalid = errors.New("campus: invalid description")

// Fault is one mistake in a [Description].
type Fault struct {
	// Place is where, such as endpoints[3].store.
	Place string
	// Problem says what is wrong and what would be right.
	Problem string
}

// Faults is every mistake found, in the order of the description. It is an [ErrInvalid].
type Faults []Fault //nolint:errname // a list of Fault

func (f Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "campus: %d mistakes in the description:", len(f))
	for _, fault := range f {
		fmt.Fprintf(&b, "\n  %s: %s", fault.Place, fault.Problem)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrInvalid) hold.
func (f Faults) Is(target error) bool { return target == ErrInvalid }

// New checks d and returns its Topology. The error is [Faults], listing every
// mistake at once; rules between endpoints (one writer, one store per address)
// are looked at once the single parts are sound. d is copied.
func New(d Description) (*Topology, error) {
	c := &checker{d: clone(d)}
	c.check()
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return c.build(), nil
}

// clone copies what New keeps, so that a caller who changes d later changes nothing here.
func clone(d Description) Description {
	d.Organizations = slices.Clone(d.Organizations)
	d.Campuses = slices.Clone(d.Campuses)
	d.DataCenters = slices.Clone(d.DataCenters)
	d.Environments = slices.Clone(d.Environments)
	d.Systems = slices.Clone(d.Systems)
	for i := range d.Systems {
		d.Systems[i].CampusBy.Values = maps.Clone(d.Systems[i].CampusBy.Values)
	}
	d.Stores = slices.Clone(d.Stores)
	for i := range d.Stores {
		d.Stores[i].Writers = slices.Clone(d.Stores[i].Writers)
	}
	d.Endpoints = slices.Clone(d.Endpoints)
	for i := range d.Endpoints {
		e := &d.Endpoints[i]
		e.Aliases, e.Campuses = slices.Clone(e.Aliases), slices.Clone(e.Campuses)
		e.Contract.NotExecuted = slices.Clone(e.Contract.NotExecuted)
		e.DICOMweb.IssuerNames = maps.Clone(e.DICOMweb.IssuerNames)
	}
	return d
}

// checker collects faults; each method reads like the rule it enforces.
type checker struct {
	d      Description
	faults Faults

	organizations map[OrganizationID]int
	campuses      map[ID]int
	centers       map[DataCenterID]int
	environments  map[EnvironmentID]int
	systems       map[SystemID]int
	stores        map[StoreID]int
	endpoints     map[EndpointID]int
}

func (c *checker) fault(place, format string, args ...any) {
	c.faults = append(c.faults, Fault{Place: place, Problem: fmt.Sprintf(format, args...)})
}

var validName = regexp.MustCompile(`^[\pL\pN_.-]{1,64}$`)

// index notes the IDs of a list and faults the empty, malformed and repeated ones.
func index[T any, K ~string](c *checker, list string, items []T, id func(*T) K) map[K]int {
	out := make(map[K]int, len(items))
	for i := range items {
		key := id(&items[i])
		if list == "endpoints" && key == "" {
			continue // its system or data centre is missing, which is said there
		}
		place := fmt.Sprintf("%s[%d].id", list, i)
		if first, twice := out[key]; twice {
			c.fault(place, "%q is already the id of %s[%d]", key, list, first)
			continue
		}
		if !soundName(string(key), list == "endpoints") {
			c.fault(place, "%q must be 1 to 64 letters, digits, '-', '_' or '.'", key)
		}
		out[key] = i
	}
	return out
}

// soundName keeps names fit for host names, paths and metrics. An endpoint's may
// have parts.
func soundName(name string, parts bool) bool {
	if !parts {
		return validName.MatchString(name) && strings.Trim(name, ".") != ""
	}
	for part := range strings.SplitSeq(name, "/") {
		if !soundName(part, false) {
			return false
		}
	}
	return true
}

// refers faults a reference to what is not listed.
func refers[K ~string](c *checker, place string, key K, known map[K]int, what string) bool {
	if _, ok := known[key]; ok {
		return true
	}
	if key == "" {
		c.fault(place, "must name a %s", what)
	} else {
		c.fault(place, "%q is no %s; known: %s", key, what, joined(known))
	}
	return false
}

func joined[K ~string](known map[K]int) string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, string(k))
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (c *checker) check() {
	d := &c.d
	c.organizations = index(c, "organizations", d.Organizations, func(o *Organization) OrganizationID { return o.ID })
	c.centers = index(c, "datacenters", d.DataCenters, func(x *DataCenter) DataCenterID { return x.ID })
	c.environments = index(c, "environments", d.Environments, func(x *Environment) EnvironmentID { return x.ID })
	c.campuses = index(c, "campuses", d.Campuses, func(x *Campus) ID { return x.ID })
	c.systems = index(c, "systems", d.Systems, func(x *System) SystemID { return x.ID })
	c.stores = index(c, "stores", d.Stores, func(x *Store) StoreID { return x.ID })
	for i := range d.Endpoints {
		if e := &d.Endpoints[i]; e.System != "" && e.DataCenter != "" {
			e.ID = e.Name()
		}
	}
	c.endpoints = index(c, "endpoints", d.Endpoints, func(x *Endpoint) EndpointID { return x.ID })
	if d.Version < 0 {
		c.fault("version", "must not be negative")
	}
	if len(d.Campuses) == 0 {
		c.fault("campuses", "there must be at least one")
	}
	for i := range d.DataCenters {
		c.dataCenter(i)
	}
	for i := range d.Campuses {
		c.campus(i)
	}
	for i := range d.Systems {
		c.system(i)
	}
	for i := range d.Stores {
		c.store(i)
	}
	for i := range d.Endpoints {
		c.endpoint(i)
	}
	c.oneWriterStore()
}

func (c *checker) dataCenter(i int) {
	if role := c.d.DataCenters[i].Role; role != Active && role != Standby {
		c.fault(fmt.Sprintf("datacenters[%d].role", i), "%q must be %q or %q", role, Active, Standby)
	}
}

func (c *checker) campus(i int) {
	x, place := &c.d.Campuses[i], fmt.Sprintf("campuses[%d]", i)
	c.issuer(place+".patientIssuer", x.PatientIssuer)
	refers(c, place+".organization", x.Organization, c.organizations, "organization")
	if refers(c, place+".home", x.Home, c.centers, "data centre") && c.d.DataCenters[c.centers[x.Home]].Role == Standby {
		c.fault(place+".home", "%q is a standby; a campus's home must be active", x.Home)
	}
	c.environment(place, x.Environment)
}

func (c *checker) environment(place string, id EnvironmentID) {
	if id != "" || len(c.environments) > 0 {
		refers(c, place+".environment", id, c.environments, "environment")
	}
}

func (c *checker) system(i int) {
	x, place := &c.d.Systems[i], fmt.Sprintf("systems[%d].campusBy", i)
	switch x.CampusBy.In {
	case "":
		if x.CampusBy.Name != "" || len(x.CampusBy.Values) > 0 {
			c.fault(place+".in", "must be path, header or query, where name or values are given")
		}
	case "path":
	case "header", "query":
		if !validParameter.MatchString(x.CampusBy.Name) || slices.Contains(reservedHeaders, strings.ToLower(x.CampusBy.Name)) {
			c.fault(place+".name", "must name the %s by letters, digits and '-', and not one that HTTP or FHIR uses", x.CampusBy.In)
		}
	default:
		c.fault(place+".in", "%q must be path, header, query or empty", x.CampusBy.In)
	}
	words := map[string]ID{}
	for _, id := range slices.Sorted(maps.Keys(x.CampusBy.Values)) {
		refers(c, place+".values", id, c.campuses, "campus")
		word := x.CampusBy.Values[id]
		if !soundName(word, false) {
			c.fault(place+".values", "the word for %q must be 1 to 64 letters, digits, '-', '_' or '.'", id)
		}
		if other, twice := words[word]; twice {
			c.fault(place+".values", "%q and %q have the same word", other, id)
		}
		words[word] = id
	}
}

// validParameter starts with a letter, which keeps FHIR's own (_id) out.
var validParameter = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// reservedHeaders must not be overwritten with a campus.
var reservedHeaders = []string{
	"accept", "authorization", "connection", "content-length", "content-type", "cookie", "host", "if-match", "if-none-exist",
	"if-none-match", "prefer", "transfer-encoding", "upgrade", "user-agent", "x-request-id",
}

func (c *checker) store(i int) {
	x, place := &c.d.Stores[i], fmt.Sprintf("stores[%d]", i)
	if x.ReplicaOf != "" && refers(c, place+".replicaOf", x.ReplicaOf, c.stores, "store") {
		if original := c.d.Stores[c.stores[x.ReplicaOf]]; original.ReplicaOf != "" {
			c.fault(place+".replicaOf", "%q is itself a replica; name the original", x.ReplicaOf)
		}
	}
	if x.Lag < 0 {
		c.fault(place+".lag", "must not be negative")
	}
	if x.Epoch < 0 {
		c.fault(place+".epoch", "must not be negative")
	}
	c.path(place+".rolePath", x.RolePath)
	for j, dc := range x.Writers {
		at := fmt.Sprintf("%s.writers[%d]", place, j)
		if refers(c, at, dc, c.centers, "data centre") && !slices.ContainsFunc(c.d.Endpoints, func(e Endpoint) bool {
			return e.Store == x.ID && e.DataCenter == dc
		}) {
			c.fault(at, "no endpoint of store %q is in %q", x.ID, dc)
		}
	}
}

func (c *checker) endpoint(i int) {
	x, place := &c.d.Endpoints[i], fmt.Sprintf("endpoints[%d]", i)
	refers(c, place+".system", x.System, c.systems, "system")
	if refers(c, place+".datacenter", x.DataCenter, c.centers, "data centre") {
		x.role = c.d.DataCenters[c.centers[x.DataCenter]].Role
	}
	if refers(c, place+".store", x.Store, c.stores, "store") {
		x.store = &c.d.Stores[c.stores[x.Store]]
	}
	c.environment(place, x.Environment)
	for j, id := range x.Campuses {
		refers(c, fmt.Sprintf("%s.campuses[%d]", place, j), id, c.campuses, "campus")
	}
	if x.Contract.ConditionalCreate != "" && x.Contract.ConditionalCreate != Racy && x.Contract.ConditionalCreate != Atomic {
		c.fault(place+".contract.conditionalCreate", "%q must be %q or %q", x.Contract.ConditionalCreate, Racy, Atomic)
	}
	if t := x.Contract.ServerTimeout; t != 0 && (t < minServerTimeout || t > maxServerTimeout) {
		c.fault(place+".contract.serverTimeout", "must be from %s to %s, the time after which a lost request has surely ended; 0 means %s",
			minServerTimeout, maxServerTimeout, DefaultServerTimeout)
	}
	for j, status := range x.Contract.NotExecuted {
		if status < 400 || status > 599 {
			c.fault(fmt.Sprintf("%s.contract.notExecuted[%d]", place, j), "%d must be a status from 400 to 599", status)
		}
	}
	if x.Front != Site && x.Front != VIP {
		c.fault(place+".front", "%q must be %q or empty", x.Front, VIP)
	}
	if x.HTTP2 && !strings.HasPrefix(x.URL, "https:") {
		c.fault(place+".http2", "needs an https url")
	}
	c.path(place+".healthPath", x.HealthPath)
	c.dicomweb(place+".dicomweb", x.DICOMweb)
	x.base = c.url(place+".url", x.URL, x.AllowPlainHTTP)
	x.aliases = nil
	for j, alias := range x.Aliases {
		x.aliases = append(x.aliases, c.url(fmt.Sprintf("%s.aliases[%d]", place, j), alias, true))
	}
}

// dicomweb: two issuers of one name would make two people one.
func (c *checker) dicomweb(place string, d DICOMweb) {
	c.issuer(place+".patientIssuer", d.PatientIssuer)
	c.issuer(place+".accessionIssuer", d.AccessionIssuer)
	seen := map[string]bool{}
	for _, issuer := range slices.Sorted(maps.Keys(d.IssuerNames)) {
		name := d.IssuerNames[issuer]
		c.issuer(place+".issuerNames", issuer)
		c.issuer(place+".issuerNames", name)
		if name == "" || seen[name] || (d.IssuerNames[name] != "" && name != issuer) {
			c.fault(place+".issuerNames", "%q must be the name of one issuer", name)
		}
		seen[name] = true
	}
}

// issuer checks an identifier system, which must not change a search.
func (c *checker) issuer(place, text string) {
	if len(text) > 256 || strings.ContainsAny(text, "|\\,$\n\r\x00") {
		c.fault(place, "must be an identifier system of at most 256 characters and none of | , \\ $")
	}
}

// path checks what is asked below an endpoint's URL.
func (c *checker) path(place, text string) {
	if text != "" && !validPath.MatchString(text) {
		c.fault(place, "must begin with / and be a plain path, such as /health/ready")
	}
}

var validPath = regexp.MustCompile(`^(/[A-Za-z0-9_$-][A-Za-z0-9._$-]*)+$`)

// Bounds of Contract.ServerTimeout: sooner, a lost write could still be running.
const (
	minServerTimeout = 100 * time.Millisecond
	maxServerTimeout = time.Hour
)

// url parses a base address. The text itself is never repeated in the fault: it may hold a password.
func (c *checker) url(place, text string, allowPlain bool) *url.URL {
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.TrimSpace(text) != text || u.Hostname() == "" || !validPort(u.Port()) || (u.Scheme != "http" && u.Scheme != "https"):
		c.fault(place, "must be an absolute http or https URL")
		return nil
	case strings.ContainsAny(u.Path, "\\%;") || (strings.Trim(u.Path, "/") != "" && path.Clean(u.Path) != strings.TrimRight(u.Path, "/")):
		c.fault(place, "must have a plain path, without dot segments or empty ones")
	case u.User != nil:
		c.fault(place, "must carry no user or password; use credentials")
	case u.RawQuery != "" || u.Fragment != "":
		c.fault(place, "must have no query and no fragment")
	case u.Scheme == "http" && !allowPlain && !link.Loopback(u.Hostname()):
		c.fault(place, "is plain http; use https, or allow it for this endpoint with allowPlainHTTP")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return port == "" || (err == nil && n > 0 && n < 1<<16)
}

// oneWriterStore: a write must have one truth to go to.
func (c *checker) oneWriterStore() {
	if len(c.faults) > 0 {
		return // the rule needs sound references
	}
	c.oneWriterPerLineage()
	c.oneStorePerAddress()
	c.oneVIP()
	for _, sys := range c.d.Systems {
		for _, cam := range c.d.Campuses {
			var writer StoreID
			for i := range c.d.Endpoints {
				e := &c.d.Endpoints[i]
				if e.System != sys.ID || !e.Serves(cam.ID) || !e.Writes() {
					continue
				}
				if writer != "" && e.Store != writer {
					c.fault(fmt.Sprintf("endpoints[%d].store", i),
						"%s of campus %s would be written in two stores, %s and %s; make one a replica, or name campuses", sys.ID, cam.ID, writer, e.Store)
				}
				writer = e.Store
			}
		}
	}
}

// oneWriterPerLineage: of a store and its copies only one may be written, for
// whatever campus, or the data splits.
func (c *checker) oneWriterPerLineage() {
	writers := map[StoreID]StoreID{}
	for i := range c.d.Endpoints {
		e := &c.d.Endpoints[i]
		if !e.Writes() {
			continue
		}
		root := e.store.ReplicaOf
		if root == "" {
			root = e.Store
		}
		if other, ok := writers[root]; ok && other != e.Store {
			c.fault(fmt.Sprintf("endpoints[%d].store", i), "%s and %s, one the copy of the other, would both be written; name one writer", other, e.Store)
		}
		writers[root] = e.Store
	}
}

// oneStorePerAddress: one server cannot be two stores.
func (c *checker) oneStorePerAddress() {
	first := map[string]int{}
	for i := range c.d.Endpoints {
		e := &c.d.Endpoints[i]
		key := e.base.String()
		j, known := first[key]
		if known && (c.d.Endpoints[j].Store != e.Store || c.d.Endpoints[j].System == e.System) {
			c.fault(fmt.Sprintf("endpoints[%d].url", i), "is also the address of endpoints[%d]", j)
			continue
		}
		first[key] = i
	}
}

// oneVIP: behind a balancer's name there is no second site to choose.
func (c *checker) oneVIP() {
	for i := range c.d.Endpoints {
		e := &c.d.Endpoints[i]
		for j := range c.d.Endpoints {
			other := &c.d.Endpoints[j]
			if i != j && e.Front == VIP && e.System == other.System && other.role == Active && e.Environment == other.Environment && e.shares(other) {
				c.fault(fmt.Sprintf("endpoints[%d].front", i), "is a balancer's, so endpoints[%d] of the same system must not be listed beside it", j)
			}
		}
	}
}

// shares reports whether some campus is served by both.
func (e *Endpoint) shares(other *Endpoint) bool {
	return len(e.Campuses) == 0 || len(other.Campuses) == 0 || slices.ContainsFunc(e.Campuses, other.Serves)
}
