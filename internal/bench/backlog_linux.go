package main

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// dialPatience is how long a dial over loopback may take before it counts as hanging.
const dialPatience = 50 * time.Millisecond

// backlogHangs tries whether dials to a full backlog hang here, as packets that
// vanish do; some sandboxes complete or refuse them.
var backlogHangs = sync.OnceValue(func() bool {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return false
	}
	defer ln.Close()
	fill, err := fillBacklog(ln)
	for _, c := range fill {
		_ = c.Close()
	}
	return err == nil
})

// fillBacklog shrinks the backlog to one and dials until nobody gets in any more.
func fillBacklog(ln *net.TCPListener) ([]net.Conn, error) {
	if err := setBacklog(ln, 0); err != nil {
		return nil, err
	}
	var fill []net.Conn
	for range 8 {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), dialPatience)
		if err == nil {
			fill = append(fill, c)
			continue
		}
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return fill, nil
		}
		return fill, err
	}
	return fill, syscall.EINVAL // it never filled
}

// setBacklog changes the backlog of a listener at work, which Linux allows.
func setBacklog(ln *net.TCPListener, n int) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), n) }); err != nil {
		return err
	}
	return failed
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
