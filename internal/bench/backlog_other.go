//go:build !linux

package main

import (
	"errors"
	"net"
	"time"
)

// backlogHangs: not tried here; black holes accept and stay silent.
func backlogHangs() bool { return false }

func fillBacklog(*net.TCPListener) ([]net.Conn, error) { return nil, errors.ErrUnsupported }

func setBacklog(*net.TCPListener, int) error { return nil }

func cpuTime() time.Duration { return 0 }
