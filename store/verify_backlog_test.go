package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// TestVerifyQueues: a queue is neglected only if a process could have worked it for a minute, and none did.
func TestVerifyQueues(t *testing.T) {
	t.Parallel()
	const (
		ready   = "UPDATE river_job SET scheduled_at = now() - interval '1 hour' WHERE queue = 'orders';"
		overdue = `UPDATE order_steps SET started_at = started_at - interval '2 hours',
			deadline_at = now() - interval '1 hour' WHERE order_id = 'PROCESSING';
			UPDATE orders SET placed_at = placed_at - interval '2 hours' WHERE id = 'PROCESSING';`
		paused = `INSERT INTO river_queue (name, paused_at, updated_at)
			SELECT unnest(ARRAY['orders', 'payment', 'inventory', 'shipping']), now(), now();`
		held = `INSERT INTO levers (kind, lane, reason, actor, began_at, ends_at) SELECT 'lane',
			unnest(ARRAY['payment', 'inventory', 'shipping']), 'r', 'a', now() - interval '2 days', now() `
		young = `DELETE FROM instances; INSERT INTO instances (id, started_at, heartbeat_at)
			VALUES ('test', now() - interval '30 seconds', now() + interval '1 hour');`
		attended = `INSERT INTO queue_attendance (queue, paused_at, shut_at, worked_at) SELECT unnest(ARRAY['orders',
			'payment', 'inventory', 'shipping']), `
	)
	payment := "UPDATE river_job SET queue = 'payment';" + strings.ReplaceAll(ready, "orders", "payment")
	tests := []struct {
		name, sql string
		checks    []string
	}{
		{"Neglected", ready, []string{"backlog"}},
		{
			"NeglectedForLong", ready + attended + strings.Repeat("now() - interval '2 min', ", 2) + "now() - interval '2 min'",
			[]string{"backlog"},
		},
		{"PausedByALever", payment + held + "+ interval '1 min'", nil},
		{"PausedUntilLongAgo", payment + held + "- interval '2 min'", []string{"backlog"}},
		{"Resumed", ready + attended + "now() - interval '50 s', NULL, NULL", nil},
		{"OpenedByItsBreaker", ready + attended + "NULL, now() - interval '50 s', NULL", nil},
		{"WorkedAndBehind", ready + attended + "NULL, NULL, now() - interval '50 s'", nil},
		{"AfterAStart", ready + young, nil},
		{"Overdue", overdue, []string{"overdue"}},
		{"OverdueAndPaused", overdue + paused, nil},
		{"OverdueAndPausedByALever", overdue + held + "+ interval '1 min'", nil},
		{"OverdueAndPausedUntilNow", overdue + held + "- interval '1 s'", []string{"overdue"}},
		{"OverdueAndResumed", overdue + attended + "now() - interval '4 min', NULL, NULL", nil},
		{"OverdueLongAfter", overdue + attended + "now() - interval '6 min', NULL, now()", []string{"overdue"}},
		{"OverdueBehindABreaker", overdue + attended + "NULL, now(), now()", []string{"overdue"}},
		{"OverdueAfterAStart", overdue + young, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			d.exec(t, strings.ReplaceAll(tt.sql, "PROCESSING", d.processing.String()))
			v, err := d.store.Verifier.Verify(t.Context(), store.VerifyOptions{Skip: []string{"leader"}})
			require.NoError(t, err)
			require.Equal(t, tt.checks, checks(v), v.Violations)
		})
	}
}

// TestAttend: heartbeats note what becomes of a queue, and keep noting the latest only.
func TestAttend(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.exec(t, `DELETE FROM instances;
		INSERT INTO river_queue (name, paused_at, updated_at) VALUES ('email', now(), now()), ('payment', NULL, now());
		INSERT INTO levers (kind, lane, reason, actor, began_at, ends_at) VALUES
			('lane', 'shipping', 'r', 'a', now(), now() + interval '1 hour'), ('lane', 'inventory', 'r', 'a',
			now() - interval '1 hour', now())`)
	seen := func(column string) string {
		var queues string
		require.NoError(t, d.pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(queue, ' ' ORDER BY queue), '')
			FROM queue_attendance WHERE `+column+` > now() - interval '1 hour'`).Scan(&queues))
		return queues
	}
	require.NoError(t, d.store.Instances.Beat(t.Context(), "a", "payment", "shipping"))
	require.NoError(t, d.store.Instances.Beat(t.Context(), "b", "payment", "inventory"))
	require.NoError(t, d.store.Instances.Attend(t.Context(), "webhooks"))
	require.Equal(t, "email shipping", seen("paused_at"))
	require.Equal(t, "payment", seen("shut_at"), "only what all keep away from")
	require.Equal(t, "webhooks", seen("worked_at"))

	d.exec(t, "UPDATE queue_attendance SET paused_at = paused_at - interval '1 day', shut_at = shut_at - interval '1 day'")
	d.exec(t, "UPDATE river_queue SET paused_at = NULL; DELETE FROM levers")
	require.NoError(t, d.store.Instances.Beat(t.Context(), "b"))
	require.NoError(t, d.store.Instances.Attend(t.Context(), "payment"))
	require.Empty(t, seen("paused_at")+seen("shut_at"))
	require.Equal(t, "payment webhooks", seen("worked_at"))
	require.Equal(t, 4, count(t, d.pool, "SELECT count(*) FROM queue_attendance"))
}
