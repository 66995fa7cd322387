package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	migrationLock     = 0x6d696c6c72616365 // "millrace"
	migrationLockPoll = 100 * time.Millisecond
	migrationLockTell = 30 * time.Second
	// migrationWait is longer than most migrations take, and ends before an operator wonders.
	migrationWait = 10 * time.Minute
	// The transaction of the lock idles while the other connections migrate. It reads nothing, so it has no snapshot.
	// If this machine is gone without a word, Postgres notices within two minutes and ends the transaction.
	migrationLockBegin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 0; " +
		"SET LOCAL tcp_keepalives_idle = 60; SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 6"
)

// A MigratingError reports that another migration did not end in time.
type MigratingError struct {
	By     string // the session that has the lock, as a sentence names it
	PID    int32
	Waited time.Duration
}

func (e *MigratingError) Error() string {
	return fmt.Sprintf("waited %s for another migration, by %s: let it end, or end it with "+
		"SELECT pg_terminate_backend(%d)", e.Waited, e.By, e.PID)
}

// lockMigrations waits until no other process migrates, and returns the transaction that holds the lock. The lock ends
// with the transaction: a lock of a session would stay behind in the session of a pooler.
//
// The lock is polled for, not waited for: a session that waits in Postgres holds a snapshot, and CREATE INDEX
// CONCURRENTLY waits for all snapshots, so the two would wait for each other for ever.
func lockMigrations(
	ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger, patience time.Duration,
) (pgx.Tx, error) {
	queries := dbsqlc.New()
	begun := time.Now()
	for told := (time.Time{}); ; {
		tx, err := pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: migrationLockBegin})
		if err != nil {
			return nil, fmt.Errorf("migrate: %w", explainRefusal(err))
		}
		locked, err := queries.TryMigrationLock(ctx, tx, migrationLock)
		if err != nil {
			_ = tx.Rollback(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("lock migrations: %w", err)
		}
		if locked {
			// The portal of the latest statement would keep its snapshot, and CREATE INDEX CONCURRENTLY waits for all
			// snapshots. This statement replaces the portal, and has the simple protocol, which closes its own.
			if _, err := tx.Exec(ctx, "SELECT"); err != nil {
				return nil, fmt.Errorf("lock migrations: %w", err)
			}
			return tx, nil
		}
		if err := tx.Rollback(ctx); err != nil {
			return nil, fmt.Errorf("lock migrations: %w", err)
		}
		if time.Since(told) >= migrationLockTell || time.Since(begun) >= patience {
			holder, err := queries.MigrationLockHolder(ctx, pool, migrationLock)
			if err != nil {
				return nil, fmt.Errorf("look for the session that migrates: %w", err)
			}
			if time.Since(begun) >= patience {
				return nil, &MigratingError{holder.Session, holder.Pid, patience}
			}
			logger.InfoContext(ctx, "waiting for another migration", "pid", holder.Pid, "by", holder.Session,
				"gives_up_in", (patience - time.Since(begun)).Round(time.Second))
			told = time.Now()
		}
		select {
		case <-time.After(migrationLockPoll):
		case <-ctx.Done():
			return nil, fmt.Errorf("lock migrations: %w", ctx.Err())
		}
	}
}
