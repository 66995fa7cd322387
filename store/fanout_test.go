package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

var hookOwner = store.Owner{Principal: "shop"}

func makeWebhook(t *testing.T, s *store.Store, change ...func(*store.NewWebhook)) store.Webhook {
	t.Helper()
	n := store.NewWebhook{Owner: hookOwner, URL: "https://shop.example.com", Secret: make([]byte, 32)}
	for _, f := range change {
		f(&n)
	}
	w, err := s.Webhooks.Make(t.Context(), n)
	require.NoError(t, err)
	return w
}

// body shows what a message is made of.
func body(e orders.Event, customerID string, previous orders.ID) string {
	return fmt.Sprint(customerID, " ", e.OrderID, " ", e.Version, " ", previous)
}

// fanOutAll fans out all of so many events, each of which can be read only when older transactions are over, also those
// of other tests.
func fanOutAll(t *testing.T, s *store.Store, events int) (made int64) {
	t.Helper()
	awaitLog(t, s, events)
	for {
		done := fanOut(t, s)
		made += done.Deliveries
		if !done.More {
			return made
		}
	}
}

// fanOut fans out once. What took too long has made nothing.
func fanOut(t *testing.T, s *store.Store) (done store.FannedOut) {
	t.Helper()
	require.NoError(t, again(func() (err error) {
		done, err = s.Deliveries.FanOut(t.Context(), body)
		return err
	}))
	return done
}

func awaitLog(t *testing.T, s *store.Store, events int) {
	t.Helper()
	eventually(t, func() bool {
		start, err := s.Log.Start(t.Context())
		require.NoError(t, err)
		entries, _, _, err := s.Log.Read(t.Context(), start, store.LogFilter{}, 1000)
		require.NoError(t, err)
		return len(entries) == events
	})
}

func deliveriesOf(t *testing.T, s *store.Store, w store.Webhook) []store.Delivery {
	t.Helper()
	list, err := s.Deliveries.List(t.Context(), hookOwner, w.ID, store.DeliveryFilter{Limit: 10_000})
	require.NoError(t, err)
	return list
}

// Two processes that fan out while orders are placed make one message of each event, and each names the one before.
func TestFanOutTogether(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	w := makeWebhook(t, s)
	stop, cancel := context.WithCancel(t.Context())
	var fanning, placing sync.WaitGroup
	for range 3 {
		other := storetest.New(t, pool)
		fanning.Go(func() {
			for stop.Err() == nil {
				if _, err := other.Deliveries.FanOut(t.Context(), body); err != nil && !errors.Is(err, store.ErrUnavailable) {
					t.Error(err)
				}
			}
		})
	}
	const placers, each = 4, 10
	for range placers {
		placing.Go(func() {
			for range each {
				order := storetest.Placement()
				placed, err := s.Orders.Place(t.Context(), []orders.Placement{order})
				if err != nil {
					t.Error(err)
					return
				}
				_, err = s.Orders.Apply(t.Context(), []orders.Event{
					storetest.Outcome(placed[0].Order.ID, orders.QuoteShipping, orders.StepSucceeded),
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	placing.Wait()
	cancel()
	fanning.Wait()
	fanOutAll(t, s, 2*placers*each)

	list := deliveriesOf(t, s, w)
	require.Len(t, list, 2*placers*each)
	byOrder := map[orders.ID]map[int64]store.Delivery{}
	for _, d := range list {
		if byOrder[d.OrderID] == nil {
			byOrder[d.OrderID] = map[int64]store.Delivery{}
		}
		byOrder[d.OrderID][d.Version] = d
	}
	for id, versions := range byOrder {
		require.Equal(t, fmt.Sprint("1 ", id, " 1 ", orders.ID{}), versions[1].Body)
		require.Equal(t, fmt.Sprint("1 ", id, " 2 ", versions[1].ID), versions[2].Body)
	}
}

// A log that was pruned, or restored, before it was read costs what is gone and nothing else.
func TestFanOutAfterExpiry(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	w := makeWebhook(t, s)
	storetest.Order(t, s)
	require.EqualValues(t, 1, fanOutAll(t, s, 1))
	storetest.Order(t, s)
	_, err := pool.Exec(t.Context(), "UPDATE feed_cursors SET epoch = epoch + 1") // of another history
	require.NoError(t, err)
	awaitLog(t, s, 2)
	done, err := s.Deliveries.FanOut(t.Context(), body)
	require.NoError(t, err)
	require.ErrorIs(t, done.Expired, store.ErrCursorExpired)
	require.True(t, done.More)
	require.EqualValues(t, 1, fanOutAll(t, s, 2), "what had been sent is not made again")
	require.Len(t, deliveriesOf(t, s, w), 2)
}

// The webhooks of a key that ends are disabled, and a caller that enables one becomes its owner.
func TestWebhookOfEndedKey(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Pool(t))
	keys, err := s.Credentials.MakeKeys(t.Context(), []store.NewKey{{Role: roles.Service}}, store.Actor{Name: "test"})
	require.NoError(t, err)
	w := makeWebhook(t, s, func(n *store.NewWebhook) { n.Principal = keys[0].ID })
	storetest.Order(t, s)
	awaitLog(t, s, 1)
	_, err = s.Credentials.RevokeKeys(t.Context(), []string{keys[0].ID}, store.Actor{Name: "test"})
	require.NoError(t, err)
	done, err := s.Deliveries.FanOut(t.Context(), body)
	require.NoError(t, err)
	require.Equal(t, []orders.ID{w.ID}, done.KeyEnded)
	require.Zero(t, done.Jobs)
	_, _, ok, err := s.Deliveries.Take(t.Context(), w.ID, 10)
	require.NoError(t, err)
	require.False(t, ok)

	admin, enabled := store.Owner{Principal: "admin", All: true}, true
	w, err = s.Webhooks.Change(t.Context(), admin, w.ID, store.WebhookChange{Enabled: &enabled})
	require.NoError(t, err)
	require.Equal(t, "admin", w.Principal)
	done, err = s.Deliveries.FanOut(t.Context(), body)
	require.NoError(t, err)
	require.Empty(t, done.KeyEnded)
	require.Equal(t, 1, done.Jobs)
}

// While a message of an order waits, those after it wait. Those of other orders do not.
func TestDeliveriesKeepSequence(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Pool(t))
	w := makeWebhook(t, s)
	first, second := storetest.Order(t, s), storetest.Order(t, s)
	for _, o := range []orders.Order{first, second} {
		_, err := s.Orders.Apply(t.Context(), []orders.Event{
			storetest.Outcome(o.ID, orders.QuoteShipping, orders.StepSucceeded),
		})
		require.NoError(t, err)
	}
	fanOutAll(t, s, 4)
	take := func() map[orders.ID]store.Delivery {
		_, list, _, err := s.Deliveries.Take(t.Context(), w.ID, 10)
		require.NoError(t, err)
		taken := map[orders.ID]store.Delivery{}
		for _, d := range list {
			taken[d.OrderID] = d
		}
		require.Len(t, taken, len(list))
		return taken
	}
	settle := func(d store.Delivery, state store.DeliveryState, next time.Time) {
		require.NoError(t, s.Deliveries.Record(t.Context(), w.ID, []store.Attempted{{
			ID: d.ID, State: state, NextAttemptAt: next, Attempt: store.Attempt{Number: d.Attempts + 1, At: time.Now()},
		}}, store.Health{}, "", ""))
	}
	taken := take()
	require.Len(t, taken, 2)
	require.Empty(t, take(), "a message that is taken is not taken again")
	settle(taken[first.ID], store.DeliveryPending, time.Now().Add(time.Hour))
	settle(taken[second.ID], store.DeliveryDelivered, time.Now())
	settle(taken[second.ID], store.DeliveryFailed, time.Now()) // by a worker that is late
	taken = take()
	require.Len(t, taken, 1)
	require.EqualValues(t, 2, taken[second.ID].Version)
	d, err := s.Deliveries.Get(t.Context(), hookOwner, w.ID, deliveriesOf(t, s, w)[2].ID)
	require.NoError(t, err)
	require.Len(t, d.Log, 1)
	require.Equal(t, store.DeliveryDelivered, d.State)

	settle(taken[second.ID], store.DeliveryDelivered, time.Now())
	now := time.Now()
	done, err := s.Deliveries.FanOut(t.Context(), body)
	require.NoError(t, err)
	require.Zero(t, done.Jobs, "deliveries that have to wait need no job")
	due, err := s.Deliveries.OldestDue(t.Context())
	require.NoError(t, err)
	require.False(t, due.Before(now), "and it is not late")
}

// Old deliveries are forgotten, and deleted webhooks with all of theirs.
func TestPurgeDeliveries(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	old, kept, deleted := makeWebhook(t, s), makeWebhook(t, s), makeWebhook(t, s)
	storetest.Order(t, s)
	fanOutAll(t, s, 1)
	_, err := pool.Exec(t.Context(),
		"UPDATE webhook_deliveries SET state = 'delivered', finished_at = now() - interval '2 days' WHERE endpoint_id = $1",
		old.ID)
	require.NoError(t, err)
	require.NoError(t, s.Webhooks.Delete(t.Context(), hookOwner, deleted.ID))
	require.NoError(t, s.Deliveries.Purge(t.Context(), time.Now().Add(-24*time.Hour)))
	require.Empty(t, deliveriesOf(t, s, old))
	require.Len(t, deliveriesOf(t, s, kept), 1)
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM webhook_endpoints").Scan(&n))
	require.Equal(t, 2, n)
}

// With many webhooks a transaction makes so many messages and no more, and the next one goes on where it ended.
func TestFanOutInParts(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Pool(t))
	for range store.MaxWebhooks {
		makeWebhook(t, s)
	}
	const events = 300
	for placements := range slices.Chunk(slices.Repeat([]orders.Placement{storetest.Placement()}, events), 50) {
		_, err := s.Orders.Place(t.Context(), placements)
		require.NoError(t, err)
	}
	awaitLog(t, s, events)
	done := fanOut(t, s)
	require.True(t, done.More)
	require.EqualValues(t, 5000, done.Deliveries)
	require.Len(t, done.Events, 250)
	require.EqualValues(t, events*store.MaxWebhooks-5000, fanOutAll(t, s, events))
}
