package store_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestPoolerSettings lets the role have what Millrace cannot set behind a pooler: CheckPooler lists the statements, and
// after them nothing. A transaction of Millrace's has its limits in any case.
func TestPoolerSettings(t *testing.T) {
	t.Parallel()
	direct := storetest.URL(t)
	role := storetest.NewRole(t, "")
	pooler := storetest.NewPooler(t, "transaction", "")
	open := func() *pgxpool.Pool {
		pool, err := store.NewPool(t.Context(), storetest.As(pooler.URL(database(t, direct), "transaction"), role), "test", 2)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pool
	}
	pool := open()
	missing, err := store.CheckPooler(t.Context(), pool)
	require.NoError(t, err)
	require.Len(t, missing, 4)

	tx, err := store.Begin(t.Context(), pool)
	require.NoError(t, err)
	var statement, lock, idle, path string
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT current_setting('statement_timeout'),
		current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
		current_setting('search_path')`).
		Scan(&statement, &lock, &idle, &path))
	require.Equal(t, []string{"10s", "1s", "10s", "pg_catalog"}, []string{statement, lock, idle, path})
	require.NoError(t, tx.Rollback(t.Context()))

	conn, err := pgx.Connect(t.Context(), direct)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	for _, remedy := range missing {
		_, err := conn.Exec(t.Context(), remedy)
		require.NoError(t, err, remedy)
	}
	pooler = storetest.NewPooler(t, "transaction", "") // sessions that exist have what their role had
	missing, err = store.CheckPooler(t.Context(), open())
	require.NoError(t, err)
	require.Empty(t, missing)
}

// TestFeedHears: a process finds out that a pooler loses LISTEN, and that a direct connection does not.
func TestFeedHears(t *testing.T) {
	t.Parallel()
	direct := storetest.URL(t)
	pooler := storetest.NewPooler(t, "transaction", "")
	hears := func(t *testing.T, listening string) *store.Feed {
		t.Helper()
		pool, err := store.NewPool(t.Context(), direct, "test", 4)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		heard, err := store.NewPool(t.Context(), listening, "test", 1)
		require.NoError(t, err)
		t.Cleanup(heard.Close)
		feed := store.NewFeed(pool, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
		feed.ListenOn(heard)
		feed.CheckHearingEvery(20*time.Millisecond, 500*time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			feed.Run(ctx)
		}()
		t.Cleanup(func() {
			cancel()
			<-done
		})
		return feed
	}
	deaf := hears(t, pooler.URL(database(t, direct), "transaction"))
	require.Eventually(t, func() bool { return !deaf.Hears() }, time.Minute, 10*time.Millisecond)
	require.True(t, hears(t, direct).Hears())
	polling := store.NewFeed(nil, slog.New(slog.DiscardHandler), nil)
	require.False(t, polling.Hears())
}

// TestMigrationLock: a lock that a pooler has kept is waited for until the deadline, and the error names its session.
func TestMigrationLock(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), "SELECT pg_advisory_lock(x'6d696c6c72616365'::bigint)")
	require.NoError(t, err)

	logs, log := io.Pipe()
	go func() { _, _ = io.Copy(t.Output(), logs) }()
	logger := slog.New(slog.NewTextHandler(log, nil))
	pool := migrationPool(t, url)
	err = store.MigrateWith(t.Context(), pool, store.MigrateConfig{Logger: logger, Wait: 200 * time.Millisecond})
	var busy *store.MigratingError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, int32(conn.PgConn().PID()), busy.PID)
	require.ErrorContains(t, err, "unnamed of millrace, idle since ")

	_, err = conn.Exec(t.Context(), "SELECT pg_advisory_unlock_all()")
	require.NoError(t, err)
	require.NoError(t, store.MigrateWith(t.Context(), pool, store.MigrateConfig{Logger: logger}))
	var locks int
	require.NoError(t, conn.QueryRow(t.Context(),
		"SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' "+
			"AND datname = current_database()").Scan(&locks))
	require.Zero(t, locks, "the lock ended with the migration, and its pool is still open")
}

func database(t *testing.T, url string) string {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	return c.Database
}
