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

// WithEnvironments runs every endpoint twice, in the environments A and B, before the
// same stores. The campuses hankou and zhongfa prefer A, guanggu B.
func WithEnvironments() Option { return func(h *Hospital) { h.parallel = true } }
