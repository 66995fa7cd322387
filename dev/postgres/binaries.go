//go:build darwin || linux

package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// binaries is a directory with initdb and postgres in it.
type binaries struct {
	dir     string
	libs    string // for LD_LIBRARY_PATH, if it was unpacked rather than installed
	version string // 15.18
	major   int    // 15
}

func (b binaries) env() []string {
	if b.libs == "" {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + b.libs}
}

// locate returns the binaries to use, fetching them if it has to and may.
func locate(ctx context.Context, c Config, owner account, log *slog.Logger) (binaries, error) {
	if c.Bin != "" {
		b, err := inspect(ctx, c.Bin)
		if err != nil {
			return b, err
		}
		if b.major < oldest {
			return b, fmt.Errorf("%w (%s has %s)", ErrNotFound, c.Bin, b.version)
		}
		return b, nil
	}
	if b, ok := newest(ctx, append(installed(ctx), cached(c.Cache)...)); ok {
		return b, nil
	}
	if ctx.Err() != nil { // then nothing ran, and nothing is known
		return binaries{}, context.Cause(ctx)
	}
	if !c.Fetch {
		return binaries{}, ErrNotFound
	}
	return fetch(ctx, c.Cache, owner, log)
}

// installed lists where binaries may be, the likeliest first. There may be doubles, and directories without any.
func installed(ctx context.Context) []string {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
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

// newest returns the binaries of the highest major version among the directories, the first of equals.
func newest(ctx context.Context, dirs []string) (best binaries, ok bool) {
	seen := map[string]bool{}
	for _, dir := range dirs {
		path, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[path] {
			continue
		}
		seen[path] = true
		if b, err := inspect(ctx, path); err == nil && b.major >= oldest && b.major > best.major {
			best, ok = b, true
		}
	}
	return best, ok
}

var (
	versionPattern  = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)
	unpackedPattern = regexp.MustCompile(`^(.+)/usr/lib/postgresql/\d+/bin$`)
)

// inspect asks the binaries in dir for their version, which shows at once whether they run on this machine.
func inspect(ctx context.Context, dir string) (binaries, error) {
	dir, err := realPath(dir)
	if err != nil {
		return binaries{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	b := binaries{dir: dir, libs: unpackedLibs(dir)}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version")
	cmd.Env = b.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return binaries{}, fmt.Errorf("run %s: %w\n%s", cmd, err, tail(string(out)))
	}
	match := versionPattern.FindStringSubmatch(string(out))
	if match == nil {
		return binaries{}, fmt.Errorf("%s says %q, which is no version", cmd, out)
	}
	b.version = match[1]
	b.major, err = strconv.Atoi(match[2])
	return b, err
}

// unpackedLibs returns the library directories beside Debian binaries that were unpacked somewhere, as fetchApt does.
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
