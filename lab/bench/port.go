package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// freePort asks the system for a port that nobody has, for servers that cannot ask themselves.
func freePort(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}

// awaitPort waits until the program takes connections.
func (p *process) awaitPort(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if err := p.alive(); err != nil {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%s does not listen: %w\n%s", p.cmd.Path, err, p.last())
		}
	}
}
