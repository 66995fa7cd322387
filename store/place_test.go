package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func count(t *testing.T, db store.DB, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func TestPlace(t *testing.T) {
	t.Parallel()

	t.Run("StoresTheOrderAndItsJobsTogether", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		p := storetest.Placement()
		p.ShippingAddress = &orders.Address{Line1: "1 Main St", City: "Springfield", Country: "US"}
		p.PaymentMethod, p.CustomerEmail = "card", "ada@example.com"

		placed, err := s.Orders.Place(t.Context(), []orders.Placement{p, storetest.Placement()})
		require.NoError(t, err)
		require.Len(t, placed, 2)

		order := placed[0].Order
		stored, err := s.Orders.Get(t.Context(), order.ID)
		require.NoError(t, err)
		for i := range order.Steps {
			order.Steps[i].Request = nil // reads leave the frozen bodies out
		}
		require.Equal(t, order, stored)

		events, err := s.Orders.Events(t.Context(), order.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []orders.Event{{
			OrderID: order.ID, Kind: orders.OrderPlaced, At: order.PlacedAt, Version: 1,
			Status: orders.Pending, StatusChanged: true,
		}}, events)

		require.Equal(t, 1, count(t, tx, `SELECT count(*) FROM river_job WHERE args ->> 'order_id' = $1 AND NOT args ? 'steps'
			AND state = 'available' AND kind = 'carry_order' AND queue = 'orders' AND priority = 2`, order.ID.String()))
	})

	t.Run("NothingIsLeftOfAFailure", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		_, err := tx.Exec(t.Context(), `ALTER TABLE river_job ADD CONSTRAINT no_jobs CHECK (false) NOT VALID`)
		require.NoError(t, err)
		_, err = storetest.New(t, tx).Orders.Place(t.Context(), []orders.Placement{storetest.Placement()})
		require.ErrorContains(t, err, "no_jobs")
		require.Zero(t, count(t, tx, `SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_items)
			+ (SELECT count(*) FROM order_steps) + (SELECT count(*) FROM order_events)`))
	})

	t.Run("UnknownOrder", func(t *testing.T) {
		t.Parallel()
		_, err := storetest.New(t, storetest.Tx(t)).Orders.Get(t.Context(), orders.NewID())
		require.ErrorIs(t, err, orders.ErrNotFound)
	})
}

func TestPlaceIdempotently(t *testing.T) {
	t.Parallel()
	keyed := func(key string) orders.Placement {
		p := storetest.Placement()
		p.IdempotencyKey = key
		return p
	}

	t.Run("Replay", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		first, err := s.Orders.Place(t.Context(), []orders.Placement{keyed("a")})
		require.NoError(t, err)
		_, err = s.Orders.Apply(t.Context(), []orders.Event{
			storetest.Outcome(first[0].Order.ID, orders.AuthorizePayment, orders.StepSucceeded),
		})
		require.NoError(t, err)

		again, err := s.Orders.Place(t.Context(), []orders.Placement{keyed("a"), keyed("b")})
		require.NoError(t, err)
		require.True(t, again[0].Replayed)
		require.Equal(t, first[0].Order, again[0].Order, "the first answer, though the order has moved on")
		require.False(t, again[1].Replayed)
		require.Equal(t, 2, count(t, tx, "SELECT count(*) FROM orders"))
		require.Equal(t, 2, count(t, tx, "SELECT count(*) FROM river_job"))
	})

	t.Run("OtherRequest", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		_, err := s.Orders.Place(t.Context(), []orders.Placement{keyed("a")})
		require.NoError(t, err)
		other := keyed("a")
		other.Items[0].Quantity++
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{other, keyed("b")})
		require.NoError(t, err)
		require.ErrorIs(t, placed[0].Err, orders.ErrIdempotencyMismatch)
		require.NoError(t, placed[1].Err, "one member's mistake is not the others' problem")
	})

	t.Run("OtherPrincipal", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		stranger := keyed("a")
		stranger.Principal = "stranger"
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{keyed("a"), stranger})
		require.NoError(t, err)
		require.False(t, placed[1].Replayed)
		require.NotEqual(t, placed[0].Order.ID, placed[1].Order.ID)
	})

	t.Run("TwiceInOneBatch", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		placed, err := storetest.New(t, tx).Orders.Place(t.Context(), []orders.Placement{keyed("a"), keyed("a")})
		require.NoError(t, err)
		require.Equal(t, placed[0].Order.ID, placed[1].Order.ID)
		require.NotEqual(t, placed[0].Replayed, placed[1].Replayed)
		require.Equal(t, 1, count(t, tx, "SELECT count(*) FROM orders"))
	})

	// I2: whatever the interleaving, one order per key.
	t.Run("ManyAtOnce", func(t *testing.T) {
		t.Parallel()
		pool := storetest.PatientPool(t)
		s, err := store.New(store.Config{DB: pool, Alone: true}) // or the callers would share one batch
		require.NoError(t, err)
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		var wg sync.WaitGroup
		for worker := range 16 {
			wg.Go(func() {
				batch := make([]orders.Placement, len(keys))
				for i := range keys {
					batch[i] = keyed(keys[(i+worker)%len(keys)])
				}
				err := again(func() error {
					_, err := s.Orders.Place(t.Context(), batch)
					return err
				})
				if err != nil {
					t.Errorf("place: %v", err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, len(keys), count(t, pool, "SELECT count(*) FROM orders"))
		require.Equal(t, len(keys), count(t, pool, "SELECT count(*) FROM river_job"))
	})

	// Two batches with the same keys in opposite orders would each hold what the other waits for, were they not sorted.
	t.Run("InOppositeOrders", func(t *testing.T) {
		t.Parallel()
		pool := storetest.PatientPool(t)
		s, err := store.New(store.Config{DB: pool, Alone: true})
		require.NoError(t, err)
		holder := hold(t, pool)
		_, err = storetest.New(t, holder).Orders.Place(t.Context(), []orders.Placement{keyed("b")})
		require.NoError(t, err)

		done := make(chan error, 2)
		for i, keys := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}} {
			go func() {
				_, err := s.Orders.Place(context.Background(), []orders.Placement{keyed(keys[0]), keyed(keys[1]), keyed(keys[2])})
				done <- err
			}()
			eventually(t, func() bool {
				return i+1 == count(t, pool, `SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock'`)
			})
		}
		require.NoError(t, holder.Rollback(t.Context()))
		require.NoError(t, <-done)
		require.NoError(t, <-done)
		require.Zero(t, deadlocks(t, pool))
	})
}

func TestOrders(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	var mine []orders.ID
	for i := range 10 {
		p := storetest.Placement()
		if i%2 == 0 {
			p.CustomerID = "me"
		}
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
		require.NoError(t, err)
		if i%2 == 0 {
			mine = append([]orders.ID{placed[0].Order.ID}, mine...)
		}
	}

	var got []orders.ID
	filter := store.Filter{CustomerID: "me", Limit: 2}
	for {
		page, err := s.Orders.List(t.Context(), filter)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			got = append(got, o.ID)
		}
		filter.Before = got[len(got)-1]
	}
	require.Equal(t, mine, got)

	page, err := s.Orders.List(t.Context(), store.Filter{Limit: 100})
	require.NoError(t, err)
	require.Len(t, page, 10)
	page, err = s.Orders.List(t.Context(), store.Filter{Status: orders.Completed, Limit: 100})
	require.NoError(t, err)
	require.Empty(t, page)
	page, err = s.Orders.List(t.Context(), store.Filter{CustomerID: "me", Status: orders.Pending, Limit: 100})
	require.NoError(t, err)
	require.Len(t, page, 5)
}

// deadlocks counts those that the database has seen. Sessions report when they end, so the pool is closed.
func deadlocks(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	pool.Close()
	eventually(t, func() bool {
		return count(t, conn, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()`) == 1
	})
	return count(t, conn, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
}
