package jobs_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// failing is a system of which one provider answers 503 until it is told to work, and whose breaker is open.
func failing(t *testing.T, path string, p orders.Provider, openFor time.Duration) (*system, *atomic.Bool) {
	t.Helper()
	works := new(atomic.Bool)
	var recovery *jobs.Recovery
	s := newSystem(t, func(s *system, c *upstream.Config) {
		c.Breaker.OpenFor = openFor
		s.silent = func(r *http.Request) bool { return !works.Load() && strings.HasPrefix(r.URL.Path, path) }
		s.configure = func(c *jobs.Config) {
			c.SweepEvery = 100 * time.Millisecond
			recovery = jobs.NewRecovery(s.store, s.providers, slog.New(slog.DiscardHandler), nil)
			c.Recovery = recovery
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	go func() {
		defer close(ended)
		recovery.Run(ctx)
	}()
	s.start()
	for range 10 {
		s.place(nil)
	}
	require.Eventually(t, func() bool { return s.providers.State(p) == upstream.Open }, time.Minute, time.Millisecond)
	return s, works
}

// scan reads one number.
func (s *system) scan(sql string) (n int) {
	s.t.Helper()
	require.NoError(s.t, s.pool.QueryRow(s.t.Context(), sql).Scan(&n))
	return n
}

// While a provider's breaker is open, its queue costs nothing, however long it is; others go on.
func TestOpenBreakerFetchesNothing(t *testing.T) {
	t.Parallel()
	s, _ := failing(t, "/payments", orders.Payment, time.Hour)
	const running = "SELECT count(*) FROM river_job WHERE queue = 'payment' AND state = 'running'"
	require.Eventually(t, func() bool { return s.scan(running) == 0 }, time.Minute, time.Millisecond)
	const runs = `SELECT coalesce(sum(attempt + coalesce((metadata ->> 'snoozes')::int, 0)), 0) FROM river_job
		WHERE queue = 'payment'`
	before := s.scan(runs)
	var ids []orders.ID
	for range 50 {
		ids = append(ids, s.place(nil))
	}
	for _, id := range ids {
		s.await(id, "the other providers", func(o orders.Order) bool {
			return o.Latest(orders.QuoteShipping).State == orders.StateSucceeded &&
				o.Latest(orders.ReserveInventory).State == orders.StateSucceeded
		})
	}
	require.Equal(t, before, s.scan(runs), "nothing of the queue is run")
	require.GreaterOrEqual(t, s.scan(`SELECT count(*) FROM river_job WHERE queue = 'payment' AND state = 'available'
		AND attempt = 0`), 50, "they wait where every process finds them")
}

// One job at a time finds out that a provider is back, and then all of them run.
func TestQueueOpensWithItsBreaker(t *testing.T) {
	t.Parallel()
	s, works := failing(t, "/payments", orders.Payment, 100*time.Millisecond)
	var ids []orders.ID
	for range 50 {
		ids = append(ids, s.place(nil))
	}
	works.Store(true)
	for _, id := range ids {
		s.awaitStatus(id, orders.Completed)
	}
}

// What needs no answer of a provider does not wait for its breaker: orders that are cancelled or fail meanwhile, and
// steps whose deadline has passed.
func TestShutQueueHoldsUpNoUndoing(t *testing.T) {
	t.Parallel()
	s, _ := failing(t, "/shipping", orders.Shipping, time.Hour)
	cancelled, late := s.place(nil), s.place(nil)
	s.cancel(cancelled)
	s.awaitStatus(cancelled, orders.Cancelled)
	s.ahead.Store(int64(90 * time.Minute)) // the deadline, and for how long the provider is asked after it
	s.awaitStatus(late, orders.Failed)
}

// pause pauses the lane of a provider, as an operator does, and lets the workers know.
func (s *system) pause(lane orders.Provider, d time.Duration) {
	s.t.Helper()
	hold := store.NewHold{Reason: "test", Until: time.Now().Add(d)}
	_, err := s.store.Levers.PauseLane(s.t.Context(), lane, hold, store.Actor{Name: "test"})
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.Holds.Follow(s.t.Context(), s.store.Levers))
}

// A paused lane is left alone, however long its queue is, and others go on. It goes on when it is resumed.
func TestPausedLane(t *testing.T) {
	t.Parallel()
	var called atomic.Bool
	s := newSystem(t, func(s *system, _ *upstream.Config) {
		s.onCall = func(r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/payments") {
				called.Store(true)
			}
		}
	})
	s.pause(orders.Payment, time.Hour)
	s.start()
	var ids []orders.ID
	for range 20 {
		ids = append(ids, s.place(nil))
	}
	for _, id := range ids {
		s.await(id, "the other lanes", func(o orders.Order) bool {
			return o.Latest(orders.QuoteShipping).State == orders.StateSucceeded &&
				o.Latest(orders.ReserveInventory).State == orders.StateSucceeded
		})
	}
	require.False(t, called.Load(), "the provider was called")
	queues, err := s.store.Queues.List(t.Context())
	require.NoError(t, err)
	for _, q := range queues {
		require.Equal(t, q.Name == "payment", q.Held, q.Name)
		require.False(t, q.Paused, "River knows nothing of it")
	}

	require.NoError(t, s.store.Levers.ResumeLane(t.Context(), orders.Payment, store.Actor{Name: "test"}))
	require.NoError(t, s.store.Holds.Follow(t.Context(), s.store.Levers))
	for _, id := range ids {
		s.awaitStatus(id, orders.Completed)
	}
}

// The steps of a paused lane are not settled, not even behind an open breaker and past their deadline. The deadline
// holds all the same: after the pause the provider is asked about the step, which is then given up.
func TestPausedLaneSettlesNothing(t *testing.T) {
	t.Parallel()
	s, works := failing(t, "/shipping", orders.Shipping, time.Hour)
	const shut = "SELECT count(*) FROM instances WHERE 'shipping' = ANY(shut_queues)"
	require.Eventually(t, func() bool { return s.scan(shut) == 1 }, time.Minute, 10*time.Millisecond, "a heartbeat")
	s.pause(orders.Shipping, time.Hour)
	require.Eventually(t, func() bool { return s.scan(shut) == 0 }, time.Minute, 10*time.Millisecond, "the next one")
	cancelled, late := s.place(nil), s.place(nil)
	s.cancel(cancelled)
	s.ahead.Store(int64(90 * time.Minute))
	s.sweeps(3)
	for _, id := range []orders.ID{cancelled, late} {
		order, err := s.store.Orders.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, orders.StatePending, order.Latest(orders.QuoteShipping).State)
	}

	works.Store(true)
	require.NoError(t, s.store.Levers.ResumeLane(t.Context(), orders.Shipping, store.Actor{Name: "test"}))
	require.NoError(t, s.store.Holds.Follow(t.Context(), s.store.Levers))
	s.awaitStatus(cancelled, orders.Cancelled)
	s.awaitStatus(late, orders.Failed)
}

// sweeps waits until so many more sweeps have ended.
func (s *system) sweeps(n int) {
	s.t.Helper()
	const ended = "SELECT count(*) FROM river_job WHERE kind = 'sweep' AND state = 'completed'"
	before := s.scan(ended)
	require.Eventually(s.t, func() bool { return s.scan(ended) >= before+n }, time.Minute, 10*time.Millisecond)
}
