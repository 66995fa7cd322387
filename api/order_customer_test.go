package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestCustomerOrders(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	const customer = "me & you/50%"
	var want []orders.ID // newest first
	for i := range 9 {
		p := storetest.Placement()
		p.CustomerID = []string{customer, "other"}[i%2]
		placed, err := h.store.Orders.Place(t.Context(), []orders.Placement{p})
		require.NoError(t, err)
		if i%2 == 0 {
			want = append([]orders.ID{placed[0].Order.ID}, want...)
		}
	}
	read := func(path string) (api.OrderPage, []orders.ID, http.Header) {
		a := h.do(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		var page api.OrderPage
		require.NoError(t, json.Unmarshal([]byte(a.body), &page))
		var ids []orders.ID
		for _, o := range page.Orders {
			ids = append(ids, o.OrderID)
		}
		return page, ids, a.header
	}

	var got []orders.ID
	base := "/api/customers/" + url.PathEscape(customer) + "/orders"
	pages := 0
	for path := base + "?limit=2&status=pending"; path != ""; pages++ {
		page, ids, header := read(path)
		got = append(got, ids...)
		path, _, _ = strings.Cut(strings.TrimPrefix(header.Get("Link"), "<"), ">")
		require.Equal(t, page.NextCursor == "", path == "")
		if path != "" {
			same, _, _ := read("/api/orders?limit=2&status=pending&customerId=" + url.QueryEscape(customer))
			require.Equal(t, pages > 0, same.NextCursor != page.NextCursor, "its cursors are those of listOrders")
			other := h.do(t, http.MethodGet, "/api/customers/other/orders?status=pending&cursor="+page.NextCursor, "")
			require.Equal(t, http.StatusBadRequest, other.status, "a cursor of another customer's list")
		}
	}
	require.Equal(t, want, got)
	require.Equal(t, 3, pages)
	unknown := h.do(t, http.MethodGet, "/api/customers/unknown/orders", "")
	require.JSONEq(t, `{"orders":[]}`, unknown.body)
	for _, bad := range []string{"a%00b", "%FF", strings.Repeat("x", 201)} {
		for _, path := range []string{"/api/customers/" + bad + "/orders", "/api/orders/user/" + bad} {
			status := h.do(t, http.MethodGet, path, "").status
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, status, path)
		}
	}

	t.Run("Numbered", func(t *testing.T) {
		numbered := "/api/orders/user/" + url.PathEscape(customer)
		page, ids, header := read(numbered + "?page=2&pageSize=2")
		require.Equal(t, want[2:4], ids)
		require.Regexp(t, `^@\d+$`, header.Get("Deprecation"))
		require.Equal(t, "<"+base+`>; rel="successor-version"`, header.Get("Link"))
		_, ids, _ = read(base + "?cursor=" + page.NextCursor)
		require.Equal(t, want[4:], ids, "its cursor leads over")
		_, ids, _ = read(numbered)
		require.Equal(t, want, ids)
		_, ids, _ = read(numbered + "?page=50&pageSize=100")
		require.Empty(t, ids)
		for _, bad := range []string{"page=51", "page=0", "pageSize=101", "pageSize=0", "cursor=x"} {
			require.Equal(t, http.StatusUnprocessableEntity, h.do(t, http.MethodGet, numbered+"?"+bad, "").status, bad)
		}
	})
}
