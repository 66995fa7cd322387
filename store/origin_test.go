package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

func origin(request string) orders.Origin {
	return orders.Origin{
		RequestID: request, Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
}

// The request that placed an order stays with it, wherever the order or its steps are read.
func TestOrigin(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	p := storetest.Placement()
	p.IdempotencyKey, p.Origin = "k", origin("first")
	placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	first := placed[0].Order
	require.Equal(t, origin("first"), first.Origin)

	p.Origin = origin("second")
	replayed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	require.True(t, replayed[0].Replayed, "another request for the same")
	require.Equal(t, origin("first"), replayed[0].Order.Origin)

	applied, err := s.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(first.ID, orders.AuthorizePayment, orders.StepSucceeded),
	})
	require.NoError(t, err)
	require.Equal(t, origin("first"), applied[0].Order.Origin)

	another := storetest.New(t, tx) // another process, which remembers nothing
	read, err := another.Orders.Get(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, origin("first"), read.Origin)
	evidence, err := another.Orders.Evidence(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, origin("first"), evidence.Order.Origin)
	intent, err := another.Orders.Intent(t.Context(), orders.StepJob{
		OrderID: first.ID, Step: orders.ReserveInventory, Generation: 1,
	})
	require.NoError(t, err)
	require.Equal(t, origin("first"), intent.Origin)
	pending, err := another.Orders.Pending(t.Context(), first.ID, 0)
	require.NoError(t, err)
	for _, step := range pending {
		require.Equal(t, origin("first"), step.Intent.Origin)
	}

	// Orders of the version before have none.
	old := storetest.Order(t, s)
	_, err = tx.Exec(t.Context(), `UPDATE orders SET request_id = NULL, traceparent = NULL WHERE id = $1`, old.ID)
	require.NoError(t, err)
	read, err = another.Orders.Get(t.Context(), old.ID)
	require.NoError(t, err)
	require.Zero(t, read.Origin)
}

// An order is updated in place until it comes to rest, whatever its origin: no index entry is written for it.
func TestOrdersStayInPlace(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	p := storetest.Placement()
	p.Origin = origin("5a0e5a64-9c0b-4a2e-8c57-6b3a52a0c0de")
	placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	id := placed[0].Order.ID
	inPlace := func() int { // by this connection, also for tests before this one
		return count(t, tx, `SELECT pg_stat_get_xact_tuples_hot_updated('millrace.orders'::regclass)`)
	}
	before := inPlace()
	steps := []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment, orders.BookShipment,
	}
	for _, step := range steps {
		_, err := s.Orders.Apply(t.Context(), []orders.Event{storetest.Outcome(id, step, orders.StepSucceeded)})
		require.NoError(t, err)
	}
	require.Equal(t, 1, count(t, tx, `SELECT count(*) FROM orders WHERE id = $1 AND status = 'completed'`, id))
	require.Equal(t, len(steps)-1, inPlace()-before, "all but the last: lists go by the status of orders at rest")
}
