package store_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestSynchronousStandby repeats what the primary has committed and its standby has not: a timeout ends Postgres'
// wait for the standby and leaves that behind. The answer must not be that it is done.
func TestSynchronousStandby(t *testing.T) {
	t.Parallel()
	server := ownServer(t, map[string]string{"fsync": "off", "synchronous_standby_names": "missing"})
	alone := func() *store.Store {
		url := server.DSN("postgres") + storetest.SearchPath + "&synchronous_commit=local"
		pool, err := store.NewPool(t.Context(), url, "test", 4)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
		return storetest.New(t, pool)
	}()
	placement := storetest.Placement()
	placement.IdempotencyKey = "key"
	placed, err := alone.Orders.Place(t.Context(), []orders.Placement{placement})
	require.NoError(t, err)
	cancel := orders.Event{OrderID: placed[0].Order.ID, Kind: orders.CancelRequested}
	_, err = alone.Orders.Apply(t.Context(), []orders.Event{cancel})
	require.NoError(t, err)

	pool, err := store.NewPool(t.Context(), server.DSN("postgres")+storetest.SearchPath, "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	waits := storetest.New(t, pool)
	_, err = waits.Orders.Place(t.Context(), []orders.Placement{placement})
	require.ErrorIs(t, err, store.ErrUnavailable)
	_, err = waits.Orders.Apply(t.Context(), []orders.Event{cancel}) // locking the row is a write
	require.ErrorIs(t, err, store.ErrUnavailable)
}

// ownServer starts a server for a test that changes what all databases of one have in common.
func ownServer(t *testing.T, settings map[string]string) *postgres.Server {
	t.Helper()
	major, cache := storetest.Postgres()
	server, err := postgres.Start(t.Context(), postgres.Config{
		Dir: storetest.Dir(t), Major: major, Fetch: true, Cache: cache, Settings: settings,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	return server
}
