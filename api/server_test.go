package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func (h *harness) metrics(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	handler := promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	require.NoError(t, err)
	handler.ServeHTTP(plainWriter{&b}, r)
	return b.String()
}

type plainWriter struct{ *strings.Builder }

func (plainWriter) Header() http.Header { return http.Header{} }
func (plainWriter) WriteHeader(int)     {}

func TestToken(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Token: "s3cret"})
	})
	for _, header := range [][]string{
		nil,
		{"Authorization", "Bearer wrong"},
		{"Authorization", "Basic s3cret"},
		{"Authorization", "s3cret"},
		{"Authorization", "Bearer  s3cret"},
		{"Authorization", "Bearer s3cret2"},
	} {
		for _, path := range []string{"/api/orders", "/api/orders/x", "/api/orders/x/events", "/api/orders?foo=1"} {
			got := h.do(t, http.MethodGet, path, "", header...)
			require.Equal(t, http.StatusUnauthorized, got.status, "%s %s", path, header)
			require.Equal(t, "unauthorized", got.problem(t).Code)
			require.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
		}
	}
	for _, scheme := range []string{"Bearer", "bearer"} {
		require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "", "Authorization", scheme+" s3cret").status)
	}
	for _, path := range []string{"/health", "/health/live", "/health/ready", "/openapi.json", "/docs/"} {
		require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, path, "").status, path)
	}
	require.NotContains(t, h.log.String(), "s3cret")
}

func TestUnavailable(t *testing.T) {
	t.Parallel()

	t.Run("Down", func(t *testing.T) {
		t.Parallel()
		pool, err := store.NewPool(t.Context(), "postgres://none@127.0.0.1:1/none", "test", 1)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		h := serve(t, pool)
		const path = "/api/orders/0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"
		for _, s := range []scenario{
			{name: "Place", method: "POST", path: "/api/orders", body: seedBody, wantBody: "look for it before you repeat"},
			{
				name: "PlaceWithKey", method: "POST", path: "/api/orders", body: seedBody, header: []string{"Idempotency-Key", "k"},
				wantBody: "under the same Idempotency-Key",
			},
			{name: "Get", method: "GET", path: path, wantBody: "unavailable"},
			{name: "List", method: "GET", path: "/api/orders", wantBody: "unavailable"},
			{name: "Events", method: "GET", path: path + "/events", wantBody: "unavailable"},
			{name: "Cancel", method: "POST", path: path + "/cancel", wantBody: "Cancelling it again is safe"},
		} {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				s.wantStatus, s.wantHeader, s.notWantBody = 503, []string{"Retry-After", "1"}, "127.0.0.1"
				s.run(t, h)
			})
		}
	})

	t.Run("PoolExhausted", func(t *testing.T) {
		t.Parallel()
		pool, err := store.NewPool(t.Context(), storetest.URL(t), "test", 1)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		h := serve(t, pool)
		const path = "/api/orders/0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"
		var wg sync.WaitGroup
		for _, s := range []scenario{
			{method: "POST", path: "/api/orders", body: seedBody},
			{method: "GET", path: path},
			{method: "GET", path: "/api/orders"},
			{method: "GET", path: path + "/events"},
			{method: "POST", path: path + "/cancel"},
		} {
			s.wantStatus, s.wantBody, s.wantHeader = 503, `"code":"unavailable"`, []string{"Retry-After", "1"}
			for range 20 { // more than are tried at a time: the others queue behind them
				wg.Go(func() { s.run(t, h) })
				if s.method == "GET" {
					break
				}
			}
		}
		wg.Wait()
		require.Contains(t, h.log.String(), `"level":"WARN"`)
		require.Contains(t, h.log.String(), "no connection in time", "it does not take as long as a query may")
	})
}

func TestInternalError(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	h := serve(t, tx)
	_, err := tx.Exec(t.Context(), "SELECT no_such_column")
	require.Error(t, err) // and the transaction is of no more use
	for _, s := range []scenario{
		{method: "GET", path: "/api/orders"},
		{method: "POST", path: "/api/orders", body: seedBody},
		{method: "GET", path: "/api/orders/0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"},
	} {
		s.wantStatus, s.wantBody, s.header = 500, `"detail":"internal error"`, []string{"X-Request-Id", "find-me"}
		s.run(t, h)
	}
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(strings.SplitN(h.log.String(), "\n", 2)[0]), &line))
	require.Equal(t, "ERROR", line["level"])
	require.Equal(t, "find-me", line["request_id"])
	require.Contains(t, line["error"], "25P02", "the cause is in the log")
}

func TestPanic(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t), func(c *api.Config) {
		c.Ready = func(context.Context) map[string]error { panic("secret of the panic") }
	})
	scenario{
		method: "GET", path: "/health", wantStatus: 500, wantBody: `"code":"internal_error"`, notWantBody: "secret",
	}.run(t, h)
	require.Contains(t, h.metrics(t), "millrace_panics_total 1")
	require.Contains(t, h.metrics(t), `millrace_http_request_duration_seconds_count{code="500",operation="getHealth"} 1`)
	require.Contains(t, h.log.String(), "secret of the panic")
	require.Contains(t, h.log.String(), `"stack":`)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/health/live", "").status, "the process is alive")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	late := fmt.Errorf("%w: late", api.ErrDegraded)
	down := errors.New("dial tcp 10.0.0.3")
	tests := []struct {
		name           string
		database, feed error
		status         int
		body           string
	}{
		{"OK", nil, nil, 200, `{"status":"ok","version":"test","checks":
			[{"name":"database","status":"ok"},{"name":"feed","status":"ok"}]}`},
		{"Degraded", nil, late, 200, `{"status":"degraded","version":"test","checks":
			[{"name":"database","status":"ok"},{"name":"feed","status":"degraded"}]}`},
		{"Down", down, late, 503, `{"status":"down","version":"test","checks":
			[{"name":"database","status":"down"},{"name":"feed","status":"degraded"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, storetest.Tx(t), func(c *api.Config) {
				c.Ready = func(context.Context) map[string]error {
					return map[string]error{"database": tt.database, "feed": tt.feed}
				}
			})
			for _, path := range []string{"/health", "/health/ready"} {
				got := h.do(t, http.MethodGet, path, "")
				require.Equal(t, tt.status, got.status)
				require.JSONEq(t, tt.body, got.body)
			}
			require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/health/live", "").status)
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	for id, kept := range map[string]bool{
		"abc-1.2_X": true, strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false, "a b": false, `a"b`: false, "": false,
	} {
		got := h.do(t, http.MethodGet, "/health/live", "", "X-Request-Id", id)
		require.Equal(t, kept, got.header.Get("X-Request-Id") == id, id)
		require.NotEmpty(t, got.header.Get("X-Request-Id"))
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id := storetest.Order(t, h.store).ID
	h.do(t, http.MethodGet, "/api/orders?customerId=personal", "")
	h.do(t, http.MethodGet, "/api/orders/"+id.String(), "", "X-Request-Id", "r1")
	h.do(t, http.MethodGet, "/health", "")
	require.NotContains(t, h.log.String(), "personal")
	require.NotContains(t, h.log.String(), id.String())
	lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
	require.Len(t, lines, 3)
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &line))
	require.Equal(t, "INFO", line["level"])
	require.Equal(t, "/api/orders/{id}", line["route"])
	require.Equal(t, "getOrder", line["operation"])
	require.Equal(t, "r1", line["request_id"])
	require.InDelta(t, 200, line["status"], 0)
	require.NotZero(t, line["bytes"])
	require.Contains(t, lines[2], `"level":"DEBUG"`)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id := storetest.Order(t, h.store).ID.String()
	h.do(t, http.MethodPost, "/api/orders", seedBody)
	h.do(t, http.MethodPost, "/api/orders", `{}`)
	h.do(t, http.MethodGet, "/api/orders/"+id, "")
	h.do(t, http.MethodGet, "/api/orders/"+strings.Replace(id, id[:4], "ffff", 1), "")
	h.do(t, http.MethodGet, "/api/orders", "")
	h.do(t, http.MethodGet, "/api/orders/"+id+"/events", "")
	h.do(t, http.MethodPost, "/api/orders/"+id+"/cancel", "")
	h.do(t, http.MethodGet, "/wp-admin/"+id, "")
	got := h.metrics(t)
	for _, want := range []string{
		`order_requests_total{action="create",status="success"} 1`,
		`order_requests_total{action="create",status="validation_error"} 1`,
		`order_requests_total{action="get",status="success"} 1`,
		`order_requests_total{action="get",status="not_found"} 1`,
		`order_requests_total{action="list",status="success"} 1`,
		`order_requests_total{action="events",status="success"} 1`,
		`order_requests_total{action="cancel",status="success"} 1`,
		`millrace_http_request_duration_seconds_count{code="202",operation="placeOrder"} 1`,
		`millrace_http_request_duration_seconds_count{code="404",operation="none"} 1`,
		`millrace_http_requests_in_flight 0`,
	} {
		require.Contains(t, got, want)
	}
	require.NotContains(t, got, id)
}

// A client that goes away is not a failure of ours.
func TestClientGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := serve(t, leavingDB{storetest.Pool(t), cancel})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/api/orders", nil)
	require.NoError(t, err)
	_, err = h.Client().Do(r)
	require.Error(t, err)
	require.Eventually(t, func() bool { return strings.Contains(h.log.String(), `"status":499`) },
		time.Minute, 10*time.Millisecond)
	require.Contains(t, h.log.String(), `"level":"INFO"`)
}

// leavingDB has the client leave while its query runs.
type leavingDB struct {
	*pgxpool.Pool
	leave func()
}

func (l leavingDB) Query(ctx context.Context, _ string, _ ...any) (pgx.Rows, error) {
	l.leave()
	<-ctx.Done()
	return nil, ctx.Err()
}
