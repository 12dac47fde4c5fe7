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
	switch v.Fault {
	case FaultNone:
		f.ticket.success(now)
		if f.status == http.StatusUnauthorized {
			return // it was not executed here, so it says nothing of elsewhere
		}
		for _, d := range r.doubts {
			if d.ticket.h != f.ticket.h {
				d.charge(now)
			}
		}
	case FaultDial:
		for c := range classes {
			t := f.ticket
			if c != classOf(r.call.Kind) {
				t = f.site.health[c].ticket()
			}
			t.failure(v.Fault, now)
		}
	case FaultTimeout, FaultReset, FaultCut, FaultStatus, FaultForeign:
		if v.Fault == FaultTimeout && r.short() {
			f.ticket.release()
			return
		}
		d := &doubt{ticket: f.ticket, fault: v.Fault}
		if f.ticket.canary || f.ticket.doubt(r.call.Op, v.Fault, now) {
			d.charge(now)
			return
		}
		r.doubts = append(r.doubts, d)
		r.client.verify(f.site, d)
	default:
		f.ticket.release()
	}
}

// short: the attempt ended because the caller gave less time than the operation
// does; that says nothing about the server.
func (r *run) short() bool { return r.ctx.Err() != nil && (r.call.AttemptTimeout > 0 || r.hurried) }

// doubt is a failure that may be the request's own fault; it is charged at most once.
type doubt struct {
	ticket  ticket
	fault   Fault
	charged atomic.Bool
}

func (d *doubt) charge(now time.Time) {
	if d.charged.CompareAndSwap(false, true) {
		d.ticket.failure(d.fault, now)
	}
}
