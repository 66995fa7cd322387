package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// Neither the server's deadlines nor silence end a stream.
func TestStreamOutlivesTimeouts(t *testing.T) {
	t.Parallel()
	t.Run("HTTP1", func(t *testing.T) {
		t.Parallel()
		outliveTimeouts(t, (*httptest.Server).Start)
	})
	t.Run("HTTP2", func(t *testing.T) {
		t.Parallel()
		outliveTimeouts(t, func(s *httptest.Server) {
			s.EnableHTTP2 = true
			s.StartTLS()
		})
	})
}

func outliveTimeouts(t *testing.T, start func(*httptest.Server)) {
	t.Helper()
	h := live(t, func(c *api.Config) { c.Heartbeat = 50 * time.Millisecond })
	server := httptest.NewUnstartedServer(h.api)
	server.Config.WriteTimeout, server.Config.ReadTimeout = 200*time.Millisecond, 200*time.Millisecond
	start(server)
	t.Cleanup(server.Close)
	h.Server = server

	id := storetest.Order(t, h.store).ID
	s := h.openSoon(t, "/api/orders/"+id.String()+"/events?after=1")
	for start, beats := time.Now(), 0; beats < 10 || time.Since(start) < 600*time.Millisecond; beats++ {
		m, ok := s.next(t)
		require.True(t, ok, "the stream ended")
		require.Empty(t, m.event)
	}
	h.apply(t, succeeded(id, orders.AuthorizePayment)...)
	for {
		m, ok := s.next(t)
		require.True(t, ok)
		if m.event != "" {
			require.Equal(t, "2", m.id)
			return
		}
	}
}

// TestLeave: a process that leaves is not ready, and answers all the same. Its connections close with their answers.
func TestLeave(t *testing.T) {
	t.Parallel()
	h := live(t)
	s := h.open(t, storetest.Order(t, h.store).ID, "")
	for caughtUp := false; !caughtUp; {
		m, ok := s.next(t)
		require.True(t, ok)
		caughtUp = m.event != ""
	}
	closes := func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/health/live", nil)
		require.NoError(t, err)
		response, err := h.Client().Do(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		return response.Close
	}
	require.False(t, closes())
	h.api.Leave()
	h.api.Leave() // twice is harmless
	require.Equal(t, http.StatusServiceUnavailable, h.do(t, http.MethodGet, "/health/ready", "").status)
	got := h.do(t, http.MethodGet, "/api/orders", "")
	require.Equal(t, http.StatusOK, got.status)
	require.True(t, closes())
	order := storetest.Order(t, h.store)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders/"+order.ID.String(), "").status)
	h.api.Drain()
	require.Empty(t, s.rest(t), "the stream was open until now")
}

func TestDrain(t *testing.T) {
	t.Parallel()
	h := live(t)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/health/ready", "").status)
	s := h.open(t, storetest.Order(t, h.store).ID, "")
	for caughtUp := false; !caughtUp; { // draining ends a stream wherever it is
		m, ok := s.next(t)
		require.True(t, ok)
		caughtUp = m.event != ""
	}

	h.api.Drain()
	h.api.Drain() // twice is harmless
	require.Empty(t, s.rest(t))
	got := h.do(t, http.MethodGet, "/health/ready", "")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.JSONEq(t, `{"status":"down","version":"test"}`, got.body)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/health/live", "").status)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/health", "").status)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, h.Config.Shutdown(ctx))
}
