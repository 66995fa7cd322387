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

// millrace runs a command to its end and returns what it printed.
func millrace(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	require.NoError(t, run(t.Context(), args, &out, &log))
	return out.String(), log.String()
}

func createKey(t *testing.T, database, role string, args ...string) string {
	t.Helper()
	out, _ := millrace(t, append([]string{"keys", "create", "--database-url", database, "--role", role}, args...)...)
	return strings.TrimSpace(out)
}

func bearer(key string) []string { return []string{"Authorization", "Bearer " + key} }

func TestKeys(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	out, log := millrace(t, "keys", "create", "--database-url", database, "--role", "customer", "--customer", "42",
		"--name", "a shop", "--expires", "720h")
	key := strings.TrimSpace(out)
	require.Regexp(t, "^mr_[a-z2-7]{12}_[0-9A-Za-z]{43}\n$", out)
	require.NotContains(t, log, key, "it is on the standard output only")
	id := key[3:15]

	list, _ := millrace(t, "keys", "list", "--database-url", database)
	require.Regexp(t, `(?m)^`+id+` +`+key[len(key)-4:]+` +customer +42 +a shop +\S+Z +\S+Z +-$`, list)
	require.NotContains(t, list, key[16:40])

	out, _ = millrace(t, "keys", "revoke", "--database-url", database, id)
	require.Contains(t, out, id)
	list, _ = millrace(t, "keys", "list", "--database-url", database)
	require.NotRegexp(t, `(?m)-$`, list)

	audit, _ := millrace(t, "audit", "--database-url", database)
	lines := strings.Split(strings.TrimSpace(audit), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^\S+Z +cli:\S+ +admin +keys.revoke +`+id, lines[1])
	require.Regexp(t, `^\S+Z +cli:\S+ +admin +keys.create +`+id+` .*{"role":"customer"}$`, lines[2])
	audit, _ = millrace(t, "audit", "--database-url", database, "--limit", "1")
	require.NotContains(t, audit, "keys.create")

	var sink bytes.Buffer
	for want, args := range map[string][]string{
		"key not found":  {"keys", "revoke", "--database-url", database, "aaaaaaaaaaaa"},
		"--role":         {"keys", "create", "--database-url", database},
		"--role: ":       {"keys", "create", "--database-url", database, "--role", "root"},
		"--customer is":  {"keys", "create", "--database-url", database, "--role", "customer"},
		"--expires":      {"keys", "create", "--database-url", database, "--role", "viewer", "--expires=-1h"},
		"not up to date": {"keys", "list", "--database-url", storetest.EmptyURL(t)},
		"unavailable":    {"audit", "--database-url", "postgres://127.0.0.1:1/none"},
	} {
		require.ErrorContains(t, run(t.Context(), args, &sink, &sink), want)
	}
}

// Two processes on one database: a key that is revoked is of no more use in either, a moment later.
func TestRevocationReachesEveryProcess(t *testing.T) {
	t.Parallel()
	database, simulators := storetest.URL(t), newSimulators(t)
	key := createKey(t, database, "admin")
	first := startProcess(t, serveArgs(database, simulators)...)
	second := startProcess(t, serveArgs(database, simulators)...)
	urls := []string{
		first.api + "/api/orders", second.api + "/api/orders", first.ops + "/metrics", second.ops + "/metrics",
	}
	for _, url := range urls {
		status, _, _ := do(t, http.MethodGet, url, "")
		require.Equal(t, http.StatusUnauthorized, status, "with a key in the database loopback is not open")
		status, _, _ = do(t, http.MethodGet, url, "", bearer(key)...)
		require.Equal(t, http.StatusOK, status, url)
	}
	millrace(t, "keys", "revoke", "--database-url", database, key[3:15])
	for _, url := range urls {
		require.Eventually(t, func() bool {
			status, _, _ := do(t, http.MethodGet, url, "", bearer(key)...)
			return status == http.StatusUnauthorized
		}, time.Minute, 20*time.Millisecond, url)
	}
	require.NoError(t, first.stop())
	require.NoError(t, second.stop())

	// What was closed stays closed, though no key can be used.
	again := startProcess(t, serveArgs(database, simulators)...)
	status, _, _ := do(t, http.MethodGet, again.api+"/api/orders", "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.NoError(t, again.stop())
}

// Beyond loopback there has to be a credential to ask for.
func TestOpenToTheWorld(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	args := []string{"api", "--database-url", storetest.As(database, storetest.ServeRole), "--ops-addr", "127.0.0.1:0"}
	world := append(args, "--api-addr", "0.0.0.0:0")
	var out bytes.Buffer
	require.ErrorContains(t, run(t.Context(), world, &out, &out), "listening on 0.0.0.0:0 needs a --token")
	require.ErrorContains(t, run(t.Context(), []string{
		"api", "--database-url", storetest.As(database, storetest.ServeRole), "--api-addr", "127.0.0.1:0", "--ops-addr", ":0",
	}, &out, &out), "listening on :0 needs a --token")

	m := startProcess(t, append(world, "--oidc-issuer", "https://id.invalid", "--oidc-audience", "millrace")...)
	require.NoError(t, m.stop())
	key := createKey(t, database, "viewer")
	m = startProcess(t, world...)
	_, port, _ := strings.Cut(strings.TrimPrefix(m.api, "http://["), "]:")
	url := "http://127.0.0.1:" + port + "/api/orders"
	status, _, _ := do(t, http.MethodGet, url, "")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, _ = do(t, http.MethodGet, url, "", bearer(key)...)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, m.stop())
	millrace(t, "keys", "revoke", "--database-url", database, key[3:15])
	require.ErrorContains(t, run(t.Context(), world, &out, &out), "needs a --token")
}
