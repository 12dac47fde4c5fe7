package fakes

import (
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
)

// reserve binds a port and never listens, so that dials are refused and the kernel gives
// the port to nobody while its server is stopped, above all not as a connection's own
// end. Who asks for this very port to listen at gets it, as the server does: both allow
// an address to be used again.
func reserve(port int) (string, io.Closer, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "port")
	bound, err := bind(fd, port)
	if err != nil {
		_ = file.Close()
		return "", nil, err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(bound)), file, nil
}

// bind returns the port it got, which is its own choice for 0.
func bind(fd, port int) (int, error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return at.(*syscall.SockaddrInet4).Port, nil //nolint:forcetypeassert // the socket's own family
}
