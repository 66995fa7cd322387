package jobs_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/store/storetest"
)

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
	const all = 16 // 3 queues twice, 3 statuses, 2 states of instances, 4 compensations, 1 age
	await(all)
	await(3, "millrace_queue_jobs") // a step of each provider

	_, err := pool.Exec(t.Context(), "ALTER TABLE webhook_deliveries RENAME TO gone")
	require.NoError(t, err)
	require.Zero(t, testutil.CollectAndCount(collector, "millrace_webhook_oldest_due_age_seconds"))
	await(all - 1)
}
