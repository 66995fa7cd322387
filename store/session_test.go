package store_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestInheritedSettings gives a database each setting that sessions inherit and that could matter, and has everything
// work as ever, or be refused with a sentence.
func TestInheritedSettings(t *testing.T) {
	t.Parallel()
	for setting, refused := range map[string]string{
		"datestyle = 'SQL, DMY'":                         "",
		"datestyle = 'Postgres, MDY'":                    "",
		"timezone = 'Asia/Shanghai'":                     "",
		"timezone = 'America/St_Johns'":                  "",
		"intervalstyle = 'sql_standard'":                 "",
		"extra_float_digits = -15":                       "",
		"bytea_output = 'escape'":                        "",
		"client_encoding = 'LATIN1'":                     "",
		"standard_conforming_strings = off":              "",
		"array_nulls = off":                              "",
		"transform_null_equals = on":                     "",
		"quote_all_identifiers = on":                     "",
		"backslash_quote = off":                          "",
		"search_path = strangers, pg_catalog":            "",
		"default_transaction_isolation = 'serializable'": "",
		"default_transaction_deferrable = on":            "",
		"default_transaction_read_only = on":             "the server is read-only",
		"session_replication_role = 'replica'":           "session_replication_role is replica",
		"session_replication_role = 'local'":             "",
		"row_security = off":                             "",
		"statement_timeout = 1":                          "",
		"lock_timeout = 1":                               "",
		"idle_in_transaction_session_timeout = 1":        "",
		"idle_session_timeout = '10s'":                   "",
		"transaction_timeout = '5s'":                     "", // a session is set up within one, too
		"synchronous_commit = off":                       "",
		"plan_cache_mode = 'force_generic_plan'":         "",
		"enable_indexscan = off":                         "",
		"jit_above_cost = 0":                             "",
		"plpgsql.variable_conflict = 'use_column'":       "",
		"client_min_messages = 'error'":                  "",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			setUp(t, url, setting)
			migrating := migrationPool(t, url)
			pool, err := store.NewPool(t.Context(), url, "test", 4)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			err = store.Migrate(t.Context(), migrating, slog.New(slog.DiscardHandler))
			if refused != "" {
				require.ErrorContains(t, err, refused)
				_, err = store.Migrated(t.Context(), pool)
				require.ErrorContains(t, err, refused)
				return
			}
			require.NoError(t, err)
			requireWorks(t, pool)
		})
	}
}

// setUp gives a database a setting, and has the log's partitions made anew under it.
func setUp(t *testing.T, url, setting string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var version int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version))
	if strings.HasPrefix(setting, "transaction_timeout") && version < 170000 {
		t.Skip("this Postgres has no transaction_timeout")
	}
	_, err = conn.Exec(t.Context(), strangers+`
		DO $$ DECLARE name text; BEGIN
			FOR name IN SELECT inhrelid::regclass::text FROM pg_inherits
				WHERE inhparent = 'millrace.order_events'::regclass AND inhrelid::regclass::text ~ '[0-9]'
			LOOP EXECUTE 'DROP TABLE ' || name; END LOOP;
			EXECUTE format('ALTER DATABASE %I SET `+strings.ReplaceAll(setting, "'", "''")+`', current_database());
		END $$;`)
	require.NoError(t, err)
}

// requireWorks carries an order through everything that the store does with it.
func requireWorks(t *testing.T, pool store.DB) {
	t.Helper()
	s := storetest.New(t, pool)
	order := storetest.Order(t, s)
	applied, err := s.Orders.Apply(t.Context(), []orders.Event{outcome(order.ID, orders.QuoteShipping)})
	require.NoError(t, err)
	require.True(t, applied[0].Changed)
	read, err := s.Orders.Get(t.Context(), order.ID)
	require.NoError(t, err)
	require.WithinDuration(t, order.PlacedAt, read.PlacedAt, time.Millisecond)
	_, err = s.Log.Maintain(t.Context(), time.Hour)
	require.NoError(t, err)
	found, err := s.Verifier.Verify(t.Context(), store.VerifyOptions{Deep: true})
	require.NoError(t, err)
	require.Equal(t, []string{"leader"}, checks(found), "there are no workers")
	require.Equal(t, 1, count(t, pool, `SELECT (current_setting('idle_session_timeout') = '0'
		AND coalesce(current_setting('transaction_timeout', true), '0') = '0')::int`)) // before 17 there is none
	require.Equal(t, 2, count(t, pool, `SELECT count(*) FROM pg_catalog.pg_class
		WHERE relispartition AND relkind = 'r' AND relname <> 'order_events_default'
		AND pg_catalog.pg_get_expr(relpartbound, oid) ~
			'^FOR VALUES FROM \(''....-..-.. 00:00:00\+00''\) TO \(''....-..-.. 00:00:00\+00''\)$'
		AND extract(isodow FROM right(relname, 8)::date) = 1`))
}
