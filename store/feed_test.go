package store_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
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

// awaitFeed waits until a feed has begun to read. When it is up to date depends on what other tests are writing.
func awaitFeed(t *testing.T, feed *store.Feed) {
	t.Helper()
	eventually(t, func() bool { return feed.Behind() < time.Hour })
}

// countReads makes another pool for the same database, and counts how often a feed begins to read over it.
func countReads(t *testing.T, pool *pgxpool.Pool) (*pgxpool.Pool, *atomic.Int64) {
	t.Helper()
	config, begun := pool.Config(), new(readCounter)
	config.ConnConfig.Tracer = begun
	counted, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(counted.Close)
	return counted, &begun.Int64
}

type readCounter struct{ atomic.Int64 }

func (c *readCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "name: LogBounds ") {
		c.Add(1)
	}
	return ctx
}

func (*readCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestFeed(t *testing.T) {
	t.Parallel()

	// I15: writers whose transactions commit in a different sequence than they wrote. A reader that follows the
	// id alone loses events here; the control shows that this run would have lost some.
	t.Run("LosesNothing", func(t *testing.T) {
		t.Parallel()
		pool := storetest.PatientPool(t)
		feeding, reads := countReads(t, pool)
		feed := store.NewFeed(feeding, slog.New(slog.DiscardHandler), nil)
		var got reader
		feed.Subscribe(got.take)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go feed.Run(ctx)
		awaitFeed(t, feed)

		ring := func() error { // has the feed read as often as it can
			_, err := pool.Exec(ctx, "NOTIFY millrace_feed")
			return err
		}
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
						if _, err := s.Orders.Place(ctx, []orders.Placement{storetest.Placement()}); err != nil {
							return err
						}
						_, err = tx.Exec(ctx, "SELECT pg_sleep($1)", rand.Float64()*0.02)
						return err
					})
					if err == nil {
						err = ring()
					}
					if err != nil {
						t.Errorf("write: %v", err)
					}
				}
			})
		}
		wg.Wait()
		all := func(n int) func() bool {
			return func() bool { return ring() == nil && len(got.all()) >= n }
		}
		eventually(t, all(writers*each))

		// The control: a writer commits after a later one, and the feed reads in between.
		slow := hold(t, pool)
		storetest.Order(t, storetest.New(t, slow))
		storetest.Order(t, storetest.New(t, pool))
		const newest = "SELECT max(id) FROM order_events"
		last, before := count(t, pool, newest), reads.Load()
		eventually(t, func() bool { return all(0)() && reads.Load() > before+1 })
		require.NoError(t, slow.Commit(t.Context()))
		require.Zero(t, count(t, pool, "SELECT count(*) FROM order_events WHERE id > $1", last), "nothing by the id alone")
		eventually(t, all(writers*each+2))
		require.Len(t, got.all(), writers*each+2, "each event once")
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
		awaitFeed(t, feed)

		o := storetest.Order(t, s)
		for _, step := range []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping} {
			_, err := s.Orders.Apply(t.Context(), []orders.Event{outcome(o.ID, step)})
			require.NoError(t, err)
		}
		eventually(t, func() bool { return len(got.all()) == 4 })
		stored, err := s.Orders.Events(t.Context(), o.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, stored, got.all())
	})

	// I15: a writer that waits for another must not have its transaction id already, or its event comes first. Here the
	// slow writer locks one order, waits for another, and is overtaken on a third.
	t.Run("KeepsEachOrdersSequence", func(t *testing.T) {
		t.Parallel()
		pool := storetest.PatientPool(t)
		feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
		var got reader
		feed.Subscribe(got.take)
		go feed.Run(t.Context())
		awaitFeed(t, feed)
		slow, fast := storetest.New(t, pool), storetest.New(t, pool)
		first, second, third := storetest.Order(t, slow), storetest.Order(t, slow), storetest.Order(t, slow)
		waiting := func() int {
			return count(t, pool, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		}
		holder := hold(t, pool)
		_, err := holder.Exec(t.Context(), "SELECT FROM orders WHERE id = $1 FOR UPDATE", second.ID)
		require.NoError(t, err)

		done := make(chan error, 2)
		go func() {
			_, err := slow.Orders.Apply(context.Background(), []orders.Event{
				outcome(first.ID, orders.QuoteShipping), outcome(second.ID, orders.QuoteShipping),
				outcome(third.ID, orders.QuoteShipping),
			})
			done <- err
		}()
		eventually(t, func() bool { return waiting() == 1 })
		go func() {
			_, err := fast.Orders.Apply(context.Background(), []orders.Event{outcome(third.ID, orders.AuthorizePayment)})
			done <- err
		}()
		eventually(t, func() bool { return waiting() == 2 || len(done) == 1 })
		require.NoError(t, holder.Rollback(t.Context()))
		require.NoError(t, <-done)
		require.NoError(t, <-done)

		eventually(t, func() bool { return len(got.all()) == 7 })
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
		go feed.Run(t.Context())
		awaitFeed(t, feed)

		old := hold(t, pool)
		_, err := old.Exec(t.Context(), "SELECT pg_current_xact_id()")
		require.NoError(t, err)
		storetest.Order(t, storetest.New(t, pool))
		placed := time.Now()
		eventually(t, func() bool { return feed.Behind() > 1500*time.Millisecond })
		hidden := time.Since(placed)
		require.GreaterOrEqual(t, feed.Behind(), hidden, "it has not read what was placed")
		require.NoError(t, old.Rollback(t.Context()))
		over := time.Now()
		eventually(t, func() bool { return feed.Behind() < time.Since(over) })
	})

	t.Run("HealsItsListener", func(t *testing.T) {
		t.Parallel()
		storetest.NeedsSessions(t, "nothing listens")
		pool := storetest.Pool(t)
		feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
		var got reader
		feed.Subscribe(got.take)
		go feed.Run(t.Context())
		listening := func() bool {
			return count(t, pool, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND query ILIKE 'listen %'`) == 1
		}
		awaitFeed(t, feed)
		eventually(t, listening)
		_, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query ILIKE 'listen %'`)
		require.NoError(t, err)
		storetest.Order(t, storetest.New(t, pool))
		eventually(t, func() bool { return len(got.all()) == 1 }, "nothing is lost while no process listens")
		eventually(t, listening)
	})
}

// unhurried is a pool that goes by no deadline, at which a doorbell would give up a ring.
type unhurried struct{ *pgxpool.Pool }

func (u unhurried) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return u.Pool.Exec(context.WithoutCancel(ctx), sql, args...)
}

// All NOTIFYs are sent after the commit, over a connection of their own, and few of them however many commits.
func TestDoorbell(t *testing.T) {
	t.Parallel()
	storetest.NeedsSessions(t, "nothing listens")
	pool := storetest.Pool(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(ctx, `LISTEN millrace_feed; LISTEN "millrace.river_insert"`)
	require.NoError(t, err)

	silent := storetest.New(t, pool) // without a doorbell: not a sound, not from River either
	storetest.Order(t, silent)
	bell := store.NewDoorbell(unhurried{pool}, slog.New(slog.DiscardHandler))
	s, err := store.New(store.Config{DB: pool, Doorbell: bell})
	require.NoError(t, err)
	for range 50 {
		storetest.Order(t, s)
	}
	go bell.Run(ctx)

	heard := map[string]int{}
	for range 2 {
		n, err := conn.WaitForNotification(ctx)
		require.NoError(t, err)
		heard[n.Channel+n.Payload]++
	}
	require.Equal(t, map[string]int{
		"millrace_feed": 1,
		`millrace.river_insert{"queue" : "orders"}`: 1,
	}, heard)
}
