package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestDiagnoseFeatures has Postgres lack what other servers lack: Diagnose names it, and what does not work without it.
func TestDiagnoseFeatures(t *testing.T) {
	t.Parallel()
	diagnose := func(url string) map[string]store.Diagnosis {
		found, err := store.Diagnose(t.Context(), url, 1, time.Now)
		require.NoError(t, err)
		byCheck := map[string]store.Diagnosis{}
		for _, d := range found {
			byCheck[d.Check] = d
		}
		return byCheck
	}
	all := []string{"transactions", "locks", "row_addresses", "partitions", "skip_locked", "triggers"}
	whole := storetest.URL(t)
	for _, url := range []string{whole, storetest.As(whole, storetest.ServeRole)} {
		found := diagnose(url)
		for _, check := range all {
			require.Equal(t, store.DiagnosisOK, found[check].State, "%v", found[check])
		}
	}

	for name, tt := range map[string]struct {
		without string
		lacks   []string
		want    store.DiagnosisState
	}{
		"no transaction ids": {
			"ALTER FUNCTION pg_catalog.pg_current_xact_id() RENAME TO gone", []string{"transactions"}, store.DiagnosisFailed,
		},
		"ids that say nothing": {
			`ALTER FUNCTION pg_catalog.pg_current_xact_id() RENAME TO gone;
			CREATE FUNCTION pg_catalog.pg_current_xact_id() RETURNS xid8 LANGUAGE sql AS $$ SELECT '3'::xid8 $$`,
			[]string{"transactions"},
			store.DiagnosisFailed,
		},
		"no locks": {
			"ALTER FUNCTION pg_catalog.pg_advisory_xact_lock(bigint) RENAME TO gone", []string{"locks"}, store.DiagnosisFailed,
		},
		"locks that lock nothing": {
			`ALTER FUNCTION pg_catalog.pg_advisory_xact_lock(bigint) RENAME TO gone;
			CREATE FUNCTION pg_catalog.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE sql AS ''`,
			[]string{"locks"},
			store.DiagnosisFailed,
		},
		"no triggers": {
			"ALTER FUNCTION pg_catalog.suppress_redundant_updates_trigger() RENAME TO gone",
			[]string{"triggers"},
			store.DiagnosisFailed,
		},
		"no right to ask": {
			"REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC",
			[]string{"partitions", "skip_locked", "triggers"},
			store.DiagnosisWarning,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			conn, err := pgx.Connect(t.Context(), url+"&allow_system_table_mods=on")
			require.NoError(t, err)
			defer func() { _ = conn.Close(t.Context()) }()
			_, err = conn.Exec(t.Context(), strings.ReplaceAll(tt.without, "%s", conn.Config().Database))
			require.NoError(t, err)
			found := diagnose(storetest.As(url, storetest.ServeRole))
			for _, check := range all {
				want := store.DiagnosisOK
				if slices.Contains(tt.lacks, check) {
					want = tt.want
				}
				require.Equal(t, want, found[check].State, "%v", found[check])
			}
		})
	}
}
