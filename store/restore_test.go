package store_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// A restore to a moment, or of a snapshot, leaves nothing by which it could be noticed: an operator says that there was
// one. Cursors from before are refused, and readers whose cursor is stored go on.
func TestRestored(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	first, second := storetest.Order(t, s), storetest.Order(t, s)
	before, err := s.Log.End(t.Context())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO feed_cursors (name, epoch, txid, id, at)
		SELECT 'test', 1, txid, id, logged_at FROM order_events WHERE order_id = $1`, first.ID)
	require.NoError(t, err)
	restored := store.MigrateConfig{
		Logger: slog.New(slog.DiscardHandler), Restored: &store.Actor{Name: "cli:ada", Role: roles.Admin},
	}
	epoch := func() (epoch int64) {
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT epoch FROM log_history").Scan(&epoch))
		return epoch
	}
	all := []orders.ID{first.ID, second.ID}
	for range 2 { // an operator may say so twice
		last := epoch()
		require.NoError(t, store.MigrateWith(t.Context(), pool, restored))
		require.Greater(t, epoch(), last)
		_, _, _, err = s.Log.Read(t.Context(), before, store.LogFilter{}, 10)
		require.ErrorIs(t, err, store.ErrCursorExpired)
		start, err := s.Log.Start(t.Context())
		require.NoError(t, err)
		all = append(all, storetest.Order(t, s).ID)
		log, _ := settled(t, s, start, len(all))
		for i, id := range all {
			require.Equal(t, id, log[i].OrderID, "later events follow the earlier ones")
		}
		before, err = s.Log.End(t.Context())
		require.NoError(t, err)

		audit, err := s.Audit.List(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, "migrate.restored", audit[0].Action)
		require.Equal(t, "cli:ada", audit[0].Name)
		require.EqualValues(t, epoch(), audit[0].Detail["epoch"])
	}
	var kept store.Cursor
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT epoch, txid, id, at FROM feed_cursors WHERE name = 'test'").
		Scan(&kept.Epoch, &kept.Txid, &kept.ID, &kept.At))
	rest, _ := settled(t, s, kept, len(all)-1)
	require.Equal(t, second.ID, rest[0].OrderID)

	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	_, _, _, err = s.Log.Read(t.Context(), before, store.LogFilter{}, 10)
	require.NoError(t, err, "without --restored, nothing begins")
}

// A backup that is restored twice begins two histories: a cursor of the first must not be valid in the second.
func TestRestoredTwiceFromOneBackup(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	storetest.Order(t, s)
	restored := store.MigrateConfig{Logger: slog.New(slog.DiscardHandler), Restored: &store.Actor{Name: "cli:ada"}}
	require.NoError(t, store.MigrateWith(t.Context(), pool, restored))
	lost, err := s.Log.End(t.Context())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "UPDATE log_history SET epoch = 1") // as the backup has it
	require.NoError(t, err)
	require.NoError(t, store.MigrateWith(t.Context(), pool, restored))
	storetest.Order(t, s)
	_, _, _, err = s.Log.Read(t.Context(), lost, store.LogFilter{}, 10)
	require.ErrorIs(t, err, store.ErrCursorExpired)
}

// An empty database was not restored: its URL is wrong, and nothing is written.
func TestNothingRestored(t *testing.T) {
	t.Parallel()
	pool, err := store.NewPool(t.Context(), storetest.EmptyURL(t), "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	err = store.MigrateWith(t.Context(), pool, store.MigrateConfig{
		Logger: slog.New(slog.DiscardHandler), Restored: &store.Actor{Name: "cli:ada"},
	})
	require.ErrorIs(t, err, store.ErrNothingRestored)
	var schemas int
	require.NoError(t, pool.QueryRow(t.Context(),
		"SELECT count(*) FROM pg_namespace WHERE nspname = 'millrace'").Scan(&schemas))
	require.Zero(t, schemas)
}
