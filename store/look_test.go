package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestLookIndexed: with thousands of orders each read that operators repeat follows an index. A scan of a whole table
// is only for a table that is bounded.
func TestLookIndexed(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	exec(t, tx, `INSERT INTO orders (id, principal, customer_id, currency, total_minor, payment_method, version, status,
			goal, reason, placed_at, updated_at)
		SELECT gen_random_uuid(), 'p', n, 'USD', 1, 'card', 1,
			(ARRAY['completed', 'processing', 'needs_attention'])[1 + n % 3], 'complete', '', now(), now()
		FROM generate_series(1, 6000) AS n`)
	exec(t, tx, `INSERT INTO order_steps (order_id, step, generation, state, amount_minor, request, reference, reason,
			started_at, deadline_at, settled_at)
		SELECT id, step, 1, CASE status WHEN 'completed' THEN 'succeeded' ELSE 'pending' END, 1, '{}',
			CASE status WHEN 'completed' THEN 'ref_' || id ELSE '' END, '', now(), now(),
			CASE status WHEN 'completed' THEN now() END
		FROM orders, unnest('{authorize_payment,capture_payment,book_shipment}'::text[]) AS step`)
	exec(t, tx, `INSERT INTO webhook_endpoints (id, principal, customer_id, owner_customer_id, url, event_types,
			description, secret, rotation_key, state, disabled_reason, failures, failing_since, busy_until, created_at,
			updated_at)
		SELECT gen_random_uuid(), 'p' || n, '', '', 'https://a.example', '{}', '', decode(repeat('00', 32), 'hex'), '',
			'enabled', '', 0, CASE n % 500 WHEN 0 THEN now() END, now(), now(), now()
		FROM generate_series(1, 5000) AS n`)
	exec(t, tx, `INSERT INTO history_samples SELECT 10, '2026-11-28'::timestamptz + make_interval(secs => 10 * n), '{}'
		FROM generate_series(1, 5000) AS n`)
	exec(t, tx, `INSERT INTO open_orders SELECT id FROM orders WHERE status = 'processing'`)
	exec(t, tx, `ANALYZE open_orders, orders, order_steps, webhook_endpoints, history_samples`)
	all := statements(t)
	now := time.Now()
	for name, args := range map[string][]any{
		"ordersByReference":      {"ref_1", 10},
		"webhooksFailing":        {10},
		"deadLetterGroupsLatest": {10, 20},
		"laneSteps":              {100},
		"historyRead":            {10, now, now, 100},
		"historyPrune":           {10, now.Add(-10000 * time.Hour)},
		"historyDue":             {10, now, "me"},
	} {
		rows, err := tx.Query(t.Context(), "EXPLAIN "+all[name], args...)
		require.NoError(t, err, name)
		plan := ""
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			plan += line + "\n"
		}
		require.NoError(t, rows.Err())
		require.Regexp(t, "Index (Only )?Scan|Bitmap Index Scan", plan, name)
		require.NotRegexp(t, "Seq Scan on (orders|order_steps|webhook_endpoints|history_samples)", plan, name)
	}
}

// TestByReference finds an order by what a provider calls its payment.
func TestByReference(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	id := storetest.Order(t, s).ID
	event := outcome(id, orders.AuthorizePayment)
	event.Reference = "pay_123"
	_, err := s.Orders.Apply(t.Context(), []orders.Event{event})
	require.NoError(t, err)
	for reference, want := range map[string][]orders.ID{"pay_123": {id}, "pay_12": nil, "": nil} {
		found, err := s.Orders.ByReference(t.Context(), reference, 10)
		require.NoError(t, err)
		require.Equal(t, want, found, reference)
	}
}

// TestLatestDeadLetters counts as Groups does, while there are few.
func TestLatestDeadLetters(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	for range 2 {
		id := storetest.Order(t, s).ID
		for _, e := range []orders.Event{
			outcome(id, orders.AuthorizePayment), outcome(id, orders.QuoteShipping),
			storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
			storetest.Outcome(id, orders.VoidPayment, orders.StepRefused),
		} {
			_, err := s.Orders.Apply(t.Context(), []orders.Event{e})
			require.NoError(t, err)
		}
	}
	groups, err := s.DeadLetters.Groups(t.Context(), 10)
	require.NoError(t, err)
	latest, err := s.DeadLetters.Latest(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, groups, latest)
	require.Equal(t, int64(2), latest[0].Orders)

	snapshot, err := s.Processes.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), snapshot.Orders[orders.NeedsAttention])
	require.Equal(t, orders.Payment, snapshot.Lanes[0].Provider)
	require.Equal(t, store.LaneView{}, snapshot.Lanes[0].LaneView, "no process has reported")
}
