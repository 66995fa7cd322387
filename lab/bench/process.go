package main

import (
	"context"
	"os"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	stopPatience = 30 * time.Second
	tailLines    = 30 // of a program's output, in an error's message
)

// process is a program that the bench has started, with its announcement.
type process struct {
	*launch.Process
	launch.Ready
}

// spawn starts a program with a small environment, and waits until it is ready.
func spawn(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	p, err := launch.Start(launch.Program{
		Path: name, Args: args, Env: append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, env...),
	})
	if err != nil {
		return nil, err
	}
	ready, err := p.AwaitReady(ctx)
	if err != nil {
		return nil, err
	}
	return &process{p, ready}, nil
}

// stop interrupts the program and waits for it.
func (p *process) stop() error { return p.Stop(os.Interrupt, stopPatience) }
