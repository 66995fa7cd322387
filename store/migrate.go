package store

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
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

// MigrateConfig is how Migrate works.
type MigrateConfig struct {
	Logger *slog.Logger
	// Grantees are roles that get what serve needs.
	Grantees []string
	// Wait is how long another migration is waited for. Default 10 min.
	Wait time.Duration
	// Restored is the operator by whom a restore of the database is announced: the log then begins a new history, whatever
	// Postgres shows of the restore. It needs a schema that exists.
	Restored *Actor
}

// Migrate brings the schema up to date, as MigrateWith does with the defaults.
func Migrate(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger, grantees ...string) error {
	return MigrateWith(ctx, pool, MigrateConfig{Logger: logger, Grantees: grantees})
}

// MigrateWith brings the schema up to date: River's tables first, then ours. Any number of processes may call it at the
// same time; one migrates, the others wait and find nothing to do. It only goes forward.
func MigrateWith(ctx context.Context, pool *pgxpool.Pool, c MigrateConfig) error {
	logger, grantees, queries := c.Logger, c.Grantees, dbsqlc.New()
	lock, err := lockMigrations(ctx, pool, logger, cmp.Or(c.Wait, migrationWait))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(ctx)) }()

	if err := checkGrantees(ctx, queries, pool, grantees); err != nil {
		return err
	}
	if c.Restored != nil {
		if err := checkRestored(ctx, queries, pool); err != nil {
			return err
		}
	}
	w := &lockWaiter{pool: pool, queries: queries, logger: logger}
	err = w.retry(ctx, migrationPatience, func() error { return prepareSchema(ctx, pool, logger) })
	if err != nil {
		return fmt.Errorf("prepare schema: %w", err)
	}
	if err := newer(ctx, queries, pool); err != nil {
		return err
	}
	failpoint.Hit("migrate.schema")
	err = w.retry(ctx, migrationPatience, func() error { return migrateRiver(ctx, pool, logger) })
	if err != nil {
		return fmt.Errorf("migrate river: %w", err)
	}
	failpoint.Hit("migrate.river")
	err = w.retry(ctx, migrationPatience, func() error { return migrateOrders(ctx, pool, logger) })
	if err != nil {
		return fmt.Errorf("migrate orders: %w", err)
	}
	failpoint.Hit("migrate.orders")
	if err := grant(ctx, queries, pool, grantees); err != nil {
		return err
	}
	if err := beginHistory(ctx, w, c.Restored); err != nil {
		return err
	}
	return prepareLog(ctx, w)
}

// prepareLog makes the log ready for writing.
func prepareLog(ctx context.Context, w *lockWaiter) error {
	failpoint.Hit("migrate.log")
	err := w.retry(ctx, partitionPatience, func() error {
		return createPartitions(ctx, w.queries, w.pool, time.Now())
	})
	if isLockTimeout(err) {
		w.logger.WarnContext(ctx, "a partition of the log is not made: the default partition takes its events until the "+
			"workers make it, within the hour", "error", err)
		return nil
	}
	return err
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
	migrations, err := provider.Status(ctx)
	if err != nil {
		return err
	}
	// One at a time, so that an operator sees which one takes long.
	for _, m := range migrations {
		if m.State != goose.StatePending {
			continue
		}
		logger.InfoContext(ctx, "migrating", "schema", "millrace", "version", m.Source.Version,
			"file", path.Base(m.Source.Path), "of", len(migrations))
		done, err := provider.UpByOne(ctx)
		if err != nil {
			return err
		}
		logger.InfoContext(ctx, "migrated", "schema", "millrace", "version", done.Source.Version,
			"seconds", done.Duration.Seconds())
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

// Migrated reports whether Migrate has nothing to do: the log is this cluster's, and the schema is the one that this
// program was built for, or a later one that allows this program.
func Migrated(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	queries := dbsqlc.New()
	ready, err := queries.SchemaReady(ctx, pool)
	if err != nil || !ready {
		return false, classify(err)
	}
	version, err := queries.SchemaVersion(ctx, pool)
	if err != nil {
		return false, fmt.Errorf("check migrations: %w", classify(err))
	}
	known, err := latest()
	if err != nil {
		return false, err
	}
	if version < known {
		return false, nil
	}
	if err := newer(ctx, queries, pool); err != nil {
		return false, err
	}
	migrator, err := newRiverMigrator(pool)
	if err != nil {
		return false, err
	}
	river, err := migrator.Validate(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("check River's migrations: %w", classify(err))
	}
	if !river.OK {
		return false, nil
	}
	foreign, err := queries.LogFromOtherCluster(ctx, pool)
	if err != nil {
		return false, fmt.Errorf("look at log: %w", classify(err))
	}
	return !foreign, nil
}

// latest returns the version of the last migration that this program knows.
func latest() (version int64, err error) {
	files, err := fs.Glob(sql.Migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(path.Base(slices.Max(files)))
}

// newer returns a SchemaError if a later release has migrated the schema and does not allow this release to run.
func newer(ctx context.Context, queries *dbsqlc.Queries, db dbsqlc.DBTX) error {
	version, err := queries.SchemaVersion(ctx, db)
	if err != nil {
		return fmt.Errorf("read version of schema: %w", classify(err))
	}
	known, err := latest()
	if err != nil || version <= known {
		return err
	}
	unknown, err := queries.SchemaUnknown(ctx, db, known)
	if err != nil {
		return fmt.Errorf("read what the schema runs with: %w", classify(err))
	}
	if len(unknown) > 0 {
		return refuse("its schema is of version %d, this release was built for %d, and migration %d says nothing of it: use "+
			"the release that migrated it, or a later one", version, known, unknown[0])
	}
	return nil
}
