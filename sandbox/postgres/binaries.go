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
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace-orders/millrace/sandbox/private"
)

// binaries is a directory that contains initdb and postgres.
type binaries struct {
	dir     string
	libs    string // for LD_LIBRARY_PATH; empty if the server was installed and not unpacked
	version string // 15.18
	major   int    // 15
}

func (b binaries) env() []string {
	if b.libs == "" {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + b.libs}
}

// finder looks for binaries.
type finder struct {
	bin   string   // Config.Bin
	cache string   // Config.Cache, if it exists
	fetch bool     // Config.Fetch
	major int      // Config.Major
	tools []string // Config.Tools
	owner account
	log   *slog.Logger
}

// newFinder checks the cache before any program in it runs. A cache that does not exist is empty.
func newFinder(c Config, owner account, log *slog.Logger) (finder, error) {
	f := finder{bin: c.Bin, cache: c.Cache, fetch: c.Fetch, major: c.Major, tools: c.Tools, owner: owner, log: log}
	if f.cache == "" {
		return f, nil
	}
	if _, err := os.Lstat(f.cache); os.IsNotExist(err) {
		return f, nil
	}
	cache, err := private.Dir(f.cache, cacheMode)
	if err != nil {
		return f, fmt.Errorf("cache of postgres binaries: %w", err)
	}
	f.cache = cache
	return f, nil
}

// find returns the binaries of a major version; 0 is the newest one. It fetches missing binaries if Config.Fetch allows
// it.
func (f finder) find(ctx context.Context, major int) (binaries, error) {
	if f.bin != "" {
		b, err := f.inspect(ctx, f.bin)
		if err != nil {
			return b, err
		}
		if b.major < oldest {
			return b, fmt.Errorf("%w (%s has %s)", ErrNotFound, f.bin, b.version)
		}
		return b, nil
	}
	if b, ok := f.newest(ctx, append(f.installed(ctx), f.cached()...), major); ok {
		return b, nil
	}
	if ctx.Err() != nil { // no program ran to its end, so the result is unknown
		return binaries{}, context.Cause(ctx)
	}
	if !f.fetch {
		return binaries{}, ErrNotFound
	}
	return f.download(ctx, major)
}

// installed lists directories that may have binaries, the likeliest first. Some may be listed twice, or have none.
func (f finder) installed(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("pg_config"); err == nil {
		if path, err = f.owner.mayRun(path); err == nil {
			cmd := exec.CommandContext(ctx, path, "--bindir")
			f.owner.drop(cmd)
			cmd.Dir = "/"
			if out, err := cmd.Output(); err == nil {
				dirs = append(dirs, strings.TrimSpace(string(out)))
			}
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian
		"/usr/pgsql-*/bin",          // the PostgreSQL project's packages for Red Hat
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin", // Homebrew on Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin",
		"/usr/local/pgsql/bin", // built from source
	} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return dirs
}

// newest returns the binaries of the highest major version among the directories, or of the given major version; the
// first of equals. It ignores directories that another user could have written to.
func (f finder) newest(ctx context.Context, dirs []string, major int) (best binaries, ok bool) {
	seen := map[string]bool{}
	for _, dir := range dirs {
		path, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[path] {
			continue
		}
		seen[path] = true
		b, err := f.inspect(ctx, path)
		if errors.Is(err, private.ErrNotPrivate) {
			f.log.WarnContext(ctx, "postgres binaries are not used", "dir", dir, "reason", err)
		}
		if err == nil && b.major >= oldest && b.major > best.major && (major == 0 || b.major == major) {
			best, ok = b, true
		}
	}
	return best, ok
}

var (
	versionPattern  = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)
	unpackedPattern = regexp.MustCompile(`^(.+)/usr/lib/postgresql/\d+/bin$`)
)

// inspect asks the binaries in dir for their version, which also shows whether they run on this machine.
func (f finder) inspect(ctx context.Context, dir string) (binaries, error) {
	dir, err := f.owner.mayRun(dir)
	if err != nil {
		return binaries{}, err
	}
	for _, name := range append([]string{"initdb", "postgres"}, f.tools...) {
		if _, err := f.owner.mayRun(filepath.Join(dir, name)); err != nil {
			return binaries{}, err
		}
	}
	b := binaries{dir: dir, libs: unpackedLibs(dir)}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version")
	cmd.Env, cmd.Dir = b.env(), "/"
	f.owner.drop(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return binaries{}, fmt.Errorf("run %s: %w\n%s", cmd, err, tail(string(out)))
	}
	match := versionPattern.FindStringSubmatch(string(out))
	if match == nil {
		return binaries{}, fmt.Errorf("%s says %q, which is not a version", cmd, out)
	}
	b.version = match[1]
	b.major, err = strconv.Atoi(match[2])
	return b, err
}

// unpackedLibs returns the library directories beside Debian binaries that were unpacked, as fetchApt does.
func unpackedLibs(bin string) string {
	match := unpackedPattern.FindStringSubmatch(bin)
	if match == nil {
		return ""
	}
	var dirs []string
	for _, pattern := range []string{"/usr/lib/*-linux-gnu*", "/lib/*-linux-gnu*"} {
		found, _ := filepath.Glob(escapeGlob(match[1]) + pattern)
		dirs = append(dirs, found...)
	}
	return strings.Join(dirs, ":")
}
