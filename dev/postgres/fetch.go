//go:build darwin || linux

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is a place to fetch binaries from, through its ordinary client and that client's own configuration.
type source struct {
	name  string // the directory in the cache
	bin   string // a glob of the binaries in that
	fetch func(ctx context.Context, dir string) error
}

func sources() []source {
	return []source{
		{name: "npm-" + npmVersion, bin: "native/bin", fetch: fetchNPM},
		{name: "apt", bin: "usr/lib/postgresql/*/bin", fetch: fetchApt},
	}
}

// cached lists the directories of fetched binaries, if there are any.
func cached(cache string) []string {
	if cache == "" {
		return nil
	}
	var dirs []string
	for _, s := range sources() {
		found, _ := filepath.Glob(filepath.Join(escapeGlob(cache), s.name, s.bin))
		dirs = append(dirs, found...)
	}
	return dirs
}

// fetch brings binaries into the cache, from the first source that can. One process fetches; others wait for it.
//
// Errors: ErrNotFound with what every source said.
func fetch(ctx context.Context, cache string, owner account, log *slog.Logger) (binaries, error) {
	if cache == "" {
		return binaries{}, errors.New("fetch postgres: no cache directory was given")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return binaries{}, err
	}
	if err := owner.checkReach(cache); err != nil { // before the download
		return binaries{}, err
	}
	lock, err := waitLock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return binaries{}, fmt.Errorf("fetch postgres: %w", err)
	}
	defer lock.Close()
	if b, ok := newest(ctx, cached(cache)); ok {
		return b, nil // somebody was faster
	}
	problems := []error{ErrNotFound}
	for _, s := range sources() {
		log.InfoContext(ctx, "fetching postgres", "source", s.name, "cache", cache)
		b, err := s.install(ctx, cache)
		if err == nil {
			return b, nil
		}
		problems = append(problems, fmt.Errorf("fetch %s: %w", s.name, err))
	}
	return binaries{}, errors.Join(problems...)
}

func waitLock(ctx context.Context, path string) (*os.File, error) {
	for {
		file, err := tryLock(path)
		if file != nil || err != nil {
			return file, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// install fetches into a temporary directory, proves that the binaries run, and renames it: the cache has all or
// nothing. The caller has the cache's lock.
func (s source) install(ctx context.Context, cache string) (binaries, error) {
	const pattern = ".fetch-"
	stale, _ := filepath.Glob(filepath.Join(escapeGlob(cache), pattern+"*"))
	for _, dir := range stale {
		_ = os.RemoveAll(dir)
	}
	dir, err := os.MkdirTemp(cache, pattern)
	if err != nil {
		return binaries{}, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the server may run as another user
		return binaries{}, err
	}
	if err := s.fetch(ctx, dir); err != nil {
		return binaries{}, err
	}
	found, _ := filepath.Glob(filepath.Join(escapeGlob(dir), s.bin))
	if len(found) == 0 {
		return binaries{}, errors.New("it has no binaries in it")
	}
	b, err := inspect(ctx, found[0])
	if err != nil {
		return binaries{}, err
	}
	if b.major < oldest {
		return binaries{}, fmt.Errorf("it is PostgreSQL %s, too old", b.version)
	}
	final := filepath.Join(cache, s.name)
	if err := os.RemoveAll(final); err != nil { // one that does not run any more
		return binaries{}, err
	}
	if err := os.Rename(dir, final); err != nil {
		return binaries{}, err
	}
	bin, err := filepath.Rel(dir, found[0])
	if err != nil {
		return binaries{}, err
	}
	return inspect(ctx, filepath.Join(final, bin))
}

// run runs a client in dir and returns its output; the error has the last lines of what it complained.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	var complaints strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, tail(complaints.String()))
	}
	return string(out), nil
}
