package store_test

import (
	"log/slog"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestCrashedIDs has Postgres crash with transaction ids that it had given out and not written to its disk. It gives
// them out again, so a reader must not have gone on past them.
func TestCrashedIDs(t *testing.T) {
	t.Parallel()
	// Or what is not waited for is soon on disk.
	server := ownServer(t, map[string]string{"wal_writer_delay": "10s", "autovacuum": "off"})
	pool, err := store.NewPool(t.Context(), server.DSN("postgres")+storetest.SearchPath, "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	s := storetest.New(t, pool)
	storetest.Order(t, s)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)

	var read, end store.Cursor
	for before, after := uint64(0), uint64(0); after >= before; { // all over again if it came to be on disk even so
		for range 20 { // as a transaction does that changes only tables which are not logged
			_, err := pool.Exec(t.Context(), "SELECT pg_current_xact_id()")
			require.NoError(t, err)
		}
		end, err = s.Log.End(t.Context())
		require.NoError(t, err)
		_, read, _, err = s.Log.Read(t.Context(), start, store.LogFilter{}, 100)
		require.NoError(t, err)
		const next = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
		require.NoError(t, pool.QueryRow(t.Context(), next).Scan(&before))
		crash(t, pool)
		eventually(t, func() bool { return pool.QueryRow(t.Context(), next).Scan(&after) == nil })
	}

	id := storetest.Order(t, s).ID
	for name, cursor := range map[string]store.Cursor{"read": read, "end": end} {
		eventually(t, func() bool {
			entries, _, _, err := s.Log.Read(t.Context(), cursor, store.LogFilter{}, 100)
			return err == nil && len(entries) == 1 && entries[0].OrderID == id
		}, name)
	}
}

// crash kills a session, at which the server ends all others and recovers.
func crash(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	victim, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	witness, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(int(victim.Conn().PgConn().PID()), syscall.SIGKILL))
	eventually(t, func() bool { return witness.Ping(t.Context()) != nil })
	victim.Release()
	witness.Release()
	pool.Reset()
}
