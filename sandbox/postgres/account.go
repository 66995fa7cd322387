//go:build darwin || linux

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/millrace-orders/millrace/sandbox/private"
)

// account is the user that the server runs as. The zero value is the current user.
type account struct {
	name     string
	uid, gid int
	dropped  bool // from root, so the account must own the files that the server writes
}

// serverAccount returns the user that the server runs as: the current user or, because initdb and postgres refuse to
// run as root, the user postgres or nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil && uid > 0 {
			return account{name: name, uid: uid, gid: gid, dropped: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// command prepares a server binary to run as the account. It has a process group of its own, so a terminal's Ctrl-C
// reaches only our process, and Postgres runs until that has drained. It has an environment of its own, so no PG*
// variable changes it.
//
// On Linux the server gets SIGINT when the *thread* that started it exits, see dieWithParent: start it from a locked
// thread.
func (a account) command(ctx context.Context, b binaries, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, name), args...)
	cmd.Dir = "/"
	cmd.Env = append(b.env(), "PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a.drop(cmd)
	dieWithParent(cmd.SysProcAttr)
	return cmd
}

// drop makes a command run as the account: a server's binaries never run as root.
func (a account) drop(cmd *exec.Cmd) {
	if !a.dropped {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: []uint32{}}
}

// mayRun returns the real path of a program or of a directory of programs. For root, it refuses files that another user
// could have put there.
func (a account) mayRun(path string) (string, error) {
	if !a.dropped {
		return realPath(path)
	}
	return private.Check(path)
}

// makePrivate makes a directory that only the account can enter, or checks an existing one. It follows no symbolic link
// and takes over no other existing directory: the path may be a guessable one in /tmp, which another user could have
// made first.
func (a account) makePrivate(path string) error {
	err := os.Mkdir(path, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err == nil && a.dropped {
		if err := os.Lchown(path, a.uid, a.gid); err != nil {
			return err
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() || private.Owner(info) != a.uid || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory private to uid %d: remove it", path, a.uid)
	}
	return nil
}

// checkReach returns an error that names the directory above path that the account cannot enter, if there is one.
func (a account) checkReach(path string) error {
	if !a.dropped {
		return nil
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !a.mayEnter(info) {
			return fmt.Errorf("%s is out of the server's reach: started by root it runs as %s, which cannot enter %s "+
				"(%s); choose a directory such as %s", path, a.name, dir, info.Mode(), DataDir("millrace", ""))
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a account) mayEnter(dir fs.FileInfo) bool {
	stat := dir.Sys().(*syscall.Stat_t)
	switch {
	case int(stat.Uid) == a.uid:
		return dir.Mode()&0o100 != 0
	case int(stat.Gid) == a.gid:
		return dir.Mode()&0o010 != 0
	}
	return dir.Mode()&0o001 != 0
}
