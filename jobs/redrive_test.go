package jobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// A redrive tries each order once, those that give up again too, and leaves others alone.
func TestRedrive(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment:   {RefuseRate: 1, Operations: []string{"void"}},
		orders.Inventory: {RefuseRate: 1, Operations: []string{"reserve"}},
	}))
	s.start()
	var ids []orders.ID
	for range 4 {
		ids = append(ids, s.place(nil))
	}
	for _, id := range ids {
		s.awaitStatus(id, orders.NeedsAttention)
	}
	redrive := func(ids ...orders.ID) {
		require.NoError(t, s.store.DeadLetters.Redrive(t.Context(), orders.RedriveJob{
			ID: orders.NewID(), OrderIDs: append([]orders.ID{}, ids...), PerSecond: 100, Principal: "p", Reason: "again",
			Cause: orders.Cause{Step: orders.VoidPayment, State: orders.StateRefused, Code: "provider_refused"}, At: time.Now(),
		}))
	}

	redrive() // while it is still refused
	var attempts int
	require.NoError(t, s.pool.QueryRow(t.Context(),
		"SELECT max_attempts FROM river_job WHERE kind = 'redrive'").Scan(&attempts))
	require.Equal(t, 10_000, attempts, "with 25, River discards it after two hours without a database")
	for _, id := range ids {
		s.await(id, "the second refusal", func(o orders.Order) bool {
			return o.Status == orders.NeedsAttention && o.Latest(orders.VoidPayment).Generation == 2
		})
	}
	require.NoError(t, s.simulator.SetFaults(nil))
	redrive(ids[:3]...)
	for _, id := range ids[:3] {
		order := s.awaitStatus(id, orders.Failed)
		require.Equal(t, 3, order.Latest(orders.VoidPayment).Generation)
		require.Equal(t, 1, s.effects(id)["void"])
	}
	require.Eventually(t, func() bool {
		var done int
		err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job
			WHERE kind = 'redrive' AND state = 'completed'`).Scan(&done)
		return err == nil && done == 2
	}, time.Minute, 10*time.Millisecond)
	order, err := s.store.Orders.Get(t.Context(), ids[3])
	require.NoError(t, err)
	require.Equal(t, orders.NeedsAttention, order.Status)
	require.Equal(t, 2, order.Latest(orders.VoidPayment).Generation)
}
