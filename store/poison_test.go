package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// sameLane places orders whose events share a lane.
func sameLane(t *testing.T, s *store.Store, n int) (ids []orders.ID) {
	t.Helper()
	for len(ids) < n {
		if id := storetest.Order(t, s).ID; id[15]%2 == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// shareCommit applies events that share a commit: the second one's order is locked until all the others wait.
func shareCommit(t *testing.T, pool *pgxpool.Pool, s *store.Store, events []orders.Event) []error {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM orders WHERE id = $1 FOR UPDATE", events[1].OrderID)
	require.NoError(t, err)
	errs := make([]error, len(events))
	var wg sync.WaitGroup
	run := func(i int) {
		wg.Go(func() {
			applied, err := s.Orders.Apply(context.Background(), events[i:i+1])
			if err == nil {
				err = applied[0].Err
			}
			errs[i] = err
		})
	}
	run(1)
	eventually(t, func() bool {
		var waiting bool
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting))
		return waiting
	})
	for i := range events {
		if i != 1 {
			run(i)
		}
	}
	require.NoError(t, tx.Rollback(t.Context()))
	wg.Wait()
	return errs
}

// An order that cannot be read fails itself, and none of those that are changed in the same commit.
func TestUnreadableOrderFailsAlone(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	ids := sameLane(t, storetest.New(t, pool), 12)
	_, err := pool.Exec(t.Context(), "DELETE FROM order_items WHERE order_id = $1", ids[0])
	require.NoError(t, err)
	events := make([]orders.Event, len(ids))
	for i, id := range ids {
		events[i] = outcome(id, orders.AuthorizePayment)
	}
	fresh := storetest.New(t, pool) // it remembers nothing
	applied, err := fresh.Orders.Apply(t.Context(), events[:3])
	require.NoError(t, err)
	require.ErrorContains(t, applied[0].Err, "items of order")
	require.True(t, applied[1].Changed)
	require.True(t, applied[2].Changed)
	errs := shareCommit(t, pool, storetest.New(t, pool), events)
	require.Error(t, errs[0])
	for _, err := range errs[1:] {
		require.NoError(t, err)
	}
	list, err := fresh.Orders.List(t.Context(), store.Filter{Limit: 1000})
	require.NoError(t, err, "it is listed with the others")
	require.NotEmpty(t, list)
	_, err = fresh.Orders.Get(t.Context(), ids[0])
	require.ErrorContains(t, err, "items of order")
	compared, err := fresh.Findings.Compare(t.Context(), []orders.Effect{
		{Key: orders.StepKey(ids[0], orders.AuthorizePayment, 1), OrderID: ids[0].String()},
	})
	require.NoError(t, err)
	require.Len(t, compared.Findings, 1)
}

// A placement whose key is held by an order that cannot be read is answered, and fails no other placement.
func TestRepeatedPlacementOfUnreadableOrder(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	bad := storetest.Placement()
	bad.IdempotencyKey = "bad"
	first, err := s.Orders.Place(t.Context(), []orders.Placement{bad})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "DELETE FROM order_items WHERE order_id = $1", first[0].Order.ID)
	require.NoError(t, err)
	placed, err := s.Orders.Place(t.Context(), []orders.Placement{bad, storetest.Placement()})
	require.NoError(t, err)
	require.Equal(t, first[0].Order, placed[0].Order)
	require.True(t, placed[0].Replayed)
	require.NoError(t, placed[1].Err)
}

// A log from before a release that changed the saga does not fold: a repeated command answers with the order as it is.
func TestRepeatOfLogThatDoesNotFold(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	ids := sameLane(t, s, 8)
	cancel := orders.Event{
		OrderID: ids[0], Kind: orders.CancelRequested, Principal: "p", IdempotencyKey: "k", At: time.Now(),
	}
	for _, e := range []orders.Event{outcome(ids[0], orders.QuoteShipping), cancel} {
		_, err := s.Orders.Apply(t.Context(), []orders.Event{e})
		require.NoError(t, err)
	}
	_, err := pool.Exec(t.Context(), "UPDATE order_events SET step = 'gone_since' WHERE order_id = $1 AND version = 2",
		ids[0])
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "UPDATE order_commands SET answer = DEFAULT")
	require.NoError(t, err)
	applied, err := s.Orders.Apply(t.Context(), []orders.Event{cancel})
	require.NoError(t, err)
	require.True(t, applied[0].Replayed)
	now, err := s.Orders.Get(t.Context(), ids[0])
	require.NoError(t, err)
	require.Equal(t, now.Version, applied[0].Order.Version)
	events := []orders.Event{cancel}
	for _, id := range ids[1:] {
		events = append(events, outcome(id, orders.AuthorizePayment))
	}
	for _, err := range shareCommit(t, pool, s, events) {
		require.NoError(t, err)
	}
}

// Of two events that settle one step in one commit, the last is stored, as it is answered.
func TestSettledTwiceInOneCommit(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	for range 3 {
		id := storetest.Order(t, s).ID
		for _, e := range []orders.Event{
			outcome(id, orders.AuthorizePayment), outcome(id, orders.QuoteShipping),
			storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
		} {
			_, err := s.Orders.Apply(t.Context(), []orders.Event{e})
			require.NoError(t, err)
		}
		applied, err := s.Orders.Apply(t.Context(), []orders.Event{
			storetest.Outcome(id, orders.VoidPayment, orders.StepUnknown),
			{
				OrderID: id, Kind: orders.SuccessDeclared, Step: orders.VoidPayment, Reason: "by hand", Principal: "op",
				At: time.Now(),
			},
		})
		require.NoError(t, err)
		require.True(t, applied[0].Changed)
		require.True(t, applied[1].Changed, applied[1].Err)
		stored, err := storetest.New(t, pool).Orders.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, orders.StateSucceeded, stored.Latest(orders.VoidPayment).State)
		require.Equal(t, applied[1].Order.Status, stored.Status)
	}
}
