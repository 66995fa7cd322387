//go:build darwin || linux

package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	// noFollow refuses a symbolic link, and does not wait for the other end of a pipe.
	noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	maxLinks = 40

	othersWrite = 0o002
	groupWrites = 0o020
)

func isLink(err error) bool { return errors.Is(err, syscall.ELOOP) }

// walk resolves an absolute path name by name, and checks each directory and link before it goes on. So no other user
// can replace what was checked. With shared, the last directory may be one like /tmp.
func walk(path string, shared bool) (string, error) {
	at, info, err := "/", fs.FileInfo(nil), error(nil)
	if info, err = os.Lstat(at); err != nil {
		return "", err
	}
	rest, links := strings.Split(path, "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		if err := check(at, info, true); err != nil {
			return "", err
		}
		next := filepath.Join(at, name) // ".." is the directory above, because at has no links
		nextInfo, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if nextInfo.Mode()&fs.ModeSymlink == 0 {
			at, info = next, nextInfo
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
		}
		if writable(info) {
			return "", fmt.Errorf("%s is a symbolic link, and links are not followed there: %w", next, ErrNotPrivate)
		}
		if err := checkOwner(next, nextInfo); err != nil {
			return "", err
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = "/"
			if info, err = os.Lstat(at); err != nil {
				return "", err
			}
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, check(at, info, shared)
}

func check(path string, info fs.FileInfo, shared bool) error {
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if writable(info) && (!shared || info.Mode()&fs.ModeSticky == 0) {
		return fmt.Errorf("%s can be written to by other users (%s): chmod go-w it, or choose another place: %w",
			path, info.Mode(), ErrNotPrivate)
	}
	return nil
}

// checkOwner accepts this user and root. The owner of / also counts as root: in a user namespace root has a different
// number.
func checkOwner(path string, info fs.FileInfo) error {
	trusted := []int{0, os.Geteuid()}
	if root, err := os.Lstat("/"); err == nil {
		trusted = append(trusted, Owner(root))
	}
	if owner := Owner(info); !slices.Contains(trusted, owner) {
		return fmt.Errorf("%s belongs to uid %d, who could have put anything there: remove it, or choose another place: %w",
			path, owner, ErrNotPrivate)
	}
	return nil
}

// writable reports whether users other than the owner can write. A group with the owner's number is the owner's alone:
// most Linux distributions make one for each user.
func writable(info fs.FileInfo) bool {
	stat := info.Sys().(*syscall.Stat_t)
	ownGroup := stat.Uid == stat.Gid && stat.Uid != 0
	return info.Mode()&othersWrite != 0 || info.Mode()&groupWrites != 0 && !ownGroup
}

func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: %w", path, ErrNotPrivate)
	}
	if info.Sys().(*syscall.Stat_t).Nlink != 1 {
		return fmt.Errorf("%s has a second name, by which other users may reach it: %w", path, ErrNotPrivate)
	}
	return check(path, info, false)
}

// Owner returns the user id of a file's owner.
func Owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// Lock locks a file until Unlock, or until the process ends. Errors: ErrInUse; the system's.
func Lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w", file.Name(), ErrInUse)
	}
	return err
}

// Unlock gives the lock of a file back. To close the file is not enough: a program that is being started has a copy of
// it for a moment.
func Unlock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }
