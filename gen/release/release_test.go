package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	before = "# Changelog\n\nHow to read it.\n\n## Unreleased\n\n### Added\n\n- Orders.\n"
	after  = "# Changelog\n\nHow to read it.\n\n## Unreleased\n\n## 0.1.0 - 2026-11-28\n\n### Added\n\n- Orders.\n"

	current  = "info:\n  title: Millrace\n  version: dev\nopenapi: 3.1.0\n"
	released = "info:\n  title: Millrace\n  version: 0.1.0\nopenapi: 3.1.0\n"
)

// tree is a repository before its first release.
func tree(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "api"), 0o700))
	write(t, root, changelogFile, before)
	write(t, root, currentFile, current)
	write(t, root, releasedFile, string(stamp(none, []byte("old: true\n")))+"old: true\n")
	return root
}

func TestRelease(t *testing.T) {
	t.Parallel()
	root := tree(t)
	require.NoError(t, run([]string{"check"}, root, noon()))
	require.NoError(t, run([]string{"make", "0.1.0"}, root, noon()))
	require.Equal(t, after, read(t, root, changelogFile))
	require.Equal(t, string(stamp("0.1.0", []byte(released)))+released, read(t, root, releasedFile))
	require.Equal(t, current, read(t, root, currentFile))
	require.NoError(t, run([]string{"check"}, root, noon()))

	require.ErrorContains(t, run([]string{"make", "0.2.0"}, root, noon()), "nothing is unreleased")
	write(t, root, changelogFile, "# Changelog\n\n## Unreleased\n\n- More.\n\n## 0.1.0 - 2026-11-28\n\n- Orders.\n")
	for _, next := range []string{"0.1.0", "0.0.9", "v0.2.0", "0.2", "0.2.0-rc1", "00.2.0", ""} {
		require.ErrorContains(t, run([]string{"make", next}, root, noon()), "not a version later than 0.1.0", next)
	}
	write(t, root, currentFile, released)
	require.ErrorContains(t, run([]string{"make", "0.10.0"}, root, noon()), "does not have the version dev")
	write(t, root, currentFile, current)
	require.NoError(t, run([]string{"make", "0.10.0"}, root, noon()))
	require.NoError(t, run([]string{"check"}, root, noon()))
	require.Contains(t, read(t, root, changelogFile), "## Unreleased\n\n## 0.10.0 - 2026-11-28\n\n- More.\n\n## 0.1.0 -")
}

// Each case is a change that must be refused: of the document alone, or of the CHANGELOG alone.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, root string){
		"Copied": func(t *testing.T, root string) {
			write(t, root, releasedFile, read(t, root, currentFile))
		},
		"Edited": func(t *testing.T, root string) {
			write(t, root, releasedFile, read(t, root, releasedFile)+"more: true\n")
		},
		"CopiedBelowTheStamp": func(t *testing.T, root string) {
			write(t, root, releasedFile, string(stamp(none, []byte("old: true\n")))+read(t, root, currentFile))
		},
		"Empty": func(t *testing.T, root string) { write(t, root, releasedFile, "") },
		"OfAnotherRelease": func(t *testing.T, root string) {
			write(t, root, releasedFile, string(stamp("0.2.0", []byte("old: true\n")))+"old: true\n")
		},
		"DatedByHand": func(t *testing.T, root string) { write(t, root, changelogFile, after) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t)
			require.NoError(t, run([]string{"check"}, root, noon()))
			change(t, root)
			require.ErrorContains(t, run([]string{"check"}, root, noon()), "only make release writes it")
			require.Error(t, run([]string{"make", "0.3.0"}, root, noon()))
		})
	}
	require.Error(t, run([]string{"check"}, t.TempDir(), noon()))
	require.ErrorContains(t, run(nil, tree(t), noon()), "usage")
}

// The repository itself must pass.
func TestRepository(t *testing.T) {
	t.Parallel()
	require.NoError(t, check("../.."))
}

func noon() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }

func write(t *testing.T, root, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(b)
}
