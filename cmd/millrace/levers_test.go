package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestLevers: an operator pulls levers with the command line, at one process. Another process follows, and a process
// that is started later does, too.
func TestLevers(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	keys := map[string]string{}
	for _, role := range []string{"operator", "viewer"} {
		keys[role] = filepath.Join(t.TempDir(), role)
		require.NoError(t, os.WriteFile(keys[role], []byte(createKey(t, database, role)+"\n"), 0o600))
	}
	service := createKey(t, database, "service")
	start := func() *instance {
		return startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
			"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--api-connections", "4")
	}
	first, second := start(), start()
	command := func(role string, args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append(args, "--url", first.api, "--key-file", keys[role]), &out, &out)
		return out.String(), err
	}
	place := func(m *instance) int {
		status, _, _ := do(t, http.MethodPost, m.api+"/api/orders", seedOrder, "Authorization", "Bearer "+service)
		return status
	}

	out, err := command("operator", "lanes", "pause", "payment", "--reason", "The bank is moving", "--for", "2h")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^payment +paused +20\S+Z .* The bank is moving$`, out)
	out, err = command("viewer", "lanes", "list")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^payment +paused `, out)
	require.Regexp(t, `(?m)^email +open `, out)
	_, err = command("viewer", "lanes", "resume", "payment")
	require.ErrorContains(t, err, "403 forbidden")
	out, err = command("operator", "lanes", "resume", "payment", "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"lane":"payment","paused":false`)

	_, _, placed := do(t, http.MethodPost, first.api+"/api/orders", seedOrder, "Authorization", "Bearer "+service)
	id := regexp.MustCompile(`"orderId":"([^"]+)"`).FindStringSubmatch(string(placed))[1]
	out, err = command("viewer", "explain", id)
	require.NoError(t, err)
	require.Contains(t, out, "no process with workers is alive")
	require.Regexp(t, `(?m)^authorize_payment:1 +no_worker `, out)
	require.Contains(t, out, "POST /api/orders/"+id+"/cancel")
	out, err = command("viewer", "explain", id, "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"why":"no_worker"`)

	_, err = command("operator", "intake", "stop", "--reason", "Back at noon")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, place(first), "the process that was asked follows at once")
	becomes := func(status int) {
		require.Eventually(t, func() bool { return place(second) == status }, time.Minute, 50*time.Millisecond)
	}
	becomes(http.StatusServiceUnavailable)
	require.Equal(t, http.StatusServiceUnavailable, place(start()), "before its first order")
	status, _, body := do(t, http.MethodGet, second.api+"/health", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(body), `{"name":"levers","status":"degraded"}`)
	out, err = command("viewer", "intake", "show")
	require.NoError(t, err)
	require.Regexp(t, `^no orders are taken until 20\S+Z: Back at noon `, out)
	_, err = command("operator", "intake", "start")
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, place(first))
	becomes(http.StatusAccepted)
}
