package store_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// reader collects what a feed hands out.
type reader struct {
	mu     sync.Mutex
	events []orders.Event
}

func (r *reader) take(entries []store.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		r.events = append(r.events, e.Event)
	}
}

func (r *reader) all() []orders.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]orders.Event(nil), r.events...)
}

func TestFeed(t *testing.T) {
	t.Parallel()

	// I15: writers whose transactions commit in another order than they wrote in. Whoever follows the id alone
	// loses events here; the control shows that this run would have lost some.
	t.Run("LosesNothing", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
		var got reader
		feed.Subscribe(got.take)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go feed.Run(ctx)
		require.Eventually(t, func() bool { return feed.Behind() < time.Second }, 10*time.Second, time.Millisecond)

		naive, stop := make(chan int, 1), make(chan struct{})
		go func() {
			var last, seen int64
			for {
				var n, newest int64
				_ = pool.QueryRow(ctx, "SELECT count(*), coalesce(max(id), $1) FROM order_events WHERE id > $1", last).
					Scan(&n, &newest)
				seen, last = seen+n, newest
				_, _ = pool.Exec(ctx, "NOTIFY millrace_feed") // has the feed read as often as it can
				select {
				case <-stop:
					naive <- int(seen)
					return
				case <-time.After(time.Millisecond):
				}
			}
		}()

		const writers, each = 8, 40
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
						s, err := store.New(store.Config{DB: tx})
						if err != nil {
							return err
						}
						if _, err := s.Place(ctx, []orders.Placement{storetest.Placement()}); err != nil {
							return err
						}
						_, err = tx.Exec(ctx, "SELECT pg_sleep($1)", rand.Float64()*0.02)
						return err
					})
					if err != nil {
						t.Errorf("write: %v", err)
					}
				}
			})
		}
		wg.Wait()
		require.Eventually(t, func() bool { return len(got.all()) >= writers*each }, 10*time.Second, time.Millisecond)
		close(stop)
		require.Len(t, got.all(), writers*each, "each event once")
		require.Less(t, <-naive, writers*each, "the control lost nothing, so this run proves nothing")
	})

	t.Run("HandsOutAnOrdersEventsInOrder", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		bell := store.NewDoorbell(pool, slog.New(slog.DiscardHandler))
		go bell.Run(t.Context())
		s, err := store.New(store.Config{DB: pool, Doorbell: bell})
		require.NoError(t, err)
		feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
		var got reader
		feed.Subscribe(got.take)
		go feed.Run(t.Context())
		require.Eventually(t, func() bool { return feed.Behind() < time.Second }, 10*time.Second, time.Millisecond)

		o := storetest.Order(t, s)
		for _, step := range []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping} {
			_, err := s.Apply(t.Context(), []orders.Event{outcome(o.ID, step)})
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return len(got.all()) == 4 }, 10*time.Second, time.Millisecond)
		stored, err := s.Events(t.Context(), o.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, stored, got.all())
	})

	// I15: a writer that waits for another must not have its transaction id already, or its event comes first. Here the
	// slow writer locks one order, waits for another, and is overtaken on a third.
	t.Run("KeepsEachOrdersSequence", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
		var got reader
		feed.Subscribe(got.take)
		go feed.Run(t.Context())
		require.Eventually(t, func() bool { return feed.Behind() < time.Second }, 10*time.Second, time.Millisecond)
		slow, fast := storetest.New(t, pool), storetest.New(t, pool)
		first, second, third := storetest.Order(t, slow), storetest.Order(t, slow), storetest.Order(t, slow)
		waiting := func() int {
			return count(t, pool, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		}
		holder, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = holder.Exec(t.Context(), "SELECT FROM orders WHERE id = $1 FOR UPDATE", second.ID)
		require.NoError(t, err)

		done := make(chan error, 2)
		go func() {
			_, err := slow.Apply(context.Background(), []orders.Event{
				outcome(first.ID, orders.QuoteShipping), outcome(second.ID, orders.QuoteShipping),
				outcome(third.ID, orders.QuoteShipping),
			})
			done <- err
		}()
		require.Eventually(t, func() bool { return waiting() == 1 }, 10*time.Second, time.Millisecond)
		go func() {
			_, err := fast.Apply(context.Background(), []orders.Event{outcome(third.ID, orders.AuthorizePayment)})
			done <- err
		}()
		require.Eventually(t, func() bool { return waiting() == 2 || len(done) == 1 }, 10*time.Second, time.Millisecond)
		require.NoError(t, holder.Rollback(t.Context()))
		require.NoError(t, <-done)
		require.NoError(t, <-done)

		require.Eventually(t, func() bool { return len(got.all()) == 7 }, 10*time.Second, time.Millisecond)
		last := map[orders.ID]int64{}
		for _, e := range got.all() {
			require.Equal(t, last[e.OrderID]+1, e.Version)
			last[e.OrderID] = e.Version
		}
	})

	// An old transaction holds the cursor back. That must be seen, because the cache relies on it.
	t.Run("KnowsThatItIsBehind", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
		require.Greater(t, feed.Behind(), time.Hour, "before the first read")
		t.Cleanup(func() {
			_, _ = pool.Exec(context.Background(), `SELECT pg_terminate_backend(pid)
			FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`)
		})
		go feed.Run(t.Context())
		require.Eventually(t, func() bool { return feed.Behind() < time.Second }, 10*time.Second, time.Millisecond)

		old, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = old.Exec(t.Context(), "SELECT pg_current_xact_id()")
		require.NoError(t, err)
		storetest.Order(t, storetest.New(t, pool))
		require.Eventually(t, func() bool { return feed.Behind() > 1500*time.Millisecond }, 10*time.Second,
			10*time.Millisecond)
		require.NoError(t, old.Rollback(t.Context()))
		require.Eventually(t, func() bool { return feed.Behind() < time.Second }, 10*time.Second, time.Millisecond)
	})

	t.Run("HealsItsListener", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
		var got reader
		feed.Subscribe(got.take)
		go feed.Run(t.Context())
		listening := func() bool {
			return count(t, pool, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND query ILIKE 'listen %'`) == 1
		}
		require.Eventually(t, listening, 10*time.Second, 10*time.Millisecond)
		_, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query ILIKE 'listen %'`)
		require.NoError(t, err)
		storetest.Order(t, storetest.New(t, pool))
		require.Eventually(t, func() bool { return len(got.all()) == 1 }, 10*time.Second, time.Millisecond,
			"nothing is lost while nobody listens")
		require.Eventually(t, listening, 10*time.Second, 10*time.Millisecond)
	})
}

// All NOTIFYs are sent after the commit, over a connection of their own, and few of them however many commits.
func TestDoorbell(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(ctx, `LISTEN millrace_feed; LISTEN "public.river_insert"`)
	require.NoError(t, err)

	silent := storetest.New(t, pool) // without a doorbell: not a sound, not from River either
	storetest.Order(t, silent)
	bell := store.NewDoorbell(pool, slog.New(slog.DiscardHandler))
	s, err := store.New(store.Config{DB: pool, Doorbell: bell})
	require.NoError(t, err)
	for range 50 {
		storetest.Order(t, s)
	}
	go bell.Run(ctx)

	heard := map[string]int{}
	for range 4 {
		n, err := conn.WaitForNotification(ctx)
		require.NoError(t, err)
		heard[n.Channel+n.Payload]++
	}
	require.Equal(t, map[string]int{
		"millrace_feed": 1,
		`public.river_insert{"queue" : "payment"}`:   1,
		`public.river_insert{"queue" : "inventory"}`: 1,
		`public.river_insert{"queue" : "shipping"}`:  1,
	}, heard)
}
