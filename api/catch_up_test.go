package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// stalled is a database whose reads of the log stall that are about a customer, or an order.
type stalled struct {
	store.DB

	customer string
	order    atomic.Pointer[orders.ID]
	reads    atomic.Int64
	free     chan struct{}
}

func (s *stalled) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	id := s.order.Load()
	ofCustomer := strings.Contains(sql, "name: LogOrders ") && slices.Contains(args, any(s.customer))
	if ofCustomer || id != nil && strings.Contains(sql, "name: EventsAfter ") && slices.Contains(args, any(*id)) {
		s.reads.Add(1)
		<-s.free
	}
	return s.DB.Query(ctx, sql, args...)
}

// stalling is an API that asks for keys, and whose reads of the log about a customer named "slow" stall.
func stalling(t *testing.T) (h *harness, s *stalled, release func()) {
	t.Helper()
	s = &stalled{customer: "slow", free: make(chan struct{})}
	h = live(t, func(c *api.Config) {
		c.Heartbeat = time.Hour // with which a stream may look for itself
		c.Store = storetest.New(t, s)
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute})
	})
	s.DB = h.pool
	release = sync.OnceFunc(func() { close(s.free) })
	t.Cleanup(release)
	return h, s, release
}

// A principal with many streams that catch up holds up no other.
func TestCatchUpsTakeTurns(t *testing.T) {
	t.Parallel()
	const streams = 10
	for _, of := range []string{"AllOrders", "OneOrder"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			h, stalled, release := stalling(t)
			many := []string{"Authorization", "Bearer " + h.key(t, roles.Viewer)}
			other := []string{"Authorization", "Bearer " + h.key(t, roles.Viewer)}
			slow, quick := h.placeFor(t, stalled.customer), h.placeFor(t, "quick")
			stalled.order.Store(&slow)
			slowPath, quickPath := "/api/events?after=start&customerId=slow", "/api/events?after=start&customerId=quick"
			if of == "OneOrder" {
				slowPath, quickPath = "/api/orders/"+slow.String()+"/events", "/api/orders/"+quick.String()+"/events"
			}
			var open []*openStream
			for range streams {
				open = append(open, h.follow(t, slowPath, many...))
				require.Equal(t, http.StatusOK, open[len(open)-1].StatusCode)
			}
			waiting := func(n int) func() bool {
				return func() bool { return held{h: h, t: t}.gauge("millrace_log_reads_waiting") == n }
			}
			require.Eventually(t, waiting(streams-2), time.Minute, time.Millisecond)
			require.Eventually(t, func() bool { return stalled.reads.Load() == 2 }, time.Minute, time.Millisecond)

			require.Equal(t, quick, h.follow(t, quickPath, other...).events(t, 1)[0].decode(t).OrderID)
			require.Eventually(t, func() bool { // another test's transaction may hold up the log
				return len(h.page(t, "?after=start&customerId=quick", other...).Events) == 1
			}, time.Minute, time.Millisecond)

			for _, s := range open {
				s.Body.Close()
			}
			require.Eventually(t, waiting(0), time.Minute, time.Millisecond, "none waits whose client is gone")
			require.Equal(t, int64(2), stalled.reads.Load())
			release()
			require.Equal(t, slow, h.follow(t, slowPath, many...).events(t, 1)[0].decode(t).OrderID)
		})
	}
}

// A server that drains keeps no stream waiting for its turn, and answers a page with the cursor at which it goes on.
func TestDrainEndsTurns(t *testing.T) {
	t.Parallel()
	h, stalled, release := stalling(t)
	h.placeFor(t, stalled.customer)
	key := []string{"Authorization", "Bearer " + h.key(t, roles.Viewer)}
	const path = "?after=start&customerId=slow"
	for range 3 {
		require.Equal(t, http.StatusOK, h.follow(t, "/api/events"+path, key...).StatusCode)
	}
	waiting := func(n int) func() bool {
		return func() bool { return held{h: h, t: t}.gauge("millrace_log_reads_waiting") == n }
	}
	require.Eventually(t, waiting(1), time.Minute, time.Millisecond)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/api/events"+path, nil)
	require.NoError(t, err)
	r.Header.Set(key[0], key[1])
	answered := make(chan *http.Response, 1)
	go func() {
		defer close(answered)
		if response, err := h.Client().Do(r); err == nil {
			answered <- response
		}
	}()
	require.Eventually(t, waiting(2), time.Minute, time.Millisecond)

	drained := make(chan struct{})
	go func() {
		defer close(drained)
		h.api.Drain()
	}()
	response := <-answered
	require.NotNil(t, response)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var got api.EventPage
	require.NoError(t, json.NewDecoder(response.Body).Decode(&got))
	require.Empty(t, got.Events)
	_, err = store.ParseCursor(got.Next)
	require.NoError(t, err)
	require.Eventually(t, waiting(0), time.Minute, time.Millisecond)
	release()
	<-drained
	require.NotContains(t, h.log.String(), "stream was cut off\",\"request_id", "the one that waited just ends")
}

// A client that takes nothing holds a connection, and not the turn of another.
func TestSlowReadersHoldNoTurn(t *testing.T) {
	t.Parallel()
	const slow = 12
	for _, of := range []string{"AllOrders", "OneOrder"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			h := live(t, func(c *api.Config) { c.Heartbeat, c.SlowReader = time.Hour, time.Hour })
			server := httptest.NewUnstartedServer(h.api)
			server.Listener = tinyBuffers{server.Listener}
			server.Start()
			t.Cleanup(server.Close)
			id := storetest.Order(t, h.store).ID
			_, err := h.pool.Exec(t.Context(), `INSERT INTO order_events (order_id, version, kind, amount_minor, step,
				generation, reference, reason, status, progress, status_changed, at)
				SELECT $1, version, 'step_unknown', 0, 'quote_shipping', 1, '', repeat('x', 200), 'pending', 0, false, now()
				FROM generate_series(2, 99) version`, id)
			require.NoError(t, err)
			path := "/api/events?after=start"
			if of == "OneOrder" {
				path = "/api/orders/" + id.String() + "/events"
			}
			for range slow {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				require.NoError(t, err)
				t.Cleanup(func() { _ = conn.Close() })
				require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(1))
				_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", path)
				require.NoError(t, err)
				_, err = io.ReadFull(conn, make([]byte, len("HTTP/1.1 200")))
				require.NoError(t, err)
			}
			require.Eventually(t, func() bool {
				return held{h: h, t: t}.gauge("millrace_stream_catch_ups_total") >= slow
			}, time.Minute, time.Millisecond)
			require.Len(t, h.follow(t, path).events(t, 99), 99)
			require.Eventually(t, func() bool { return held{h: h, t: t}.gauge("millrace_log_reads_waiting") == 0 },
				time.Minute, time.Millisecond)
		})
	}
}
