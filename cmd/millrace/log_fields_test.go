package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestLogFields: docs/tracing.md has each field that the lines of requests and of ended orders have, and a process
// writes each field that the document has. Of a panic, package api tests the fields.
func TestLogFields(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	key := bearer(createKey(t, database, "admin"))
	m := startProcessWith(t, []string{"MILLRACE_LOG_FORMAT=json"}, serveArgs(database, newFailing(t))...)
	const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	ask := func(method, path, body string, header ...string) (status int, answer []byte) {
		t.Helper()
		status, _, answer = do(t, method, m.api+path, body, append(header, "Traceparent", caller)...)
		return status, answer
	}
	repeated := append([]string{"Idempotency-Key", uuid.NewString()}, key...)
	var placed order
	for range 2 { // the second answer is replayed
		status, answer := ask(http.MethodPost, "/api/orders", seedOrder, repeated...)
		require.Equal(t, http.StatusAccepted, status, string(answer))
		require.NoError(t, json.Unmarshal(answer, &placed))
	}
	require.Eventually(t, func() bool {
		_, answer := ask(http.MethodGet, "/api/orders/"+placed.OrderID, "", key...)
		return strings.Contains(string(answer), `"needs_attention"`)
	}, 2*time.Minute, 20*time.Millisecond)
	status, _ := ask(http.MethodGet, "/api/orders", "")
	require.Equal(t, http.StatusUnauthorized, status)
	breakWebhooks(t, database)
	status, _ = ask(http.MethodGet, "/api/webhooks", "", key...)
	require.Equal(t, http.StatusInternalServerError, status)
	for _, last := range []string{`"operation":"listWebhooks"`, `"msg":"order ended"`} { // a line may follow its answer
		require.Eventually(t, func() bool { return strings.Contains(m.log.String(), last) }, time.Minute, 20*time.Millisecond)
	}
	require.NoError(t, m.stop())

	doc, err := os.ReadFile("../../docs/tracing.md")
	require.NoError(t, err)
	written := map[string]map[string]bool{"request": {}, "order ended": {}}
	for line := range strings.Lines(m.log.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields), line)
		if of, ok := written[fields["msg"].(string)]; ok {
			for name := range fields {
				of[name] = true
			}
		}
	}
	always := append(documented(t, string(doc), "## Fields of log lines"), "time", "level", "msg")
	for message, heading := range map[string]string{
		"request": "### The line of a request", "order ended": "### The line of an order's end",
	} {
		want := slices.DeleteFunc(documented(t, string(doc), heading), func(name string) bool { return name == "stack" })
		require.ElementsMatch(t, append(want, always...), slices.Collect(maps.Keys(written[message])), message)
	}
}

// newFailing starts simulators of providers with which an order ends in needs_attention, after an attempt that failed.
func newFailing(t *testing.T) string {
	t.Helper()
	sim, err := simulator.Open(simulator.Config{Seed: 1})
	require.NoError(t, err)
	var refused atomic.Bool
	all := sim.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/inventory") && r.Method == http.MethodPost && refused.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		all.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		_ = sim.Close()
	})
	status, _, body := do(t, http.MethodPut, server.URL+"/faults", `{"payment":{"refuseRate":1,"operations":["refund"]},
		"shipping":{"refuseRate":1,"operations":["ship"]}}`)
	require.Less(t, status, 300, string(body))
	return server.URL
}

// breakWebhooks takes a table away, so that a request fails.
func breakWebhooks(t *testing.T, database string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), "ALTER TABLE millrace.webhook_endpoints RENAME TO elsewhere")
	require.NoError(t, err)
}

// documented returns the fields in the first table below a heading.
func documented(t *testing.T, doc, heading string) (names []string) {
	t.Helper()
	_, below, ok := strings.Cut(doc, "\n"+heading+"\n")
	require.True(t, ok, heading)
	below, _, _ = strings.Cut(below, "\n#")
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(below, -1) {
		names = append(names, row[1])
	}
	require.NotEmpty(t, names, heading)
	return names
}
