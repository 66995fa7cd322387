package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestStrangersTables carries an order to its end in sessions that find a stranger's tables under the names of all of
// ours, River's included.
func TestStrangersTables(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `CREATE SCHEMA strangers;
		DO $$ DECLARE name text; BEGIN
			FOR name IN SELECT relname FROM pg_class
				WHERE relnamespace = 'millrace'::regnamespace AND relkind IN ('r', 'p', 'v')
			LOOP EXECUTE format('CREATE TABLE strangers.%I ()', name); END LOOP;
		END $$;`)
	require.NoError(t, err)
	m := startProcess(t, serveArgs(database+"&search_path=strangers", newSimulators(t))...)
	m.await(m.place(seedOrder).OrderID, "completed")
	for _, path := range []string{"/riverui/api/queues?limit=20", "/riverui/api/jobs?state=completed&limit=20"} {
		require.Eventually(t, func() bool { // River completes jobs a moment after their work is done
			status, _, body := do(t, http.MethodGet, m.ops+path, "")
			return status == http.StatusOK && strings.Contains(string(body), "orders")
		}, time.Minute, 50*time.Millisecond, path)
	}
	require.NoError(t, m.stop())
}
