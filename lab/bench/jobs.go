package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
)

const (
	jobsSection = "Jobs that do nothing"
	jobsEach    = 50_000

	riverContender    = "River"
	graphileContender = "graphile-worker"
	bossContender     = "pg-boss"
)

// measureJobs has a program run jobs that do nothing, in a database of its own. The program measures itself: only it
// knows when its last job is done.
func (b *bench) measureJobs(ctx context.Context, contender string, args ...string) (err error) {
	d, err := b.cluster.database(ctx, "template1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	m, err := startMeter(ctx, d)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, args[0], append(args[1:], d.url, fmt.Sprint(jobsEach))...)
	command.Dir = b.cache
	output, err := command.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w\n%s", err, failed.Stderr)
		}
		return err
	}
	var done struct {
		Jobs    int
		Seconds float64
	}
	if err := json.Unmarshal(output, &done); err != nil || done.Jobs != jobsEach {
		return fmt.Errorf("ran %d of %d jobs: %w", done.Jobs, jobsEach, err)
	}
	used, err := m.read(ctx, done.Jobs)
	if err != nil {
		return err
	}
	own := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	b.results.add(jobsSection, contender, "", map[string]float64{
		rate: float64(done.Jobs) / done.Seconds, serverCPU: own.Seconds() * thousand / float64(done.Jobs),
		postgresCPU: used[postgresCPU], walKB: used[walKB],
	})
	return nil
}

// jobs lists the measurements of bare jobs. Those of Node run in a program of their own.
func (b *bench) jobs(node *node) []measurement {
	all := []measurement{{"jobs, " + riverContender, func(ctx context.Context) error {
		return b.measureJobs(ctx, riverContender, b.self, "baseline", "river")
	}}}
	for _, library := range []string{graphileContender, bossContender} {
		all = append(all, measurement{"jobs, " + library, func(ctx context.Context) error {
			return b.measureJobs(ctx, library, node.program, node.script, library)
		}})
	}
	return all
}
