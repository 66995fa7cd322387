//go:build darwin || linux

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/sandbox/private"
)

// cacheMode lets in the user that root's server runs as.
const cacheMode = 0o755

// source is a place to fetch binaries from, with its ordinary client and that client's own configuration.
type source struct {
	name  string // the name of its directory in the cache
	size  string // the approximate size of the download
	bin   string // a glob of the binaries in the directory
	fetch func(ctx context.Context, dir string) error
}

// sources lists the sources of a major version; 0 is the newest.
func sources(major int) (all []source) {
	for _, release := range npmReleases() {
		if major == 0 || release.major == major {
			all = append(all, source{
				name: "npm-" + release.version, size: "24 MB", bin: "native/bin", fetch: release.fetch,
			})
			break
		}
	}
	name := "apt"
	if major != 0 {
		name += "-" + strconv.Itoa(major)
	}
	return append(all, source{
		name: name, size: "60 MB", bin: "usr/lib/postgresql/*/bin",
		fetch: func(ctx context.Context, dir string) error { return fetchApt(ctx, dir, major) },
	})
}

// cached lists the directories of fetched binaries, if there are any.
func (f finder) cached() []string {
	if f.cache == "" {
		return nil
	}
	var dirs []string
	for _, pattern := range []string{"npm-*/native/bin", "apt*/usr/lib/postgresql/*/bin"} {
		found, _ := filepath.Glob(filepath.Join(escapeGlob(f.cache), pattern))
		dirs = append(dirs, found...)
	}
	return dirs
}

// download fetches binaries of a major version into the cache, from the first source that works; 0 is the newest
// version. One process downloads, and the others wait for it.
//
// Errors: ErrNotFound with the errors of all sources.
func (f finder) download(ctx context.Context, major int) (binaries, error) {
	if f.cache == "" {
		return binaries{}, errors.New("fetch postgres: no cache directory was given")
	}
	cache, err := private.Dir(f.cache, cacheMode)
	if err != nil {
		return binaries{}, fmt.Errorf("cache of postgres binaries: %w", err)
	}
	f.cache = cache
	if err := f.owner.checkReach(cache); err != nil { // before the download
		return binaries{}, err
	}
	lock, err := waitLock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return binaries{}, fmt.Errorf("fetch postgres: %w", err)
	}
	defer lock.Close()
	if b, ok := f.newest(ctx, f.cached(), major); ok {
		return b, nil // another process was faster
	}
	problems := []error{ErrNotFound}
	for _, s := range sources(major) {
		b, err := f.install(ctx, s)
		if err == nil {
			return b, nil
		}
		f.log.InfoContext(ctx, "postgres cannot be had there", "source", s.name, "reason", err)
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

// install fetches into a temporary directory, proves that the binaries run, and renames the directory: the cache gets
// all of it or nothing. The caller must hold the cache's lock.
func (f finder) install(ctx context.Context, s source) (binaries, error) {
	const pattern = ".fetch-"
	stale, _ := filepath.Glob(filepath.Join(escapeGlob(f.cache), pattern+"*"))
	for _, dir := range stale {
		_ = os.RemoveAll(dir)
	}
	dir, err := os.MkdirTemp(f.cache, pattern)
	if err != nil {
		return binaries{}, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, cacheMode); err != nil { // the server may run as a different user
		return binaries{}, err
	}
	done := f.report(ctx, s, dir)
	err = s.fetch(ctx, dir)
	done()
	if err != nil {
		return binaries{}, err
	}
	found, _ := filepath.Glob(filepath.Join(escapeGlob(dir), s.bin))
	if len(found) == 0 {
		return binaries{}, errors.New("it has no binaries in it")
	}
	b, err := f.inspect(ctx, found[0])
	if err != nil {
		return binaries{}, err
	}
	if b.major < oldest {
		return binaries{}, fmt.Errorf("it is PostgreSQL %s, too old", b.version)
	}
	final := filepath.Join(f.cache, s.name)
	if err := os.RemoveAll(final); err != nil { // one that no longer runs
		return binaries{}, err
	}
	if err := os.Rename(dir, final); err != nil {
		return binaries{}, err
	}
	bin, err := filepath.Rel(dir, found[0])
	if err != nil {
		return binaries{}, err
	}
	return f.inspect(ctx, filepath.Join(final, bin))
}

// reportEvery is the time between two lines about a download.
const reportEvery = 3 * time.Second

// report logs the progress of a download every few seconds, until done is called.
func (f finder) report(ctx context.Context, s source, dir string) (done func()) {
	began := time.Now()
	f.log.InfoContext(ctx, "fetching postgres, once", "source", s.name, "size", "about "+s.size, "into", f.cache)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(reportEvery)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				f.log.InfoContext(ctx, "still fetching postgres", "source", s.name,
					"seconds", int(time.Since(began).Seconds()), "megabytes_on_disk", size(dir)>>20)
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// size returns the number of bytes in the files below a directory.
func size(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil // a file that was just removed has no size
	})
	return bytes
}

// client returns the path of a program that fetches. Root refuses a program that another user could have put there.
func client(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil && os.Geteuid() == 0 {
		_, err = private.Check(path)
	}
	return path, err
}

// run runs a client in dir and returns its output. An error has the last lines of the client's error output.
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
