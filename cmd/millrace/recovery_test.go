package main

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// twins are two processes on one database, and orders of which the first has steps under way. The sweep, which would
// help in the end, is off.
func twins(t *testing.T) (first, second *instance, simulators string, ids []string) {
	t.Helper()
	database, simulators := storetest.URL(t), newSimulators(t)
	args := append(serveArgs(database, simulators), "--sweep-every", "1h")
	first, second = startProcess(t, args...), startProcess(t, args...)
	status, _, body := do(t, http.MethodPut, simulators+"/faults", `{"payment":{"latencyMs":1000},
		"inventory":{"latencyMs":1000},"shipping":{"latencyMs":1000}}`)
	require.Less(t, status, 300, string(body))
	for range 60 {
		ids = append(ids, second.place(seedOrder).OrderID)
	}
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	require.Eventually(t, func() bool {
		var workers int
		err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT attempted_by) FROM river_job
			WHERE state = 'running'`).Scan(&workers)
		return err == nil && workers == 2
	}, time.Minute, 5*time.Millisecond, "both have work")
	return first, second, simulators, ids
}

// TestKilledBesideAnother kills one of two processes. The other finds out by itself and goes on with its steps: neither
// the sweep nor River, which would take 90 s, is needed for that.
func TestKilledBesideAnother(t *testing.T) {
	t.Parallel()
	first, second, simulators, ids := twins(t)
	first.kill()
	killed := time.Now()
	for _, id := range ids {
		second.await(id, "completed")
	}
	took := time.Since(killed)
	t.Logf("all orders were completed %s after the kill", took)
	require.Less(t, took, time.Minute)
	var metrics string
	get(t, second.ops+"/metrics", &metrics)
	require.Regexp(t, `millrace_steps_recovered_total [1-9]`, metrics)
	require.Contains(t, metrics, `millrace_instances{state="silent"} 1`)
	requireExact(t, simulators, ids)
	require.NoError(t, second.stop())
}

// TestFrozen freezes one of two processes until the other has done its work, and lets it go on: a zombie, which sends
// and settles what has long been settled. Nothing happens twice.
func TestFrozen(t *testing.T) {
	t.Parallel()
	first, second, simulators, ids := twins(t)
	require.NoError(t, first.process.Signal(syscall.SIGSTOP))
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
