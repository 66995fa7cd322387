package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// logged is a log that is written while it is read.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startLogged runs a server in this process until the test ends, and keeps its log.
func startLogged(t *testing.T, args ...string) (*instance, *logged) {
	t.Helper()
	log := new(logged)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, args, t.Output(), log) }()
	i := &instance{t: t, stop: sync.OnceValue(func() error {
		cancel()
		return <-done
	})}
	t.Cleanup(func() { _ = i.stop() })
	require.Eventually(t, func() bool {
		for line := range strings.Lines(log.String()) {
			var entry struct{ Msg, API, Ops string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "ready" {
				i.api, i.ops = "http://"+entry.API, "http://"+entry.Ops
			}
		}
		return i.api != ""
	}, time.Minute, 10*time.Millisecond, "it is never ready")
	return i, log
}

// as sends a request with another Host, and returns its status.
func as(t *testing.T, host, method, url, body string, headers ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Host = host
	for h := 0; h+1 < len(headers); h += 2 {
		r.Header.Set(headers[h], headers[h+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// TestOnlyThisMachine: what asks for no credentials answers neither other sites' pages nor proxies, on every address.
func TestOnlyThisMachine(t *testing.T) {
	t.Parallel()
	m := startDev(t, "--data", storetest.Dir(t), "--database-url", storetest.URL(t))
	for _, tt := range []struct{ url, method, body string }{
		{m.api + "/api/orders", http.MethodPost, seedOrder},
		{m.api + "/api/stream-tickets", http.MethodPost, ""},
		{m.ops + "/riverui/api/queues/payment/pause", http.MethodPut, ""},
		{m.simulators + "/faults", http.MethodPut, "{}"},
		{m.simulators + "/inventory/stock", http.MethodPut, `{"productId":1,"available":0}`},
		{m.simulators + "/inventory/prices", http.MethodPut, `{"productId":1,"price":1}`},
		{m.simulators + "/payments/refunds", http.MethodPost, "{}"},
	} {
		for _, from := range [][]string{
			{"Origin", "https://evil.example"},
			{"Sec-Fetch-Site", "cross-site"},
			{"Origin", "null"},
			{"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"},
		} {
			status := as(t, "", tt.method, tt.url, tt.body, append(from, "Content-Type", "application/json")...)
			require.Equal(t, http.StatusForbidden, status, "%s from %s", tt.url, from)
		}
	}
	for _, url := range []string{
		m.api + "/api/orders", m.api + "/health", m.api + "/docs/", m.ops + "/", m.ops + "/metrics", m.ops + "/riverui/",
		m.simulators + "/faults", m.simulators + "/ledger", m.simulators + "/inventory/stock",
		m.simulators + "/health",
	} {
		require.Equal(t, http.StatusMisdirectedRequest, as(t, "rebound.example", http.MethodGet, url, ""), url)
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP"} {
			status := as(t, "localhost", http.MethodGet, url, "", name, "localhost")
			require.Equal(t, http.StatusMisdirectedRequest, status, "%s: %s", url, name)
		}
		require.Equal(t, http.StatusOK, as(t, "localhost", http.MethodGet, url, ""), url)
	}
}

// TestOpenUntilFirstKey: the first key closes every process, without a restart, and for good.
func TestOpenUntilFirstKey(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	m, log := startLogged(t, serveArgs(database, newSimulators(t))...)
	dev := startDev(t, "--data", storetest.Dir(t), "--database-url", database)
	urls := []string{m.api + "/api/orders", m.ops + "/metrics", dev.api + "/api/orders", dev.ops + "/metrics"}
	for _, url := range urls {
		status, _, _ := do(t, http.MethodGet, url, "")
		require.Equal(t, http.StatusOK, status, url)
	}
	key := createKey(t, database, "admin")
	asks := func(url string) func() bool {
		return func() bool {
			status, _, _ := do(t, http.MethodGet, url, "")
			return status == http.StatusUnauthorized
		}
	}
	for _, url := range urls {
		require.Eventually(t, asks(url), time.Minute, 20*time.Millisecond, url)
		status := as(t, "orders.example", http.MethodGet, url, "", append(bearer(key), "X-Forwarded-For", "192.0.2.1")...)
		require.Equal(t, http.StatusOK, status, "a proxy may be in front now: %s", url)
	}
	millrace(t, "keys", "revoke", "--database-url", database, key[3:15])
	for _, url := range urls {
		require.Eventually(t, func() bool {
			status, _, _ := do(t, http.MethodGet, url, "", bearer(key)...)
			return status == http.StatusUnauthorized
		}, time.Minute, 20*time.Millisecond)
		require.True(t, asks(url)(), "a response without a usable key must not reopen it: %s", url)
	}
	require.NoError(t, m.stop())
	require.Equal(t, 1, strings.Count(log.String(), "closed, a key exists"))
}
