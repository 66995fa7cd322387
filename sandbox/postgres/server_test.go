//go:build darwin || linux

package postgres_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))

	server := start(t, c)
	require.GreaterOrEqual(t, server.Major(), 15)
	require.True(t, strings.HasPrefix(server.Version(), strconv.Itoa(server.Major())+"."), server.Version())
	require.Equal(t, "off", query(t, server.DSN("postgres"), "select current_setting('fsync')"))
	require.Equal(t, "on", query(t, server.DSN("postgres"), "select current_setting('synchronous_commit')"))
	require.Equal(t, "UTF8", query(t, server.DSN("postgres"), "select current_setting('server_encoding')"))
	execute(t, server.DSN("postgres"), "create database millrace")
	execute(t, server.DSN("millrace"), "create table kept as select 'still here' as word")
	stop(t, server)
	stop(t, server)
	<-server.Done()

	_, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	require.Error(t, err)

	again := start(t, c)
	require.Equal(t, server.DSN("millrace"), again.DSN("millrace"))
	require.Equal(t, "still here", query(t, again.DSN("millrace"), "select word from kept"))
	stop(t, again)
}

func TestDurableByDefault(t *testing.T) {
	t.Parallel()
	server := start(t, postgres.Config{Dir: storetest.Dir(t), Fetch: true, Cache: cache()})
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		require.Equal(t, "on", query(t, server.DSN("postgres"), "select current_setting('"+name+"')"), name)
	}
	require.Empty(t, query(t, server.DSN("postgres"), "select current_setting('listen_addresses')"))
	stop(t, server)
}

func TestStopCutsConnections(t *testing.T) {
	t.Parallel()
	server := start(t, config(t, storetest.Dir(t)))
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	require.NoError(t, err)
	stop(t, server)
	require.Error(t, conn.Ping(t.Context()))
	_ = conn.Close(t.Context())
}

func TestStopOutOfTime(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	server := start(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Stop(ctx); err != nil { // nil when the server was faster
		require.ErrorIs(t, err, context.Canceled)
	}
	<-server.Done()
	stop(t, start(t, c))
}

func TestStartCanceled(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := postgres.Start(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	stop(t, start(t, c))
}

func TestStartShowsTheLog(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	c.Settings["max_connections"] = "many"
	_, err := postgres.Start(t.Context(), c)
	require.ErrorContains(t, err, `invalid value for parameter "max_connections": "many"`)
}

func TestPort(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	var server *postgres.Server
	for taken := true; taken; { // until no other process takes the port first
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		c.Port = listener.Addr().(*net.TCPAddr).Port
		_, err = postgres.Start(t.Context(), c)
		require.ErrorContains(t, err, "in use")

		require.NoError(t, listener.Close())
		server, err = postgres.Start(t.Context(), c)
		if taken = err != nil; taken {
			require.ErrorContains(t, err, "in use")
		}
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	require.Equal(t, "1", query(t, server.DSN("postgres"), "select '1'"))
	tcp := "postgres://millrace@127.0.0.1:" + strconv.Itoa(c.Port) + "/postgres?sslmode=disable"
	require.Equal(t, "127.0.0.1", query(t, tcp, "select host(inet_server_addr())"))
	stop(t, server)
}

func TestLongDir(t *testing.T) {
	t.Parallel()
	c := config(t, filepath.Join(storetest.Dir(t), strings.Repeat("long/", 30), "with [odd] * name?"))
	server := start(t, c)
	execute(t, server.DSN("postgres"), "create table kept as select 'still here' as word")
	stop(t, server)

	again := start(t, c)
	require.Equal(t, server.DSN("postgres"), again.DSN("postgres"))
	require.Equal(t, "still here", query(t, again.DSN("postgres"), "select word from kept"))
	stop(t, again)
	require.NoError(t, postgres.Reset(c.Dir))
}

func TestCurrentUser(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t)
	server := start(t, config(t, dir))
	info, err := os.Stat(filepath.Join(dir, "pg"+strconv.Itoa(server.Major())))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	info, err = os.Stat(filepath.Join(dir, "run"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	group, err := syscall.Getpgid(server.PID())
	require.NoError(t, err)
	require.Equal(t, server.PID(), group, "a terminal's Ctrl-C does not reach it")
	stop(t, server)
}

func TestRootHome(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root's server runs as another user")
	}
	_, err := postgres.Start(t.Context(), config(t, t.TempDir()))
	require.ErrorContains(t, err, "cannot enter")
	require.ErrorContains(t, err, postgres.DataDir("millrace", ""))
}

// TestOddDirs starts in directories whose names mean something to a shell, to libpq, or to postgres's own settings.
func TestOddDirs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"with space", " blanks ", "comma,and more", `quote"and'quote`, "50% off %20", "ünïcode 数据", "-dash", "a=b;c&d?e#f",
		`back\slash`, "$HOME `id`", "colon:two", "(paren)[x]*", strings.Repeat("long", 40),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t, filepath.Join(storetest.Dir(t), name))
			server := start(t, c)
			require.Equal(t, "1", query(t, server.DSN("postgres"), "select '1'"))
			require.Equal(t, filepath.Join(c.Dir, "pg"+strconv.Itoa(server.Major())),
				query(t, server.DSN("postgres"), "select current_setting('data_directory')"))
			_, err := postgres.Start(t.Context(), c)
			var running *postgres.RunningError
			require.ErrorAs(t, err, &running)
			require.Equal(t, server.PID(), running.PID)
			stop(t, server)
			require.NoError(t, postgres.Reset(c.Dir))
		})
	}
	_, err := postgres.Start(t.Context(), config(t, filepath.Join(storetest.Dir(t), "two\nlines")))
	require.ErrorContains(t, err, "control character")
}
