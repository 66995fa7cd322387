package main

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// auditLog reads the log of a database.
func auditLog(t *testing.T, database string) []store.AuditEntry {
	t.Helper()
	pool, err := store.NewPool(t.Context(), database, "test", 1)
	require.NoError(t, err)
	defer pool.Close()
	log, err := storetest.New(t, pool).Audit.List(t.Context(), 1000)
	require.NoError(t, err)
	return log
}

// TestOperations is S28 of the checklist, and what goes with it: which role may do what on the operations address.
func TestOperations(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	keys := map[string]string{"": ""}
	for _, role := range []string{"admin", "operator", "viewer", "service"} {
		keys[role] = createKey(t, database, role)
	}
	keys["customer"] = createKey(t, database, "customer", "--customer", "1")
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	made := len(auditLog(t, database))

	// 0: it does not matter which, as long as the guard let it pass.
	const passed = 0
	type want map[string]int
	reading := want{"": 401, "service": 403, "customer": 403, "viewer": 200, "operator": 200, "admin": 200}
	profiling := want{"": 401, "service": 403, "customer": 403, "viewer": 403, "operator": 200, "admin": 200}
	acting := want{"": 401, "service": 403, "customer": 403, "viewer": 403, "operator": passed, "admin": passed}
	type request struct {
		method, path, body string
		want               want
	}
	requests := []request{
		{"GET", "/", "", reading},
		{"GET", "/metrics", "", reading},
		{"GET", "/riverui/", "", reading},
		{"GET", "/board/", "", reading},
		{"GET", "/board/now", "", reading},
		{"GET", "/board/history", "", reading},
		{"GET", "/board/lanes/payment", "", reading},
		{"GET", "/board/attention", "", reading},
		{"GET", "/board/findings", "", reading},
		{"GET", "/board/webhooks", "", reading},
		{"GET", "/board/audit", "", reading},
		{"GET", "/board/search?q=1", "", reading},
		{"GET", "/board/assets/board.css", "", reading},
		{"POST", "/board/lanes/none/pause", "{}", acting},
		{"POST", "/board/lanes/none/resume", "", acting},
		{"POST", "/board/attention/dry-run", "step=void_payment&reason=r&rate=1", acting},
		{"POST", "/board/attention/redrive", "step=void_payment&reason=r&rate=1", acting},
		{"GET", "/riverui/api/queues", "", reading},
		{"HEAD", "/riverui/api/queues", "", want{"": 401, "viewer": passed}},
		{"GET", "/debug/pprof/", "", profiling},
		{"GET", "/debug/pprof/symbol", "", profiling},
		{"GET", "/debug//pprof/symbol", "", want{"": 401, "viewer": passed}}, // a redirect to the one above
		{"GET", "/%64ebug/pprof/symbol", "", profiling},
		{"GET", "/debug/pprof/cmdline", "", want{"": 401, "viewer": 403, "operator": 404, "admin": 404}}, // it has flags
		{"POST", "/riverui/api/jobs/retry", `{"ids":["1"]}`, acting},
		{"POST", "/riverui/api/jobs/cancel", `{"ids":["1"]}`, acting},
		{"POST", "/riverui/api/jobs/delete", `{"ids":["1"]}`, acting},
		{"PUT", "/riverui/api/queues/payment/pause", "", acting},
		{"PATCH", "/riverui/api/queues/payment", `{}`, acting},
		{"DELETE", "/riverui/api/jobs/1", "", acting},
		{"PURGE", "/riverui/", "", acting},
		// Tricks: River UI's own login lets these through.
		{"GET", "/riverui/api/health-checks/complete", "", reading},
		{"POST", "/riverui/api/health-checks/../jobs/retry", `{"ids":["1"]}`, acting},
		{"POST", "/riverui/api/health-checks/%2e%2e/jobs/retry", `{"ids":["1"]}`, acting},
		{"POST", "/riverui/api/jobs/retry?x=/api/health-checks/", `{"ids":["1"]}`, acting},
		{"POST", "//riverui/api/jobs/retry", `{"ids":["1"]}`, acting},
		{"POST", "/riverui//api/jobs/retry/", `{"ids":["1"]}`, acting},
	}
	acted := 0
	for _, r := range requests {
		for role, status := range r.want {
			var header []string
			if role != "" {
				header = bearer(keys[role])
			}
			got, h, body := do(t, r.method, m.ops+r.path, r.body, header...)
			name := r.method + " " + r.path + " as " + role
			switch status {
			case passed:
				require.NotContains(t, []int{401, 403, 500, 503}, got, "%s: %s", name, body)
			case http.StatusUnauthorized:
				require.Contains(t, h.Get("WWW-Authenticate"), "Basic", name)
				fallthrough
			default:
				require.Equal(t, status, got, "%s: %s", name, body)
			}
			if role != "" && r.want["operator"] == passed && r.want["admin"] == passed && len(r.want) == len(acting) {
				acted++
			}
		}
	}

	// Every attempt to change something is in the log, with its caller and whether it was let through.
	log := auditLog(t, database)
	require.Len(t, log, made+acted)
	seen := map[string]bool{}
	for _, e := range log[:acted] {
		require.Equal(t, keys[string(e.Role)][3:15], e.Name)
		require.Equal(t, e.Role == roles.Admin || e.Role == roles.Operator, e.Detail["allowed"])
		require.Equal(t, "127.0.0.1", e.RemoteAddress)
		require.Len(t, e.RequestID, 36)
		if strings.HasSuffix(e.Target, "/retry") && e.Detail["allowed"] == true {
			require.Equal(t, map[string]any{"ids": []any{"1"}}, e.Detail["body"])
		} else if e.Detail["allowed"] == false {
			require.Len(t, e.Detail, 1, "of a refused request there is no body")
		}
		seen[e.Action+" "+e.Target] = true
	}
	for _, r := range requests {
		path, _, _ := strings.Cut(r.path, "?")
		require.Equal(t, r.want["operator"] == passed && len(r.want) == len(acting), seen[r.method+" "+path], r.path)
	}

	t.Run("Browser", func(t *testing.T) {
		t.Parallel()
		login := func(password string) []string {
			return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("any user:"+password))}
		}
		status, _, _ := do(t, http.MethodGet, m.ops+"/riverui/", "", login(keys["viewer"])...)
		require.Equal(t, http.StatusOK, status)
		status, _, _ = do(t, http.MethodGet, m.ops+"/riverui/", "", login(keys["viewer"]+"x")...)
		require.Equal(t, http.StatusUnauthorized, status)
		status, _, _ = do(t, http.MethodGet, m.api+"/api/orders", "", login(keys["viewer"])...)
		require.Equal(t, http.StatusUnauthorized, status, "the API takes no passwords")
		status, _, _ = do(t, http.MethodPost, m.ops+"/riverui/api/jobs/retry", `{"ids":["1"]}`,
			append(login(keys["operator"]), "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")...)
		require.Equal(t, http.StatusForbidden, status, "another site must not act with the operator's browser")
		for _, form := range []string{"dry-run", "redrive"} {
			for _, header := range [][]string{
				{"Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site"},
				{"Origin", "https://elsewhere.example"}, // a browser without Sec-Fetch-Site
				{"Sec-Fetch-Site", "same-site"},
			} {
				status, _, _ = do(t, http.MethodPost, m.ops+"/board/attention/"+form, "reason=r&rate=1", slices.Concat(
					login(keys["operator"]), header, []string{"Content-Type", "application/x-www-form-urlencoded"})...)
				require.Equal(t, http.StatusForbidden, status, "another site's form must not redrive: %v", header)
			}
		}
		status, _, _ = do(t, http.MethodGet, m.ops+"/debug/pprof/profile?seconds=60", "",
			append(login(keys["operator"]), "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors")...)
		require.Equal(t, http.StatusForbidden, status, "nor have it take profiles")
		status, _, _ = do(t, http.MethodPost, m.ops+"/riverui/api/jobs/retry",
			`{"ids":["`+strings.Repeat("1", maxOpsBody)+`"]}`, login(keys["operator"])...)
		require.Equal(t, http.StatusRequestEntityTooLarge, status)
	})
}
