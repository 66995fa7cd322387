package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestWorkersAreProbed: a process without an API answers health checks without a credential, and nothing else.
func TestWorkersAreProbed(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	createKey(t, database, "operator")
	simulators := newSimulators(t)
	m := startProcess(t, "work", "--database-url", storetest.As(database, storetest.ServeRole),
		"--ops-addr", "127.0.0.1:0", "--payment-url", simulators+"/payments", "--inventory-url", simulators+"/inventory",
		"--shipping-url", simulators+"/shipping", "--email-url", simulators+"/email")
	for path, want := range map[string]int{
		"/health/live": 200, "/health/ready": 200, "/health": 401, "/metrics": 401, "/log-level": 401,
		"/health/ready/../../metrics": 401,
	} {
		status, _, body := do(t, http.MethodGet, m.ops+path, "")
		require.Equal(t, want, status, "%s: %s", path, body)
	}
	status, _, _ := do(t, http.MethodPost, m.ops+"/health/live", "{}")
	require.Equal(t, http.StatusUnauthorized, status)

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"health", m.ops}, &out, &out))
	require.Equal(t, "database ok\nheartbeat ok\nok\n", out.String())
	require.NoError(t, run(t.Context(), []string{"health", "--live", m.ops}, &out, &out))
	err := run(t.Context(), []string{"health", m.ops + "/metrics"}, &out, &out)
	require.ErrorIs(t, err, errNotHealthy)
	require.NoError(t, m.stop())
	err = run(t.Context(), []string{"health", m.ops}, &out, &out)
	require.ErrorIs(t, err, errNotHealthy)
	require.Equal(t, 1, exitStatus(err))
}

// TestLogLevel: an operator changes the level of a running process, and the audit log has it.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	operator, viewer := createKey(t, database, "operator"), createKey(t, database, "viewer")
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	as := func(key, method, body string) (int, string) {
		status, _, answer := do(t, method, m.ops+"/log-level", body, "Authorization", "Bearer "+key)
		return status, string(answer)
	}
	status, body := as(viewer, http.MethodGet, "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"level":"INFO","configured":"INFO"}`, body)
	status, _ = as(viewer, http.MethodPut, `{"level":"DEBUG"}`)
	require.Equal(t, http.StatusForbidden, status)
	status, body = as(operator, http.MethodPut, `{"level":"DEBUG"}`)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"level":"DEBUG","configured":"INFO","until":"`)
	status, _ = as(operator, http.MethodPut, `{"level":null}`)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = as(operator, http.MethodPut, `{"level":"`+strings.Repeat("x", 20<<10)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)

	const line = "/health/live"
	do(t, http.MethodGet, m.api+line, "")
	require.Eventually(t, func() bool { return strings.Contains(m.log.String(), line) }, time.Minute, 10*time.Millisecond)
	var changes []bool
	for _, e := range auditLog(t, database) {
		if e.Action == http.MethodPut && e.Target == "/log-level" {
			changes = append(changes, e.Detail["allowed"].(bool))
		}
	}
	require.Equal(t, []bool{true, true, false}, changes, "newest first; a body that is too large is not audited")
}
