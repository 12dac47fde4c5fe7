package hospital

import (
	"context"
	"iter"

	"github.com/google/uuid"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
)

// begin opens a call: its span, its request id, its place in the context.
func (c *Client) begin(ctx context.Context, op Op, o options) (context.Context, *call, *fhir.Client, func(error) error) {
	call := c.newCall(op, o)
	call.requestID = uuid.Must(uuid.NewV7()).String()
	ctx, end := c.tracer.StartCall(ctx, op.Name, op.System, call.campus)
	ctx = context.WithValue(ctx, callKey{}, call)
	return ctx, call, c.fhirOf(op.System), func(err error) error {
		err = wrap(err, call)
		c.auditEnd(ctx, call, "", err)
		end(string(codeOf(err)))
		return err
	}
}

var (
	errNoCampus = Refuse(ErrInvalidArgument, "no campus: set Config.Campus or use AtCampus")
	errAcross   = Refuse(ErrInvalidArgument, "this does not ask across campuses: ask each with AtCampus")
)

// ready refuses a call that could not be routed, or not audited, before anything is done.
func (c *Client) ready(ctx context.Context, call *call, kind campus.Kind) error {
	if call.campus == "" {
		return errNoCampus
	}
	if call.across {
		return errAcross
	}
	if _, err := c.Topology().Route(call.op.System, call.campus, kind); err != nil {
		return err
	}
	return c.auditStart(ctx, call, "")
}

// Read runs a reading operation: do asks the system through f, with the call's
// routing, protection and span in ctx. Errors come back as *[Error].
func Read[T any](ctx context.Context, c *Client, op Op, do func(ctx context.Context, f *fhir.Client) (T, error), opts ...ReadOption) (T, error) {
	ctx, call, f, end := c.begin(ctx, op, readOptions(opts))
	var none T
	if err := c.ready(ctx, call, readKind(op.Consistency)); err != nil {
		return none, end(err)
	}
	end, always := whole(end)
	defer always(ErrInternal)
	v, err := do(ctx, f)
	if err != nil {
		return none, end(err)
	}
	return v, end(nil)
}

// whole ends a call also when its verb panics, so that its span and record do not
// stay open.
func whole(end func(error) error) (once func(error) error, always func(error)) {
	ended := false
	once = func(err error) error { ended = true; return end(err) }
	return once, func(err error) {
		if !ended {
			_ = end(err)
		}
	}
}

// Stream is [Read] for many: the sequence ends after its first error. Nothing is sent
// before the loop begins, and each loop over it is a call of its own. The span lasts as
// long as the loop.
func Stream[T any](ctx context.Context, c *Client, op Op, do func(ctx context.Context, f *fhir.Client) iter.Seq2[T, error], opts ...ReadOption) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, call, f, end := c.begin(ctx, op, readOptions(opts))
		var none T
		if err := c.ready(ctx, call, readKind(op.Consistency)); err != nil {
			yield(none, end(err))
			return
		}
		end, always := whole(end)
		defer always(nil) // what was shown was shown, however the loop is left
		for v, err := range do(ctx, f) {
			if err != nil {
				yield(none, end(err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// OriginOf returns who sent an answer.
func OriginOf(r *fhir.Response) Origin {
	if r == nil {
		return Origin{}
	}
	return failover.OriginOf(r.HTTP)
}
