package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	grace     = 30 * time.Second // the usual limit of an orchestrator
	tailLines = 5                // of a log, in an error's message
)

// launch starts millrace with additions to the harness's environment. The output is appended to a file of the
// deployment.
func (d *deployment) launch(log string, env []string, args ...string) (*launch.Process, error) {
	return launch.Start(launch.Program{
		Path: d.binary, Args: args, Log: filepath.Join(d.dir, log),
		Env: append(os.Environ(), env...), //nolint:forbidigo // passed on, not read
	})
}

// finish waits until a program has ended; it kills the program if ctx ends first.
func finish(ctx context.Context, p *launch.Process) {
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
	}
}

// signalFamily sends a signal to a process and to its descendants. A Postgres server has such.
func signalFamily(pid int, s syscall.Signal) error {
	err := syscall.Kill(pid, s)
	for _, child := range launch.Family(pid)[1:] {
		if killErr := syscall.Kill(child, s); !errors.Is(killErr, syscall.ESRCH) {
			err = errors.Join(err, killErr)
		}
	}
	return err
}

// pause waits; false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool { return launch.Pause(ctx, d) == nil }
