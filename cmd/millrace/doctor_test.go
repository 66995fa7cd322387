package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestDoctor examines the tests' server, which does not write to its disk, and providers of which one is down.
func TestDoctor(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.NotFoundHandler())
	defer up.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer broken.Close()
	examine := func(database string, args ...string) (map[string]store.Diagnosis, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"doctor", "--json", "--database-url", database}, args...), &out, t.Output())
		var found struct {
			OK     bool
			Checks []store.Diagnosis
		}
		if out.Len() > 0 {
			require.NoError(t, json.Unmarshal(out.Bytes(), &found))
			require.Equal(t, err == nil, found.OK)
		}
		byName := map[string]store.Diagnosis{}
		for _, d := range found.Checks {
			byName[d.Check] = d
		}
		return byName, err
	}
	database := storetest.URL(t)
	found, err := examine(database, "--payment-url", up.URL, "--inventory-url", broken.URL,
		"--shipping-url", "http://127.0.0.1:1")
	require.ErrorIs(t, err, errUnhealthy)
	require.Equal(t, 1, exitStatus(err))
	for check, want := range map[string]store.DiagnosisState{
		"version": store.DiagnosisOK, "connections": store.DiagnosisOK, "durability": store.DiagnosisFailed,
		"replication": store.DiagnosisWarning, "autovacuum": store.DiagnosisFailed, "clock": store.DiagnosisOK,
		"schema": store.DiagnosisOK, "pooler": store.DiagnosisOK, "listen": store.DiagnosisOK,
		"privileges": store.DiagnosisOK, "payment": store.DiagnosisOK, "inventory": store.DiagnosisFailed,
		"shipping": store.DiagnosisFailed, "email": store.DiagnosisWarning,
		"transactions": store.DiagnosisOK, "locks": store.DiagnosisOK, "row_addresses": store.DiagnosisOK,
		"partitions": store.DiagnosisOK, "skip_locked": store.DiagnosisOK, "triggers": store.DiagnosisOK,
	} {
		require.Equal(t, want, found[check].State, "%s: %s", check, found[check].Details)
	}
	found, _ = examine(database, "--processes", "50")
	require.Equal(t, store.DiagnosisFailed, found["connections"].State)
	require.Contains(t, found["connections"].Details, "2400 connections")

	found, _ = examine(storetest.As(database, storetest.ServeRole))
	require.NotEqual(t, store.DiagnosisFailed, found["privileges"].State, "%v", found["privileges"])
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), "REVOKE INSERT ON millrace.order_events FROM "+storetest.ServeRole)
	require.NoError(t, err)
	found, _ = examine(storetest.As(database, storetest.ServeRole))
	require.Equal(t, store.DiagnosisFailed, found["privileges"].State)
	require.Contains(t, found["privileges"].Details, "order_events")

	found, err = examine(storetest.EmptyURL(t))
	require.ErrorIs(t, err, errUnhealthy)
	require.Equal(t, store.DiagnosisFailed, found["schema"].State)
	_, err = examine("postgres://127.0.0.1:1/none")
	require.ErrorIs(t, err, errNotExamined)
	require.Equal(t, 2, exitStatus(err))

	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"doctor", "--database-url", database}, &out, t.Output()), errUnhealthy)
	require.Regexp(t, `(?m)^failed +durability +fsync=off`, out.String())
	require.Contains(t, out.String(), "durability: A crash loses orders")
}
