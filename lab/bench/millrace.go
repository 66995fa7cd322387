package main

import (
	"context"
	"errors"
)

// The contenders' names.
const (
	millrace        = "Millrace"
	millraceAlone   = "Millrace, a transaction each"
	millraceReaders = "Millrace, and two more processes that follow the log"
)

// startMillrace starts a real Millrace process with an API, as it is shipped, except for the rate limit.
func (b *bench) startMillrace(ctx context.Context, d *database, command string, args ...string) (*process, error) {
	return b.startMillraceIn(ctx, nil, d, command, args...)
}

// startMillraceIn adds to the environment.
func (b *bench) startMillraceIn(
	ctx context.Context, env []string, d *database, command string, args ...string,
) (*process, error) {
	return spawn(ctx, env, b.millrace, append([]string{
		command, "--database-url", d.url, "--ops-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--rate-limit", "0",
	}, args...)...)
}

// alone returns the flag that turns group commit off.
func alone(contender string) []string {
	if contender == millraceAlone {
		return []string{"--commit-alone"}
	}
	return nil
}

// millraceContender is one process with the API and the workers.
func (b *bench) millraceContender(name string) contender {
	return contender{name, template, func(ctx context.Context, d *database, w *world) (*system, error) {
		p, err := b.startMillrace(ctx, d, "serve", append(alone(name), w.args()...)...)
		if err != nil {
			return nil, err
		}
		return &system{name, p, []int{p.PID()}, p.stop}, nil
	}, millraceLatencies}
}

// readersContender adds two processes, whose caches and streams follow the log. It shows the cost of the feed.
func (b *bench) readersContender() contender {
	c := b.millraceContender(millraceReaders)
	startOne := c.start
	c.start = func(ctx context.Context, d *database, w *world) (*system, error) {
		s, err := startOne(ctx, d, w)
		if err != nil {
			return nil, err
		}
		for range 2 {
			reader, err := b.startMillrace(ctx, d, "api")
			if err != nil {
				return nil, errors.Join(err, s.stop())
			}
			s.processes = append(s.processes, reader.PID())
			stop := s.stop
			s.stop = func() error { return errors.Join(stop(), reader.stop()) }
		}
		return s, nil
	}
	return c
}
