package store_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// completeAll carries orders to their end, but for the e-mail.
func completeAll(t *testing.T, s *store.Store, ids ...orders.ID) {
	t.Helper()
	for _, step := range []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment, orders.BookShipment,
	} {
		var events []orders.Event
		for _, id := range ids {
			events = append(events, storetest.Outcome(id, step, orders.StepSucceeded))
		}
		_, err := s.Orders.Apply(t.Context(), events)
		require.NoError(t, err)
	}
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Pool(t))
	var placements []orders.Placement
	for i := range 6 {
		p := storetest.Placement()
		p.CustomerID = fmt.Sprint(i % 2)
		if i > 0 {
			p.CustomerEmail = fmt.Sprintf("customer%d@example.com", i)
		}
		placements = append(placements, p)
	}
	var ids []orders.ID
	for _, p := range placements {
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
		require.NoError(t, err)
		ids = append(ids, placed[0].Order.ID)
	}
	completeAll(t, s, ids[:5]...) // the last one has no e-mail yet
	skipped := storetest.Outcome(ids[0], orders.SendEmail, orders.StepRefused)
	skipped.Reason = orders.NoAddress
	sent := storetest.Outcome(ids[1], orders.SendEmail, orders.StepSucceeded)
	sent.Reference = "m1"
	_, err := s.Orders.Apply(t.Context(), []orders.Event{
		skipped, sent, storetest.Outcome(ids[2], orders.SendEmail, orders.StepUnknown),
		storetest.Outcome(ids[3], orders.SendEmail, orders.StepRefused),
		{OrderID: ids[4], Kind: orders.RefundRequested, Amount: 997, At: sent.At},
	})
	require.NoError(t, err)
	_, err = s.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(ids[4], orders.RefundPayment, orders.StepSucceeded),
	})
	require.NoError(t, err)

	list := func(f store.NotificationFilter) (names []string) {
		f.Limit = 2
		for {
			page, err := s.Notifications.List(t.Context(), f)
			require.NoError(t, err)
			for _, n := range page {
				i := slices.Index(ids, n.OrderID)
				require.Equal(t, placements[i].CustomerID, n.CustomerID)
				require.Equal(t, placements[i].CustomerEmail, n.Recipient)
				require.Equal(t, n.State == orders.NotificationPending, n.SettledAt.IsZero())
				require.False(t, n.CreatedAt.IsZero())
				names = append(names, fmt.Sprintf("%d.%d %s %s", i, n.Generation, n.Template, n.State))
				f.Before, f.BeforeGeneration = n.OrderID, n.Generation
			}
			if len(page) < f.Limit {
				return names
			}
		}
	}
	all := []string{
		"4.2 order_refunded pending", "4.1 order_completed pending", "3.1 order_completed refused",
		"2.1 order_completed unknown", "1.1 order_completed sent", "0.1 order_completed skipped",
	}
	require.Equal(t, all, list(store.NotificationFilter{}))
	require.Equal(t, []string{all[2], all[4]}, list(store.NotificationFilter{CustomerID: "1"}))
	require.Equal(t, all[:2], list(store.NotificationFilter{OrderID: ids[4]}))
	require.Equal(t, all[:2], list(store.NotificationFilter{OrderID: ids[4], CustomerID: "0"}))
	require.Empty(t, list(store.NotificationFilter{OrderID: ids[4], CustomerID: "1"}))
}

// Of the workers that want to hand a message over, one may. Once it has taken the message back, another may, until the
// message is settled.
func TestHandOver(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Pool(t))
	id := storetest.Order(t, s).ID
	completeAll(t, s, id)
	key := orders.StepKey(id, orders.SendEmail, 1)
	for range 2 {
		var first atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if ok, err := s.Notifications.HandOver(t.Context(), key); err == nil && ok {
					first.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), first.Load())
		require.NoError(t, s.Notifications.TakeBack(t.Context(), key))
	}
	_, err := s.Orders.Apply(t.Context(), []orders.Event{storetest.Outcome(id, orders.SendEmail, orders.StepUnknown)})
	require.NoError(t, err)
	for _, key := range []string{
		key, orders.StepKey(id, orders.SendEmail, 2), orders.StepKey(orders.NewID(), orders.SendEmail, 1),
	} {
		first, err := s.Notifications.HandOver(t.Context(), key)
		require.NoError(t, err)
		require.False(t, first)
	}
	_, err = s.Notifications.HandOver(t.Context(), "nonsense")
	require.Error(t, err)
}

func TestEmailAddressIsNoJobArgument(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	p := storetest.Placement()
	p.CustomerEmail = "ada@example.com"
	placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	completeAll(t, s, placed[0].Order.ID)
	require.Equal(t, 1, count(t, tx, "SELECT count(*) FROM order_steps WHERE convert_from(request, 'UTF8') LIKE '%ada@%'"))
	require.Zero(t, count(t, tx, "SELECT count(*) FROM river_job j WHERE j::text LIKE '%@%'"))
	require.Zero(t, count(t, tx, "SELECT count(*) FROM order_events e WHERE e::text LIKE '%@%'"))
}
