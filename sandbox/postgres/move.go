//go:build darwin || linux

package postgres

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
)

// Move renames a directory that contains a cluster's home, while no server is running there. home is the home's name in
// the directory.
//
// Errors: *RunningError; the system's, such as syscall.EXDEV between two file systems. After an error the directory is
// where it was.
func Move(ctx context.Context, from, to, home string) error {
	owner, err := serverAccount()
	if err != nil {
		return err
	}
	h, err := openHome(filepath.Join(from, home), owner)
	if err != nil {
		return err
	}
	lock, err := h.lock(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer lock.Close()
	return os.Rename(from, to)
}
