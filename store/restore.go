package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// ErrNothingRestored reports that a restore was announced of a database that has no Millrace.
var ErrNothingRestored = errors.New("the database has no schema of Millrace, so nothing was restored into it: is " +
	"DATABASE_URL that of the restored database?")

func checkRestored(ctx context.Context, queries *dbsqlc.Queries, db DB) error {
	ready, err := queries.SchemaReady(ctx, db)
	if err != nil {
		return fmt.Errorf("look at schema: %w", classify(err))
	}
	if !ready {
		return ErrNothingRestored
	}
	return nil
}

// beginHistory begins a new history of the log if the database was restored: if the log has transactions that have not
// happened in this cluster, or an operator says so. A restore to a moment leaves no such transaction, and neither does
// a snapshot of the disk.
//
// An operator may say so twice. The second history costs readers with a cursor of the first one more reading. Refusing
// it would be unsafe: a database that was restored again may remember that an operator has spoken before.
func beginHistory(ctx context.Context, w *lockWaiter, by *Actor) error {
	foreign, err := w.queries.LogFromOtherCluster(ctx, w.pool)
	if err != nil {
		return fmt.Errorf("look at log: %w", err)
	}
	if !foreign && by == nil {
		return nil
	}
	if foreign {
		w.logger.InfoContext(ctx, "the log is from another cluster: it begins a new history")
	} else {
		w.logger.InfoContext(ctx, "the database was restored: the log begins a new history")
	}
	s, err := New(Config{DB: w.pool})
	if err != nil {
		return err
	}
	err = w.retry(ctx, migrationPatience, func() error {
		return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if err := w.queries.LogAdopt(ctx, tx); err != nil || by == nil {
				return err
			}
			bounds, err := w.queries.LogBounds(ctx, tx)
			if err != nil {
				return err
			}
			return s.Audit.audit(ctx, tx, []AuditEntry{{
				Actor: *by, Action: "migrate.restored", Target: fmt.Sprintf("epoch %d", bounds.Epoch),
				Detail: map[string]any{"epoch": bounds.Epoch, "seen_by_itself": foreign},
			}})
		})
	})
	if err != nil {
		return fmt.Errorf("adopt log: %w", err)
	}
	return nil
}
