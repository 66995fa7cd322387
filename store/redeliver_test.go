package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestRedeliverWithOldStatistics sends messages again of which the planner does not know: it takes their webhook for
// one that has hardly any. Each message is read a few times, and not once for every other.
func TestRedeliverWithOldStatistics(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s, err := store.New(store.Config{DB: tx})
	require.NoError(t, err)
	fill := func(n int) store.Webhook {
		w := makeWebhook(t, s)
		_, err := tx.Exec(t.Context(), `INSERT INTO millrace.webhook_deliveries (id, endpoint_id, event_type, version,
				body, state, attempts, give_up_at, next_attempt_at, created_at, finished_at)
			SELECT (substr($2::uuid::text, 1, 13) || '-7000-8000-' || lpad(n::text, 12, '0'))::uuid, $2::uuid, 'Ping', 0,
				'{}', 'failed', 1, 10, now(), now(), now() FROM generate_series(1, $1) AS n`, n, w.ID)
		require.NoError(t, err)
		return w
	}
	for range 3 {
		fill(1000)
	}
	_, err = tx.Exec(t.Context(), "ANALYZE millrace.webhook_deliveries")
	require.NoError(t, err)
	const n = 500
	w := fill(n)
	read := func() (rows int) {
		require.NoError(t, tx.QueryRow(context.Background(), `SELECT coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)
			FROM pg_stat_xact_user_tables WHERE relid = 'millrace.webhook_deliveries'::regclass`).Scan(&rows))
		return rows
	}
	before := read()
	again, err := s.Deliveries.RedeliverSince(
		t.Context(), hookOwner, w.ID, time.Now().Add(-time.Hour), store.DeliveryStates())
	require.NoError(t, err)
	require.Equal(t, n, again)
	require.Less(t, read()-before, 10*n)

	before = read()
	_, list, _, err := s.Deliveries.Take(t.Context(), w.ID, n)
	require.NoError(t, err)
	require.Len(t, list, n)
	require.Less(t, read()-before, 10*n)
}
