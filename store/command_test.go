package store_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// complete carries an order to its end.
func complete(t *testing.T, s *store.Store) orders.Order {
	t.Helper()
	o := storetest.Order(t, s)
	for _, step := range []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment,
		orders.BookShipment, orders.SendEmail,
	} {
		applied, err := s.Orders.Apply(t.Context(), []orders.Event{outcome(o.ID, step)})
		require.NoError(t, err)
		o = applied[0].Order
	}
	require.Equal(t, orders.Completed, o.Status)
	return o
}

// requireSameOrder compares what an answer shows of orders, whose times may be of different zones.
func requireSameOrder(t *testing.T, want, got orders.Order) {
	t.Helper()
	one, err := json.Marshal(want.Moment())
	require.NoError(t, err)
	other, err := json.Marshal(got.Moment())
	require.NoError(t, err)
	require.JSONEq(t, string(one), string(other))
	require.Len(t, got.Steps, len(want.Steps))
	for i, s := range want.Steps {
		require.Equal(t, s.Amount, got.Steps[i].Amount)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	refund := func(id orders.ID, key string, amount orders.Money) orders.Event {
		return orders.Event{
			OrderID: id, Kind: orders.RefundRequested, Amount: amount, Principal: "p", IdempotencyKey: key, At: time.Now(),
		}
	}
	apply := func(t *testing.T, s *store.Store, e orders.Event) store.Applied {
		t.Helper()
		applied, err := s.Orders.Apply(t.Context(), []orders.Event{e})
		require.NoError(t, err)
		return applied[0]
	}

	t.Run("RepeatsTheFirstAnswer", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		o := complete(t, s)
		first := apply(t, s, refund(o.ID, "a", 997))
		require.True(t, first.Changed)
		paid := storetest.Outcome(o.ID, orders.RefundPayment, orders.StepSucceeded)
		require.Equal(t, orders.Money(997), apply(t, s, paid).Order.Refunded)

		again := apply(t, s, refund(o.ID, "a", 997))
		require.True(t, again.Replayed)
		require.False(t, again.Changed)
		require.Equal(t, first.Order.Version, again.Order.Version)
		require.Equal(t, orders.Money(0), again.Order.Refunded, "as it was then")
		then := again.Order
		require.Equal(t, orders.StatePending, then.Latest(orders.RefundPayment).State)

		require.True(t, apply(t, s, refund(o.ID, "b", 997)).Changed, "another key is another refund")
	})

	t.Run("AfterTheLogWasPruned", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		o := complete(t, s)
		first := apply(t, s, refund(o.ID, "a", 997))
		apply(t, s, storetest.Outcome(o.ID, orders.RefundPayment, orders.StepSucceeded))
		second := apply(t, s, refund(o.ID, "b", 3))
		_, err := tx.Exec(t.Context(), "DELETE FROM millrace.order_events WHERE order_id = $1", o.ID)
		require.NoError(t, err)
		for key, asked := range map[string]store.Applied{"a": first, "b": second} {
			again := apply(t, s, refund(o.ID, key, asked.Event.Amount))
			require.True(t, again.Replayed)
			requireSameOrder(t, asked.Order, again.Order)
		}
	})

	t.Run("FromBeforeAnswersWereKept", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		o := complete(t, s)
		first := apply(t, s, refund(o.ID, "a", 997))
		apply(t, s, refund(o.ID, "b", 3))
		_, err := tx.Exec(t.Context(), "UPDATE millrace.order_commands SET answer = NULL")
		require.NoError(t, err)
		again := apply(t, s, refund(o.ID, "a", 997))
		require.True(t, again.Replayed)
		requireSameOrder(t, first.Order, again.Order)
	})

	t.Run("Bounded", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		o := complete(t, s)
		events := make([]orders.Event, orders.MaxRefunds+1)
		for i := range events {
			events[i] = refund(o.ID, fmt.Sprint(i), 1)
		}
		applied, err := s.Orders.Apply(t.Context(), events)
		require.NoError(t, err)
		for i, a := range applied[:orders.MaxRefunds] {
			require.True(t, a.Changed, "%d: %v", i, a.Err)
		}
		require.ErrorIs(t, applied[orders.MaxRefunds].Err, orders.ErrTooManyRefunds)
		require.True(t, apply(t, s, events[0]).Replayed, "what was let in is still answered")
	})

	t.Run("AllThatIsLeft", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		o := complete(t, s)
		refunding := apply(t, s, refund(o.ID, "a", 0)).Order
		require.Equal(t, o.Total, refunding.Latest(orders.RefundPayment).Amount)
		require.True(t, apply(t, s, refund(o.ID, "a", 0)).Replayed)
	})

	t.Run("OtherRequest", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		o, other := complete(t, s), complete(t, s)
		apply(t, s, refund(o.ID, "a", 997))
		require.ErrorIs(t, apply(t, s, refund(o.ID, "a", 998)).Err, orders.ErrIdempotencyMismatch)
		require.ErrorIs(t, apply(t, s, refund(other.ID, "a", 997)).Err, orders.ErrIdempotencyMismatch)
		stranger := refund(o.ID, "a", 998)
		stranger.Principal = "q"
		require.True(t, apply(t, s, stranger).Changed)
	})

	t.Run("AFailureUsesNoKey", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		o := complete(t, s)
		require.Error(t, apply(t, s, refund(o.ID, "a", o.Total+1)).Err)
		require.True(t, apply(t, s, refund(o.ID, "a", o.Total)).Changed)
	})

	t.Run("TwiceInOneBatch", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		o := complete(t, s)
		applied, err := s.Orders.Apply(t.Context(), []orders.Event{refund(o.ID, "a", 997), refund(o.ID, "a", 997)})
		require.NoError(t, err)
		require.True(t, applied[1].Replayed)
		require.Equal(t, applied[0].Order, applied[1].Order)
		refunding := applied[1].Order
		require.Equal(t, o.Total-997, refunding.Refundable())
	})

	// One key is one refund, for any concurrent callers and any of the orders.
	t.Run("ManyAtOnce", func(t *testing.T) {
		t.Parallel()
		pool := storetest.PatientPool(t)
		s := storetest.New(t, pool)
		a, b := complete(t, s), complete(t, s)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				id := a.ID
				if i%2 == 0 {
					id = b.ID
				}
				err := again(func() error {
					_, err := s.Orders.Apply(t.Context(), []orders.Event{refund(id, "a", 100)})
					return err
				})
				if err != nil {
					t.Errorf("refund: %v", err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM order_steps WHERE step = 'refund_payment'`))
		require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM order_commands`))
	})

	t.Run("OldKeysAreForgotten", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		o := complete(t, s)
		apply(t, s, refund(o.ID, "a", 1))
		require.NoError(t, s.Orders.PurgeCommands(t.Context()))
		require.Equal(t, 1, count(t, tx, "SELECT count(*) FROM order_commands"))
		_, err := tx.Exec(t.Context(), "UPDATE order_commands SET at = at - interval '8 days'")
		require.NoError(t, err)
		require.NoError(t, s.Orders.PurgeCommands(t.Context()))
		require.Zero(t, count(t, tx, "SELECT count(*) FROM order_commands"))
	})
}
