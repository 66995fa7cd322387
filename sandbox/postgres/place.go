package postgres

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
)

// DataDir returns a directory for Config.Dir with a given name. It does not make the directory. Programs that clean
// caches do not touch it.
//
// The directory is below the user's data directory: xdg, which is $XDG_DATA_HOME, or ~/.local/share. For root it is
// below /var/lib: root's server runs as a different user, which cannot enter root's home.
func DataDir(name, xdg string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name)
	}
	if filepath.IsAbs(xdg) { // the specification has relative paths ignored
		return filepath.Join(xdg, name)
	}
	home, ok := homeDir()
	switch {
	case !ok:
		return fallback(name + "-data")
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support", name)
	}
	return filepath.Join(home, ".local", "share", name)
}

// DefaultDir returns a directory for Config.Cache with a given name. It does not make the directory. Its content can be
// fetched again.
//
// The directory is below the user's cache directory, and below /var/cache for root: the user that root's server runs as
// must be able to enter it, and no other user may write there.
func DefaultDir(name string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/cache", name)
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, name)
	}
	if home, ok := homeDir(); ok {
		return filepath.Join(home, ".cache", name)
	}
	return fallback(name)
}

// OldDataDir returns the default directory of the data in earlier versions.
func OldDataDir(name string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/tmp", name)
	}
	return DefaultDir(name)
}

// homeDir reads the list of users if the environment does not have the directory.
func homeDir() (string, bool) {
	if dir, err := os.UserHomeDir(); err == nil && filepath.IsAbs(dir) {
		return dir, true
	}
	if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
		return u.HomeDir, true
	}
	return "", false
}

// fallback is for users without a home. Like every other directory it is checked before a file in it is used.
func fallback(name string) string {
	return filepath.Join(os.TempDir(), name+"-"+strconv.Itoa(os.Geteuid()))
}
