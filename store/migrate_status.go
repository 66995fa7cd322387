package store

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"github.com/millrace-orders/millrace/sql"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Migration is one step of the schema, River's or ours.
type Migration struct {
	Schema    string // river or millrace
	Version   int64
	Name      string
	Applied   bool
	AppliedAt time.Time // zero if it is not applied, or River does not record it
	SQL       string    // empty if this program does not know the migration
}

// Migrations lists all steps of the schema in the order in which Migrate applies them. It writes nothing.
func Migrations(ctx context.Context, pool *pgxpool.Pool) ([]Migration, error) {
	ready, err := dbsqlc.New().SchemaReady(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("look at schema: %w", classify(err))
	}
	all, err := riverMigrations(ctx, pool, ready)
	if err != nil {
		return nil, fmt.Errorf("list River's migrations: %w", classify(err))
	}
	ours, err := ownMigrations(ctx, pool, ready)
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", classify(err))
	}
	return append(all, ours...), nil
}

func riverMigrations(ctx context.Context, pool *pgxpool.Pool, ready bool) (all []Migration, err error) {
	migrator, err := newRiverMigrator(pool)
	if err != nil {
		return nil, err
	}
	applied := map[int]bool{}
	if ready {
		existing, err := migrator.ExistingVersions(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range existing {
			applied[m.Version] = true
		}
	}
	for _, m := range migrator.AllVersions() {
		all = append(all, Migration{
			Schema: "river", Version: int64(m.Version), Name: m.Name, Applied: applied[m.Version], SQL: m.SQLUp,
		})
	}
	return all, nil
}

func ownMigrations(ctx context.Context, pool *pgxpool.Pool, ready bool) (all []Migration, err error) {
	applied := map[int64]time.Time{}
	var last int64
	if ready {
		rows, err := dbsqlc.New().SchemaApplied(ctx, pool)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			applied[row.VersionID], last = row.AppliedAt, row.VersionID
		}
	}
	files, err := fs.Glob(sql.Migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var known int64
	for _, file := range files {
		m := Migration{Schema: Schema, Name: path.Base(file)}
		if m.Version, err = goose.NumericComponent(m.Name); err != nil {
			return nil, err
		}
		content, err := fs.ReadFile(sql.Migrations, file)
		if err != nil {
			return nil, err
		}
		known, m.SQL = m.Version, string(content)
		m.AppliedAt, m.Applied = applied[m.Version]
		all = append(all, m)
	}
	for version := known + 1; version <= last; version++ { // of a later release
		if at, ok := applied[version]; ok {
			all = append(all, Migration{Schema: Schema, Version: version, Applied: true, AppliedAt: at})
		}
	}
	return all, nil
}

// SchemaVersion returns the latest migration that was applied.
func SchemaVersion(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	version, err := dbsqlc.New().SchemaVersion(ctx, pool)
	if err != nil {
		return 0, fmt.Errorf("read version of schema: %w", classify(err))
	}
	return version, nil
}
