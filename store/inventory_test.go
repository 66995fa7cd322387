package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestReplaceInventory(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	_, asOf, err := s.Inventory.List(t.Context(), 0, 10)
	require.NoError(t, err)
	require.True(t, asOf.IsZero())
	_, _, err = s.Inventory.Product(t.Context(), 1)
	require.ErrorIs(t, err, orders.ErrProductNotFound)

	stock := func(ids ...int64) (list []orders.Stock) {
		for _, id := range ids {
			list = append(list, orders.Stock{
				ProductID: id, Quantity: id * 10, Reserved: id, Price: orders.Money(id), Currency: orders.USD,
			})
		}
		return list
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	replace := func(minute int, products []orders.Stock) {
		require.NoError(t, s.Inventory.Replace(t.Context(), products, start.Add(time.Duration(minute)*time.Minute)))
	}
	expect := func(minute int, want []orders.Stock) {
		t.Helper()
		got, asOf, err := s.Inventory.List(t.Context(), 0, 100)
		require.NoError(t, err)
		require.Equal(t, start.Add(time.Duration(minute)*time.Minute), asOf)
		require.ElementsMatch(t, want, got)
	}

	replace(1, stock(1, 2, 3, 9))
	expect(1, stock(1, 2, 3, 9))
	page, _, err := s.Inventory.List(t.Context(), 1, 2)
	require.NoError(t, err)
	require.Equal(t, stock(2, 3), page)

	changed := stock(2, 3, 4)
	changed[0] = orders.Stock{ProductID: 2}
	replace(2, changed) // the first, the last and one in between
	expect(2, changed)
	one, asOf, err := s.Inventory.Product(t.Context(), 3)
	require.NoError(t, err)
	require.Equal(t, stock(3)[0], one)
	require.Equal(t, start.Add(2*time.Minute), asOf)

	replace(1, stock(7))
	expect(2, changed) // what was read earlier does not overwrite what was read later
	replace(3, nil)
	expect(3, nil)

	var many []int64 // more than one statement writes
	for id := int64(1); id <= 12_000; id++ {
		many = append(many, id)
	}
	replace(4, stock(many...))
	replace(5, stock(append(many[:4000:4000], many[9000:]...)...))
	var rows int
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM inventory_products").Scan(&rows))
	require.Equal(t, 7000, rows)

	// A snapshot that says the same again writes no product.
	var before, after string
	const newest = `SELECT max(xmin::text::bigint) || ' ' || max(xmax::text::bigint) FROM inventory_products`
	require.NoError(t, tx.QueryRow(t.Context(), newest).Scan(&before))
	replace(6, stock(append(many[:4000:4000], many[9000:]...)...))
	require.NoError(t, tx.QueryRow(t.Context(), newest).Scan(&after))
	require.Equal(t, before, after)
}
