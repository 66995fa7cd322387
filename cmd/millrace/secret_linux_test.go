package main

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestSecretsAreHidden: what was given in a flag is found neither by other users of the machine nor by operators.
func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("secret-", 6)
	m := startProcess(t, append(serveArgs(storetest.URL(t), newSimulators(t)),
		"--token", token, "--payment-token=secret-p")...)
	line, err := os.ReadFile("/proc/" + strconv.Itoa(m.process.Pid) + "/cmdline")
	require.NoError(t, err)
	require.Contains(t, string(line), "--payment-url")
	require.NotContains(t, string(line), "secret-")
	status, _, _ := do(t, http.MethodGet, m.api+"/api/orders", "", bearer(token)...)
	require.Equal(t, http.StatusOK, status)
	for _, path := range []string{
		"/debug/pprof/cmdline", "/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/metrics",
	} {
		status, _, body := do(t, http.MethodGet, m.ops+path, "", bearer(token)...)
		require.Equal(t, path == "/debug/pprof/cmdline", status == http.StatusNotFound)
		require.NotContains(t, string(body), "secret-", path)
	}
	require.NoError(t, m.stop())
}
