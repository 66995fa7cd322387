// Package private makes and opens files that only their user can change. A directory below a shared one, such as /tmp,
// may have been made by another user of the machine, and a name there may be a link to another place. Above all root
// must neither write nor run what is found there.
//
// A path is private if no other user can change what it leads to. Every directory on the way belongs to this user or to
// root. Other users can write to none of them, unless its sticky bit keeps them from replacing files of others. A
// symbolic link counts as its target if this user or root made it; in a shared directory no link is followed. Only cmd,
// sandbox, lab and tests import this package. It imports the standard library.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrNotPrivate reports that another user could have made or changed the file or directory at a path.
	ErrNotPrivate = errors.New("not private")
	// ErrInUse reports that another process has locked a file.
	ErrInUse = errors.New("another process uses it")
)

// Dir returns the real path of a directory that only this user and root can write to. It makes missing directories with
// mode. Errors: ErrNotPrivate; the system's.
func Dir(path string, mode fs.FileMode) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		parent, err := Parent(filepath.Dir(path), mode)
		if err != nil {
			return "", err
		}
		path = filepath.Join(parent, filepath.Base(path))
		if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	case err != nil:
		return "", err
	case !info.IsDir() && info.Mode()&fs.ModeSymlink == 0:
		return "", fmt.Errorf("%s is not a directory", path)
	}
	return walk(path, false)
}

// Parent returns the real path of a directory in which this user's files are safe from other users, which may have
// files of their own there. It makes missing directories with mode. Errors: ErrNotPrivate; the system's.
func Parent(path string, mode fs.FileMode) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return Dir(path, mode)
	}
	return walk(path, true)
}

// Check returns the real path of a file or directory that only this user and root can change. Errors: ErrNotPrivate;
// the system's.
func Check(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return walk(path, false)
}

// File opens or makes a regular file that only this user can read. It never follows the last name as a link. It refuses
// a file with a second name (a hard link), which may be a file of another user. Errors: ErrNotPrivate; the system's.
func File(path string, flag int) (*os.File, error) {
	dir, err := Parent(filepath.Dir(path), 0o700)
	if err != nil {
		return nil, err
	}
	path = filepath.Join(dir, filepath.Base(path))
	file, err := os.OpenFile(path, flag&^(os.O_CREATE|os.O_TRUNC)|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0 {
		return os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	}
	if isLink(err) {
		return nil, fmt.Errorf("%s is a symbolic link, and links are not followed there: %w", path, ErrNotPrivate)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = checkFile(path, info)
	}
	if err == nil && flag&os.O_TRUNC != 0 { // not before its owner is known
		err = file.Truncate(0)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
