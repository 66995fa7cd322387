package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// movedClock is a database whose clock can be set: by which events are logged.
func movedClock(t *testing.T) (pool *pgxpool.Pool, set func(offset string)) {
	t.Helper()
	url := storetest.URL(t)
	setup, err := store.NewPool(t.Context(), url, "setup", 2)
	require.NoError(t, err)
	defer setup.Close()
	_, err = setup.Exec(t.Context(), `
		CREATE TABLE public.clock (off interval); INSERT INTO public.clock VALUES ('0');
		CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
			AS 'SELECT pg_catalog.clock_timestamp() + (SELECT off FROM public.clock)';
		CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
			AS 'SELECT pg_catalog.now() + (SELECT off FROM public.clock)';
		ALTER TABLE millrace.order_events ALTER logged_at SET DEFAULT public.now();`)
	require.NoError(t, err)
	pool, err = store.NewPool(t.Context(), url+"&search_path=public%2Cpg_catalog%2Cmillrace", "test", 5)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, func(offset string) {
		_, err := pool.Exec(t.Context(), "UPDATE public.clock SET off = $1::text::interval", offset)
		require.NoError(t, err)
	}
}

// No clock decides what is read: a database's that was three hours ahead and is set right loses no event.
func TestClockOfDatabaseSetBack(t *testing.T) {
	t.Parallel()
	pool, set := movedClock(t)
	s := storetest.New(t, pool)
	w := makeWebhook(t, s)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	heard := func(n int) {
		t.Helper()
		eventually(t, func() bool {
			for fanOut(t, s).More {
			}
			return len(deliveriesOf(t, s, w)) == n
		})
	}
	set("3 hours")
	storetest.Order(t, s)
	_, cursor := settled(t, s, start, 1)
	heard(1)
	set("0")
	second := storetest.Order(t, s)
	heard(2)
	set("2 hours 5 minutes")
	third := storetest.Order(t, s)
	heard(3)
	rest, _ := settled(t, s, cursor, 2)
	require.Equal(t, []orders.ID{second.ID, third.ID}, []orders.ID{rest[0].OrderID, rest[1].OrderID})
}

// A moment's cursor in the log is before all that was written since, and not far before.
func TestLogSince(t *testing.T) {
	t.Parallel()
	pool, set := movedClock(t)
	s := storetest.New(t, pool)
	set("-10 hours")
	for range 5 {
		storetest.Order(t, s)
	}
	set("0")
	last := storetest.Order(t, s)
	cursor, err := s.Log.Since(t.Context(), time.Now().Add(-5*time.Hour))
	require.NoError(t, err)
	rest, _ := settled(t, s, cursor, 1)
	require.Equal(t, last.ID, rest[0].OrderID)
	cursor, err = s.Log.Since(t.Context(), time.Now().Add(-24*time.Hour))
	require.NoError(t, err)
	settled(t, s, cursor, 6)
}

// After a pause of weeks events lie in the default partition. It becomes one of its own, with all it has, the ones
// after it are made, and it is dropped in time.
func TestDefaultPartitionIsSplit(t *testing.T) {
	t.Parallel()
	pool := storetest.PatientPool(t)
	s := storetest.New(t, pool)
	exec := func(sql string) {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	names := func() (names []string) {
		rows, err := pool.Query(t.Context(), "SELECT name FROM millrace.log_partitions() ORDER BY starts")
		require.NoError(t, err)
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			names = append(names, name)
		}
		return names
	}
	for _, name := range names() {
		exec("DROP TABLE millrace." + name)
	}
	before := storetest.Order(t, s)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	_, err = s.Log.Maintain(t.Context(), 90*24*time.Hour)
	require.NoError(t, err)
	require.Len(t, names(), 1, "this week and the next are in it")
	require.Equal(t, 0, count(t, pool, "SELECT count(*) FROM millrace.order_events_default"))
	after := storetest.Order(t, s)
	require.Equal(t, 0, count(t, pool, "SELECT count(*) FROM millrace.order_events_default"))
	all, _ := settled(t, s, start, 2)
	require.Equal(t, []orders.ID{before.ID, after.ID}, []orders.ID{all[0].OrderID, all[1].OrderID})

	later, err := store.New(store.Config{DB: pool, Now: func() time.Time { return time.Now().Add(15 * 24 * time.Hour) }})
	require.NoError(t, err)
	_, err = later.Log.Maintain(t.Context(), 90*24*time.Hour)
	require.NoError(t, err)
	require.Len(t, names(), 3, "and those after it")
	dropped, err := later.Log.Maintain(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
}

// A default partition with events of several gaps stays, and takes events.
func TestDefaultPartitionThatCannotBeSplit(t *testing.T) {
	t.Parallel()
	pool := storetest.PatientPool(t)
	s := storetest.New(t, pool)
	order := storetest.Order(t, s)
	for version, at := range []string{"2020-01-08", "2040-01-08"} {
		_, err := pool.Exec(t.Context(), `INSERT INTO millrace.order_events (order_id, version, kind, amount_minor, step,
				generation,
			reference, reason, status, progress, status_changed, at, logged_at)
			VALUES ($1, $2, 'order_placed', 0, '', 0, '', '', 'pending', 0, true, now(), $3::text::timestamptz)`,
			order.ID, 100+version, at)
		require.NoError(t, err)
	}
	_, err := s.Log.Maintain(t.Context(), 200*365*24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, 2, count(t, pool, "SELECT count(*) FROM millrace.order_events_default"))
	require.Equal(t, 0, count(t, pool, "SELECT count(*) FROM pg_constraint WHERE conname = 'order_events_default_limit'"))
}
