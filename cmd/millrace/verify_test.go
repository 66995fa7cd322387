package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestVerifyCommand runs the command as a process, since its exit status is half of what it says.
func TestVerifyCommand(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), database, "test", 2)
	require.NoError(t, err)
	defer pool.Close()
	order := storetest.Order(t, storetest.New(t, pool))

	verify := func(args ...string) (string, int) {
		t.Helper()
		command := exec.CommandContext(t.Context(), os.Args[0], append([]string{"verify"}, args...)...)
		command.Env = append(os.Environ(), asMillrace+"=1")
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, t.Output()
		_ = command.Run()
		return out.String(), command.ProcessState.ExitCode()
	}
	out, status := verify("--database-url", database, "--deep")
	require.Equal(t, 1, status, out)
	require.Contains(t, out, "leader L9: 1\n", "there are no workers")
	out, status = verify("--database-url", database, "--skip", "leader")
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "checked 1 orders and 1 events")
	require.Contains(t, out, fmt.Sprintf("all %d checks passed, 1 skipped\n", len(store.Checks())-1))

	_, err = pool.Exec(t.Context(), "UPDATE millrace.orders SET total_minor = 1")
	require.NoError(t, err)
	out, status = verify("--database-url", database, "--skip", "leader", "--json")
	require.Equal(t, 1, status, out)
	var found store.Verification
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.Len(t, found.Violations, 1)
	require.Equal(t, "items", found.Violations[0].Check)
	require.Equal(t, order.ID, found.Violations[0].Orders[0])

	for _, args := range [][]string{
		{},
		{"--database-url", database, "--skip", "nonsense"},
		{"--database-url", "postgres://127.0.0.1:1/none"},
		{"--database-url", storetest.EmptyURL(t)},
		{"--nonsense"},
	} {
		_, status := verify(args...)
		require.Equal(t, 2, status, args)
	}
}

// TestVerifiesItself sees a violation come into the metrics, the health and the status of a running process.
func TestVerifiesItself(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	m := startDev(t, "--data", storetest.Dir(t), "--database-url", database, "--verify-every", "1s")
	m.await(m.place(seedOrder).OrderID, "completed")
	violations := func(line string) func() bool {
		return func() bool {
			var metrics string
			get(t, m.ops+"/metrics", &metrics)
			return strings.Contains(metrics, line)
		}
	}
	require.Eventually(t, violations(`millrace_verify_violations{check="guards"} 0`), time.Minute, 50*time.Millisecond)
	var health string
	get(t, m.api+"/health", &health)
	require.Contains(t, health, `{"name":"invariants","status":"ok"}`)
	checkMetrics(t, m)

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), "ALTER TABLE millrace.audit_log DISABLE TRIGGER audit_log_append_only")
	require.NoError(t, err)
	require.Eventually(t, violations(`millrace_verify_violations{check="guards"} 1`), time.Minute, 50*time.Millisecond)
	get(t, m.api+"/health", &health)
	require.Contains(t, health, `{"name":"invariants","status":"degraded"}`)
	var system struct {
		Reasons []struct{ Code, Subject string }
	}
	require.Eventually(t, func() bool {
		get(t, m.api+"/api/system/status", &system)
		return len(system.Reasons) == 1 && system.Reasons[0].Code == "invariant_violated" &&
			system.Reasons[0].Subject == "guards"
	}, time.Minute, 50*time.Millisecond)

	_, err = conn.Exec(t.Context(), "ALTER TABLE millrace.audit_log ENABLE TRIGGER audit_log_append_only")
	require.NoError(t, err)
	require.Eventually(t, violations(`millrace_verify_violations{check="guards"} 0`), time.Minute, 50*time.Millisecond)
}

// TestVerifyCompares: with the providers' URLs the command finds by itself what happened there and has no order.
func TestVerifyCompares(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	m := startDev(t, "--data", storetest.Dir(t), "--database-url", database, "--reconcile-every", "0")
	m.await(m.place(seedOrder).OrderID, "completed")
	verify := func(args ...string) (verificationOutput, error) {
		t.Helper()
		var out bytes.Buffer
		err := run(t.Context(), append([]string{
			"verify", "--database-url", database, "--deep", "--json", "--skip", "leader",
			"--payment-url", m.simulators + "/payments", "--inventory-url", m.simulators + "/inventory",
			"--shipping-url", m.simulators + "/shipping", "--email-url", m.simulators + "/email",
		}, args...), &out, t.Output())
		var found verificationOutput
		require.NoError(t, json.Unmarshal(out.Bytes(), &found), out.String())
		return found, err
	}
	found, err := verify()
	require.NoError(t, err, found.Violations)
	require.Len(t, found.Providers, 4)
	require.EqualValues(t, "ok", found.Providers["payment"])

	status, _, body := do(t, http.MethodPost, m.simulators+"/payments/authorizations",
		`{"orderId":"01990000-0000-7000-8000-000000000001","customerId":"1","amount":5,"currency":"USD","paymentMethod":"c"}`,
		"Idempotency-Key", "orphan")
	require.Equal(t, http.StatusOK, status, string(body))
	found, err = verify()
	require.ErrorIs(t, err, errViolations)
	require.Equal(t, "reconciliation", found.Violations[0].Check)
	require.Equal(t, 1, found.Violations[0].Count, found.Violations)
	require.Contains(t, found.Violations[0].Details[0], "payment unknown_order orphan")
}

func TestFindingsCommand(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), database, "test", 1)
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `INSERT INTO millrace.reconciliation_findings (provider, kind, key, order_id, detail,
		state, first_seen_at, last_seen_at) VALUES ('payment', 'no_intent', 'k', '', 'd', 'open', now(), now())`)
	require.NoError(t, err)
	findings := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append(append([]string{"findings"}, args...), "--database-url", database), &out, t.Output())
		return out.String(), err
	}
	out, err := findings("list")
	require.NoError(t, err)
	require.Regexp(t, `payment +no_intent +k +- +d`, out)
	_, err = findings("accept", "payment", "k")
	require.ErrorContains(t, err, "--reason")
	_, err = findings("accept", "unknown", "k", "--reason", "r")
	require.ErrorContains(t, err, "<provider>: ")
	_, err = findings("accept", "payment", "other", "--reason", "r")
	require.ErrorContains(t, err, "no open finding")
	out, err = findings("accept", "payment", "k", "--reason", "refunded by hand")
	require.NoError(t, err)
	require.Equal(t, "accepted: payment no_intent of k\n", out)
	require.Equal(t, "refunded by hand", auditLog(t, database)[0].Detail["reason"])
	out, err = findings("list")
	require.NoError(t, err)
	require.NotContains(t, out, "no_intent")
}

// TestFindingsUndo has an order at the providers that the database does not have, as after a restore.
func TestFindingsUndo(t *testing.T) {
	t.Parallel()
	database, providers := storetest.URL(t), newSimulators(t)
	order := orders.NewID().String()
	for path, body := range map[string]string{
		"/payments/authorizations": `"amount":20,"currency":"USD","paymentMethod":"card"`,
		"/inventory/reservations":  `"currency":"USD","items":[{"productId":1,"quantity":3,"price":5}]`,
	} {
		key := map[string]string{
			"/payments/authorizations": order + ":authorize_payment:1",
			"/inventory/reservations":  order + ":reserve_inventory:1",
		}[path]
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, providers+path,
			strings.NewReader(`{"orderId":"`+order+`","customerId":"1",`+body+`}`))
		require.NoError(t, err)
		request.Header.Set("Idempotency-Key", key)
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	args := []string{
		"findings", "undo", "--database-url", database, "--payment-url", providers + "/payments",
		"--inventory-url", providers + "/inventory", "--shipping-url", providers + "/shipping",
		"--email-url", providers + "/email", "--rate", "1000",
	}
	undo := func(more ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append(slices.Clip(args), more...), &out, t.Output())
		return out.String(), err
	}
	_, err := undo()
	require.ErrorContains(t, err, "--since is missing")
	_, err = undo("--since", "yesterday")
	require.ErrorContains(t, err, `--since: "yesterday" is not accepted; use a time such as 2026-11-28T14:05:00Z`)
	_, err = undo("--since", time.Now().Add(time.Hour).Format(time.RFC3339))
	require.ErrorContains(t, err, "--since is in the future")
	require.ErrorContains(t, err, "--reason must have")
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	out, err := undo("--since", since, "--dry-run")
	require.NoError(t, err)
	require.Contains(t, out, "1 orders are held, reconciliation has not found all of its effects yet: "+order)

	pool, err := store.NewPool(t.Context(), database, "test", 1)
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `INSERT INTO millrace.reconciliation_findings (provider, kind, key, order_id, detail,
		state, first_seen_at, last_seen_at) VALUES ('payment', 'unknown_order', $1 || ':authorize_payment:1', $1, '', 'open',
		now(), now()), ('inventory', 'unknown_order', $1 || ':reserve_inventory:1', $1, '', 'open', now(), now())`, order)
	require.NoError(t, err)
	out, err = undo("--since", since, "--dry-run")
	require.NoError(t, err)
	require.Contains(t, out, "1 orders are held, a finding is not old enough: "+order)
	_, err = undo("--since", since, "--reason", "restored")
	require.ErrorIs(t, err, errLeft)

	out, err = undo("--since", since, "--grace", "0s", "--dry-run")
	require.NoError(t, err)
	require.Regexp(t, `inventory +reserve_inventory +release_inventory +1 +- +3\n`, out)
	require.Regexp(t, `payment +authorize_payment +void_payment +1 +20\.00 USD +-\n`, out)
	require.Contains(t, out, "1 lost orders with 2 effects would be undone; nothing was done\n")
	out, err = undo("--since", since, "--grace", "0s", "--reason", "restored")
	require.NoError(t, err)
	require.Contains(t, out, "1 lost orders: 2 effects undone, 0 orders without an answer\n")
	require.Equal(t, "findings.undo", auditLog(t, database)[0].Action)
	out, err = undo("--since", since, "--grace", "0s", "--reason", "restored", "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"undoneBefore": 1`)
	_, _, summary := do(t, http.MethodGet, providers+"/ledger/summary", "")
	require.Contains(t, string(summary), `"release":{"count":1,"units":3}`)
	require.Contains(t, string(summary), `"void":{"count":1,"amounts":{"USD":20.00}}`)
}
