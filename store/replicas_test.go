package store_test

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// replicated is a primary and its replica, as one process sees them.
type replicated struct {
	*storetest.Pair
	*store.Replicas

	pool     *pgxpool.Pool // of the primary
	primary  *store.Store
	registry *prometheus.Registry
	oldest   *atomic.Uint64 // transaction of the primary
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	r := &replicated{Pair: storetest.NewPair(t)}
	var err error
	r.pool, err = store.NewPool(t.Context(), r.Primary.DSN("postgres"), "test", 4)
	require.NoError(t, err)
	t.Cleanup(r.pool.Close)
	r.primary = storetest.New(t, r.pool)
	r.use(t)
	return r
}

// use makes the standby a replica of the primary.
func (r *replicated) use(t *testing.T) {
	t.Helper()
	r.Replicas, r.registry, r.oldest = replicasOf(t, r.primary, r.Standby.DSN("postgres"))
}

func replicasOf(
	t *testing.T, primary *store.Store, url string,
) (replicas *store.Replicas, registry *prometheus.Registry, oldest *atomic.Uint64) {
	t.Helper()
	pool, err := store.NewReplicaPool(t.Context(), url, "replica", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	registry, oldest = prometheus.NewRegistry(), new(atomic.Uint64)
	oldest.Store(math.MaxUint64)
	return store.NewReplicas(store.ReplicasConfig{
		Primary: primary, Registerer: registry, Pools: []*pgxpool.Pool{pool},
		Oldest: func() (uint64, bool) { return oldest.Load(), oldest.Load() != 0 },
	}), registry, oldest
}

// list returns the ids of all orders, newest first, and whether a replica has answered.
func (r *replicated) list(t *testing.T, after store.Position) (ids []orders.ID, replica bool, reached store.Position) {
	t.Helper()
	reached, err := r.Read(t.Context(), after, store.ReplicaMaxLag, func(ctx context.Context, s *store.Store) error {
		found, err := s.Orders.List(ctx, store.Filter{Limit: 100})
		ids, replica = nil, s != r.primary
		for _, o := range found {
			ids = append(ids, o.ID)
		}
		return err
	})
	require.NoError(t, err)
	return ids, replica, reached
}

// follow waits until the replica answers for a position.
func (r *replicated) follow(t *testing.T, after store.Position) {
	t.Helper()
	require.Eventually(t, func() bool {
		r.Probe(t.Context())
		_, replica, _ := r.list(t, after)
		return replica
	}, time.Minute, 10*time.Millisecond)
}

func (r *replicated) fallbacks(t *testing.T, reason string) int {
	t.Helper()
	return int(metric(t, r.registry, "millrace_replica_fallbacks_total", reason))
}

// metric returns the value of a counter or gauge whose last label has a value.
func metric(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := m.GetLabel()
			if family.GetName() == name && labels[len(labels)-1].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	require.Fail(t, "no such metric", "%s %s", name, label)
	return 0
}

// A caller reads from a replica what it has written, or from the primary if the replica has not replayed it.
func TestReplicasReadYourWrites(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	first := storetest.Order(t, r.primary)
	seen := r.Position(t.Context())
	r.follow(t, seen)

	acquired, stale := r.pool.Stat().AcquireCount(), r.fallbacks(t, "stale")
	for range 10 {
		ids, replica, reached := r.list(t, seen)
		require.True(t, replica)
		require.Equal(t, []orders.ID{first.ID}, ids)
		require.GreaterOrEqual(t, reached.String(), seen.String())
	}
	require.Equal(t, acquired, r.pool.Stat().AcquireCount(), "reads from a replica do not touch the primary")

	r.PauseReplay(t)
	second := storetest.Order(t, r.primary)
	later := r.Position(t.Context())
	require.Greater(t, later.String(), seen.String())
	ids, replica, reached := r.list(t, later)
	require.False(t, replica)
	require.Equal(t, []orders.ID{second.ID, first.ID}, ids)
	require.GreaterOrEqual(t, reached.String(), later.String())
	require.Equal(t, stale+1, r.fallbacks(t, "stale"))
	ids, replica, _ = r.list(t, seen)
	require.True(t, replica)
	require.Equal(t, []orders.ID{first.ID}, ids, "of the second order this caller has not heard")

	_, replica, reached = r.list(t, store.Position{})
	require.False(t, replica, "a caller without a position")
	require.GreaterOrEqual(t, reached.String(), later.String())
	require.Equal(t, 1, r.fallbacks(t, "none"))
	_, replica, _ = r.list(t, store.AnyPosition())
	require.True(t, replica)
	other, err := store.ParsePosition("0000000000000001" + later.String()[16:])
	require.NoError(t, err)
	_, replica, _ = r.list(t, other)
	require.False(t, replica, "a position of another timeline")

	r.ResumeReplay(t)
	r.follow(t, later)
	ids, _, _ = r.list(t, later)
	require.Equal(t, []orders.ID{second.ID, first.ID}, ids)
}

// A replica that is gone costs its callers a moment at most, and is used again once it is back.
func TestReplicaGone(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	storetest.Order(t, r.primary)
	seen := r.Position(t.Context())
	r.follow(t, seen)
	r.StopStandby(t)
	for range 3 {
		ids, replica, _ := r.list(t, seen)
		require.False(t, replica)
		require.Len(t, ids, 1)
	}
	require.Equal(t, 3, r.fallbacks(t, "unreachable"))
	require.InDelta(t, 1, metric(t, r.registry, "millrace_replica_state", "unreachable"), 0)
	r.Probe(t.Context())
	_, replica, _ := r.list(t, seen)
	require.False(t, replica)
	r.RestartStandby(t)
	r.follow(t, seen)
}

// A read that a conflict with replay ends is done again on the primary.
func TestReplicaConflict(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	storetest.Order(t, r.primary)
	seen := r.Position(t.Context())
	r.follow(t, seen)
	var tries []bool
	_, err := r.Read(t.Context(), seen, store.ReplicaMaxLag, func(ctx context.Context, s *store.Store) error {
		tries = append(tries, s == r.primary)
		if s == r.primary {
			return nil
		}
		storetest.Execute(t, r.Standby, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "+
			"WHERE application_name = 'millrace-replica'") // nothing runs yet
		storetest.Execute(t, r.Standby, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "+
			"WHERE application_name = 'millrace-replica'") // as max_standby_streaming_delay does in the end
		_, err := s.Orders.List(ctx, store.Filter{Limit: 1})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []bool{false, true}, tries)
	require.Equal(t, 1, r.fallbacks(t, "failed"))
}

// Servers that are not replicas of this database are refused, and the metrics show it.
func TestReplicaRefused(t *testing.T) {
	t.Parallel()
	r, strangers := newReplicated(t), storetest.NewPair(t)
	storetest.Execute(t, r.Primary, "CREATE DATABASE sibling")
	seen := r.Position(t.Context())
	r.follow(t, seen)
	storetest.Execute(t, r.Primary, "SELECT pg_logical_emit_message(false, 'test', 'more')")
	for name, url := range map[string]string{
		"the primary":        r.Primary.DSN("postgres"),
		"strangers":          strangers.Standby.DSN("postgres"),
		"a sibling database": r.Standby.DSN("sibling"),
	} {
		require.Eventually(t, func() bool { // the sibling has to be replayed first
			replicas, registry, _ := replicasOf(t, r.primary, url)
			replicas.Probe(t.Context())
			_, err := replicas.Read(t.Context(), store.AnyPosition(), store.ReplicaMaxLag,
				func(_ context.Context, s *store.Store) error {
					require.Same(t, r.primary, s, name)
					return nil
				})
			require.NoError(t, err)
			return metric(t, registry, "millrace_replica_state", "refused") == 1
		}, time.Minute, 10*time.Millisecond, name)
	}
}

// A standby that stayed on the old timeline after a failover may be far ahead in the log, and is not used.
func TestReplicaOfOldTimeline(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	_, heir := r.AddStandby(t)
	storetest.Order(t, r.primary)
	seen := r.Position(t.Context())
	r.follow(t, seen)
	require.Eventually(t, func() bool {
		return storetest.Query(t, heir, "SELECT count(*) FROM millrace.timelines") == "1"
	}, time.Minute, 10*time.Millisecond)
	storetest.Execute(t, heir, "ALTER SYSTEM SET primary_conninfo = ''")
	storetest.Execute(t, heir, "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool {
		return storetest.Query(t, heir, "SELECT count(*) FROM pg_stat_wal_receiver") == "0"
	}, time.Minute, 10*time.Millisecond)
	storetest.Execute(t, r.Primary, "SELECT pg_logical_emit_message(true, 'test', repeat('x', 10000000))")
	r.follow(t, r.Position(t.Context()))
	r.StopPrimary(t)
	storetest.Execute(t, heir, "SELECT pg_promote()")

	pool, err := store.NewPool(t.Context(), heir.DSN("postgres"), "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	r.primary = storetest.New(t, pool)
	r.use(t)
	storetest.Order(t, r.primary)
	r.Probe(t.Context())
	for _, position := range []store.Position{seen, r.Position(t.Context()), store.AnyPosition()} {
		ids, replica, _ := r.list(t, position)
		require.False(t, replica)
		require.Len(t, ids, 2)
	}
	require.InDelta(t, 1, metric(t, r.registry, "millrace_replica_state", "behind"), 0)
}

func TestParsePosition(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"primary", "any", "00000000000000ff-0000000000000001", "7fffffffffffffff-ffffffffffffffff",
	} {
		p, err := store.ParsePosition(text)
		require.NoError(t, err)
		require.Equal(t, text, p.String())
	}
	for _, text := range []string{
		"x", "Any", " any", "0000000000000000-0000000000000001", "ff-1", "00000000000000FF-0000000000000001",
		"00000000000000ff-0000000000000001 ", "00000000000000ff-00000000000000010", strings.Repeat("f", 33), "-", "\x00",
	} {
		_, err := store.ParsePosition(text)
		require.ErrorIs(t, err, store.ErrBadPosition, text)
	}
	p, err := store.ParsePosition("")
	require.NoError(t, err)
	require.Equal(t, store.Position{}, p)
}
