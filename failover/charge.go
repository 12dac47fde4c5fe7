package failover

import (
	"net/http"
	"sync/atomic"
	"time"
)

// charge applies the charging rules: local causes at once and to both classes;
// a failure after sending only once the call succeeds elsewhere or another
// operation fails here too; the caller's own doing never.
func (r *run) charge(f *flight, v Verdict, now time.Time) {
	k, s, c := r.client.keeper, f.site, classOf(r.call.Kind)
	switch {
	case v.Fault == FaultNone:
		r.answered(f, now)
	case v.Fault.unreachable():
		k.unreached(s, c, f.ticket, v.Fault, now)
	case v.Fault == FaultTimeout && (r.short() || f.suspended(r.call, now)):
		k.release(s, c, f.ticket)
	case doubtful(v.Fault, f.status):
		r.doubt(f, v.Fault, now)
	default:
		k.release(s, c, f.ticket)
	}
}

// doubt notes a failure that may be the request's own fault, and asks.
func (r *run) doubt(f *flight, fault Fault, now time.Time) *doubt {
	k, c := r.client.keeper, classOf(r.call.Kind)
	d := &doubt{site: f.site, class: c, ticket: f.ticket, fault: fault}
	if k.doubted(f.site, c, f.ticket, r.call.Op, fault, f.status, now) {
		d.charge(k, now)
		return d
	}
	d.ticket = ticket{generation: d.ticket.generation} // doubted gave back the rest
	r.doubts = append(r.doubts, d)
	r.client.verify(f.site, d)
	return d
}

// doubtful failures may be the request's own fault. A 503 is one also when it asks
// for silence; 429 is the load's.
func doubtful(fault Fault, status int) bool {
	switch fault {
	case FaultTimeout, FaultReset, FaultCut, FaultStatus, FaultForeign:
		return true
	case FaultOverload:
		return status >= http.StatusInternalServerError
	default:
		return false
	}
}

// answered is an answer of the system's own. It tells whose fault the failures
// before it were, unless it only asks who we are.
func (r *run) answered(f *flight, now time.Time) {
	k, s, c := r.client.keeper, f.site, classOf(r.call.Kind)
	slow, inTime := false, true
	if r.quick() {
		slow, inTime = s.pace.heard(f.got.Sub(f.start), f.got.Sub(k.start))
	}
	if slow || (!inTime && s.health[c].current() != Healthy) {
		k.slow(s, c, f.ticket, now)
	} else {
		k.worked(s, c, f.ticket, now)
	}
	if f.status == http.StatusUnauthorized {
		return // it was not executed here, so it says nothing of elsewhere
	}
	r.blame(s, r.doubts, r.call.MaxBody > 0, now)
}

// blame charges who failed, now that the call works at s. Who sent headers, and not
// the rest, is to blame once the rest has come too.
func (r *run) blame(s *site, doubts []*doubt, whole bool, now time.Time) {
	for _, d := range doubts {
		if d.site.door != s.door && (whole || !d.begun) {
			d.charge(r.client.keeper, now)
		}
	}
}

// quick reads tell how fast an endpoint is.
func (r *run) quick() bool {
	return r.call.Repeat == Safe && r.call.MaxBody > 0 && r.call.AttemptTimeout > 0 && r.call.AttemptTimeout <= quickRead
}

// short: the attempt ended because the caller gave less time than the operation
// does; that says nothing about the server.
func (r *run) short() bool { return r.ctx.Err() != nil && (r.call.AttemptTimeout > 0 || r.hurried) }

// suspended: far more time passed than the attempt had, so it was this process
// that stood still.
func (f *flight) suspended(call *Call, now time.Time) bool {
	limit := call.AttemptTimeout
	if limit == 0 || call.Upload {
		limit = call.timeout()
	}
	return now.Sub(f.start) > 2*limit
}

// doubt is a failure that may be the request's own fault; it is charged at most once.
type doubt struct {
	site    *site
	class   class
	ticket  ticket
	fault   Fault
	begun   bool // a stream that broke off
	charged atomic.Bool
}

func (d *doubt) charge(k *keeper, now time.Time) {
	if d.charged.CompareAndSwap(false, true) {
		k.failed(d.site, d.class, d.ticket, d.fault, now)
	}
}
