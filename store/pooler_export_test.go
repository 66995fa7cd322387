package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Begin begins a transaction as the store does.
func Begin(ctx context.Context, pool *pgxpool.Pool) (pgx.Tx, error) {
	return newImpatient(pool, 0).Begin(ctx)
}

// CheckHearingEvery has the feed check whether it hears. It must be called before Run.
func (f *Feed) CheckHearingEvery(every, wait time.Duration) {
	f.hearing.every, f.hearing.wait = every, wait
}
