package launch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const (
	startPatience = time.Minute
	stopPatience  = 30 * time.Second // the usual limit of an orchestrator
	pollInterval  = 50 * time.Millisecond
)

// AwaitReady waits until the program reports that it is ready. A program that is not ready within a minute, or before
// ctx ends, is stopped.
func (p *Process) AwaitReady(ctx context.Context) (Ready, error) {
	select {
	case ready := <-p.output.ready:
		return ready, nil
	case <-p.done:
		return Ready{}, p.Alive()
	case <-ctx.Done():
		return Ready{}, errors.Join(ctx.Err(), p.Stop(os.Interrupt, stopPatience))
	case <-time.After(startPatience):
		err := fmt.Errorf("%s was not ready in %s\n%s", p.cmd.Path, startPatience, p.Tail(tailLines))
		return Ready{}, errors.Join(err, p.Stop(os.Interrupt, stopPatience))
	}
}

// AwaitPort waits until the program takes connections at addr.
func (p *Process) AwaitPort(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if err := p.Alive(); err != nil {
			return err
		}
		if err := Pause(ctx, pollInterval); err != nil {
			return fmt.Errorf("%s does not listen: %w\n%s", p.cmd.Path, err, p.Tail(tailLines))
		}
	}
}

// Pause waits. If ctx ends first, it returns ctx's error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Eventually polls until holds returns true. It reports whether that happened within patience.
func Eventually(ctx context.Context, patience time.Duration, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !holds() {
		if Pause(ctx, pollInterval) != nil {
			return false
		}
	}
	return true
}
