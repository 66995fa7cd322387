//go:build darwin || linux

package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-orders/millrace/sandbox/postgres"
)

// helperDir is set for a run of the test binary that is to be killed: it starts a server there and waits.
const helperDir = "POSTGRES_TEST_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		helper(dir)
		return
	}
	code := m.Run()
	if code == 0 {
		// Those that are about to end have the time to.
		leaked := goleak.Find()
		for start := time.Now(); leaked != nil && time.Since(start) < time.Minute; leaked = goleak.Find() {
			continue
		}
		if leaked != nil {
			fmt.Println(leaked)
			code = 1
		}
	}
	os.Exit(code)
}

func helper(dir string) {
	server, err := postgres.Start(context.Background(), postgres.Config{Dir: dir, Fetch: true, Cache: cache()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready", server.PID())
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = server.Stop(context.Background())
}

// startHelper runs the test binary as the helper. Its end is the test's business, or else the test's end.
func startHelper(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	_, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, `^ready \d+\n$`, line)
	return cmd
}

// programs makes a directory for programs, which other users can enter, because root's server runs as another user.
// They may not run from storetest.Dir, because memory may be mounted noexec.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

// cache is that of all tests of Millrace, for a machine without a Postgres of its own.
func cache() string { return postgres.DefaultDir("millrace-postgres") }

func config(t *testing.T, dir string) postgres.Config {
	t.Helper()
	return postgres.Config{
		Dir: dir, Fetch: true, Cache: cache(),
		Settings: map[string]string{"fsync": "off", "shared_buffers": "16MB"},
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func start(t *testing.T, c postgres.Config) *postgres.Server {
	t.Helper()
	began := time.Now()
	server, err := postgres.Start(t.Context(), c)
	require.NoError(t, err)
	t.Log("ready after", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	return server
}

// startAfter starts a server where one has just ended without Stop. Its processes take time to follow it, and on a busy
// machine that is longer than Start waits.
func startAfter(t *testing.T, c postgres.Config) *postgres.Server {
	t.Helper()
	for began := time.Now(); ; {
		server, err := postgres.Start(t.Context(), c)
		if errors.Is(err, postgres.ErrRunning) && time.Since(began) < time.Minute {
			continue
		}
		require.NoError(t, err)
		t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
		return server
	}
}

func stop(t *testing.T, server *postgres.Server) {
	t.Helper()
	require.NoError(t, server.Stop(t.Context()))
}

func execute(t *testing.T, dsn string, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func query(t *testing.T, dsn string, sql string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&value))
	require.NoError(t, conn.Close(t.Context()))
	return value
}
