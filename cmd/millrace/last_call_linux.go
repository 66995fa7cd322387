package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// lastCall waits for a moment in which no connection waits to be accepted: a process that closes its listener resets
// those that do.
func lastCall(ctx context.Context, listener net.Listener) error {
	socket, ok := listener.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no socket", listener)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	return awaitNone(ctx, func() (int, error) { return queued(raw) })
}

// queued returns how many connections wait to be accepted.
func queued(listener syscall.RawConn) (waiting int, err error) {
	var failed error
	err = listener.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); failed == nil {
			waiting = int(info.Unacked) // of a listener
		}
	})
	return waiting, errors.Join(err, failed)
}
