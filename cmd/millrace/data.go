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

// defaultData returns the directory of dev's data without a flag.
func defaultData() string { return postgres.DataDir(dataName, os.Getenv("XDG_DATA_HOME")) }

// openData returns the directory of dev's data, and makes it if it is missing. Data in the default directory of earlier
// versions is moved to today's default.
func openData(ctx context.Context, dir string, logger *slog.Logger) (string, error) {
	if dir == defaultData() {
		var err error
		if dir, err = adopt(ctx, postgres.OldDataDir(dataName), dir, logger); err != nil {
			return "", err
		}
	}
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755 // root's Postgres runs as a different user, which must pass through
	}
	dir, err := private.Dir(dir, mode)
	if err == nil && os.Geteuid() == 0 {
		err = os.Chmod(dir, mode) // regardless of the umask
	}
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return dir, nil
}

// adopt moves the data from its old place, if the old place has data and the new place has none. It returns the data's
// directory: the old place, if the two are on different file systems.
func adopt(ctx context.Context, old, dir string, logger *slog.Logger) (string, error) {
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return dir, nil // it exists, or private.Dir returns the problem
	}
	if _, err := os.Lstat(filepath.Join(old, clusterHome)); errors.Is(err, os.ErrNotExist) {
		return dir, nil
	}
	_, err := private.Check(old)
	if errors.Is(err, private.ErrNotPrivate) {
		logger.WarnContext(ctx, "data at the old place not moved", "dir", old, "reason", err)
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
		logger.WarnContext(ctx, "data used at its old place, which cleaners may empty; move it while dev is stopped",
			"dir", old, "to", dir)
		return old, nil
	case err != nil:
		return "", fmt.Errorf("move the data from %s to %s: %w", old, dir, err)
	}
	logger.InfoContext(ctx, "data moved", "from", old, "to", dir)
	return dir, nil
}
