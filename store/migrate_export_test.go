package store

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
)

// MigrateTo makes the schema as it was at a version.
func MigrateTo(ctx context.Context, pool *pgxpool.Pool, version int64) error {
	logger := slog.New(slog.DiscardHandler)
	if err := prepareSchema(ctx, pool, logger); err != nil {
		return err
	}
	if err := migrateRiver(ctx, pool, logger); err != nil {
		return err
	}
	provider, err := newProvider(pool)
	if err != nil {
		return err
	}
	defer func() { _ = provider.Close() }()
	_, err = provider.UpTo(ctx, version)
	return err
}
