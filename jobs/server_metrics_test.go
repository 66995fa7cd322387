package jobs_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestServerMetrics scrapes the state of the server. It is read again only after a while, and a table that cannot be
// read costs its own series alone.
func TestServerMetrics(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	storetest.Order(t, s)
	_, err := pool.Exec(t.Context(), `INSERT INTO river_leader (elected_at, expires_at, leader_id, name)
		VALUES (now(), now() + interval '1 hour', 'self', 'default')`)
	require.NoError(t, err)
	now := time.Now()
	logger := slog.New(slog.DiscardHandler)
	collector := jobs.NewServerCollector(s, "self", func() time.Time { return now }, logger)
	value := func(name string) float64 {
		var found float64
		require.Eventually(t, func() bool {
			registry := prometheus.NewRegistry()
			registry.MustRegister(collector)
			families, err := registry.Gather()
			require.NoError(t, err)
			for _, family := range families {
				if family.GetName() == name {
					found = family.GetMetric()[0].GetGauge().GetValue()
					return true
				}
			}
			return false
		}, time.Minute, time.Millisecond, name) // a scrape that took too long lacks it
		return found
	}
	require.InDelta(t, 1, value("millrace_leader"), 0)
	require.Positive(t, value("millrace_postgres_database_bytes"))
	require.Zero(t, value("millrace_postgres_standbys"))
	other := jobs.NewServerCollector(s, "other", func() time.Time { return now }, logger)
	require.Eventually(t, func() bool {
		return testutil.CollectAndCount(other, "millrace_leader") == 1
	}, time.Minute, time.Millisecond)

	require.InDelta(t, 1, value("millrace_postgres_log_partitions_ahead"), 0)
	_, err = pool.Exec(t.Context(), `DO $$ BEGIN
		EXECUTE (SELECT 'DROP TABLE millrace.' || name FROM millrace.log_partitions() WHERE starts > now());
	END $$`)
	require.NoError(t, err)
	require.InDelta(t, 1, value("millrace_postgres_log_partitions_ahead"), 0, "was read a moment ago")
	now = now.Add(11 * time.Second)
	require.Zero(t, value("millrace_postgres_log_partitions_ahead"))
}
