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
2026-11-22 08:00:00.003 UTC [1] LOG:  duration: 20.000 ms  plan:
	Query Text: -- name: OrdersRead :many
	SELECT * FROM orders
	Limit  (cost=0.43..226.82 rows=1 width=195) (actual time=32.175..469.704 rows=21 loops=1)
	  ->  Index Scan Backward using orders_pkey on orders o  (cost=0.43..1.0 rows=10 width=195)` +
	` (actual time=32.1..33.1 rows=21 loops=1)
	        Filter: (status = $1)
	        Rows Removed by Filter: 1999979
2026-11-22 08:00:00.004 UTC [1] LOG:  duration: 20.000 ms  plan:
	Query Text: -- name: VerifyStuck :many
	SELECT * FROM orders
	Index Only Scan using order_steps_due_idx on order_steps s  (cost=0.42..1.0 rows=1 width=16)` +
	` (actual time=2.3..3.1 rows=102001 loops=1)
`

// TestPlans finds the slowest of three plans, and what any of them scans of a large table, by an index as well.
func TestPlans(t *testing.T) {
	t.Parallel()
	found := readPlans(explained)
	require.Len(t, found, 2)
	require.InDelta(t, 90.5, found["OrdersRead"].milliseconds, 0)
	require.NotContains(t, found["OrdersRead"].text, "Query Text")
	table, rows := found["OrdersRead"].scans()
	require.Equal(t, "order_events_20261116", table)
	require.Equal(t, 150_030, rows)
	require.EqualError(t, found.check(),
		"OrdersRead scans 2000000 rows of orders\nVerifyStuck scans 102001 rows of order_steps")
	require.Equal(t, "     90.5 ms  OrdersRead (2,000,000 rows of orders)\n"+
		"     20.0 ms  VerifyStuck (102,001 rows of order_steps)\n  did not run  Gone\n",
		found.times([]string{"Gone", "OrdersRead"}))
	require.Contains(t, found.markdown(1000, 100, []string{"OrdersRead"}), "## OrdersRead")
}
