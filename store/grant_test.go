package store_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestGrantedRoleMaintainsLog makes, splits and drops partitions as the role that serve has.
func TestGrantedRoleMaintainsLog(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	owner := migrationPool(t, url)
	pool, err := store.NewPool(t.Context(), storetest.As(url, storetest.ServeRole), "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := storetest.New(t, pool)
	_, err = owner.Exec(t.Context(), `DO $$ DECLARE p text; BEGIN FOR p IN SELECT name FROM millrace.log_partitions()
		LOOP EXECUTE format('DROP TABLE millrace.%I', p); END LOOP; END $$`)
	require.NoError(t, err)
	storetest.Order(t, s) // into the default partition

	dropped, err := s.Log.Maintain(t.Context(), 30*24*time.Hour)
	require.NoError(t, err)
	require.Zero(t, dropped)
	require.Zero(t, count(t, owner, "SELECT count(*) FROM millrace.order_events_default"))
	require.Positive(t, count(t, owner, "SELECT count(*) FROM millrace.log_partitions()"))
	storetest.Order(t, s) // into partitions that were made since

	dropped, err = s.Log.Maintain(t.Context(), -30*24*time.Hour)
	require.NoError(t, err)
	require.Positive(t, dropped)
}

// TestGrantsNoMore tries what the role must not do.
func TestGrantsNoMore(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	connect := func(role string) func(sql string) error {
		pool, err := store.NewPool(t.Context(), storetest.As(url, role), "test", 2)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return func(sql string) error {
			_, err := pool.Exec(t.Context(), sql)
			return err
		}
	}
	serve, stranger := connect(storetest.ServeRole), connect(storetest.NewRole(t, ""))
	require.NoError(t, serve("SELECT count(*) FROM millrace.audit_log"))
	for _, sql := range []string{
		"DROP TRIGGER audit_log_append_only ON millrace.audit_log",
		"ALTER TABLE millrace.audit_log DISABLE TRIGGER ALL",
		"DELETE FROM millrace.audit_log",
		"UPDATE millrace.audit_log SET actor = 'x'",
		"TRUNCATE millrace.audit_log",
		"TRUNCATE millrace.orders",
		"DROP TABLE millrace.orders",
		"CREATE TABLE millrace.mine ()",
		"ALTER FUNCTION millrace.log_default_split() SECURITY INVOKER",
	} {
		err := serve(sql)
		require.Error(t, err, sql)
		require.Regexp(t, "permission denied|must be owner", err.Error(), sql)
	}
	require.ErrorContains(t, stranger("SELECT millrace.log_partition_drop(now())"), "permission denied")
	owner := migrationPool(t, url)
	require.Zero(t, count(t, owner, `SELECT count(*) FROM pg_proc p
		WHERE p.pronamespace = 'millrace'::regnamespace AND p.prosecdef
		AND (has_function_privilege('public', p.oid, 'EXECUTE') OR NOT p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp',
			'DateStyle=ISO', 'TimeZone=UTC'])`))
	require.Equal(t, 8, count(t, owner, `SELECT count(*) FROM pg_proc p
		WHERE p.pronamespace = 'millrace'::regnamespace
		AND p.prosecdef`))
}

// TestGrantRefuses names no role that is not there, or that needs no grant.
func TestGrantRefuses(t *testing.T) {
	t.Parallel()
	pool := migrationPool(t, storetest.EmptyURL(t))
	logger := slog.New(slog.DiscardHandler)
	for _, role := range []string{"missing_role", "", "public", `x"; DROP SCHEMA public; --`} {
		require.ErrorContains(t, store.Migrate(t.Context(), pool, logger, role), "has no such role")
	}
	super := storetest.NewRole(t, "SUPERUSER")
	require.ErrorContains(t, store.Migrate(t.Context(), pool, logger, super), "serve needs another role")
	require.Zero(t, count(t, pool, "SELECT count(*) FROM pg_namespace WHERE nspname = 'millrace'"))
	require.NoError(t, store.Migrate(t.Context(), pool, logger, storetest.NewRole(t, "")))
}

// TestOwnsJobs tells the owner of River's tables from the role that serve has.
func TestOwnsJobs(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	for role, want := range map[string]bool{url: true, storetest.As(url, storetest.ServeRole): false} {
		pool, err := store.NewPool(t.Context(), role, "test", 1)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		owns, err := storetest.New(t, pool).Queues.OwnsJobs(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, owns)
	}
}
