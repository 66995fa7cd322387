package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/bench/baseline"
	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/sandbox/private"
)

// bench is one run: all measurements, on one Postgres.
type bench struct {
	log      io.Writer
	millrace string // the binary
	before   string // the binary of the version before; empty for none
	self     string // this binary, whose commands are the baselines
	dir      string // of the run; deleted at its end
	cache    string // fetched programs, kept between runs
	cluster  *cluster
	span     span
	whole    time.Duration // for how long whole orders are placed
	fresh    time.Duration // the same for orders of the freshness measurements
	steady   time.Duration // the same for the long runs
	rounds   int
	only     *regexp.Regexp // selects measurements
	profiles string         // directory for CPU profiles of Millrace; empty for none
	results  *results
}

// measurement is one thing that each round measures once.
type measurement struct {
	name string
	run  func(context.Context) error
}

// open starts Postgres and makes the templates.
func (b *bench) open(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.millrace, err = filepath.Abs(b.millrace); err != nil {
		return err
	}
	if b.before != "" {
		if b.before, err = filepath.Abs(b.before); err != nil {
			return err
		}
	}
	if b.cache, err = private.Dir(postgres.DefaultDir("millrace-bench"), 0o755); err != nil { // its programs are run
		return err
	}
	// A directory that other users can enter: root's servers run as a different user.
	if b.dir, err = os.MkdirTemp(filepath.Dir(postgres.DefaultDir("x")), "millrace-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	if b.cluster, err = startCluster(ctx, b.dir); err != nil {
		return errors.Join(err, os.RemoveAll(b.dir))
	}
	b.results = &results{
		Machine: thisMachine(ctx), At: time.Now().UTC().Truncate(time.Second),
		Rounds: b.rounds, Seconds: b.span.measured.Seconds(),
	}
	b.results.Machine.Versions["PostgreSQL"] = b.cluster.server.Version()
	b.results.Machine.Versions["Millrace"] = strings.TrimPrefix(firstLine(ctx, b.millrace, "version"), "millrace ")
	b.results.Machine.Postgres = settings()
	if err := b.prepare(ctx); err != nil {
		return errors.Join(err, b.close())
	}
	return nil
}

func (b *bench) close() error { return errors.Join(b.cluster.stop(), os.RemoveAll(b.dir)) }

// prepare makes the templates.
func (b *bench) prepare(ctx context.Context) error {
	for _, name := range []string{template, baselineTemplate} {
		if _, err := b.cluster.admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
			return err
		}
	}
	url := b.cluster.server.DSN(template)
	if out, err := exec.CommandContext(ctx, b.millrace, "migrate", "--database-url", url).CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, out)
	}
	if err := b.prepareBefore(ctx); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, b.cluster.server.DSN(baselineTemplate))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, baseline.Schema)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	if !b.cluster.statements {
		return nil
	}
	_, err = b.cluster.admin.Exec(ctx, "CREATE EXTENSION pg_stat_statements") // it shows all databases
	return err
}

// measure runs all measurements, in as many rounds. Each round begins with a different measurement: so all of them are
// equally often late in a round, whatever the machine does then.
func (b *bench) measure(ctx context.Context, all []measurement) error {
	for round := range b.rounds {
		for i := range all {
			m := all[(i+round)%len(all)]
			if !b.only.MatchString(m.name) {
				continue
			}
			started := time.Now()
			if err := m.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			_, _ = fmt.Fprintf(b.log, "round %d of %d: %s (%s)\n", round+1, b.rounds, m.name,
				time.Since(started).Round(time.Millisecond))
		}
	}
	return nil
}

// intake lists the measurements of intake.
func (b *bench) intake(connections []int) (all []measurement) {
	for _, n := range connections {
		for _, contender := range []string{millrace, millraceAlone} {
			all = append(all, measurement{intakeName(contender, n), func(ctx context.Context) error {
				return b.measureIntake(ctx, contender, n)
			}})
		}
		all = append(all, measurement{intakeName(bareInsert, n), func(ctx context.Context) error {
			return b.measureInsert(ctx, n)
		}})
	}
	return append(all, measurement{"intake, " + bareCopy, b.measureCopy})
}
