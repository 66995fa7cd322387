package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestWrites has a database refuse placements with the error of a full disk, and take them again.
func TestWrites(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	now := time.Now()
	writes := store.NewWrites(func() time.Time { return now })
	s, err := store.New(store.Config{DB: pool, Writes: writes})
	require.NoError(t, err)
	exec := func(sql string) {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	exec(`CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = TG_ARGV[0]; END $$`)
	refuse := func(code string) {
		exec("DROP TRIGGER IF EXISTS refuse ON orders; CREATE TRIGGER refuse BEFORE INSERT ON orders " +
			"FOR EACH ROW EXECUTE FUNCTION public.refuse('" + code + "')")
	}
	placement := storetest.Placement()
	placement.IdempotencyKey = "k"
	_, err = s.Orders.Place(t.Context(), []orders.Placement{placement})
	require.NoError(t, err)
	place := func(key string) error {
		placement := storetest.Placement()
		placement.IdempotencyKey = key
		_, err := s.Orders.Place(t.Context(), []orders.Placement{placement})
		now = now.Add(6 * time.Second)
		return err
	}

	for _, code := range []string{"23514", "22001", "55P03", "57014", "40001"} { // may be the request's own
		refuse(code)
		for range 4 {
			require.Error(t, place(""))
		}
		require.NoError(t, writes.Err(), code)
	}
	for _, code := range []string{"53100", "58030", "42501", "25006"} {
		refuse(code)
		require.Error(t, place(""))
		require.NoError(t, writes.Err(), "once")
		require.Error(t, place(""))
		require.NoError(t, writes.Err(), "twice in six seconds")
		require.Error(t, place(""))
		require.Error(t, writes.Err(), code)
		require.Error(t, s.Orders.ProbeWrites(t.Context()))
		require.Error(t, writes.Err())

		before := count(t, pool, "SELECT count(*) FROM orders")
		exec("DROP TRIGGER refuse ON orders")
		require.NoError(t, s.Orders.ProbeWrites(t.Context()))
		require.NoError(t, writes.Err())
		require.Equal(t, before, count(t, pool, "SELECT count(*) FROM orders"), "the probe is taken back")
	}

	refuse("53100")
	for range 3 {
		require.Error(t, place(""))
		now = now.Add(-6 * time.Second)
	}
	require.NoError(t, writes.Err(), "three at once may be one hiccup")
	exec("DROP TRIGGER refuse ON orders")
	require.NoError(t, place(""))
	refuse("53100")
	now = now.Add(time.Hour)
	require.Error(t, place(""))
	require.NoError(t, writes.Err(), "a success begins the count anew")
}
