package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// An export leaves out what may yet be preceded. It calls no range complete in which something is being committed.
func TestExportWaitsForWhatIsBeingCommitted(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	first := storetest.Order(t, s)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	slow := storetest.Order(t, storetest.New(t, tx))
	quick := storetest.Order(t, s)
	moment := time.Now().Add(time.Millisecond)
	eventually(t, func() bool { return time.Now().After(moment) })

	page, err := s.Orders.Export(t.Context(), store.Export{Limit: 100})
	require.NoError(t, err)
	require.NotContains(t, idsOf(page), quick.ID, "it may yet be preceded")
	_, err = s.Orders.Export(t.Context(), store.Export{To: moment, After: first.ID, Limit: 100})
	require.ErrorIs(t, err, store.ErrUnavailable, "the range is not complete")
	require.NoError(t, tx.Commit(t.Context()))
	page, err = s.Orders.Export(t.Context(), store.Export{To: moment, Limit: 100})
	require.NoError(t, err)
	require.Equal(t, []orders.ID{first.ID, slow.ID, quick.ID}, idsOf(page))
}

// A process whose clock is behind, or which was frozen, stores nothing from before what was exported.
func TestNothingIsStoredBeforeWhatWasExported(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	storetest.Order(t, s)
	moment := time.Now().Truncate(time.Millisecond)
	page, err := s.Orders.Export(t.Context(), store.Export{Limit: 100})
	require.NoError(t, err)
	require.Len(t, page, 1)
	behind, err := store.New(store.Config{DB: pool, Now: func() time.Time { return moment.Add(-30 * time.Second) }})
	require.NoError(t, err)
	keyed := storetest.Placement()
	keyed.IdempotencyKey = "k"
	placed, err := behind.Orders.Place(t.Context(), []orders.Placement{storetest.Placement(), keyed})
	require.NoError(t, err)
	rest, err := s.Orders.Export(t.Context(), store.Export{From: moment, After: page[0].ID, Limit: 100})
	require.NoError(t, err)
	require.ElementsMatch(t, []orders.ID{placed[0].Order.ID, placed[1].Order.ID}, idsOf(rest))
	again, err := behind.Orders.Place(t.Context(), []orders.Placement{keyed})
	require.NoError(t, err)
	require.True(t, again[0].Replayed)
	require.Equal(t, placed[1].Order, again[0].Order)
}

// Exports one after another, each after the last order of the one before, have every order that is placed meanwhile.
func TestExportsInARowLoseNothing(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var placed []orders.ID
	var wg sync.WaitGroup
	for range 2 {
		s := storetest.New(t, pool)
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					p, err := s.Orders.Place(context.Background(), []orders.Placement{storetest.Placement()})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					placed = append(placed, p[0].Order.ID)
					mu.Unlock()
				}
			})
		}
	}
	reader := storetest.New(t, pool)
	var seen []orders.ID
	export := func() {
		for {
			var after orders.ID
			if len(seen) > 0 {
				after = seen[len(seen)-1]
			}
			page, err := reader.Orders.Export(t.Context(), store.Export{After: after, Limit: 50})
			require.NoError(t, err)
			if len(page) == 0 {
				return
			}
			seen = append(seen, idsOf(page)...)
			if len(page) < 50 {
				return
			}
		}
	}
	for range 20 {
		export()
	}
	stop()
	wg.Wait()
	export()
	require.ElementsMatch(t, placed, seen)
}

func idsOf(list []orders.Order) (ids []orders.ID) {
	for _, o := range list {
		ids = append(ids, o.ID)
	}
	return ids
}
