package api_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

const position = "Millrace-Position"

// TestReplicas: what a caller has seen comes back from a replica that has replayed it, and otherwise from the primary.
func TestReplicas(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	primary, err := store.NewPool(t.Context(), pair.Primary.DSN("postgres"), "test", 8)
	require.NoError(t, err)
	t.Cleanup(primary.Close)
	standby, err := store.NewReplicaPool(t.Context(), pair.Standby.DSN("postgres"), "replica", 4)
	require.NoError(t, err)
	t.Cleanup(standby.Close)
	var replicas *store.Replicas
	registry := prometheus.NewRegistry()
	h := serve(t, primary, func(c *api.Config) {
		replicas = store.NewReplicas(store.ReplicasConfig{
			Primary: c.Store, Pools: []*pgxpool.Pool{standby}, Registerer: registry,
			Oldest: func() (uint64, bool) { return math.MaxUint64, true },
		})
		c.Replicas = replicas
	})
	reads := func() float64 { return counted(t, registry, "millrace_replica_reads_total") }
	place := func() (id, seen string) {
		placed := h.do(t, http.MethodPost, "/api/orders", seedBody)
		require.Equal(t, http.StatusAccepted, placed.status)
		require.NotEmpty(t, placed.header.Get(position))
		return placed.order(t).OrderID.String(), placed.header.Get(position)
	}
	paths := func(id string) []string {
		return []string{
			"/api/orders", "/api/orders?status=pending", "/api/customers/1/orders", "/api/orders/user/1", "/api/orders/export",
			"/api/events?after=start", "/api/orders/" + id + "/explain",
		}
	}
	first, seen := place()
	follow := func(seen string) {
		require.Eventually(t, func() bool {
			replicas.Probe(t.Context())
			before := reads()
			require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "", position, seen).status)
			return reads() > before
		}, time.Minute, 10*time.Millisecond)
	}
	follow(seen)
	// What only the primary can say: that no older order is still being committed.
	end := h.do(t, http.MethodGet, "/api/orders/export", "", position, seen)
	require.Contains(t, end.body, first)
	sealed := h.do(t, http.MethodGet, "/api/orders", "").header.Get(position)
	follow(sealed)
	for _, path := range append(
		paths(first), "/api/system/history", "/api/dead-letters/orders", "/api/orders/export?to=2020-01-01T00:00:00Z",
	) {
		require.Eventually(t, func() bool {
			replicas.Probe(t.Context())
			before := reads()
			got := h.do(t, http.MethodGet, path, "", position, sealed)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.GreaterOrEqual(t, got.header.Get(position), sealed, path)
			// Only the primary knows whether older orders are being committed, and what an open order waits for.
			return reads() > before || path == "/api/orders/export" || strings.HasSuffix(path, "/explain")
		}, time.Minute, 10*time.Millisecond, path)
	}

	pair.PauseReplay(t)
	second, later := place()
	before := reads()
	for _, path := range paths(second) {
		got := h.do(t, http.MethodGet, path, "", position, later)
		require.Contains(t, got.body, second, path)
		require.GreaterOrEqual(t, got.header.Get(position), later, path)
	}
	require.Equal(t, before, reads(), "the replica is paused") //nolint:testifylint // whole numbers
	stale := h.do(t, http.MethodGet, "/api/orders", "", position, seen)
	require.NotContains(t, stale.body, second, "which this caller has not heard of")
	explained := h.do(t, http.MethodGet, "/api/orders/"+second+"/explain", "", position, seen)
	require.Equal(t, http.StatusOK, explained.status, "an order that a replica does not know may exist")
	require.Contains(t, h.do(t, http.MethodGet, "/api/orders", "").body, second, "a caller without a position")
	require.Contains(t, h.do(t, http.MethodGet, "/api/orders", "", position, "primary").body, second)
	require.Contains(t, h.do(t, http.MethodGet, "/api/events?after=start&wait=1", "", position, seen).body, second)

	cancelled := h.do(t, http.MethodPost, "/api/orders/"+first+"/cancel", "")
	require.Greater(t, cancelled.header.Get(position), later)
	for _, text := range []string{"x", strings.Repeat("f", 33), strings.Repeat("f", 100)} {
		for _, path := range append(paths(first), "/api/events?wait=1") {
			refused := h.do(t, http.MethodGet, path, "", position, text)
			require.Equal(t, http.StatusUnprocessableEntity, refused.status, path)
			require.Equal(t, "header."+position, refused.problem(t).Errors[0].Location)
		}
	}
}

// TestPositionWithoutReplicas: positions are checked and have no effect.
func TestPositionWithoutReplicas(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	placed := h.do(t, http.MethodPost, "/api/orders", seedBody)
	require.Empty(t, placed.header.Get(position))
	listed := h.do(t, http.MethodGet, "/api/orders", "", position, "00000000000000ff-0000000000000001")
	require.Equal(t, http.StatusOK, listed.status)
	require.Empty(t, listed.header.Get(position))
	require.Equal(t, http.StatusUnprocessableEntity, h.do(t, http.MethodGet, "/api/orders", "", position, "x").status)
}

// counted sums up a counter.
func counted(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
