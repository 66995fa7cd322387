package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// twins are two processes on one database. The first is frozen in the middle of steps of orders. The sweep, which would
// help in the end, is off.
func twins(t *testing.T) (first, second *instance, simulators string, ids []string) {
	t.Helper()
	database, simulators := storetest.URL(t), newSimulators(t)
	args := append(serveArgs(database, simulators), "--sweep-every", "1h")
	first, second = startProcess(t, args...), startProcess(t, args...)
	status, _, body := do(t, http.MethodPut, simulators+"/faults", `{"payment":{"latencyMs":1000},
		"inventory":{"latencyMs":1000},"shipping":{"latencyMs":1000}}`)
	require.Less(t, status, 300, string(body))
	var system struct{ Instance string }
	get(t, first.api+"/api/system/status", &system)
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	works := func() bool {
		var steps int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM millrace.river_job j
			JOIN millrace.order_steps s ON s.order_id = (j.args->>'order_id')::uuid AND s.state = 'pending'
			WHERE j.kind = 'carry_order' AND j.state = 'running' AND j.attempted_by[array_upper(j.attempted_by, 1)] = $1`,
			system.Instance).Scan(&steps)
		return err == nil && steps > 10 // more than may just be ending
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		for range 20 {
			ids = append(ids, second.place(seedOrder).OrderID)
		}
		if works() {
			require.NoError(t, first.process.Signal(syscall.SIGSTOP))
			if works() {
				break
			}
			require.NoError(t, first.process.Signal(syscall.SIGCONT)) // they had ended by then
		}
		require.True(t, time.Now().Before(deadline), "the first never had work")
	}
	return first, second, simulators, ids
}

// TestKilledBesideAnother kills one of two processes. The other finds out by itself and goes on with its steps.
func TestKilledBesideAnother(t *testing.T) {
	t.Parallel()
	first, second, simulators, ids := twins(t)
	first.kill()
	for _, id := range ids {
		second.await(id, "completed")
	}
	var metrics string
	get(t, second.ops+"/metrics", &metrics)
	require.Regexp(t, `millrace_steps_recovered_total [1-9]`, metrics)
	require.Eventually(t, func() bool { // by a moment when the second is not silent itself
		get(t, second.ops+"/metrics", &metrics)
		return strings.Contains(metrics, `millrace_instances{state="silent"} 1`)
	}, time.Minute, 100*time.Millisecond)
	requireExact(t, simulators, ids)
	require.NoError(t, second.stop())
}

// TestFrozen leaves one of two processes frozen until the other has done its work, and lets it go on: a zombie, which
// sends and settles what has long been settled. Nothing happens twice.
func TestFrozen(t *testing.T) {
	t.Parallel()
	first, second, simulators, ids := twins(t)
	for _, id := range ids {
		second.await(id, "completed")
	}
	require.NoError(t, first.process.Signal(syscall.SIGCONT))
	more := first.place(seedOrder).OrderID
	first.await(more, "completed")
	require.NoError(t, first.stop(), "its steps have ended")
	requireExact(t, simulators, append(ids, more))
	require.NoError(t, second.stop())
}
