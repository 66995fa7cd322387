package jobs_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestUnknownKinds: a job of another version's kind is left alone, and burns no attempt, while others are worked past
// it.
func TestUnknownKinds(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(`INSERT INTO river_job (kind, queue, args, state, max_attempts, priority, scheduled_at)
		SELECT 'of_another_version', q, '{}', 'available', 5, 1, now() - interval '1 hour'
		FROM unnest(ARRAY['orders', 'maintenance']) AS q`)
	s.start()
	s.awaitStatus(s.place(nil), orders.Completed)
	var left int
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job
		WHERE kind = 'of_another_version' AND state = 'available' AND attempt = 0`).Scan(&left))
	require.Equal(t, 2, left)
}

// A count that fails costs its own series and no others.
func TestQueuesAreCountedApart(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	storetest.Order(t, s)
	collector := jobs.NewQueueCollector(s, slog.New(slog.DiscardHandler))
	// Until a scrape is complete: what takes longer than it may is missing from it.
	await := func(series int, names ...string) {
		require.Eventually(t, func() bool { return testutil.CollectAndCount(collector, names...) == series }, time.Minute,
			time.Millisecond, names)
	}
	const all = 12 // 1 queue twice, 3 statuses, 2 states of instances, 4 compensations, 1 age
	await(all)
	await(1, "millrace_queue_jobs") // the job that carries the order

	unpaid := storetest.Order(t, s).ID
	for step, kind := range map[orders.StepName]orders.EventKind{
		orders.ReserveInventory: orders.StepRefused, orders.AuthorizePayment: orders.StepSucceeded,
		orders.QuoteShipping: orders.StepSucceeded,
	} {
		_, err := s.Orders.Apply(t.Context(), []orders.Event{storetest.Outcome(unpaid, step, kind)})
		require.NoError(t, err)
	}
	_, err := s.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(unpaid, orders.VoidPayment, orders.StepUnknown),
	})
	require.NoError(t, err)
	const dead = `
# HELP millrace_dead_letters Orders that need attention, by the stuck step.
# TYPE millrace_dead_letters gauge
millrace_dead_letters{step="cancel_shipment"} 0
millrace_dead_letters{step="refund_payment"} 0
millrace_dead_letters{step="release_inventory"} 0
millrace_dead_letters{step="void_payment"} 1
`
	require.Eventually(t, func() bool {
		return testutil.CollectAndCompare(collector, strings.NewReader(dead), "millrace_dead_letters") == nil
	}, time.Minute, time.Millisecond)
	await(all)

	_, err = pool.Exec(t.Context(), "ALTER TABLE webhook_deliveries RENAME TO gone")
	require.NoError(t, err)
	require.Zero(t, testutil.CollectAndCount(collector, "millrace_webhook_oldest_due_age_seconds"))
	await(all - 1)
}

// An empty queue that is worked has a length and an age of 0. Without them, an autoscaler finds no value, and does not
// scale down.
func TestEmptyQueueIsCounted(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	_, err := pool.Exec(t.Context(), `INSERT INTO millrace.river_queue (name, updated_at)
		VALUES ('orders', now()), ('payment', now())`)
	require.NoError(t, err)
	storetest.Order(t, s)
	const counts = `
# HELP millrace_queue_jobs Unfinished jobs.
# TYPE millrace_queue_jobs gauge
millrace_queue_jobs{queue="orders",state="available"} 1
millrace_queue_jobs{queue="payment",state="available"} 0
`
	collector := jobs.NewQueueCollector(s, slog.New(slog.DiscardHandler))
	require.Eventually(t, func() bool {
		return testutil.CollectAndCompare(collector, strings.NewReader(counts), "millrace_queue_jobs") == nil &&
			testutil.CollectAndCount(collector, "millrace_queue_oldest_available_age_seconds") == 2
	}, time.Minute, time.Millisecond)
}
