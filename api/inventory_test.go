package api_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestInventory(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 10, 0, time.UTC)
	h := serve(t, storetest.Tx(t), func(c *api.Config) { c.Now = func() time.Time { return now } })
	require.JSONEq(t, `{"products":[]}`, h.do(t, http.MethodGet, "/api/inventory", "").body, "before the first time")
	got := h.do(t, http.MethodGet, "/api/inventory/7", "")
	require.Equal(t, http.StatusNotFound, got.status)
	require.Equal(t, "product_not_found", got.problem(t).Code)

	products := []orders.Stock{
		{ProductID: 1, Quantity: 5}, {ProductID: 7, Quantity: 8, Reserved: 2, Price: 2999, Currency: orders.USD},
	}
	for id := int64(100); id < 103; id++ {
		products = append(products, orders.Stock{ProductID: id, Quantity: id})
	}
	require.NoError(t, h.store.Inventory.Replace(t.Context(), products, now.Add(-10*time.Second)))

	require.JSONEq(t, `{"productId":7,"quantity":8,"reserved":2,"price":29.99,"currency":"USD",
		"asOf":"2026-11-22T12:00:00Z","ageSeconds":10}`, h.do(t, http.MethodGet, "/api/inventory/7", "").body)
	require.JSONEq(t, `{"productId":1,"quantity":5,"reserved":0,"asOf":"2026-11-22T12:00:00Z","ageSeconds":10}`,
		h.do(t, http.MethodGet, "/api/inventory/1", "").body)
	require.Equal(t, http.StatusNotFound, h.do(t, http.MethodGet, "/api/inventory/2", "").status)
	for _, bad := range []string{"0", "-1", "x", "9223372036854775808"} {
		require.Equal(t, http.StatusUnprocessableEntity, h.do(t, http.MethodGet, "/api/inventory/"+bad, "").status, bad)
	}

	var ids []string
	pages := 0
	for path := "/api/inventory?limit=2"; path != ""; pages++ {
		a := h.do(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		var page api.InventoryPage
		require.NoError(t, json.Unmarshal([]byte(a.body), &page))
		require.InDelta(t, 10, *page.AgeSeconds, 0)
		for _, p := range page.Products {
			ids = append(ids, strconv.FormatInt(p.ProductID, 10))
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		if page.NextCursor != "" {
			require.Contains(t, path, page.NextCursor)
			require.Equal(t, http.StatusBadRequest, h.do(t, http.MethodGet, "/api/orders?cursor="+page.NextCursor, "").status)
		}
	}
	require.Equal(t, []string{"1", "7", "100", "101", "102"}, ids)
	require.Equal(t, 3, pages)
	for _, bad := range []string{"AQ", "x", "AQAAAAAAAAAHq6urqw"} {
		require.Equal(t, http.StatusBadRequest, h.do(t, http.MethodGet, "/api/inventory?cursor="+bad, "").status, bad)
	}
}
