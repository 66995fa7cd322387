package main

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestDev is the tour of the README: everything on one machine, from placing an order to seeing it completed, twice
// on the same data.
func TestDev(t *testing.T) {
	t.Parallel()
	data := storetest.Dir(t)
	m := startDev(t, "--data", data)

	placed := m.place(seedOrder)
	require.Equal(t, "pending", placed.Status)
	require.Equal(t, "Order is being processed", placed.Message)
	names := readStream(t, m.api+"/api/orders/"+placed.OrderID+"/events")
	require.Equal(t, "OrderCreated", names[0])
	require.Contains(t, names, "OrderStatusUpdated")
	require.Contains(t, names, "OrderProcessingProgress")
	m.await(placed.OrderID, "completed")

	refused := m.place(strings.Replace(seedOrder, `"productId": 1`, `"productId": 9999`, 1))
	o := m.await(refused.OrderID, "failed")
	require.Equal(t, "reserve_inventory refused: out_of_stock", o.Reason)

	declined := m.place(strings.Replace(seedOrder, `"customerId": "1"`,
		`"customerId": "1", "paymentMethod": "card_declined"`, 1))
	m.await(declined.OrderID, "failed")

	// A client cannot invent a price: the provider compares it with its own, before any money moves.
	status, _, body := do(t, http.MethodPut, m.simulators+"/inventory/prices", `{"productId":2,"price":150}`)
	require.Less(t, status, 300, string(body))
	invented := m.place(seedOrder)
	o = m.await(invented.OrderID, "failed")
	require.Equal(t, "reserve_inventory refused: price_mismatch", o.Reason)
	for _, e := range effects(t, m.simulators)[invented.OrderID] {
		require.NotEqual(t, "capture", e.Operation)
	}
	do(t, http.MethodPut, m.simulators+"/inventory/prices", `{"productId":2,"price":149.99}`)

	for _, url := range []string{
		m.api + "/health", m.api + "/health/live", m.api + "/health/ready", m.api + "/openapi.json",
		m.api + "/openapi.yaml", m.api + "/docs/", m.ops + "/", m.ops + "/riverui/", m.ops + "/riverui/api/queues",
		m.ops + "/debug/pprof/",
	} {
		status, _, body := do(t, http.MethodGet, url, "")
		require.Equal(t, http.StatusOK, status, "%s: %s", url, body)
	}
	status, _, _ = do(t, http.MethodPost, m.ops+"/riverui/api/jobs/retry", `{"ids":[1]}`,
		"Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status, "another site must not act with the operator's browser")
	checkSystem(t, m) // which waits until the process leads
	checkMetrics(t, m)
	require.NoError(t, m.stop())

	again := startDev(t, "--data", data)
	again.await(placed.OrderID, "completed")
	require.NoError(t, again.stop())

	empty := startDev(t, "--data", data, "--reset", "--rate-limit", "1")
	status, _, _ = do(t, http.MethodGet, empty.api+"/api/orders/"+placed.OrderID, "")
	require.Equal(t, http.StatusNotFound, status)
	require.Empty(t, effects(t, empty.simulators))
	status, _, _ = do(t, http.MethodGet, empty.api+"/api/orders", "")
	require.Equal(t, http.StatusTooManyRequests, status, "dev has no limits by default")
}

// readStream reads an event stream until the server ends it and returns the events' names.
func readStream(t *testing.T, url string) (names []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			names = append(names, name)
		}
	}
	return names
}

// checkMetrics compares what /metrics shows with docs/metrics.md.
func checkMetrics(t *testing.T, m *instance) {
	t.Helper()
	var exposition string
	get(t, m.ops+"/metrics", &exposition)
	doc, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	require.Contains(t, exposition, `millrace_build_info{`)
	require.Contains(t, exposition, `role="all"`)
	require.Contains(t, exposition, "\nmillrace_leader 1\n")
	for line := range strings.Lines(exposition) {
		fields := strings.Fields(line)
		if len(fields) != 4 || fields[1] != "TYPE" {
			continue
		}
		name := fields[2]
		if strings.HasPrefix(name, "millrace_") || strings.HasPrefix(name, "order_") {
			require.Contains(t, string(doc), "| `"+name+"` | "+fields[3], "docs/metrics.md lacks it")
		}
	}
}

// checkSystem looks at what the API says of the process: everything is wired.
func checkSystem(t *testing.T, m *instance) {
	t.Helper()
	var status struct {
		Instance, Leader string
		Breakers, Queues []struct{ State, Name string }
		Reasons          []any
	}
	require.Eventually(t, func() bool {
		get(t, m.api+"/api/system/status", &status)
		return status.Leader != "" && status.Leader == status.Instance && len(status.Reasons) == 0 && len(status.Queues) == 9
	}, time.Minute, 100*time.Millisecond, "this process leads")
	require.Len(t, status.Breakers, 4)

	var metrics struct {
		Orders struct {
			Processing struct{ Count, P99Seconds float64 }
			Ended      []any
		}
		Pools   []any
		Process struct{ ResidentBytes, Goroutines float64 }
		Cache   struct{ HitRatio *float64 }
	}
	require.Eventually(t, func() bool { // an order is seen at its end before it is counted
		get(t, m.api+"/api/system/metrics", &metrics)
		return metrics.Orders.Processing.Count == 4
	}, time.Minute, 100*time.Millisecond)
	require.Positive(t, metrics.Orders.Processing.P99Seconds)
	require.Len(t, metrics.Orders.Ended, 2)
	require.Len(t, metrics.Pools, 4)
	require.Positive(t, metrics.Process.Goroutines)
	require.NotNil(t, metrics.Cache.HitRatio)

	var inventory struct {
		AgeSeconds *float64
		Products   []any
	}
	require.Eventually(t, func() bool {
		get(t, m.api+"/api/inventory", &inventory)
		return inventory.AgeSeconds != nil && len(inventory.Products) > 0
	}, time.Minute, 100*time.Millisecond, "the inventory is synchronised")

	status200, _, body := do(t, http.MethodPost, m.api+"/api/orders", seedOrder, "Prefer", "wait=20")
	require.Equal(t, http.StatusOK, status200, string(body))
	var export string
	get(t, m.api+"/api/orders/export?status=completed", &export)
	require.Equal(t, 2, strings.Count(export, "\n"))
}

// TestHundredAtOnce is the seed's load test: a hundred orders placed at the same time are all accepted and completed,
// and each is paid, reserved and shipped exactly once.
func TestHundredAtOnce(t *testing.T) {
	t.Parallel()
	m := startDev(t, "--data", storetest.Dir(t))
	ids := make([]string, 100)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() { ids[i] = m.place(seedOrder).OrderID })
	}
	wg.Wait()
	for _, id := range ids {
		m.await(id, "completed")
	}
	requireExact(t, m.simulators, ids)
}

// requireExact checks that every order was authorised, reserved, captured and shipped exactly once.
func requireExact(t *testing.T, simulators string, ids []string) {
	t.Helper()
	byOrder := effects(t, simulators)
	require.Len(t, byOrder, len(ids))
	for _, id := range ids {
		count := map[string]int{}
		for _, e := range byOrder[id] {
			count[e.Operation]++
			if e.Operation == "capture" {
				require.Equal(t, "209.97", e.Amount.String())
			}
		}
		delete(count, "email") // may still be on its way
		require.Equal(t, map[string]int{"authorize": 1, "reserve": 1, "quote": 1, "capture": 1, "ship": 1}, count)
	}
	var summary struct {
		Violations []any `json:"violations"`
	}
	get(t, simulators+"/ledger/summary", &summary)
	require.Empty(t, summary.Violations)
}
