package jobs_test

import (
	"log/slog"
	"testing"

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
	all := testutil.CollectAndCount(collector)
	require.Equal(t, 3, testutil.CollectAndCount(collector, "millrace_queue_jobs"), "a step of each provider")

	_, err := pool.Exec(t.Context(), "ALTER TABLE webhook_deliveries RENAME TO gone")
	require.NoError(t, err)
	require.Zero(t, testutil.CollectAndCount(collector, "millrace_webhook_oldest_due_age_seconds"))
	require.Equal(t, all-1, testutil.CollectAndCount(collector))
}
