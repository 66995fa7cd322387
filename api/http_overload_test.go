package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store/storetest"
)

// occupied has a server's requests for its status wait until release.
func occupied(c *api.Config) (release func()) {
	free := make(chan struct{})
	c.Breakers = func() map[string]string {
		<-free
		return nil
	}
	return sync.OnceFunc(func() { close(free) })
}

// occupy sends n of them, and waits until they are being answered.
func (h *harness) occupy(t *testing.T, n int) (answered *sync.WaitGroup) {
	t.Helper()
	answered = new(sync.WaitGroup)
	for range n {
		answered.Go(func() {
			if got := h.do(t, http.MethodGet, "/api/system/status", ""); got.status != http.StatusOK {
				t.Errorf("a request that was let in: %d %s", got.status, got.body)
			}
		})
	}
	require.Eventually(t, func() bool {
		return strings.Contains(h.metrics(t), fmt.Sprintf("millrace_http_requests_in_flight %d\n", n))
	}, time.Minute, time.Millisecond)
	return answered
}

func TestOverload(t *testing.T) {
	t.Parallel()
	var release func()
	h := serve(t, storetest.Pool(t), func(c *api.Config) {
		c.MaxInFlight = 2
		release = occupied(c)
	})
	defer release()
	waiting := h.occupy(t, 2)
	for _, path := range []string{"/api/orders", "/api/nothing"} {
		scenario{
			method: "GET", path: path, wantStatus: 503, wantBody: `"code":"overloaded"`,
			wantHeader: []string{"Retry-After", "1"},
		}.run(t, h)
	}
	for _, path := range []string{"/health/live", "/openapi.json"} {
		require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, path, "").status)
	}
	release()
	waiting.Wait()
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "").status, "there is room again")
	require.Contains(t, h.metrics(t), "millrace_overload_total 2")
}

// An open stream takes no place from requests, and gives back the one it had exactly once.
func TestOverloadStreams(t *testing.T) {
	t.Parallel()
	var release func()
	h := live(t, func(c *api.Config) {
		c.MaxInFlight = 1
		release = occupied(c)
	})
	defer release()
	id := storetest.Order(t, h.store).ID
	for range 3 {
		stream := h.open(t, id, "")
		require.Equal(t, http.StatusOK, stream.StatusCode)
		require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "").status)
	}
	h.api.Drain() // ends the streams
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_streams 0\n") },
		time.Minute, time.Millisecond)

	waiting := h.occupy(t, 1)
	got := h.do(t, http.MethodGet, "/api/orders", "")
	require.Equal(t, http.StatusServiceUnavailable, got.status, "the one place is taken")
	require.Equal(t, "overloaded", got.problem(t).Code)
	release()
	waiting.Wait()
}
