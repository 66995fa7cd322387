package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// A client that goes away in the middle of its request leaves a whole order or none, and its retry finds it.
func TestClientGoneHalfway(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	h := serve(t, pool)
	address := strings.TrimPrefix(h.URL, "http://")
	const clients = 60
	for i := range clients {
		key := fmt.Sprint("gone-", i)
		request := fmt.Sprintf("POST /api/orders HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
			"Idempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s", address, key, len(seedBody), seedBody)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		cut := len(request) - (i%4)*len(seedBody)/3 // whole, or cut somewhere in the body
		_, err = io.WriteString(conn, request[:cut])
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	for i := range clients {
		retry := func() answer {
			return h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", fmt.Sprint("gone-", i))
		}
		got := retry()
		for got.status == http.StatusServiceUnavailable { // the first try is still being stored
			got = retry()
		}
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.Len(t, got.order(t).Items, 2)
	}
	page, err := h.store.Orders.List(t.Context(), store.Filter{Limit: 2 * clients})
	require.NoError(t, err)
	require.Len(t, page, clients, "one order a key")
	for _, o := range page {
		require.Len(t, o.Items, 2)
		require.Len(t, o.Steps, 3)
	}
}
