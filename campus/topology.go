package campus

import (
	"maps"
	"net/url"
	"slices"
	"time"
)

// Names of things in a [Description]. They are short, stable, and appear in
// logs and metrics: letters, digits, '-', '_' and '.', at most 64.
type (
	// OrganizationID names a legal entity.
	OrganizationID string
	// ID names a campus.
	ID string
	// DataCenterID names a data centre.
	DataCenterID string
	// EnvironmentID names a deployment environment, such as A or B of a grey release.
	EnvironmentID string
	// SystemID names a system.
	SystemID string
	// StoreID names a store.
	StoreID string
	// EndpointID names an endpoint.
	EndpointID string
)

// The four core systems, and the one that holds imaging orders, slots and reports
// beside a PACS. Others may be named freely.
const (
	HIS  SystemID = "his"
	EMR  SystemID = "emr"
	LIS  SystemID = "lis"
	PACS SystemID = "pacs"
	RIS  SystemID = "ris"
)

// Description is a hospital group as plain data, the input of [New].
type Description struct {
	// Version numbers this description, for people and for [Topology.Version]. Zero is allowed.
	Version       int64
	Organizations []Organization
	Campuses      []Campus
	DataCenters   []DataCenter `yaml:"datacenters"`
	// Environments may be empty where there is only one.
	Environments []Environment
	Systems      []System
	Stores       []Store
	Endpoints    []Endpoint
}

// Organization is a legal entity (机构/法人): invoices, insurance and permission follow it.
type Organization struct {
	ID   OrganizationID
	Name string
}

// Campus is a site where patients are treated (院区).
type Campus struct {
	ID           ID
	Name         string
	Organization OrganizationID
	// Home is the data centre its calls try first.
	Home DataCenterID
	// Environment is the one its calls prefer; empty where there are none.
	Environment EnvironmentID
	// PatientIssuer is the identifier system of the patient numbers it issues
	// (PatientID.Issuer). Where calls ask across campuses, one that has an issuer of its
	// own is asked only by a number of that issuer; empty means by whatever number there is.
	PatientIssuer string
}

// Role says what a data centre is for.
type Role string

// Roles of a data centre.
const (
	// Active centres serve all day.
	Active Role = "active"
	// Standby centres hold a copy; they are read where declared readable, and
	// written only after a description names them a writer.
	Standby Role = "standby"
)

// DataCenter is a place where endpoints run (数据中心).
type DataCenter struct {
	ID   DataCenterID
	Name string
	Role Role
}

// Environment is one of the parallel deployments of a release.
type Environment struct {
	ID EnvironmentID
}

// System is a kind of server: his, emr, lis, pacs, or any other of the group.
type System struct {
	ID SystemID
	// CampusBy says how a request names its campus where one system serves
	// several; the zero value sends nothing.
	CampusBy CampusBy
}

// CampusBy is where a request carries its campus.
type CampusBy struct {
	// In is "path" (a segment before the resource), "header", "query", or empty for nowhere.
	In string
	// Name is the header's or query parameter's name.
	Name string
	// Values are the system's own words for the campuses; a campus without one is sent by its ID.
	Values map[ID]string
}

// Word is the system's word for a campus.
func (b CampusBy) Word(id ID) string {
	if w := b.Values[id]; w != "" {
		return w
	}
	return string(id)
}

// Store is one committed state (存储): data, ids, versions, fate.
type Store struct {
	ID StoreID
	// ReplicaOf names the store this one copies, empty for an original.
	ReplicaOf StoreID
	// Lag bounds how far a replica may be behind; zero means unknown. Declare it: session
	// reads are answered by a replica only once it must have what the client wrote or has
	// been shown, so by one of unknown lag not at all after that.
	Lag time.Duration
	// Writers are the data centres whose endpoints take writes. Empty means every
	// active one, for an original, and none for a replica.
	Writers []DataCenterID
	// Epoch rises when ids and versions may have been issued again: after a
	// promotion or a restore to an earlier point.
	Epoch int64
	// RolePath, such as /primary, is asked below each endpoint's URL where only one
	// of the writers writes at a time: 200 is the one that does, any other status is
	// not. Empty means that all writers write.
	RolePath string
}

// Endpoint is one system in one data centre and environment: a door to one store.
type Endpoint struct {
	// ID defaults to system/datacenter or system/datacenter/environment.
	ID          EndpointID
	System      SystemID
	DataCenter  DataCenterID `yaml:"datacenter"`
	Environment EnvironmentID
	Store       StoreID
	// URL is the base address this SDK uses, such as https://10.1.2.3/fhir.
	URL string
	// Aliases are base addresses by which the server names itself in links.
	Aliases []string
	// Campuses it serves; empty means all.
	Campuses []ID
	// Readable lets reads that tolerate lag use an endpoint of a replica.
	Readable bool
	// Drained takes the endpoint out for every process that reads this description.
	// What may safely be repeated still goes there when nobody else is left.
	Drained bool
	// Fenced takes it out like Drained, and without that exception.
	Fenced bool
	// Front is "vip" where URL is the name of a balancer that chooses the site by
	// itself; empty where it is one site's.
	Front Front
	// HealthPath, such as /health/ready, is asked below URL while there is traffic:
	// 503 means that the endpoint's balancer takes it out. Empty means that there is none.
	HealthPath string
	// HTTP2 speaks HTTP/2 and nothing else; URL must be https. Requests that a server
	// refuses while it closes cannot be told from lost ones there.
	HTTP2 bool `yaml:"http2"`
	// AllowPlainHTTP permits an http URL that is not on the loopback interface.
	AllowPlainHTTP bool
	// DICOMweb is how the server speaks that, where it does.
	DICOMweb DICOMweb `yaml:"dicomweb"`
	// Contract is what the server was proved to honour.
	Contract Contract

	index   int
	base    *url.URL
	aliases []*url.URL
	store   *Store
	role    Role
}

// DICOMweb is what differs from one DICOMweb server (PS3.18) to another. The zero
// value is one that follows the standard and names the issuer of each number.
type DICOMweb struct {
	// RawQuery is for a server that does not percent-decode a query's values: they are
	// sent to it as they are, with the wildcard * for what cannot be (Chinese, spaces).
	// What it then finds too much is dropped here: with nothing but a Chinese name to
	// search by, that is all there is.
	RawQuery bool
	// PatientIssuer is the issuer (PatientID.Issuer) of the patient IDs that the server
	// holds without one (0010,0021). Empty means nobody's: such are not taken for
	// anybody's.
	PatientIssuer string
	// AccessionIssuer is the same of accession numbers (0008,0051). Some servers never send
	// that: set it only where all their numbers are of one issuer.
	AccessionIssuer string
	// IssuerNames are the server's own words for issuers: the key is the issuer as this
	// program names it (PatientID.Issuer), the value is what the server calls it (0010,0021
	// or 0008,0051). One that is missing is called by the same name on both sides.
	IssuerNames map[string]string
}

// Front is what stands at an endpoint's address.
type Front string

// Values of [Front].
const (
	// Site is one data centre's own address. It is the zero value's meaning.
	Site Front = ""
	// VIP is a balancer's. The SDK chooses no site then: a request that is sent again
	// goes over a new connection and the balancer chooses. Classification, retries,
	// the breaker, unknown outcomes and drains hold; that the peer is asked at once,
	// that a store's doors are known apart, and who answered (Origin names the
	// balancer's entry) do not.
	VIP Front = "vip"
)

// ConditionalCreate says what If-None-Exist is worth on a server.
type ConditionalCreate string

// Values of [ConditionalCreate].
const (
	// Racy servers look, then insert: two requests in flight can both create.
	// It is the zero value's meaning.
	Racy ConditionalCreate = "racy"
	// Atomic servers hold a lock or a unique key over both.
	Atomic ConditionalCreate = "atomic"
)

// DefaultServerTimeout is how long a request given up may still run.
const DefaultServerTimeout = 30 * time.Second

// Contract is what an endpoint was proved to honour. A header it accepts is no
// proof; the zero value promises least.
type Contract struct {
	// ConditionalCreate defaults to [Racy].
	ConditionalCreate ConditionalCreate
	// Versioning: If-Match with a stale version always fails with 412, also
	// inside a transaction.
	Versioning bool
	// UpdateCreate: a PUT to an id that does not exist creates it, once. Of an archive: an
	// instance that is stored again is stored once.
	UpdateCreate bool
	// NotExecuted are statuses that always mean nothing was done, beside 421, 425 and 429.
	NotExecuted []int
	// RollsBackOn5xx: a 500 with an OperationOutcome always means nothing was done.
	RollsBackOn5xx bool
	// ServerTimeout is after how long a request whose answer was lost has surely
	// ended. Zero means [DefaultServerTimeout].
	ServerTimeout time.Duration
}

// MaxRun is [Contract.ServerTimeout] with its default.
func (c Contract) MaxRun() time.Duration {
	if c.ServerTimeout == 0 {
		return DefaultServerTimeout
	}
	return c.ServerTimeout
}

// Topology is a checked, immutable [Description]. It is safe for concurrent use.
type Topology struct {
	version   int64
	campuses  map[ID]*Campus
	systems   map[SystemID]*System
	endpoints []*Endpoint
	routes    map[routeKey]Route
}

// Version returns [Description.Version].
func (t *Topology) Version() int64 { return t.version }

// Campus returns the campus, nil when it is unknown. It must not be changed.
func (t *Topology) Campus(id ID) *Campus { return t.campuses[id] }

// Campuses returns every campus's ID, in order.
func (t *Topology) Campuses() []ID { return slices.Sorted(maps.Keys(t.campuses)) }

// System returns the system, nil when it is unknown. It must not be changed.
func (t *Topology) System(id SystemID) *System { return t.systems[id] }

// Endpoints returns every endpoint, each at the place [Endpoint.Index] says.
// The slice and what it points to must not be changed.
func (t *Topology) Endpoints() []*Endpoint { return t.endpoints }

// Name is the endpoint's ID, with its default: system/datacenter or
// system/datacenter/environment.
func (e *Endpoint) Name() EndpointID {
	if e.ID != "" {
		return e.ID
	}
	id := EndpointID(string(e.System) + "/" + string(e.DataCenter))
	if e.Environment != "" {
		id += EndpointID("/" + e.Environment)
	}
	return id
}

// Index is the endpoint's place in [Topology.Endpoints].
func (e *Endpoint) Index() int { return e.index }

// Base is the parsed URL; it must not be changed.
func (e *Endpoint) Base() *url.URL { return e.base }

// StoreOf returns the store behind the endpoint; it must not be changed.
func (e *Endpoint) StoreOf() *Store { return e.store }

// Role returns the role of the endpoint's data centre.
func (e *Endpoint) Role() Role { return e.role }

// Serves reports whether the endpoint serves the campus.
func (e *Endpoint) Serves(c ID) bool {
	for _, id := range e.Campuses {
		if id == c {
			return true
		}
	}
	return len(e.Campuses) == 0
}

// Writes reports whether the endpoint takes writes.
func (e *Endpoint) Writes() bool {
	for _, dc := range e.store.Writers {
		if dc == e.DataCenter {
			return true
		}
	}
	return len(e.store.Writers) == 0 && e.store.ReplicaOf == "" && e.role == Active
}
