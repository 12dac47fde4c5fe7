package fakes

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// Bounds of a black hole of our own making.
const (
	// Linux lets in one more than the backlog says.
	maxFillers = 8
	// fillerTimeout is ages on loopback.
	fillerTimeout = 60 * time.Millisecond
	// normalBacklog is cut to what the kernel allows.
	normalBacklog = 4095
)

// dig fills the queue of l, of which nobody takes connections any more: Linux then
// drops every SYN, so that dials hang in the kernel as when packets vanish. The
// socket stays bound throughout, so nobody can take the port.
func dig(l *net.TCPListener, h *hole) error {
	err := backlog(l, 0)
	for hanging := 0; err == nil && hanging < 2; { // twice: one may be chance
		ctx, cancel := context.WithTimeout(context.Background(), fillerTimeout)
		c, refused := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		cancel()
		switch {
		case refused == nil:
			h.fillers, hanging = append(h.fillers, c), 0
			if len(h.fillers) > maxFillers {
				err = errors.New("fakes: this kernel completes every connection, so that no dial hangs")
			}
		case timedOut(refused):
			hanging++
		default:
			err = refused
		}
	}
	return err
}

// undig drops who waits in the queue and lets dials through again.
func undig(l *net.TCPListener) {
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(drain)
	}
	_ = backlog(l, normalBacklog)
}

func drain(fd uintptr) {
	for range 2 * maxFillers {
		c, _, err := syscall.Accept4(int(fd), syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = syscall.SetsockoptLinger(c, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		_ = syscall.Close(c)
	}
}

// backlog may be set again on a socket that listens.
func backlog(l *net.TCPListener, n int) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), n) })
	return errors.Join(err, failed)
}
