package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// placing is a placement that may be waiting for its answer.
type placing struct {
	t    *testing.T
	done chan answer
}

func (h *harness) placeWaiting(t *testing.T, header ...string) placing {
	t.Helper()
	p := placing{t, make(chan answer, 1)}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/api/orders", strings.NewReader(seedBody))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	go func() {
		defer close(p.done)
		response, err := h.Client().Do(r)
		if err != nil {
			t.Errorf("place: %v", err)
			return
		}
		defer response.Body.Close()
		var body json.RawMessage
		_ = json.NewDecoder(response.Body).Decode(&body)
		p.done <- answer{response.StatusCode, response.Header, string(body)}
	}()
	return p
}

// soon returns the answer, which must come before any limit of time.
func (p placing) soon() answer {
	p.t.Helper()
	select {
	case a, ok := <-p.done:
		require.True(p.t, ok)
		return a
	case <-time.After(25 * time.Second):
		require.Fail(p.t, "there is no answer")
		return answer{}
	}
}

// waiting is the order that a placement waits for.
func (h *harness) waiting(t *testing.T) orders.ID {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_streams 1\n") },
		time.Minute, 5*time.Millisecond, "it counts as a stream")
	found, err := h.store.Orders.List(t.Context(), storeFilter())
	require.NoError(t, err)
	return found[0].ID
}

func TestPreferWait(t *testing.T) {
	t.Parallel()

	t.Run("Ends", func(t *testing.T) {
		t.Parallel()
		h := live(t, func(c *api.Config) { c.Heartbeat = time.Hour }) // with which it would look by itself
		p := h.placeWaiting(t, "Prefer", "wait=30", "Idempotency-Key", "k")
		id := h.waiting(t)
		require.Contains(t, h.metrics(t), "millrace_http_requests_in_flight 0\n")
		h.apply(t, completion(id)...)
		got := p.soon()
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "wait", got.header.Get("Preference-Applied"))
		require.Equal(t, "/api/orders/"+id.String(), got.header.Get("Location"))
		require.Equal(t, `"6"`, got.header.Get("ETag"))
		require.Empty(t, got.header.Get("Idempotency-Replayed"))
		require.Equal(t, api.OrderStatus("completed"), got.order(t).Status)

		replay := h.do(t, http.MethodPost, "/api/orders", seedBody, "Prefer", "wait=20", "Idempotency-Key", "k")
		require.Equal(t, http.StatusOK, replay.status)
		require.Equal(t, "true", replay.header.Get("Idempotency-Replayed"))
		require.JSONEq(t, got.body, replay.body)
		first := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", "k")
		require.Equal(t, http.StatusAccepted, first.status, "a caller that does not wait gets the first answer")
		require.Equal(t, api.OrderStatus("pending"), first.order(t).Status)

		require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_streams 0\n") },
			time.Minute, 5*time.Millisecond)
		require.Contains(t, h.metrics(t),
			`millrace_http_request_duration_seconds_count{code="202",operation="placeOrder"} 1`)
		require.NotContains(t, h.metrics(t), `code="200",operation="placeOrder"`, "waiting does not count as latency")
	})

	t.Run("DoesNotEnd", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		const key = "k"
		id := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", key).order(t).OrderID
		h.apply(t, succeeded(id, orders.AuthorizePayment)...)
		// The server's deadlines are shorter than the wait.
		server := httptest.NewUnstartedServer(h.api)
		server.Config.WriteTimeout, server.Config.ReadTimeout = 200*time.Millisecond, 200*time.Millisecond
		server.Start()
		t.Cleanup(server.Close)
		h.Server = server
		start := time.Now()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/api/orders", strings.NewReader(seedBody))
		require.NoError(t, err)
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Idempotency-Key": key, "Prefer": `respond-async, Wait = "1"; x=y`,
		} {
			r.Header.Set(name, value)
		}
		got := h.sendUntil(t, r, func(status int) bool { return status == http.StatusAccepted })
		defer got.Body.Close()
		require.GreaterOrEqual(t, time.Since(start), time.Second)
		require.Equal(t, "wait", got.Header.Get("Preference-Applied"))
		require.Equal(t, `"2"`, got.Header.Get("ETag"))
		var now api.Order
		require.NoError(t, json.NewDecoder(got.Body).Decode(&now))
		require.Equal(t, api.OrderStatus("processing"), now.Status)
	})

	t.Run("Drain", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		p := h.placeWaiting(t, "Prefer", "wait=30")
		h.apply(t, succeeded(h.waiting(t), orders.AuthorizePayment)...)
		h.api.Drain()
		got := p.soon()
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.Equal(t, "wait", got.header.Get("Preference-Applied"))
		require.Equal(t, `"2"`, got.header.Get("ETag"), "as it is then")
	})

	t.Run("TooMany", func(t *testing.T) {
		t.Parallel()
		h := live(t, func(c *api.Config) { c.MaxStreams = 1 })
		_, ok := h.open(t, storetest.Order(t, h.store).ID, "").next(t)
		require.True(t, ok)
		got := h.placeWaiting(t, "Prefer", "wait=30").soon()
		require.Equal(t, http.StatusAccepted, got.status, "the order is placed all the same")
		require.Empty(t, got.header.Get("Preference-Applied"))
	})

	// Without a feed the order is read again now and then.
	t.Run("Fallback", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		h := serve(t, pool, func(c *api.Config) { c.Heartbeat = 50 * time.Millisecond })
		h.store = storetest.New(t, pool) // another process's
		p := h.placeWaiting(t, "Prefer", "wait=30")
		h.apply(t, completion(h.waiting(t))...)
		require.Equal(t, http.StatusOK, p.soon().status)
	})

	// What the process itself commits needs no feed.
	t.Run("OwnProcess", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Pool(t), func(c *api.Config) { c.Heartbeat = time.Hour })
		p := h.placeWaiting(t, "Prefer", "wait=30")
		h.apply(t, completion(h.waiting(t))...)
		require.Equal(t, http.StatusOK, p.soon().status)
	})

	t.Run("NoPreference", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		for _, prefer := range []string{"return=minimal", "wait", "wait=", "wait=-1", "wait=soon", "waiting=3", ";,=", ""} {
			got := h.placeWaiting(t, "Prefer", prefer).soon()
			require.Equal(t, http.StatusAccepted, got.status, prefer)
			require.Empty(t, got.header.Get("Preference-Applied"), prefer)
		}
		require.Equal(t, "wait", h.placeWaiting(t, "Prefer", "wait=0").soon().header.Get("Preference-Applied"))
	})
}
