package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// Any number of processes may migrate at the same time. River's own migrator fails then, and a lock that Postgres
// waits for can hang.
func TestMigrateManyAtOnce(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			pool, err := store.NewPool(t.Context(), url, "test", 4)
			if err != nil {
				t.Errorf("connect: %v", err)
				return
			}
			defer pool.Close()
			if err := store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	wg.Wait()
	pool, err := store.NewPool(t.Context(), url, "test", 4)
	require.NoError(t, err)
	defer pool.Close()
	migrated, err := store.Migrated(t.Context(), pool)
	require.NoError(t, err)
	require.True(t, migrated)
	storetest.Order(t, storetest.New(t, pool))
}

// Whatever the code gets wrong, the database refuses what cannot be.
func TestConstraints(t *testing.T) {
	t.Parallel()
	for constraint, sql := range map[string]string{
		"orders_status_known":              `UPDATE orders SET status = 'lost'`,
		"orders_goal_known":                `UPDATE orders SET goal = 'win'`,
		"orders_version_positive":          `UPDATE orders SET version = 0`,
		"orders_total_range":               `UPDATE orders SET total_minor = 9007199254740992`,
		"orders_customer_id_length":        `UPDATE orders SET customer_id = repeat('x', 201)`,
		"orders_request_id_length":         `UPDATE orders SET request_id = repeat('x', 65)`,
		"orders_traceparent_length":        `UPDATE orders SET traceparent = 'x'`,
		"orders_fingerprint_with_key":      `UPDATE orders SET idempotency_key = 'k'`,
		"orders_reason_length":             `UPDATE orders SET reason = repeat('x', 501)`,
		"order_items_quantity_range":       `UPDATE order_items SET quantity = 0`,
		"order_steps_state_known":          `UPDATE order_steps SET state = 'done', settled_at = now()`,
		"order_steps_settled_with_outcome": `UPDATE order_steps SET state = 'succeeded'`,
		"order_events_kind_known":          `UPDATE order_events SET kind = 'rumour'`,
		"order_events_progress_range":      `UPDATE order_events SET progress = 101`,
		"log_history_one_row":              `INSERT INTO log_history VALUES (false, 1, now())`,

		"api_keys_role_known":              `UPDATE api_keys SET role = 'root'`,
		"api_keys_customer_id_of_customer": `UPDATE api_keys SET customer_id = '1'`,
		"api_keys_secret_sha256_length":    `UPDATE api_keys SET secret_sha256 = ''`,
		"api_keys_name_length":             `UPDATE api_keys SET name = repeat('x', 201)`,
		"api_keys_id_length":               `UPDATE api_keys SET id = 'x'`,
		"audit_log_detail_size": `INSERT INTO audit_log (at, actor, role, action, target, request_id, remote_address, detail)
			SELECT now(), 'a', '', 'b', '', '', '', to_jsonb(repeat('x', 70000))`,
		"rate_counts_subject_length":             `INSERT INTO rate_counts VALUES (repeat('x', 251), now(), 1, now())`,
		"rate_counts_requests_positive":          `INSERT INTO rate_counts VALUES ('x', now(), 0, now())`,
		"inventory_snapshot_one_row":             `INSERT INTO inventory_snapshot (singleton, as_of) VALUES (false, now())`,
		"inventory_products_price_with_currency": `INSERT INTO inventory_products VALUES (1, 1, 0, 5, '')`,
		"inventory_products_quantity_range":      `INSERT INTO inventory_products VALUES (1, -1, 0, 0, '')`,
	} {
		t.Run(constraint, func(t *testing.T) {
			t.Parallel()
			tx := storetest.Tx(t)
			s := storetest.New(t, tx)
			storetest.Order(t, s)
			makeKey(t, s, store.NewKey{Role: roles.Admin})
			_, err := tx.Exec(t.Context(), sql)
			require.ErrorContains(t, err, constraint)
		})
	}
}

// TestMigrateDuringBackup migrates while a backup reads the log, and a partition that can wait is missing.
func TestMigrateDuringBackup(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	pool := migrationPool(t, url)
	_, err := pool.Exec(t.Context(), `DO $$ BEGIN
		EXECUTE 'DROP TABLE ' || (SELECT max(inhrelid::regclass::text) FROM pg_inherits
		WHERE inhparent = 'millrace.order_events'::regclass AND inhrelid::regclass::text ~ '[0-9]'); END $$`)
	require.NoError(t, err)
	backup, err := pgx.Connect(t.Context(), url+"&application_name=backup")
	require.NoError(t, err)
	defer func() { _ = backup.Close(t.Context()) }()
	_, err = backup.Exec(t.Context(), "BEGIN; SELECT count(*) FROM millrace.order_events")
	require.NoError(t, err)

	var log strings.Builder
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.NewTextHandler(&log, nil))))
	require.Contains(t, log.String(), "waiting for a lock")
	require.Contains(t, log.String(), fmt.Sprintf("pid %d (backup)", backup.PgConn().PID()))
	require.Contains(t, log.String(), "a partition of the log is not made")
	storetest.Order(t, storetest.New(t, pool))

	_, err = backup.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	log.Reset()
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.NewTextHandler(&log, nil))))
	require.Empty(t, log.String())
	require.Equal(t, 3, count(t, pool,
		"SELECT count(*) FROM pg_inherits WHERE inhparent = 'millrace.order_events'::regclass"))
}

// TestMigrateStopsNoWriter migrates from the version before while a backup has read every table. While the migration
// waits for the backup, other sessions go on to write.
func TestMigrateStopsNoWriter(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	pool := migrationPool(t, url)
	require.NoError(t, store.MigrateTo(t.Context(), pool, 30))
	connect := func(name string) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url+"&application_name="+name)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		return conn
	}
	backup, writer := connect("backup"), connect("writer")
	_, err := backup.Exec(t.Context(), "BEGIN; LOCK TABLE millrace.orders, millrace.order_steps, "+
		"millrace.order_documents IN ACCESS SHARE MODE")
	require.NoError(t, err)

	logs, log := io.Pipe()
	done, waiting := make(chan error, 1), make(chan struct{})
	go func() {
		done <- store.Migrate(t.Context(), pool, slog.New(slog.NewTextHandler(log, nil)))
		_ = log.Close()
	}()
	go func() {
		lines, told := bufio.NewScanner(logs), false
		for lines.Scan() {
			if !told && strings.Contains(lines.Text(), "waiting for a lock") {
				told = true
				close(waiting)
			}
		}
	}()
	select {
	case <-waiting:
	case <-time.After(3 * time.Minute):
		require.Fail(t, "the migration queues for its lock, and all sessions behind it")
	}
	for range 20 {
		_, err := writer.Exec(t.Context(), "BEGIN; SET LOCAL lock_timeout = '20s'; "+
			"LOCK TABLE millrace.orders, millrace.order_steps IN ROW EXCLUSIVE MODE; COMMIT")
		require.NoError(t, err)
	}
	_, err = backup.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	require.NoError(t, <-done)
	storetest.Order(t, storetest.New(t, pool))
}

// TestNewerSchema refuses a schema that a later release has migrated, unless that release allows this one.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	pool := migrationPool(t, storetest.URL(t))
	insert := func(sql string) {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	check := func(want string) {
		t.Helper()
		_, err := store.Migrated(t.Context(), pool)
		migrating := store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler))
		if want == "" {
			require.NoError(t, err)
			require.NoError(t, migrating)
			return
		}
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, migrating, want)
	}
	known := count(t, pool, "SELECT max(version_id) FROM millrace.schema_version")
	check("")
	insert("INSERT INTO millrace.schema_version (version_id, is_applied) VALUES (1001, true), (1002, true)")
	check(fmt.Sprintf("its schema is of version 1002, this release was built for %d, and migration 1001 says", known))
	insert(fmt.Sprintf("INSERT INTO millrace.schema_compatibility VALUES (1002, %d)", known))
	check("migration 1001 says")
	insert("INSERT INTO millrace.schema_compatibility VALUES (1001, 1001)")
	check("migration 1001 says")
	insert(fmt.Sprintf("UPDATE millrace.schema_compatibility SET runs_with = %d WHERE version_id > 1000", known))
	check("")
}
