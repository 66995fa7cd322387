package store

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/sql"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	migrationLock     = 0x6d696c6c72616365 // "millrace"
	migrationLockPoll = 100 * time.Millisecond
)

// Migrate brings the schema up to date: River's tables first, then ours. Any number of processes may call it at the
// same time; one migrates, the others wait and find nothing to do. It only goes forward.
//
// The lock is polled for, not waited for: a session that waits in Postgres holds a snapshot, and CREATE INDEX
// CONCURRENTLY waits for all snapshots, so the two would wait for each other for ever.
func Migrate(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Release()
	queries := dbsqlc.New()
	for {
		locked, err := queries.TryMigrationLock(ctx, conn, migrationLock)
		if err != nil {
			return fmt.Errorf("lock migrations: %w", err)
		}
		if locked {
			break
		}
		select {
		case <-time.After(migrationLockPoll):
		case <-ctx.Done():
			return fmt.Errorf("lock migrations: %w", ctx.Err())
		}
	}
	defer func() { _ = queries.ReleaseMigrationLock(context.WithoutCancel(ctx), conn, migrationLock) }()

	if err := prepareSchema(ctx, conn.Conn(), logger); err != nil {
		return fmt.Errorf("prepare schema: %w", err)
	}
	failpoint.Hit("migrate.schema")
	if err := migrateRiver(ctx, pool, logger); err != nil {
		return fmt.Errorf("migrate river: %w", err)
	}
	failpoint.Hit("migrate.river")
	if err := migrateOrders(ctx, pool, logger); err != nil {
		return fmt.Errorf("migrate orders: %w", err)
	}
	failpoint.Hit("migrate.orders")
	return prepareLog(ctx, pool, logger)
}

// prepareLog makes the log ready to be written to and, if it was restored from another cluster, to be read.
func prepareLog(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	queries := dbsqlc.New()
	foreign, err := queries.LogFromOtherCluster(ctx, pool)
	if err != nil {
		return fmt.Errorf("look at log: %w", err)
	}
	if foreign {
		logger.InfoContext(ctx, "the log is from another cluster: it begins a new history")
		if err := queries.LogAdopt(ctx, pool); err != nil {
			return fmt.Errorf("adopt log: %w", err)
		}
	}
	failpoint.Hit("migrate.log")
	return createPartitions(ctx, queries, pool, time.Now())
}

func newRiverMigrator(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: Schema, Logger: slog.New(slog.DiscardHandler),
	})
}

func migrateRiver(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	migrator, err := newRiverMigrator(pool)
	if err != nil {
		return err
	}
	done, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return err
	}
	for _, v := range done.Versions {
		logger.InfoContext(ctx, "migrated", "schema", "river", "version", v.Version)
	}
	return nil
}

func migrateOrders(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	provider, err := newProvider(pool)
	if err != nil {
		return err
	}
	defer func() { _ = provider.Close() }()
	done, err := provider.Up(ctx)
	if err != nil {
		return err
	}
	for _, m := range done {
		logger.InfoContext(ctx, "migrated", "schema", "millrace", "version", m.Source.Version)
	}
	return nil
}

func newProvider(pool *pgxpool.Pool) (*goose.Provider, error) {
	migrations, err := fs.Sub(sql.Migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, stdlib.OpenDBFromPool(pool), migrations,
		goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
}

// Migrated says whether Migrate has nothing to do: the schema is the one this program was built for, or a later one,
// and the log is this cluster's.
func Migrated(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	queries := dbsqlc.New()
	ready, err := queries.SchemaReady(ctx, pool)
	if err != nil || !ready {
		return false, classify(err)
	}
	provider, err := newProvider(pool)
	if err != nil {
		return false, err
	}
	defer func() { _ = provider.Close() }()
	sources := provider.ListSources()
	version, err := queries.SchemaVersion(ctx, pool)
	if err != nil {
		return false, fmt.Errorf("check migrations: %w", classify(err))
	}
	pending := version < sources[len(sources)-1].Version
	migrator, err := newRiverMigrator(pool)
	if err != nil {
		return false, err
	}
	river, err := migrator.Validate(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("check River's migrations: %w", classify(err))
	}
	if pending || !river.OK {
		return false, nil
	}
	foreign, err := queries.LogFromOtherCluster(ctx, pool)
	if err != nil {
		return false, fmt.Errorf("look at log: %w", classify(err))
	}
	return !foreign, nil
}
