package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

const (
	patience = 2 * time.Minute
	poll     = 100 * time.Millisecond
	database = "postgres"
)

// deployment is Millrace on a Postgres that archives its WAL.
type deployment struct {
	dir, binary string
	config      postgres.Config
	server      *postgres.Server
	simulator   *launch.Process
	providers   string // the simulator's URL
	work, api   *launch.Process
	url         string // of the API
	key         string // an admin's
}

func (d *deployment) archive() string { return filepath.Join(d.dir, "wal") }
func (d *deployment) backup() string  { return filepath.Join(d.dir, "backup") }

func (d *deployment) start(ctx context.Context) (err error) {
	if err := os.Chmod(d.dir, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{d.archive(), d.backup(), filepath.Join(d.dir, "db")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			return err
		}
	}
	for _, dir := range []string{d.backup(), filepath.Join(d.dir, "db")} {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	d.config = postgres.Config{
		Dir: filepath.Join(d.dir, "db"), Fetch: true, Cache: postgres.DefaultDir("millrace-postgres"),
		Tools: []string{"pg_basebackup"}, Logger: slog.New(slog.DiscardHandler),
		Settings: map[string]string{
			"shared_buffers": "64MB", "archive_mode": "on",
			"archive_command": fmt.Sprintf("test ! -f %[1]s/%%f && cp %%p %[1]s/%%f", d.archive()),
		},
	}
	if d.config.Port, err = launch.FreePort(ctx); err != nil {
		return err
	}
	if d.server, err = postgres.Start(ctx, d.config); err != nil {
		return err
	}
	port, err := launch.FreePort(ctx)
	if err != nil {
		return err
	}
	d.providers = "http://" + launch.Address(port)
	d.simulator, err = d.launch("simulator.log", "simulate", "--simulator-addr", launch.Address(port),
		"--ledger", filepath.Join(d.dir, "simulator.ledger"))
	if err != nil {
		return err
	}
	if err := d.simulator.AwaitPort(ctx, launch.Address(port)); err != nil {
		return err
	}
	if _, err := d.millrace(ctx, "migrate"); err != nil {
		return err
	}
	key, err := d.millrace(ctx, "keys", "create", "--role", "admin", "--name", "drill")
	if err != nil {
		return err
	}
	d.key = strings.TrimSpace(key)
	return d.serve(ctx)
}

// providerArgs are the flags with the providers' URLs.
func (d *deployment) providerArgs() []string {
	return []string{
		"--payment-url", d.providers + "/payments", "--inventory-url", d.providers + "/inventory",
		"--shipping-url", d.providers + "/shipping", "--email-url", d.providers + "/email",
	}
}

// serve starts the workers and the API. Reconciliation is frequent, so that the drill need not wait for minutes.
func (d *deployment) serve(ctx context.Context) (err error) {
	d.work, err = d.launch("work.log", append([]string{
		"work", "--ops-addr", "127.0.0.1:0", "--reconcile-every", "1s", "--reconcile-grace", "1s", "--sweep-every", "2s",
	}, d.providerArgs()...)...)
	if err != nil {
		return err
	}
	if _, err := d.work.AwaitReady(ctx); err != nil {
		return err
	}
	d.api, err = d.launch("api.log", "api", "--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--rate-limit", "0")
	if err != nil {
		return err
	}
	ready, err := d.api.AwaitReady(ctx)
	d.url = "http://" + ready.API
	return err
}

func (d *deployment) dsn() string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", postgres.User, launch.Address(d.config.Port), database)
}

func (d *deployment) launch(log string, args ...string) (*launch.Process, error) {
	return launch.Start(launch.Program{
		Path: d.binary, Args: args, Log: filepath.Join(d.dir, log),
		Env: []string{"DATABASE_URL=" + d.dsn(), "PATH=/usr/bin:/bin", "HOME=" + d.dir, "MILLRACE_LOG_FORMAT=json"},
	})
}

// millrace runs a command of Millrace, and returns what it prints.
func (d *deployment) millrace(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.Env = []string{"DATABASE_URL=" + d.dsn(), "HOME=" + d.dir}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("millrace %s: %w: %s%s", strings.Join(args[:1], " "), err, stderr.String(), out)
	}
	return string(out), nil
}

// destroy kills every process but the providers, and deletes the cluster.
func (d *deployment) destroy() error {
	d.api.Kill()
	d.work.Kill()
	if err := syscall.Kill(d.server.PID(), syscall.SIGKILL); err != nil {
		return err
	}
	<-d.server.Done()
	return postgres.Reset(d.config.Dir)
}

// restore starts the backup and has it replay the archive up to a moment.
func (d *deployment) restore(ctx context.Context, moment time.Time) (err error) {
	signals, err := filepath.Glob(filepath.Join(d.backup(), "pg*", "standby.signal"))
	if err != nil || len(signals) != 1 {
		return errors.Join(err, errors.New("the backup is incomplete"))
	}
	if err := os.Rename(signals[0], filepath.Join(filepath.Dir(signals[0]), "recovery.signal")); err != nil {
		return err
	}
	d.config.Dir = d.backup()
	d.config.Settings["restore_command"] = fmt.Sprintf("cp %s/%%f %%p", d.archive())
	d.config.Settings["recovery_target_time"] = moment.UTC().Format("2006-01-02 15:04:05.000000") + "+00"
	d.config.Settings["recovery_target_action"] = "promote"
	if d.server, err = postgres.Start(ctx, d.config); err != nil {
		return err
	}
	return d.await(ctx, "the end of recovery", func() (bool, error) {
		var recovering bool
		err := d.query(ctx, "SELECT pg_is_in_recovery()", &recovering)
		return !recovering, err
	})
}

// stop ends everything that is still there.
func (d *deployment) stop() {
	for _, p := range []*launch.Process{d.api, d.work, d.simulator} {
		if p != nil {
			p.Kill()
		}
	}
	if d.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = d.server.Stop(ctx)
	}
}

// query reads one row.
func (d *deployment) query(ctx context.Context, sql string, into ...any) error {
	conn, err := pgx.Connect(ctx, d.dsn())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql).Scan(into...)
}

// await polls until a condition holds. Until then an error is not a failure: a server may just have started.
func (d *deployment) await(ctx context.Context, what string, holds func() (bool, error)) error {
	var last error
	if launch.Eventually(ctx, patience, func() bool {
		ok, err := holds()
		last = err
		return ok && err == nil
	}) {
		return nil
	}
	return fmt.Errorf("waited %s for %s: %w", patience, what, errors.Join(ctx.Err(), last))
}

// ask makes a request as an admin, and decodes the answer.
func (d *deployment) ask(ctx context.Context, method, url string, body, into any, header ...string) error {
	header = append(header, "Authorization", "Bearer "+d.key)
	return launch.Ask(ctx, http.DefaultTransport.RoundTrip, method, url, body, into, header...)
}
