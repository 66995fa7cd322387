package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

// database is a Postgres server behind a proxy. It can be killed and started again.
type database struct {
	*postgres.Server
	config      postgres.Config
	proxy       *proxy // between millrace and the server
	replication *proxy // between the server and its standby
	pooler      *pooler
}

func newDatabase(ctx context.Context, dir, name string) (*database, error) {
	port, err := launch.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	d := &database{config: postgres.Config{
		Dir: filepath.Join(dir, name), Port: port, Fetch: true, Cache: postgres.DefaultDir("millrace-postgres"),
		Tools:  []string{"pg_basebackup"},
		Logger: slog.New(slog.DiscardHandler),
		// A lost standby must be noticed within seconds, not within the usual minute.
		Settings: map[string]string{
			"wal_sender_timeout": "10s", "wal_receiver_timeout": "10s", "shared_buffers": "64MB",
			"shared_preload_libraries": "pg_stat_statements",
		},
	}}
	if err := os.MkdirAll(d.config.Dir, 0o755); err != nil {
		return nil, err
	}
	if d.proxy, err = newProxy(ctx, name, port); err != nil {
		return nil, err
	}
	d.replication, err = newProxy(ctx, name+"-replication", port)
	return d, err
}

func (d *database) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d.Server, err = postgres.Start(ctx, d.config)
	return err
}

// crash ends the server before it can write anything: with SIGKILL, or with SIGQUIT as "pg_ctl -m immediate" does.
func (d *database) crash(s syscall.Signal) error {
	if err := syscall.Kill(d.PID(), s); err != nil {
		return err
	}
	<-d.Done()
	return nil
}

// restart crashes the server and starts it again after a while.
func (d *database) restart(ctx context.Context, s syscall.Signal, down time.Duration) error {
	if err := d.crash(s); err != nil {
		return err
	}
	pause(ctx, down)
	return d.start(context.WithoutCancel(ctx)) // a run that ends meanwhile needs the server for its checks
}

// exec runs SQL as the superuser, over the server's own socket and not through the proxy.
func (d *database) exec(ctx context.Context, sql string) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// number returns the single number that a query yields.
func (d *database) number(ctx context.Context, sql string) (n int, err error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

func (d *database) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return pgx.Connect(ctx, d.DSN(databaseName))
}

const databaseName = "postgres"

// cloneTo makes other a standby of this server, which streams through the replication proxy, and starts it.
func (d *database) cloneTo(ctx context.Context, other *database) error {
	primary := fmt.Sprintf("host=127.0.0.1 port=%d user=%s application_name=standby connect_timeout=3",
		d.replication.port, postgres.User)
	if err := d.Clone(ctx, other.config.Dir, primary); err != nil {
		return err
	}
	return other.start(ctx)
}

// setSync sets whether commits wait for the standby.
func (d *database) setSync(ctx context.Context, on bool) error {
	names := "''"
	if on {
		names = "standby"
	}
	return d.set(ctx, "synchronous_standby_names", names)
}

// set changes a setting of the running server.
func (d *database) set(ctx context.Context, name, value string) error {
	if err := d.exec(ctx, "ALTER SYSTEM SET "+name+" = "+value); err != nil {
		return err
	}
	return d.exec(ctx, "SELECT pg_reload_conf()")
}

// promote makes a standby the primary.
func (d *database) promote(ctx context.Context) error {
	return d.exec(ctx, "SELECT pg_promote(true, 60)")
}

// dsn returns the databases' URL for millrace, which uses the one that accepts writes.
func dsn(list ...*database) string {
	ports := make([]int, len(list))
	for i, d := range list {
		ports[i] = d.proxy.port
	}
	return address(url.Values{}, ports...)
}

// address returns the URL of databases at some ports, with parameters.
func address(query url.Values, ports ...int) string {
	hosts := make([]string, len(ports))
	for i, port := range ports {
		hosts[i] = launch.Address(port)
	}
	query.Set("sslmode", "disable")
	if len(ports) > 1 {
		query.Set("target_session_attrs", "read-write")
	}
	return "postgres://" + postgres.User + "@" + strings.Join(hosts, ",") + "/" + databaseName + "?" + query.Encode()
}
