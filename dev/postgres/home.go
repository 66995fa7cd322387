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
	"strconv"
)

// home is Config.Dir: absolute, without symbolic links.
type home struct {
	dir   string
	owner account
}

// openHome makes the directory if need be, and checks that the server's account can get there.
func openHome(dir string, owner account) (home, error) {
	if dir == "" {
		return home{}, errors.New("no directory for the PostgreSQL cluster was given")
	}
	mode := fs.FileMode(0o700)
	if owner.dropped {
		mode = 0o755
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return home{}, err
	}
	dir, err := realPath(dir)
	if err != nil {
		return home{}, err
	}
	if owner.dropped {
		if err := checkRootDir(dir, owner); err != nil {
			return home{}, err
		}
	}
	return home{dir: dir, owner: owner}, owner.checkReach(dir)
}

// checkRootDir refuses a directory in a shared one such as /var/tmp that another user made before us: he could point
// root at files elsewhere. Root's own is opened for the server to pass through, whatever the umask was.
func checkRootDir(dir string, owner account) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	parent, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return err
	}
	maker := ownerOf(info)
	if parent.Mode()&fs.ModeSticky != 0 && maker != 0 && maker != owner.uid {
		return fmt.Errorf("%s belongs to uid %d: remove it or choose another directory", dir, maker)
	}
	if maker != 0 {
		return nil
	}
	return os.Chmod(dir, info.Mode().Perm()|0o011)
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// data is the data directory of a major version: another version cannot read it.
func (h home) data(major int) string { return filepath.Join(h.dir, "pg"+strconv.Itoa(major)) }

func (h home) lockFile() string { return filepath.Join(h.dir, "lock") }
func (h home) logFile() string  { return filepath.Join(h.dir, "postgres.log") }

// dataDirs lists all data directories, and what is left of those that were never finished.
func (h home) dataDirs() []string {
	dirs, _ := filepath.Glob(escapeGlob(h.dir) + "/pg[0-9]*")
	return dirs
}

// maxSocketDir is the longest socket directory in bytes: sun_path has 104 on macOS (108 on Linux) with the final NUL.
const maxSocketDir = 103 - len("/.s.PGSQL.65535")

// socketDir is where the unix socket is: run in the home, or if that is too long for a socket's address a short name
// in /tmp, made from the home's so that every start has the same. Not in $TMPDIR, which may be long itself.
func (h home) socketDir() string {
	dir := filepath.Join(h.dir, "run")
	if len(dir) <= maxSocketDir {
		return dir
	}
	sum := sha256.Sum256([]byte(h.dir))
	return "/tmp/millrace-" + hex.EncodeToString(sum[:8])
}

// escapeGlob quotes the characters that filepath.Glob would take for a pattern.
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
