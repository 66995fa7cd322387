package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// What a store remembers of an order is what another reads of it, but for the bytes of its requests.
func TestRecentIsWhatIsStored(t *testing.T) {
	t.Parallel()
	db := storetest.Tx(t)
	s, other := storetest.New(t, db), storetest.New(t, db)
	p := storetest.Placement()
	p.ShippingAddress = &orders.Address{Line1: "1 Mill Lane", City: "Bath", Country: "GB"}
	p.CustomerEmail = "ada@example.com"
	placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	id := placed[0].Order.ID
	for _, e := range []orders.Event{
		storetest.Outcome(id, orders.QuoteShipping, orders.StepSucceeded),
		storetest.Outcome(id, orders.AuthorizePayment, orders.StepUnknown),
		storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
		storetest.Outcome(id, orders.VoidPayment, orders.StepSucceeded),
	} {
		applied, err := s.Orders.Apply(t.Context(), []orders.Event{e}) // by what s remembers
		require.NoError(t, err)
		require.True(t, applied[0].Changed)
		stored, err := other.Orders.Get(t.Context(), id)
		require.NoError(t, err)
		remembered := applied[0].Order
		for i := range remembered.Steps {
			remembered.Steps[i].Request = nil
		}
		require.Equal(t, stored, remembered, "after %s", e.Step)
	}
}

// An order that a different process has changed meanwhile is decided on in its present state.
func TestRecentIsOld(t *testing.T) {
	t.Parallel()
	db := storetest.Tx(t)
	s, other := storetest.New(t, db), storetest.New(t, db)
	id := storetest.Order(t, s).ID
	cancel := orders.Event{OrderID: id, Kind: orders.CancelRequested, At: time.Now()}
	_, err := other.Orders.Apply(t.Context(), []orders.Event{cancel})
	require.NoError(t, err)

	authorized := storetest.Outcome(id, orders.AuthorizePayment, orders.StepSucceeded)
	applied, err := s.Orders.Apply(t.Context(), []orders.Event{authorized})
	require.NoError(t, err)
	require.EqualValues(t, 3, applied[0].Order.Version)
	require.Equal(t, orders.GoalCancel, applied[0].Order.Goal)
}

// A failover that loses commits counts an order's versions a second time: the number alone proves nothing.
func TestRecentOfLostHistory(t *testing.T) {
	t.Parallel()
	db := storetest.Tx(t)
	s, other := storetest.New(t, db), storetest.New(t, db)
	id := storetest.Order(t, s).ID
	lost, err := db.Begin(t.Context())
	require.NoError(t, err)
	_, err = s.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(id, orders.AuthorizePayment, orders.StepSucceeded),
	})
	require.NoError(t, err)
	require.NoError(t, lost.Rollback(t.Context()))
	_, err = other.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(id, orders.AuthorizePayment, orders.StepRefused),
	})
	require.NoError(t, err)

	applied, err := s.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(id, orders.QuoteShipping, orders.StepSucceeded),
	})
	require.NoError(t, err)
	require.EqualValues(t, 3, applied[0].Order.Version)
	require.Equal(t, orders.StateRefused, applied[0].Order.Latest(orders.AuthorizePayment).State)
}

// TestFirst: a process knows the first steps of an order that it placed a moment ago, and nothing else unread.
func TestFirst(t *testing.T) {
	t.Parallel()
	db := storetest.Tx(t)
	recent := store.NewRecent()
	pass := recent.StopClock()
	s, err := store.New(store.Config{DB: db, Recent: recent})
	require.NoError(t, err)
	order := storetest.Order(t, s)
	first, ok := s.Orders.First(order.ID)
	require.True(t, ok)
	read, err := s.Orders.Pending(t.Context(), order.ID, 0)
	require.NoError(t, err)
	require.Empty(t, read, "the job that Place has made carries the order")
	_, err = db.Exec(t.Context(), "DELETE FROM river_job")
	require.NoError(t, err)
	read, err = s.Orders.Pending(t.Context(), order.ID, 0)
	require.NoError(t, err)
	require.ElementsMatch(t, read, first)

	_, err = s.Orders.Apply(t.Context(), []orders.Event{{OrderID: order.ID, Kind: orders.CancelRequested, At: time.Now()}})
	require.NoError(t, err)
	first, ok = s.Orders.First(order.ID)
	require.True(t, ok)
	require.Len(t, first, 3)
	require.Equal(t, orders.GoalCancel, first[0].Intent.Goal, "a cancellation in this process is known")

	_, err = s.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(order.ID, orders.QuoteShipping, orders.StepSucceeded),
	})
	require.NoError(t, err)
	_, ok = s.Orders.First(order.ID)
	require.False(t, ok, "a step has an outcome")

	order = storetest.Order(t, s)
	recent.Follow([]store.Entry{{Event: orders.Event{OrderID: order.ID, Version: 1}}})
	pass(2 * time.Second)
	_, ok = s.Orders.First(order.ID)
	require.True(t, ok, "this process's own change")
	recent.Follow([]store.Entry{{Event: orders.Event{OrderID: order.ID, Version: 2}}})
	_, ok = s.Orders.First(order.ID)
	require.False(t, ok, "another process has changed it")

	order = storetest.Order(t, s)
	pass(2*time.Second + 1)
	_, ok = s.Orders.First(order.ID)
	require.False(t, ok, "only what happened a moment ago goes unread")
}

// TestRetryKeepsItsKey: another try of a step without an answer is asked about first, and sent under the first try's
// key.
func TestRetryKeepsItsKey(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	order := storetest.Order(t, s)
	for _, e := range []orders.Event{
		storetest.Outcome(order.ID, orders.QuoteShipping, orders.StepSucceeded),
		storetest.Outcome(order.ID, orders.AuthorizePayment, orders.StepSucceeded),
		storetest.Outcome(order.ID, orders.ReserveInventory, orders.StepRefused),
		storetest.Outcome(order.ID, orders.VoidPayment, orders.StepUnknown),
	} {
		_, err := s.Orders.Apply(t.Context(), []orders.Event{e})
		require.NoError(t, err)
	}
	applied, err := s.Orders.Carry(t.Context(), []orders.Event{
		{OrderID: order.ID, Kind: orders.RetryRequested, At: time.Now()},
	})
	require.NoError(t, err)
	require.Len(t, applied[0].Started, 1)
	_, ok := store.IntentOf(&applied[0].Order, &applied[0].Started[0])
	require.False(t, ok, "it must be read")
	again := orders.StepJob{OrderID: order.ID, Step: orders.VoidPayment, Generation: 2}
	read, err := s.Orders.Intent(t.Context(), again)
	require.NoError(t, err)
	require.True(t, read.Again)
	require.Equal(t, orders.StepKey(order.ID, orders.VoidPayment, 1), read.Key)
	pending, err := s.Orders.Pending(t.Context(), order.ID, 1<<40)
	require.NoError(t, err)
	require.Len(t, pending, 1)
	require.Equal(t, read, pending[0].Intent)
}
