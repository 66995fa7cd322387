package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/private"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestDataMoves: data at the old default place is found, moved and kept.
func TestDataMoves(t *testing.T) {
	t.Parallel()
	base := storetest.Dir(t)
	old, now := filepath.Join(base, "cache", "millrace"), filepath.Join(base, "share", "millrace")
	require.NoError(t, os.MkdirAll(filepath.Join(old, clusterHome), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(old, clusterHome, "kept"), nil, 0o600))
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	dir, err := adopt(t.Context(), old, now, logger)
	require.NoError(t, err)
	require.Equal(t, now, dir)
	require.FileExists(t, filepath.Join(now, clusterHome, "kept"))
	require.NoDirExists(t, old)
	require.Contains(t, log.String(), "from="+old+" to="+now)

	log.Reset()
	require.NoError(t, os.MkdirAll(filepath.Join(old, clusterHome), 0o755))
	dir, err = adopt(t.Context(), old, now, logger)
	require.NoError(t, err)
	require.Equal(t, now, dir, "what is there already stays")
	require.DirExists(t, old)
	require.Empty(t, log.String())

	require.NoError(t, os.Chmod(old, 0o777))
	dir, err = adopt(t.Context(), old, now+"-2", logger)
	require.NoError(t, err)
	require.Equal(t, now+"-2", dir)
	require.DirExists(t, old, "another user could have made it")
	require.Contains(t, log.String(), "not moved")
}

// TestPlantedData: dev and simulate write through no link, and into no directory that others can write to.
func TestPlantedData(t *testing.T) {
	t.Parallel()
	addrs := []string{"--simulator-addr", "127.0.0.1:0"}
	dev := append([]string{"dev", "--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0"}, addrs...)
	secret := filepath.Join(t.TempDir(), "only-ours")

	ledger := filepath.Join(storetest.Dir(t), "simulator.ledger")
	require.NoError(t, os.Symlink(secret, ledger))
	open := filepath.Join(storetest.Dir(t), "open")
	require.NoError(t, os.Mkdir(open, 0o755))
	require.NoError(t, os.Chmod(open, 0o777))
	link := filepath.Join(storetest.Dir(t), "shared")
	require.NoError(t, os.Mkdir(link, 0o755))
	require.NoError(t, os.Chmod(link, 0o777|os.ModeSticky))
	link = filepath.Join(link, "data")
	require.NoError(t, os.Symlink(t.TempDir(), link))

	for _, args := range [][]string{
		append(dev, "--data", filepath.Dir(ledger)), append(dev, "--data", open), append(dev, "--data", link),
		append(dev, "--data", filepath.Join(open, "below")),
		append([]string{"simulate", "--ledger", ledger}, addrs...),
		append([]string{"simulate", "--ledger", filepath.Join(open, "ledger")}, addrs...),
		append([]string{"simulate", "--ledger", filepath.Join(link, "ledger")}, addrs...),
	} {
		require.ErrorIs(t, run(t.Context(), args, io.Discard, t.Output()), private.ErrNotPrivate, args)
	}
	require.NoFileExists(t, secret)
	entries, err := os.ReadDir(open)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestOddData runs everything in a directory whose name has a blank and a comma.
func TestOddData(t *testing.T) {
	t.Parallel()
	m := startDev(t, "--data", filepath.Join(storetest.Dir(t), "my data, 50%"))
	m.await(m.place(seedOrder).OrderID, "completed")
	require.NoError(t, m.stop())
}
