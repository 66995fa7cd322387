//go:build darwin || linux

package postgres_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestClone follows a server with a standby, and promotes it.
func TestClone(t *testing.T) {
	t.Parallel()
	first := config(t, storetest.Dir(t))
	first.Tools = []string{"pg_basebackup"}
	primary := start(t, first)
	dsn, err := url.Parse(primary.DSN("postgres"))
	require.NoError(t, err)
	clone := config(t, storetest.Dir(t))
	clone.Tools = first.Tools
	require.NoError(t, primary.Clone(t.Context(), clone.Dir,
		"user=millrace host="+dsn.Query().Get("host")+" port="+dsn.Query().Get("port")))

	standby := start(t, clone)
	execute(t, primary.DSN("postgres"), "create table kept as select 'there too' as word")
	require.Eventually(t, func() bool {
		return query(t, standby.DSN("postgres"), "select (to_regclass('kept') is not null)::text") == "true"
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, "true", query(t, standby.DSN("postgres"), "select pg_is_in_recovery()::text"))
	stop(t, primary)
	execute(t, standby.DSN("postgres"), "select pg_promote()")
	require.Equal(t, "there too", query(t, standby.DSN("postgres"), "select word from kept"))
	stop(t, standby)
}
