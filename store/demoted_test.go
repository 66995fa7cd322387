package store_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestDemoted has a database become read-only under a pool that has connections to it. Neither may they stay, nor may
// the feed take the silence for quiet.
func TestDemoted(t *testing.T) {
	t.Parallel()
	server := ownServer(t, map[string]string{"fsync": "off"})
	connect := func() *pgxpool.Pool {
		pool, err := store.NewPool(t.Context(), server.DSN("postgres")+storetest.SearchPath, "test", 4)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pool
	}
	pool, feeding := connect(), connect()
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	feed := store.NewFeed(feeding, slog.New(slog.DiscardHandler), nil)
	go feed.Run(t.Context())
	awaitFeed(t, feed)

	writer, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	reader, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	backend := reader.Conn().PgConn().PID()
	reader.Release()
	for _, sql := range []string{"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"} {
		_, err = writer.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	eventually(t, func() bool {
		_, err = writer.Exec(t.Context(), "DELETE FROM orders")
		return err != nil
	})
	require.ErrorContains(t, err, "25006")
	writer.Release()
	var left []uint32
	for _, conn := range pool.AcquireAllIdle(t.Context()) {
		left = append(left, conn.Conn().PgConn().PID())
		conn.Release()
	}
	require.NotContains(t, left, backend, "a connection that only read is still there")
	eventually(t, func() bool { return feed.Behind() > 2*time.Second })
}
