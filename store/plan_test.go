package store_test

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/dbsqlc"
	"github.com/millrace-orders/millrace/store/storetest"
)

// manyOrders adds orders, of which few are of some statuses, each with a step that was just started. Postgres has
// counted them all.
const manyOrders = `
INSERT INTO millrace.orders (id, principal, idempotency_key, fingerprint, customer_id, currency, total_minor,
	payment_method, version, status, goal, reason, placed_at, updated_at)
SELECT ('01000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'many', n::text, sha256(n::text::bytea),
	'c' || n % 500, 'USD', 100, '', 9, CASE n % 1000 WHEN 0 THEN 'failed' WHEN 1 THEN 'completed' ELSE 'processing' END,
	'complete', '',
	now() - n * interval '1 second', now()
FROM generate_series(1, 20000) AS n;
INSERT INTO millrace.order_steps (order_id, step, generation, state, amount_minor, request, reference, reason,
	started_at, deadline_at)
SELECT id, 'book_shipment', 1, 'pending', 100, '{}', '', '', now(), placed_at + interval '3 days'
FROM millrace.orders;
INSERT INTO millrace.order_events (order_id, version, kind, amount_minor, step, generation, reference, reason, status,
	progress, status_changed, at)
SELECT id, 1, 'order_placed', 0, '', 0, '', '', 'pending', 0, true, now() FROM millrace.orders;
ANALYZE millrace.orders; ANALYZE millrace.order_steps; ANALYZE millrace.order_events`

// rowsRead returns how many rows of a table the transaction has read so far, in any way.
func rowsRead(t *testing.T, tx pgx.Tx, table string) (rows int) {
	t.Helper()
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT pg_stat_get_xact_tuples_returned(c.oid) + (
			SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_index i WHERE i.indrelid = c.oid
		) + pg_stat_get_xact_tuples_fetched(c.oid) FROM pg_class c WHERE c.oid = ('millrace.' || $1)::regclass`,
		table).Scan(&rows))
	return rows
}

// TestPagesReadLittle reads pages more often than it takes for Postgres to consider a plan for any parameters.
func TestPagesReadLittle(t *testing.T) {
	t.Parallel()
	// A database of its own: what other tests have rolled back would be read, too.
	tx := hold(t, storetest.PatientPool(t))
	s := storetest.New(t, tx)
	_, err := tx.Exec(t.Context(), manyOrders, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	var txid uint64
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT pg_current_xact_id()").Scan(&txid))
	_, err = tx.Exec(t.Context(), "SET LOCAL jit = on")
	require.NoError(t, err)
	tests := []struct {
		name, table string
		read        func() error
		most        int
	}{
		{"ListByStatus", "orders", func() error {
			_, err := s.Orders.List(t.Context(), store.Filter{Status: orders.Failed, Limit: 10})
			return err
		}, 100},
		{"ExportByStatus", "orders", func() error {
			_, err := s.Orders.Export(t.Context(), store.Export{Status: orders.Failed, Limit: 10})
			return err
		}, 100},
		{"Sweep", "order_steps", func() error { // the pages of open orders, with their steps
			_, err := s.Steps.Sweep(t.Context(), time.Minute, time.Time{})
			return err
		}, 60_000},
		{"Stuck", "order_steps", func() error { // the steps of 10,000 orders
			_, err := dbsqlc.New().VerifyStuck(t.Context(), tx, &dbsqlc.VerifyStuckParams{ScanSize: 100})
			return err
		}, 400},
		{"Log", "orders", func() error { // the customers of the events on the page
			_, err := dbsqlc.New().LogRead(t.Context(), tx, &dbsqlc.LogReadParams{
				Txid: txid, Below: math.MaxInt64, PageSize: 100,
			})
			return err
		}, 300},
	}
	for _, tt := range tests {
		for range 7 { // a session may keep a plan from the sixth execution on
			before := rowsRead(t, tx, tt.table)
			require.NoError(t, tt.read(), tt.name)
			n := rowsRead(t, tx, tt.table) - before
			require.LessOrEqual(t, n, tt.most, tt.name)
		}
	}
	// 20,000 steps are too few for Postgres to choose a bad plan of the sweep.
	for name, want := range map[string]string{"jit": "off", "plan_cache_mode": "force_custom_plan"} {
		var got string
		require.NoError(t, tx.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got))
		require.Equal(t, want, got, "the sweep has set %s for its transaction", name)
	}
}

// outage adds orders of which the older ones are completed and the newer ones stand still. Those that need attention
// are amid the completed ones: from either end, the way through the orders to them is long. The completed ones are open
// orders, too: they wait for their e-mail.
const outage = `
INSERT INTO millrace.orders (id, principal, idempotency_key, fingerprint, customer_id, currency, total_minor,
	payment_method, version, status, goal, reason, placed_at, updated_at)
SELECT ('01000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'many', n::text, sha256(n::text::bytea),
	'c' || n % 500, 'USD', 100, '', 9,
	CASE WHEN n BETWEEN 8001 AND 10000 THEN 'needs_attention' WHEN n <= 14000 THEN 'completed' ELSE 'processing' END,
	'complete', '', now() - (21000 - n) * interval '1 second', now()
FROM generate_series(1, 20000) AS n;
INSERT INTO millrace.open_orders (order_id) SELECT id FROM millrace.orders WHERE status <> 'needs_attention';
ANALYZE millrace.orders; ANALYZE millrace.open_orders`

// TestWatchReadsLittle takes what is measured every few seconds during an outage.
func TestWatchReadsLittle(t *testing.T) {
	t.Parallel()
	tx := hold(t, storetest.PatientPool(t))
	s := storetest.New(t, tx)
	_, err := tx.Exec(t.Context(), outage, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	tests := []struct {
		name string
		read func() error
		most int
	}{
		{"UnfinishedAges", func() error {
			ages, err := s.Queues.UnfinishedAges(t.Context())
			require.Equal(t, (21000-14001)*time.Second, ages[orders.Processing])
			require.Equal(t, (21000-8001)*time.Second, ages[orders.NeedsAttention])
			return err
		}, 2500},
		{"UnfinishedOrders", func() error {
			counts, err := s.Queues.UnfinishedOrders(t.Context())
			require.EqualValues(t, 6000, counts[orders.Processing])
			require.EqualValues(t, 2000, counts[orders.NeedsAttention])
			return err
		}, 25000},
		{"DeadLetterGroupsLatest", func() error {
			latest := &dbsqlc.DeadLetterGroupsLatestParams{Latest: 100, Most: 10}
			_, err := dbsqlc.New().DeadLetterGroupsLatest(t.Context(), tx, latest)
			return err
		}, 250},
		{"VerifyStuck", func() error {
			stuck, err := dbsqlc.New().VerifyStuck(t.Context(), tx, &dbsqlc.VerifyStuckParams{ScanSize: 100})
			require.Len(t, stuck, 100)
			return err
		}, 250},
	}
	for _, tt := range tests {
		for range 10 {
			before := rowsRead(t, tx, "orders")
			require.NoError(t, tt.read(), tt.name)
			require.LessOrEqual(t, rowsRead(t, tx, "orders")-before, tt.most, tt.name)
		}
	}
}

// TestOpenFindingsAreBounded: after a provider has lost its records there is a finding for each of its effects, and
// each process counts them at each scrape.
func TestOpenFindingsAreBounded(t *testing.T) {
	t.Parallel()
	tx := hold(t, storetest.PatientPool(t))
	_, err := tx.Exec(t.Context(), `INSERT INTO millrace.reconciliation_findings
			(provider, kind, key, order_id, detail, state, first_seen_at, last_seen_at, rechecked_at)
		SELECT CASE WHEN n <= 30 THEN 'shipping' ELSE 'payment' END, 'missing', n::text, '', '',
			CASE n % 3 WHEN 0 THEN 'resolved' ELSE 'open' END, now() - n * interval '1 second', now(), now()
		FROM generate_series(1, 30000) AS n;
		ANALYZE millrace.reconciliation_findings`, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	for range 10 {
		before := rowsRead(t, tx, "reconciliation_findings")
		counts, err := dbsqlc.New().FindingsOpen(t.Context(), tx, 100)
		require.NoError(t, err)
		require.Len(t, counts, 2)
		for _, c := range counts {
			require.Equal(t, map[string]int64{"shipping": 20, "payment": 80}[c.Provider], c.Findings)
		}
		require.LessOrEqual(t, rowsRead(t, tx, "reconciliation_findings")-before, 250)
	}
	open, err := storetest.New(t, tx).Findings.CountOpen(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 20, open[orders.Shipping]["missing"])
	require.EqualValues(t, 19_980, open[orders.Payment]["missing"])
}
