package fakes

import (
	"math/rand/v2"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Personality is what kind of servers these are.
type Personality struct {
	// AtomicCreate makes If-None-Exist a lock. The zero value is a racy server:
	// it looks, waits RaceWindow, then inserts, whether or not the client is still there.
	AtomicCreate bool
	// RaceWindow of a racy server; zero means 50 ms.
	RaceWindow time.Duration
	// IgnoreIfMatch makes versions no guard.
	IgnoreIfMatch bool
	// NoUpdateCreate refuses a PUT to an id that does not exist, with 405.
	NoUpdateCreate bool
	// IgnoreFilters makes searches return everything of the type; the self link
	// tells, unless LyingSelf is set.
	IgnoreFilters, LyingSelf bool
	// CacheSearches is how long an equal search gets the same result again, unless
	// it says Cache-Control: no-cache.
	CacheSearches time.Duration
	// PageSize of searches; zero means 20.
	PageSize int

	// What follows is DICOMweb's (PS3.18).

	// RawQuery servers do not percent-decode the values of a query.
	RawQuery bool
	// IgnoreUnknown makes searches ignore parameters they do not know. The zero value
	// refuses them with 400. IgnoreFilters ignores the others too.
	IgnoreUnknown bool
	// EmptyArray answers a search that finds nothing with 200 and [], not with 204.
	EmptyArray bool
	// PageCap is how many results a search has at most, whatever its limit; a Warning
	// tells of more. Zero means no bound.
	PageCap int
	// WholeNames makes searches compare names of persons as one text, with regard to case:
	// Zhang^Sanfeng does not find Zhang^Sanfeng=张^三丰, and Zhang^Sanfeng=* does.
	WholeNames bool
	// NoIssuer servers know no issuers: neither (0010,0021) nor (0008,0051) is
	// returned, and searches by them match everybody.
	NoIssuer bool
	// RefuseTranscoding answers 406 unless transfer-syntax=* was asked for, or the very
	// syntax in which it was stored; none asked for is explicit little endian (section
	// 8.7.3). The zero value tries to make that, lacks the codec and answers 500.
	RefuseTranscoding bool
	// NoLength sends studies and series as HTTP/1.0 did: no length of the whole, none
	// of its parts, not chunked; the connection's end is theirs. HTTP/1 only.
	NoLength bool
	// Nearline is how long it takes until images come: neither status nor headers
	// before, or with NearlineHeaders those at once and only the first byte late.
	Nearline        time.Duration
	NearlineHeaders bool
	// NoRendering answers 406 to everything rendered.
	NoRendering bool
	// Coerce makes STOW-RS change PatientName and PatientID in what it stores; UIDs and
	// pixels stay. It warns of it with B000.
	Coerce bool
	// RefuseDuplicates fails an instance that is there already with 45070. The zero value
	// lists it as stored, whatever its bytes, and keeps the old ones.
	RefuseDuplicates bool
	// BareParts makes STOW-RS skip parts whose Content-Type is anything but
	// application/dicom without parameters, and say nothing of them: 200, even when that
	// leaves none. The zero value stores them whatever their parameters, lists parts of
	// other types as failed, and refuses a request without parts with 400.
	BareParts bool
	// Keep is how many bytes of what is stored are kept, in all; of instances beyond it
	// only digest and attributes are. Zero means 256 MiB.
	Keep int64
	// BareErrors sends the JSON of errors without a Content-Type.
	BareErrors bool
}

// Option configures a [Hospital].
type Option func(*Hospital)

// WithPersonality chooses the kind of servers.
func WithPersonality(p Personality) Option { return func(h *Hospital) { h.personality = p } }

// WithContract declares what the servers honour, instead of the truth about the personality.
func WithContract(c campus.Contract) Option { return func(h *Hospital) { h.contract = &c } }

// WithLoopback serves on sockets of 127.0.0.1 instead of memory.
func WithLoopback() Option { return func(h *Hospital) { h.loopback = true } }

// WithLoopbackFrom is [WithLoopback] at the ports from port on, one per endpoint in
// the order of the description, so that addresses stay the same from run to run.
func WithLoopbackFrom(port int) Option {
	return func(h *Hospital) { h.loopback, h.firstPort = true, port }
}

// WithOwnLinks makes servers name themselves in links by the address they listen
// at, so that any client can follow them. The default is a name the servers share,
// as behind a balancer, which a client must know as an alias.
func WithOwnLinks() Option { return func(h *Hospital) { h.ownLinks = true } }

// WithSeed makes what is left to chance (the jitter of rules) the same from run to
// run, as far as requests come in the same order.
func WithSeed(seed uint64) Option {
	return func(h *Hospital) { h.chance = rand.New(rand.NewPCG(seed, seed)) } //nolint:gosec // repeatable, not secret
}

// WithoutDemoData begins with empty stores.
func WithoutDemoData() Option { return func(h *Hospital) { h.empty = true } }

// WithLag sets how far the standby follows behind; zero means one minute.
func WithLag(d time.Duration) Option { return func(h *Hospital) { h.lag = d } }

// WithReadableStandby lets reads that tolerate lag use the standby.
func WithReadableStandby() Option { return func(h *Hospital) { h.readable = true } }

// WithBearer makes every server ask for this token.
func WithBearer(token string) Option { return func(h *Hospital) { h.token = token } }

// WithOwnStores gives each campus servers and a store of its own for these systems,
// in every data centre: the store pacs-hankou and its replica pacs-hankou-dr behind the
// endpoints pacs/dc-a/hankou and so on. A store holds the patients of its campus's
// issuer. The default is one store for all campuses.
func WithOwnStores(systems ...campus.SystemID) Option {
	return func(h *Hospital) {
		for _, sys := range systems {
			h.own[sys] = true
		}
	}
}

// WithEnvironments runs every endpoint twice, in the environments A and B, before the
// same stores. The campuses hankou and zhongfa prefer A, guanggu B.
func WithEnvironments() Option { return func(h *Hospital) { h.parallel = true } }
