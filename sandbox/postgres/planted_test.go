//go:build darwin || linux

package postgres_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/sandbox/private"
	"github.com/millrace-orders/millrace/store/storetest"
)

// shared makes a directory like /tmp, in which another user was first.
func shared(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(programs(t), "tmp")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	return dir
}

// give makes a tree another user's, which only root can do.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can plant what belongs to another user")
	}
	require.NoError(t, filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
		require.NoError(t, err)
		return os.Lchown(path, 4711, 4711)
	}))
}

// trap makes binaries that leave a file behind if they are ever run.
func trap(t *testing.T, dir string) (sprung string) {
	t.Helper()
	sprung = filepath.Join(shared(t), "sprung")
	fakeBinaries(t, dir, "99.1)'\ntouch '"+sprung+"' #")
	return sprung
}

// TestPlantedCache: binaries in a directory that another user made, or could have written to, are not run.
func TestPlantedCache(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(t *testing.T) (cache string, sprung string){
		"AStrangers": func(t *testing.T) (string, string) {
			cache := filepath.Join(shared(t), "millrace-postgres")
			sprung := trap(t, filepath.Join(cache, "npm-99.1", "native", "bin"))
			give(t, cache)
			return cache, sprung
		},
		"WorldWritable": func(t *testing.T) (string, string) {
			cache := filepath.Join(programs(t), "cache")
			sprung := trap(t, filepath.Join(cache, "npm-99.1", "native", "bin"))
			require.NoError(t, os.Chmod(cache, 0o777))
			return cache, sprung
		},
		"Link": func(t *testing.T) (string, string) {
			real := programs(t)
			sprung := trap(t, filepath.Join(real, "npm-99.1", "native", "bin"))
			cache := filepath.Join(shared(t), "millrace-postgres")
			require.NoError(t, os.Symlink(real, cache))
			return cache, sprung
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t, storetest.Dir(t))
			var sprung string
			c.Cache, sprung = plant(t)
			_, err := postgres.Start(t.Context(), c)
			require.ErrorIs(t, err, private.ErrNotPrivate)
			require.NoFileExists(t, sprung)
		})
	}
}

// TestPlantedBinaries: started by root, binaries that another user could have written are not run, wherever they are.
func TestPlantedBinaries(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a user runs what is in his PATH")
	}
	t.Run("Directory", func(t *testing.T) {
		t.Parallel()
		c := config(t, storetest.Dir(t))
		c.Bin = filepath.Join(shared(t), "bin")
		sprung := trap(t, c.Bin)
		give(t, c.Bin)
		_, err := postgres.Start(t.Context(), c)
		require.ErrorIs(t, err, private.ErrNotPrivate)
		require.NoFileExists(t, sprung)
	})
	t.Run("OneProgram", func(t *testing.T) {
		t.Parallel()
		c := config(t, storetest.Dir(t))
		c.Bin = programs(t)
		sprung := trap(t, c.Bin)
		give(t, filepath.Join(c.Bin, "postgres"))
		_, err := postgres.Start(t.Context(), c)
		require.ErrorIs(t, err, private.ErrNotPrivate)
		require.NoFileExists(t, sprung)
	})
	t.Run("NotAsRoot", func(t *testing.T) {
		t.Parallel()
		c := config(t, storetest.Dir(t))
		c.Bin = programs(t)
		sprung := trap(t, c.Bin)
		_, err := postgres.Start(t.Context(), c)
		require.Error(t, err)
		info, err := os.Stat(sprung)
		require.NoError(t, err, "root's own are run, and say that they are 99.1")
		require.NotZero(t, private.Owner(info), "by the server's user")
	})
}

// TestPlantedHome: a cluster is neither made nor run where another user was first.
func TestPlantedHome(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(t *testing.T) string{
		"WorldWritable": func(t *testing.T) string {
			dir := filepath.Join(storetest.Dir(t), "a")
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.Chmod(dir, 0o777))
			return filepath.Join(dir, "data")
		},
		"Link": func(t *testing.T) string {
			link := filepath.Join(shared(t), "data")
			require.NoError(t, os.Symlink(storetest.Dir(t), link))
			return link
		},
		"AStrangers": func(t *testing.T) string {
			dir := filepath.Join(shared(t), "data")
			require.NoError(t, os.Mkdir(dir, 0o755))
			give(t, dir)
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := plant(t)
			_, err := postgres.Start(t.Context(), config(t, dir))
			require.ErrorIs(t, err, private.ErrNotPrivate)
			entries, err := os.ReadDir(filepath.Dir(dir))
			require.NoError(t, err)
			require.LessOrEqual(t, len(entries), 1, "nothing was made there")
		})
	}
}
