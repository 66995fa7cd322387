package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestCheckUpgrade replays the latest order and the open ones, each once, and leaves out finished orders before the
// latest. It finds what is stored and would not be made, the other way round, and what this program cannot read.
func TestCheckUpgrade(t *testing.T) {
	t.Parallel()
	d := newDeployment(t) // a completed, a failed and an open order, in this sequence
	d.exec(t, "DELETE FROM open_orders WHERE order_id <> '"+d.processing.String()+"'")
	check := func(latest int) store.UpgradeCheck {
		t.Helper()
		var parts []string
		c, err := d.store.Verifier.CheckUpgrade(t.Context(), store.UpgradeOptions{
			Latest: latest, Progress: func(part string, _, _ int64) { parts = append(parts, part) },
		})
		require.NoError(t, err)
		require.Contains(t, parts, "open orders")
		return c
	}
	c := check(1)
	require.EqualValues(t, 1, c.Orders, "the open one is the latest")
	require.EqualValues(t, 2, c.Events)
	require.Empty(t, c.Differences)
	latest := storetest.Order(t, d.store)
	require.EqualValues(t, 2, check(1).Orders)
	c = check(3)
	require.EqualValues(t, 3, c.Orders)
	require.Zero(t, c.Differing)
	require.EqualValues(t, 4, check(1000).Orders)
	d.exec(t, "UPDATE orders SET status = 'needs_attention', reason = 'r' WHERE id = '"+d.failed.String()+"'")
	c = check(1)
	require.EqualValues(t, 3, c.Orders, "operators may continue an order that needs attention")
	require.EqualValues(t, 1, c.Differing)
	require.Equal(t, d.failed, c.Differences[0].OrderID)

	d.exec(t, "DELETE FROM order_steps WHERE step = 'refund_payment'")
	d.exec(t, "DELETE FROM order_events WHERE version = 1 AND order_id = '"+latest.ID.String()+"'")
	d.exec(t, `UPDATE orders SET shipping_address = '"x"' WHERE id = '`+d.processing.String()+"'")
	c = check(1000)
	require.EqualValues(t, 1, c.Pruned)
	require.EqualValues(t, 3, c.Differing)
	found := map[orders.ID][]orders.Difference{}
	for _, order := range c.Differences {
		found[order.OrderID] = order.Differences
	}
	require.Equal(t, []orders.Difference{{What: "refund_payment:1", Stored: "not there", Made: "started"}},
		found[d.completed])
	require.Equal(t, "document", found[d.processing][0].What)
}
