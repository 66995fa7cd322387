package store

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// How long a migration waits for locks. Each wait in Postgres is short, since other sessions queue behind it.
const (
	migrationPatience = 2 * time.Minute
	partitionPatience = 5 * time.Second // a backup may read the log for hours, and a partition can wait
	lockPause         = 500 * time.Millisecond
)

// lockWaiter repeats work that timed out on a lock, and logs which session holds the lock.
type lockWaiter struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
	logger  *slog.Logger
}

// retry repeats fn until it succeeds, fails for a reason other than a lock, or patience is over.
func (w *lockWaiter) retry(ctx context.Context, patience time.Duration, fn func() error) error {
	for deadline, told := time.Now().Add(patience), false; ; told = true {
		err := fn()
		if !isLockTimeout(err) || time.Now().After(deadline) {
			return err
		}
		if !told {
			holders, lookErr := w.queries.LockHolders(ctx, w.pool)
			if lookErr != nil {
				return errors.Join(err, lookErr)
			}
			w.logger.InfoContext(ctx, "waiting for a lock", "held_by", strings.Join(holders, ", "))
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func isLockTimeout(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == lockTimeout
}
