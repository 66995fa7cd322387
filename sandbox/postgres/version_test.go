//go:build darwin || linux

package postgres_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store/storetest"
)

// fakeBinaries makes programs that say that they are of a version. They run nothing.
func fakeBinaries(t *testing.T, dir, version string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range []string{"initdb", "postgres"} {
		// Written by another process: a file this one has open for writing may leak into a parallel test's fork
		// and then cannot be run ("text file busy").
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s (Homebrew)'\n", name, version)
		write := exec.CommandContext(t.Context(), "sh", "-c", `cat >"$0" && chmod +x "$0"`, filepath.Join(dir, name))
		write.Stdin = strings.NewReader(script)
		require.NoError(t, write.Run())
	}
}

// fakeData makes what looks like a cluster of a version.
func fakeData(t *testing.T, home string, major int) string {
	t.Helper()
	data := filepath.Join(home, "pg"+strconv.Itoa(major))
	require.NoError(t, os.MkdirAll(filepath.Join(data, "global"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(strconv.Itoa(major)+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(data, "global", "pg_control"), []byte("x"), 0o600))
	return data
}

// TestNewerPostgresAppears: the data's own version decides, and no empty cluster appears beside it.
func TestNewerPostgresAppears(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	server := start(t, c)
	execute(t, server.DSN("postgres"), "create table kept as select 'still here' as word")
	version, major := server.Version(), server.Major()
	stop(t, server)

	c.Cache = programs(t)
	fakeBinaries(t, filepath.Join(c.Cache, "npm-99.1", "native", "bin"), "99.1")
	fresh := config(t, storetest.Dir(t))
	fresh.Cache = c.Cache
	_, err := postgres.Start(t.Context(), fresh)
	require.ErrorContains(t, err, "99.1", "a new cluster gets the newest, which here only says so")

	if installed(t) { // otherwise only the tests' cache has the old version
		again := start(t, c)
		require.Equal(t, version, again.Version())
		require.Equal(t, "still here", query(t, again.DSN("postgres"), "select word from kept"))
		stop(t, again)
	}
	c.Bin = filepath.Join(c.Cache, "npm-99.1", "native", "bin")
	_, err = postgres.Start(t.Context(), c)
	var wrong *postgres.VersionError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, major, wrong.Data)
	require.ErrorContains(t, err, "99.1")
	require.ErrorContains(t, err, "docs/configuration.md")
	require.NoDirExists(t, filepath.Join(c.Dir, "pg99"))
}

func installed(t *testing.T) bool {
	t.Helper()
	c := config(t, storetest.Dir(t))
	c.Cache, c.Fetch = "", false
	server, err := postgres.Start(t.Context(), c)
	if err != nil {
		return false
	}
	stop(t, server)
	return true
}

// TestNoBinariesForTheData: an error says so. An empty cluster would look as if everything was gone.
func TestNoBinariesForTheData(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	data := fakeData(t, c.Dir, 98)
	for _, fetch := range []bool{false, true} {
		c.Fetch, c.Cache = fetch, programs(t)
		_, err := postgres.Start(t.Context(), c)
		var wrong *postgres.VersionError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, 98, wrong.Data)
		require.ErrorIs(t, err, postgres.ErrNotFound)
		require.ErrorContains(t, err, data)
	}
	dirs, err := filepath.Glob(filepath.Join(c.Dir, "pg*"))
	require.NoError(t, err)
	require.Equal(t, []string{data}, dirs)
}

// TestSeveralVersions: of two clusters the one that was used last is used, and nothing is removed.
func TestSeveralVersions(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	server := start(t, c)
	stop(t, server)
	control := filepath.Join(fakeData(t, c.Dir, 98), "global", "pg_control")
	require.NoError(t, os.Chtimes(control, time.Time{}, time.Now().Add(-time.Hour)))

	var log strings.Builder
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	again := start(t, c)
	require.Equal(t, server.Major(), again.Major())
	stop(t, again)
	require.FileExists(t, control)
	require.Contains(t, log.String(), "pg98")

	require.NoError(t, os.Chtimes(control, time.Time{}, time.Now().Add(time.Hour)))
	var wrong *postgres.VersionError
	_, err := postgres.Start(t.Context(), c)
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, 98, wrong.Data)
}
