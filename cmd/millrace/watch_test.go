package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestNotReadyWhileNothingIsStored has a database refuse all orders as a full disk does. The process takes none until
// the database stores them again, which it finds out by itself.
func TestNotReadyWhileNothingIsStored(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), database, "test", 2)
	require.NoError(t, err)
	defer pool.Close()
	exec := func(sql string) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--rate-limit", "0")
	ready := func() int {
		status, _, _ := do(t, http.MethodGet, m.api+"/health/ready", "")
		return status
	}
	m.place(seedOrder)
	require.Equal(t, http.StatusOK, ready())

	exec(`CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON millrace.orders FOR EACH ROW EXECUTE FUNCTION public.refuse()`)
	require.Eventually(t, func() bool {
		status, _, body := do(t, http.MethodPost, m.api+"/api/orders", seedOrder)
		require.Equal(t, http.StatusServiceUnavailable, status, string(body))
		return ready() == http.StatusServiceUnavailable
	}, time.Minute, 200*time.Millisecond)
	_, _, health := do(t, http.MethodGet, m.api+"/health", "")
	require.Contains(t, string(health), `{"name":"writes","status":"down"}`)
	var metrics string
	get(t, m.ops+"/metrics", &metrics)
	require.Contains(t, metrics, "millrace_writes_refused 1\n")

	exec("DROP TRIGGER refuse ON millrace.orders")
	require.Eventually(t, func() bool { return ready() == http.StatusOK }, time.Minute, 50*time.Millisecond)
	m.place(seedOrder)
}

// TestVigil has running processes report what no verification can: no process leads, and a later release has migrated.
func TestVigil(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), database, "test", 2)
	require.NoError(t, err)
	defer pool.Close()
	exec := func(sql string) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	shows := func(invariants string) {
		t.Helper()
		status, _, health := do(t, http.MethodGet, m.api+"/health", "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, string(health), `{"name":"invariants","status":"`+invariants+`"}`)
	}
	var log bytes.Buffer
	n := &node{logger: slog.New(slog.NewTextHandler(&log, nil))}
	vigil := n.vigil(storetest.New(t, pool))
	said := func(check string) int { return strings.Count(log.String(), "check="+check) }

	shows("degraded")
	exec(`INSERT INTO millrace.instances (id, started_at, heartbeat_at) VALUES ('w', now(), now() + interval '1 day');
		INSERT INTO millrace.river_leader (elected_at, expires_at, leader_id) VALUES (now(), now() + interval '1 day', 'w')`)
	shows("ok")
	vigil(t.Context())
	require.Empty(t, log.String())

	exec("INSERT INTO millrace.schema_version (version_id, is_applied) VALUES (1001, true)")
	shows("degraded")
	vigil(t.Context())
	vigil(t.Context())
	require.Equal(t, 1, said("schema"), log.String())
	require.Contains(t, log.String(), "its schema is of version 1001")
	exec("INSERT INTO millrace.schema_compatibility VALUES (1001, 1)")
	shows("ok")
	vigil(t.Context())

	exec("DELETE FROM millrace.river_leader; DELETE FROM millrace.instances")
	shows("degraded")
	vigil(t.Context())
	require.Equal(t, 1, said("leader"), log.String())
	require.Equal(t, 1, said("schema"))
}
