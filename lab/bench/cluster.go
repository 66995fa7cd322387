package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

const (
	template         = "bench_template"  // Millrace's schema
	baselineTemplate = "bench_baselines" // the baselines' schema
	leaveInterval    = 20 * time.Millisecond
)

// cluster is the bench's own Postgres. Each measurement has a database of its own on it.
type cluster struct {
	server     *postgres.Server
	dir        string
	admin      *pgxpool.Pool
	statements bool // pg_stat_statements is installed
	databases  int
}

// settings are the same for all contenders. Commits are as durable as by Postgres' default.
func settings() map[string]string {
	return map[string]string{
		"max_connections": "500", "shared_buffers": "512MB",
		// A checkpoint that falls into one measurement and not into the next would decide between them.
		"max_wal_size": "4GB", "checkpoint_timeout": "30min",
	}
}

// startCluster starts Postgres in a new directory below parent, with pg_stat_statements if it is installed.
func startCluster(ctx context.Context, parent string) (*cluster, error) {
	dir, err := os.MkdirTemp(parent, "postgres-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // as root the server runs as a different user
		return nil, err
	}
	config := postgres.Config{
		Dir: dir, Fetch: true, Cache: postgres.DefaultDir("millrace-postgres"), Settings: settings(),
		Logger: slog.New(slog.DiscardHandler),
	}
	config.Settings["shared_preload_libraries"] = "pg_stat_statements"
	c := &cluster{dir: dir, statements: true}
	if c.server, err = postgres.Start(ctx, config); err != nil {
		delete(config.Settings, "shared_preload_libraries")
		c.statements = false
		if c.server, err = postgres.Start(ctx, config); err != nil {
			return nil, fmt.Errorf("start Postgres: %w", err)
		}
	}
	if c.admin, err = pgxpool.New(ctx, c.server.DSN("postgres")); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) stop() error {
	if c.admin != nil {
		c.admin.Close()
	}
	return errors.Join(c.server.Stop(context.Background()), os.RemoveAll(c.dir))
}

// database makes a database from the template, or an empty one, and makes a checkpoint, so that all start equal.
func (c *cluster) database(ctx context.Context, from string) (*database, error) {
	c.databases++
	d := &database{cluster: c, name: fmt.Sprintf("bench_%d", c.databases)}
	d.url = c.server.DSN(d.name)
	for _, sql := range []string{"CREATE DATABASE " + d.name + " TEMPLATE " + from, "CHECKPOINT"} {
		if _, err := c.admin.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("create database: %w", err)
		}
	}
	return d, nil
}

// database is the database of one measurement.
type database struct {
	*cluster
	name, url string
}

// query reads one row, over a connection that is closed before it returns.
func (d *database) query(ctx context.Context, sql string, dest ...any) error {
	conn, err := pgx.Connect(ctx, d.url+"&search_path=millrace,public")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.QueryRow(ctx, sql).Scan(dest...)
}

func (d *database) drop() error {
	_, err := d.admin.Exec(context.Background(), "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)")
	return err
}

// commits returns the number of all transactions that were ever committed in the database. It waits until no client is
// connected: backends report their work when they end.
func (d *database) commits(ctx context.Context) (int64, error) {
	for {
		var connected, commits int64
		err := d.admin.QueryRow(ctx, `SELECT count(a.pid), d.xact_commit FROM pg_stat_database d
			LEFT JOIN pg_stat_activity a ON a.datid = d.datid AND a.backend_type = 'client backend'
			WHERE d.datname = $1 GROUP BY d.xact_commit`, d.name).Scan(&connected, &commits)
		if err != nil || connected == 0 {
			return commits, err
		}
		if err := launch.Pause(ctx, leaveInterval); err != nil {
			return 0, err
		}
	}
}

// walBytes returns how much WAL Postgres has ever written.
func (c *cluster) walBytes(ctx context.Context) (bytes int64, err error) {
	err = c.admin.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").Scan(&bytes)
	return bytes, err
}
