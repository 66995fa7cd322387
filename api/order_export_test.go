package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// manyOrders stores n completed orders in one statement, placed a millisecond apart from a moment on.
func manyOrders(t *testing.T, db store.DB, n int, from time.Time) {
	t.Helper()
	_, err := db.Exec(t.Context(), `
		WITH o AS (
			INSERT INTO orders (id, principal, customer_id, currency, total_minor, payment_method, version, status, goal,
				reason, placed_at, updated_at)
			SELECT (lpad(to_hex($2::bigint + g), 12, '0') || '70008000' || lpad(to_hex(g), 12, '0'))::uuid, 'test',
				(g % 10)::text, 'USD', 20997, 'card', 2, 'completed', 'complete', '',
				to_timestamp(($2::bigint + g) / 1000.0), now()
			FROM generate_series(0, $1 - 1) g RETURNING id
		), i AS (
			INSERT INTO order_items SELECT id, line, line, 1, 6999 FROM o, generate_series(1, 3) line
		)
		INSERT INTO order_steps (order_id, step, generation, state, amount_minor, request, reference, reason, started_at,
			deadline_at, settled_at)
		SELECT id, 'authorize_payment', 1, 'succeeded', 20997, 'x', 'auth_1', '', now(), now(), now()
		FROM o`, n, from.UnixMilli())
	require.NoError(t, err)
}

// lines reads an export to its end and returns the orders' ids and the last line's nextAfter, if it has one.
func lines(t *testing.T, r *bufio.Scanner) (ids []string, next string) {
	t.Helper()
	for r.Scan() {
		var line struct{ OrderID, NextAfter string }
		require.NoError(t, json.Unmarshal(r.Bytes(), &line), r.Text())
		require.Empty(t, next, "a line after the last one")
		if next = line.NextAfter; next == "" {
			require.NotEmpty(t, line.OrderID)
			ids = append(ids, line.OrderID)
		}
	}
	require.NoError(t, r.Err())
	return ids, next
}

func TestExport(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	h := serve(t, tx)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	manyOrders(t, tx, 1200, start)
	at := func(ms int) string { return start.Add(time.Duration(ms) * time.Millisecond).Format(time.RFC3339Nano) }

	got := h.do(t, http.MethodGet, "/api/orders/export", "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Equal(t, "application/x-ndjson", got.header.Get("Content-Type"))
	all, next := lines(t, bufio.NewScanner(strings.NewReader(got.body)))
	require.Len(t, all, 1200)
	require.Empty(t, next)
	require.IsIncreasing(t, all)
	one := h.do(t, http.MethodGet, "/api/orders/"+all[0], "")
	require.Equal(t, one.body, strings.SplitAfter(got.body, "\n")[0], "a line is the order as it is elsewhere")

	var third []string // every customer has every tenth
	for i := 3; i < len(all); i += 10 {
		third = append(third, all[i])
	}
	for query, want := range map[string][]string{
		"after=" + all[699]:                        all[700:],
		"after=" + all[1199]:                       nil,
		"from=" + at(100) + "&to=" + at(700):       all[100:700],
		"from=" + at(1100) + "&after=" + all[1150]: all[1151:],
		"customerId=3":                             third,
		"customerId=3&status=completed":            third,
		"customerId=3&status=failed":               nil,
		"status=completed&to=" + at(5):             all[:5],
		"status=pending":                           nil,
		"from=" + at(5000):                         nil,
	} {
		got := h.do(t, http.MethodGet, "/api/orders/export?"+strings.ReplaceAll(query, "+", "%2B"), "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		ids, next := lines(t, bufio.NewScanner(strings.NewReader(got.body)))
		require.Equal(t, want, ids, query)
		require.Empty(t, next)
	}
	for _, bad := range []string{"after=x", "from=yesterday", "status=lost", "limit=1", "to="} {
		got := h.do(t, http.MethodGet, "/api/orders/export?"+bad, "")
		require.GreaterOrEqual(t, got.status, 400, bad)
		require.NotEmpty(t, got.problem(t).Errors, bad)
	}
	require.Equal(t, http.StatusNotAcceptable,
		h.do(t, http.MethodGet, "/api/orders/export", "", "Accept", "text/csv").status)
	head := h.do(t, http.MethodHead, "/api/orders/export", "")
	require.Equal(t, "application/x-ndjson", head.header.Get("Content-Type"))
	require.Contains(t, h.metrics(t), `order_requests_total{action="export",status="success"} 12`)
}

// An export holds a page in memory, however many orders there are.
func TestExportMemory(t *testing.T) { //nolint:paralleltest // it measures the heap, which all tests share
	tx := storetest.Tx(t)
	h := serve(t, tx)
	manyOrders(t, tx, 20_000, time.Now().Add(-time.Hour))
	var before, during runtime.MemStats
	for range 3 { // a pool keeps what it has through one collection, and migrations leave megabytes in pools
		runtime.GC()
	}
	runtime.ReadMemStats(&before)

	response, err := h.Client().Get(h.URL + "/api/orders/export")
	require.NoError(t, err)
	defer response.Body.Close()
	scanner := bufio.NewScanner(response.Body)
	var peak uint64
	n := 0
	for ; scanner.Scan(); n++ {
		if n%4000 == 2000 {
			runtime.GC()
			runtime.ReadMemStats(&during)
			peak = max(peak, during.HeapAlloc)
		}
	}
	require.NoError(t, scanner.Err())
	require.Equal(t, 20_000, n)
	require.Less(t, int64(peak)-int64(before.HeapAlloc), int64(6<<20), "bytes")
}

type narrowListener struct {
	net.Listener
	buffer int
}

func (l narrowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetWriteBuffer(l.buffer)
}

// narrow puts the API behind buffers of a size, so that it cannot be far ahead of its client.
func narrow(t *testing.T, h *harness, buffer int) {
	t.Helper()
	server := httptest.NewUnstartedServer(h.api)
	server.Listener = narrowListener{server.Listener, buffer}
	server.Start()
	t.Cleanup(server.Close)
	h.Server = server
	server.Client().Transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return conn, conn.(*net.TCPConn).SetReadBuffer(buffer)
		},
	}
}

// What breaks an export off says where to go on, and going on there misses nothing.
func TestExportBrokenOff(t *testing.T) {
	t.Parallel()
	for name, breakOff := range map[string]func(*harness, interface{ Close() }){
		"Drain":        func(h *harness, _ interface{ Close() }) { h.api.Drain() },
		"DatabaseGone": func(_ *harness, pool interface{ Close() }) { pool.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := storetest.Pool(t)
			const all = 10_000
			manyOrders(t, pool, all, time.Now().Add(-time.Hour))
			h := serve(t, pool, func(c *api.Config) { c.SlowReader = time.Hour })
			narrow(t, h, 64<<10)
			response, err := h.Client().Get(h.URL + "/api/orders/export")
			require.NoError(t, err)
			defer response.Body.Close()
			scanner := bufio.NewScanner(response.Body)
			require.True(t, scanner.Scan())
			breakOff(h, pool)
			ids, next := lines(t, scanner)
			require.NotEmpty(t, next)
			require.Less(t, len(ids), all-1)
			require.Equal(t, ids[len(ids)-1], next)
			if name == "Drain" {
				rest := h.do(t, http.MethodGet, "/api/orders/export?to=2100-01-01T00:00:00Z&after="+url.QueryEscape(next), "")
				more, _ := lines(t, bufio.NewScanner(strings.NewReader(rest.body)))
				require.NotEmpty(t, more)
				require.Equal(t, len(ids)+1+500, len(ids)+1+len(more), "a draining server gives one page more")
				require.Greater(t, more[0], next)
			}
		})
	}
}

// A client that stops reading is cut off, and one that leaves is let go. Neither keeps its place.
func TestExportReaders(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	manyOrders(t, pool, 2000, time.Now().Add(-time.Hour))
	h := serve(t, pool, func(c *api.Config) { c.SlowReader = time.Hour })
	narrow(t, h, 1)
	get := func(h *harness) *http.Response {
		response, err := h.Client().Get(h.URL + "/api/orders/export")
		require.NoError(t, err)
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	var stuck []*http.Response
	for range 8 {
		response := get(h)
		require.Equal(t, http.StatusOK, response.StatusCode)
		stuck = append(stuck, response)
	}
	got := h.do(t, http.MethodGet, "/api/orders/export", "")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "too_many_exports", got.problem(t).Code)
	require.Equal(t, "5", got.header.Get("Retry-After"))

	stuck[0].Body.Close()
	require.Eventually(t, func() bool {
		response := get(h)
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond, "a client that leaves makes room, and no other client is cut off")

	log := h.log
	h = serve(t, pool, func(c *api.Config) { c.SlowReader = 100 * time.Millisecond })
	narrow(t, h, 1)
	cut := get(h)
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_http_requests_in_flight 0\n") },
		time.Minute, 50*time.Millisecond)
	scanner := bufio.NewScanner(cut.Body)
	for scanner.Scan() {
	}
	require.Error(t, scanner.Err(), "what was cut off does not look complete")
	require.NotContains(t, log.String()+h.log.String(), "panic")
	require.Contains(t, h.log.String(), fmt.Sprintf("%q", "exportOrders"))
}
