package failover

import (
	"net/http"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// finish is every attempt's one way out: hooks, health, what to keep of it, and
// whether to go on.
func (r *run) finish(f *flight, resp *http.Response, v Verdict) (*http.Response, error) {
	now, status := time.Now(), f.status
	if f.got.IsZero() {
		f.got = now
	}
	r.charge(f, v, now) // first: a hook may panic, and must leave nothing taken
	r.told(f, Result{Outcome: v.Outcome, Fault: v.Fault, Status: status, Duration: f.got.Sub(f.start)})
	if resp != nil && v.Outcome >= Rejected {
		f.site.clock.heard(resp.Header, f.start, f.got)
	}
	if r.renew && !f.hedge {
		return r.oncemore(f, resp, v, status)
	}
	if resp != nil && r.refusedHere(v, status) {
		r.keep(r.failure(f.site, v, status), f.site.endpoint.Contract)
		r.again = true
		discard(resp)
		return nil, errAttempt
	}
	if resp != nil && (v.Outcome == Committed || (v.Outcome == Rejected && !r.mayHaveRun())) {
		r.err, r.again = nil, false // also when a first one beside it has failed
		r.plan.budgets[r.call.System].earn()
		return resp, nil
	}
	err := r.failure(f.site, v, status)
	err.authorize = f.auth
	if resp != nil {
		err.RetryAfter = retryAfter(resp.Header, now)
		if v.Fault == FaultOverload && err.RetryAfter > 0 {
			until := now.Add(err.RetryAfter).Sub(r.client.keeper.start)
			if status == http.StatusTooManyRequests {
				f.site.pausedUntil(until, classOf(r.call.Kind))
			} else {
				f.site.pausedUntil(until)
			}
		}
	}
	if r.call.Kind == campus.Write && f.site.endpoint.StoreOf().RolePath != "" { // the role may have moved
		f.site.role.Store(roleUnknown)
		f.site.roleQ.at.Store(0)
	}
	r.keep(err, f.site.endpoint.Contract)
	r.again = r.goOn(f.site, v)
	discard(resp)
	return nil, errAttempt
}

// oncemore goes back to the endpoint that refused the credentials, with new ones.
func (r *run) oncemore(f *flight, resp *http.Response, v Verdict, status int) (*http.Response, error) {
	r.renewed, r.again = true, true
	r.tried = r.tried[:len(r.tried)-1]
	if r.err != nil { // a refusal that is not the last word explains nothing
		r.keep(r.failure(f.site, v, status), f.site.endpoint.Contract)
	}
	discard(resp)
	return nil, errAttempt
}

// refusedHere: a read whose credentials are refused may be welcome elsewhere.
func (r *run) refusedHere(v Verdict, status int) bool {
	if status != http.StatusUnauthorized || v.Outcome != Rejected || r.call.Repeat != Safe || r.attempts >= maxAttempts || r.ctx.Err() != nil {
		return false
	}
	other := r.best(time.Now(), nil)
	return other != nil && !other.out()
}

// mayHaveRun: an earlier attempt of this write ended Unknown. A refusal now does
// not tell what became of that one.
func (r *run) mayHaveRun() bool {
	return r.call.Repeat != Safe && r.err != nil && r.err.Outcome == Unknown
}

func (r *run) failure(s *site, v Verdict, status int) *Error {
	e := &Error{Outcome: v.Outcome, Fault: v.Fault, Status: status, Attempts: r.attempts, Err: ErrUnavailable}
	if s != nil {
		e.Endpoint, e.DataCenter, e.Store, e.Epoch = s.endpoint.ID, s.endpoint.DataCenter, s.endpoint.Store, s.endpoint.StoreOf().Epoch
	}
	if r.ctx.Err() != nil {
		e.Context = r.ctx.Err()
	}
	switch {
	case v.Fault == FaultTooLarge && r.call.Repeat == Safe:
		e.Err = ErrTooLarge
	case v.Outcome == Unknown && r.call.Repeat != Safe:
		e.Err = ErrOutcomeUnknown
		e.SettledAt = time.Now()
		if s != nil {
			e.SettledAt = e.SettledAt.Add(s.endpoint.Contract.MaxRun())
		}
	case e.Context != nil:
		e.Err = ErrDeadline
	case v.Outcome == Rejected:
		e.Err = ErrRejected
	case v.Fault == FaultAuth:
		e.Err = ErrAuthorize
	case v.Fault == FaultBody:
		e.Err = ErrBody
	}
	return e
}

// keep remembers the failure that decides: the first that may have been
// executed, else the first that was answered, else the first. Of several lost requests the last to end counts. A
// stale version (412 where versioning is proved) shows that no lost request can
// succeed any more: it did, or never will.
func (r *run) keep(err *Error, c campus.Contract) {
	switch {
	case r.mayHaveRun() && err.Status == http.StatusPreconditionFailed && r.call.Repeat == Guarded && !r.call.Creates && c.Versioning:
		r.err.SettledAt = time.Now()
	case r.mayHaveRun() && err.SettledAt.After(r.err.SettledAt):
		r.err.SettledAt = err.SettledAt
	case r.err == nil || (err.Outcome == Unknown && r.err.Outcome != Unknown), r.err.Outcome == Rejected,
		r.err.Outcome == NotSent && err.Outcome == NotExecuted: // somebody was there, and said why not
		r.err = err
	}
}

func (r *run) goOn(s *site, v Verdict) bool {
	if r.ctx.Err() != nil || v.Fault == FaultBody || v.Fault == FaultCanceled || v.Fault == FaultTooLarge {
		return false
	}
	limit := min(max(len(r.route), minAttempts), maxAttempts)
	if r.renewed {
		limit++ // the refusal took nobody's turn
	}
	again, proof := mayRepeat(r.call, s.endpoint.Contract, v.Outcome)
	if proof {
		r.store, r.proof = s.endpoint.Store, true
	}
	return again && r.attempts < limit
}

// final is the error of a call that brought no answer.
func (r *run) final() error {
	if r.err == nil {
		r.err = r.failure(r.last, Verdict{Outcome: Unknown, Fault: FaultCanceled}, 0)
	}
	r.err.Attempts, r.err.doubts = r.attempts, r.doubts
	switch {
	case r.err.Err != ErrUnavailable: //nolint:errorlint // none of its kinds
	case r.crowded && r.err.Outcome == NotSent:
		r.err.Err, r.err.Fault = ErrBusy, FaultBusy
	case r.err.Fault.local() && r.client.keeper.isolated.Load():
		r.err.Err = ErrClientIsolated
	case r.call.Kind == campus.Write && r.err.Outcome == NotSent && r.err.Fault.unreachable():
		r.err.Err, r.err.RetryAfter = ErrWriteUnavailable, canaryEvery
	}
	return r.err
}
