package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestServerHealth looks at a server with an old transaction and a session that waits for a lock.
func TestServerHealth(t *testing.T) {
	t.Parallel()
	pool := storetest.PatientPool(t)
	s := storetest.New(t, pool)
	storetest.Order(t, s)
	require.NoError(t, s.Log.MakePartitions(t.Context()))

	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(1)")
	require.NoError(t, err)
	waited := make(chan error, 1)
	go func() {
		_, err := pool.Exec(t.Context(), "SELECT pg_advisory_xact_lock(1)")
		waited <- err
	}()
	var health store.ServerHealth
	require.Eventually(t, func() bool {
		health, err = s.Server.Health(t.Context())
		return err == nil && health.Blocked > 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-waited)

	require.True(t, health.Visible)
	require.Positive(t, health.OldestTransaction)
	require.Positive(t, health.XIDAge)
	require.Positive(t, health.Connections)
	require.Greater(t, health.ConnectionsLimit, health.Connections)
	require.Positive(t, health.Bytes)
	require.Equal(t, int64(1), health.PartitionsAhead)
	require.False(t, health.SyncConfigured)
	require.Zero(t, health.SyncStandbys)

	_, err = pool.Exec(t.Context(), "ANALYZE")
	require.NoError(t, err)
	tables, err := s.Server.Tables(t.Context())
	require.NoError(t, err)
	sizes := map[string]store.Table{}
	for _, table := range tables {
		require.NotContains(t, sizes, table.Name)
		sizes[table.Name] = table
	}
	require.Positive(t, sizes["orders"].IndexBytes)
	require.Positive(t, sizes["order_events"].HeapBytes, "the partitions count as one table")
	require.NotContains(t, sizes, "order_events_default")
}

// TestServerHealthOfAnotherRole reads as a role that Postgres shows no other sessions to.
func TestServerHealthOfAnotherRole(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), url, "test", 2)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	role := storetest.NewRole(t, "")
	_, err = pool.Exec(t.Context(), "GRANT USAGE ON SCHEMA millrace TO "+role)
	require.NoError(t, err)
	other, err := store.NewPool(t.Context(), storetest.As(url, role), "test", 2)
	require.NoError(t, err)
	t.Cleanup(other.Close)
	health, err := storetest.New(t, other).Server.Health(t.Context())
	require.NoError(t, err)
	require.False(t, health.Visible)
	require.Positive(t, health.Connections)
}

func TestUnfinishedAges(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	ages, err := s.Queues.UnfinishedAges(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[orders.Status]time.Duration{
		orders.Pending: 0, orders.Processing: 0, orders.NeedsAttention: 0,
	}, ages)
	old, _ := storetest.Order(t, s), storetest.Order(t, s)
	_, err = pool.Exec(t.Context(), "UPDATE orders SET placed_at = now() - interval '1 hour' WHERE id = $1", old.ID)
	require.NoError(t, err)
	ages, err = s.Queues.UnfinishedAges(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, max(ages[orders.Pending], ages[orders.Processing]), time.Hour)
}
