package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// failures returns the errors that a pool has counted, by class.
func failures(t *testing.T, pool *pgxpool.Pool) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(store.PoolCollector("test", pool))
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "millrace_database_errors_total" {
			continue
		}
		require.Len(t, family.GetMetric(), 9, "all classes are there from the start")
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if n := metric.GetCounter().GetValue(); label.GetName() == "class" && n > 0 {
					counts[label.GetValue()] = n
				}
			}
		}
	}
	return counts
}

// TestFailuresAreCounted has a database fail in every way, and finds each error in its class once.
func TestFailuresAreCounted(t *testing.T) {
	t.Parallel()
	for class, sql := range map[string]string{
		"timeout":     "SET LOCAL statement_timeout = 1; SELECT pg_sleep(60)",
		"constraint":  "CREATE TABLE public.t (n integer UNIQUE); INSERT INTO public.t VALUES (1), (1)",
		"other":       "SELECT * FROM public.missing",
		"unavailable": "SELECT pg_terminate_backend(pg_backend_pid())",
		"conflict":    "DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40P01'; END $$",
		"resources":   "DO $$ BEGIN RAISE EXCEPTION 'disk is full' USING ERRCODE = '53100'; END $$",
		"lock":        "DO $$ BEGIN RAISE EXCEPTION 'no lock' USING ERRCODE = '55P03'; END $$",
		"read_only":   "SET TRANSACTION READ ONLY; CREATE TABLE public.t ()",
	} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			pool := storetest.Pool(t)
			_, err := pool.Exec(t.Context(), sql)
			require.Error(t, err)
			require.Equal(t, map[string]float64{class: 1}, failures(t, pool))
		})
	}
	t.Run("Batch", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		batch := &pgx.Batch{}
		batch.Queue("SELECT 1/0")
		require.Error(t, pool.SendBatch(t.Context(), batch).Close())
		require.Equal(t, map[string]float64{"other": 1}, failures(t, pool))
	})
	t.Run("Busy", func(t *testing.T) {
		t.Parallel()
		pool, err := store.NewPool(t.Context(), storetest.URL(t), "test", 1)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		held, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		defer held.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = pool.Acquire(ctx)
		require.Error(t, err)
		require.Equal(t, map[string]float64{"busy": 1}, failures(t, pool))
	})
	t.Run("Gone", func(t *testing.T) {
		t.Parallel()
		pool, err := store.NewPool(t.Context(), "postgres://127.0.0.1:1/none?sslmode=disable", "test", 1)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		require.Error(t, pool.Ping(t.Context()))
		require.Equal(t, map[string]float64{"unavailable": 1}, failures(t, pool))
	})
	t.Run("Cancelled", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := pool.Exec(ctx, "SELECT 1")
		require.Error(t, err)
		require.Empty(t, failures(t, pool))
	})
}
