package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store/storetest"
)

// newSimulators starts simulators that outlive every millrace of the test. They answer after a moment, so that there
// is always work under way.
func newSimulators(t *testing.T) string {
	t.Helper()
	sim, err := simulator.Open(simulator.Config{Seed: 1})
	require.NoError(t, err)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		server.Close()
		_ = sim.Close()
	})
	status, _, body := do(t, http.MethodPut, server.URL+"/faults", `{"payment":{"latencyMs":20,"jitterMs":30},
		"inventory":{"latencyMs":20,"jitterMs":30},"shipping":{"latencyMs":20,"jitterMs":30}}`)
	require.Less(t, status, 300, string(body))
	return server.URL
}

func serveArgs(database, simulators string) []string {
	return []string{
		"serve", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0",
		"--payment-url", simulators + "/payments", "--inventory-url", simulators + "/inventory",
		"--shipping-url", simulators + "/shipping", "--email-url", simulators + "/email", "--sweep-every", "1s",
		"--rate-limit", "0",
	}
}

// TestKilled kills a process in the middle of 200 orders. Everything it had accepted is completed by the next one,
// and no provider did anything twice.
func TestKilled(t *testing.T) {
	t.Parallel()
	simulators, args := newSimulators(t), []string(nil)
	args = serveArgs(storetest.URL(t), simulators)
	first := startProcess(t, args...)

	const all = 200
	accepted := make(chan string, all)
	var placed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for placed.Add(1) <= all {
				accepted <- first.place(seedOrder).OrderID
			}
		})
	}
	wg.Wait()
	first.kill()
	close(accepted)
	var ids []string
	for id := range accepted {
		ids = append(ids, id)
	}
	require.Len(t, ids, all)
	before := len(effects(t, simulators))
	t.Logf("killed when %d of %d orders had effects", before, all)

	second := startProcess(t, args...)
	for _, id := range ids {
		second.await(id, "completed")
	}
	requireExact(t, simulators, ids)
	require.NoError(t, second.stop())
}

// TestStopped stops a process in the middle of its work. It ends soon, leaves no job running, and burns no attempt.
func TestStopped(t *testing.T) {
	t.Parallel()
	database, simulators := storetest.URL(t), newSimulators(t)
	m := startProcess(t, serveArgs(database, simulators)...)
	var ids []string
	for range 50 {
		ids = append(ids, m.place(seedOrder).OrderID)
	}
	start := time.Now()
	require.NoError(t, m.stop())
	require.Less(t, time.Since(start), 25*time.Second)

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var running, burned int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'running'),
		count(*) FILTER (WHERE attempt > coalesce(array_length(errors, 1), 0) + (state = 'completed')::int
			OR errors::text LIKE '%context canceled%') FROM millrace.river_job`).
		Scan(&running, &burned))
	require.Zero(t, running)
	require.Zero(t, burned)

	again := startProcess(t, serveArgs(database, simulators)...)
	for _, id := range ids {
		again.await(id, "completed")
	}
	requireExact(t, simulators, ids)
	require.NoError(t, again.stop())
}

// TestStoppedBesideStrangers stops a process while providers and a webhook that belong to others do not let go: one
// speaks another protocol, one never ends its answer, one never begins it. The process ends by itself nevertheless, and
// leaves no job running.
func TestStoppedBesideStrangers(t *testing.T) {
	t.Parallel()
	called := map[string]chan struct{}{}
	for _, name := range []string{"payments", "inventory", "shipping", "hook"} {
		called[name] = make(chan struct{}, 1000)
	}
	strangers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		name := strings.Split(r.URL.Path, "/")[1]
		if r.Method == http.MethodGet { // a list
			w.WriteHeader(http.StatusNotFound)
			return
		}
		select {
		case called[name] <- struct{}{}:
		default:
		}
		switch name {
		case "payments", "hook":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}
		case "inventory":
			_, _ = io.WriteString(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			<-r.Context().Done()
		}
	}))
	t.Cleanup(strangers.Close)
	database := storetest.URL(t)
	m := startProcess(t, append(serveArgs(database, strangers.URL), "--webhook-networks", "127.0.0.0/8")...)
	status, _, body := do(t, http.MethodPost, m.api+"/api/webhooks", fmt.Sprintf(`{"url":%q}`, strangers.URL+"/hook"))
	require.Equal(t, http.StatusCreated, status, string(body))
	for range 10 {
		m.place(seedOrder)
	}
	for _, name := range []string{"payments", "inventory", "shipping", "hook"} {
		<-called[name]
	}
	require.NoError(t, m.stop())

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var running int
	require.NoError(t, conn.QueryRow(t.Context(),
		`SELECT count(*) FILTER (WHERE state = 'running') FROM millrace.river_job`).Scan(&running))
	require.Zero(t, running)
}

// What does not end at all is left behind.
func TestStopGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{logger: slog.New(slog.DiscardHandler)}
		hangs, ended := make(chan struct{}), make(chan struct{})
		n.onStop(func() { <-hangs })
		n.onStop(func() { close(ended) })
		n.stop()
		<-ended // or the test never ends
		close(hangs)
	})
}

// TestAPIAndWorkApart runs the API and the workers as two processes, as a larger deployment does.
func TestAPIAndWorkApart(t *testing.T) {
	t.Parallel()
	database, simulators := storetest.URL(t), newSimulators(t)
	args := serveArgs(database, simulators)
	api := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0",
		"--rate-limit", "0")
	placed := api.place(seedOrder)

	work := []string{"work"}
	for i := 1; i < len(args); i += 2 {
		if args[i] != "--api-addr" && args[i] != "--rate-limit" {
			work = append(work, args[i], args[i+1])
		}
	}
	worker := startProcess(t, work...)
	api.await(placed.OrderID, "completed")
	require.NoError(t, worker.stop())
	require.NoError(t, api.stop())
}

func TestToken(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("secret-", 6)
	m := startProcess(t, append(serveArgs(storetest.URL(t), newSimulators(t)), "--token", token)...)
	for url, open := range map[string]bool{
		m.api + "/health": true, m.api + "/api/orders": false, m.ops + "/metrics": false, m.ops + "/riverui/": false,
	} {
		status, header, _ := do(t, http.MethodGet, url, "")
		if !open {
			require.Equal(t, http.StatusUnauthorized, status, url)
			require.NotEmpty(t, header.Get("WWW-Authenticate"))
		}
		status, _, _ = do(t, http.MethodGet, url, "", "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, status, url)
		status, _, _ = do(t, http.MethodGet, url, "", "Authorization", "Bearer "+token[1:])
		require.Equal(t, open, status == http.StatusOK, url)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	valid := serveArgs("postgres://127.0.0.1:1/none", "http://127.0.0.1:1")
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"AllProblemsAtOnce", []string{"serve", "--api-addr", "0.0.0.0:80", "--call-timeout", "1m"}, []string{
			"DATABASE_URL", "payment", "inventory", "shipping", "email", "--call-timeout",
		}},
		{"IssuerAlone", append(valid, "--oidc-issuer", "https://id.invalid"), []string{"must be set together"}},
		{"IssuerInClear", append(valid, "--oidc-issuer", "http://id.invalid", "--oidc-audience", "a"), []string{"https"}},
		{"ShortToken", append(valid, "--token", "short"), []string{"at least 32 characters"}},
		{
			"BadLimits",
			append(valid, "--rate-limit=-1", "--rate-window", "1ms", "--max-in-flight", "0"),
			[]string{"--rate-limit", "--rate-window", "--max-in-flight"},
		},
		{"TwoWaysOfEmail", append(valid, "--smtp-url", "smtp://mail.example", "--email-from", "a@b.example"), []string{
			"--email-url and --smtp-url exclude each other",
		}},
		{
			"BadSMTP",
			append(without(valid, "--email-url"), "--smtp-url", "http://mail.example", "--smtp-user", "shop"),
			[]string{"smtp://host:587", "must be set together"},
		},
		{"NoTemplates", append(valid, "--email-templates", "/none"), []string{"--email-templates"}},
		{
			"BadStreams",
			append(valid, "--max-streams", "0", "--allowed-origins", "*,https://shop.example/,shop.example"),
			[]string{"--max-streams", `"*,https://shop.example/,shop.example"`},
		},
		{"BadProxies", append(valid, "--trusted-proxies", "10.0.0.1/8,proxy"), []string{"--trusted-proxies"}},
		{"NoDatabase", valid, []string{"database unavailable"}},
		{"DevBeyondLoopback", []string{"dev", "--api-addr", "0.0.0.0:80"}, []string{"loopback only"}},
		{"ResetOfAnotherDatabase", []string{"dev", "--reset", "--database-url", "x"}, []string{"--reset"}},
		{"SimulateBeyondLoopback", []string{"simulate", "--simulator-addr", ":80"}, []string{"--any-addr"}},
		{"UnknownCommand", []string{"brew"}, []string{"unknown command"}},
		{"UnknownFlag", append(valid, "--tea"), []string{"unknown flag"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), tt.args, t.Output(), t.Output())
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}

	t.Run("Help", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), []string{"serve", "--help"}, &out, &out))
		require.Contains(t, out.String(), "$DATABASE_URL")
		require.NoError(t, run(t.Context(), []string{"version"}, &out, &out))
		require.Contains(t, out.String(), "millrace dev")
	})
}
