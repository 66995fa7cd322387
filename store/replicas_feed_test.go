package store_test

import (
	"context"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// A page of the feed from a replica ends before the oldest transaction that may still write.
func TestFeedFromReplica(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	start, err := r.primary.Log.Start(t.Context())
	require.NoError(t, err)
	read := func(after store.Position) (found []orders.ID, replica bool) {
		_, err := r.Read(t.Context(), after, store.ReplicaMaxLag, func(ctx context.Context, s *store.Store) error {
			entries, _, _, err := s.Log.Read(ctx, start, store.LogFilter{}, 100)
			found, replica = nil, s != r.primary
			for _, e := range entries {
				found = append(found, e.OrderID)
			}
			return err
		})
		require.NoError(t, err)
		return found, replica
	}
	slow, err := r.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = slow.Exec(t.Context(), "SELECT pg_current_xact_id()") // which writes nothing to the log yet
	require.NoError(t, err)
	order := storetest.Order(t, r.primary)
	seen := r.Position(t.Context())
	r.follow(t, seen)
	found, replica := read(seen)
	require.True(t, replica)
	require.Empty(t, found, "the older transaction may still write an event before this order's")
	_, err = slow.Exec(t.Context(), `INSERT INTO millrace.order_events (order_id, version, kind, amount_minor, step,
		generation, reference, reason, status, progress, status_changed, at) VALUES ($1, 2, 'order_placed', 0, '', 0, '', '',
		'pending', 0, true, now())`, order.ID)
	require.NoError(t, err)
	require.NoError(t, slow.Commit(t.Context()))
	seen = r.Position(t.Context())
	r.follow(t, seen)
	found, replica = read(seen)
	require.True(t, replica)
	require.Equal(t, []orders.ID{order.ID, order.ID}, found)

	// The primary may still keep invisible what the replica shows, and lose it.
	txid, err := strconv.ParseUint(storetest.Query(t, r.Primary, "SELECT max(txid) FROM millrace.order_events"), 10, 64)
	require.NoError(t, err)
	r.oldest.Store(txid)
	found, replica = read(seen)
	require.True(t, replica)
	require.Len(t, found, 1)
	r.oldest.Store(0)
	_, replica = read(seen)
	require.False(t, replica, "it is unknown how far the primary is")
	r.oldest.Store(math.MaxUint64)

	// A cursor that the replica does not know yet has not expired.
	r.PauseReplay(t)
	for range 3 {
		storetest.Order(t, r.primary)
	}
	start, err = r.primary.Log.End(t.Context())
	require.NoError(t, err)
	found, replica = read(seen)
	require.False(t, replica)
	require.Empty(t, found)
}
