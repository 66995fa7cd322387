//go:build darwin || linux

package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/millrace-orders/millrace/sandbox/private"
)

// home is Config.Dir: absolute, without symbolic links.
type home struct {
	dir   string
	owner account
}

// openHome makes the directory if it is missing. It checks that no other user could have put files there, and that the
// server's account can enter it.
func openHome(dir string, owner account) (home, error) {
	if dir == "" {
		return home{}, errors.New("no directory for the PostgreSQL cluster was given")
	}
	if strings.ContainsFunc(dir, unicode.IsControl) {
		const problem = "the name of the directory %q has a control character, which postgres's own files cannot have"
		return home{}, fmt.Errorf(problem, dir)
	}
	mode := fs.FileMode(0o700)
	if owner.dropped {
		mode = 0o755
	}
	dir, err := private.Dir(dir, mode)
	if err != nil {
		return home{}, err
	}
	if owner.dropped { // the account passes through it, whatever the umask was
		info, err := os.Stat(dir)
		if err != nil {
			return home{}, err
		}
		if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
			return home{}, err
		}
	}
	return home{dir: dir, owner: owner}, owner.checkReach(dir)
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// data returns the data directory of a major version: a different version cannot read it.
func (h home) data(major int) string { return filepath.Join(h.dir, "pg"+strconv.Itoa(major)) }

// cluster is a data directory with a database in it.
type cluster struct {
	dir   string
	major int       // of the PostgreSQL that can read it
	used  time.Time // when its server last wrote
}

// clusters lists the complete data directories, the latest used first.
func (h home) clusters() (all []cluster) {
	for _, dir := range h.dataDirs() {
		control, err := os.Stat(filepath.Join(dir, controlFile))
		if err != nil || !complete(dir) || strings.Contains(filepath.Base(dir), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, versionFile))
		if err != nil {
			continue
		}
		if major, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			all = append(all, cluster{dir: dir, major: major, used: control.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b cluster) int { return b.used.Compare(a.used) })
	return all
}

func (h home) lockFile() string { return filepath.Join(h.dir, "lock") }
func (h home) logFile() string  { return filepath.Join(h.dir, "postgres.log") }

// dataDirs lists all data directories, including unfinished ones.
func (h home) dataDirs() []string {
	dirs, _ := filepath.Glob(escapeGlob(h.dir) + "/pg[0-9]*")
	return dirs
}

// maxSocketDir is the longest socket directory in bytes: sun_path has 104 on macOS (108 on Linux), with the final NUL.
const maxSocketDir = 103 - len("/.s.PGSQL.65535")

// plainPath matches what every client reads as one path: a comma begins another host, and a blank ends the value in a
// libpq connection string.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._+@~-]+$`)

// socketDir returns the directory of the unix socket: run in the home. If that path is too long for a socket's address,
// or is not plain, it is a short name in /tmp, derived from the home's path so that every start finds it. It is not in
// $TMPDIR, which may be long itself.
func (h home) socketDir() string {
	dir := filepath.Join(h.dir, "run")
	if len(dir) <= maxSocketDir && plainPath.MatchString(dir) {
		return dir
	}
	sum := sha256.Sum256([]byte(h.dir))
	return "/tmp/millrace-" + hex.EncodeToString(sum[:8])
}

// escapeGlob quotes the characters that are special to filepath.Glob.
func escapeGlob(path string) string {
	var quoted []rune
	for _, r := range path {
		switch r {
		case '*', '?', '[', '\\':
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, r)
	}
	return string(quoted)
}
