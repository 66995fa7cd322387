//go:build darwin || linux

package private_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/private"
)

const stranger = 4711 // the uid of a user who plants things

// sticky makes a directory like /tmp.
func sticky(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shared")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	return dir
}

func mkdir(t *testing.T, mode os.FileMode, names ...string) string {
	t.Helper()
	dir := filepath.Join(names...)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, mode))
	return dir
}

// give makes a path the stranger's, which only root can do.
func give(t *testing.T, path string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can plant what belongs to another user")
	}
	require.NoError(t, os.Lchown(path, stranger, stranger))
	return path
}

func TestDir(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(t *testing.T) string{
		"WorldWritable":      func(t *testing.T) string { return mkdir(t, 0o777, t.TempDir(), "data") },
		"BelowWorldWritable": func(t *testing.T) string { return mkdir(t, 0o700, mkdir(t, 0o777, t.TempDir(), "a"), "b") },
		"BelowAndMissing":    func(t *testing.T) string { return mkdir(t, 0o777, t.TempDir(), "a") + "/b/data" },
		"AStrangers":         func(t *testing.T) string { return give(t, mkdir(t, 0o755, sticky(t), "data")) },
		"BelowAStrangers":    func(t *testing.T) string { return give(t, mkdir(t, 0o755, sticky(t), "a")) + "/data" },
		"LinkInASharedOne":   func(t *testing.T) string { return link(t, t.TempDir(), sticky(t), "data") },
		"LinkOnTheWay":       func(t *testing.T) string { return link(t, t.TempDir(), sticky(t), "a") + "/data" },
		"AStrangersLink":     func(t *testing.T) string { return give(t, link(t, t.TempDir(), t.TempDir(), "data")) },
		"LinkToAStrangers": func(t *testing.T) string {
			return link(t, give(t, mkdir(t, 0o755, sticky(t), "a")), t.TempDir(), "l")
		},
		"LinkToWorldWritable": func(t *testing.T) string {
			return link(t, mkdir(t, 0o777, t.TempDir(), "a"), t.TempDir(), "l") + "/x"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := plant(t)
			_, err := private.Dir(dir, 0o700)
			require.ErrorIs(t, err, private.ErrNotPrivate)
			_, err = private.File(filepath.Join(dir, "sub", "file"), os.O_CREATE|os.O_WRONLY)
			require.ErrorIs(t, err, private.ErrNotPrivate)
			require.NoDirExists(t, filepath.Join(dir, "sub"), "nothing is made there")
		})
	}

	t.Run("Own", func(t *testing.T) {
		t.Parallel()
		for _, dir := range []string{
			filepath.Join(sticky(t), "data"), filepath.Join(t.TempDir(), "a", "b", "with space, and comma"),
			link(t, t.TempDir(), t.TempDir(), "to another disk"),
		} {
			got, err := private.Dir(dir, 0o700)
			require.NoError(t, err)
			real, err := filepath.EvalSymlinks(dir)
			require.NoError(t, err)
			require.Equal(t, real, got)
			again, err := private.Dir(dir, 0o700)
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
		dir := filepath.Join(t.TempDir(), "data")
		_, err := private.Dir(dir, 0o700)
		require.NoError(t, err)
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	})

	t.Run("SharedItself", func(t *testing.T) {
		t.Parallel()
		dir := sticky(t)
		_, err := private.Dir(dir, 0o700)
		require.ErrorIs(t, err, private.ErrNotPrivate)
		_, err = private.Parent(dir, 0o700)
		require.NoError(t, err, "files there are safe, by their owner")
	})

	t.Run("NoDirectory", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		_, err := private.Dir(file, 0o700)
		require.ErrorContains(t, err, "not a directory")
		loop := filepath.Join(t.TempDir(), "loop")
		require.NoError(t, os.Symlink(loop, loop))
		_, err = private.Dir(loop, 0o700)
		require.ErrorIs(t, err, syscall.ELOOP)
	})
}

func link(t *testing.T, target string, names ...string) string {
	t.Helper()
	path := filepath.Join(names...)
	require.NoError(t, os.Symlink(target, path))
	return path
}

func TestFile(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, mode os.FileMode, dir string) string {
		t.Helper()
		path := filepath.Join(dir, "ledger")
		require.NoError(t, os.WriteFile(path, []byte("theirs"), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	for name, plant := range map[string]func(t *testing.T) string{
		"Link": func(t *testing.T) string { return link(t, write(t, 0o600, t.TempDir()), t.TempDir(), "l") },
		"DanglingLink": func(t *testing.T) string {
			return link(t, filepath.Join(t.TempDir(), "root-only"), sticky(t), "ledger")
		},
		"HardLink": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "second")
			require.NoError(t, os.Link(write(t, 0o600, t.TempDir()), path))
			return path
		},
		"WorldWritable": func(t *testing.T) string { return write(t, 0o666, t.TempDir()) },
		"AStrangers":    func(t *testing.T) string { return give(t, write(t, 0o644, sticky(t))) },
		"Pipe": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "pipe")
			require.NoError(t, syscall.Mkfifo(path, 0o600))
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := plant(t)
			target, _ := os.Readlink(path)
			_, err := private.File(path, os.O_CREATE|os.O_RDWR|os.O_APPEND)
			require.ErrorIs(t, err, private.ErrNotPrivate)
			if strings.HasSuffix(target, "root-only") {
				require.NoFileExists(t, target)
			}
		})
	}

	path := filepath.Join(sticky(t), "ledger")
	for _, text := range []string{"one", "two"} {
		file, err := private.File(path, os.O_CREATE|os.O_RDWR|os.O_APPEND)
		require.NoError(t, err)
		_, err = file.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "onetwo", string(content))
	_, err = private.File(filepath.Join(sticky(t), "missing"), os.O_RDWR)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestUnlock: a file can be locked again as soon as its lock was given back, although a copy of the old one is open, as
// a program has it that is being started.
func TestUnlock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	open := func() *os.File {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	first := open()
	require.NoError(t, private.Lock(first))
	require.ErrorIs(t, private.Lock(open()), private.ErrInUse)
	held, err := syscall.Dup(int(first.Fd()))
	require.NoError(t, err)
	defer func() { _ = syscall.Close(held) }()
	require.NoError(t, private.Unlock(first))
	require.NoError(t, first.Close())
	require.NoError(t, private.Lock(open()))
}
