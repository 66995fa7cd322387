package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const explained = `2026-11-22 08:00:00.000 UTC [1] LOG:  duration: 0.100 ms  plan:
	Query Text: -- name: OrdersRead :many
	SELECT * FROM orders
	Index Scan using orders_pkey on orders  (cost=0.42..8.44 rows=1 width=1) (actual time=0.01..0.01 rows=1 loops=1)
2026-11-22 08:00:00.001 UTC [1] LOG:  duration: 90.500 ms  plan:
	Query Text: -- name: OrdersRead :many
	SELECT * FROM orders
	Nested Loop  (cost=0.42..8.44 rows=1 width=1) (actual time=0.01..0.01 rows=1 loops=1)
	  ->  Seq Scan on order_events_20261116 e  (cost=0.00..1.00 rows=1 width=1) (actual time=0.01..9.01 rows=10 loops=3)
	        Filter: (txid > '1'::xid8)
	        Rows Removed by Filter: 50000
	  ->  Seq Scan on audit_log  (cost=0.00..1.00 rows=1 width=1) (actual time=0.01..9.01 rows=900000 loops=3)
2026-11-22 08:00:00.002 UTC [1] WARNING:  something else
`

// TestPlans finds the slower of two plans, and what it scans of a large table.
func TestPlans(t *testing.T) {
	t.Parallel()
	found := readPlans(explained)
	require.Len(t, found, 1)
	require.InDelta(t, 90.5, found["OrdersRead"].milliseconds, 0)
	require.NotContains(t, found["OrdersRead"].text, "Query Text")
	table, rows := found["OrdersRead"].scans()
	require.Equal(t, "order_events_20261116", table)
	require.Equal(t, 150_030, rows)
	require.EqualError(t, found.check(), "OrdersRead scans 150030 rows of order_events_20261116")
	require.Contains(t, found.markdown(1000, 100, []string{"OrdersRead"}), "## OrdersRead")
}
