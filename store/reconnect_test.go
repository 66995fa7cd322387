package store_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestRejectedLogin has a role that may not log in for a while: that is an outage, and it ends by itself.
func TestRejectedLogin(t *testing.T) {
	t.Parallel()
	url, role := storetest.URL(t), storetest.NewRole(t, "SUPERUSER")
	admin := migrationPool(t, url)
	pool, err := store.NewPool(t.Context(), storetest.As(url, role), "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := storetest.New(t, pool)
	storetest.Order(t, s)

	_, err = admin.Exec(t.Context(), "ALTER ROLE "+role+" NOLOGIN")
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
	require.NoError(t, err)
	place := func() error {
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{storetest.Placement()})
		if err != nil {
			return err
		}
		return placed[0].Err
	}
	require.ErrorIs(t, place(), store.ErrUnavailable)
	_, err = s.Orders.Get(t.Context(), orders.NewID())
	require.ErrorIs(t, err, store.ErrUnavailable)
	_, err = admin.Exec(t.Context(), "ALTER ROLE "+role+" LOGIN")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return place() == nil }, time.Minute, 10*time.Millisecond)
}

// TestCredentialsAreReadAgain changes what is in files, which counts from the next connection on.
func TestCredentialsAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	next := func(pool *pgxpool.Pool) pgx.ConnConfig {
		c := pool.Config()
		require.NoError(t, c.BeforeConnect(t.Context(), c.ConnConfig))
		require.Equal(t, "millrace-test", c.ConnConfig.RuntimeParams["application_name"])
		return *c.ConnConfig
	}
	passwords := write("passwords", "db:5432:shop:millrace:one\n")
	services := write("services", "[shop]\nhost=db\nuser=millrace\ndbname=shop\npassword=one\n")
	file := write("url", "postgres://millrace:one@db/shop\n")
	for _, url := range []string{
		"postgres://millrace@db/shop?passfile=" + passwords, "postgres://?service=shop&servicefile=" + services,
		store.URLFile(file),
	} {
		pool, err := store.NewPool(t.Context(), url, "test", 1)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		require.Equal(t, "one", next(pool).Password, url)
		defer func() { require.Equal(t, "two", next(pool).Password, url) }()
	}
	write("passwords", "db:5432:shop:millrace:two\n")
	write("services", "[shop]\nhost=db\nuser=millrace\ndbname=shop\npassword=two\n")
	write("url", "postgres://millrace:two@db/shop\n")
}

// TestTooFewConnections refuses what does not allow as many connections as a process needs.
func TestTooFewConnections(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	few := storetest.NewRole(t, "CONNECTION LIMIT 12")
	pool, err := store.NewPool(t.Context(), storetest.As(url, few), "test", 1)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, store.CheckConnections(t.Context(), pool, 12))
	require.ErrorContains(t, store.CheckConnections(t.Context(), pool, 13),
		fmt.Sprintf("the role %s allows 12 connections and this process needs 13", few))
	require.ErrorContains(t, store.CheckConnections(t.Context(), migrationPool(t, url), 100_000), "the server allows")

	_, err = migrationPool(t, url).Exec(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 7', current_database()); END $$`)
	require.NoError(t, err)
	require.ErrorContains(t, store.CheckConnections(t.Context(), pool, 8), "the database allows 7")
}

// TestOtherEncodings refuses a database that cannot store every name.
func TestOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		url := storetest.EncodedURL(t, encoding)
		err := store.Migrate(t.Context(), migrationPool(t, url), slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "the encoding of the database is "+encoding)
		require.NotContains(t, strings.ToLower(err.Error()), "sqlstate")
		_, err = store.Migrated(t.Context(), migrationPool(t, url))
		require.ErrorContains(t, err, "the encoding of the database is "+encoding)
	}
}
