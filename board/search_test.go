package board_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestSearch leads to an order from its id, a step's key and a provider's reference, and lists a customer's orders.
func TestSearch(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Tx(t), true)
	id := d.attention(t, "linus")
	for _, query := range []string{
		id.String(), " " + strings.ToUpper(id.String()) + " ", id.String() + ":capture_payment:1", "pay_1",
	} {
		got := d.get(t, "/board/search?q="+url.QueryEscape(query))
		require.Equal(t, http.StatusSeeOther, got.status, query)
		require.Equal(t, "/board/orders/"+id.String(), got.header.Get("Location"), query)
	}
	require.Contains(t, d.get(t, "/board/search?q=linus").body, id.String())
	require.Contains(t, d.get(t, "/board/search?q=grace").body, "Nothing was found")
	require.Equal(t, http.StatusUnprocessableEntity, d.get(t, "/board/search?q=%00").status)
	require.Equal(t, http.StatusUnprocessableEntity, d.get(t, "/board/search?q=%ff").status)
	require.Equal(t, http.StatusUnprocessableEntity, d.get(t, "/board/search").status)

	order := d.get(t, "/board/orders/"+id.String())
	require.Contains(t, order.body, "Millrace cannot go on by itself")
	require.Contains(t, order.body, "Order was placed")
	require.Contains(t, order.body, "pay_1")
	require.Contains(t, order.body, id.String()+":void_payment:1")
	fresh := d.get(t, "/board/orders/"+storetest.Order(t, d.store).ID.String())
	require.Contains(t, fresh.body, "It waits for authorize payment and 2 more: no process with workers is alive.")
	require.Contains(t, fresh.body, "Waiting for authorize payment")
	require.Equal(t, http.StatusNotFound, d.get(t, "/board/orders/"+orders.NewID().String()).status)
	require.Equal(t, http.StatusNotFound, d.get(t, "/board/orders/x").status)
	require.Equal(t, http.StatusNotFound, d.get(t, "/board/lanes/x").status)
}
