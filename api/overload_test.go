package api_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestOverload(t *testing.T) {
	t.Parallel()
	pool, err := store.NewPool(t.Context(), storetest.URL(t), "test", 1)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	conn, err := pool.Acquire(t.Context()) // so that requests have to wait
	require.NoError(t, err)
	h := serve(t, pool, func(c *api.Config) { c.MaxInFlight = 2 })

	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			if got := h.do(t, http.MethodGet, "/api/orders", ""); got.status != http.StatusOK {
				t.Errorf("a request that was let in: %d %s", got.status, got.body)
			}
		})
	}
	require.Eventually(t, func() bool {
		return strings.Contains(h.metrics(t), "millrace_http_requests_in_flight 2")
	}, time.Second, time.Millisecond)
	for _, path := range []string{"/api/orders", "/api/nothing"} {
		start := time.Now()
		scenario{
			method: "GET", path: path, wantStatus: 503, wantBody: `"code":"overloaded"`,
			wantHeader: []string{"Retry-After", "1"},
		}.run(t, h)
		require.Less(t, time.Since(start), time.Second)
	}
	for _, path := range []string{"/health/live", "/openapi.json"} {
		require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, path, "").status)
	}
	conn.Release()
	waiting.Wait()
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "").status, "there is room again")
	require.Contains(t, h.metrics(t), "millrace_overload_total 2")
}

// An open stream takes no place from requests, and gives back the one it had exactly once.
func TestOverloadStreams(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) { c.MaxInFlight = 1 })
	id := storetest.Order(t, h.store).ID
	for range 3 {
		stream := h.open(t, id, "")
		require.Equal(t, http.StatusOK, stream.StatusCode)
		require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "").status)
	}
	h.api.Drain() // ends the streams
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_streams 0") },
		10*time.Second, time.Millisecond)

	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprint(conn, "POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Content-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_http_requests_in_flight 1") },
		10*time.Second, time.Millisecond)
	got := h.do(t, http.MethodGet, "/api/orders", "")
	require.Equal(t, http.StatusServiceUnavailable, got.status, "the one place is taken, by a body that does not come")
	require.Equal(t, "overloaded", got.problem(t).Code)
}
