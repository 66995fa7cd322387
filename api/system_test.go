package api_test

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func (h *harness) systemStatus(t *testing.T) (s api.SystemStatus) {
	t.Helper()
	got := h.do(t, http.MethodGet, "/api/system/status", "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	noLeak(t, got.body)
	require.NoError(t, json.Unmarshal([]byte(got.body), &s))
	return s
}

func exec(t *testing.T, db store.DB, sql string) {
	t.Helper()
	_, err := db.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func TestSystemStatus(t *testing.T) {
	t.Parallel()

	t.Run("Well", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t) // others would wait for a leader's row until the test ends
		h := serve(t, pool, func(c *api.Config) {
			c.Instance = "me"
			c.Breakers = func() map[string]string { return map[string]string{"shipping": "half_open", "email": "closed"} }
		})
		exec(t, pool, `INSERT INTO river_leader (elected_at, expires_at, leader_id)
			VALUES (now(), now() + '1 hour', 'other')`)
		require.NoError(t, h.store.Instances.Beat(t.Context(), "other"))
		exec(t, pool, `INSERT INTO river_queue (name, updated_at) VALUES ('email', now()), ('payment', now())`)
		storetest.Order(t, h.store)
		exec(t, pool, `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now() WHERE queue = 'orders'`)
		s := h.systemStatus(t)
		require.Equal(t, "test", s.Version)
		require.Equal(t, "me", s.Instance)
		require.Equal(t, "other", s.Leader)
		require.False(t, s.Degraded)
		require.Empty(t, s.Reasons)
		require.Equal(t, api.Condition("ok"), s.Database.Status)
		require.Positive(t, s.Database.LatencySeconds)
		require.Positive(t, s.UptimeSeconds)
		require.Equal(t, []api.BreakerStatus{{"email", "closed"}, {"shipping", "half_open"}}, s.Breakers)
		require.Len(t, s.Queues, 5)
		require.Equal(t, api.QueueStatus{Name: "email"}, s.Queues[0])
		require.Equal(t, api.QueueStatus{Name: "orders", Running: 1}, s.Queues[2])
		require.Positive(t, s.Queues[3].OldestAgeSeconds, "a step that is being carried out is still pending")
		s.Queues[3].OldestAgeSeconds = 0
		require.Equal(t, api.QueueStatus{Name: "payment"}, s.Queues[3])
	})

	t.Run("Ill", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		h := serve(t, pool, func(c *api.Config) {
			c.Breakers = func() map[string]string { return map[string]string{"payment": "open"} }
			c.Feed = store.NewFeed(nil, c.Logger, nil) // which never runs
		})
		exec(t, pool, `INSERT INTO river_leader (elected_at, expires_at, leader_id) 
			VALUES (now(), now() - '1 s'::interval, 'x')`)
		exec(t, pool, `INSERT INTO river_queue (name, updated_at, paused_at) VALUES ('email', now(), now())`)
		storetest.Order(t, h.store)
		exec(t, pool, `UPDATE river_job SET scheduled_at = now() - '2 min'::interval WHERE queue = 'orders'`)
		h.api.Drain()
		s := h.systemStatus(t)
		require.True(t, s.Degraded)
		require.Equal(t, []api.StatusReason{
			{Code: "draining"},
			{Code: "feed_behind"},
			{Code: "no_leader"},
			{Code: "breaker_open", Subject: "payment"},
			{Code: "queue_paused", Subject: "email"},
			{Code: "queue_behind", Subject: "orders"},
		}, s.Reasons)
		require.InDelta(t, 120, s.Queues[2].OldestAgeSeconds, 60)
	})

	t.Run("DatabaseDown", func(t *testing.T) {
		t.Parallel()
		pool, err := store.NewPool(t.Context(), "postgres://127.0.0.1:1/none", "test", 1)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		h := serve(t, pool)
		s := h.systemStatus(t)
		require.Equal(t, api.Condition("down"), s.Database.Status)
		require.Equal(t, []api.StatusReason{{Code: "database_down"}}, s.Reasons)
		require.Empty(t, s.Queues)
		require.Contains(t, h.log.String(), "database unavailable", "the cause is in the log")
	})
}

// However often it is asked for, what is costly is measured once a second.
func TestSystemIsMeasuredOnce(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	start := time.Now()
	h := serve(t, storetest.Tx(t), func(c *api.Config) {
		c.Now = func() time.Time { return start.Add(time.Duration(passed.Load())) }
	})
	require.Empty(t, h.systemStatus(t).Queues)
	storetest.Order(t, h.store)
	require.Empty(t, h.systemStatus(t).Queues)
	passed.Store(int64(time.Second) + 1)
	require.Len(t, h.systemStatus(t).Queues, 4)
}

func TestSystemMetrics(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t), func(c *api.Config) {
		registry := c.Registerer.(prometheus.Gatherer)
		c.Registerer.MustRegister(collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		c.Gatherer = registry
	})
	for range 3 {
		h.do(t, http.MethodPost, "/api/orders", seedBody)
	}
	h.do(t, http.MethodPost, "/api/orders", `{}`)
	got := h.do(t, http.MethodGet, "/api/system/metrics", "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	var m api.SystemMetrics
	require.NoError(t, json.Unmarshal([]byte(got.body), &m))
	require.Equal(t, []api.RequestCount{{"create", "success", 3}, {"create", "validation_error", 1}}, m.Requests)
	require.Len(t, m.Latency, 1)
	require.Equal(t, "placeOrder", m.Latency[0].Operation)
	require.Equal(t, int64(4), m.Latency[0].Count)
	require.Positive(t, m.Latency[0].P50Seconds)
	require.LessOrEqual(t, m.Latency[0].P50Seconds, m.Latency[0].P99Seconds)
	require.Equal(t, int64(1), m.InFlight.Requests, "this one")
	require.Len(t, m.Queues, 4)
	require.Equal(t, int64(3), m.Queues[1].Available)
	require.Nil(t, m.Orders.Processing)
	require.Nil(t, m.Cache.HitRatio)
	require.Positive(t, m.Process.Goroutines)
	require.Positive(t, m.Process.HeapBytes)
	require.Positive(t, m.Process.ResidentBytes)
	for _, name := range []string{`"pools":[]`, `"ended":[]`, `"p95Seconds":`, `"cpuSeconds":`} {
		require.Contains(t, got.body, name)
	}
}
