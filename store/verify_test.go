package store_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// deployment is a database without violations: it has an order of each kind, and a leader.
type deployment struct {
	pool  *pgxpool.Pool
	store *store.Store

	completed, failed, processing orders.ID
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{pool: storetest.Pool(t)}
	d.store = storetest.New(t, d.pool)
	d.completed, d.failed = storetest.Order(t, d.store).ID, storetest.Order(t, d.store).ID
	d.processing = storetest.Order(t, d.store).ID
	for _, step := range []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment,
		orders.BookShipment, orders.SendEmail,
	} {
		d.apply(t, outcome(d.completed, step))
	}
	d.apply(t, outcome(d.failed, orders.AuthorizePayment), outcome(d.failed, orders.QuoteShipping),
		storetest.Outcome(d.failed, orders.ReserveInventory, orders.StepRefused))
	d.apply(t, outcome(d.failed, orders.VoidPayment))
	d.apply(t, outcome(d.processing, orders.AuthorizePayment))
	d.apply(t, orders.Event{OrderID: d.completed, Kind: orders.RefundRequested, Amount: 997, At: time.Now()})
	d.apply(t, outcome(d.completed, orders.RefundPayment))
	d.exec(t, `INSERT INTO river_leader (elected_at, expires_at, leader_id, name)
		VALUES (now(), now() + interval '1 day', 'test', 'default')`)
	d.exec(t, `INSERT INTO instances (id, started_at, heartbeat_at, live_since, verify_every)
		VALUES ('test', now() - interval '1 day', now() + interval '1 day', now() - interval '1 day', '1 minute')`)
	d.exec(t, `INSERT INTO verification (started_at, duration_seconds, orders, events, violations)
		VALUES (now(), 1, 1, 1, '[]')`)
	d.exec(t, "INSERT INTO log_upkeep (succeeded_at) VALUES (now())")
	// The tests may take longer than a job may wait.
	d.exec(t, "UPDATE river_job SET scheduled_at = now() + interval '1 day'")
	return d
}

func (d *deployment) apply(t *testing.T, events ...orders.Event) {
	t.Helper()
	applied, err := d.store.Orders.Apply(t.Context(), events)
	require.NoError(t, err)
	for _, a := range applied {
		require.True(t, a.Changed)
	}
}

func (d *deployment) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := d.pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func (d *deployment) verify(t *testing.T, deep bool) store.Verification {
	t.Helper()
	v, err := d.store.Verifier.Verify(t.Context(), store.VerifyOptions{Deep: deep})
	require.NoError(t, err)
	return v
}

func checks(v store.Verification) (names []string) {
	for _, violation := range v.Violations {
		names = append(names, violation.Check)
	}
	return names
}

// TestVerify plants each violation by itself and sees it reported, with its order, and nothing else. What is planted
// into COMPLETED, FAILED and PROCESSING is about the order of that kind.
func TestVerify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sql string
		checks    []string
		order     string
	}{
		{name: "Healthy"},
		{
			"AddressIsNoJSON", `UPDATE orders SET shipping_address = '"x"' WHERE id = 'PROCESSING'`,
			[]string{"unreadable"},
			"PROCESSING",
		},
		{
			"Items", "UPDATE order_items SET quantity = 9 WHERE order_id = 'FAILED' AND line = 1",
			[]string{"items"},
			"FAILED",
		},
		{"NoItems", "DELETE FROM order_items WHERE order_id = 'FAILED'", []string{"unreadable"}, "FAILED"},
		{
			"LogWithGap", "DELETE FROM order_events WHERE order_id = 'COMPLETED' AND version = 3",
			[]string{"log"},
			"COMPLETED",
		},
		{
			"LogWithoutBeginning", "DELETE FROM order_events WHERE order_id = 'COMPLETED' AND version < 3",
			[]string{"log"},
			"COMPLETED",
		},
		{
			"PrunedBeginning", `DELETE FROM order_events WHERE order_id = 'COMPLETED' AND version < 3;
				UPDATE log_history SET pruned_to = now()`, nil, "",
		},
		{
			"LogWithTwins", `INSERT INTO order_events (order_id, version, kind, amount_minor, step, generation, reference,
				reason, status, progress, status_changed, at) SELECT order_id, version, kind, amount_minor, step, generation,
				reference, reason, status, progress, status_changed, at FROM order_events
				WHERE order_id = 'FAILED' AND version = 5`, []string{"log"}, "FAILED",
		},
		{
			"Finding", `INSERT INTO reconciliation_findings (provider, kind, key, order_id, detail, state,
				first_seen_at, last_seen_at) VALUES ('payment', 'missing', 'k', 'FAILED', 'd', 'open', now(), now()),
				('email', 'late', 'k', 'FAILED', 'd', 'resolved', now(), now())`,
			[]string{"reconciliation"},
			"FAILED",
		},
		{
			"StateBesideLog", "UPDATE orders SET reason = 'other' WHERE id = 'FAILED'", []string{"fold"}, "FAILED",
		},
		{
			"StepBesideLog", "UPDATE order_steps SET reference = 'other' WHERE order_id = 'FAILED' AND step = 'void_payment'",
			[]string{"fold"},
			"FAILED",
		},
		{
			"IllegalEvent", `UPDATE order_events SET step = 'authorize_payment' WHERE order_id = 'FAILED' AND version = 3`,
			[]string{"transition"},
			"FAILED",
		},
		{
			"CapturedBeforeItMay", `UPDATE order_steps SET state = 'pending', settled_at = NULL
				WHERE order_id = 'COMPLETED' AND step = 'quote_shipping'`,
			[]string{"fold", "steps", "rest"},
			"COMPLETED",
		},
		{
			"CapturedTooMuch", `UPDATE order_steps SET amount_minor = amount_minor + 1
				WHERE order_id = 'COMPLETED' AND step = 'capture_payment'`,
			[]string{"fold", "money", "rest"},
			"COMPLETED",
		},
		{
			"NotUndone", `UPDATE order_steps SET state = 'refused' WHERE order_id = 'FAILED' AND step = 'void_payment'`,
			[]string{"fold", "rest"},
			"FAILED",
		},
		{
			"Stuck", "DELETE FROM order_steps WHERE order_id = 'PROCESSING' AND state = 'pending'",
			[]string{"fold", "stuck"},
			"PROCESSING",
		},
		{
			"SameKeyTwice", `DROP INDEX orders_idempotency_key_idx;
				UPDATE orders SET idempotency_key = 'k', fingerprint = sha256('') WHERE id IN ('FAILED', 'COMPLETED')`,
			[]string{"idempotency_key", "guards"},
			"FAILED",
		},
		{
			"FeedOutOfOrder", "UPDATE order_events SET txid = '1' WHERE order_id = 'FAILED' AND version = 5",
			[]string{"feed_order"},
			"FAILED",
		},
		{
			"OrderGone", `DELETE FROM orders WHERE id = 'FAILED'`, []string{"orphan"}, "FAILED",
		},
		{
			"NoJob", `UPDATE order_steps SET started_at = started_at - interval '2 minutes' WHERE order_id = 'PROCESSING';
				UPDATE orders SET placed_at = placed_at - interval '2 minutes' WHERE id = 'PROCESSING';
				DELETE FROM river_job WHERE args ->> 'order_id' = 'PROCESSING'`,
			[]string{"job"},
			"PROCESSING",
		},
		{
			"DeadJob", `UPDATE order_steps SET started_at = started_at - interval '2 minutes' WHERE order_id = 'PROCESSING';
				UPDATE orders SET placed_at = placed_at - interval '2 minutes' WHERE id = 'PROCESSING';
				UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE args ->> 'order_id' = 'PROCESSING'`,
			[]string{"job"},
			"PROCESSING",
		},
		{
			"Overdue", `UPDATE order_steps SET started_at = started_at - interval '2 hours',
				deadline_at = now() - interval '1 hour' WHERE order_id = 'PROCESSING';
				UPDATE orders SET placed_at = placed_at - interval '2 hours' WHERE id = 'PROCESSING'`,
			[]string{"overdue"},
			"PROCESSING",
		},
		{
			"LongUpkeep", `INSERT INTO river_job (kind, queue, state, attempt, attempted_at, attempted_by, max_attempts, args)
				VALUES ('maintain_log', 'maintenance', 'running', 1, now() - interval '17 minutes', ARRAY['x'], 25, '{}')`,
			[]string{"long_job"},
			"",
		},
		{
			"LongJob", `UPDATE river_job SET state = 'running', attempted_at = now() - interval '160 seconds'
				WHERE args ->> 'order_id' = 'PROCESSING'`, []string{"long_job"}, "PROCESSING",
		},
		{
			"Backlog", "UPDATE river_job SET scheduled_at = now() - interval '2 minutes' WHERE queue = 'orders'",
			[]string{"backlog"},
			"",
		},
		{
			"BacklogOfAPausedQueue", `UPDATE river_job SET scheduled_at = now() - interval '2 minutes' WHERE queue = 'orders';
				INSERT INTO river_queue (name, paused_at, updated_at) VALUES ('orders', now(), now())`, nil, "",
		},
		{
			"DeadRows", `ALTER TABLE audit_log SET (autovacuum_enabled = off);
				INSERT INTO rate_counts SELECT 's', now() + n * interval '1 second', 1, now() FROM generate_series(1, 60000) n;
				ALTER TABLE rate_counts SET (autovacuum_enabled = off); DELETE FROM rate_counts;
				SELECT pg_stat_force_next_flush()`,
			[]string{"dead_rows"},
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			ids := strings.NewReplacer("COMPLETED", d.completed.String(), "FAILED", d.failed.String(),
				"PROCESSING", d.processing.String())
			d.exec(t, ids.Replace(tt.sql))
			for _, deep := range []bool{false, true} {
				v := d.verify(t, deep)
				require.Equal(t, tt.checks, checks(v), v.Violations)
				require.GreaterOrEqual(t, v.Orders, int64(2))
				if tt.order != "" {
					for _, violation := range v.Violations {
						if violation.Check != "guards" {
							require.Contains(t, fmt.Sprint(violation.Orders), ids.Replace(tt.order))
						}
						require.NotEmpty(t, violation.Details)
					}
				}
			}
		})
	}
}

// TestVerifySessions is about what other sessions do. Limits are lower than by default, so that nothing has to get old.
func TestVerifySessions(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	session := func(statements ...string) func() {
		tx, err := d.pool.Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		for _, sql := range statements {
			_, err = tx.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
		return func() { require.NoError(t, tx.Rollback(context.Background())) }
	}
	verify := func(limits store.Limits) []string {
		v, err := d.store.Verifier.Verify(t.Context(), store.VerifyOptions{Limits: limits})
		require.NoError(t, err)
		return checks(v)
	}

	end := session("SELECT pg_current_xact_id()")
	require.Equal(t, []string{"old_writer"}, verify(store.Limits{Writer: time.Nanosecond}))
	require.Empty(t, verify(store.Limits{}))
	end()
	require.Empty(t, verify(store.Limits{Writer: time.Nanosecond}))

	end = session("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
	require.Equal(t, []string{"old_snapshot"}, verify(store.Limits{Snapshot: time.Nanosecond, Writer: time.Nanosecond}))
	end()

	// A session that listens and then sits in a transaction keeps the notifications of all sessions.
	listener, err := d.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer listener.Release()
	for _, sql := range []string{"LISTEN verify", "BEGIN", "SELECT 1"} {
		_, err = listener.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for i := range 5 {
		d.exec(t, fmt.Sprintf("SELECT pg_notify('verify', repeat('%d', 7000))", i))
	}
	require.Equal(t, []string{"notifications"}, verify(store.Limits{Notifications: 1e-9}))
	_, err = listener.Exec(t.Context(), "ROLLBACK; UNLISTEN *")
	require.NoError(t, err)

	fast, err := store.New(store.Config{DB: d.pool, Now: func() time.Time { return time.Now().Add(5 * time.Second) }})
	require.NoError(t, err)
	v, err := fast.Verifier.Verify(t.Context(), store.VerifyOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"clock"}, checks(v))
	v, err = fast.Verifier.Verify(t.Context(), store.VerifyOptions{Skip: []string{"clock"}})
	require.NoError(t, err)
	require.Empty(t, v.Violations)
}

// TestVerifyDocument holds docs/verify.md against the checks.
func TestVerifyDocument(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/verify.md")
	require.NoError(t, err)
	rows := 0
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "| `") {
			rows++
		}
	}
	require.Equal(t, len(store.Checks()), rows)
	for _, c := range store.Checks() {
		require.Contains(t, string(doc), fmt.Sprintf("| `%s` | %s | %s. | %s. |\n", c.Name, c.Invariant, c.Means, c.Do))
	}
}

// TestVerifyOrphans: rows without their order are found wherever they sort, also before and after all orders.
func TestVerifyOrphans(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.exec(t, `INSERT INTO order_items SELECT '00000000-0000-0000-0000-000000000001', 1, 1, 1, 1;
		INSERT INTO order_steps (order_id, step, generation, state, amount_minor, request, reference, reason, started_at,
			deadline_at, settled_at)
		SELECT 'ffffffff-ffff-ffff-ffff-fffffffffffe', step, generation, state, amount_minor, request, reference, reason,
			started_at, deadline_at, settled_at FROM order_steps WHERE step = 'send_email' LIMIT 1`)
	v := d.verify(t, true)
	require.Equal(t, []string{"orphan"}, checks(v))
	require.Len(t, v.Violations[0].Orders, 2)
}
