package hospital

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
)

// Repeat is what an operation declares about being sent again after an unknown
// outcome.
type Repeat = failover.Repeat

// Values of [Repeat]; see package failover.
const (
	Unsafe  = failover.Unsafe
	Keyed   = failover.Keyed
	Guarded = failover.Guarded
	Safe    = failover.Safe
)

// Consistency is how fresh a read must be.
type Consistency uint8

const (
	// Any tolerates a copy's lag.
	Any Consistency = iota
	// Session sees at least what this client wrote, and what its readers of reports have
	// shown ([Client.Saw]): a copy that lags is not asked before it must have it, one of
	// unknown lag not at all. Where writes have moved to another store, or an earlier
	// point was restored, a session ends.
	Session
	// Strong sees every committed write.
	Strong
)

// Class chooses the time of an operation's requests: per attempt, and for all
// attempts of one request together. A read or list may make several requests; a
// [Write] has the overall time for everything.
type Class uint8

const (
	// Quick reads: 2 s an attempt, 5 s overall.
	Quick Class = iota
	// List pages: 8 s, 20 s a page.
	List
	// WriteClass has all that remains, 15 s.
	WriteClass
	// Settle is payment and discharge: all that remains, 150 s.
	Settle
	// Bulk streams: 120 s until the first byte, 10 s for each silence after it, an hour overall.
	Bulk
)

func (c Class) times() (attempt, overall time.Duration) {
	switch c {
	case List:
		return 8 * time.Second, 20 * time.Second
	case WriteClass:
		return 0, 15 * time.Second
	case Settle:
		return 0, 150 * time.Second
	case Bulk:
		return 120 * time.Second, time.Hour
	default:
		return 2 * time.Second, 5 * time.Second
	}
}

// Op declares one operation: a verb's constants.
type Op struct {
	// Name is the span's and metric's: "his.Book". Never data.
	Name   string
	System campus.SystemID
	// Consistency of the operation's reads; zero is [Any]. A [Write]'s are [Strong].
	Consistency Consistency
	// Repeat is what a transaction of this operation declares; zero is [Unsafe]. Single
	// writes declare themselves: with a version Guarded, with If-None-Exist Keyed.
	Repeat Repeat
	// Class of its requests' times; zero is [Quick].
	Class Class

	// PerStore is for an act of which each store has its own, such as an image in an
	// archive: that one was lost elsewhere says nothing here.
	PerStore bool
	// Anew is for a Guarded act that chooses what it takes each time it is sent: its
	// versions do not guard against another process's, so [Repeated] waits for that.
	Anew bool

	unaudited bool // nothing of a patient can be in it
}

// options is what all options may set.
type options struct {
	campus   campus.ID
	repeated bool
	actor    Actor
	patients []campus.PatientID
	across   bool    // campuses
	beyond   bool    // the legal entity
	purpose  Purpose // of that
}

// Option is for reads, writes and plain HTTP alike.
type Option interface {
	ReadOption
	WriteOption
	HTTPOption
}

// ReadOption is for reads.
type ReadOption interface{ applyRead(o *options) }

// WriteOption is for writes.
type WriteOption interface{ applyWrite(o *options) }

type optionFunc func(*options)

func (f optionFunc) applyRead(o *options)  { f(o) }
func (f optionFunc) applyWrite(o *options) { f(o) }

// AtCampus says which campus the call belongs to, instead of Config.Campus.
func AtCampus(id campus.ID) Option { return optionFunc(func(o *options) { o.campus = id }) }

// Repeated says that this Number may have been sent before by a process that is no
// more: after a crash. Where the servers' contracts do not stop a second one beside
// the first, [Write] then looks, and sends only once the first must have ended; when
// the time given is too short for that, the error is [ErrOutcomeUnknown].
func Repeated() WriteOption { return optionFunc(func(o *options) { o.repeated = true }) }

func readOptions(opts []ReadOption) options {
	var o options
	for _, opt := range opts {
		opt.applyRead(&o)
	}
	if o.beyond { // wherever it stands among the options
		o.actor.Purpose = o.purpose
	}
	return o
}

func writeOptions(opts []WriteOption) options {
	var o options
	for _, opt := range opts {
		opt.applyWrite(&o)
	}
	return o
}

// Origin is who answered.
type Origin = failover.Origin

// Found is a resource and who answered with it.
type Found[T any] struct {
	Resource T
	Origin   Origin
}

// call is one use of an Op; it travels in the context to the Doer.
type call struct {
	op        Op
	campus    campus.ID
	requestID string
	actor     Actor
	across    bool // asked of a verb that cannot
	number    string

	mu        sync.Mutex
	patients  []campus.PatientID
	wrote     bool      // a write of this call reached a server, or may have
	settledAt time.Time // when the last of those of unknown outcome has surely ended
	lost      *failover.Error
	lostIn    storeEpoch // where that was sent
	asked     storeEpoch // who answered last
}

// note remembers what became of a write, so that whatever happens afterwards is
// not taken for the whole truth.
func (c *call) note(err error) {
	var lost *failover.Error
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.wrote = true
	case errors.As(err, &lost) && lost.Outcome == failover.Unknown:
		c.lost, c.wrote, c.settledAt = lost, true, later(c.settledAt, lost.SettledAt)
		c.lostIn = storeEpoch{lost.Store, lost.Epoch}
	}
}

// neverRan: what was lost surely did not happen.
func (c *call) neverRan() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrote, c.settledAt = false, time.Time{}
}

// failed is how the last lost write failed, nil if none was.
func (c *call) failed() *failover.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// metAPage: it was lost to a gateway's page, as while a server restarts; who answers 5xx
// is not asked again and again.
func (c *call) metAPage() bool {
	lost := c.failed()
	return lost != nil && lost.Fault == failover.FaultForeign
}

// heard remembers who answered.
func (c *call) heard(resp *http.Response) {
	o := failover.OriginOf(resp)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = storeEpoch{o.Store, o.Epoch}
}

// wasLost remembers where another call of its number was lost.
func (c *call) wasLost(in storeEpoch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lostIn == (storeEpoch{}) {
		c.lostIn = in
	}
}

// askedElsewhere: a lost write went to one store, or epoch, and a look to another.
// That nothing is there says nothing then.
func (c *call) askedElsewhere() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.op.PerStore && c.lostIn != (storeEpoch{}) && c.asked != (storeEpoch{}) && c.lostIn != c.asked
}

func (c *call) written() (wrote bool, settledAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrote, c.settledAt
}

// namesPatient: the act is the patient's record itself.
func (c *call) namesPatient(number string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.patients, func(p campus.PatientID) bool { return p.Issuer+"|"+p.Value == number })
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func (c *Client) newCall(op Op, o options) *call {
	return &call{op: op, campus: c.campusOf(o), actor: o.actor, across: o.across, patients: o.patients}
}

// another is a call of its own with the same options, for one request of an escape hatch.
func (c *call) another() *call {
	return &call{op: c.op, campus: c.campus, actor: c.actor, patients: slices.Clone(c.patients), requestID: uuid.Must(uuid.NewV7()).String()}
}

func (c *Client) campusOf(o options) campus.ID {
	if o.campus != "" {
		return o.campus
	}
	return c.config.Campus
}
