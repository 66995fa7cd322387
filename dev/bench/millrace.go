package main

import (
	"context"
)

// The contenders' names.
const (
	millrace      = "Millrace"
	millraceAlone = "Millrace, a transaction each"
)

// startMillrace starts a real process of Millrace, as it is shipped but for the rate limit.
func (b *bench) startMillrace(ctx context.Context, d *database, command string, args ...string) (*process, error) {
	args = append([]string{
		command, "--database-url", d.url, "--ops-addr", "127.0.0.1:0",
	}, args...)
	if command != "work" {
		args = append(args, "--api-addr", "127.0.0.1:0", "--rate-limit", "0")
	}
	return spawn(ctx, nil, b.millrace, args...)
}

// alone is the switch that turns group commit off.
func alone(contender string) []string {
	if contender == millraceAlone {
		return []string{"--commit-alone"}
	}
	return nil
}
