//go:build !linux

package fakes

import (
	"errors"
	"net"
)

func dig(*net.TCPListener, *hole) error {
	return errors.New("fakes: on loopback sockets Hang works on Linux only; use a hospital in memory")
}

func undig(*net.TCPListener) {}
