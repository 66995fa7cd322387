//go:build darwin || linux

package postgres_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestParentKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the server outlives its parent here, and a second start says ErrRunning")
	}
	dir := storetest.Dir(t)
	first := startHelper(t, dir)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait())

	server := startAfter(t, config(t, dir))
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log.1"))
	require.NoError(t, err)
	require.Contains(t, string(log), "database system is shut down", "it left by itself, cleanly")
	stop(t, server)
}

func TestServerKilled(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	server := start(t, c)
	execute(t, server.DSN("postgres"), "create table kept as select 'still here' as word")
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
	<-server.Done()
	require.ErrorContains(t, server.Stop(t.Context()), "killed")

	again := startAfter(t, c)
	require.Equal(t, "still here", query(t, again.DSN("postgres"), "select word from kept"))
	stop(t, again)
}

// A server's pid may be another program's when the next one starts: in a container it nearly always is.
func TestReusedPID(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	server := start(t, c)
	pidfile := filepath.Join(c.Dir, "pg"+strconv.Itoa(server.Major()), "postmaster.pid")
	text, err := os.ReadFile(pidfile)
	require.NoError(t, err)
	stop(t, server)

	other := exec.CommandContext(t.Context(), "sleep", "600")
	require.NoError(t, other.Start())
	text = append([]byte(strconv.Itoa(other.Process.Pid)), text[len(strconv.Itoa(server.PID())):]...)
	require.NoError(t, os.WriteFile(pidfile, text, 0o600))

	stop(t, start(t, c))
	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())
}

func TestHalfMadeCluster(t *testing.T) {
	t.Parallel()
	probe := start(t, config(t, storetest.Dir(t)))
	major := strconv.Itoa(probe.Major())
	stop(t, probe)
	for name, half := range map[string]map[string]string{
		"empty":            {"": ""},
		"no PG_VERSION":    {"base/1/1": "x"},
		"no control file":  {"PG_VERSION": "15\n", "global/1": "x"},
		"old style initdb": {"PG_VERSION": "", "global/pg_control": ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t, storetest.Dir(t))
			data := filepath.Join(c.Dir, "pg"+major)
			require.NoError(t, os.MkdirAll(data+".new-123/base", 0o700))
			for file, text := range half {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(data, file)), 0o700))
				if file != "" {
					require.NoError(t, os.WriteFile(filepath.Join(data, file), []byte(text), 0o600))
				}
			}
			require.NoError(t, os.MkdirAll(data, 0o700))

			server := start(t, c)
			require.Equal(t, "1", query(t, server.DSN("postgres"), "select '1'"))
			require.DirExists(t, data+".broken")
			require.NoDirExists(t, data+".new-123")
			stop(t, server)
		})
	}
}

func TestRunning(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	server := start(t, c)
	execute(t, server.DSN("postgres"), "create table kept as select 'still here' as word")

	reset := make(chan error, 1)
	go func() { reset <- postgres.Reset(c.Dir) }()
	_, err := postgres.Start(t.Context(), c)
	for _, err := range []error{err, <-reset} {
		require.ErrorIs(t, err, postgres.ErrRunning)
		var running *postgres.RunningError
		require.ErrorAs(t, err, &running)
		require.Equal(t, server.PID(), running.PID)
		require.Equal(t, c.Dir, running.Dir)
	}

	require.Equal(t, "still here", query(t, server.DSN("postgres"), "select word from kept"))
	stop(t, server)
}

// Of two that start at once on a fresh directory one gets it, and the other says so.
func TestStartTwiceAtOnce(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	type result struct {
		server *postgres.Server
		err    error
	}
	results := make(chan result, 2)
	for range 2 {
		go func() {
			server, err := postgres.Start(t.Context(), c)
			results <- result{server, err}
		}()
	}
	one, two := <-results, <-results
	if one.err != nil {
		one, two = two, one
	}
	require.NoError(t, one.err)
	require.ErrorIs(t, two.err, postgres.ErrRunning)
	stop(t, one.server)
}

// A server that is leaving is waited for.
func TestStartWaits(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	server := start(t, c)
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop(t.Context()) }()
	pidfile := filepath.Join(c.Dir, "pg"+strconv.Itoa(server.Major()), "postmaster.pid")
	require.Eventually(t, func() bool { // it is leaving, or has left
		text, err := os.ReadFile(pidfile)
		return err != nil || strings.Contains(string(text), "stopping")
	}, time.Minute, time.Millisecond)
	stop(t, start(t, c))
	require.NoError(t, <-stopped)
}

func TestReset(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	require.NoError(t, postgres.Reset(filepath.Join(c.Dir, "missing")))
	require.NoDirExists(t, filepath.Join(c.Dir, "missing"))

	server := start(t, c)
	execute(t, server.DSN("postgres"), "create table gone ()")
	stop(t, server)
	require.NoError(t, os.WriteFile(filepath.Join(c.Dir, "notes"), nil, 0o600))
	require.NoError(t, postgres.Reset(c.Dir))
	entries, err := os.ReadDir(c.Dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the lock, and what is not ours")

	server = start(t, c)
	require.Equal(t, "true", query(t, server.DSN("postgres"), "select (to_regclass('gone') is null)::text"))
	stop(t, server)
}
