package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// A list may be of a range of time: whatever else it filters by, page by page, and exactly.
func TestListRange(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	var placed []orders.Order
	for range 7 {
		p := storetest.Placement()
		p.CustomerID = "me"
		done, err := h.store.Orders.Place(t.Context(), []orders.Placement{p})
		require.NoError(t, err)
		placed = append(placed, done[0].Order)
	}
	at := func(i int) string { return url.QueryEscape(placed[i].PlacedAt.UTC().Format(time.RFC3339Nano)) }
	walk := func(path string) (ids []orders.ID) {
		for path != "" {
			a := h.do(t, http.MethodGet, path, "")
			require.Equal(t, http.StatusOK, a.status, a.body)
			var page api.OrderPage
			require.NoError(t, json.Unmarshal([]byte(a.body), &page))
			for _, o := range page.Orders {
				ids = append(ids, o.OrderID)
			}
			link, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
			path = link
		}
		return ids
	}
	newest := func(from, to int) (ids []orders.ID) {
		for i := to - 1; i >= from; i-- {
			ids = append(ids, placed[i].ID)
		}
		return ids
	}
	for _, list := range []string{
		"/api/orders?limit=2", "/api/orders?limit=2&status=pending", "/api/orders?limit=2&customerId=me",
		"/api/customers/me/orders?limit=2", "/api/customers/me/orders?limit=2&status=pending",
	} {
		require.Equal(t, newest(0, 7), walk(list))
		require.Equal(t, newest(1, 6), walk(list+"&from="+at(1)+"&to="+at(6)), list)
		require.Equal(t, newest(3, 7), walk(list+"&from="+at(3)), list)
		require.Equal(t, newest(0, 3), walk(list+"&to="+at(3)), list)
		require.Empty(t, walk(list+"&from="+at(3)+"&to="+at(3)), list)
	}

	first := h.do(t, http.MethodGet, "/api/orders?limit=2&from="+at(1), "")
	var page api.OrderPage
	require.NoError(t, json.Unmarshal([]byte(first.body), &page))
	for _, other := range []string{"", "&from=" + at(2), "&from=" + at(1) + "&to=" + at(6)} {
		got := h.do(t, http.MethodGet, "/api/orders?limit=2&cursor="+page.NextCursor+other, "")
		require.Equal(t, http.StatusBadRequest, got.status, "a cursor is of the list with its own filter")
	}
	for _, path := range []string{"/api/orders", "/api/customers/me/orders", "/api/orders/export"} {
		for query, want := range map[string]int{
			"to=0001-01-01T00:00:00Z": 400, "from=0001-01-01T00:00:00Z": 400, "to=": 400, "to=tomorrow": 422,
		} {
			got := h.do(t, http.MethodGet, path+"?"+query, "")
			require.Equal(t, want, got.status, "%s?%s: %s", path, query, got.body)
		}
	}
}
