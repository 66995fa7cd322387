package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestOperationsAddressIsBounded: neither wrong credentials nor a key that may do nothing there costs the database much
// or fills the audit log, and a page of another site cannot frame what operators use.
func TestOperationsAddressIsBounded(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	viewer := createKey(t, database, "viewer")
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	before := len(auditLog(t, database))

	refused := map[int]int{}
	for range opsRefusals + 20 {
		status, _, _ := do(t, http.MethodPost, m.ops+"/riverui/api/jobs/"+strings.Repeat("retry", 100),
			strings.Repeat("x", maxOpsBody), bearer(viewer)...)
		refused[status]++
	}
	require.Equal(t, map[int]int{http.StatusForbidden: opsRefusals, http.StatusTooManyRequests: 20}, refused)
	log := auditLog(t, database)
	require.Len(t, log, before+opsRefusals)
	require.LessOrEqual(t, len(log[0].Target), 200)
	require.Equal(t, map[string]any{"allowed": false}, log[0].Detail)

	for _, path := range []string{"/", "/metrics", "/riverui/", "/nothing"} {
		_, h, _ := do(t, http.MethodGet, m.ops+path, "", bearer(viewer)...)
		require.Equal(t, "DENY", h.Get("X-Frame-Options"), path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		policy := h.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'", path)
		require.Contains(t, policy, "frame-ancestors 'none'", path)
		require.NotContains(t, policy, "script-src 'self' 'unsafe", path)
	}

	statuses := map[int]int{}
	for range opsAttempts + 10 {
		status, h, _ := do(t, http.MethodGet, m.ops+"/", "", bearer("mr_aaaaaaaaaaaa_"+strings.Repeat("0", 43))...)
		statuses[status]++
		require.Equal(t, status == http.StatusTooManyRequests, h.Get("Retry-After") != "")
	}
	require.Equal(t, map[int]int{http.StatusUnauthorized: opsAttempts, http.StatusTooManyRequests: 10}, statuses)
	status, _, _ := do(t, http.MethodGet, m.ops+"/", "", bearer(viewer)...)
	require.Equal(t, http.StatusOK, status, "a key that was right before is let in")
}

// TestMetricsWhileKeysCannotBeVerified: a scraper's key that was right before reads on while the database does not
// answer. It changes nothing, and no other key opens anything.
func TestMetricsWhileKeysCannotBeVerified(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	viewer, operator, service := createKey(t, database, "viewer"), createKey(t, database, "operator"),
		createKey(t, database, "service")
	unseen := createKey(t, database, "viewer")
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	ask := func(method, path, body, key string) int {
		status, _, _ := do(t, method, m.ops+path, body, bearer(key)...)
		return status
	}
	for key, status := range map[string]int{
		viewer: http.StatusOK, operator: http.StatusOK, service: http.StatusForbidden,
	} { // a look-up may take more than its second on a busy machine
		require.Eventually(t, func() bool { return ask(http.MethodGet, "/metrics", "", key) == status },
			time.Minute, 10*time.Millisecond)
	}

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE millrace.api_keys IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	// A look-up is given up after a second. So the others have to be looked up again, too.
	require.Equal(t, http.StatusServiceUnavailable, ask(http.MethodGet, "/metrics", "", unseen))
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/metrics", "", viewer))
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/metrics", "", operator))
	require.Equal(t, http.StatusServiceUnavailable, ask(http.MethodPut, "/log-level", `{"level":"debug"}`, operator))
	require.Equal(t, http.StatusServiceUnavailable, ask(http.MethodGet, "/metrics", "", service))

	require.NoError(t, tx.Rollback(t.Context()))
	millrace(t, "keys", "revoke", "--database-url", database, viewer[3:15])
	require.Eventually(t, func() bool {
		return ask(http.MethodGet, "/metrics", "", viewer) == http.StatusUnauthorized
	}, 10*time.Second, 100*time.Millisecond)
	require.NoError(t, m.stop())
}
