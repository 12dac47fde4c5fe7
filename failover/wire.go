package failover

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"
)

// wire watches what became of the connection.
type wire struct {
	adapter        bool
	gotConn, wrote atomic.Bool
	refused        atomic.Pointer[Fault] // why no connection could be had
}

type wireKey struct{}

// watch puts the wire where the transport and our own dialing find it.
func (w *wire) watch(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, wireKey{}, w)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { w.gotConn.Store(true) },
		WroteHeaders: func() { w.wrote.Store(true) },
	})
}

// watched notes that no connection could be had. Without that note a failure
// before sending is the request's own fault, such as an invalid header.
func watched(dial DialFunc, limit time.Duration, http2 bool) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		w, _ := ctx.Value(wireKey{}).(*wire)
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		conn, err := dial(limited, network, address)
		fault := dialFault(err)
		if err == nil {
			err = shakeHands(limited, conn)
			if fault = handshakeFault(err); err == nil && http2 && negotiated(conn) != "h2" {
				err = errors.Join(errNotHTTP2, conn.Close())
				fault = FaultCertificate
			}
		}
		switch {
		case err == nil && http2:
			dropUnsent(conn)
			return conn, nil // net/http must see what it is; frames have no surplus
		case err == nil:
			return &quietConn{Conn: conn}, nil
		case w != nil && ctx.Err() == nil:
			w.refused.Store(&fault)
		}
		return nil, err
	}
}

var errNotHTTP2 = errors.New("failover: the server does not speak HTTP/2")

// dialFault tells a machine that refuses from a way that leads nowhere, which may
// be our own network.
func dialFault(err error) Fault {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return FaultDNS
	case errors.As(err, &timeout) && timeout.Timeout(),
		errors.Is(err, context.DeadlineExceeded), // by a dialer of the program's own
		errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return FaultUnreachable
	}
	return FaultDial
}

// handshakeFault: somebody answered the dial; did what he said not hold, or did he
// fall silent?
func handshakeFault(err error) Fault {
	var verification *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &verification), errors.As(err, &alert), errors.As(err, &record):
		return FaultCertificate
	case errors.Is(err, context.DeadlineExceeded):
		return FaultUnreachable
	}
	return FaultDial
}

// shakeHands ends the dialing of an encrypted connection here: below a quietConn
// net/http would not see that there is something to do, and it would be done, and
// fail, only when the request is written.
func shakeHands(ctx context.Context, conn net.Conn) error {
	secure, ok := conn.(interface {
		HandshakeContext(ctx context.Context) error
	})
	if !ok {
		return nil
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return errors.Join(err, conn.Close())
	}
	return nil
}

// overTLS dials, within limit, for an encrypted connection.
func overTLS(dial DialFunc, limit time.Duration, config *tls.Config) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		connecting, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		conn, err := dial(connecting, network, address)
		if err != nil {
			return nil, err
		}
		return tls.Client(conn, config), nil
	}
}

// verdict judges an attempt that brought no answer. Giving up between getting a
// connection and hearing that the headers went out is Unknown: the writer may
// have been at work just then. Of an adapter nothing is seen: it says, or it is Unknown.
func (w *wire) verdict(ctx context.Context, err error) Verdict {
	var stated interface{ Outcome() Outcome }
	if errors.As(err, &stated) {
		switch o := stated.Outcome(); o {
		case Committed: // without its answer nobody knows as what
		case Rejected:
			return Verdict{Outcome: o}
		default:
			return Verdict{Outcome: o, Fault: FaultReset}
		}
	}
	sent := w.adapter || w.wrote.Load() || (w.gotConn.Load() && ctx.Err() != nil)
	switch {
	case ctx.Err() != nil && sent:
		return Verdict{Outcome: Unknown, Fault: givenUp(ctx)}
	case ctx.Err() != nil && w.refused.Load() == nil: // waiting for a connection: dialing has a shorter limit of its own
		return Verdict{Outcome: NotSent, Fault: givenUp(ctx)}
	case sent:
		return Verdict{Outcome: Unknown, Fault: FaultReset}
	case w.gotConn.Load():
		return Verdict{Outcome: NotSent, Fault: FaultReset}
	case w.refused.Load() != nil:
		return Verdict{Outcome: NotSent, Fault: *w.refused.Load()}
	}
	return Verdict{Outcome: NotSent, Fault: FaultBody}
}

func givenUp(ctx context.Context) Fault {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrBody): // its source failed
		return FaultBody
	case errors.Is(cause, context.Canceled): // and not ErrStalled: a stream's headers did not come in time
		return FaultCanceled
	}
	return FaultTimeout
}
