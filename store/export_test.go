package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// The moments decide, to the microsecond; the ids are only what the index knows.
func TestExportMoments(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	s, err := store.New(store.Config{DB: storetest.Tx(t), Now: func() time.Time {
		if clock = clock.Add(time.Millisecond); clock.Before(time.Now()) {
			clock = time.Now()
		}
		return clock
	}})
	require.NoError(t, err)
	var placed []orders.Order
	for range 4 {
		placed = append(placed, storetest.Order(t, s))
	}
	ids := func(e store.Export) (list []orders.ID) {
		e.Limit = 100
		found, err := s.Orders.Export(t.Context(), e)
		require.NoError(t, err)
		for _, o := range found {
			list = append(list, o.ID)
		}
		return list
	}
	second, third := placed[1].PlacedAt, placed[2].PlacedAt
	require.True(t, second.Before(third))
	require.Equal(t, []orders.ID{placed[1].ID}, ids(store.Export{From: second, To: third}))
	require.Equal(t, []orders.ID{placed[2].ID, placed[3].ID}, ids(store.Export{From: second.Add(time.Microsecond)}))
	require.Equal(t, []orders.ID{placed[0].ID, placed[1].ID}, ids(store.Export{To: second.Add(time.Microsecond)}))
	require.Equal(t, []orders.ID{placed[3].ID}, ids(store.Export{From: second, After: placed[2].ID}))
	require.Empty(t, ids(store.Export{To: placed[0].PlacedAt}))
	require.Empty(t, ids(store.Export{From: time.Now().Add(time.Hour)}))
}

// However many orders there are, a page comes from an index.
func TestExportUsesIndexes(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	storetest.Order(t, s)
	_, err := tx.Exec(t.Context(), "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
	require.NoError(t, err)
	for _, where := range []string{"true", "status = 'pending'", "customer_id = '1'"} {
		rows, err := tx.Query(t.Context(), `EXPLAIN SELECT * FROM order_documents WHERE `+where+`
			AND id > '01990000-0000-7000-8000-000000000000' AND id < '01ff0000-0000-7000-8000-000000000000'
			AND placed_at >= '2026-01-01' ORDER BY id LIMIT 500`)
		require.NoError(t, err)
		plan := ""
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			plan += line + "\n"
		}
		require.NoError(t, rows.Err())
		require.NotContains(t, plan, "Sort", where)
		require.Regexp(t, `Index Scan( Backward)? using orders_`, plan, where)
	}
}
