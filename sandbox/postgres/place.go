package postgres

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
)

// DataDir returns a directory fit for Config.Dir, under the given name; it does not make it. Cleaners do not touch it.
//
// It is below the user's data directory (xdg, which is $XDG_DATA_HOME, or ~/.local/share), and below /var/lib for root:
// root's server runs as another user, who cannot enter root's home.
func DataDir(name, xdg string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name)
	}
	if filepath.IsAbs(xdg) { // what is relative must be ignored, says the specification
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

// DefaultDir returns a directory fit for Config.Cache, under the given name; it does not make it. What is in it can be
// had again.
//
// It is below the user's cache directory, and below /var/cache for root: the user that root's server runs as must get
// there, and no other user may write there.
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

// OldDataDir returns where the data was kept by default before it was in DataDir.
func OldDataDir(name string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/tmp", name)
	}
	return DefaultDir(name)
}

// homeDir asks the list of users if the environment does not tell.
func homeDir() (string, bool) {
	if dir, err := os.UserHomeDir(); err == nil && filepath.IsAbs(dir) {
		return dir, true
	}
	if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
		return u.HomeDir, true
	}
	return "", false
}

// fallback is for users without a home. It is checked like every other directory before anything in it is used.
func fallback(name string) string {
	return filepath.Join(os.TempDir(), name+"-"+strconv.Itoa(os.Geteuid()))
}
