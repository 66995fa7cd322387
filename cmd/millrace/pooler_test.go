package main

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// pooled returns the arguments of a process that reaches its database through a PgBouncer, and the direct URL.
func pooled(t *testing.T, simulators string, more ...string) (args []string, direct string) {
	t.Helper()
	direct = storetest.URL(t)
	p := storetest.NewPooler(t, "transaction", "")
	args = append(serveArgs(p.URL(nameOf(t, direct), "transaction"), simulators), more...)
	return args, direct
}

func nameOf(t *testing.T, url string) string {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	return c.Database
}

// carry has a process carry orders to their end, and the providers have done everything once.
func carry(t *testing.T, m *instance, simulators string) {
	t.Helper()
	var ids []string
	for range 20 {
		ids = append(ids, m.place(seedOrder).OrderID)
	}
	for _, id := range ids {
		m.await(id, "completed")
	}
	requireExact(t, simulators, ids)
}

// TestPooled carries orders through a PgBouncer in transaction mode without a direct connection: nothing listens, and
// the metric says so.
func TestPooled(t *testing.T) {
	t.Parallel()
	simulators := newSimulators(t)
	args, _ := pooled(t, simulators)
	m := startProcess(t, args...)
	carry(t, m, simulators)
	var metrics string
	get(t, m.ops+"/metrics", &metrics)
	require.Contains(t, metrics, "\nmillrace_listening 0\n")
	require.NoError(t, m.stop())
}

// TestPooledListening listens over a direct connection beside the pooler. When all sessions that listen are killed, the
// process listens again, and loses no order meanwhile.
func TestPooledListening(t *testing.T) {
	t.Parallel()
	simulators := newSimulators(t)
	args, direct := pooled(t, simulators)
	m := startProcess(t, append(args, "--listen-url", direct)...)
	carry(t, m, simulators)
	var metrics string
	get(t, m.ops+"/metrics", &metrics)
	require.Contains(t, metrics, "\nmillrace_listening 1\n")

	conn, err := pgx.Connect(t.Context(), direct)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	const listeners = `FROM pg_stat_activity
		WHERE application_name = 'millrace-listen' AND datname = current_database()`
	require.Eventually(t, func() bool { // one more while one is being replaced
		var n int
		err := conn.QueryRow(t.Context(), "SELECT count(*) "+listeners).Scan(&n)
		return err == nil && n == 2
	}, time.Minute, 50*time.Millisecond, "the feed's and River's")
	_, err = conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) "+listeners)
	require.NoError(t, err)
	carryMore(t, m)
	require.Eventually(t, func() bool {
		var alive int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'millrace-listen' AND datname = current_database()`).Scan(&alive)
		return err == nil && alive == 2
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, m.stop())
}

// TestPooledStatements carries orders through a PgBouncer that keeps prepared statements.
func TestPooledStatements(t *testing.T) {
	t.Parallel()
	if !storetest.PoolerKeepsStatements(t) {
		t.Skip("this PgBouncer does not keep prepared statements")
	}
	simulators, direct := newSimulators(t), storetest.URL(t)
	p := storetest.NewPooler(t, "transaction", "max_prepared_statements = 100")
	url := p.URL(nameOf(t, direct), "transaction") + "&default_query_exec_mode=cache_statement"
	m := startProcess(t, serveArgs(url, simulators)...)
	carry(t, m, simulators)
	require.NoError(t, m.stop())
}

func carryMore(t *testing.T, m *instance) {
	t.Helper()
	for range 5 {
		m.await(m.place(seedOrder).OrderID, "completed")
	}
}

// TestPoolerRefused starts processes on poolers that cannot work: each says why in a sentence.
func TestPoolerRefused(t *testing.T) {
	t.Parallel()
	direct := storetest.URL(t)
	name := nameOf(t, direct)
	const ignoring = "ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout"
	transaction := storetest.NewPooler(t, "transaction", "")
	forgetful := transaction
	if storetest.PoolerKeepsStatements(t) { // newer ones do by default
		forgetful = storetest.NewPooler(t, "transaction", "max_prepared_statements = 0")
	}
	lenient := storetest.NewPooler(t, "transaction", ignoring)
	for url, want := range map[string]string{
		transaction.URL(name, ""): "a pooler lies between Millrace and Postgres",
		lenient.URL(name, ""):     "a pooler lies between Millrace and Postgres",
		forgetful.URL(name, "transaction") + "&default_query_exec_mode=cache_statement": "does not keep " +
			"track of prepared statements",
	} {
		err := run(t.Context(), serveArgs(url, "http://127.0.0.1:1"), t.Output(), t.Output())
		require.ErrorContains(t, err, want, url)
	}
	err := run(t.Context(), []string{"migrate", "--database-url", transaction.URL(name, "transaction")},
		t.Output(), t.Output())
	require.ErrorContains(t, err, "migrate needs a session of its own")
	err = run(t.Context(), []string{"migrate", "--database-url", lenient.URL(name, "")}, t.Output(), t.Output())
	require.ErrorContains(t, err, "a pooler lies between Millrace and Postgres")
	session := storetest.NewPooler(t, "session", ignoring)
	err = run(t.Context(), []string{"migrate", "--database-url", session.URL(name, "session")}, t.Output(), t.Output())
	require.NoError(t, err)
	err = run(t.Context(), []string{
		"migrate", "--database-url", transaction.URL(name, "transaction"), "--listen-url", direct,
	}, t.Output(), t.Output())
	require.NoError(t, err, "which migrates directly")

	conn, err := pgx.Connect(t.Context(), direct)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), "ALTER DATABASE "+name+" SET transform_null_equals = on")
	require.NoError(t, err)
	other := storetest.NewPooler(t, "transaction", "")
	err = run(t.Context(), serveArgs(other.URL(name, "transaction"), "http://127.0.0.1:1"), t.Output(), t.Output())
	require.ErrorContains(t, err, "transform_null_equals is on")
}
