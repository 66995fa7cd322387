package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/sandbox/private"
)

const (
	dataName    = "millrace"
	clusterHome = "postgres" // in the data directory
)

// defaultData is where dev keeps its data if no flag says otherwise.
func defaultData() string { return postgres.DataDir(dataName, os.Getenv("XDG_DATA_HOME")) }

// openData returns the directory of dev's data, and makes it if need be. Data at the place where it was kept by default
// in earlier versions is moved to the default one of today.
func openData(ctx context.Context, dir string, logger *slog.Logger) (string, error) {
	if dir == defaultData() {
		var err error
		if dir, err = adopt(ctx, postgres.OldDataDir(dataName), dir, logger); err != nil {
			return "", err
		}
	}
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755 // root's Postgres runs as another user, who passes through
	}
	dir, err := private.Dir(dir, mode)
	if err == nil && os.Geteuid() == 0 {
		err = os.Chmod(dir, mode) // whatever the umask was
	}
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return dir, nil
}

// adopt moves the data from its old place, if there is data there and none at the new place. It returns where the data
// is: at the old place, if the two are not on the same file system.
func adopt(ctx context.Context, old, dir string, logger *slog.Logger) (string, error) {
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return dir, nil // it is there, or private.Dir says what is wrong with it
	}
	if _, err := os.Lstat(filepath.Join(old, clusterHome)); errors.Is(err, os.ErrNotExist) {
		return dir, nil
	}
	_, err := private.Check(old)
	if errors.Is(err, private.ErrNotPrivate) {
		logger.WarnContext(ctx, "the data at the old place is left alone", "dir", old, "reason", err)
		return dir, nil
	}
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if _, err := private.Parent(filepath.Dir(dir), 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	err = postgres.Move(ctx, old, dir, clusterHome)
	switch {
	case errors.Is(err, syscall.EXDEV):
		logger.WarnContext(ctx, "the data is used at its old place, which cleaners may empty: move it while dev is stopped",
			"dir", old, "to", dir)
		return old, nil
	case err != nil:
		return "", fmt.Errorf("move the data from %s to %s: %w", old, dir, err)
	}
	logger.InfoContext(ctx, "the data has moved", "from", old, "to", dir)
	return dir, nil
}
