package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// TestVerifyDuringUpkeep has the log's upkeep read a default partition for longer than a transaction may be open. That
// is what it is for: verification names another transaction, and not that one.
func TestVerifyDuringUpkeep(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.exec(t, `UPDATE order_events SET logged_at = logged_at - interval '60 days';
		CREATE TABLE public.reading (goes_on boolean);
		INSERT INTO public.reading VALUES (true);
		CREATE FUNCTION public.read_slowly() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_query() LIKE '%log_default_check%' THEN
				PERFORM pg_current_xact_id();
				WHILE EXISTS (SELECT FROM public.reading) LOOP PERFORM pg_sleep(0.01); END LOOP;
			END IF;
		END $$;
		CREATE EVENT TRIGGER read_slowly ON ddl_command_start EXECUTE FUNCTION public.read_slowly()`)
	upkept := make(chan error, 1)
	go func() {
		_, err := d.store.Log.Maintain(t.Context(), 90*24*time.Hour)
		upkept <- err
	}()
	eventually(t, func() bool {
		return count(t, d.pool, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND backend_xid IS NOT NULL AND query LIKE '%log_default_check%'`) == 1
	})
	found := func() store.Verification {
		v, err := d.store.Verifier.Verify(t.Context(), store.VerifyOptions{
			Limits: store.Limits{Writer: time.Nanosecond, Snapshot: time.Nanosecond},
		})
		require.NoError(t, err)
		return v
	}
	require.Empty(t, found().Violations)

	other := hold(t, d.pool)
	_, err := other.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	v := found()
	require.Equal(t, []string{"old_writer"}, checks(v), "one transaction is one finding")
	require.Equal(t, 1, v.Violations[0].Count, v.Violations)
	require.NoError(t, other.Rollback(t.Context()))

	d.exec(t, "DELETE FROM public.reading")
	require.NoError(t, <-upkept)
	require.Empty(t, found().Violations)
}

// TestVerifyDuringDump: a dump is one transaction for as long as it takes.
func TestVerifyDuringDump(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	for name, checksOf := range map[string][]string{"pg_dump": nil, "forgotten": {"old_snapshot"}} {
		session := hold(t, d.pool)
		for _, sql := range []string{
			"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET LOCAL application_name = '" + name + "'", "SELECT 1",
		} {
			_, err := session.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
		v, err := d.store.Verifier.Verify(t.Context(), store.VerifyOptions{
			Limits: store.Limits{Writer: time.Nanosecond, Snapshot: time.Nanosecond},
		})
		require.NoError(t, err)
		require.Equal(t, checksOf, checks(v))
		require.NoError(t, session.Rollback(t.Context()))
	}
}
