package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func outcome(id orders.ID, step orders.StepName) orders.Event {
	return storetest.Outcome(id, step, orders.StepSucceeded)
}

func TestApply(t *testing.T) {
	t.Parallel()

	t.Run("MovesTheOrderOn", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		a, b := storetest.Order(t, s), storetest.Order(t, s)
		applied, err := s.Orders.Apply(t.Context(), []orders.Event{
			outcome(a.ID, orders.AuthorizePayment),
			outcome(b.ID, orders.ReserveInventory),
			outcome(a.ID, orders.ReserveInventory),
			outcome(a.ID, orders.QuoteShipping),
		})
		require.NoError(t, err)
		require.Equal(t, int64(4), applied[3].Order.Version)
		require.Equal(t, int64(2), applied[1].Order.Version)

		stored, err := s.Orders.Get(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, int64(4), stored.Version)
		require.Equal(t, orders.Processing, stored.Status)
		require.Equal(t, orders.StatePending, stored.Latest(orders.CapturePayment).State)
		require.Equal(t, 1, count(t, tx, `SELECT count(*) FROM river_job WHERE kind = 'carry_order'
			AND args -> 'steps' = '["capture_payment:1"]' AND priority = 1`))

		events, err := s.Orders.Events(t.Context(), a.ID, 1, 10)
		require.NoError(t, err)
		require.Len(t, events, 3)
		for i, e := range events {
			require.Equal(t, int64(i+2), e.Version)
		}
		require.True(t, events[0].StatusChanged)
		require.False(t, events[1].StatusChanged)
		require.Equal(t, 60, events[2].Progress)
	})

	t.Run("TwiceIsOnce", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		o := storetest.Order(t, s)
		for i := range 3 {
			applied, err := s.Orders.Apply(t.Context(), []orders.Event{
				outcome(o.ID, orders.AuthorizePayment), outcome(o.ID, orders.AuthorizePayment),
			})
			require.NoError(t, err)
			require.Equal(t, i == 0, applied[0].Changed)
			require.False(t, applied[1].Changed)
			require.Equal(t, int64(2), applied[1].Order.Version)
		}
		require.Equal(t, 2, count(t, tx, "SELECT count(*) FROM order_events"))
	})

	t.Run("UnknownOrder", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		o := storetest.Order(t, s)
		applied, err := s.Orders.Apply(t.Context(), []orders.Event{
			outcome(orders.NewID(), orders.AuthorizePayment), outcome(o.ID, orders.AuthorizePayment),
		})
		require.NoError(t, err)
		require.ErrorIs(t, applied[0].Err, orders.ErrNotFound)
		require.True(t, applied[1].Changed)
	})

	t.Run("NothingIsLeftOfAFailure", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		o := storetest.Order(t, s)
		_, err := tx.Exec(t.Context(), `ALTER TABLE river_job ADD CONSTRAINT no_void CHECK (NOT args ? 'steps')`)
		require.NoError(t, err)
		events := []orders.Event{
			outcome(o.ID, orders.AuthorizePayment), outcome(o.ID, orders.QuoteShipping),
			storetest.Outcome(o.ID, orders.ReserveInventory, orders.StepRefused),
		}
		_, err = s.Orders.Apply(t.Context(), events)
		require.ErrorContains(t, err, "no_void")
		stored, err := s.Orders.Get(t.Context(), o.ID)
		require.NoError(t, err)
		require.Equal(t, int64(1), stored.Version)
	})
}

// I4 and I5: for any concurrent events in any sequence, an order's versions are 1, 2, 3 … without a
// gap, each outcome counts once, and the log folds to the state.
func TestApplyManyAtOnce(t *testing.T) {
	t.Parallel()
	pool := storetest.PatientPool(t)
	s := storetest.New(t, pool)
	list := make([]orders.Order, 6)
	for i := range list {
		list[i] = storetest.Order(t, s)
	}
	var wg sync.WaitGroup
	for worker := range 12 {
		wg.Go(func() {
			steps := []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping}
			for round := range 3 {
				var events []orders.Event
				for i := range list { // each worker goes through the orders in an order of its own
					o := list[(i*(worker%5+1)+worker)%len(list)]
					events = append(events, outcome(o.ID, steps[(worker+round)%len(steps)]))
				}
				err := again(func() error {
					_, err := s.Orders.Apply(t.Context(), events)
					return err
				})
				if err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, placed := range list {
		stored, err := s.Orders.Get(t.Context(), placed.ID)
		require.NoError(t, err)
		require.Equal(t, int64(4), stored.Version)
		events, err := s.Orders.Events(t.Context(), placed.ID, 0, 100)
		require.NoError(t, err)
		require.Len(t, events, 4)

		for i, e := range events {
			require.Equal(t, int64(i)+1, e.Version)
		}
		folded, err := orders.Fold(stored, events)
		require.NoError(t, err)
		for i := range folded.Steps {
			folded.Steps[i].Request = nil
		}
		require.Equal(t, folded, stored)
	}
}

// A session that holds a lock on one order fails that order's events, and no others.
func TestApplyBesideALockedOrder(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	locked := storetest.Order(t, s)
	_, err := hold(t, pool).Exec(t.Context(), "SELECT FROM orders WHERE id = $1 FOR UPDATE", locked.ID)
	require.NoError(t, err)

	var wg sync.WaitGroup
	for _, step := range []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping} {
		wg.Go(func() {
			_, err := s.Orders.Apply(t.Context(), []orders.Event{outcome(locked.ID, step)})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("the locked order's event: %v", err)
			}
		})
	}
	for range 20 {
		wg.Go(func() {
			placed, err := s.Orders.Place(t.Context(), []orders.Placement{storetest.Placement()})
			if err == nil {
				_, err = s.Orders.Apply(t.Context(), []orders.Event{outcome(placed[0].Order.ID, orders.AuthorizePayment)})
			}
			if err != nil {
				t.Errorf("another order's event: %v", err)
			}
		})
	}
	wg.Wait()
}
