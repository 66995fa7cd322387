package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestMigrateStatus: status and dry-run report what is pending and write nothing.
func TestMigrateStatus(t *testing.T) {
	t.Parallel()
	database := storetest.EmptyURL(t)
	migrate := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"migrate", "--database-url", database}, args...), &out, t.Output())
		return out.String(), err
	}
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()

	status, err := migrate("--status")
	require.ErrorIs(t, err, errPending)
	require.Equal(t, 1, exitStatus(err))
	require.Regexp(t, `(?m)^millrace +1 +0001_orders.sql +pending$`, status)
	require.Regexp(t, `(?m)^river +1 +\S.* pending$`, status)
	statements, err := migrate("--dry-run")
	require.NoError(t, err)
	require.Contains(t, statements, "-- millrace, version 1: 0001_orders.sql")
	require.Contains(t, statements, "CREATE TABLE millrace.orders")
	var schemas int
	require.NoError(t, conn.QueryRow(t.Context(),
		"SELECT count(*) FROM pg_namespace WHERE nspname = 'millrace'").Scan(&schemas))
	require.Zero(t, schemas, "something was written")

	_, err = migrate()
	require.NoError(t, err)
	status, err = migrate("--status")
	require.NoError(t, err)
	require.NotRegexp(t, `(?m) pending$`, status)
	require.Regexp(t, `(?m)^millrace +1 +0001_orders.sql +20\d\d-`, status)
	statements, err = migrate("--dry-run")
	require.NoError(t, err)
	require.Equal(t, "-- no migration is pending\n", statements)

	_, err = conn.Exec(t.Context(), `INSERT INTO millrace.schema_version (version_id, is_applied) VALUES (1001, true)`)
	require.NoError(t, err)
	status, err = migrate("--status")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^millrace +1001 +- +20\d\d-`, status, "of a later release")
	_, err = migrate("--status", "--dry-run")
	require.ErrorContains(t, err, "exclude each other")
}

// TestMigrateRestored: a restore that an operator tells of is in the audit log, and an empty database was not restored.
func TestMigrateRestored(t *testing.T) {
	t.Parallel()
	database := storetest.EmptyURL(t)
	millrace := func(command string, args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{command, "--database-url", database}, args...), &out, t.Output())
		return out.String(), err
	}
	_, err := millrace("migrate", "--restored")
	require.ErrorContains(t, err, "nothing was restored into it")
	_, err = millrace("migrate", "--restored", "--dry-run")
	require.ErrorContains(t, err, "--restored changes the database")
	_, err = millrace("migrate")
	require.NoError(t, err)
	text, err := millrace("migrate", "--restored")
	require.NoError(t, err)
	require.Equal(t, "the schema is up to date, and the log has begun a new history\n", text)
	audit, err := millrace("audit")
	require.NoError(t, err)
	require.Regexp(t, `cli:\S+ +admin +migrate\.restored +epoch \d+`, audit)
}

// TestSchemaOnHealth: /health has the schema's version, also when a later release migrates.
func TestSchemaOnHealth(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var version int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT max(version_id) FROM millrace.schema_version").Scan(&version))
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	shows := func(want int64) bool {
		status, _, body := do(t, http.MethodGet, m.api+"/health", "")
		var health struct{ Schema int64 }
		require.NoError(t, json.Unmarshal(body, &health))
		return status == http.StatusOK && health.Schema == want
	}
	require.Eventually(t, func() bool { return shows(version) }, time.Minute, 20*time.Millisecond)
	_, err = conn.Exec(t.Context(), `INSERT INTO millrace.schema_version (version_id, is_applied)
		VALUES ($1, true)`, version+1)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return shows(version + 1) }, time.Minute, 20*time.Millisecond)
}
